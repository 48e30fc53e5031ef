"""Frontal radiographs: DICOM CR and DX, PNG and JPEG, and volumes of a single slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.series import is_dicom
from deeprecon.data.dicom.view import read_view
from deeprecon.data.dicom.voi import read_voi_table
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume

Pixels = npt.NDArray[np.float64]

PICTURES = (".png", ".jpg", ".jpeg")
MODALITIES = ("CR", "DX", "RG")
"""Computed, digital and film radiography."""
DISTANCES = (500.0, 5000.0)
"""From tube to detector in mm; what files say beyond that (0, or metres) does not count."""
SMALLEST = 64
"""Fewest rows or columns of an image that may show a chest."""


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One X-ray image, as it hangs on a light box.

    Attributes:
        image: (rows, columns) float32, 0 to 1: the top row is nearest to the head, the first column to the patient's
            right, and what absorbs more is brighter.
        spacing: size of a pixel in mm along columns' and rows' growing index, at the detector; None where unknown.
        view: "PA", "AP", or "" where the file does not say.
        name: of the file, for messages.
        notes: what had to be assumed, in words.
        source_distance: from tube to detector in mm; None where unknown.
    """

    image: npt.NDArray[np.float32]
    spacing: tuple[float, float] | None
    view: str
    name: str
    notes: tuple[str, ...] = ()
    source_distance: float | None = None


def read_radiograph(path: Path | str) -> Radiograph:
    """Read a frontal radiograph.

    DICOM: the modality rescale, then the VOI table or window, then MONOCHROME1 are applied as PS3.3 C.7.6.3.1.2 and
    C.11.2 say. A volume file must have a single slice; one that lies in a coronal plane is turned by its geometry.

    Raises:
        InputError: missing or damaged file, another modality than radiography (a CT), a view that is not frontal,
            several slices or frames, colors, or an image without contrast.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file {path}.", "Check the path.")
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected one X-ray image.", "Give the file of the X-ray.")
    if path.suffix.lower() in PICTURES:
        return _from_picture(path)
    return _from_dicom(path) if is_dicom(path) else radiograph_from_volume(read_volume(path), path)


def _from_picture(path: Path) -> Radiograph:
    array = _read(path, path.suffix).astype(float)
    if array.ndim == 3:
        if np.ptp(array[..., :3], axis=-1).max() > 0:
            raise InputError(f"{path} is a color image, expected gray values.", "Give the original X-ray.")
        array = array[..., 0]
    note = "The picture does not say how large its pixels are, nor whether it is a PA or an AP view."
    return Radiograph(_stretched(path, array), None, "", path.name, (note,))


def radiograph_from_volume(volume: Volume, where: Path | str = "") -> Radiograph:
    """A volume of a single slice as a radiograph; one that lies in a coronal plane is turned by its geometry.

    Args:
        volume: what absorbs more is brighter.
        where: the volume in messages; its name if empty.

    Raises:
        InputError: several slices, or an image without contrast.
    """
    where = where or volume.name
    if 1 not in volume.array.shape:
        size = " x ".join(map(str, volume.n))
        raise InputError(f"{where} is a volume of {size} voxels, not an X-ray.", "Give a single frontal image.")
    axis = volume.array.shape.index(1)
    image, spacing = _upright(volume, axis)
    note = "The file does not say whether it is a PA or an AP view."
    return Radiograph(_stretched(where, image), spacing, "", volume.name, (note,))


def _upright(volume: Volume, axis: int) -> tuple[Pixels, tuple[float, float]]:
    """The single slice as it hangs, and its spacing along columns and rows.

    A slice whose normal is not front to back (a picture that was loaded into Slicer) is taken as it is stored.
    """
    image = np.asarray(volume.array, float).squeeze(axis)
    rows, columns = (2 - kept for kept in range(3) if kept != axis)  # as columns of the affine
    directions = volume.ijk_to_ras[:3, :3] / volume.spacing
    if np.abs(directions[:, 2 - axis]).argmax() == 1:
        if abs(directions[2, columns]) > abs(directions[2, rows]):
            image, rows, columns = image.T, columns, rows
        if directions[2, rows] > 0:  # rows grow towards the head
            image = image[::-1]
        if directions[0, columns] > 0:  # columns grow towards the patient's right
            image = image[:, ::-1]
    return image, (float(volume.spacing[columns]), float(volume.spacing[rows]))


def _from_dicom(path: Path) -> Radiograph:
    text = _header(path)
    modality = text("0008|0060")
    if modality not in MODALITIES:
        raise InputError(
            f"{path} is {'of modality ' + modality if modality else 'of no stated modality'}, not a radiograph "
            f"({', '.join(MODALITIES)}).",
            "Give the X-ray; a CT belongs to --ct or to the manifest's column ct.",
        )
    view = read_view(path, text)
    if text("0028|0008") not in ("", "1"):
        raise InputError(f"{path} holds {text('0028|0008')} frames, not one X-ray.", "Give a single frontal image.")
    photometric = text("0028|0004")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise InputError(f"{path} is a color image ({photometric}), expected gray values.", "Give the original X-ray.")
    notes = [] if view else ["The file does not say whether it is a PA or an AP view."]

    pixels = _read(path, "DICOM").astype(float)
    pixels = pixels.reshape(pixels.shape[-2:])
    if photometric == "MONOCHROME1":
        pixels = _as_stored(pixels, text)
    shown = _windowed(path, pixels, text)
    if photometric == "MONOCHROME1":
        shown = shown.max() + shown.min() - shown
    spacing = _spacing(text)
    if spacing is None:
        notes.append("The file does not say how large its pixels are.")
    distance = _first_number(text("0018|1110"))
    if distance is not None and not DISTANCES[0] <= distance <= DISTANCES[1]:
        distance = None
    return Radiograph(_stretched(path, shown), spacing, view, path.name, tuple(notes), distance)


def _header(path: Path) -> Callable[[str], str]:
    """Looks up entries of a DICOM header as text; "" for one that is not there."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path} is cut off or damaged.", "Copy or export the image again.") from error
    return lambda tag: str(reader.GetMetaData(tag)).strip(" \0") if reader.HasMetaDataKey(tag) else ""


