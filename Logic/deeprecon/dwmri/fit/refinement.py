"""The default method: a network that is trained on simulated repeats of the scan itself.

It is a parametric bootstrap (Efron and Tibshirani 1993). The local PCA result serves as the truth: it gets new noise,
as strong and as correlated as that of the scan, and goes through the same PCAs again. From the noisy repeat and its PCA
results a small network learns to predict the truth; then it is applied to the real scan and its PCA results. The truth
of the second round is the result of the first one. No other scan and no second measurement is needed, and the errors on
the repeats estimate the uncertainty. Lesions are inserted into each repeat, see `simulate.inserted_lesions`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deeprecon.dwmri.filters import smooth_in_mask
from deeprecon.dwmri.fit.local_pca import local_pcas, mean_of_results, principal_axes
from deeprecon.dwmri.fit.refiner_training import (
    EPOCHS,
    NoiseModel,
    Repeat,
    project_components,
    simulate_repeats,
    train_refiner,
)
from deeprecon.dwmri.networks.architectures import count_parameters
from deeprecon.dwmri.networks.refiner import Refiner
from deeprecon.dwmri.noise.correlation import lag1_of_tap, noise_taps
from deeprecon.dwmri.observe.mask import bounding_box
from deeprecon.jobs.run import PartReporter, Run
from deeprecon.training.devices import seed_generators

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

COMPONENTS = 14
"""Leading components that the network refines; the others stay as in the mean of the PCA results."""
ROUNDS = 2


@dataclass(frozen=True, eq=False)
class Refined:
    """The network's result for a scan, in units of the noise.

    Attributes:
        array: (k, j, i, V) without bias, where its correction was asked for.
        error: (k, j, i) root mean square error over the volumes, from the repeats; 0 far from the mask.
        history: curve name -> values, with the steps under "step".
        metrics: of the training.
    """

    array: Floats
    error: Floats
    history: dict[str, list[float]]
    metrics: dict[str, Any]


def refine(array: Floats, mask: Mask, rician: bool, steps: int, run: Run) -> Refined:
    """Train on repeats of a scan in the mask, and apply the network to all of it.

    Args:
        array: (k, j, i, V) in units of the noise.
        mask: (k, j, i).
        rician: whether the scan holds magnitudes whose bias is to be corrected.
        steps: training steps in all.
        run: device, threads, seed, checkpoint folder and reporter.
    """
    begun = time.monotonic()
    seed_generators(run.seed)
    guides = local_pcas(array, mask, rician, run.device, run.threads, everywhere=True)
    truth = first = mean_of_results(guides)
    noise = NoiseModel(rician, noise_taps(array, first, mask, rician))
    axes, box = principal_axes(truth, mask, COMPONENTS), bounding_box(mask)
    own = project_components(array, axes, run.device)
    own_guides = torch.cat([project_components(guide, axes, run.device) for guide in guides])
    del guides
    own_truth = project_components(truth, axes, run.device)
    std = own_truth[:, torch.from_numpy(mask).to(run.device)].std(dim=1)
    model = Refiner(axes.shape[1], len(own_guides) // axes.shape[1], std.clamp_min(1.0))
    history: dict[str, list[float]] = {"step": [], "loss": [], "validation": []}
    for number in range(ROUNDS):
        run.reporter.status(f"Simulating repeats of the scan, round {number + 1} of {ROUNDS}")
        repeats = simulate_repeats(truth[box], mask[box], axes, noise, number, run)
        run.reporter.status(f"Training the network, round {number + 1} of {ROUNDS}")
        reporter = PartReporter(run.reporter, number / ROUNDS, (number + 1) / ROUNDS, begun)
        for entry in train_refiner(model, repeats, steps // ROUNDS, replace(run, reporter=reporter), number):
            history["step"].append((number * EPOCHS + entry["epoch"] + 1) * steps / (ROUNDS * EPOCHS))
            history["loss"].append(entry["loss"])
            history["validation"].append(entry["validation"])
        with torch.no_grad():
            change = (model(own[None], own_guides[None])[0] - own_truth).cpu().numpy()
        truth = first + np.moveaxis(change, 0, -1) @ axes.T
        if rician:
            truth = np.maximum(truth, 0)
        if run.should_stop():
            break
    metrics = {
        "network_parameters": count_parameters(model),
        "training_steps": int(history["step"][-1]) if history["step"] else 0,
        "noise_lag1": [round(lag1_of_tap(tap), 3) for tap in noise.taps],
    }
    error = np.zeros(mask.shape, np.float32)
    error[box] = _error(model, repeats, mask[box].shape, axes.shape[0])
    return Refined(truth, error, history, metrics)


def _error(model: Refiner, repeats: list[Repeat], shape: tuple[int, ...], volumes: int) -> Floats:
    """(k, j, i) root mean square error on the repeats outside of inserted lesions, smoothed over a voxel."""
    total, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    with torch.no_grad():
        for repeat in repeats:
            found = model(repeat.noisy[None], repeat.guides[None])[0]
            error = ((found - repeat.truth) ** 2).sum(dim=0).cpu().numpy() / volumes + repeat.rest
            unchanged = (repeat.inside & (repeat.weight <= 1)).cpu().numpy()
            total[repeat.slices] += error * unchanged
            count[repeat.slices] += unchanged
    return np.sqrt(smooth_in_mask(total / np.maximum(count, 1), count > 0, 1.0)).astype(np.float32)
