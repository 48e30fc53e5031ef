"""Errors that the user can correct."""

from __future__ import annotations


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
