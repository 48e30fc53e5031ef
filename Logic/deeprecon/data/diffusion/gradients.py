"""Gradient tables of diffusion scans: b-values and directions in the patient, and their forms in files.

Directions are unit vectors in RAS inside this library. NIfTI images have them in separate files, in FSL's convention:
along the image axes, the first component negated where det(affine) > 0 (BIDS specification, section on bvec files;
https://fsl.fmrib.ox.ac.uk/fsl/fslwiki/FDT/FAQ). NRRD files keep them in a measurement frame, with b-values as lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import write_text

Array = npt.NDArray[np.float64]

B0_THRESHOLD = 50.0
"""s/mm2 up to which a volume counts as b0; scanners write up to about 5 for it."""
SHELL_TOLERANCE = 0.05
"""Share of a shell's b-value by which its volumes may differ: scanners jitter them, as 995 and 1005."""
NORM_TOLERANCE = 0.05
"""By which the length of a direction may differ from 1."""
SAME_DIRECTION = 0.9998
"""Cosine from which two directions are the same one: 1.1 degrees."""


@dataclass(frozen=True, eq=False)
class GradientTable:
    """The diffusion weighting of each volume of a scan.

    Attributes:
        bvals: (V,) float64, s/mm2.
        directions: (V, 3) float64 unit vectors in RAS; zero where none is given, as for most b0.
    """

    bvals: Array
    directions: Array

    def __len__(self) -> int:
        return len(self.bvals)

    @property
    def b0(self) -> npt.NDArray[np.bool_]:
        """(V,) which volumes are not diffusion weighted."""
        return self.bvals <= B0_THRESHOLD

    @property
    def weighted_directions(self) -> Array:
        """(V, 3) the directions, zero for b0, where those of files are often arbitrary."""
        return np.where(self.b0[:, None], 0.0, self.directions)

    @property
    def shells(self) -> list[tuple[float, npt.NDArray[np.int64]]]:
        """Mean b-value and volume numbers of each shell, b0 left out, from the lowest b-value up."""
        order = [int(volume) for volume in np.argsort(self.bvals, kind="stable") if not self.b0[volume]]
        groups: list[list[int]] = []
        for volume in order:
            near = groups and self.bvals[volume] <= (1 + 2 * SHELL_TOLERANCE) * self.bvals[groups[-1][0]]
            if near:
                groups[-1].append(volume)
            else:
                groups.append([volume])
        return [(float(self.bvals[group].mean()), np.array(sorted(group))) for group in groups]

    @property
    def distinct_directions(self) -> int:
        """How many diffusion-weighted directions differ; opposite ones are the same."""
        kept: list[Array] = []
        for direction in self.directions[~self.b0]:
            if not any(abs(float(direction @ other)) > SAME_DIRECTION for other in kept):
                kept.append(direction)
        return len(kept)

    def subset(self, volumes: npt.NDArray[np.generic]) -> GradientTable:
        """The table of some volumes, given by number or as a mask."""
        return GradientTable(self.bvals[volumes], self.directions[volumes])


def gradient_table(bvals: npt.ArrayLike, directions: npt.ArrayLike, name: str = "the gradient table") -> GradientTable:
    """A checked table.

    Args:
        bvals: (V,) s/mm2.
        directions: (V, 3) in RAS, lengths near 1; b0 volumes may have any length, zero and NaN too.
        name: of the file, for messages.

    Raises:
        InputError: b-values that are negative or not finite, directions that are missing, not finite or not near
            length 1.
    """
    b = np.asarray(bvals, float).ravel()
    vectors = np.array(directions, float)
    if vectors.shape != (len(b), 3):
        raise InputError(
            f"{name}: {len(b)} b-values but directions of shape {vectors.shape}.", "Give the files of the same scan."
        )
    if not np.isfinite(b).all() or (b < 0).any():
        raise InputError(f"{name}: b-values must be finite and not negative.", "Convert the scan again.")
    weighted = b > B0_THRESHOLD
    vectors[~weighted & ~np.isfinite(vectors).all(axis=1)] = 0.0
    bad = weighted & ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise InputError(f"{name}: the direction of volume {_numbers(bad)} is not finite.", "Convert the scan again.")
    lengths = np.linalg.norm(vectors, axis=1)
    wrong = weighted & (np.abs(lengths - 1) > NORM_TOLERANCE)
    if (wrong & (lengths < 1e-3)).any():
        raise InputError(
            f"{name}: volume {_numbers(wrong & (lengths < 1e-3))} has a b-value but no direction.",
            "Leave out trace and ADC images, which scanners append to a series.",
        )
    if wrong.any():
        raise InputError(
            f"{name}: the direction of volume {_numbers(wrong)} has length {lengths[wrong][0]:.3f}, expected 1.",
            "Where lengths scale the b-values (MRtrix), write the true b-values and unit vectors.",
        )
    units = np.divide(vectors, lengths[:, None], out=np.zeros_like(vectors), where=lengths[:, None] > 1e-3)
    return GradientTable(b, units)


