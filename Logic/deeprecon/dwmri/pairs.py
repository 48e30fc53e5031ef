"""Pairs of scans that supervised networks are trained on: what is held back of them, and crops of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.data.dwi_scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.dwmri.context import Context, make_context

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

CROP = 24
"""Edge of a crop in voxels."""
HELD_BACK = 0.2
"""Share of the pairs, or of the mask's voxels where there is only one pair."""
MARGIN = 3
"""Slices between those held back and those trained on: over so many, interpolation mixes voxels."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A scan as networks see it, and its truth in the same unit, on the device.

    Attributes:
        name: of the scan, for messages.
        context: of the scan.
        truth: (V, k, j, i).
        inside: (k, j, i) the mask.
        region: slices along k, j and i that crops are taken from.
        voxels: (N, 3) k, j, i of the mask's voxels in the region; not empty.
    """

    name: str
    context: Context
    truth: Tensor
    inside: Tensor
    region: tuple[range, ...]
    voxels: npt.NDArray[np.int64]

    def crop(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs, code, truth and mask of a crop of a volume, around a voxel of the mask and within the region."""
        volume = int(rng.integers(len(self.truth)))
        middle = self.voxels[rng.integers(len(self.voxels))]
        window = []
        for place, slices in zip(middle, self.region, strict=True):
            length = min(CROP, len(slices))
            first = int(np.clip(place - length // 2, slices.start, slices.stop - length))
            window.append(slice(first, first + length))
        cut = tuple(window)
        inputs = self.context.inputs(volume, cut)
        return inputs, self.context.codes[volume], self.truth[volume][cut][None], self.inside[cut][None].float()

    def within(self, axis: int, slices: range) -> Pair:
        """The same pair with crops from some slices along an axis."""
        region = (*self.region[:axis], slices, *self.region[axis + 1 :])
        chosen = (self.voxels[:, axis] >= slices.start) & (self.voxels[:, axis] < slices.stop)
        return replace(self, region=region, voxels=self.voxels[chosen])


@dataclass(frozen=True, eq=False)
class Split:
    """Pairs to train on, those that say which weights are best, and the latter in words."""

    training: list[Pair]
    held_out: list[Pair]
    description: str


def make_pair(noisy: DwiScan, clean: Floats, mask: Mask, sigma: Floats, device: str) -> Pair:
    """A pair for training, on the device.

    Args:
        noisy: finite.
        clean: (k, j, i, V) on the same grid.
        mask: (k, j, i), not empty.
        sigma: (k, j, i) noise of the noisy one.
        device: to train on.
    """
    array = noisy.array.astype(np.float32)
    context = make_context(array, noisy.gradients, noisy.ijk_to_ras, mask, sigma, device)
    truth = torch.from_numpy(np.ascontiguousarray(np.moveaxis(clean, -1, 0))).to(device) / context.scale
    region = tuple(range(count) for count in mask.shape)
    return Pair(noisy.name, context, truth, torch.from_numpy(mask).to(device), region, np.argwhere(mask))


def hold_back(pairs: list[Pair], seed: int) -> Split:
    """Hold a part back that is never trained on: whole pairs, or of a single pair the slices at one end of the mask.

    The slices lie along the axis that has most of them, so that thin scans keep theirs.

    Raises:
        InputError: the mask of a single pair is too thin.
    """
    rng = np.random.default_rng(seed)
    if len(pairs) > 1:
        count = max(1, round(HELD_BACK * len(pairs)))
        chosen = sorted(int(number) for number in rng.permutation(len(pairs))[:count])
        names = ", ".join(f"pair {number + 1} ({pairs[number].name})" for number in chosen)
        rest = [pair for number, pair in enumerate(pairs) if number not in chosen]
        return Split(rest, [pairs[number] for number in chosen], f"{names} of {len(pairs)} pairs")
    (pair,) = pairs
    axis = int(np.argmax(pair.inside.shape))
    count, places = pair.inside.shape[axis], pair.voxels[:, axis]
    if rng.random() < 0.5:
        last = int(np.quantile(places, HELD_BACK))
        held, kept = range(last + 1), range(last + 1 + MARGIN, count)
    else:
        first = int(np.quantile(places, 1 - HELD_BACK))
        held, kept = range(first, count), range(max(0, first - MARGIN))
    training = pair.within(axis, kept)
    if not len(training.voxels):
        raise InputError(
            f"{pair.name} is the only pair, and its mask is too thin to hold slices back that are not trained on.",
            "Give a second pair, or a larger scan.",
        )
    description = f"slices {held.start} to {held.stop - 1} of {count} along {'kji'[axis]} of {pair.name}"
    return Split([training], [pair.within(axis, held)], description)
