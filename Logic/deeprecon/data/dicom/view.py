"""The projection of a radiograph (PA or AP), as its DICOM file states it."""

from __future__ import annotations

from deeprecon.data.dicom.file import DicomFile, first_item
from deeprecon.data.errors import InputError

FRONTAL = ("PA", "AP")
SNOMED = ("SCT", "SRT", "SNM3", "99SDM")
"""Coding scheme designators: of the current concept numbers and of the older codes."""
CODES = {
    "399348003": "AP", "R-10206": "AP",
    "272479007": "PA", "R-40888": "PA", "R-10214": "PA",
    "399033003": "", "R-10202": "",
}  # fmt: skip
"""Frontal views among those of PS3.16, CID 4010; "" for one without a side."""
_HINT = "Give the PA or AP image."


def read_view(file: DicomFile) -> str:
    """The view: "PA", "AP", or "" where the file does not state it.

    The first of these that is there decides: View Position, View Code Sequence (PS3.3, C.8.11.5), Patient
    Orientation. Codes of other schemes than SNOMED's are ignored.

    Raises:
        InputError: a view that is not frontal.
    """
    view = file.text("ViewPosition").upper()
    if view:
        if view not in FRONTAL:
            raise InputError(f"{file.path} is a view of position {view}, not a frontal one.", _HINT)
        return view
    code = first_item(file.dataset, "ViewCodeSequence")
    if code is not None and code.get("CodingSchemeDesignator") in SNOMED and (value := code.get("CodeValue")):
        if value not in CODES:
            meaning = code.get("CodeMeaning", "")
            raise InputError(f"{file.path} is a view of code {value} {meaning}, not a frontal one.", _HINT)
        return CODES[value]
    orientation = file.text("PatientOrientation").upper()
    if any(direction.startswith(("A", "P")) for direction in orientation.split("\\")):
        rows_columns = orientation.replace("\\", " and ")
        raise InputError(f"{file.path} is a lateral view: its rows and columns run to {rows_columns}.", _HINT)
    return ""
