"""Where each volume lies beside those of its b-value: a rigid motion, by linear least squares on intensities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.doubts import Doubt
from deeprecon.dwmri.observe.prediction import other_volumes, prediction_weights, volumes_needed

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

IN_PLANE = 4.0
"""mm: voxels are averaged in the slice to about this size, which is enough for a shift of a tenth of it."""
MAX_DISPLACEMENT = 0.25
"""Of a voxel's mean size, up to which a volume lies where the others do: the estimate of a still head reaches 0.12."""
MAX_VOXELS, STEPS = 20_000, 4
"""Voxels that the motion is estimated from, and Gauss-Newton steps."""


def displacements(array: Floats, table: GradientTable, spacing: Doubles, mask: Mask, lost: Mask) -> Doubles:
    """(V,) mm, the root mean square displacement of the head between a volume and its prediction from the others.

    A volume also counts as displaced where the volumes of near directions are, as its prediction is made from them. NaN
    where too few volumes of the b-value, or slices, are left to tell.

    Args:
        array: (k, j, i, V).
        table: of the V volumes.
        spacing: (3,) mm along i, j, k.
        mask: (k, j, i).
        lost: (k, V) slices that do not count.
    """
    coarse, inside, size = _reduced(array, mask, spacing)
    found = np.full(len(table), np.nan)
    for volume in range(len(table)):
        others = other_volumes(table, volume)
        kept = inside & ~lost[:, volume, None, None]
        if len(others) < volumes_needed(table, volume) or kept.any(axis=(1, 2)).sum() < 3:
            continue
        weights = prediction_weights(table, others, volume)
        predicted = np.asarray(coarse @ weights, np.float64)
        found[volume] = _displacement(np.asarray(coarse[..., volume], np.float64), predicted, kept, size)
    return found


def describe_motion(moved: Doubles, lost: Mask, spacing: Doubles, name: str) -> tuple[Mask, tuple[Doubt, ...]]:
    """(k, V) the lost slices that motion may explain, and the doubt about them.

    A volume that lies elsewhere shows other tissue in its slices, and the others cannot tell what it would have shown.

    Args:
        moved: (V,) mm, see `displacements`.
        lost: (k, V), see `find_outliers`.
        spacing: (3,) mm.
        name: of the scan.
    """
    elsewhere = np.nan_to_num(moved) > MAX_DISPLACEMENT * float(spacing.mean())
    explained = lost & elsewhere
    if not explained.any():
        return explained, ()
    volumes = np.flatnonzero(explained.any(axis=0))
    numbers = ", ".join(map(str, volumes))
    text = (
        f"{explained.sum()} slices that differ from those of other volumes are in volumes {numbers}, where the head "
        f"lies elsewhere (up to {np.nanmax(moved[volumes]):.1f} mm): they are not replaced."
    )
    way_out = "Correct the motion after denoising; replace volumes whose signal is lost all the same with --impute."
    return explained, (Doubt("head-moved", name, text, way_out, assumed=True),)


def _reduced(array: Floats, mask: Mask, spacing: Doubles) -> tuple[Floats, Mask, Doubles]:
    """The scan and its mask with voxels averaged in the slice, and their size along k, j, i."""
    by = [1, *(max(1, round(IN_PLANE / size)) for size in (spacing[1], spacing[0]))]
    by = [min(factor, max(1, count // 4)) for factor, count in zip(by, mask.shape, strict=True)]
    k, j, i = (count // factor for count, factor in zip(mask.shape, by, strict=True))
    cut = np.s_[:, : j * by[1], : i * by[2]]
    coarse = array[cut].reshape(k, j, by[1], i, by[2], -1).mean(axis=(2, 4), dtype=np.float32)
    inside = mask[cut].reshape(k, j, by[1], i, by[2]).mean(axis=(2, 4)) > 0.5
    return coarse, inside, spacing[::-1] * by


def _displacement(measured: Doubles, predicted: Doubles, inside: Mask, size: Doubles) -> float:
    """Root mean square displacement in mm of the voxels inside, of the rigid motion that best fits them."""
    from scipy.ndimage import map_coordinates

    chosen = np.argwhere(inside)
    chosen = chosen[:: -(-len(chosen) // MAX_VOXELS)]
    place = (chosen - chosen.mean(axis=0)) * size  # mm along k, j, i
    values = measured[tuple(chosen.T)]
    slopes: list[Doubles] = list(np.gradient(predicted, *size))
    motion = np.zeros(6)
    for _ in range(STEPS):
        moved = _moved(place, motion)
        at = (moved / size + chosen.mean(axis=0)).T
        here = map_coordinates(predicted, at, order=1, mode="nearest")
        slope = np.stack([map_coordinates(each, at, order=1, mode="nearest") for each in slopes], axis=1)
        unknowns = np.column_stack([slope, np.cross(place, slope), here])
        *step, _ = np.linalg.lstsq(unknowns, values - here, rcond=None)[0]
        motion = motion + step
    return float(np.sqrt(np.mean(np.sum((_moved(place, motion) - place) ** 2, axis=1))))


def _moved(place: Doubles, motion: Doubles) -> Doubles:
    """Places (N, 3) in mm after a shift and a turn by a small rotation vector."""
    moved: Doubles = place + motion[:3] + np.cross(motion[3:], place)
    return moved
