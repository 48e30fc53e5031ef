"""Contours of RT structure sets (PS3.3, C.8.8.5 and C.8.8.6) as masks on the grid of the images that they lie on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, numbers, open_dicom, text
from deeprecon.data.dicom.kinds import STRUCTURES
from deeprecon.data.dicom.objects.regions import Array, Mask, Regions, referenced_series, structure_names
from deeprecon.data.dicom.series import read_series
from deeprecon.data.dicom.stack import arrange
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_OFF_PLANE = 0.3
"""Share of the slice spacing by which a contour may miss the middle of its slice."""


def read_contours(path: Path, grid: Volume | None = None) -> Regions:
    """Read the closed contours of an RT structure set. A pixel is inside when its center is; of several contours of a
    region in one slice each turns inside out what the others enclose, so that a ring is two contours.

    Args:
        path: of the file.
        grid: image on whose voxels the contours are drawn, slices along its first axis; left out, the series that the
            file refers to, among the files beside it.

    Raises:
        InputError: damaged file, no closed contours, no images, contours beside or between their slices.
    """
    file = open_dicom(path, kinds=(STRUCTURES,))
    assert file is not None  # `is_segmentation_file` has looked
    names, drawn = structure_names(file), _contours(file)
    if not drawn:
        raise InputError(f"{path} has no closed contours.", "Export the structure set again, with its contours.")
    if unknown := set(drawn) - set(names):
        raise InputError(f"{path} does not name its region {min(unknown)}.", "Export the structure set again.")
    grid = _grid_of_images(file) if grid is None else grid
    masks = tuple((names[number], _filled(path, names[number], drawn[number], grid)) for number in drawn)
    empty = tuple(name for number, name in names.items() if number not in drawn)
    return Regions(masks, grid.ijk_to_ras, grid.slice_thickness, left_out=empty)


def _contours(file: DicomFile) -> dict[int, list[Array]]:
    """(N, 3) corners in RAS mm of the closed contours of each region that has any."""
    found: dict[int, list[Array]] = {}
    for region in file.dataset.get("ROIContourSequence") or []:
        contours = []
        for item in region.get("ContourSequence") or []:
            if text(item, "ContourGeometricType") not in _CLOSED:
                continue
            values = np.array(numbers(item, "ContourData"))
            if len(values) < 9 or len(values) % 3 or not np.isfinite(values).all():
                raise InputError(f"{file.path} has a contour without coordinates.", "Export the structure set again.")
            contours.append(values.reshape(-1, 3) * [-1, -1, 1])
        if contours:
            found.setdefault(int(numbers(region, "ReferencedROINumber")[0]), []).extend(contours)
    return found


def _grid_of_images(file: DicomFile) -> Volume:
    """An empty image on the grid of the series that the contours were drawn on, out of the folder of the file."""
    uid = referenced_series(file)
    hint = "Give the images with --lge, or put them into the folder of the structure set."
    for other in sorted(file.path.parent.iterdir()):
        if uid and other != file.path and other.is_file():
            image = open_dicom(other, "")
            if image is not None and image.is_image and image.series == uid:
                slices, ijk_to_ras = arrange(other.parent, read_series(other).slices)
                shape = (len(slices), *slices[0].rows_columns)
                return Volume(np.broadcast_to(np.uint8(0), shape), ijk_to_ras, other.name, slices[0].thickness, 0)
    raise InputError(f"The images that the contours of {file.path} were drawn on are not known.", hint)


def _filled(path: Path, name: str, contours: list[Array], grid: Volume) -> Mask:
    """(k, j, i) mask of what contours enclose."""
    i, j, slices = grid.n
    crossings = np.zeros((slices, j, i + 1), np.int64)
    for contour in contours:
        ijk = grid.to_ijk(contour)
        height = ijk[:, 2]
        k = int(np.rint(height.mean())) if abs(height.mean()) < 1e6 else -1
        if np.abs(height - k).max() > _OFF_PLANE or not 0 <= k < slices:
            raise InputError(
                f"{path}: a contour of {name} does not lie in a slice of {grid.name}.",
                "Give the images that the contours were drawn on.",
            )
        _add_crossings(crossings[k], ijk[:, :2])
    inside: Mask = np.cumsum(crossings, axis=2)[:, :, :-1] % 2 == 1
    return inside


def _add_crossings(crossings: npt.NDArray[np.int64], corners: Array) -> None:
    """Count for each row (j) of pixel centers where the closed line through (N, 2) corners (i, j) crosses it."""
    rows, last = crossings.shape[0], crossings.shape[1] - 1
    for (x, y), (to_x, to_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = sorted((y, to_y))
        crossed = np.arange(max(int(np.ceil(low)), 0), min(int(np.ceil(high)), rows))
        if len(crossed):
            at = np.ceil(x + (crossed - y) * (to_x - x) / (to_y - y))
            np.add.at(crossings, (crossed, np.clip(at, 0, last).astype(int)), 1)
