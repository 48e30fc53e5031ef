"""DICOM series: one image out of the files of a folder, which may hold other files too."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from deeprecon.data.dicom.file import DicomFile, open_dicom
from deeprecon.data.dicom.joining import join, stack_around
from deeprecon.data.dicom.kinds import CONTOURS, way_out, with_article
from deeprecon.data.dicom.slices import DicomSlice, is_screenshot, slices_of
from deeprecon.data.dicom.stack import arrange, stack_pixels
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume

_DIRECTORY = "DICOMDIR"
_WITHOUT_PLACE = "images-without-place"
_ORIGINAL = "Give the original images of the scanner: copies, screenshots and some anonymized files lack their place."


@dataclass(frozen=True, eq=False)
class Series:
    """The slices of one series.

    Attributes:
        folder: of its files.
        slices: by file name and frame.
        doubts: about what else lies in the folder, and about slices of several series.
    """

    folder: Path
    slices: list[DicomSlice]
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True, eq=False)
class _Content:
    """What the files of a folder are.

    Attributes:
        slices: by path of the file.
        left_out: DICOM files that are no slices, and what they are.
        strangers: files that are not DICOM.
    """

    slices: dict[Path, list[DicomSlice]] = field(default_factory=dict)
    left_out: dict[DicomFile, str] = field(default_factory=dict)
    strangers: list[Path] = field(default_factory=list)

    def add(self, file: DicomFile) -> None:
        """Sort in a file.

        Raises:
            InputError: as `slices_of`.
        """
        found, kind = slices_of(file)
        if found:
            self.slices[file.path] = found
        else:
            self.left_out[file] = kind


def read_dicom(path: Path, opened: DicomFile | None = None) -> Volume:
    """Read a DICOM series: a folder that holds one, or one file of it, which takes its series out of its folder.

    The place of a slice is ImagePositionPatient projected on the slice normal; SliceThickness becomes
    `slice_thickness` and never the spacing (but of a single slice); the modality rescale is applied.

    Args:
        path: of the folder or the file.
        opened: the content of the file, where it has been opened already.

    Raises:
        InputError: no DICOM image, several series, several images at one place, missing or unevenly spaced slices,
            mixed orientation, size or thickness, mosaics, multi-frame files other than enhanced CT, MR and PET.
    """
    series = read_series(path, opened)
    folder, slices = series.folder, series.slices
    if slices[0].is_mosaic:
        raise InputError(
            f"{slices[0].path} is a Siemens mosaic, which is read as a diffusion scan only.",
            "Convert the series with dcm2niix.",
        )
    try:
        slices, ijk_to_ras = arrange(folder, slices)
    except InputError:
        for doubt in series.doubts:
            if doubt.code == _WITHOUT_PLACE:  # why there is a gap
                raise InputError(f"{folder}: {doubt.text}", doubt.way_out) from None
        raise
    return Volume(stack_pixels(slices), ijk_to_ras, folder.name, slices[0].thickness, across=0, doubts=series.doubts)


def read_series(path: Path, opened: DicomFile | None = None) -> Series:
    """The images of one series. Files of other kinds in a folder, and screenshots beside other images, are passed over.

    Args:
        path, opened: see `read_dicom`.

    Raises:
        InputError: no DICOM image with a place in the patient, or several series that are no stack together.
    """
    if path.is_file():
        return _series_of_file(path, opened)
    with _paused_garbage_collection():
        content = _content(path)
    entries = [entry for found in content.slices.values() for entry in found]
    if not entries:
        raise _nothing_found(path, content)
    slices = [entry for entry in entries if not entry.is_secondary] or entries
    read = {entry.file for entry in slices}
    content.left_out.update({entry.file: "screenshot" for entry in entries if entry.file not in read})
    doubts = [*join(path, slices), *_incomplete(path, slices, content.left_out)]
    if doubt := passed_over(path, {file.path: kind for file, kind in content.left_out.items()}):
        doubts.append(doubt)
    return Series(path, slices, tuple(doubts))


def passed_over(folder: Path, kinds: Mapping[Path, str]) -> Doubt | None:
    """The statement about DICOM files of a folder that are not used; None where there are none.

    Args:
        folder: of the files.
        kinds: what each file is.
    """
    if not kinds:
        return None
    return Doubt(
        "dicom-passed-over", folder.name, f"Files that are not used were passed over: {_listed(kinds)}.", assumed=True
    )


def _series_of_file(path: Path, opened: DicomFile | None) -> Series:
    """The series of one file, out of the folder that it lies in."""
    folder, file = path.parent, opened or open_dicom(path)
    if file is None:
        raise InputError(f"{path} is not a DICOM file: it lacks the mark DICM.", "Give a file of the image series.")
    content = _Content()
    content.add(file)
    if file in content.left_out:
        kind = content.left_out[file]
        hint = _ORIGINAL if kind.startswith("image") else way_out(kind)
        raise InputError(f"{path} is {with_article(kind)}, which cannot be read here.", hint)
    others = []
    with _paused_garbage_collection():
        for other in _files(folder):
            if other != path and (found := open_dicom(other, file.series)) is not None and found.is_image:
                if found.series == file.series:
                    content.add(found)
                else:
                    others.append(found)
    slices = [entry for name in sorted(content.slices) for entry in content.slices[name]]
    doubts = [*_incomplete(folder, slices, content.left_out)]
    if len(slices) == 1 and (stack := stack_around(folder, slices[0], others)):
        told = f"It is a series of one slice, of a stack that is stored as {len(stack)} series."
        doubts.append(Doubt("slice-of-stack", path.name, told, "Give a folder that holds the files of the stack."))
    return Series(folder, slices, tuple(doubts))


def _content(folder: Path) -> _Content:
    content = _Content()
    for path in _files(folder):
        if path.name.split(".")[0].upper() == _DIRECTORY:
            content.left_out[DicomFile(path, None, "DICOM directory")] = "DICOM directory"
        elif (file := open_dicom(path)) is None:
            content.strangers.append(path)
        else:
            content.add(file)
    return content


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file())


@contextmanager
def _paused_garbage_collection() -> Iterator[None]:
    """Headers are many objects, all of which stay: searching them for garbage takes a fifth of the time of reading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _incomplete(folder: Path, slices: list[DicomSlice], left_out: Mapping[DicomFile, str]) -> Iterator[Doubt]:
    """The doubt about images of the series that are no slices, for lack of a place."""
    series = {entry.file.series for entry in slices}
    missing = {
        file.path: kind
        for file, kind in left_out.items()
        if file.is_image and not is_screenshot(file) and kind != "screenshot" and file.series in series
    }
    if missing:
        found = f"Images of the series have no place in the patient, and would be left out: {_listed(missing)}."
        yield Doubt(_WITHOUT_PLACE, folder.name, found, "Export the series again.")


