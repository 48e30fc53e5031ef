"""A diffusion scan: a series of volumes on one grid and what each was weighted with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable, from_fsl
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.formats.nifti import Details
from deeprecon.data.volume import Volume, check_affine

MIN_DIRECTIONS = 6
"""Different directions that show that a scan was weighted, whatever its b-values say."""
_SIGNED = {"phase-image", "real-valued"}
"""Codes of doubts about scans whose negative values count."""


@dataclass(frozen=True, eq=False)
class DwiScan:
    """A 4D diffusion scan with its geometry and gradients.

    Attributes:
        array: (k, j, i, V), volumes last as in Slicer's diffusion nodes.
        ijk_to_ras: (4, 4) float64, voxel index (i, j, k, 1) to RAS mm.
        gradients: of the V volumes.
        name: file or node it came from, for messages.
        keys: further content of its NRRD file, as `key:=value`, for the NRRD file that it is written to.
        notes: for the user, about how it was read.
        doubts: about its file and its values.
        left_out: numbers, in the file, of volumes that this scan lacks.
        details: what else the header of its NIfTI file states, for that which it is written to.
        scaling: slope and intercept by which the values follow from the numbers in the file.
    """

    array: npt.NDArray[np.generic]
    ijk_to_ras: npt.NDArray[np.float64]
    gradients: GradientTable
    name: str = "scan"
    keys: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    left_out: tuple[int, ...] = ()
    details: Details | None = None
    scaling: tuple[float, float] = (1.0, 0.0)

    @classmethod
    def from_fsl(
        cls,
        array: npt.NDArray[np.generic],
        ijk_to_ras: npt.NDArray[np.float64],
        bvals: npt.ArrayLike,
        bvecs: npt.ArrayLike,
        name: str = "scan",
    ) -> DwiScan:
        """A scan from the numbers of .bval and .bvec files.

        Args:
            array: (k, j, i, V).
            ijk_to_ras: (4, 4), voxel index (i, j, k, 1) to RAS mm.
            bvals: (V,) in s/mm2.
            bvecs: (3, V) or (V, 3), in FSL's convention for this affine.
            name: for messages.

        Raises:
            InputError: the gradients do not fit the array or contradict themselves, or a broken geometry.
        """
        affine, b, vectors = (np.asarray(values, np.float64) for values in (ijk_to_ras, bvals, bvecs))
        if vectors.shape == (3, len(b)):
            vectors = vectors.T
        if b.ndim != 1 or vectors.shape != (len(b), 3):
            raise InputError(f"{name}: b-values are {b.shape}, vectors {vectors.shape}, expected (V,) and (3, V).")
        check_affine(affine, name)
        scan = cls(array, affine, from_fsl(b, vectors, affine, name), name)
        check_scan(scan)
        return scan

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i) voxels of each volume."""
        k, j, i, _ = self.array.shape
        return k, j, i

    @property
    def signed(self) -> bool:
        """Whether negative values are kept, and there is no bias of magnitudes, since this is none."""
        return any(doubt.code in _SIGNED for doubt in self.doubts)

    @property
    def spacing(self) -> npt.NDArray[np.float64]:
        """(3,) voxel size along i, j, k in mm."""
        spacing: npt.NDArray[np.float64] = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return spacing

    def volume(self, array: npt.NDArray[np.generic], name: str = "") -> Volume:
        """An array (k, j, i) on the grid of the scan."""
        return Volume(array, self.ijk_to_ras, name or self.name)

    def with_array(self, array: npt.NDArray[np.generic]) -> DwiScan:
        """The same scan with other values."""
        return replace(self, array=array)

    def volumes(self, chosen: npt.NDArray[np.generic]) -> DwiScan:
        """Some of the volumes, by number or as a mask."""
        return replace(self, array=self.array[..., chosen], gradients=self.gradients.subset(chosen))

    def number_of(self, volume: int) -> int:
        """The number here of a volume of the file; -1 for one that was left out."""
        return -1 if volume in self.left_out else volume - sum(other < volume for other in self.left_out)


def usable_scan(scan: DwiScan) -> DwiScan:
    """A checked scan without the volumes that its table leaves out, and with the table's doubts as its own.

    Raises:
        InputError: see `check_scan`.
    """
    table = scan.gradients
    if len(table) != scan.array.shape[-1]:
        check_scan(scan)
    if table.left_out:
        kept = np.setdiff1d(np.arange(len(table)), table.left_out)
        scan = replace(scan.volumes(kept), left_out=table.left_out)
    known = {doubt.code for doubt in scan.doubts}
    scan = replace(scan, doubts=(*scan.doubts, *(doubt for doubt in table.doubts if doubt.code not in known)))
    check_scan(scan)
    if scan.gradients.b0.all() and "b0-only" not in known:
        text = "it has no diffusion-weighted volume, so that there is no tensor."
        doubt = Doubt("b0-only", scan.name, text, "Check that --bval belongs to this scan.", assumed=True)
        scan = replace(scan, doubts=(*scan.doubts, doubt))
    return scan


def check_scan(scan: DwiScan) -> None:
    """Raise InputError unless a scan can be worked on.

    Raises:
        InputError: not 4D, a single weighted volume, a table of another length, no real numbers, a broken geometry, or
            nothing but one value.
    """
    array = scan.array
    if array.ndim != 4:
        raise InputError(f"{scan.name} is {array.ndim}D, expected 4D.", "Give the whole series, not one volume of it.")
    if array.size == 0 or array.dtype.kind not in "iuf":
        raise InputError(f"{scan.name} holds no real numbers (shape {array.shape}, type {array.dtype}).")
    if len(scan.gradients) != array.shape[-1]:
        raise InputError(f"{scan.name} has {array.shape[-1]} volumes but {len(scan.gradients)} gradients.")
    if array.shape[-1] < 2 and not scan.gradients.b0.all():
        raise InputError(f"{scan.name} has a single volume, which is diffusion weighted.", "Give the whole series.")
    check_affine(scan.ijk_to_ras, scan.name)
    if scan.gradients.b0.all() and scan.gradients.stated_directions >= MIN_DIRECTIONS:
        raise InputError(
            f"{scan.name} has directions but no diffusion-weighted volume: every b-value is at most "
            f"{scan.gradients.b0_threshold:g}.",
            "Check that --bval belongs to this scan, and is in s/mm2.",
        )
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    if finite.size == 0 or finite.min() == finite.max():
        raise InputError(f"{scan.name} has the same value everywhere.", "Export the scan again.")


def with_finite_values(scan: DwiScan) -> tuple[DwiScan, int]:
    """The scan as float32 with NaN, infinite and negative voxels set to 0, and their number.

    Magnitudes are never negative; interpolation and some exports leave such values in the background. Negative values
    of a signed scan are kept.
    """
    array = scan.array.astype(np.float32)
    bad = ~np.isfinite(array)
    if not scan.signed:
        bad |= array < 0
    array[bad] = 0.0
    return scan.with_array(array), int(bad.sum())
