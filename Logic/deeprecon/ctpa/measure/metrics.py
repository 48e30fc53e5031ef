"""How near a synthetic CT is to the truth, to its X-ray, and to what tissue measures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import HIGH, LOW, Grid
from deeprecon.ctpa.observe.projection import Geometry, Image, line_integrals
from deeprecon.ctpa.patches import Windows, seam_planes
from deeprecon.ctpa.simulate.chests import Label

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float32]

HU_RANGE = float(HIGH - LOW)
"""Data range in HU of PSNR and SSIM: fixed, since one taken from the images grows with their outliers."""
SLAB = 32
"""Planes whose structural similarity is computed at once."""
LABEL_HU_LIMITS = {
    Label.LUNG_HU: (-950.0, -550.0),
    Label.HEART: (30.0, 500.0),
    Label.VESSEL: (30.0, 600.0),
    Label.BONE: (150.0, 1000.0),
    Label.MUSCLE: (-50.0, 100.0),
}
"""Median HU that an organ may have, with or without contrast in the blood."""
LUNG_HU = (-980, -500)
"""HU of a voxel of lung, within the body."""
BLOOD_HU = (100, 450)
"""HU of a voxel of contrasted blood."""
CHEST_WALL, MIN_HEART_DEPTH = 20.0, 15.0
"""In mm: the outermost part of a chest where no heart is looked for, and the least depth of one."""


def body_mask(hu: npt.ArrayLike) -> Mask:
    """The patient without the air around, lungs included: row by row, what lies between the outermost tissue."""
    tissue = np.asarray(hu) > -500
    right = np.maximum.accumulate(tissue, axis=2)
    left = np.maximum.accumulate(tissue[:, :, ::-1], axis=2)[:, :, ::-1]
    front = np.maximum.accumulate(tissue, axis=1)
    back = np.maximum.accumulate(tissue[:, ::-1], axis=1)[:, ::-1]
    mask: Mask = right & left & front & back
    return mask


def psnr(result: npt.ArrayLike, truth: npt.ArrayLike, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB over `HU_RANGE`, after both were clipped to what the networks see."""
    error = _clipped(result) - _clipped(truth)
    squared = float(np.mean((error if mask is None else error[mask]).astype(np.float64) ** 2))
    return float("inf") if squared == 0 else 10 * float(np.log10(HU_RANGE**2 / squared))


def mae(result: npt.ArrayLike, truth: npt.ArrayLike, mask: Mask | None = None) -> float:
    """Mean absolute error in HU, clipped as in `psnr`."""
    error = np.abs(_clipped(result) - _clipped(truth))
    return float(np.mean(error if mask is None else error[mask]))


def ssim(result: npt.ArrayLike, truth: npt.ArrayLike, mask: Mask | None = None, size: int = 7) -> float:
    """Structural similarity over `HU_RANGE` (Wang 2004; uniform windows of `size` voxels, K1 0.01, K2 0.03).

    The mean over windows that lie whole in the volume and, with a mask, are centered in it.
    """
    whole, inside = ssim_inside(result, truth, mask, size)
    return whole if mask is None else inside


def ssim_inside(
    result: npt.ArrayLike, truth: npt.ArrayLike, mask: Mask | None = None, size: int = 7
) -> tuple[float, float]:
    """`ssim` without and with a mask, at once and slab by slab: a full volume takes minutes and must not be copied."""
    first, second = np.asarray(result), np.asarray(truth)
    half = size // 2
    totals, counts = np.zeros(2), np.zeros(2)
    for start in range(0, len(first) - size + 1, SLAB):
        planes = slice(start, start + SLAB + size - 1)
        similarity = _similarity(_clipped(first[planes]), _clipped(second[planes]), size)
        k, j, i = similarity.shape
        centers = slice(start + half, start + half + k), slice(half, half + j), slice(half, half + i)
        parts = similarity, similarity if mask is None else similarity[mask[centers]]
        totals += [float(part.sum()) for part in parts]
        counts += [part.size for part in parts]
    whole, inside = totals / np.maximum(counts, 1)
    return float(whole), float(inside)


def projection_check(hu: npt.ArrayLike, xray: Image, grid: Grid, geometry: Geometry) -> tuple[dict[str, float], Image]:
    """Hold a CT against the X-ray that it was made from.

    The CT is projected with the X-ray's geometry; gain and offset, which an X-ray does not tell, are fitted.

    Args:
        hu: (k, j, i) on the grid.
        xray: (rows towards the head, columns to the left) on the detector of `projection.detector_axes`.
        grid, geometry: see there.

    Returns:
        nrmse (over the X-ray's standard deviation; 1 is no better than a flat image) and ncc; and the difference
        image, projection less X-ray, in the X-ray's units.
    """
    projected = line_integrals(hu, grid, geometry).astype(np.float64)
    wanted = xray.astype(np.float64)
    columns = np.stack([projected.ravel(), np.ones(projected.size)], axis=1)
    gain, offset = np.linalg.lstsq(columns, wanted.ravel(), rcond=None)[0]
    difference = gain * projected + offset - wanted
    spread = float(wanted.std())
    still = spread * float(projected.std())
    ncc = 0.0 if still == 0 else float(np.mean((projected - projected.mean()) * (wanted - wanted.mean()))) / still
    nrmse = float(np.sqrt(np.mean(difference**2))) / spread if spread else float("inf")
    return {"projection_nrmse": nrmse, "projection_ncc": ncc}, difference.astype(np.float32)


