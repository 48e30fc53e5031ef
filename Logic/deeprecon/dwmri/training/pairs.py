"""Pairs of scans that supervised networks are trained on: crops of them, and which of them are held out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.dwmri.networks.inputs import NetworkInputs, network_inputs

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

CROP = 24
"""Edge of a crop in voxels."""
HELD_OUT_SHARE = 0.2
"""Share of the heads, or of the mask's voxels where there is only one head."""
MARGIN = 3
"""Slices between those held out and those trained on: over so many, interpolation mixes voxels."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A scan as input of the networks, and its truth in the same unit, on the device.

    Attributes:
        name: of the scan, for messages.
        head: identifies the head; several noisy scans may share one truth.
        inputs: of the scan.
        truth: (V, k, j, i).
        inside: (k, j, i) the mask.
        region: slices along k, j and i that crops are taken from.
        voxels: (N, 3) k, j, i of the mask's voxels in the region; not empty.
    """

    name: str
    head: str
    inputs: NetworkInputs
    truth: Tensor
    inside: Tensor
    region: tuple[range, ...]
    voxels: npt.NDArray[np.int64]

    def crop(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs, code, truth and mask of a crop of a volume, around a voxel of the mask and within the region."""
        volume = int(rng.integers(len(self.truth)))
        center = self.voxels[rng.integers(len(self.voxels))]
        window = []
        for place, slices in zip(center, self.region, strict=True):
            length = min(CROP, len(slices))
            first = int(np.clip(place - length // 2, slices.start, slices.stop - length))
            window.append(slice(first, first + length))
        cut = tuple(window)
        channels = self.inputs.channels(volume, cut)
        return channels, self.inputs.codes[volume], self.truth[volume][cut][None], self.inside[cut][None].float()

    def within(self, axis: int, slices: range) -> Pair:
        """The same pair with crops from some slices along an axis."""
        region = (*self.region[:axis], slices, *self.region[axis + 1 :])
        chosen = (self.voxels[:, axis] >= slices.start) & (self.voxels[:, axis] < slices.stop)
        return replace(self, region=region, voxels=self.voxels[chosen])


@dataclass(frozen=True, eq=False)
class Split:
    """Pairs to train on, those whose loss decides which weights are kept, and a description of the latter."""

    training: list[Pair]
    held_out: list[Pair]
    description: str


def make_pair(noisy: DwiScan, clean: Floats, mask: Mask, sigma: Floats, head: str, device: str) -> Pair:
    """A pair for training, on the device.

    Args:
        noisy: finite.
        clean: (k, j, i, V) on the same grid.
        mask: (k, j, i), not empty.
        sigma: (k, j, i) noise of the noisy one.
        head: identifies the head, such as the file of the truth.
        device: to train on.
    """
    array = noisy.array.astype(np.float32)
    inputs = network_inputs(array, noisy.gradients, noisy.ijk_to_ras, mask, sigma, device)
    truth = torch.from_numpy(np.ascontiguousarray(np.moveaxis(clean, -1, 0))).to(device) / inputs.scale
    region = tuple(range(count) for count in mask.shape)
    inside = torch.from_numpy(mask).to(device)
    return Pair(noisy.name, head, inputs, truth, inside, region, np.argwhere(mask))


def hold_out(pairs: list[Pair], seed: int) -> Split:
    """Hold out a part that is not trained on: all pairs of some heads, or of a single head the slices at one end.

    The slices lie along the axis that has most of them, so that thin scans keep theirs.

    Raises:
        InputError: the mask of a single head is too thin.
    """
    rng = np.random.default_rng(seed)
    heads = list(dict.fromkeys(pair.head for pair in pairs))
    if len(heads) > 1:
        count = max(1, round(HELD_OUT_SHARE * len(heads)))
        chosen = {heads[number] for number in rng.permutation(len(heads))[:count]}
        chosen_pairs = [(number, pair) for number, pair in enumerate(pairs, 1) if pair.head in chosen]
        names = ", ".join(f"pair {number} ({pair.name})" for number, pair in chosen_pairs)
        rest = [pair for pair in pairs if pair.head not in chosen]
        return Split(rest, [pair for _, pair in chosen_pairs], f"{names} of {len(pairs)} pairs")
    first = pairs[0]
    axis = int(np.argmax(first.inside.shape))
    count, places = first.inside.shape[axis], first.voxels[:, axis]
    if rng.random() < 0.5:
        end = int(np.quantile(places, HELD_OUT_SHARE))
        held, kept = range(end + 1), range(end + 1 + MARGIN, count)
    else:
        end = int(np.quantile(places, 1 - HELD_OUT_SHARE))
        held, kept = range(end, count), range(max(0, end - MARGIN))
    training, held_out = ([pair.within(axis, part) for pair in pairs] for part in (kept, held))
    if not all(len(pair.voxels) for pair in (*training, *held_out)):
        raise InputError(
            f"{first.name} is of the only head, and its mask is too thin to hold out slices that are not trained on.",
            "Give a pair of a second head, or a larger scan.",
        )
    description = f"slices {held.start} to {held.stop - 1} of {count} along {'kji'[axis]} of {first.name}"
    return Split(training, held_out, description)
