"""From the images of each stack to the share of every pixel's wall that is scar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.scar.observe.healthy_level import find_drift
from deeprecon.scar.observe.intensities import scar_and_core, scar_fraction, threshold_doubts
from deeprecon.scar.observe.mixture.shares import mixture_shares
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import Observation, ReconstructParameters
from deeprecon.scar.read.case import StackImages

Shares = npt.NDArray[np.float32]

_MAX_OUTSIDE = 0.5
"""Share of the scar that may lie outside the wall before wall and scar are taken to be drawn apart."""
_NOTABLE_OUTSIDE = 0.05
"""Share of the scar outside the wall above which the user is warned."""


def observe_shares(
    images: Sequence[StackImages], parameters: ReconstructParameters
) -> tuple[tuple[Stack, ...], list[str]]:
    """Shares of scar and core in every pixel of every stack, and warnings.

    Drawn regions are divided by the wall of their pixel; intensities are read by a fitted mixture, or by the thresholds
    of `parameters` where there are any.

    Raises:
        InputError: most of a scar lies outside the wall, or intensities that a threshold cannot be applied to.
    """
    warnings: list[str] = []
    stacks = [_observe_stack(one, parameters, warnings) for one in images]
    stacks = _core_in_all_or_none(stacks, warnings)
    return tuple(stacks), warnings + _repeated_stacks(stacks)


def _observe_stack(images: StackImages, parameters: ReconstructParameters, warnings: list[str]) -> Stack:
    if images.scar is not None:
        stack = _stack(images, *_from_regions(images, warnings))
    else:
        images, doubts = _without_drift(images)
        read = _from_thresholds if parameters.rule else _from_mixture
        stack = read(images, parameters, warnings)
        stack = replace(stack, doubts=(*doubts, *stack.doubts))
    if parameters.observation is Observation.BINARY:
        core = None if stack.core is None else _rounded(stack.core)
        stack = replace(stack, scar=_rounded(stack.scar), core=core, likelihood=None, core_likelihood=None)
    return stack


def _stack(images: StackImages, scar: Shares, core: Shares | None, doubts: tuple[Doubt, ...] = ()) -> Stack:
    thickness = images.wall.slice_thickness
    assert thickness is not None
    wall = np.asarray(images.wall.array, np.float32)
    return Stack(wall, scar, images.wall.ijk_to_ras, thickness, images.wall.name, core, doubts=doubts)


def _without_drift(images: StackImages) -> tuple[StackImages, tuple[Doubt, ...]]:
    """The images with healthy wall of every slice at the same level."""
    assert images.lge is not None
    drift = find_drift(images.lge.array, np.asarray(images.wall.array), images.remote)
    if not drift:
        return images, ()
    lge = replace(images.lge, array=np.asarray(images.lge.array, np.float64) - drift.offsets[:, None, None])
    low, high = drift.levels
    doubt = Doubt(
        "healthy-level-drifts",
        lge.name,
        f"Healthy wall drifts from {low:.4g} to {high:.4g} through the stack; each slice is measured from its own "
        "level.",
        "If the brighter slices are scar throughout, give a remote region in several slices, or draw the scar.",
        assumed=True,
    )
    return replace(images, lge=lge), (doubt,)


def _from_mixture(images: StackImages, parameters: ReconstructParameters, warnings: list[str]) -> Stack:
    """Scar, and core where the data tell it from border zone, by the fitted mixture."""
    assert images.lge is not None
    found = mixture_shares(images.lge, np.asarray(images.wall.array, np.float32), images.remote, images.blood)
    if dark := np.count_nonzero(found.obstruction):
        u, v = images.wall.ijk_to_ras[:3, :2].T
        size = dark * float(np.linalg.norm(np.cross(u, v))) * (images.wall.slice_thickness or 0.0) / 1000
        warnings.append(
            f"{images.lge.name}: {dark} dark pixels ({size:.1f} ml) are enclosed by scar. They are taken for "
            "microvascular obstruction and count as scar."
        )
    return replace(
        _stack(images, found.scar, found.core, found.doubts),
        likelihood=found.likelihood,
        core_likelihood=found.core_likelihood,
        mixture=found.intensities,
    )


def _from_thresholds(images: StackImages, parameters: ReconstructParameters, warnings: list[str]) -> Stack:
    """Scar and core by thresholds; no core where there is no threshold for it."""
    assert images.lge is not None
    soft = parameters.observation is Observation.SOFT
    wall = np.asarray(images.wall.array, np.float32)
    doubts = threshold_doubts(images.lge, wall, images.remote, parameters.rule)
    if parameters.core_threshold:
        rules = parameters.rule, parameters.core_threshold
        return _stack(images, *scar_and_core(images.lge, wall, images.remote, rules, soft), doubts)
    return _stack(images, scar_fraction(images.lge, wall, images.remote, parameters.rule, soft), None, doubts)


def _from_regions(images: StackImages, warnings: list[str]) -> tuple[Shares, Shares | None]:
    """Scar and core as drawn, as shares of the wall in their pixel; scar outside the wall is left out."""
    assert images.scar is not None
    _check_outside(images.scar, images.wall, warnings)
    wall = np.asarray(images.wall.array, np.float32)
    scar = _share(np.asarray(images.scar.array, np.float32), wall)
    return scar, None if images.core is None else np.minimum(_share(images.core, wall), scar)


def _check_outside(scar: Volume, wall: Volume, warnings: list[str]) -> None:
    """Warn of scar outside the wall.

    Raises:
        InputError: most of it lies outside, as where wall and scar were drawn side by side.
    """
    total, outside = float(scar.array.sum()), float(scar.array[wall.array == 0].sum())
    if outside > _MAX_OUTSIDE * total:
        raise InputError(
            f"{outside / total:.0%} of the scar in {scar.name} lies outside the myocardium.",
            "The myocardium must include the scar. If one label map holds both, name both, as in --labels scar=3 "
            "myocardium=2; else check that the files belong together.",
        )
    if outside > _NOTABLE_OUTSIDE * total:
        warnings.append(
            f"{outside / total:.0%} of the scar in {scar.name} lies outside the myocardium and is left out."
        )


def _core_in_all_or_none(stacks: list[Stack], warnings: list[str]) -> list[Stack]:
    """Core in every stack, where each one that shows scar separates it; else in none."""
    if all(stack.core is None for stack in stacks):
        return stacks
    undivided = [stack.name for stack in stacks if stack.core is None and stack.scar.any()]
    if undivided:
        warnings.append(
            f"{', '.join(undivided)} shows scar without separating core from border zone, which other stacks do: the "
            "core is found by the probability of scar."
        )
        return [replace(stack, core=None) for stack in stacks]
    return [stack if stack.core is not None else replace(stack, core=np.zeros_like(stack.scar)) for stack in stacks]


def _repeated_stacks(stacks: list[Stack]) -> list[str]:
    """A warning for every stack that equals an earlier one."""
    return [
        f"Stack {second + 1} ({stacks[second].name}) is the same as stack {first + 1}: its slices count twice."
        for first, second in combinations(range(len(stacks)), 2)
        if np.array_equal(stacks[first].ijk_to_ras, stacks[second].ijk_to_ras)
        and np.array_equal(stacks[first].wall, stacks[second].wall)
        and np.array_equal(stacks[first].scar, stacks[second].scar)
    ]


def _share(part: Shares, wall: Shares) -> Shares:
    return np.clip(np.divide(part, wall, out=np.zeros_like(part), where=wall > 0), 0, 1)


def _rounded(share: Shares) -> Shares:
    return (share >= 0.5).astype(np.float32)
