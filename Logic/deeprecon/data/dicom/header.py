"""Sequences of DICOM headers, which SimpleITK does not hand over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError

CUT_OFF = ("{path} is cut off or damaged.", "Copy or export it again.")


def read_header(path: Path) -> Any:
    """All of a file but its pixels, as a pydicom Dataset.

    Raises:
        InputError: the file is damaged.
    """
    import pydicom

    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except Exception as error:  # of a damaged file pydicom raises whatever its parser met
        raise InputError(*(words.format(path=path) for words in CUT_OFF)) from error


def first_item(group: Any, sequence: str) -> Any | None:
    """The first item of a sequence; None where there is none.

    Args:
        group: pydicom Dataset.
        sequence: its keyword.
    """
    items = group.get(sequence)
    return items[0] if items else None