def _read(path: Path, kind: str) -> npt.NDArray[Any]:
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path), imageIO="GDCMImageIO" if kind == "DICOM" else "")
    except RuntimeError as error:
        raise InputError(
            f"{path} is cut off or damaged, or its compression is not supported.", "Copy or export the image again."
        ) from error
    array: npt.NDArray[Any] = sitk.GetArrayFromImage(image)
    return array


def _as_stored(pixels: Pixels, text: Callable[[str], str]) -> Pixels:
    """Undo the inversion of MONOCHROME1 that GDCM does while reading: a window is meant for the values of the file."""
    slope, intercept = _first_number(text("0028|1053")), _first_number(text("0028|1052"))
    largest = 2.0 ** int(text("0028|0101")) - 1
    return (1.0 if slope is None else slope) * largest + 2 * (intercept or 0.0) - pixels


def _windowed(path: Path, pixels: Pixels, text: Callable[[str], str]) -> Pixels:
    """Pixels after the VOI table, or the first window, where the file has one."""
    table = read_voi_table(path)
    if table is not None:
        first, values = table
        looked_up: Pixels = values[np.clip(np.rint(pixels - first).astype(int), 0, len(values) - 1)].astype(float)
        return looked_up
    center, width = (_first_number(text(tag)) for tag in ("0028|1050", "0028|1051"))
    if center is None or width is None or width < 1:
        return pixels
    if text("0028|1056").upper() == "SIGMOID":
        sigmoid: Pixels = 1 / (1 + np.exp(-4 * (pixels - center) / width))
        return sigmoid
    clipped: Pixels = np.clip((pixels - (center - 0.5)) / max(width - 1, 1) + 0.5, 0, 1)
    return clipped


def _spacing(text: Callable[[str], str]) -> tuple[float, float] | None:
    """At the detector (ImagerPixelSpacing) before PixelSpacing; what is not positive does not count."""
    for tag in ("0018|1164", "0028|0030"):
        try:
            rows, columns = (float(number) for number in text(tag).split("\\"))
        except ValueError:
            continue
        if rows > 0 and columns > 0 and np.isfinite([rows, columns]).all():
            return columns, rows
    return None


def _first_number(text: str) -> float | None:
    try:
        return float(text.split("\\")[0])
    except ValueError:
        return None


def _stretched(path: Path | str, image: Pixels) -> npt.NDArray[np.float32]:
    """The image with its darkest value at 0 and its brightest at 1."""
    if min(image.shape) < SMALLEST:
        rows, columns = image.shape
        raise InputError(
            f"{path} has {columns} x {rows} pixels, too few for a chest X-ray.", "Give the original image."
        )
    if not np.isfinite(image).all():
        raise InputError(f"{path} holds values that are not finite numbers.", "Export the image again.")
    low, high = float(image.min()), float(image.max())
    if high == low:
        raise InputError(f"{path} shows nothing: all its pixels are {low:g}.", "Check the image and its window.")
    return ((image - low) / (high - low)).astype(np.float32)
