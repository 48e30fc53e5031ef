"""Types of parameters and packs of them: how Slicer's parameterNodeWrapper checks values and stores them as strings.

The stored names and strings are Slicer's, so that scenes can be exchanged. Supported are bool, int, float, str, Path,
Enum, MRML nodes, Optional and unions, tuple, list and parameterPack; another type raises.
"""

from __future__ import annotations

import copy
import enum
import pathlib
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

import slicer
import slicer.util


class Validator:
    """Base of the annotations that restrict values; `validate` raises ValueError."""

    def validate(self, value: Any) -> None:
        raise NotImplementedError


class NotNone(Validator):
    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("the value must not be None")


class WithinRange(Validator):
    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within {self.minimum} to {self.maximum}")


class Minimum(Validator):
    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"{value} is below {self.minimum}")


class Maximum(Validator):
    def __init__(self, maximum: float) -> None:
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"{value} is above {self.maximum}")


class Choice(Validator):
    def __init__(self, choices: typing.Sequence[Any]) -> None:
        self.choices = list(choices)

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


class Default:
    """A default value given as an annotation, needed where the class attribute cannot hold it."""

    def __init__(self, value: Any = None, *, generator: Callable[[], Any] | None = None) -> None:
        self._value, self._generator = value, generator

    value = property(lambda self: self._generator() if self._generator else copy.copy(self._value))


class Kind:
    """A type of value: its check and its place in a vtkMRMLScriptedModuleNode. This base: one string per value."""

    def __init__(self, kind: Any, default: Any, parse: Callable[[str], Any], text: Callable[[Any], str] = str) -> None:
        self.type, self.default, self._parse, self._text = kind, default, parse, text

    def accepts(self, value: Any) -> bool:
        return isinstance(value, (int, float) if self.type is float else self.type)

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, self._text(value))

    def read(self, node: Any, name: str) -> Any:
        return self._parse(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)


class NodeKind(Kind):
    """A reference to a node of the scene; None is allowed."""

    def __init__(self, kind: type) -> None:
        super().__init__(kind, None, str)

    def accepts(self, value: Any) -> bool:
        return value is None or isinstance(value, self.type)

    def write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, None if value is None else value.GetID())

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        super().remove(node, name)
        node.RemoveNodeReferenceIDs(name)


class UnionKind(Kind):
    """The alternative in use is stored as `name.<its number>`; None needs a separate one, also next to nodes."""

    def __init__(self, kind: Any, parts: list[Parameter]) -> None:
        optional = len(parts) == 2 and any(part.kind.type is types.NoneType for part in parts)
        super().__init__(kind, None if optional else parts[0].default, str)
        self.parts = parts

    def _fits(self, part: Parameter, value: Any) -> bool:
        return part.kind.type is types.NoneType if value is None else part.kind.accepts(value)

    def accepts(self, value: Any) -> bool:
        return any(self._fits(part, value) for part in self.parts)

    def isIn(self, node: Any, name: str) -> bool:
        return any(part.kind.isIn(node, f"{name}.{i}") for i, part in enumerate(self.parts))

    def write(self, node: Any, name: str, value: Any) -> None:
        self.remove(node, name)
        i, part = next((i, part) for i, part in enumerate(self.parts) if self._fits(part, value))
        part.write(node, f"{name}.{i}", value)

    def read(self, node: Any, name: str) -> Any:
        found = [(i, part) for i, part in enumerate(self.parts) if part.kind.isIn(node, f"{name}.{i}")]
        return found[0][1].kind.read(node, f"{name}.{found[0][0]}") if found else None

    def remove(self, node: Any, name: str) -> None:
        for i, part in enumerate(self.parts):
            part.kind.remove(node, f"{name}.{i}")


class TupleKind(Kind):
    def __init__(self, kind: Any, parts: list[Parameter]) -> None:
        super().__init__(kind, tuple(part.default for part in parts), str)
        self.parts = parts

    def accepts(self, value: Any) -> bool:
        return isinstance(value, (tuple, list)) and len(value) == len(self.parts)

    def isIn(self, node: Any, name: str) -> bool:
        return self.parts[0].kind.isIn(node, f"{name}.0")

    def write(self, node: Any, name: str, value: Any) -> None:
        for i, (part, item) in enumerate(zip(self.parts, value, strict=True)):
            part.write(node, f"{name}.{i}", item)

    def read(self, node: Any, name: str) -> Any:
        return tuple(part.kind.read(node, f"{name}.{i}") for i, part in enumerate(self.parts))

    def remove(self, node: Any, name: str) -> None:
        for i, part in enumerate(self.parts):
            part.kind.remove(node, f"{name}.{i}")


