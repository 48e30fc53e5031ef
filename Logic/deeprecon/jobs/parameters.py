"""What a parameter is: plain frozen dataclasses that the command line, the panels and the documentation are made from.

@dataclass(frozen=True)
class Parameters:
    steps: Annotated[int, Range(1, 100_000), "optimizer steps"] = 1000
"""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, Union

from deeprecon.data.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Bounds of a number, both included, and its unit."""

    minimum: float
    maximum: float
    unit: str = ""


@dataclass(frozen=True)
class Field:
    """One parameter as its dataclass declares it; `many` for a tuple of values, `optional` where None is allowed."""

    name: str
    type: type
    default: Any
    help: str
    range: Range | None
    optional: bool
    many: bool

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING


def fields_of(cls: type) -> list[Field]:
    """The fields of a parameter dataclass, in order.

    Types are bool, int, float, str, Enum and Path, each optionally `| None`, or a `tuple[type, ...]` of them.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    return [_field(item, hints[item.name]) for item in dataclasses.fields(cls)]


def _field(item: dataclasses.Field[Any], hint: Any) -> Field:
    metadata: tuple[Any, ...] = ()
    if typing.get_origin(hint) is typing.Annotated:
        hint, *rest = typing.get_args(hint)
        metadata = tuple(rest)
    optional = many = False
    if typing.get_origin(hint) in (Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        optional, hint = True, options[0]
    if typing.get_origin(hint) is tuple:
        many, hint = True, typing.get_args(hint)[0]
    bounds = next((entry for entry in metadata if isinstance(entry, Range)), None)
    text = next((entry for entry in metadata if isinstance(entry, str)), "")
    return Field(item.name, hint, item.default, text, bounds, optional, many)


def check_ranges(parameters: Any) -> list[str]:
    """Reasons why numbers lie outside their Range; empty when all is well."""
    reasons = []
    for field in fields_of(type(parameters)):
        value = getattr(parameters, field.name)
        for number in value if field.many else (value,):
            if field.range is None or number is None:
                continue
            low, high, unit = field.range.minimum, field.range.maximum, field.range.unit
            if not (math.isfinite(number) and low <= number <= high):
                reasons.append(f"{field.name} is {number:g}, expected {low:g} to {high:g} {unit}".rstrip())
    return reasons


class Parameters:
    """Base of the parameter dataclasses of the verbs."""

    def validate(self) -> list[str]:
        """Reasons why these settings cannot be used, as sentences; empty when they can."""
        return check_ranges(self)


@dataclass(frozen=True)
class NoParameters(Parameters):
    """The settings of a verb without any."""


def to_json(parameters: Any) -> dict[str, Any]:
    """A parameter dataclass as plain JSON values: enums by value, paths as text."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [plain(entry) for entry in value]
        if isinstance(value, enum.Enum):
            return value.value
        return str(value) if isinstance(value, Path) else value

    return {field.name: plain(getattr(parameters, field.name)) for field in fields_of(type(parameters))}


def from_json(cls: type[T], values: dict[str, Any]) -> T:
    """A parameter dataclass out of JSON values.

    Raises:
        InputError: an unknown or missing name, or a value of the wrong type.
    """
    fields = {field.name: field for field in fields_of(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise InputError(f"Unknown parameter: {', '.join(unknown)}.", f"Known are: {', '.join(fields)}.")
    missing = sorted(name for name, field in fields.items() if field.required and name not in values)
    if missing:
        raise InputError(f"Missing parameter: {', '.join(missing)}.")
    return cls(**{name: _value(fields[name], value) for name, value in values.items()})


def _value(field: Field, value: Any) -> Any:
    if value is None and field.optional:
        return None
    if field.many:
        if not isinstance(value, list | tuple):
            raise InputError(f"{field.name}: expected a list, found {value!r}.")
        return tuple(_single(field, entry) for entry in value)
    return _single(field, value)


def _single(field: Field, value: Any) -> Any:
    kind = field.type
    if isinstance(value, kind):
        if kind is not bool and isinstance(value, bool):
            raise InputError(f"{field.name}: expected {kind.__name__}, found {value!r}.")
        return value
    if kind is float and isinstance(value, int):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if issubclass(kind, enum.Enum):
        try:
            return kind(value)
        except ValueError:
            known = ", ".join(str(entry.value) for entry in kind)
            raise InputError(f"{field.name}: {value!r} is not one of {known}.") from None
    raise InputError(f"{field.name}: expected {kind.__name__}, found {value!r}.")
