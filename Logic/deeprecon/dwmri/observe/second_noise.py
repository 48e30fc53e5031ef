"""Second estimates of the noise level, from the background and from repeated b0: a check of the first.

Where volumes are few, they take its place.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.doubts import Doubt
from deeprecon.dwmri.filters import gradient_magnitude, smooth_in_mask

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MAX_RATIO = 2.0
"""Of the noise level to a second estimate, or of this to the level, from which the two contradict each other."""
FEW_VOLUMES = 10
"""Under which anatomy counts as noise where no volume repeats another: 1 b0 and 3 directions at SNR 30 gave 1.8 times
the noise, 1 b0 and 6 directions 1.2 times, 1 b0 and 12 directions what it was."""
MIN_VOXELS = 100
"""Of a corner that are needed, and of a mask."""
RAYLEIGH_QUARTILES, NORMAL_QUARTILES = 0.9066, 1.349
"""Distance of the quartiles of magnitudes without signal, and of Gaussian noise, in units of sigma."""
B0_TOLERANCE = 5.0
"""s/mm2 by which repeated b0 may differ."""
DRIFT_SCALE, EDGE_SCALE = 2.0, 1.0
"""Voxels over which the difference of repeats is smoothed to find their drift, and edges are measured."""


@dataclass(frozen=True)
class SecondNoise:
    """Second estimates of the noise level, each None where the scan does not allow it.

    Attributes:
        background: from the corners of the field of view.
        repeated: from the difference of repeated b0 in the mask.
    """

    background: float | None
    repeated: float | None

    @property
    def levels(self) -> list[float]:
        """Those that there are."""
        return [level for level in (self.background, self.repeated) if level is not None]


def second_estimate(
    array: Floats, table: GradientTable, mask: Mask, signed: bool, independent: Mask | None = None
) -> SecondNoise:
    """Second estimates of the noise level.

    Args:
        array: (k, j, i, V).
        table: of the V volumes.
        mask: (k, j, i) of the head.
        signed: whether these are no magnitudes.
        independent: (V,) volumes with independent noise, which alone are used; all if left out.
    """
    if independent is not None:
        array, table = array[..., independent], table.subset(independent)
    return SecondNoise(_background(array, mask, signed), _repeated(array, table, mask))


def level_of_few(level: float, second: SecondNoise) -> float:
    """The level of a scan with few volumes: that of repeated b0, else that of the background.

    The background's may be lower than the head's, as with parallel imaging, or filtered by the scanner: it counts down
    to half of the level that was found.

    Args:
        level: as found from all volumes, or neighbors where there are under four; anatomy may have made it too high.
        second: of the same scan.
    """
    if second.repeated is not None:
        return second.repeated
    return level if second.background is None else float(np.clip(second.background, level / MAX_RATIO, level))


def noise_doubts(level: float, volumes: int, second: SecondNoise, name: str) -> tuple[Doubt, ...]:
    """The doubts about a noise level that is far from the second estimates, or has to be taken from the background.

    Args:
        level: of the noise.
        volumes: with independent noise.
        second: of the same scan.
        name: of the scan.
    """
    found = []
    if volumes < FEW_VOLUMES and second.repeated is None:
        source = "volumes and neighbors" if second.background is None else "background"
        found.append(
            Doubt(
                "noise-uncertain",
                name,
                f"{volumes} volumes, none repeated, do not tell noise from anatomy: the noise level is {level:.4g} by "
                f"its {source}.",
                "Look for anatomy in the residual; a second b0 would tell.",
                assumed=True,
            )
        )
    if second.levels and level * MAX_RATIO < min(second.levels):
        found.append(
            Doubt(
                "noise-too-low",
                name,
                f"the noise level is {level:.4g}, but {min(second.levels):.4g} by the background and repeated b0: "
                "little would be removed.",
                "Look for volumes that were averaged, repeated or filtered, and leave them out with --exclude.",
            )
        )
    if second.levels and level > MAX_RATIO * max(second.levels):
        found.append(
            Doubt(
                "noise-too-high",
                name,
                f"the noise level is {level:.4g}, but {max(second.levels):.4g} by the background and repeated b0: "
                "anatomy would be removed.",
                "Look for volumes that moved or lost their signal, and leave them out with --exclude.",
            )
        )
    return tuple(found)


def _background(array: Floats, mask: Mask, signed: bool) -> float | None:
    """The lowest level of the corners of the field of view, where the scanner did not set them to 0.

    Elsewhere around the head lie the scalp and ghosts of it.
    """
    levels = []
    for corner in product(*[(slice(0, count // 4), slice(count - count // 4, count)) for count in mask.shape[1:]]):
        around = array[:, corner[0], corner[1]][~mask[:, corner[0], corner[1]]]
        noise = around[(around != 0).all(axis=-1)]
        if len(noise) >= max(MIN_VOXELS, 0.5 * len(around)):
            low, high = np.quantile(noise, (0.25, 0.75), axis=0)
            levels.append(float(np.median(high - low)) / (NORMAL_QUARTILES if signed else RAYLEIGH_QUARTILES))
    return min(levels, default=None)


def _repeated(array: Floats, table: GradientTable, mask: Mask) -> float | None:
    """The median level of the differences of repeated b0; None where none repeats another, or only as its copy."""
    numbers = np.flatnonzero(table.b0)
    pairs = [
        _difference(array[..., one], array[..., other], mask)
        for one, other in itertools.pairwise(numbers)
        if abs(table.bvals[one] - table.bvals[other]) <= B0_TOLERANCE
    ]
    levels = [level for level in pairs if level > 0]
    return float(np.median(levels)) if levels and mask.sum() >= MIN_VOXELS else None


def _difference(one: Floats, other: Floats, mask: Mask) -> float:
    """The noise level from the difference of two repeats (k, j, i), by its median in the flatter half of the mask.

    Scanners drift: the repeats' gain and what is smooth in the difference are taken off. Where the image is flat,
    motion changes little.
    """
    gain = float(np.median(one[mask])) / max(float(np.median(other[mask])), 1e-12)
    difference = one - np.float32(gain) * other
    difference -= smooth_in_mask(difference, mask, DRIFT_SCALE)
    edges = gradient_magnitude(one + other, EDGE_SCALE)
    flat = difference[mask & (edges <= np.median(edges[mask]))].astype(np.float64)
    return float(np.median(np.abs(flat - np.median(flat)))) / 0.6745 / float(np.hypot(1, gain))
