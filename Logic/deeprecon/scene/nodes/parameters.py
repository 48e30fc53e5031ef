"""Slicer parameter packs made from the parameter dataclasses of the methods.

    Settings = parameter_pack(ReconstructParameters)      # a field of a parameterNodeWrapper: `settings: Settings`
    parameters = to_dataclass(node.settings)

Types:

| dataclass                    | pack                                                  |
|------------------------------|-------------------------------------------------------|
| bool, int, float, str, Path  | the same                                              |
| `Range(lo, hi)` on a number  | `WithinRange(lo, hi)`                                 |
| Enum                         | the same Enum: Slicer stores its member's name        |
| `T | None`                   | `Optional[T]`; no widget can be connected to it       |
| `tuple[T, ...]`              | `list[T]`; no widget can be connected to it           |
"""

from __future__ import annotations

from typing import Annotated, Any, Optional

from deeprecon.jobs.parameters import Field, fields_of


def parameter_pack(cls: type) -> type:
    """A Slicer parameterPack class with the fields, defaults and ranges of a parameter dataclass.

    Only inside Slicer or its stand-in, which define parameterPack.
    """
    from slicer.parameterNodeWrapper import parameterPack

    fields = fields_of(cls)
    members: dict[str, Any] = {
        field.name: list(field.default) if field.many else field.default for field in fields if not field.required
    }
    members["__annotations__"] = {field.name: _annotation(field) for field in fields}
    members["__module__"] = cls.__module__
    members["parametersClass"] = cls
    made: type = parameterPack(type(f"{cls.__name__}Pack", (), members))
    return made


def to_dataclass(pack: Any) -> Any:
    """The parameters that a pack holds, as the dataclass that it was made from."""
    cls = pack.parametersClass
    return cls(**{field.name: _plain(field, getattr(pack, field.name)) for field in fields_of(cls)})


def from_dataclass(pack: Any, parameters: Any) -> None:
    """Set a pack, and so the node it belongs to, to `parameters`.

    Raises:
        ValueError: a number out of its range; fields before it are set already.
    """
    for field in fields_of(pack.parametersClass):
        value = getattr(parameters, field.name)
        setattr(pack, field.name, list(value) if field.many else value)


def _annotation(field: Field) -> Any:
    from slicer.parameterNodeWrapper import WithinRange

    kind: Any = field.type
    if field.range is not None:
        # Qt's integer spin boxes take no floating point bounds
        low, high = (kind(bound) for bound in (field.range.minimum, field.range.maximum))
        kind = Annotated[kind, WithinRange(low, high)]
    if field.many:
        kind = list[kind]
    return Optional[kind] if field.optional else kind  # noqa: UP045  Slicer does not support X | None


def _plain(field: Field, value: Any) -> Any:
    if field.many:
        return tuple(value)
    return float(value) if field.type is float and value is not None else value
