"""From a reconstruction to the things people open: mesh, segmentation, tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Inside
from deeprecon.data.segmentation import Segment, Segmentation
from deeprecon.scar.observe.observations import Observations, Quadrature
from deeprecon.scar.read.stacks import Stack

Floats = npt.NDArray[np.floating[Any]]
Predict = Callable[[npt.NDArray[np.float64]], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
"""(M, 3) points in RAS mm -> scar probability and uncertainty, (M,) each."""

SEGMENTATION_SPACING = 1.0  # mm

# Slicer's serialized terminology entries: category and type by their SNOMED CT codes.
_TERMINOLOGY = "Segmentation category and type - 3D Slicer General Anatomy list~SCT^{category}~SCT^{kind}~^^~~^^~^^"
_TISSUE = "85756007^Tissue"
_ALTERED = "49755003^Morphologically Altered Structure"
MYOCARDIUM = _TERMINOLOGY.format(category=_TISSUE, kind="74281007^Myocardium")
SCAR = _TERMINOLOGY.format(category=_ALTERED, kind="12402003^Scar")


def group_means(predict: Predict, quadrature: Quadrature) -> npt.NDArray[np.float32]:
    """(G,) mean probability over the wall in each pixel's prism; NaN where the prism meets no wall."""
    groups, count = quadrature.weights.shape
    probability, _ = predict(quadrature.points.reshape(-1, 3))
    mean = (probability.reshape(groups, count) * quadrature.weights).sum(axis=1)
    return np.where(quadrature.met, mean, np.nan).astype(np.float32)


def on_slices(stacks: Sequence[Stack], means: Floats) -> tuple[npt.NDArray[np.float32], ...]:
    """Group means as one (k, j, i) array a stack, 0 off the wall; groups come in the order of `observe`."""
    arrays, start = [], 0
    for stack in stacks:
        wall = stack.wall > 0
        array = np.zeros(wall.shape, np.float32)
        count = int(wall.sum())
        array[wall] = np.nan_to_num(means[start : start + count])
        start += count
        arrays.append(array)
    return tuple(arrays)


def slice_rows(observations: Observations, quadrature: Quadrature, means: Floats) -> list[dict[str, Any]]:
    """One row per slice that shows wall: what was observed, what was reconstructed, how well they agree."""
    rows = []
    for number, plane in enumerate(observations.planes):
        chosen = (observations.slice_id == number) & quadrature.met
        if not chosen.any():
            continue
        share = observations.wall[chosen]
        y, mean = observations.y[chosen], means[chosen]
        rows.append(
            {
                "stack": plane.stack + 1,
                "slice": plane.index + 1,
                "wall pixels": int(chosen.sum()),
                "observed scar %": round(100 * float(np.average(y, weights=share)), 1),
                "reconstructed scar %": round(100 * float(np.average(mean, weights=share)), 1),
                "residual RMS": round(float(np.sqrt(np.average((mean - y) ** 2, weights=share))), 3),
                "wall within the mesh %": round(100 * float(quadrature.overlap[number]), 1),
                "shift mm": round(float(np.linalg.norm(plane.shift)), 2),
                **_vector("shift", plane.shift),
                **_vector("origin", plane.origin),
                **_vector("normal", plane.normal),
                "thickness mm": round(plane.thickness, 3),
            }
        )
    return rows


def _vector(name: str, vector: Floats) -> dict[str, float]:
    """Columns for the three parts of a vector in RAS."""
    return {f"{name} {axis}": round(float(value), 4) for axis, value in zip("RAS", vector, strict=True)}


@dataclass(frozen=True, eq=False)
class Grid:
    """A reconstruction on cubes of SEGMENTATION_SPACING along the axes of a stack.

    Attributes:
        wall: (k, j, i) bool.
        scar: (k, j, i) float32 probability, 0 off the wall.
        core: (k, j, i) float32 probability of scar core, or None where it has none of its own.
        ijk_to_ras: (4, 4).
    """

    wall: npt.NDArray[np.bool_]
    scar: npt.NDArray[np.float32]
    core: npt.NDArray[np.float32] | None
    ijk_to_ras: npt.NDArray[np.float64]


def on_grid(predict: Predict, core: Predict | None, inside: Inside, stack: Stack, box: Floats) -> Grid:
    """Read a reconstruction on a grid.

    Args:
        predict: of scar.
        core: of scar core, or None.
        inside: tells the wall.
        stack: gives the axes.
        box: (2, 3) RAS corners, or any (M, 3) points that span the wall.
    """
    axes = stack.ijk_to_ras[:3, :3] / np.linalg.norm(stack.ijk_to_ras[:3, :3], axis=0)
    local = box @ np.linalg.inv(axes).T
    low, high = local.min(axis=0), local.max(axis=0)
    shape = np.ceil((high - low) / SEGMENTATION_SPACING).astype(int) + 1
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = axes * SEGMENTATION_SPACING
    ijk_to_ras[:3, 3] = axes @ low
    k, j, i = np.indices(shape[::-1])
    points = np.stack([i, j, k], axis=-1).reshape(-1, 3) @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]
    wall = inside(points)

    def values(of: Predict) -> npt.NDArray[np.float32]:
        result = np.zeros(len(points), np.float32)
        result[wall] = of(points[wall])[0]
        return result.reshape(k.shape)

    return Grid(wall.reshape(k.shape), values(predict), None if core is None else values(core), ijk_to_ras)


def segment(grid: Grid, cutoff: float, core_cutoff: float) -> Segmentation:
    """Scar core, border zone and healthy wall.

    Args:
        grid: the reconstruction.
        cutoff: probability above which a voxel is scar.
        core_cutoff: that above which scar is core, where the core has no probability of its own.
    """
    scar = grid.wall & (grid.scar > cutoff)
    core = scar & (grid.scar > core_cutoff if grid.core is None else grid.core > cutoff)
    return Segmentation(
        (
            Segment("Healthy myocardium", grid.wall & ~scar, (0.87, 0.72, 0.66), MYOCARDIUM),
            Segment("Scar border zone", scar & ~core, (1.0, 0.62, 0.2), SCAR),
            Segment("Scar core", core, (0.75, 0.05, 0.1), SCAR),
        ),
        grid.ijk_to_ras,
        "Scar reconstruction",
    )
