"""What a radiograph shows, as its DICOM file states it: the projection (PA, AP, another) and the part of the body."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from deeprecon.data.dicom.file import DicomFile, first_item
from deeprecon.data.doubts import Doubt

SNOMED = ("SCT", "SRT", "SNM3", "99SDM")
"""Coding scheme designators: of the current concept numbers and of the older codes."""
VIEW_CODES = {
    "399348003": "AP", "R-10206": "AP",
    "272479007": "PA", "R-40888": "PA", "R-10214": "PA",
    "399033003": "", "R-10202": "",
}  # fmt: skip
"""Frontal views among those of PS3.16, CID 4010; "" for one without a side."""

_OTHER = "other"
"""Any projection that is not frontal."""
_PROJECTIONS = {
    "PA": r"\b(P ?A|POSTERO ?ANT\w*)\b",
    "AP": r"\b(A ?P|ANTERO ?POST\w*)\b",
    "": r"\b(FRONTAL\w*|FRONT|FACE)\b",
    _OTHER: r"\b(LAT|LATERAL|LATERALE|LATERALIS|LATERO\w*|LATERAAL|[LR]LAT|LL|RL|L[LR]D|SEITLICH|SEITL|PROFIL\w*|PERFIL"
    r"|OBL|OBLI\w*|[LR][AP]O|[LR]LO|SCHRAG|SCHRAEG|AXIAL|AXIAL\w*|TANGENTIAL\w*)\b",
}
"""Words, in capital letters without marks and signs."""
_CHEST = (
    r"\b(\w*CHEST\w*|\w*THORA[CKX]\w*|TORA[CX]\w*|\w*LUNGS?|LUNGE\w*|PULMO\w*|POUMON\w*|RIBS?|CXR|HEART|CARDIA\w*|STERNUM|TORSO"
    r"|TRUNK|MEDIASTIN\w*|PLEURA\w*|WHOLE ?BODY)\b"
)
_ELSEWHERE = (
    r"\b(FOOT|FEET|FUSS|PIED|TOES?|ANKLES?|HANDS?|HAND ?WURZEL|WRISTS?|FINGERS?|THUMBS?|ELBOWS?|FOREARM|HUMERUS"
    r"|SHOULDERS?|SCHULTER|SCAPULA|CLAVICLE|KNEES?|KNIE|PATELLA|TIBIA\w*|FIBULA|FEMUR|LEGS?|HIPS?|HUFTE|PELVI[CS]|BECKEN|ABDOM\w*"
    r"|KUB|SKULL|SCHADEL|HEAD|NECK|[CTL]? ?SPINE|[CLT]SPINE|LUMBAR|CERVICAL|SACRUM|COCCYX|JAW|MANDIBLE|TEETH|DENTAL"
    r"|SINUS\w*|ORBITS?|BREAST|MAMMO\w*|EXTREMIT\w*|ARMS?|CALCANEUS|HEEL)\b"
)
_NO_PART = ("", "UNKNOWN", "UNSPECIFIED", "OTHER", "DEFAULT", "BODY", "NONE", "ANY")
_OF_SERIES = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
_OF_STUDY = ("StudyDescription", "RequestedProcedureDescription", "PerformedProcedureStepDescription")
_OTHER_IMAGE = "Give the PA or AP image of a chest."


@dataclass(frozen=True)
class View:
    """The projection of a radiograph.

    Attributes:
        side: "PA", "AP", or "" where the file does not state it.
        doubts: what is not frontal or contradicts itself.
    """

    side: str
    doubts: tuple[Doubt, ...] = ()


def read_view(file: DicomFile) -> View:
    """The view that a file states.

    The first of these that states PA or AP decides: View Position, View Code Sequence (PS3.3, C.8.11.5; codes of other
    schemes than SNOMED's are ignored), descriptions of the series. All of them and Patient Orientation are compared.
    """
    where, doubts = str(file.path), []
    statements = list(_statements(file))
    frontal = [(entry, kind) for entry, kind in statements if kind in ("PA", "AP", "")]
    others = [entry for entry, kind in statements if kind == _OTHER]
    sided = [(entry, kind) for entry, kind in frontal if kind]
    if others:
        found = f"It is not a frontal view by its {' and '.join(others)}"
        found += f", but a frontal one by its {frontal[0][0]}." if frontal else "."
        doubts.append(Doubt("film-not-frontal", where, found, _OTHER_IMAGE))
    if len({kind for _, kind in sided}) > 1:
        found = f"It contradicts itself about PA and AP: {' and '.join(entry for entry, _ in sided)}."
        doubts.append(Doubt("film-view", where, found, "State the right one with --view."))
    doubts += [
        Doubt("film-view", where, f"Its {entry} is not a known view.", "State PA or AP with --view.")
        for entry, kind in statements
        if kind is None
    ]
    return View(next((kind for _, kind in sided), ""), tuple(doubts))


def body_part_doubts(file: DicomFile) -> tuple[Doubt, ...]:
    """What contradicts that a radiograph shows a chest: body part, anatomic region, descriptions, laterality."""
    where = str(file.path)
    region = first_item(file.dataset, "AnatomicRegionSequence")
    meaning = "" if region is None else str(region.get("CodeMeaning", ""))
    parts = {"BodyPartExamined": file.text("BodyPartExamined"), "AnatomicRegionSequence": meaning}
    named = {name: value for name, value in parts.items() if _plain(value) not in _NO_PART}
    wrong = [f"{name} {value}" for name, value in named.items() if not re.search(_CHEST, _plain(value))]
    in_series, in_study = ({name: file.text(name) for name in names} for names in (_OF_SERIES, _OF_STUDY))
    wrong += [f"{name} {value!r}" for name, value in in_series.items() if _elsewhere(value)]
    if not any(re.search(_CHEST, _plain(value)) for value in (*named.values(), *in_series.values())):
        wrong += [f"{name} {value!r}" for name, value in in_study.items() if _elsewhere(value)]
    if wrong:
        found = f"It shows another part of the body than the chest by its {' and '.join(wrong)}."
        return (Doubt("film-body-part", where, found, _OTHER_IMAGE),)
    side = next((value for key in ("ImageLaterality", "Laterality") if (value := file.text(key).upper())), "")
    if side in ("L", "R"):
        found = f"Its laterality is {side}, as that of one side of a body part; it is taken as a whole chest."
        return (Doubt("film-laterality", where, found, assumed=True),)
    return ()


def _statements(file: DicomFile) -> Iterator[tuple[str, str | None]]:
    r"""What states a view and which: "PA", "AP", "" for a frontal one, `_OTHER`, None for an unknown word."""
    if position := file.text("ViewPosition"):
        kinds = _projections(position)
        kind = _OTHER if _OTHER in kinds else next(iter(kinds), None)
        yield f"ViewPosition {position}", kind
    code = first_item(file.dataset, "ViewCodeSequence")
    if code is not None and code.get("CodingSchemeDesignator") in SNOMED and (value := code.get("CodeValue")):
        yield f"view code {value} {code.get('CodeMeaning', '')}".rstrip(), VIEW_CODES.get(value, _OTHER)
    for name in _OF_SERIES:
        kinds = _projections(file.text(name))
        if len(kinds) == 1:  # "PA and lateral" names the images of a study
            yield f"{name} {file.text(name)!r}", kinds[0]
    orientation = file.text("PatientOrientation").upper()
    if any(re.match(r"[AP]|[LR]\w*[AP]", direction.strip()) for direction in orientation.split("\\")):  # LP: oblique
        yield f"PatientOrientation {orientation}", _OTHER


def _projections(text: str) -> list[str]:
    plain = _plain(text)
    kinds = [kind for kind, words in _PROJECTIONS.items() if re.search(words, plain)]
    return [kind for kind in kinds if kind or len(kinds) == 1]  # "frontal" adds nothing to "PA"


def _elsewhere(text: str) -> bool:
    """Whether a description names other parts of the body alone."""
    plain = _plain(text)
    return bool(re.search(_ELSEWHERE, plain)) and not re.search(_CHEST, plain)


def _plain(text: str) -> str:
    """Capital letters without marks; all else becomes spaces."""
    letters = unicodedata.normalize("NFKD", text).upper()
    return re.sub(r"[^A-Z]+", " ", re.sub(r"[\u0300-\u036f]", "", letters)).strip()
