"""Gradient tables of diffusion scans: b-values and directions in the patient, and their forms in files.

Directions are unit vectors in RAS inside this library. NIfTI images have them in separate files, in FSL's convention:
along the image axes, the first component negated where det(affine) > 0 (BIDS specification, section on bvec files;
https://fsl.fmrib.ox.ac.uk/fsl/fslwiki/FDT/FAQ). NRRD files keep them in a measurement frame, with b-values as lengths.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import write_text

Array = npt.NDArray[np.float64]

B0_THRESHOLD = 50.0
"""s/mm2 up to which a volume counts as b0; scanners write up to about 5 for it."""
MAX_LOWEST_SHELL = 100.0
"""s/mm2 up to which the lowest shell counts as b0 where there is none: 55 to 65 in the Human Connectome Project."""
LOWEST_SHELL_RANGE = 1.3
"""Highest over lowest b-value of that shell."""
GE_OFFSET = 1e9
"""Added by GE's scanners to b-values, s/mm2."""
MAX_B = 100_000.0
"""s/mm2 that no scanner exceeds."""
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
        b0_threshold: s/mm2 up to which a volume counts as b0.
        left_out: numbers of volumes that are not to be used, as the user said so or the scanner computed them.
        doubts: about the table.
    """

    bvals: Array
    directions: Array
    b0_threshold: float = B0_THRESHOLD
    left_out: tuple[int, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    def __len__(self) -> int:
        return len(self.bvals)

    @property
    def b0(self) -> npt.NDArray[np.bool_]:
        """(V,) which volumes are not diffusion weighted."""
        return self.bvals <= self.b0_threshold

    @property
    def used(self) -> GradientTable:
        """The table of the volumes that are not left out."""
        return self.subset(np.setdiff1d(np.arange(len(self)), self.left_out))

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
        return _count_distinct(self.directions[~self.b0])

    @property
    def stated_directions(self) -> int:
        """How many directions differ, those of b0 volumes among them."""
        return _count_distinct(self.directions[np.linalg.norm(self.directions, axis=1) > 0.5])

    def subset(self, volumes: npt.NDArray[np.generic]) -> GradientTable:
        """The table of some volumes, given by number or as a mask."""
        return replace(self, bvals=self.bvals[volumes], directions=self.directions[volumes], left_out=())


@dataclass(frozen=True)
class Choices:
    """What the user says about the volumes of a scan.

    Attributes:
        b0_threshold: s/mm2 up to which a volume counts as b0.
        exclude: numbers of volumes to leave out.
    """

    b0_threshold: float = B0_THRESHOLD
    exclude: tuple[int, ...] = ()


def gradient_table(
    bvals: npt.ArrayLike,
    directions: npt.ArrayLike,
    name: str = "the gradient table",
    choices: Choices | None = None,
) -> GradientTable:
    """A checked table.

    GE's offset is taken off the b-values, the lowest shell counts as b0 where there is none, and the averages over the
    directions that scanners append to a shell are left out; the table's doubts say so.

    Args:
        bvals: (V,) s/mm2.
        directions: (V, 3) in RAS, lengths near 1, zero or NaN where there is none; those of b0 may have any length.
        name: of the file, for messages.
        choices: of the user; the usual ones if left out.

    Raises:
        InputError: b-values that are negative, not finite or beyond any scanner, directions that are missing or not
            near length 1, volumes to leave out that there are not.
    """
    choices = choices or Choices()
    b = np.array(bvals, float).ravel()
    vectors = np.array(directions, float)
    if vectors.shape != (len(b), 3):
        raise InputError(
            f"{name}: {len(b)} b-values but directions of shape {vectors.shape}.", "Give the files of the same scan."
        )
    if beyond := [number for number in choices.exclude if number >= len(b)]:
        raise InputError(f"{name}: there is no volume {beyond[0]} to exclude.", f"Its volumes are 0 to {len(b) - 1}.")
    used = ~np.isin(np.arange(len(b)), choices.exclude)
    b[~used], vectors[~used] = 0.0, 0.0
    b, doubts = _without_offset(b, name)
    threshold, lowest = _b0_threshold(b, used, choices.b0_threshold, name)
    weighted = b > threshold
    vectors[~np.isfinite(vectors).all(axis=1)] = 0.0
    lengths = np.linalg.norm(vectors, axis=1)
    averages = _averages(b, weighted, lengths, name)
    wrong = weighted & ~averages & (np.abs(lengths - 1) > NORM_TOLERANCE)
    if wrong.any():
        raise InputError(
            f"{name}: the direction of volume {_numbers(wrong)} has length {lengths[wrong][0]:.3f}, expected 1.",
            "Where lengths scale the b-values (MRtrix), write the true b-values and unit vectors.",
        )
    units = np.divide(vectors, lengths[:, None], out=np.zeros_like(vectors), where=lengths[:, None] > 1e-3)
    doubts += lowest
    if averages.any():
        text = f"volume {_numbers(averages)} is an average over the directions (b without direction), and is left out."
        doubts += (Doubt("trace-volume", name, text, "Nothing needs to be done.", assumed=True),)
    left_out = tuple(int(number) for number in np.flatnonzero(averages | ~used))
    return GradientTable(b, units, threshold, left_out, doubts)


def _count_distinct(directions: Array) -> int:
    kept: list[Array] = []
    for direction in directions:
        if not any(abs(float(direction @ other)) > SAME_DIRECTION for other in kept):
            kept.append(direction)
    return len(kept)


def _without_offset(b: Array, name: str) -> tuple[Array, tuple[Doubt, ...]]:
    """b-values without GE's offset, and the doubt about it."""
    if not np.isfinite(b).all() or (b < 0).any():
        raise InputError(f"{name}: b-values must be finite and not negative.", "Convert the scan again.")
    doubts: tuple[Doubt, ...] = ()
    offset = b >= GE_OFFSET
    if offset.any():
        b = np.where(offset, b - GE_OFFSET, b)
        text = f"b-values of {GE_OFFSET:.0f} and more are taken for GE's, which add this number."
        doubts = (Doubt("ge-b-values", name, text, "Convert the scan with a current dcm2niix.", assumed=True),)
    if (b > MAX_B).any():
        raise InputError(
            f"{name}: the b-value of volume {_numbers(b > MAX_B)} is {b.max():.0f} s/mm2, beyond any scanner's.",
            "Convert the scan again, or correct its b-values.",
        )
    return b, doubts


