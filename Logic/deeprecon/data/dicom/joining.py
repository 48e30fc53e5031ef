"""Stacks whose slices are stored as one series each: whether they belong together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from deeprecon.data.dicom.file import DicomFile
from deeprecon.data.dicom.slices import DicomSlice, slices_of
from deeprecon.data.dicom.stack import arrange
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError

_ALIKE = (
    "PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "Modality", "ImageType", "SeriesDescription",
    "ProtocolName", "SequenceName", "ScanningSequence", "EchoTime", "FlipAngle",
)  # fmt: skip
"""What slices of one stack have in common; numbers within names may count the slices."""
_LONGEST = timedelta(minutes=30)
"""Time within which a stack is acquired."""
_LISTED = 5
"""Series that a message lists at most."""


def join(folder: Path, slices: Sequence[DicomSlice]) -> list[Doubt]:
    """Check that slices are of one series, or of several that are a stack together.

    Returns:
        The assumption that series of one slice each belong together; the contradiction where they form a stack by their
        places, and differ in sequence, patient or time, or have several slices.

    Raises:
        InputError: several series that are no stack.
    """
    series = defaultdict(list)
    for entry in slices:
        series[entry.file.series].append(entry)
    if len(series) == 1:
        return []
    try:
        if any(entry.is_mosaic for entry in slices):
            raise InputError("Mosaics are volumes.")
        arrange(folder, slices)
    except InputError as error:
        raise _several(folder, list(series.values())) from error
    found = [f"they differ in {keyword}" for keyword in _differences([entry.file for entry in slices])]
    if any(len(entries) > 1 for entries in series.values()):
        found.append("some have several slices")
    if minutes := _minutes_apart([entry.file for entry in slices]):
        found.append(f"they were acquired within {minutes} minutes")
    if not found:
        told = (
            f"{len(series)} series of one slice each were joined: their places form a stack; sequence and time agree."
        )
        return [Doubt("series-joined", folder.name, told, assumed=True)]
    told = f"Its {len(series)} series form one stack by their places, but {' and '.join(found)}."
    return [Doubt("series-differ", folder.name, told, "Give one file of the series that is meant, or its own folder.")]


def stack_around(folder: Path, chosen: DicomSlice, others: Iterable[DicomFile]) -> list[DicomSlice]:
    """The stack that a slice and the series of one slice around it form; empty where they form none.

    Args:
        folder: of the files.
        chosen: the slice.
        others: files of other series, whose headers suffice.
    """
    series: dict[str, list[DicomSlice]] = defaultdict(list)
    for file in others:
        try:
            series[file.series] += slices_of(file)[0]
        except InputError:
            continue
    stack = [chosen]
    for entries in series.values():
        if len(entries) == 1 and _parallel(chosen, entries[0]) and not _differences([chosen.file, entries[0].file]):
            stack += entries
    try:
        arrange(folder, stack)
    except InputError:
        return []
    return stack if len(stack) > 1 else []


def _parallel(one: DicomSlice, other: DicomSlice) -> bool:
    return one.rows_columns == other.rows_columns and bool(np.abs(one.normal - other.normal).max() < 1e-3)


def _differences(files: Sequence[DicomFile]) -> list[str]:
    """Keywords of what is not the same in all files; numbers in descriptions do not count."""
    found = []
    for keyword in _ALIKE:
        values = {file.text(keyword) for file in files}
        if keyword in ("SeriesDescription", "ProtocolName", "SequenceName"):
            values = {re.sub(r"\d+", "", value) for value in values}
        if len(values) > 1:
            found.append(keyword)
    return found


def _minutes_apart(files: Sequence[DicomFile]) -> int:
    """Minutes between the first and the last image, where they are more than those of one stack, else 0."""
    times = [time for file in files if (time := _time(file)) is not None]
    span = max(times) - min(times) if times else timedelta(0)
    return round(span / timedelta(minutes=1)) if span > _LONGEST else 0


def _time(file: DicomFile) -> datetime | None:
    """When an image was acquired; None where it is not stated."""
    stated = file.text("AcquisitionDateTime")
    for name in ("Acquisition", "Content", "Series"):
        date = file.text(f"{name}Date") or file.text("StudyDate") or "20000101"
        stated = stated or (f"{date}{time}" if (time := file.text(f"{name}Time")) else "")
    digits = re.sub(r"\D", "", stated.split(".")[0])[:14]
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None


def _several(folder: Path, series: Sequence[Sequence[DicomSlice]]) -> InputError:
    """The error for a folder of several series."""
    listing = "; ".join(
        f"{first.text('SeriesNumber') or '?'} {first.dataset.get('SeriesDescription') or 'without name'!r}, "
        f"{len(entries)} images, such as {first.path.name}"
        for entries in series[:_LISTED]
        for first in [entries[0].file]
    )
    more = f"; and {len(series) - _LISTED} more" if len(series) > _LISTED else ""
    return InputError(
        f"The folder {folder} holds {len(series)} DICOM series: {listing}{more}.",
        "Give one file of the series that is meant, or a folder of its own.",
    )
