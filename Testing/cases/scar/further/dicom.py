"""DICOM folders as scanners and archives write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from ..files import run, scan, write_heart

LPS = np.diag([-1.0, -1, 1, 1])
STUDY, SERIES, FRAME_OF_REFERENCE = "1.2.826.0.1.77", "1.2.826.0.1.77.1", "1.2.826.0.1.77.9"
Change = Callable[[Any, int], None]


def number(value: float) -> str:
    """Of at most 16 characters."""
    return f"{value:.9g}"


def dataset(path: Path, kind: str = MRImageStorage, series: str = "1.2.826.0.1.77.50", **elements: Any) -> Any:
    """A DICOM object without pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(kind)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made: Any = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.PatientName, made.PatientID, made.Modality = "Test^Phantom", "P0", "MR"
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, series
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def set_pixels(made: Any, array: Any) -> None:
    """Signed 16-bit pixels of a slice, or of frames."""
    array = np.ascontiguousarray(array)
    made.Rows, made.Columns = array.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 1
    made.PixelData = array.astype("<i2").tobytes()
    if array.ndim == 3:
        made.NumberOfFrames = len(array)


def save(made: Any, path: Path) -> Path:
    made.save_as(path, enforce_file_format=True)
    return path


def place(made: Any, matrix: Any, index: int) -> None:
    """Orientation and spacing of pixels, and position of a slice."""
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    axes = matrix[:3, :3] / steps
    made.ImageOrientationPatient = [number(x) for x in (*axes[:, 0], *axes[:, 1])]
    made.ImagePositionPatient = [number(x) for x in matrix[:3, 3] + index * matrix[:3, 2]]
    made.PixelSpacing = [number(steps[1]), number(steps[0])]


def write_series(
    folder: Path,
    array: Any,
    ijk_to_ras: Any = None,
    thickness: float = 8.0,
    change: Change | None = None,
    name: str = "IM{:04d}",
    **elements: Any,
) -> Path:
    """One MR image for each slice of (k, j, i); `change` alters a slice's data set before it is saved."""
    matrix = LPS @ (scan().ijk_to_ras if ijk_to_ras is None else ijk_to_ras)
    folder.mkdir(parents=True, exist_ok=True)
    for index, pixels in enumerate(array):
        path = folder / name.format(index)
        made = dataset(path, series=SERIES, SeriesDescription="LGE PSIR", SeriesNumber=7, InstanceNumber=index + 1)
        made.FrameOfReferenceUID, made.SliceThickness = FRAME_OF_REFERENCE, number(thickness)
        made.AcquisitionDate, made.AcquisitionTime = "20240102", f"1015{index:02d}"
        made.SequenceName, made.RepetitionTime, made.EchoTime = "tfl2d1", "700", "1.5"
        place(made, matrix, index)
        set_pixels(made, pixels)
        for key, value in elements.items():
            setattr(made, key, value)
        if change is not None:
            change(made, index)
        save(made, path)
    return folder


def write_enhanced(path: Path, array: Any, ijk_to_ras: Any, thickness: float) -> Path:
    """One enhanced MR image of all slices, as Philips stores it."""
    from pydicom.dataset import Dataset

    matrix = LPS @ ijk_to_ras
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = dataset(path, EnhancedMRImageStorage, SERIES, InstanceNumber=1, FrameOfReferenceUID=FRAME_OF_REFERENCE)
    set_pixels(made, array)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [number(steps[1]), number(steps[0])]
    measures.SliceThickness = number(thickness)
    axes = matrix[:3, :3] / steps
    orientation.ImageOrientationPatient = [number(x) for x in (*axes[:, 0], *axes[:, 1])]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    made.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index in range(len(array)):
        frame, position, content = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [number(x) for x in matrix[:3, 3] + index * matrix[:3, 2]]
        content.DimensionIndexValues, content.StackID, content.InStackPositionNumber = [1, index + 1], "1", index + 1
        frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
        frames.append(frame)
    made.PerFrameFunctionalGroupsSequence = frames
    return save(made, path)


def prepared(folder: Path, lge: Path, *options: str, wall: Path | None = None) -> tuple[int, dict[str, Any]]:
    """A run of `prepare` on an image, half-way to the maximum."""
    wall = wall or scan().write_segments(folder / "wall.seg.nrrd", Myocardium=scan().wall)
    mesh = write_heart(folder / "mesh.vtu")
    common = "--alignment", "off", "--threshold", "fwhm"
    return run("prepare", folder / "prepared", *common, *options, lge=lge, myocardium=wall, mesh=mesh)


def percent(result: dict[str, Any]) -> float:
    value: float = result["metrics"]["observed_scar_percent"]
    return value
