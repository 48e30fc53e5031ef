"""Frontal radiographs: DICOM CR and DX, PNG, JPEG and TIFF, volumes of a single slice, and 2D images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, open_dicom
from deeprecon.data.dicom.film import read_film
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.formats.nifti import refuse_pair
from deeprecon.data.formats.planar_image import read_planar_image
from deeprecon.data.pictures import PICTURES, is_picture, read_picture
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import VOLUME_ENDINGS, read_volume

Pixels = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_NO_VIEW = "The file does not state whether it is a PA or an AP view."
MIN_SIDE = 64
"""Rows or columns that an image of a chest has at least."""
MIN_PIXEL, MAX_PIXEL = 1e-3, 100.0
"""Sizes in mm beyond which a file is damaged; whether the chest has its size is another question."""


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One X-ray image in the orientation in which it is viewed.

    Attributes:
        image: (rows, columns) float32, 0 to 1: the top row is nearest to the head, the first column to the patient's
            right, and what absorbs more is brighter.
        spacing: size of a pixel in mm along columns' and rows' growing index, at the detector; None where unknown.
        view: "PA", "AP", or "" where the file does not state it.
        name: of the file, for messages.
        notes: assumptions that had to be made, in words.
        source_distance: from tube to detector in mm; None where unknown.
        known: (rows, columns) False for padding, where the image has the value of the nearest known pixel; None where
            there is none.
        doubts: what the file leaves open or contradicts; `Run.consider` decides.
        age: of the patient in years; None where unknown.
        header: whether the file states which way is up and which end is bright; a picture does not, nor does a volume
            that a program made of one.
    """

    image: npt.NDArray[np.float32]
    spacing: tuple[float, float] | None
    view: str
    name: str
    notes: tuple[str, ...] = ()
    source_distance: float | None = None
    known: Mask | None = None
    doubts: tuple[Doubt, ...] = ()
    age: float | None = None
    header: bool = True


@names_damage
def read_radiograph(path: Path | str) -> Radiograph:
    """Read a frontal radiograph, of the kind that its first bytes show.

    DICOM: see `read_film`. A volume file must have a single slice; one that lies in a coronal plane is turned by its
    geometry. 2D images are taken as they are stored.

    Raises:
        InputError: missing or damaged file, another modality than radiography (a CT), several slices or frames, colors,
            pixels of an impossible size, or an image without contrast.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file {path}.", "Check the path.")
    found = _read(path)
    if found.spacing is not None and not all(MIN_PIXEL <= size <= MAX_PIXEL for size in found.spacing):
        sizes = " x ".join(f"{size:.4g}" for size in found.spacing)
        raise InputError(f"{path} states pixels of {sizes} mm, which no detector has.", "Export the image again.")
    return found


def _read(path: Path) -> Radiograph:
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected one X-ray image.", "Give the file of the X-ray.")
    file = open_dicom(path)
    if file is not None:
        return _from_dicom(file)
    if is_picture(path):
        return _from_picture(path)
    if path.suffix.lower() in PICTURES:
        kinds = "PNG, JPEG, TIFF or DICOM"
        raise InputError(f"{path} holds no {kinds} image, whatever its name says.", "Export the image again.")
    if (flat := read_planar_image(path)) is not None:
        pixels, spacing = flat
        notes = ("The file does not state which way is up; it is taken as it is stored.", _NO_VIEW)
        return Radiograph(_stretched(path, pixels), spacing, "", path.name, notes, header=False)
    if not path.name.lower().endswith(VOLUME_ENDINGS):
        refuse_pair(path)
        raise InputError(f"{path} is of an unknown kind.", "Give DICOM, PNG, JPEG, TIFF, NIfTI, NRRD or MetaImage.")
    return radiograph_from_volume(read_volume(path), path)


def _from_picture(path: Path) -> Radiograph:
    picture = read_picture(path)
    image, known = continued(picture.pixels, picture.known), picture.known
    note = "The picture states neither the size of its pixels nor whether it is a PA or an AP view."
    return Radiograph(
        _stretched(path, image), None, "", path.name, (note,), known=known, doubts=picture.doubts, header=False
    )


def radiograph_from_volume(volume: Volume, where: Path | str = "") -> Radiograph:
    """A volume of a single slice as a radiograph; one that lies in a coronal plane is turned by its geometry.

    One that does not is a picture that a program loaded: a spacing of exactly 1 mm stands for an unknown one there.

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
    coronal = _is_coronal(volume, axis)
    stated = spacing if coronal or spacing != (1.0, 1.0) else None
    return Radiograph(_stretched(where, image), stated, "", volume.name, (_NO_VIEW,), header=coronal)


def _is_coronal(volume: Volume, axis: int) -> bool:
    """Whether the normal of the single slice runs from front to back."""
    return int(np.abs(volume.ijk_to_ras[:3, 2 - axis]).argmax()) == 1


def _upright(volume: Volume, axis: int) -> tuple[Pixels, tuple[float, float]]:
    """The single slice in viewing orientation, and its spacing along columns and rows.

    A slice whose normal is not front to back (a picture that was loaded into Slicer) is taken as it is stored.
    """
    image = np.asarray(volume.array, float).squeeze(axis)
    rows, columns = (2 - kept for kept in range(3) if kept != axis)  # as columns of the affine
    directions = volume.ijk_to_ras[:3, :3] / volume.spacing
    if _is_coronal(volume, axis):
        if abs(directions[2, columns]) > abs(directions[2, rows]):
            image, rows, columns = image.T, columns, rows
        if directions[2, rows] > 0:  # rows grow towards the head
            image = image[::-1]
        if directions[0, columns] > 0:  # columns grow towards the patient's right
            image = image[:, ::-1]
    return image, (float(volume.spacing[columns]), float(volume.spacing[rows]))


def _from_dicom(file: DicomFile) -> Radiograph:
    film = read_film(file)
    notes = [] if film.view else [_NO_VIEW]
    if film.spacing is None:
        notes.append("The file does not state the size of its pixels.")
    image = _stretched(file.path, continued(film.pixels, film.known))
    return Radiograph(
        image,
        film.spacing,
        film.view,
        file.path.name,
        tuple(notes),
        film.source_distance,
        film.known,
        film.doubts,
        film.age,
    )


def continued(image: Pixels, known: Mask | None) -> Pixels:
    """The image with each unknown pixel at the value of the nearest known one, if there is one."""
    if known is None or not known.any():
        return image
    rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    if known[np.ix_(rows, columns)].all() and len(rows) == np.ptp(rows) + 1 and len(columns) == np.ptp(columns) + 1:
        to_row, to_column = (
            np.clip(np.arange(count), inside[0], inside[-1])
            for count, inside in zip(image.shape, (rows, columns), strict=True)
        )
        moved: Pixels = image[np.ix_(to_row, to_column)]
        return moved
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled: Pixels = image[tuple(nearest)]
    return filled


def _stretched(path: Path | str, image: Pixels) -> npt.NDArray[np.float32]:
    """The image with its darkest value at 0 and its brightest at 1."""
    if min(image.shape) < MIN_SIDE:
        rows, columns = image.shape
        raise InputError(
            f"{path} has {columns} x {rows} pixels, too few for a chest X-ray.", "Give the original image."
        )
    if not np.isfinite(image).all():
        raise InputError(f"{path} holds values that are not finite numbers.", "Export the image again.")
    low, high = float(image.min()), float(image.max())
    if high == low:
        raise InputError(f"{path} shows nothing: all its pixels are {low:g}.", "Check the image and its window.")
    stretched = image - low
    stretched /= high - low
    return stretched.astype(np.float32)
