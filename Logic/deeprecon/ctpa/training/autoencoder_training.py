"""The verb `train-autoencoder`: from volumes of a store, or phantoms, to an autoencoder's bundle."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deeprecon.ctpa.autoencoder.network import AUTOENCODERS, Autoencoder
from deeprecon.ctpa.diffusion.denoiser import parameter_count
from deeprecon.ctpa.diffusion.model import AUTOENCODER_METHOD, autoencoder_card
from deeprecon.ctpa.grid import PRESETS
from deeprecon.ctpa.parameters import Preset, TrainAutoencoderInputs, TrainAutoencoderParameters
from deeprecon.ctpa.read.manifest import TRAIN, VALIDATION
from deeprecon.ctpa.training.autoencoder_loss import AutoencoderLoss
from deeprecon.ctpa.training.auxiliary_losses import AdversarialLoss, PerceptualLoss
from deeprecon.ctpa.training.cards import autoencoder_bundle_card, readme
from deeprecon.ctpa.training.patch_batches import PhantomPatches, StorePatches
from deeprecon.ctpa.training.plan import (
    TrainingEstimate,
    check_memory,
    checkpoint_figures,
    describe_steps,
    estimate_figures,
    estimate_training,
    fit_settings,
    scaled_widths,
)
from deeprecon.ctpa.training.store import Store
from deeprecon.data.errors import InputError
from deeprecon.data.tables import write_table
from deeprecon.jobs.run import Outcome, Run
from deeprecon.numerics.similarity import psnr_of_error
from deeprecon.training.batches import RandomBatches
from deeprecon.training.bundle import write_bundle
from deeprecon.training.fabric import Fabric, make_fabric
from deeprecon.training.fit import fit

PROBES = (16, 32)
"""Voxels along each axis of the patches from which memory and time are estimated."""
HELD_OUT = 16
MAX_HELD_OUT_VOXELS = HELD_OUT * 64**3
"""Held-out patches, and the maximum of their voxels: of 96^3 or larger there are fewer patches."""


def train_autoencoder(inputs: TrainAutoencoderInputs, parameters: TrainAutoencoderParameters, run: Run) -> Outcome:
    """Train an autoencoder on patches.

    Raises:
        InputError: a store without validation cases, missing weights of the perceptual loss, or too little memory.
    """
    if bool(parameters.perceptual_weight) != (inputs.perceptual is not None):
        raise InputError(
            "The perceptual loss needs a weight above 0 and a network's weights: one of the two was given.",
            "Give both --perceptual and --perceptual-weight, or neither.",
        )
    training, held_out, finest, data = _sources(inputs, parameters, run)
    fabric = make_fabric(run.device, run.precision)
    settings, batches = fit_settings(parameters.steps, parameters.accumulate, parameters.learning_rate)
    count = settings.epochs * batches
    loss = _make_loss(inputs, parameters, finest, count, run).to(fabric.device)
    patches = held_out.held_out(max(1, min(HELD_OUT, MAX_HELD_OUT_VOXELS // parameters.patch**3)))
    estimate = _estimate(loss, patches, parameters.batch, count, run, fabric)
    check_memory(estimate, run)

    def errors(model: Any) -> list[float]:
        """Of each resolution, one patch at a time."""
        module = getattr(model, "module", model)
        with torch.no_grad(), fabric.autocast():
            rows = [[float(value) for value in module.figures(fabric.to_device(patch[None]))] for patch in patches]
        return [float(value) for value in np.mean(rows, axis=0)]

    def codebook_figures() -> dict[str, float]:
        with fabric.autocast():
            return loss.codebook_figures(fabric.to_device(patch[None]) for patch in patches)

    begun = time.monotonic()
    run.reporter.status("Training the autoencoder")
    result = fit(
        loss, lambda model, batch: model(batch), RandomBatches(batches, parameters.batch, training),
        lambda model: sum(errors(model)), settings, run, fabric, "autoencoder", adversary=loss.adversary,
        figures=codebook_figures,
    )  # fmt: skip
    if not fabric.is_global_zero:
        return Outcome()
    presets = [name for name, coarser in (("preview", 1), ("full", 0)) if coarser >= finest]
    figures: dict[str, Any] = {
        "autoencoder_parameters": parameter_count(loss.autoencoder),
        "held_out_loss": result.best,
        "best_epoch": result.best_epoch,
        **codebook_figures(),
        **_psnr(errors(loss), presets, finest),
        **estimate_figures(estimate, time.monotonic() - begun, run),
        **checkpoint_figures(run),
    }
    outputs = {"bundle": run.output / "bundle", "history": run.output / "history.csv"}
    write_table(outputs["history"], result.history)
    steps = describe_steps(parameters.steps, settings, result)
    name = parameters.autoencoder.value
    about = autoencoder_bundle_card(name, presets, f"{data} of {parameters.patch}^3; {steps}, seed {run.seed}")
    card = {"autoencoder": autoencoder_card(loss.autoencoder), "presets": presets, "finest": finest}
    weights = {"autoencoder": loss.autoencoder.state_dict()}
    page = readme(about, "prepare --manifest manifest.csv --bundle THIS_FOLDER --output DIR")
    write_bundle(outputs["bundle"], about, AUTOENCODER_METHOD, name, card, weights, page)
    return Outcome(outputs, figures)


def _psnr(errors: list[float], presets: list[str], finest: int) -> dict[str, float]:
    """In dB by preset, from the mean squared errors, in -1 .. 1, of the resolutions from `finest` on."""
    levels = {"full": 0, "preview": 1}
    return {f"psnr_{name}": round(psnr_of_error(errors[levels[name] - finest], 2.0), 2) for name in presets}


def _sources(
    inputs: TrainAutoencoderInputs, parameters: TrainAutoencoderParameters, run: Run
) -> tuple[StorePatches | PhantomPatches, StorePatches | PhantomPatches, int, str]:
    """Training and held-out patches, halvings of their resolution from the full grid, and a description."""
    if inputs.store is None:
        phantoms = PhantomPatches(parameters.patch, run.seed, PRESETS[Preset.FULL.value])
        return phantoms, phantoms, 0, "patches of simulated chests"
    store = Store.open(inputs.store)
    if not store.cases(TRAIN) or not store.cases(VALIDATION):
        raise InputError(
            f"{store.folder} has no training or no validation cases.",
            "Prepare it with more patients, or a larger --validation.",
        )
    finest = 1 if store.grid.shape == PRESETS[Preset.PREVIEW.value].shape else 0
    training, held_out = (StorePatches(store.cases(split), parameters.patch, run.seed) for split in (TRAIN, VALIDATION))
    return training, held_out, finest, f"patches of {len(store.cases(TRAIN))} volumes of {store.folder.name}"


def _make_loss(
    inputs: TrainAutoencoderInputs, parameters: TrainAutoencoderParameters, finest: int, batches: int, run: Run
) -> AutoencoderLoss:
    """The autoencoder in its loss; `batches` are those of the whole training."""
    torch.manual_seed(run.seed)
    shape = AUTOENCODERS[parameters.autoencoder.value]
    shape = replace(shape, widths=scaled_widths(shape.widths, parameters.width))
    autoencoder = Autoencoder(shape, parameters.checkpointing)
    perceptual = None if inputs.perceptual is None else PerceptualLoss(inputs.perceptual)
    adversary = None
    if parameters.slice_weight or parameters.volume_weight:
        start = round(parameters.adversarial_start * batches)
        adversary = AdversarialLoss(parameters.slice_weight, parameters.volume_weight, start)
    return AutoencoderLoss(autoencoder, finest, perceptual, parameters.perceptual_weight, adversary)


def _estimate(
    loss: AutoencoderLoss, patches: Tensor, batch: int, batches: int, run: Run, fabric: Fabric
) -> TrainingEstimate:
    small, larger = (fabric.to_device(patches[:1, :, :size, :size, :size]) for size in PROBES)
    probes = (small.numel(), partial(loss, small)), (larger.numel(), partial(loss, larger))
    estimate = estimate_training(loss, probes, patches[0].numel(), batch, batches, run, fabric)
    if loss.adversary is not None:
        loss.adversary.passes.zero_()  # the probes are no training passes
    return estimate
