"""Simulated repeats of a scan, and the training of the refining network on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.dwmri.fit.local_pca import local_pcas, mean_of_results
from deeprecon.dwmri.networks.refiner import Refiner
from deeprecon.dwmri.noise.windows import LARGE_MASK
from deeprecon.dwmri.simulate.inserted_lesions import insert_lesions
from deeprecon.dwmri.simulate.repeats import simulate_repeat
from deeprecon.jobs.run import Run
from deeprecon.training.batches import Epoch, Indices
from deeprecon.training.fit import FitSettings, fit

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Noisy components, PCA results, truth, and weights of some crops."""

REPEATS, EPOCHS = 4, 10
CROP, CROPS = 20, 2
"""Edge of a training crop in voxels, and crops in a step."""
STRIDES = (2, 1)
"""Of the windows in the PCAs of repeats in each round, in the last as in those of the scan; large scans: the first."""
LESION_WEIGHT = 1.0
"""Additional weight of inserted lesions in the loss."""
SLAB_MARGIN = 4
"""Slices by which the slabs of large scans overlap on each side."""
VALIDATION_CROPS = 6


@dataclass(frozen=True, eq=False)
class Repeat:
    """A simulated repeat of some slices.

    Attributes:
        slices: their place in the scan.
        noisy: (C, k, j, i) components.
        guides: (G C, k, j, i) components of its PCA results.
        truth: (C, k, j, i) components of the clean signal that it was simulated from.
        inside: (k, j, i) mask.
        weight: (k, j, i) of each voxel in the loss.
        rest: (k, j, i) mean square error of the components that are not input of the network.
    """

    slices: slice
    noisy: Tensor
    guides: Tensor
    truth: Tensor
    inside: Tensor
    weight: Tensor
    rest: Floats


@dataclass(frozen=True)
class NoiseModel:
    """Noise of variance 1: of magnitudes or not, and the correlation of neighbors, see `simulate_repeat`."""

    rician: bool
    taps: tuple[float, float, float]


def project_components(values: Floats, axes: Floats, device: str) -> Tensor:
    """(C, k, j, i) components of volumes (k, j, i, V) along principal axes (V, C)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values @ axes, -1, 0))).to(device)


def simulate_repeats(
    truth: Floats, mask: Mask, axes: Floats, noise: NoiseModel, round_number: int, run: Run
) -> list[Repeat]:
    """Repeats of a scan with inserted lesions and new noise, and their local PCA results.

    Args:
        truth: (k, j, i, V) clean, in units of the noise.
        mask: (k, j, i).
        axes: (V, C) principal axes.
        noise: of the scan.
        round_number: from 0 on.
        run: device, threads and seed.
    """
    stride = STRIDES[0 if mask.sum() > LARGE_MASK else round_number]
    repeats = []
    for number, slices in enumerate(slabs(mask)):
        rng = np.random.default_rng([run.seed, round_number, number])
        inside = mask[slices]
        clean, lesions = insert_lesions(truth[slices], inside, rng)
        noisy = simulate_repeat(clean, noise.rician, noise.taps, rng)
        guides = local_pcas(noisy, inside, noise.rician, run.device, run.threads, stride)
        error = mean_of_results(guides) - clean
        weight = inside * (1 + LESION_WEIGHT * lesions)
        repeats.append(
            Repeat(
                slices=slices,
                noisy=project_components(noisy, axes, run.device),
                guides=torch.cat([project_components(guide, axes, run.device) for guide in guides]),
                truth=project_components(clean, axes, run.device),
                inside=torch.from_numpy(inside).to(run.device),
                weight=torch.from_numpy(weight).to(run.device),
                rest=np.maximum((error**2).sum(axis=-1) - ((error @ axes) ** 2).sum(axis=-1), 0) / error.shape[-1],
            )
        )
    return repeats


def slabs(mask: Mask) -> list[slice]:
    """The slices of each repeat: all of them, or a part for large scans, which together cover all."""
    if mask.sum() <= LARGE_MASK:
        return [slice(0, len(mask))] * REPEATS
    filled = np.cumsum(mask.sum(axis=(1, 2))) / mask.sum()
    ends = [0, *(int(np.searchsorted(filled, part / REPEATS)) + 1 for part in range(1, REPEATS)), len(mask)]
    needed = min(CROP, len(mask))
    slabs = []
    for start, end in pairwise(ends):
        short = max(0, needed - (end - start))  # a crop must fit
        first = max(0, min(start - SLAB_MARGIN - short // 2, len(mask) - needed))
        slabs.append(slice(first, max(min(len(mask), end + SLAB_MARGIN + short // 2), first + needed)))
    return slabs


def train_refiner(
    model: Refiner, repeats: list[Repeat], steps: int, run: Run, round_number: int
) -> list[dict[str, float]]:
    """Fit the network to crops of the repeats; returns the history of `fit`."""
    starts = [torch.nonzero(repeat.inside).cpu().numpy() for repeat in repeats]
    usable = [n for n, voxels in enumerate(starts) if len(voxels)]
    size = np.min([[min(CROP, count) for count in repeat.inside.shape] for repeat in repeats], axis=0)

    def crop(index: int) -> Batch:
        """A crop, the same one for the same index."""
        rng = np.random.default_rng([run.seed, round_number, index])
        chosen = usable[int(rng.integers(len(usable)))]
        repeat = repeats[chosen]
        center = starts[chosen][rng.integers(len(starts[chosen]))]
        places = zip(center, size, repeat.inside.shape, strict=True)
        first = [int(np.clip(c - length // 2, 0, count - length)) for c, length, count in places]
        window = tuple(slice(begin, begin + int(length)) for begin, length in zip(first, size, strict=True))
        flips = [axis + 1 for axis in range(3) if rng.random() < 0.5]

        def cut(values: Tensor) -> Tensor:
            return values[(slice(None), *window)].flip(flips)

        return cut(repeat.noisy), cut(repeat.guides), cut(repeat.truth), cut(repeat.weight[None])

    def load(indices: Indices) -> Batch:
        noisy, guides, truth, weight = zip(*(crop(int(index)) for index in indices), strict=True)
        return torch.stack(noisy), torch.stack(guides), torch.stack(truth), torch.stack(weight)

    def loss(network: Callable[..., Tensor], batch: Batch) -> Tensor:
        noisy, guides, truth, weight = batch
        error = (network(noisy, guides) - truth) ** 2 * weight
        return error.sum() / (weight.sum() * truth.shape[1]).clamp_min(1)

    per_epoch = max(1, steps // EPOCHS)

    def batches(epoch: int, rank: int = 0, processes: int = 1) -> Epoch:
        numbers = np.arange(per_epoch * CROPS) + epoch * per_epoch * CROPS
        return Epoch(list(numbers.reshape(per_epoch, CROPS)), load)

    held_out = [load(np.array([2**31 + index])) for index in range(VALIDATION_CROPS)]
    settings = FitSettings(epochs=EPOCHS, learning_rate=3e-3, weight_decay=1e-4, warmup=0.05, clip_norm=1.0, patience=0)
    result = fit(
        model,
        loss,
        batches,
        lambda network: float(np.mean([float(loss(network, batch)) for batch in held_out])),
        settings,
        run,
        name=f"round{round_number + 1}",
    )
    return result.history
