"""The default method: a network that is trained on simulated repeats of the scan itself.

The local PCA result is taken for the truth for once: it gets fresh noise, as strong and as correlated as the scan's
own, and goes through the same PCAs again. From the noisy repeat and its PCA results a small network learns to foretell
what was there before; then it is applied to the real scan and its PCA results. The truth of the second round is the
first one's result. No other scan and no other repeat is needed. It is a parametric bootstrap (Efron and Tibshirani
1993), and also says how large the errors are. Each repeat gets small structures of its own, see `planted`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.dwmri.filters import smooth_in_mask
from deeprecon.dwmri.fit.local_pca import local_pcas, principal_axes
from deeprecon.dwmri.fit.pca import LARGE
from deeprecon.dwmri.fit.refinement import Refiner
from deeprecon.dwmri.fit.rician import rician_mean
from deeprecon.dwmri.measure.metrics import lag1
from deeprecon.dwmri.simulate.inserted_lesions import plant
from deeprecon.jobs.run import PartReporter, Run
from deeprecon.training.batches import Epoch, Indices
from deeprecon.training.devices import seed_generators
from deeprecon.training.fit import FitSettings, fit

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Noisy components, PCA results, truth, and weights of some crops."""

COMPONENTS = 14
"""Leading components that the network refines; the others stay as the PCAs leave them."""
ROUNDS, REPEATS, EPOCHS = 2, 4, 10
CROP, CROPS = 20, 2
"""Edge of a training crop in voxels, and crops in a step."""
STRIDES = (2, 1)
"""Of the windows in the PCAs of repeats in each round: in the last as in the scan's own; large scans have the first."""
PLANTED_WEIGHT = 1.0
"""Additional weight of planted voxels in the loss."""
SLAB_MARGIN = 4
"""Slices by which the slabs of large scans overlap on each side."""
LEAST_CORRELATION = 0.03
"""Of neighbors in the residual from which on noise is taken for correlated."""
VOLUMES_FOR_TAPS = 16
_HELD_OUT = 6


@dataclass(frozen=True, eq=False)
class Refined:
    """What the network makes of a scan, in units of the noise.

    Attributes:
        array: (k, j, i, V) without bias, where that was asked for.
        error: (k, j, i) root mean square error over the volumes, from the repeats.
        history: curve name -> values, with the steps under "step".
        figures: about the training.
    """

    array: Floats
    error: Floats
    history: dict[str, list[float]]
    figures: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Repeat:
    """A simulated repeat of some slices.

    Attributes:
        slices: which, of the whole scan.
        noisy: (C, k, j, i) components.
        guides: (G C, k, j, i) components of its PCA results.
        truth: (C, k, j, i) components of what it was made from.
        inside: (k, j, i) mask.
        weight: (k, j, i) of each voxel in the loss.
        rest: (k, j, i) mean square error of the components that the network does not see.
    """

    slices: slice
    noisy: Tensor
    guides: Tensor
    truth: Tensor
    inside: Tensor
    weight: Tensor
    rest: Floats


