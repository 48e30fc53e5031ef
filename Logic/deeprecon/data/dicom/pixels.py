"""Pixels of DICOM files: decoded, and rescaled by the modality's slope and intercept (PS3.3, C.7.6.3 and C.11.1)."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, numbers
from deeprecon.data.errors import InputError

Pixels = npt.NDArray[Any]
Integers = npt.NDArray[np.integer[Any]]

_DECODED_BY_GDCM = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91))
"""Transfer syntaxes: JPEG, JPEG-LS, JPEG 2000."""
_BIG_ENDIAN, _RLE = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"
_PIXEL_DATA = 0x7FE00010
_LAYOUT = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel")
_HINT = "Copy or export the series again."
_ALLOCATED = (8, 16, 32, 64)
"""Bits of a pixel; the standard's other number, 1, is for segmentations, which have a reader of their own."""


@dataclass(frozen=True)
class Rescale:
    """Modality rescale: value = slope * stored value + intercept."""

    slope: float = 1.0
    intercept: float = 0.0

    @staticmethod
    def of_dataset(dataset: Any) -> Rescale:
        """That of a dataset; slope 1 where it is missing or 0, intercept 0 where it is missing."""
        slope, intercept = (next(iter(numbers(dataset, key)), 0.0) for key in ("RescaleSlope", "RescaleIntercept"))
        return Rescale(slope or 1.0, intercept)

    @property
    def is_identity(self) -> bool:
        return self.slope == 1 and self.intercept == 0

    def apply(self, stored: Integers, bits: int) -> Pixels:
        """Rescaled values: of the smallest integer type that holds every possible one, not narrower than the stored
        one, where slope and intercept are whole numbers; else float64.

        Args:
            stored: integers.
            bits: that are stored of each.
        """
        if self.is_identity:
            return stored
        if not (self.slope.is_integer() and self.intercept.is_integer()):
            return stored.astype(float) * self.slope + self.intercept
        dtype = self._integer_type(stored.dtype, bits)
        if self.slope != 1:
            return (stored.astype(float) * self.slope + self.intercept).astype(dtype)
        return np.add(stored, int(self.intercept), dtype=dtype, casting="unsafe")  # 5 times as fast

    def _integer_type(self, stored: np.dtype[Any], bits: int) -> np.dtype[Any]:
        least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if stored.kind == "i" else (0, 2**bits - 1)
        low, high = sorted(self.slope * value + self.intercept for value in (least, most))
        sizes = [size for size in (1, 2, 4, 8) if size >= stored.itemsize]
        types = [np.iinfo(f"{'i' if low < 0 or stored.kind == 'i' else 'u'}{size}") for size in sizes]
        return next((info.dtype for info in types if info.min <= low and high <= info.max), np.dtype(float))


def decode(file: DicomFile) -> Integers:
    """Stored values (frame, j, i), integers, without what lies in bits that are not stored.

    Raises:
        InputError: damaged or cut off file, unsupported compression, colors, impossible numbers of bits.
    """
    samples = next(iter(numbers(file.dataset, "SamplesPerPixel")), 1)
    if samples != 1 or file.text("PhotometricInterpretation") == "PALETTE COLOR":
        raise InputError(
            f"{file.path} is a color image, expected gray values.", "Give the original series, not screenshots."
        )
    allocated, stored = file.count("BitsAllocated"), file.count("BitsStored")
    if allocated not in _ALLOCATED or not 1 <= stored <= allocated:
        message = f"{file.path} states that {stored} of {allocated} bits of a pixel hold its value, which cannot be."
        raise InputError(message, "Export it again, with 8, 16 or 32 bits for a pixel.")
    syntax = file.transfer_syntax
    if syntax is not None and syntax.is_encapsulated and syntax not in (*_DECODED_BY_GDCM, _RLE):
        raise InputError(
            f"{file.path} is compressed as {syntax.name}, which this program cannot decode.",
            "Export it without compression, or decompress it with another program.",
        )
    encoded = syntax is not None and syntax.is_encapsulated
    try:
        frames = _decode_with_gdcm(file.dataset) if encoded and syntax != _RLE else _decode_native(file, encoded)
    except Exception as error:  # damaged files raise many kinds
        if encoded and frame_count(file) > 1:
            raise InputError(
                f"{file.path} is a compressed multi-frame file, which cannot be read here.",
                "Export it without compression, or convert it with dcm2niix.",
            ) from error
        raise InputError(f"{file.path} is cut off or damaged: its pixels cannot be read.", _HINT) from error
    return _stored_bits(frames, stored)


def frame_count(file: DicomFile) -> int:
    """Number of frames that the header states."""
    return int(next(iter(numbers(file.dataset, "NumberOfFrames")), 1)) or 1


def read_pixels(file: DicomFile) -> Pixels:
    """Rescaled values (j, i) of a file of one frame; those of MONOCHROME1 are inverted, so that more is brighter.

    Raises:
        InputError: see `decode`.
    """
    stored, bits = decode(file)[0], file.count("BitsStored")
    if file.text("PhotometricInterpretation") == "MONOCHROME1":
        stored = ~stored if stored.dtype.kind == "i" else (stored.dtype.type(2**bits - 1) - stored)
    return Rescale.of_dataset(file.dataset).apply(stored, bits)


def _decode_native(file: DicomFile, run_lengths: bool) -> Integers:
    rows, columns = file.count("Rows"), file.count("Columns")
    if run_lengths:
        return np.asarray(file.dataset.pixel_array).reshape(-1, rows, columns)
    raw = file.dataset.get_item(_PIXEL_DATA)
    kind = f"{'i' if file.count('PixelRepresentation') else 'u'}{file.count('BitsAllocated') // 8}"
    order = ">" if file.transfer_syntax == _BIG_ENDIAN else "<"
    stored = np.frombuffer(raw.value, order + kind, frame_count(file) * rows * columns)
    return stored.astype(kind, copy=False).reshape(-1, rows, columns)


def _decode_with_gdcm(dataset: Any) -> Integers:
    """Decoded by SimpleITK's GDCM, which reads files only: it gets one that holds nothing but the pixels."""
    import SimpleITK as sitk
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # written as it should be
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3"  # multi-frame word secondary capture
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    alone = FileDataset("", {}, bytes(128), meta, is_implicit_VR=False, is_little_endian=True)
    alone.SOPClassUID, alone.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    for keyword in (*_LAYOUT, "NumberOfFrames", "PixelData"):
        if keyword in dataset:
            alone[keyword] = dataset[keyword]
    alone.PhotometricInterpretation = "MONOCHROME2"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pixels.dcm"
        alone.save_as(path)
        array: Integers = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
    return array.reshape(-1, *array.shape[-2:])


def _stored_bits(values: Integers, bits: int) -> Integers:
    """Values without the bits above those that are stored, and with their sign."""
    unused, signed = 8 * values.dtype.itemsize - bits, values.dtype.kind == "i"
    if not unused or (values.max() < 2 ** (bits - signed) and values.min() >= (-(2 ** (bits - 1)) if signed else 0)):
        return values
    cleaned: Integers = (
        np.bitwise_and(values, 2**bits - 1) if not signed else np.right_shift(np.left_shift(values, unused), unused)
    )
    return cleaned