def _b0_threshold(
    b: Array, used: npt.NDArray[np.bool_], threshold: float, name: str
) -> tuple[float, tuple[Doubt, ...]]:
    """The b-value up to which volumes count as b0, and the doubt about it where it is not the one asked for."""
    lowest = float(b[used].min(initial=np.inf))
    if not threshold < lowest <= MAX_LOWEST_SHELL:
        return threshold, ()
    shell = used & (b <= min(MAX_LOWEST_SHELL, LOWEST_SHELL_RANGE * lowest))
    if shell[used].all():
        return threshold, ()
    text = (
        f"no volume has a b-value up to {threshold:g}: the {shell.sum()} of b = {lowest:g} to {b[shell].max():g} count "
        "as b0."
    )
    return float(b[shell].max()), (Doubt("b0-threshold", name, text, "Set it with --b0-threshold.", assumed=True),)


def _averages(b: Array, weighted: npt.NDArray[np.bool_], lengths: Array, name: str) -> npt.NDArray[np.bool_]:
    """(V,) the volumes without direction that follow all others of their b-value, one for each.

    Raises:
        InputError: other volumes have none.
    """
    missing = weighted & (lengths < 1e-3)
    found = np.zeros(len(b), bool)
    for number in np.flatnonzero(missing):
        shell = weighted & (np.abs(b - b[number]) <= SHELL_TOLERANCE * b[number])
        others = np.flatnonzero(shell & ~missing)
        found[number] = (shell & missing).sum() == 1 and len(others) > 0 and others.max() < number
    if (wrong := missing & ~found).any():
        raise InputError(
            f"{name}: volume {_numbers(wrong)} has a b-value but no direction.",
            f"Leave out averages and maps that scanners append to a series, with --exclude {_numbers(wrong, ',')}.",
        )
    return found


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


def from_fsl(
    bvals: Array,
    bvecs: Array,
    ijk_to_ras: Array,
    name: str = "the gradient table",
    choices: Choices | None = None,
) -> GradientTable:
    """A table from FSL's b-values (V,) and vectors (V, 3) of an image with this affine.

    Raises:
        InputError: see `gradient_table`.
    """
    return gradient_table(bvals, np.asarray(bvecs, float) @ fsl_to_ras(ijk_to_ras).T, name, choices)


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


def _numbers(which: npt.NDArray[np.bool_], separator: str = ", ") -> str:
    return separator.join(str(number) for number in np.flatnonzero(which)[:5])
