"""Errors that the user can correct."""

from __future__ import annotations

import csv
import functools
import struct
import tokenize
import zlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Content = TypeVar("_Content")

_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,  # RecursionError, too
    SyntaxError,  # of the headers of NumPy's files
    TypeError,
    ValueError,
    csv.Error,
    struct.error,
    tokenize.TokenError,
    zlib.error,
)
"""What parsers raise on content that no tool writes; the errors of the system and of memory are not among them."""


class InputError(ValueError):
    """Bad input, described for the user.

    Args:
        message: names the file or node and states the fault.
        hint: the way out.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


def damaged(path: object, error: Exception) -> InputError:
    """What a parser's exception about a file means, with the last line of its message."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160].rstrip(". ")
    return InputError(f"{path} is cut off or damaged ({reason}).", "Copy or export it again.")


def names_damage(read: Callable[_Arguments, _Content]) -> Callable[_Arguments, _Content]:
    """A reader of files whose first argument is the path: whatever its parsers raise becomes an InputError with it."""

    @functools.wraps(read)
    def named(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Content:
        try:
            return read(*args, **kwargs)
        except InputError:
            raise
        except _DAMAGE as error:
            raise damaged(args[0] if args else next(iter(kwargs.values())), error) from error

    return named
