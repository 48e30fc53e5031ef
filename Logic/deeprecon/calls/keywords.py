"""Messages and documentation in the words of Python: the options of the shell that they name become keywords."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from deeprecon.data.doubts import Doubt, DoubtError
from deeprecon.data.errors import InputError

_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*[a-z0-9])")


def with_keywords(text: str, names: Collection[str]) -> str:
    """A text with keywords, such as `slice_thickness` for --slice-thickness; other options stay.

    Args:
        text: as the shell shows it.
        names: the keywords of the call.
    """

    def keyword(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        return f"`{name}`" if name in names else found[0]

    return _OPTION.sub(keyword, text)


def doubts_with_keywords(doubts: Iterable[Doubt], names: Collection[str]) -> tuple[Doubt, ...]:
    """Doubts whose texts and ways out are as in `with_keywords`."""
    return tuple(
        replace(doubt, text=with_keywords(doubt.text, names), way_out=with_keywords(doubt.way_out, names))
        for doubt in doubts
    )


def say_keywords(error: InputError, names: Collection[str]) -> None:
    """Change message and hint of an error, and the doubts that it holds, as in `with_keywords`."""
    error.message, error.hint = with_keywords(error.message, names), with_keywords(error.hint, names)
    error.args = (error.message,)
    if isinstance(error, DoubtError):
        error.doubts = doubts_with_keywords(error.doubts, names)
