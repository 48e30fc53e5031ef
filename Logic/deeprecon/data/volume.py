"""Volumes: an array and where it lies in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError

Array = npt.NDArray[np.float64]

MIN_THICKNESS, MAX_SPACING = 1e-3, 500.0
"""mm; thinner slices, and larger voxels or slices, are an error of the file."""
MAX_SHEAR = 2e-3
"""Largest cosine between two axes that still counts as square: 0.1 degree, 0.3 mm across a heart."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image with its geometry.

    Attributes:
        array: (k, j, i) as Slicer orders it; i runs fastest.
        ijk_to_ras: (4, 4) float64, voxel index (i, j, k, 1) to RAS millimetres; voxel centers at integers.
        name: file or node it came from, for messages.
        slice_thickness: of the acquired slab in mm where the format states it (DICOM); not the slice spacing.
        across: the array axis (0, 1 or 2) that runs across the slices, where the file states it.
        doubts: about its files.
    """

    array: npt.NDArray[np.generic]
    ijk_to_ras: npt.NDArray[np.float64]
    name: str = "volume"
    slice_thickness: float | None = None
    across: int | None = None
    doubts: tuple[Doubt, ...] = ()

    @property
    def spacing(self) -> npt.NDArray[np.float64]:
        """(3,) voxel size along i, j, k in mm."""
        spacing: npt.NDArray[np.float64] = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return spacing

    @property
    def n(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k: the shape of `array` turned round."""
        k, j, i = self.array.shape
        return i, j, k

    def to_ras(self, ijk: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 3) voxel indices (i, j, k), integers or between voxels, to (..., 3) RAS mm."""
        return np.asarray(ijk, float) @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]

    def to_ijk(self, ras: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 3) RAS mm to (..., 3) voxel indices (i, j, k), not rounded."""
        return (np.asarray(ras, float) - self.ijk_to_ras[:3, 3]) @ np.linalg.inv(self.ijk_to_ras[:3, :3]).T


def slice_axis(volume: Volume) -> int:
    """The array axis (0, 1 or 2) that runs across the slices.

    It is the one that the file states, or the axis with a single voxel where just one has. Else two axes of the same
    spacing that is larger than the third one's are those of square pixels, so that the third axis is it (slices of a 3D
    sequence may lie closer than pixels); else it is the axis with the largest spacing. Among axes whose spacing is
    within 5 % of the largest it is the one that points most nearly along the body: a choice in the patient, not in the
    file, so that the order of a file's axes never matters.
    """
    if volume.across is not None:
        return volume.across
    single = [axis for axis in range(3) if volume.array.shape[axis] == 1]
    if len(single) == 1:
        return single[0]
    spacing = volume.spacing[::-1]
    thick = [axis for axis in range(3) if spacing[axis] >= 0.95 * spacing.max()]
    if len(thick) == 2 and np.ptp(spacing[thick]) <= 1e-3 * spacing.max():
        return next(axis for axis in range(3) if axis not in thick)
    return max(thick, key=lambda axis: _alignment(volume.ijk_to_ras[:3, 2 - axis], order=(2, 1, 0)))


def axis_along(volume: Volume, direction: Array) -> int:
    """The array axis (0, 1 or 2) that is most nearly parallel to a line in RAS."""
    return 2 - int((np.abs(direction @ volume.ijk_to_ras[:3, :3]) / volume.spacing).argmax())


def canonical(volume: Volume, axis: int | None = None) -> Volume:
    """The same image with its array in one agreed order; no voxel is resampled.

    Array axis 0 becomes the slice axis and points along its dominating patient direction (towards R, A or S). Of
    the two others, i becomes the one nearer to left-right and points along its dominating direction too; j follows
    from the axes being right-handed. All 48 orders and flips of an image give the identical array and affine. The
    affine is rounded, directions to 1e-5 mm and origin to 1e-4 mm: the last bits in which file formats differ.

    Args:
        volume: of any orientation, left-handed too.
        axis: the array axis to be taken as slice axis; `slice_axis(volume)` when left out.
    """
    axis = slice_axis(volume) if axis is None else axis
    columns = volume.ijk_to_ras[:3, :3]
    k = 2 - axis
    i, j = sorted({0, 1, 2} - {k}, key=lambda c: _alignment(columns[:, c], order=(0, 1, 2)), reverse=True)
    sign_i, sign_k = _sign(columns[:, i]), _sign(columns[:, k])
    handedness = np.linalg.det(columns[:, [i, j, k]]) * sign_i * sign_k
    signs = (sign_i, 1.0 if handedness > 0 else -1.0, sign_k)

    affine = np.eye(4)
    origin = volume.ijk_to_ras[:3, 3].copy()
    for target, (source, sign) in enumerate(zip((i, j, k), signs, strict=True)):
        affine[:3, target] = sign * columns[:, source]
        if sign < 0:
            origin += (volume.n[source] - 1) * columns[:, source]
    affine[:3, :3] = np.round(affine[:3, :3], 5) + 0.0  # + 0.0 turns -0.0 into 0.0
    affine[:3, 3] = np.round(origin, 4) + 0.0
    array = np.transpose(volume.array, (2 - k, 2 - j, 2 - i))
    array = array[tuple(slice(None, None, int(sign)) for sign in reversed(signs))]
    ordered = np.ascontiguousarray(array)
    return Volume(ordered, affine, volume.name, volume.slice_thickness, across=0, doubts=volume.doubts)