def image_rotation(ijk_to_ras: Array) -> Array:
    """(3, 3) the rotation or reflection nearest to an affine's axes, without their lengths (polar decomposition)."""
    columns = ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    left, _, right = np.linalg.svd(columns)
    nearest: Array = left @ right
    return nearest


def fsl_to_ras(ijk_to_ras: Array) -> Array:
    """(3, 3) from FSL's directions to RAS; its transpose leads back."""
    rotation = image_rotation(ijk_to_ras)
    flip = np.diag([-1.0 if np.linalg.det(rotation) > 0 else 1.0, 1.0, 1.0])
    matrix: Array = rotation @ flip
    return matrix


def from_fsl(bvals: Array, bvecs: Array, ijk_to_ras: Array, name: str = "the gradient table") -> GradientTable:
    """A table from FSL's b-values (V,) and vectors (V, 3) of an image with this affine.

    Raises:
        InputError: see `gradient_table`.
    """
    return gradient_table(bvals, np.asarray(bvecs, float) @ fsl_to_ras(ijk_to_ras).T, name)


def to_fsl(table: GradientTable, ijk_to_ras: Array) -> Array:
    """(V, 3) the directions in FSL's convention for an image with this affine."""
    vectors: Array = table.directions @ fsl_to_ras(ijk_to_ras) + 0.0
    return vectors


def read_fsl(bval: Path, bvec: Path, volumes: int) -> tuple[Array, Array]:
    """The numbers of a .bval and a .bvec file as (V,) and (V, 3), in FSL's frame, not checked further.

    Vectors may stand in three rows or in three columns, apart by blanks, tabs or commas.

    Raises:
        InputError: a file is missing or no table of numbers, or their counts do not fit the image.
    """
    b = _read_numbers(bval).ravel()
    vectors = _read_numbers(bvec)
    if len(b) != volumes:
        raise InputError(f"{bval} has {len(b)} b-values for {volumes} volumes.", "Give the file of this scan.")
    if vectors.shape == (volumes, 3) and volumes != 3:
        return b, vectors
    if vectors.shape == (3, volumes):
        return b, vectors.T
    raise InputError(
        f"{bvec} has {' x '.join(map(str, vectors.shape))} numbers, expected 3 x {volumes} (or {volumes} x 3) for "
        f"{volumes} volumes.",
        "Give the file of this scan.",
    )


def write_fsl(bval: Path, bvec: Path, table: GradientTable, ijk_to_ras: Array) -> None:
    """Write .bval and .bvec for an image with this affine, atomically; three rows of vectors."""
    write_text(bval, " ".join(_short(b, 6) for b in table.bvals) + "\n")
    rows = to_fsl(table, ijk_to_ras).T
    write_text(bvec, "\n".join(" ".join(_short(value, 8) for value in row) for row in rows) + "\n")


def table_warnings(table: GradientTable) -> list[str]:
    """Warnings about properties of a table that limit its use, in words."""
    warnings = []
    if not table.b0.any():
        warnings.append("No volume has b = 0: neither FA nor MD can be computed from a single shell.")
    weighted = int((~table.b0).sum())
    distinct = table.distinct_directions
    if 0 < distinct < 6:
        warnings.append(f"{distinct} directions are too few for a tensor, which needs 6.")
    elif 6 <= distinct < 15:
        warnings.append(f"{distinct} directions are few: volumes share less, and denoising gains less.")
    if 0 < distinct < weighted:
        warnings.append(f"{weighted - distinct} of {weighted} weighted volumes repeat a direction; all are kept.")
    return warnings


def _read_numbers(path: Path) -> Array:
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = [[float(number) for number in line.replace(",", " ").split()] for line in text.splitlines()]
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.", "Check the path.") from error
    except ValueError as error:  # UnicodeDecodeError is one too
        raise InputError(f"{path} is no table of numbers.", "Give the .bval and .bvec file of the scan.") from error
    rows = [row for row in rows if row]
    if not rows or len({len(row) for row in rows}) > 1:
        raise InputError(f"{path} is no table of numbers: its rows differ in length.", "Convert the scan again.")
    return np.array(rows, float)


def _short(value: float, digits: int) -> str:
    return str(int(value)) if value == int(value) else f"{value:.{digits}f}".rstrip("0")


def _numbers(which: npt.NDArray[np.bool_]) -> str:
    return ", ".join(str(number) for number in np.flatnonzero(which)[:5])
