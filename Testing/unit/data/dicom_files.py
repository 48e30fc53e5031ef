"""DICOM files for tests, written with what pydicom 2.4 and 3.0 share."""

from __future__ import annotations

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from deeprecon.data.volume import Volume

from .orientations import rotation

SERIES = generate_uid(entropy_srcs=["series"])
RAMP = np.arange(96 * 80).reshape(96, 80).astype(np.uint16)


def new_file(path, storage, syntax=ExplicitVRLittleEndian):
    """A data set with the identifiers that each file needs; UIDs follow from the path."""
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # pydicom fills it in
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = storage, syntax
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    meta.ImplementationClassUID = "2.25.1"
    data = FileDataset(str(path), {}, bytes(128), meta, syntax.is_implicit_VR, syntax.is_little_endian)
    data.SOPClassUID, data.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    return data


def write_slice(
    path,
    pixels,
    position,
    axes,
    spacing=(1.4, 1.2),
    thickness=8.0,
    series=SERIES,
    slope=1.0,
    intercept=0.0,
    **extra,
):
    """One MR slice; `axes` (3, 3) columns row direction, column direction, normal; `spacing` along i and j."""
    data = new_file(path, MRImageStorage)
    data.SeriesInstanceUID, data.StudyInstanceUID, data.Modality = (
        series,
        generate_uid(entropy_srcs=["study"]),
        "MR",
    )
    data.SeriesDescription, data.SeriesNumber = extra.pop("description", "LGE"), 7
    data.Rows, data.Columns = pixels.shape
    data.PixelSpacing = [spacing[1], spacing[0]]
    data.SliceThickness = thickness
    data.SpacingBetweenSlices = 3.0  # a trap: not to be used
    data.ImagePositionPatient = [f"{value:.6f}" for value in position]
    data.ImageOrientationPatient = [f"{value:.8f}" for value in axes[:, :2].T.ravel()]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = (
        16,
        16,
        15,
        1,
    )
    data.RescaleSlope, data.RescaleIntercept = slope, intercept
    data.PixelData = pixels.astype("<i2").tobytes()
    for name, value in extra.items():
        setattr(data, name, value)
    data.save_as(path)


def one_item(**elements):
    """A sequence of one item."""
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return [item]


def write_frames(path, frames, axes, spacing=(1.4, 1.2), thickness=5.0, series=SERIES, instance=1):
    """An enhanced MR file; each frame is (pixels, position, slope, intercept, further functional groups by name)."""
    write_slice(
        path,
        frames[0][0],
        frames[0][1],
        axes,
        spacing,
        thickness,
        series,
        InstanceNumber=instance,
    )
    data = pydicom.dcmread(path)
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    for name in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "ImagePositionPatient",
                 "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):  # fmt: skip
        delattr(data, name)
    data.NumberOfFrames = len(frames)
    data.PixelData = np.stack([frame[0] for frame in frames]).astype("<i2").tobytes()
    shared, own = Dataset(), []
    shared.PixelMeasuresSequence = one_item(PixelSpacing=[spacing[1], spacing[0]], SliceThickness=thickness)
    shared.PlaneOrientationSequence = one_item(
        ImageOrientationPatient=[f"{value:.8f}" for value in axes[:, :2].T.ravel()]
    )
    for _, position, slope, intercept, further in frames:
        group = Dataset()
        group.PlanePositionSequence = one_item(ImagePositionPatient=[f"{value:.6f}" for value in position])
        group.PixelValueTransformationSequence = one_item(RescaleSlope=slope, RescaleIntercept=intercept)
        for name, sequence in further.items():
            setattr(group, name, sequence)
        own.append(group)
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = (
        [shared],
        own,
    )
    data.save_as(path)


def write_series(folder, count=5, step=10.0, angles=(25.0, -40.0, 65.0), places=None, **extra):
    """A stack in reversed file order; returns the volume that it is."""
    folder.mkdir(exist_ok=True, parents=True)
    array = np.random.default_rng(1).integers(-100, 1000, (count, 6, 7)).astype(np.int16)
    axes = rotation(angles)  # LPS
    start = np.array([-40.0, 12.0, 5.0])
    places = np.arange(count) * step if places is None else np.asarray(places)
    for k in range(count):
        write_slice(
            folder / f"IM{count - k:04d}",
            array[k],
            start + places[k] * axes[:, 2],
            axes,
            **extra,
        )
    affine = np.eye(4)
    affine[:3, :3] = axes * (1.4, 1.2, step)
    affine[:3, 3] = start
    return Volume(array, np.diag([-1.0, -1, 1, 1]) @ affine)


def write_xray(path, pixels=RAMP, implicit=False, **extra):
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    data = new_file(path, DigitalXRayImageStorageForPresentation, syntax)
    data.SeriesInstanceUID, data.StudyInstanceUID = generate_uid(), generate_uid()
    data.Modality, data.ViewPosition = "DX", "PA"
    data.ImagerPixelSpacing = [0.15, 0.14]
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = (
        16,
        16,
        15,
        0,
    )
    data.PixelData = pixels.astype("<u2").tobytes()
    for name, value in extra.items():
        setattr(data, name, value)
    data.save_as(path)
    return path
