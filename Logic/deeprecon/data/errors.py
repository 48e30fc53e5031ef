"""Errors that a person can mend."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input, said for the person who gave it.

    Args:
        message: names the file or node and says what is wrong with it.
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
