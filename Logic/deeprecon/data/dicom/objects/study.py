"""The patient, study and place that objects of ours belong to: those of the images that they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deeprecon.data.dicom.objects.elements import Elements, unique_identifier
from deeprecon.data.dicom.series import Series

_PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize",
    "PatientWeight", "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip
_STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    "StudyDescription",
)  # fmt: skip
_NEEDED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Elements that an object has, if only without a value (type 2 of PS3.3, C.7)."""
_FRAME = "FrameOfReferenceUID"


@dataclass(frozen=True, eq=False)
class Study:
    """What objects of one study have in common.

    Attributes:
        elements: of patient and study (PS3.3, C.7.1 and C.7.2), StudyInstanceUID among them.
        frame_of_reference: UID of the coordinates in which places are given.
        images: series UID -> (storage class, instance UID) of the images that objects were made from.
        created: when the result was made.
        not_stated: what no image states, and was made up: "patient", "study", "frame of reference".
    """

    elements: Elements
    frame_of_reference: str
    created: datetime
    images: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    not_stated: tuple[str, ...] = ()

    @property
    def uid(self) -> str:
        """The StudyInstanceUID."""
        return str(self.elements["StudyInstanceUID"])


@dataclass(frozen=True, eq=False)
class NewSeries:
    """A series of one object of our own.

    Attributes:
        study: that it belongs to.
        digest: checksum of the content, from which its UIDs follow.
        number, description: of the series.
        content: what the object shows, in at most 64 characters.
        body_part: as BodyPartExamined names it.
        version: of this software.
    """

    study: Study
    digest: bytes
    number: int
    description: str
    content: str
    body_part: str
    version: str


def study_of(series: Series | None, digest: bytes, created: datetime) -> Study:
    """The study of a series; one that is made up, with a patient of its own, where there is none.

    Args:
        series: images that an object is made from.
        digest: from which UIDs follow that no image states.
        created: when the result was made.
    """
    empty: dict[str, Any] = dict.fromkeys(_NEEDED, "")
    generated = {key: unique_identifier(digest, role) for key, role in ((_FRAME, "frame"), ("study", "study"))}
    if series is None:
        number = digest.hex()[:8]
        elements = {**empty, "PatientName": "UNKNOWN^PATIENT", "PatientID": f"UNKNOWN-{number}"}
        elements |= {"StudyInstanceUID": generated["study"], "StudyID": "1"}
        elements |= {"StudyDescription": "Made without DICOM images"}
        elements |= {"StudyDate": created.strftime("%Y%m%d"), "StudyTime": created.strftime("%H%M%S")}
        return Study(elements, generated[_FRAME], created, not_stated=("patient", "study", "frame of reference"))
    first = series.slices[0].file.dataset
    stated = {key: _value(first.get(key)) for key in (*_PATIENT, *_STUDY)}
    elements = empty | {key: value for key, value in stated.items() if value not in ("", None)}
    images: dict[str, dict[tuple[str, str], None]] = {}
    for entry in series.slices:
        instance = (entry.file.storage_class, entry.file.text("SOPInstanceUID"))
        images.setdefault(entry.file.series, {})[instance] = None
    not_stated = []
    frame = series.slices[0].file.text(_FRAME)
    if not frame:
        not_stated.append("frame of reference")
    if "StudyInstanceUID" not in elements:
        not_stated.append("study")
    return Study(
        {"StudyInstanceUID": generated["study"], **elements},
        frame or generated[_FRAME],
        created,
        {uid: list(instances) for uid, instances in images.items() if uid},
        tuple(not_stated),
    )


def references(instances: Sequence[tuple[str, str]]) -> list[Elements]:
    """Items that refer to instances by (storage class, UID)."""
    return [{"ReferencedSOPClassUID": kind, "ReferencedSOPInstanceUID": uid} for kind, uid in instances]


def _value(value: Any) -> Any:
    """The value of an element as this library writes it."""
    return value if value is None or isinstance(value, int | float) else str(value).replace("\\", "/")
