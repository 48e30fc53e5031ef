"""Signature and documentation of the functions of Python, made from the dataclasses of the verbs."""

from __future__ import annotations

import enum
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, TypeVar

from deeprecon.calls.call import RunOptions
from deeprecon.calls.keywords import with_keywords
from deeprecon.calls.result import Result
from deeprecon.jobs.options import plain_number
from deeprecon.jobs.parameters import Field, Range, fields_of
from deeprecon.jobs.verbs import Verb, load_verb

R = TypeVar("R", bound=Result)
WIDTH = 108
"""Characters in a line of the documentation."""

_RAISES = """
Raises
------
InputError
    The inputs or settings cannot be used; its `hint` says what to do.
DoubtError
    The inputs contradict themselves; its `codes` are what `accept` takes. It is an InputError.
"""


def documented(method: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Decorator of a function that calls the verb of its name: its signature and its documentation are completed.

    The inputs that must be given may stand without their names. The documentation, in numpy's form, gets its sections
    Parameters (before Returns) and Raises (before Examples).
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        verb = load_verb(method, function.__name__.replace("_", "-"))
        signature = make_signature(verb, function.__annotations__["return"])

        @functools.wraps(function)
        def checked(*args: Any, **values: Any) -> R:
            return function(**signature.bind(*args, **values).arguments)

        checked.__signature__ = signature  # type: ignore[attr-defined]
        checked.__doc__ = _completed(function.__doc__ or "", verb)
        return checked

    return decorate


def make_signature(verb: Verb, returned: str) -> Signature:
    """The signature of the function of a verb."""
    fields = _fields(verb)
    required = [field for field in fields if field.required]
    others = [field for field in fields if not field.required]
    parameters = [Parameter(field.name, Parameter.POSITIONAL_OR_KEYWORD, annotation=_hint(field)) for field in required]
    parameters += [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=_default(field), annotation=_hint(field))
        for field in others
    ]
    return Signature(parameters, return_annotation=returned)


def _fields(verb: Verb) -> list[Field]:
    return [field for cls in (verb.inputs, verb.parameters, RunOptions) for field in fields_of(cls)]


def _default(field: Field) -> Any:
    return field.default.value if isinstance(field.default, enum.Enum) else field.default


def _hint(field: Field) -> str:
    """The annotation of a field."""
    if issubclass(field.type, enum.Enum):
        hint = f"Literal[{', '.join(repr(entry.value) for entry in field.type)}]"
    elif field.type is Path:
        hint = "str | PathLike[str]" if field.name == "output" else "Input"
    else:
        hint = field.type.__name__
    if field.many:
        hint = f"{hint} | Sequence[{hint}]"
    return f"{hint} | None" if field.optional else hint


def _completed(text: str, verb: Verb) -> str:
    text = inspect.cleandoc(text)
    parts = re.split(r"^(?=(?:Returns|Examples)\n-+$)", text, flags=re.MULTILINE)
    head, sections = parts[0].rstrip(), [part.rstrip() for part in parts[1:]]
    examples = [part for part in sections if part.startswith("Examples")]
    others = [part for part in sections if part not in examples]
    lines = "\n".join(["Parameters", "----------", *_parameter_lines(verb)])
    return "\n\n".join([head, lines, *others, _RAISES.strip(), *examples]) + "\n"


def _parameter_lines(verb: Verb) -> Iterator[str]:
    names = {field.name for field in _fields(verb)}
    for field in _fields(verb):
        default = ", optional" if field.default in (None, ()) else f", default {_default(field)!r}"
        yield f"{field.name} : {_kind(field)}{'' if field.required else default}"
        text = with_keywords(field.help, names) + _bounds(field.range)
        yield from textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ")


def _kind(field: Field) -> str:
    """The type of a field in words."""
    if issubclass(field.type, enum.Enum):
        kind = "{" + ", ".join(repr(entry.value) for entry in field.type) + "}"
    elif field.type is Path:
        kind = "path" if field.name == "output" else "path or data"
    else:
        kind = field.type.__name__
    return f"{kind}, or a list of them" if field.many else kind


def _bounds(bounds: Range | None) -> str:
    if bounds is None:
        return ""
    low, high = plain_number(bounds.minimum), plain_number(bounds.maximum)
    return f" ({low} to {high} {bounds.unit}".rstrip() + ")"