def _alignment(direction: Array, order: tuple[int, int, int]) -> tuple[float, ...]:
    """How nearly a line points along the patient axes in `order`; compares alike whichever way the line is read."""
    unit = direction / np.linalg.norm(direction) * _sign(direction)
    return tuple(np.round(np.abs(unit[list(order)]), 4)) + tuple(np.round(unit[list(order)], 4))


def _sign(direction: Array) -> float:
    """+1 or -1, so that the dominating component becomes positive; near ties go to S, then A, then R."""
    size = np.abs(direction)
    dominating = max(axis for axis in range(3) if size[axis] >= size.max() * (1 - 1e-4))
    return 1.0 if direction[dominating] > 0 else -1.0


def check_geometry(volume: Volume) -> None:
    """Raise InputError unless `volume` is a 3D array of numbers on a square, finite grid.

    Raises:
        InputError: not 3D, empty, not numbers, slices or voxels larger than a body, or an affine with NaN, without
            volume, or sheared (with the angle).
    """
    array, name = volume.array, volume.name
    if array.ndim != 3:
        raise InputError(f"{name} has {array.ndim} dimensions, expected 3.", "Give one 3D image.")
    if array.size == 0 or array.dtype.kind not in "buif":
        raise InputError(f"{name} holds no real numbers (shape {array.shape}, type {array.dtype}).")
    check_affine(volume.ijk_to_ras, name)
    thickness = volume.slice_thickness
    if thickness is not None and not MIN_THICKNESS <= thickness <= MAX_SPACING:
        found = "thicker than a body" if thickness > MAX_SPACING else "which is no thickness"
        raise InputError(f"{name} states slices of {thickness:g} mm, {found}.", "Export the image again.")


def check_affine(ijk_to_ras: Array, name: str) -> None:
    """Raise InputError unless the affine is finite, invertible and free of shear.

    Raises:
        InputError: with the angle by which two axes miss the right angle.
    """
    if ijk_to_ras.shape != (4, 4) or not np.isfinite(ijk_to_ras).all():
        raise InputError(f"{name}: the geometry holds values that are not finite numbers.", "Export the image again.")
    columns = ijk_to_ras[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    if spacing.min() < 1e-6:
        raise InputError(
            f"{name}: the geometry is singular, an axis has no length (spacing {_text(spacing)} mm).",
            "Export the image again.",
        )
    if spacing.max() > MAX_SPACING:
        raise InputError(
            f"{name} states voxels of {_text(spacing)} mm, larger than any scanner's.", "Export the image again."
        )
    unit = columns / spacing
    cosines = np.abs((unit.T @ unit)[np.triu_indices(3, 1)])
    if cosines.max() > MAX_SHEAR:
        pair = ("i and j", "i and k", "j and k")[int(cosines.argmax())]
        degrees = np.degrees(np.arcsin(min(1.0, cosines.max())))
        raise InputError(
            f"{name}: the grid is sheared, axes {pair} miss the right angle by {degrees:.2f} degrees.",
            "Resample the image onto a square grid first (Slicer: Resample Scalar/Vector/DWI Volume).",
        )


def check_finite(volume: Volume) -> None:
    """Raise InputError, with their number, where voxels are NaN or infinite."""
    bad = 0 if volume.array.dtype.kind != "f" else int(np.count_nonzero(~np.isfinite(volume.array)))
    if bad:
        raise InputError(
            f"{volume.name}: {bad} of {volume.array.size} voxels are NaN or infinite.",
            "Replace them by numbers, or export the image again.",
        )


def _text(values: Array) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
