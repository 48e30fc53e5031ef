"""Text files as one string."""

from __future__ import annotations

from pathlib import Path

from deeprecon.data.errors import InputError


def read_text(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file in UTF-8.", "Save it as UTF-8.") from error