def _nothing_found(folder: Path, content: _Content) -> InputError:
    """The error for a folder without slices: it says what the files are instead."""
    if not content.left_out:
        message = f"The folder {folder} holds no DICOM image"
        if strangers := content.strangers:
            names = _names([path.name for path in strangers])
            message += f"; its files lack the mark DICM ({names})"
        hint = "Give the folder whose files are the slices; folders below it are not searched."
        return InputError(f"{message}.", hint)
    kinds = set(content.left_out.values())
    listing = _listed({file.path: kind for file, kind in content.left_out.items()})
    told = next((kind for kind in CONTOURS if kind in kinds), "")
    hint = _ORIGINAL if any(kind.startswith("image") for kind in kinds) else way_out(told)
    return InputError(f"The folder {folder} holds no DICOM image with a place in the patient: {listing}.", hint)


def _listed(kinds: Mapping[Path, str]) -> str:
    """Kinds with the names of their files, as "RT structure set (RS.dcm), screenshot (A, B and 3 more)"."""
    order = sorted(kinds, key=lambda path: (kinds[path], path.name))
    groups = ((kind, [path.name for path in group]) for kind, group in groupby(order, key=lambda path: kinds[path]))
    return ", ".join(f"{kind} ({_names(names)})" for kind, names in groups)


def _names(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} more"