class SavingList(list):
    """A list that is written to its node at every change."""

    def __init__(self, values: typing.Iterable[Any], save: Callable[[Any], None]) -> None:
        super().__init__(values)
        self._save = save


def _saving(name: str) -> Callable[..., Any]:
    def method(self: SavingList, *args: Any, **kwargs: Any) -> Any:
        result = getattr(list, name)(self, *args, **kwargs)
        self._save(self)
        return result

    return method


for _name in ("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "__setitem__", "__delitem__"):
    setattr(SavingList, _name, _saving(_name))


class ListKind(Kind):
    """Items as `name.0`, `name.1`, ... and `name.len`."""

    def __init__(self, kind: Any, item: Parameter) -> None:
        super().__init__(kind, [], str)
        self.item = item

    def accepts(self, value: Any) -> bool:
        return isinstance(value, (list, tuple))

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}.len"))

    def write(self, node: Any, name: str, value: Any) -> None:
        self.remove(node, name)  # also the items beyond a shorter new end
        node.SetParameter(f"{name}.len", str(len(value)))
        for i, item in enumerate(value):
            self.item.write(node, f"{name}.{i}", item)

    def read(self, node: Any, name: str) -> Any:
        count = int(node.GetParameter(f"{name}.len"))
        values = [self.item.kind.read(node, f"{name}.{i}") for i in range(count)]
        return SavingList(values, lambda changed: self.write(node, name, changed))

    def remove(self, node: Any, name: str) -> None:
        for i in range(int(node.GetParameter(f"{name}.len") or 0)):
            self.item.kind.remove(node, f"{name}.{i}")
        node.UnsetParameter(f"{name}.len")


class PackKind(Kind):
    """The members of a parameterPack as `name.<member>`; a pack that was read is saved when it changes."""

    def __init__(self, kind: type) -> None:
        super().__init__(kind, kind(), str)

    def isIn(self, node: Any, name: str) -> bool:
        first, parameter = next(iter(self.type.allParameters.items()))
        return parameter.kind.isIn(node, f"{name}.{first}")

    def write(self, node: Any, name: str, value: Any) -> None:
        for member, parameter in self.type.allParameters.items():
            parameter.write(node, f"{name}.{member}", getattr(value, member))

    def read(self, node: Any, name: str) -> Any:
        pack = self.type.__new__(self.type)
        for member, parameter in self.type.allParameters.items():
            pack.__dict__[member] = parameter.kind.read(node, f"{name}.{member}")

        def save() -> None:
            with slicer.util.NodeModify(node):
                self.write(node, name, pack)

        pack.__dict__["_save"] = save
        return pack

    def remove(self, node: Any, name: str) -> None:
        for member, parameter in self.type.allParameters.items():
            parameter.kind.remove(node, f"{name}.{member}")


