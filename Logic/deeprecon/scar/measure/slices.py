"""Comparison of a reconstruction with the slices that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.scar.fit.agreement import Agreement
from deeprecon.scar.observe.observations import Observations, Quadrature
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.read.training_data import NodeGroups

Floats = npt.NDArray[np.floating[Any]]


def means_on_slices(stacks: Sequence[Stack], means: Floats) -> tuple[npt.NDArray[np.float32], ...]:
    """Means of the groups as one (k, j, i) array per stack, 0 off the wall; groups are in the order of `observe`."""
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


def node_residuals(agreed: Agreement, groups: NodeGroups) -> npt.NDArray[np.float32]:
    """(N,) mean of a node's pixel minus its observation, averaged over several pixels; NaN where no pixel is."""
    assert groups.nodes is not None
    residual = np.repeat(agreed.means - groups.values, groups.sizes)
    count = np.bincount(groups.nodes, minlength=len(agreed.probability))
    total = np.bincount(groups.nodes, residual, len(agreed.probability))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def unmet_rows(agreed: Agreement, groups: NodeGroups, observations: Observations) -> list[dict[str, Any]]:
    """One row per pixel that the agreed values do not satisfy, and the reason."""
    assert groups.numbers is not None
    nodes = np.zeros(len(observations), np.int64)
    nodes[groups.numbers] = groups.sizes
    means = np.full(len(observations), np.nan)
    means[groups.numbers] = agreed.means
    rows = []
    for number in np.flatnonzero(nodes == 0).tolist() + groups.numbers[agreed.unmet].tolist():
        plane = observations.planes[observations.slice_id[number]]
        center = zip("RAS", observations.centers[number], strict=True)
        rows.append(
            {
                "stack": plane.stack + 1,
                "slice": plane.index + 1,
                **{axis: round(float(value), 3) for axis, value in center},
                "nodes": int(nodes[number]),
                "observed": round(float(observations.y[number]), 4),
                "mean": round(float(means[number]), 4) if nodes[number] else "",
                "reason": "contradicts pixels that it overlaps" if nodes[number] else "no node of the mesh",
            }
        )
    return rows


def _vector(name: str, vector: Floats) -> dict[str, float]:
    """Columns for the three components of a vector in RAS."""
    return {f"{name} {axis}": round(float(value), 4) for axis, value in zip("RAS", vector, strict=True)}