def seam_ratio(hu: npt.ArrayLike, windows: Windows) -> float:
    """Mean gradient across the planes where patches meet, over that elsewhere; 1 where no seam shows.

    Blending hides seams also where the anatomy is wrong: never show it without a figure about the anatomy.
    """
    volume = np.asarray(hu, np.float32)
    ratios = []
    for axis in range(3):
        step = np.abs(np.diff(volume, axis=axis)).mean(axis=tuple(other for other in range(3) if other != axis))
        planes = seam_planes(windows, axis)
        rest = np.setdiff1d(np.arange(4, len(step) - 4), planes)
        if planes and len(rest) and step[rest].mean() > 0:
            ratios.append(float(step[planes].mean() / step[rest].mean()))
    return float(np.mean(ratios)) if ratios else 1.0


def organ_hu(hu: npt.ArrayLike, labels: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Median HU in each labelled organ of at least 20 voxels."""
    volume = np.asarray(hu)
    inside = {label: volume[labels == label] for label in LABEL_HU_LIMITS}
    return {label.name.lower(): float(np.median(values)) for label, values in inside.items() if len(values) >= 20}


def implausible_organs(organs: Mapping[str, float]) -> list[str]:
    """What is wrong with organs' HU, in words."""
    limits = {label.name.lower(): bounds for label, bounds in LABEL_HU_LIMITS.items()}
    return [
        f"{name} has a median of {value:.0f} HU, expected {limits[name][0]:.0f} to {limits[name][1]:.0f}"
        for name, value in organs.items()
        if not limits[name][0] <= value <= limits[name][1]
    ]


def vessel_recall(hu: npt.ArrayLike, truth: npt.ArrayLike, labels: npt.NDArray[np.uint8]) -> float | None:
    """Share of the true vessels' voxels that are nearer to vessel than to lung; None without labels of both.

    Nearer: above the middle of what the true vessels and the true lung measure (medians).
    """
    wanted, volume = np.asarray(truth), np.asarray(hu)
    vessels, lung = labels == Label.VESSEL, labels == Label.LUNG_HU
    if not vessels.any() or not lung.any():
        return None
    middle = 0.5 * (np.median(wanted[vessels]) + np.median(wanted[lung]))
    return float((volume[vessels] > middle).mean())


def lung_litres(hu: npt.ArrayLike, grid: Grid) -> float:
    """Volume of what has the HU of lung within the body, in litres."""
    return float(_lungs(hu).sum()) * float(np.prod(grid.spacing)) / 1e6


def cardiothoracic_ratio(hu: npt.ArrayLike, grid: Grid) -> float | None:
    """Widest heart over widest lungs, without labels; None where there are no lungs, or no contrasted blood.

    The heart is taken for the contrasted blood in front of the spine, in the lower half of the lungs.
    """
    volume = np.asarray(hu)
    lungs = _lungs(volume)
    extents = [np.flatnonzero(lungs.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    if not len(extents[0]):
        return None
    k, j, i = extents
    x, y, _ = grid.spacing
    aside = int(np.ceil(CHEST_WALL / x))
    part = volume[
        k[0] : (k[0] + k[-1]) // 2 + 1, j[0] : j[0] + int(0.65 * (j[-1] - j[0])) + 1, i[0] + aside : i[-1] + 1 - aside
    ]
    deep = ((part > BLOOD_HU[0]) & (part < BLOOD_HU[1])).sum(axis=1) >= MIN_HEART_DEPTH / y
    width = max((_longest_run(plane) for plane in deep), default=0)
    return width / float(i[-1] - i[0] + 1) if width else None


def _longest_run(row: Mask) -> int:
    """Of consecutive entries that are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _lungs(hu: npt.ArrayLike) -> Mask:
    volume = np.asarray(hu)
    found: Mask = body_mask(volume) & (volume > LUNG_HU[0]) & (volume < LUNG_HU[1])
    return found


def _clipped(hu: npt.ArrayLike) -> Values:
    values: Values = np.clip(np.asarray(hu, np.float32), LOW, HIGH)
    return values


def _similarity(first: Values, second: Values, size: int) -> Array:
    """SSIM of each window that lies whole in the volumes."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    samples = size**3 / (size**3 - 1)
    mean_a, mean_b = _box(a, size), _box(b, size)
    var_a = samples * (_box(a * a, size) - mean_a**2)
    var_b = samples * (_box(b * b, size) - mean_b**2)
    covariance = samples * (_box(a * b, size) - mean_a * mean_b)
    c1, c2 = (0.01 * HU_RANGE) ** 2, (0.03 * HU_RANGE) ** 2
    similarity: Array = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return similarity


def _box(volume: Array, size: int) -> Array:
    """Mean over cubes of `size` that lie whole in the volume."""
    for axis in range(3):
        total = np.moveaxis(np.cumsum(volume, axis=axis), axis, 0)
        sums = total[size - 1 :].copy()
        sums[1:] -= total[:-size]
        volume = np.moveaxis(sums, 0, axis) / size
    return volume
