"""Radiographs as DICOM files (CR, DX): pixels as they are to be shown, spacing, view, distance of the tube."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, first_item, numbers
from deeprecon.data.dicom.pixels import Rescale, decode, frame_count
from deeprecon.data.dicom.view import read_view
from deeprecon.data.errors import InputError

Pixels = npt.NDArray[np.float64]

MODALITIES = ("CR", "DX", "RG")
"""Computed, digital and film radiography."""
DISTANCES = (500.0, 5000.0)
"""Range of plausible distances from tube to detector in mm; others (0, or metres) are ignored."""


@dataclass(frozen=True, eq=False)
class Film:
    """One X-ray image.

    Attributes:
        pixels: (rows, columns), what absorbs more is brighter.
        spacing: mm between columns and between rows at the detector; None where unknown.
        view: "PA", "AP", or "" where the file does not state it.
        source_distance: from tube to detector in mm; None where unknown.
    """

    pixels: Pixels
    spacing: tuple[float, float] | None
    view: str
    source_distance: float | None


def read_film(file: DicomFile) -> Film:
    """A radiograph after the modality rescale, then the VOI table or window, then the inversion of MONOCHROME1.

    The order is that of PS3.3, C.7.6.3.1.2 and C.11.2.

    Raises:
        InputError: another modality than radiography (a CT), a view that is not frontal, several frames, colors, or
            damaged pixels.
    """
    path, modality = file.path, file.text("Modality")
    if modality not in MODALITIES:
        raise InputError(
            f"{path} is {'of modality ' + modality if modality else 'of no stated modality'}, not a radiograph "
            f"({', '.join(MODALITIES)}).",
            "Give the X-ray; a CT belongs to --ct or to the manifest's column ct.",
        )
    view = read_view(file)
    if frame_count(file) != 1:
        raise InputError(f"{path} holds {frame_count(file)} frames, not one X-ray.", "Give a single frontal image.")
    photometric = file.text("PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise InputError(f"{path} is a color image ({photometric}), expected gray values.", "Give the original X-ray.")
    scale, pixels = Rescale.of_dataset(file.dataset), decode(file)[0].astype(float)
    if not scale.is_identity:
        pixels = pixels * scale.slope + scale.intercept
    shown = _windowed(file, pixels)
    if photometric == "MONOCHROME1":
        shown = shown.max() + shown.min() - shown
    distance = next(iter(numbers(file.dataset, "DistanceSourceToDetector")), 0.0)
    return Film(shown, _spacing(file), view, distance if DISTANCES[0] <= distance <= DISTANCES[1] else None)


def _windowed(file: DicomFile, pixels: Pixels) -> Pixels:
    """Pixels after the VOI table, or the first window, where the file has one; the array may be changed."""
    table = _voi_table(file)
    if table is not None:
        first, values = table
        looked_up: Pixels = values[np.clip(np.rint(pixels - first).astype(int), 0, len(values) - 1)].astype(float)
        return looked_up
    center, width = (next(iter(numbers(file.dataset, key)), None) for key in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width < 1:
        return pixels
    if file.text("VOILUTFunction").upper() == "SIGMOID":
        sigmoid: Pixels = 1 / (1 + np.exp(-4 * (pixels - center) / width))
        return sigmoid
    pixels -= center - 0.5
    pixels /= max(width - 1, 1)
    pixels += 0.5
    return np.clip(pixels, 0, 1, out=pixels)


def _voi_table(file: DicomFile) -> tuple[int, npt.NDArray[np.uint16]] | None:
    """The first table of the VOI LUT Sequence (PS3.3, C.11.2): the pixel value of its first entry, and its entries."""
    item = first_item(file.dataset, "VOILUTSequence")
    if item is None or len(item.get("LUTDescriptor") or ()) < 3 or not item.get("LUTData"):
        return None
    count, first, _ = item.LUTDescriptor
    data = item.LUTData  # bytes or numbers, as the file encodes it
    values = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.atleast_1d(data).astype(np.uint16)
    return int(first), values[: count or 65536]


def _spacing(file: DicomFile) -> tuple[float, float] | None:
    """At the detector (ImagerPixelSpacing) before PixelSpacing; sizes that are not positive are ignored."""
    for keyword in ("ImagerPixelSpacing", "PixelSpacing"):
        spacing = numbers(file.dataset, keyword)
        if len(spacing) == 2 and np.isfinite(spacing).all() and min(spacing) > 0:
            return spacing[1], spacing[0]
    return None
