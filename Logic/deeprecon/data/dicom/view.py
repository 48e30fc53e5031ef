"""From which side a radiograph was taken, as far as its DICOM file says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deeprecon.data.dicom.header import first_item, read_header
from deeprecon.data.errors import InputError

FRONTAL = ("PA", "AP")
SNOMED = ("SCT", "SRT", "SNM3", "99SDM")
"""Designators of its codes: the concept numbers of today, and the older ones."""
CODES = {
    "399348003": "AP", "R-10206": "AP",
    "272479007": "PA", "R-40888": "PA", "R-10214": "PA",
    "399033003": "", "R-10202": "",
}  # fmt: skip
"""Frontal views among those of PS3.16, CID 4010; "" for one that does not say from which side."""
_HINT = "Give the PA or AP image."


def read_view(path: Path, text: Callable[[str], str]) -> str:
    """The view: "PA", "AP", or "" where the file does not say.

    The first of these that says anything counts: View Position, View Code Sequence (PS3.3, C.8.11.5), Patient
    Orientation. Codes of other schemes than SNOMED's do not count.

    Args:
        path: of the file.
        text: looks up entries of its header.

    Raises:
        InputError: a view that is not frontal, or a damaged file.
    """
    view = text("0018|5101").upper()
    if view:
        if view not in FRONTAL:
            raise InputError(f"{path} is a view of position {view}, not a frontal one.", _HINT)
        return view
    code = first_item(read_header(path), "ViewCodeSequence")
    if code is not None and code.get("CodingSchemeDesignator") in SNOMED and (value := code.get("CodeValue")):
        if value not in CODES:
            meaning = code.get("CodeMeaning", "")
            raise InputError(f"{path} is a view of code {value} {meaning}, not a frontal one.", _HINT)
        return CODES[value]
    orientation = text("0020|0020").upper()
    if any(direction.startswith(("A", "P")) for direction in orientation.split("\\")):
        rows_columns = orientation.replace("\\", " and ")
        raise InputError(f"{path} is a lateral view: its rows and columns run to {rows_columns}.", _HINT)
    return ""