def refine(array: Floats, mask: Mask, rician: bool, steps: int, run: Run) -> Refined:
    """Train on repeats of a scan and apply the network to it.

    Args:
        array: (k, j, i, V) in units of the noise.
        mask: (k, j, i).
        rician: whether the scan holds magnitudes whose bias is to be taken off.
        steps: training steps in all.
        run: device, threads, seed, checkpoint folder and reporter.
    """
    begun = time.monotonic()
    seed_generators(run.seed)
    guides = local_pcas(array, mask, rician, run.device, run.threads)
    truth = first = _mean(guides)
    taps = noise_taps(array, first, mask, rician)
    axes = principal_axes(truth, mask, COMPONENTS)

    def components(values: Floats) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values @ axes, -1, 0))).to(run.device)

    own, own_guides = components(array), torch.cat([components(guide) for guide in guides])
    del guides
    spread = components(truth)[:, torch.from_numpy(mask).to(run.device)].std(dim=1)
    model = Refiner(axes.shape[1], len(own_guides) // axes.shape[1], spread.clamp_min(1.0))
    history: dict[str, list[float]] = {"step": [], "loss": [], "validation": []}
    large = mask.sum() > LARGE
    for number in range(ROUNDS):
        share = number / ROUNDS, (number + 1) / ROUNDS
        run.reporter.status(f"Simulating repeats of the scan, round {number + 1} of {ROUNDS}")
        repeats = []
        for repeat, slices in enumerate(slabs(mask)):
            rng = np.random.default_rng([run.seed, number, repeat])
            inside = mask[slices]
            clean, shares = plant(truth[slices], inside, rng)
            simulated = simulate(clean, rician, taps, rng)
            found = local_pcas(simulated, inside, rician, run.device, run.threads, STRIDES[0 if large else number])
            wrong = _mean(found) - clean
            rest = np.maximum((wrong**2).sum(axis=-1) - ((wrong @ axes) ** 2).sum(axis=-1), 0) / wrong.shape[-1]
            stacked = torch.cat([components(part) for part in found])
            within, weight = (
                torch.from_numpy(part).to(run.device) for part in (inside, inside * (1 + PLANTED_WEIGHT * shares))
            )
            repeats.append(_Repeat(slices, components(simulated), stacked, components(clean), within, weight, rest))
        run.reporter.status(f"Training the network, round {number + 1} of {ROUNDS}")
        reporter = PartReporter(run.reporter, *share, begun)
        outcome = _train(model, repeats, steps // ROUNDS, replace(run, reporter=reporter), number)
        for entry in outcome:
            history["step"].append((number * EPOCHS + entry["epoch"] + 1) * steps / (ROUNDS * EPOCHS))
            history["loss"].append(entry["loss"])
            history["validation"].append(entry["validation"])
        with torch.no_grad():
            change = (model(own[None], own_guides[None])[0] - components(first)).cpu().numpy()
        truth = first + np.moveaxis(change, 0, -1) @ axes.T
        if rician:
            truth = np.maximum(truth, 0)
        if run.should_stop():
            break
    figures = {
        "network_parameters": sum(weights.numel() for weights in model.parameters()),
        "training_steps": int(history["step"][-1]) if history["step"] else 0,
        "noise_lag1": [round(_lag(tap), 3) for tap in taps],
    }
    return Refined(truth, _error(model, repeats, mask.shape, axes.shape[0]), history, figures)


def simulate(clean: Floats, rician: bool, taps: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    """A repeat of a scan (k, j, i, V) with noise of variance 1: complex and its magnitude taken, or real.

    Args:
        clean: without noise, in units of the noise.
        rician: whether the magnitude is taken.
        taps: weights of the neighbors along k, j and i in the noise, see `noise_taps`.
        rng: of the noise.
    """
    noisy = np.array(np.moveaxis(clean, -1, 0), np.float32, order="C")  # volume by volume, each in one piece
    for volume in noisy:
        volume += _noise(volume.shape, taps, rng)
        if rician:
            np.hypot(volume, _noise(volume.shape, taps, rng), out=volume)
    return np.ascontiguousarray(np.moveaxis(noisy, 0, -1))


def noise_taps(array: Floats, clean: Floats, mask: Mask, rician: bool) -> tuple[float, float, float]:
    """Weights a of the filters (a, 1, a) along k, j and i that give white noise the correlation of a scan's residual.

    Args:
        array, clean: (k, j, i, V) scan and result in units of the noise; some of the volumes are looked at.
        mask: (k, j, i).
        rician: whether the scan holds magnitudes, whose mean is not the signal.
    """
    chosen = slice(None, None, -(-array.shape[-1] // VOLUMES_FOR_TAPS))
    expected = rician_mean(clean[..., chosen]) if rician else clean[..., chosen]
    found = []
    for correlation in lag1((array[..., chosen] - expected).astype(np.float32), mask):
        # lag-1 correlation of (a, 1, a) is 2 a / (1 + 2 a^2), at most 1 / sqrt(2)
        r = min(correlation, 0.6)
        found.append((1 - np.sqrt(1 - 2 * r * r)) / (2 * r) if r > LEAST_CORRELATION else 0.0)
    return found[0], found[1], found[2]


def _lag(tap: float) -> float:
    return 2 * tap / (1 + 2 * tap * tap)


def _noise(shape: tuple[int, ...], taps: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    noise = rng.standard_normal(shape, dtype=np.float32)
    for axis, tap in enumerate(taps):
        if tap:
            before, after = np.roll(noise, 1, axis), np.roll(noise, -1, axis)
            noise = ((noise + tap * (before + after)) / np.sqrt(1 + 2 * tap * tap)).astype(np.float32)
    return noise


def slabs(mask: Mask) -> list[slice]:
    """The slices of each repeat: all of them, or for large scans a part each, which together are all."""
    if mask.sum() <= LARGE:
        return [slice(0, len(mask))] * REPEATS
    filled = np.cumsum(mask.sum(axis=(1, 2))) / mask.sum()
    ends = [0, *(int(np.searchsorted(filled, part / REPEATS)) + 1 for part in range(1, REPEATS)), len(mask)]
    least = min(CROP, len(mask))
    slabs = []
    for start, end in pairwise(ends):
        short = max(0, least - (end - start))  # a crop must fit
        first = max(0, min(start - SLAB_MARGIN - short // 2, len(mask) - least))
        slabs.append(slice(first, max(min(len(mask), end + SLAB_MARGIN + short // 2), first + least)))
    return slabs


def _train(model: Refiner, repeats: list[_Repeat], steps: int, run: Run, number: int) -> list[dict[str, float]]:
    """Fit the network to the repeats; returns the history of `fit`."""
    starts = [torch.nonzero(repeat.inside).cpu().numpy() for repeat in repeats]
    usable = [n for n, voxels in enumerate(starts) if len(voxels)]
    size = np.min([[min(CROP, count) for count in repeat.inside.shape] for repeat in repeats], axis=0)

    def crop(index: int) -> Batch:
        """The same crop for the same number."""
        rng = np.random.default_rng([run.seed, number, index])
        chosen = usable[int(rng.integers(len(usable)))]
        repeat = repeats[chosen]
        middle = starts[chosen][rng.integers(len(starts[chosen]))]
        places = zip(middle, size, repeat.inside.shape, strict=True)
        first = [int(np.clip(m - length // 2, 0, count - length)) for m, length, count in places]
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

    held_out = [load(np.array([2**31 + index])) for index in range(_HELD_OUT)]
    settings = FitSettings(epochs=EPOCHS, learning_rate=3e-3, weight_decay=1e-4, warmup=0.05, clip_norm=1.0, patience=0)
    result = fit(
        model,
        loss,
        batches,
        lambda network: float(np.mean([float(loss(network, batch)) for batch in held_out])),
        settings,
        run,
        name=f"round{number + 1}",
    )
    return result.history


def _error(model: Refiner, repeats: list[_Repeat], shape: tuple[int, ...], volumes: int) -> Floats:
    """(k, j, i) root mean square error on the repeats where nothing was planted, smoothed: so few leave noise in it."""
    total, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    with torch.no_grad():
        for repeat in repeats:
            found = model(repeat.noisy[None], repeat.guides[None])[0]
            error = ((found - repeat.truth) ** 2).sum(dim=0).cpu().numpy() / volumes + repeat.rest
            as_it_was = (repeat.inside & (repeat.weight <= 1)).cpu().numpy()
            total[repeat.slices] += error * as_it_was
            count[repeat.slices] += as_it_was
    return np.sqrt(smooth_in_mask(total / np.maximum(count, 1), count > 0, 1.0)).astype(np.float32)


def _mean(parts: list[Floats]) -> Floats:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    total /= len(parts)
    return total
