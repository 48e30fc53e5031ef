"""Supervised networks: trained on pairs of scans, kept as a bundle, applied to a scan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.errors import InputError
from deeprecon.dwmri.fit.architectures import NETWORKS, Progressive, build, low_band
from deeprecon.dwmri.fit.context import make_context
from deeprecon.dwmri.training.loss import EdgeAwareLoss
from deeprecon.dwmri.training.pairs import Pair, Split
from deeprecon.jobs.run import Run
from deeprecon.training.batches import Epoch, Indices
from deeprecon.training.bundle import Bundle, load_weights
from deeprecon.training.devices import seed_generators
from deeprecon.training.fit import FitResult, FitSettings, fit
from deeprecon.training.schedules import ScheduleName

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Inputs, codes, truths and mask of some crops."""

HELD_OUT = 8
"""Crops, of what is held back, whose loss says which weights are best."""
EPOCHS = 10
TILE, HALO = 64, 16
"""Edge of a tile, and how far a network may see beyond it, in voxels; even, as networks halve the resolution."""


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained; see `TrainParameters`."""

    network: str
    width: int
    steps: int
    batch: int = 4
    accumulate: int = 1
    learning_rate: float = 3e-3
    edge_weight: float = 0.5
    in_stages: bool = False
    compile: bool = False


def train(split: Split, settings: TrainSettings, run: Run) -> tuple[nn.Module, list[FitResult]]:
    """Train a network on crops of single volumes; returns it with how each stage went.

    The weights kept are those with the lowest loss on what the split holds back. In stages, the coarse part of a
    progressive network is trained alone first, against the blurred truth.

    Raises:
        InputError: the settings do not fit together.
    """
    seed_generators(run.seed)
    network = build(settings.network, settings.width).to(run.device)
    if settings.in_stages and not isinstance(network, Progressive):
        raise InputError(
            f"The network {settings.network} has no stages.", "Choose a progressive one, or leave them out."
        )
    if settings.compile:
        network.compile()
    stages = ("coarse", "all") if settings.in_stages else ("all",)
    return network, [_stage(network, split, settings, stage, run) for stage in stages]


def _stage(network: nn.Module, split: Split, settings: TrainSettings, stage: str, run: Run) -> FitResult:
    edge_aware, plain = (EdgeAwareLoss(weight).to(run.device) for weight in (settings.edge_weight, 0.0))
    progressive = isinstance(network, Progressive)

    def load(pairs: list[Pair], indices: Indices) -> Batch:
        crops = []
        for index in indices:
            rng = np.random.default_rng([run.seed, int(index)])
            crops.append(pairs[int(rng.integers(len(pairs)))].crop(rng))
        inputs, codes, truth, within = (torch.stack(part) for part in zip(*crops, strict=True))
        return inputs, codes, truth, within

    def loss(model: Any, batch: Batch) -> Tensor:
        inputs, codes, truth, within = batch
        found = model(inputs, codes)
        total: Tensor = edge_aware(found[:, :1], truth, within)
        if progressive:
            blurred: Tensor = plain(found[:, 1:], low_band(truth), within)
            total = blurred if stage == "coarse" else 0.5 * blurred + total
        return total

    steps = settings.steps // 2 if settings.in_stages else settings.steps
    epochs = min(EPOCHS, steps)
    batches = max(1, steps // epochs) * settings.accumulate

    def epoch_batches(epoch: int, rank: int = 0, processes: int = 1) -> Epoch:
        numbers = np.arange(batches * processes * settings.batch) + epoch * batches * processes * settings.batch
        return Epoch(list(numbers.reshape(batches * processes, -1))[rank::processes], partial(load, split.training))

    held_out = [load(split.held_out, np.array([number])) for number in range(HELD_OUT)]
    return fit(
        network,
        loss,
        epoch_batches,
        lambda model: float(np.mean([float(loss(model, batch)) for batch in held_out])),
        FitSettings(
            epochs=epochs,
            learning_rate=settings.learning_rate,
            schedule=ScheduleName.ONE_CYCLE,
            accumulate=settings.accumulate,
            clip_norm=1.0,
            patience=0,
        ),
        run,
        name=f"supervised-{stage}",
    )


def apply(
    network: nn.Module,
    array: Floats,
    table: GradientTable,
    ijk_to_ras: npt.NDArray[np.float64],
    mask: Mask,
    sigma: Floats,
    device: str,
) -> Floats:
    """(k, j, i, V) a scan through a network, volume by volume; never below 0.

    Large volumes go through tile by tile, so that the features fit into memory; what lies far from the mask is left as
    it is. Tiles change nothing but in the baseline, whose attention compares a place with all that it sees.
    """
    network.to(device).eval()
    context = make_context(array, table, ijk_to_ras, mask, sigma, device)
    result = array.copy()
    for core, window in tiles(mask):
        inner = tuple(slice(c.start - w.start, c.stop - w.start) for c, w in zip(core, window, strict=True))
        k, j, i = core
        for volume in range(array.shape[-1]):
            with torch.no_grad():
                found = network(context.inputs(volume, window)[None], context.codes[volume][None])[0, 0][inner]
            result[k, j, i, volume] = (found.clamp_min(0) * context.scale).cpu().numpy()
    return result


def tiles(mask: Mask) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Parts of a grid that hold voxels of a mask, and the window that a network has to see for each of them.

    The whole grid is one part where it has no more voxels than a window.
    """
    whole = tuple(slice(0, count) for count in mask.shape)
    if mask.size <= (TILE + 2 * HALO) ** 3:
        return [(whole, whole)]
    found = []
    for start in product(*(range(0, count, TILE) for count in mask.shape)):
        core = tuple(slice(a, min(a + TILE, count)) for a, count in zip(start, mask.shape, strict=True))
        window = tuple(
            slice(max(0, part.start - HALO), min(part.stop + HALO, count))
            for part, count in zip(core, mask.shape, strict=True)
        )
        if mask[core].any():
            found.append((core, window))
    return found


def read_network(bundle: Bundle) -> nn.Module:
    """The network of a bundle, on the CPU.

    Raises:
        InputError: an unknown network, or weights that do not fit.
    """
    if bundle.network not in NETWORKS:
        raise InputError(f"{bundle.folder} holds an unknown network {bundle.network!r}.", "Choose another bundle.")
    try:
        network = build(bundle.network, int(bundle.parameters["width"]))
        (weights,) = load_weights(bundle)
        network.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{bundle.folder}: card and weights do not fit: {error}.", "Choose another bundle.") from error
    return network


def scale_of(bundle: Bundle) -> int:
    """By how much a bundle's network refines the grid: 1 or 2.

    Raises:
        InputError: the card says something else.
    """
    scale = bundle.parameters.get("scale")
    if scale not in (1, 2):
        raise InputError(f"{bundle.folder}: its card says scale {scale!r}, expected 1 or 2.", "Choose another bundle.")
    return int(scale)