def _kind(kind: Any) -> Kind:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Union or isinstance(kind, types.UnionType):
        return UnionKind(kind, [Parameter(a) for a in arguments])
    if origin is tuple and Ellipsis not in arguments:
        return TupleKind(kind, [Parameter(a) for a in arguments])
    if origin is list:
        return ListKind(kind, Parameter(arguments[0]))
    if isParameterPack(kind):
        return PackKind(kind)
    if isNodeType(kind):
        return NodeKind(kind)
    if kind is bool:
        return Kind(bool, False, lambda text: text == "True")
    if kind in (int, float):
        return Kind(kind, kind(0), kind)
    if kind is str:
        return Kind(str, "", str)
    if kind is types.NoneType:
        return Kind(types.NoneType, None, lambda text: None, lambda value: "True")
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath):
        return Kind(kind, kind(), kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return Kind(kind, next(iter(kind)), lambda text: kind[text], lambda value: value.name)
    raise TypeError(f"Unable to create serializer for type: {kind}")


class Parameter:
    """A (possibly annotated) type with its validators and default.

    Args:
        annotated: the type as written in the class.
        defaults: nothing or the default value that the class attribute gives.
    """

    def __init__(self, annotated: Any, *defaults: Any) -> None:
        bare, *notes = typing.get_args(Annotated[annotated, None])[:-1]
        self.annotated, self.notes, self.kind = annotated, notes, _kind(bare)
        given = [Default(value) for value in defaults] + [note for note in notes if isinstance(note, Default)]
        self._default = given[0] if given else Default(self.kind.default)

    default = property(lambda self: self._default.value)

    def note(self, kind: type) -> Any:
        """The first annotation of that class, or None."""
        return next((note for note in self.notes if isinstance(note, kind)), None)

    def check(self, value: Any) -> None:
        """Raises ValueError or TypeError for a value that Slicer refuses."""
        if not self.kind.accepts(value):
            if isinstance(self.kind, UnionKind):
                raise TypeError(f"Unable to write value '{value}' of type '{type(value)}'")
            error = ValueError if value is None else TypeError
            raise error(f"Value must be of type '{self.kind.type}', is type '{type(value)}' value '{value}'")
        for note in self.notes:
            if isinstance(note, Validator):
                note.validate(value)

    def write(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        with slicer.util.NodeModify(node):
            self.kind.write(node, name, value)


def isNodeType(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def isParameterPack(kind: Any) -> bool:
    return getattr(kind, "_is_parameterPack", False)


def classParameters(cls: type) -> dict[str, Parameter]:
    """The parameters that a class's annotations declare, in their order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        name: Parameter(hint, *([getattr(cls, name)] if hasattr(cls, name) else [])) for name, hint in hints.items()
    }


def _member(name: str, parameter: Parameter) -> property:
    def setter(self: Any, value: Any) -> None:
        parameter.check(value)
        self.__dict__[name] = value
        if "_save" in self.__dict__:
            self._save()

    return property(lambda self: self.__dict__[name], setter)


def parameterPack(cls: Any = None) -> Any:
    """Class decorator: a group of parameters that is one parameter of a node; a default out of range raises."""
    if cls is None:
        return parameterPack
    parameters = classParameters(cls)
    for name, parameter in parameters.items():
        try:
            parameter.check(parameter.default)
        except (TypeError, ValueError) as error:
            raise ValueError(f"The default of '{name}' fails the validation checks: {error}") from error
        setattr(cls, name, _member(name, parameter))
    cls.allParameters = parameters
    cls._is_parameterPack = True
    cls.__init__ = _packInit
    cls.__eq__ = lambda self, other: isinstance(other, cls) and _values(self) == _values(other)
    cls.__hash__ = None
    cls.__repr__ = lambda self: f"{cls.__name__}({', '.join(f'{n}={v!r}' for n, v in _values(self).items())})"
    cls.__setattr__ = _packSetattr
    cls.getValue, cls.setValue = _packGetValue, _packSetValue
    return cls


def _values(pack: Any) -> dict[str, Any]:
    return {name: getattr(pack, name) for name in pack.allParameters}


def _packInit(self: Any, *args: Any, **kwargs: Any) -> None:
    names = list(self.allParameters)
    if len(args) > len(names) or not set(kwargs) <= set(names[len(args) :]):
        raise TypeError(f"{type(self).__name__} takes {names}, not {args} {kwargs}")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    for name, parameter in self.allParameters.items():
        setattr(self, name, given.get(name, parameter.default))


def _packSetattr(self: Any, name: str, value: Any) -> None:
    if "_save" in self.__dict__ and not hasattr(type(self), name):
        raise AttributeError(f"'{type(self).__name__}' has no parameter '{name}' and attributes cannot be added")
    object.__setattr__(self, name, value)


def _packGetValue(self: Any, name: str) -> Any:
    first, _, rest = name.partition(".")
    value = getattr(self, first)
    return value.getValue(rest) if rest else value


def _packSetValue(self: Any, name: str, value: Any) -> None:
    first, _, rest = name.partition(".")
    if rest:
        getattr(self, first).setValue(rest, value)
    else:
        setattr(self, first, value)
