"""HU of organs and measures of the anatomy, with the labels of a phantom and without."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.body import Mask, lung_mask
from deeprecon.ctpa.simulate.solids import Label

Array = npt.NDArray[np.float64]

LABEL_HU_LIMITS = {
    Label.LUNG: (-950.0, -550.0),
    Label.HEART: (30.0, 500.0),
    Label.VESSEL: (30.0, 600.0),
    Label.BONE: (150.0, 1000.0),
    Label.MUSCLE: (-50.0, 100.0),
}
"""Plausible range of the median HU of an organ, with or without contrast in the blood."""
MIN_LABEL_VOXELS = 20
ORGAN_LIMITS = {
    "lung": LABEL_HU_LIMITS[Label.LUNG],
    "blood": LABEL_HU_LIMITS[Label.HEART],
    "bone": LABEL_HU_LIMITS[Label.BONE],
}
"""The same for the organs of `organ_medians`."""
MIN_LUNG, MIN_BLOOD, MIN_BONE = 0.5, 0.02, 0.01
"""Minimum volume of an organ in litres, for it to count as found."""
BLOOD_HU = (100, 450)
"""HU of a voxel of contrasted blood."""
CHEST_WALL, MIN_HEART_DEPTH = 20.0, 15.0
"""In mm: the outermost part of a chest, which is not searched for the heart, and the minimum depth of a heart."""


def organ_hu(hu: npt.ArrayLike, labels: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Median HU in each labelled organ of at least `MIN_LABEL_VOXELS`."""
    volume = np.asarray(hu)
    inside = {label: volume[labels == label] for label in LABEL_HU_LIMITS}
    return {
        label.name.lower(): float(np.median(values))
        for label, values in inside.items()
        if len(values) >= MIN_LABEL_VOXELS
    }


def implausible_organs(organs: Mapping[str, float]) -> list[str]:
    """A sentence for each organ whose median HU is out of its range."""
    limits = {label.name.lower(): bounds for label, bounds in LABEL_HU_LIMITS.items()}
    return [
        f"{name} has a median of {value:.0f} HU, expected {limits[name][0]:.0f} to {limits[name][1]:.0f}"
        for name, value in organs.items()
        if not limits[name][0] <= value <= limits[name][1]
    ]


def organ_medians(hu: npt.ArrayLike, grid: Grid) -> dict[str, float | None]:
    """Median HU of lung, of blood in the heart, and of bone in the spine, without labels; None for what is not found.

    The lungs are found by their HU, the others by their position relative to the lungs: the heart low between them in
    the front half, the spine behind their middle.
    """
    volume = np.asarray(hu)
    litre = float(np.prod(grid.spacing)) / 1e6
    lungs = lung_mask(volume)
    medians: dict[str, float | None] = {"lung": None, "blood": None, "bone": None}
    if lungs.sum() * litre < MIN_LUNG:
        return medians
    medians["lung"] = float(np.median(volume[lungs]))
    box = [_extent(lungs, axis, coordinates) for axis, coordinates in enumerate(grid.axes())]
    heart = volume[_part(grid, box, (0.05, 0.5), (0.2, 0.55), (0.3, 0.7))]
    spine = volume[_part(grid, box, (0.1, 0.9), (0.75, 1.25), (0.42, 0.58))]
    for name, values, minimum in (
        ("blood", heart[(heart > -50) & (heart < 700)], MIN_BLOOD),
        ("bone", spine[spine > 130], MIN_BONE),
    ):
        if values.size * litre >= minimum:
            medians[name] = float(np.median(values))
    return medians


def vessel_recall(hu: npt.ArrayLike, truth: npt.ArrayLike, labels: npt.NDArray[np.uint8]) -> float | None:
    """Share of the true vessels' voxels that are nearer to vessel than to lung; None without labels of both.

    The threshold is the mean of the median HU of the true vessels and the true lung.
    """
    wanted, volume = np.asarray(truth), np.asarray(hu)
    vessels, lung = labels == Label.VESSEL, labels == Label.LUNG
    if not vessels.any() or not lung.any():
        return None
    middle = 0.5 * (np.median(wanted[vessels]) + np.median(wanted[lung]))
    return float((volume[vessels] > middle).mean())


def lung_litres(hu: npt.ArrayLike, grid: Grid) -> float:
    """Volume of the lungs in litres."""
    return float(lung_mask(hu).sum()) * float(np.prod(grid.spacing)) / 1e6


def cardiothoracic_ratio(hu: npt.ArrayLike, grid: Grid) -> float | None:
    """Width of the heart over that of the lungs, without labels; None without lungs or contrasted blood.

    The heart is the contrasted blood in front of the spine, in the lower half of the lungs.
    """
    volume = np.asarray(hu)
    lungs = lung_mask(volume)
    extents = [np.flatnonzero(lungs.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    if not len(extents[0]):
        return None
    k, j, i = extents
    x, y, _ = grid.spacing
    wall = int(np.ceil(CHEST_WALL / x))
    part = volume[
        k[0] : (k[0] + k[-1]) // 2 + 1, j[0] : j[0] + int(0.65 * (j[-1] - j[0])) + 1, i[0] + wall : i[-1] + 1 - wall
    ]
    deep = ((part > BLOOD_HU[0]) & (part < BLOOD_HU[1])).sum(axis=1) >= MIN_HEART_DEPTH / y
    width = max((_longest_run(plane) for plane in deep), default=0)
    return width / float(i[-1] - i[0] + 1) if width else None


def _longest_run(row: Mask) -> int:
    """Length of the longest run of entries that are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _extent(mask: Mask, axis: int, coordinates: Array) -> tuple[float, float]:
    """First and last coordinate of a mask along an axis in mm, without the outermost hundredth of its voxels."""
    counts = np.cumsum(mask.sum(axis=tuple(other for other in range(3) if other != axis)))
    first, last = np.searchsorted(counts, [0.01 * counts[-1], 0.99 * counts[-1]])
    return float(coordinates[first]), float(coordinates[min(last, len(coordinates) - 1)])


def _part(grid: Grid, box: list[tuple[float, float]], *shares: tuple[float, float]) -> tuple[slice, slice, slice]:
    """Voxels between two shares of a box's extent along each axis."""
    parts = []
    for coordinates, (low, high), (first, last) in zip(grid.axes(), box, shares, strict=True):
        relative = (coordinates - low) / max(high - low, 1e-9)
        start, stop = np.searchsorted(relative, [first, last])
        parts.append(slice(int(start), int(stop)))
    return parts[0], parts[1], parts[2]
