"""Command-line options out of a verb's dataclasses, and back."""

from __future__ import annotations

import argparse
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.parameters import Field, fields_of
from deeprecon.jobs.verbs import Verb

SEPARATOR = ";"
"""Between the values of one cell of cases.csv."""
POSITIONAL_INPUT = "input_without_name"
"""Where the namespace has an input that was given without its name."""
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class BadValue(argparse.ArgumentTypeError, ValueError):
    """A value that an option cannot take: argparse catches the first base class, jsonargparse the second."""


def add_options(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """One option for each input and parameter of a verb.

    An option that is not given is None in the namespace, so that defaults live in the dataclasses alone. The one
    input that a verb needs may also be given without its name.
    """
    if (field := single_required_input(verb)) is not None:
        name = field.name.replace("_", "-")
        parser.add_argument(POSITIONAL_INPUT, nargs="?", metavar=name.upper(), help=f"the same as {option_name(name)}")
    for title, cls in (("inputs", verb.inputs), ("settings", verb.parameters)):
        fields = fields_of(cls)
        group = parser.add_argument_group(title) if fields else parser
        for field in fields:
            _add_option(group, field)


def namespace_values(verb: Verb, namespace: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was given on the command line: values of the inputs and of the parameters by field name.

    Raises:
        InputError: an input was given twice, with and without its name.
    """

    def collect(cls: type) -> dict[str, Any]:
        values = {field.name: getattr(namespace, field.name) for field in fields_of(cls)}
        return {name: value for name, value in values.items() if value is not None}

    inputs = collect(verb.inputs)
    field = single_required_input(verb)
    if field is not None and (value := getattr(namespace, POSITIONAL_INPUT)) is not None:
        if field.name in inputs:
            raise InputError(f"{value} and {option_name(field.name)} are given: give one of them.")
        inputs[field.name] = value
    return inputs, collect(verb.parameters)


def single_required_input(verb: Verb) -> Field | None:
    """The input that must be given, of a verb that has exactly one of them, and which takes a single value."""
    required = [field for field in fields_of(verb.inputs) if field.required]
    return required[0] if len(required) == 1 and not required[0].many else None


def check_required(verb: Verb, values: dict[str, Any]) -> None:
    """Check that each option without a default is among `values`.

    Raises:
        InputError: names those that are not.
    """
    fields = [*fields_of(verb.inputs), *fields_of(verb.parameters)]
    if missing := [option_name(field.name) for field in fields if field.required and field.name not in values]:
        raise InputError(f"{' and '.join(missing)} must be given.")


def values_of_cell(field: Field, text: str) -> Any:
    """The value, or for a field of many the values, in a cell of cases.csv.

    Raises:
        InputError: not a value of this field.
    """
    convert = _converter(field)
    try:
        if field.many:
            return [convert(part.strip()) for part in text.split(SEPARATOR) if part.strip()]
        return convert(text.strip())
    except BadValue as error:
        raise InputError(f"{option_name(field.name)}: {error}.") from None


def option_name(name: str) -> str:
    """Such as --slice-thickness for slice_thickness."""
    return "--" + name.replace("_", "-")


def _add_option(group: Any, field: Field) -> None:
    settings: dict[str, Any] = {"dest": field.name, "default": None, "help": _help(field)}
    if field.type is bool and not field.many:
        # BooleanOptionalAction reads any option that starts with --no- as a negation.
        action = "store_true" if field.name.startswith("no_") else argparse.BooleanOptionalAction
        group.add_argument(option_name(field.name), action=action, **settings)
        return
    if field.many:
        settings.update(nargs="+", action="extend")
    group.add_argument(option_name(field.name), type=_converter(field), metavar=_metavar(field), **settings)


def _converter(field: Field) -> Callable[[str], Any]:
    """Text to the JSON value of a field; raises BadValue in words."""

    def convert(text: Any) -> Any:
        text = str(text)  # a file of options gives numbers too
        if issubclass(field.type, enum.Enum):
            # By its value, or by one of an earlier version that the type still knows.
            known = {str(entry.value): entry for entry in field.type}
            try:
                return (known.get(text) or field.type(text)).value
            except ValueError:
                raise BadValue(f"{text!r} is not one of {', '.join(known)}") from None
        if field.type is bool:
            if text.lower() not in TRUE + FALSE:
                raise BadValue(f"{text!r} is neither yes nor no")
            return text.lower() in TRUE
        if field.type in (int, float):
            try:
                return field.type(text)
            except ValueError:
                kind = "a whole number" if field.type is int else "a number"
                raise BadValue(f"{text!r} is not {kind}") from None
        return text

    convert.__name__ = field.type.__name__
    return convert


def _metavar(field: Field) -> str:
    if issubclass(field.type, enum.Enum):
        return "{" + ",".join(str(entry.value) for entry in field.type) + "}"
    if field.range is not None and field.range.unit.isalpha():
        return field.range.unit.upper()
    return {Path: "PATH", int: "N", float: "X"}.get(field.type, "TEXT")


def _help(field: Field) -> str:
    notes = []
    if field.range is not None:
        low, high = plain_number(field.range.minimum), plain_number(field.range.maximum)
        notes.append(f"{low} to {high} {field.range.unit}".rstrip())
    if field.required:
        notes.append("required")
    elif field.default not in (None, (), ""):
        notes.append(f"default: {_text(field.default)}")
    text = f"{field.help} ({'; '.join(notes)})" if notes else field.help
    return text.replace("%", "%%")


def _text(value: Any) -> str:
    """A default as it would be typed."""
    if isinstance(value, tuple):
        return " ".join(_text(entry) for entry in value)
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain_number(value) if isinstance(value, float) else str(value)


def plain_number(value: float) -> str:
    """A bound as it would be typed."""
    return str(int(value)) if value == int(value) else f"{value:g}"
