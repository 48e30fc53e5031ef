"""The verb `train-autoencoder`: volumes of a store, or phantoms, in; an autoencoder's bundle out."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from deeprecon.ctpa.autoencoder.fitting import AutoencoderLoss, PhantomPatches, StorePatches
from deeprecon.ctpa.autoencoder.loss import Adversary, PerceptualLoss
from deeprecon.ctpa.autoencoder.network import AUTOENCODERS, Autoencoder
from deeprecon.ctpa.diffusion.denoiser import parameter_count
from deeprecon.ctpa.diffusion.model import AUTOENCODER_METHOD, autoencoder_card
from deeprecon.ctpa.grid import PRESETS
from deeprecon.ctpa.parameters import Preset, TrainAutoencoderInputs, TrainAutoencoderParameters
from deeprecon.ctpa.read.manifest import SPLITS, TRAIN
from deeprecon.ctpa.training.plan import fit_settings, estimate_training, estimate_figures, check_memory, describe_steps, scaled_widths
from deeprecon.ctpa.training.store import Store
from deeprecon.data.errors import InputError
from deeprecon.data.tables import write_table
from deeprecon.jobs.run import Outcome, Run
from deeprecon.training.batches import Draws
from deeprecon.training.bundle import Card, write_bundle
from deeprecon.training.fabric import make_fabric
from deeprecon.training.fit import fit

PROBES = (16, 32)
"""Voxels along each axis of the small patches that tell the need."""
HELD_OUT = 16
"""Held-out patches; of 96^3 or larger fewer, see `_held_out`."""
MAX_HELD_OUT_VOXELS = 16 * 64**3


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
    torch.manual_seed(run.seed)
    settings, batches = fit_settings(parameters.steps, parameters.accumulate, parameters.learning_rate)
    shape = AUTOENCODERS[parameters.autoencoder.value]
    shape = replace(shape, widths=scaled_widths(shape.widths, parameters.width))
    autoencoder = Autoencoder(shape, parameters.checkpointing)
    perceptual = None if inputs.perceptual is None else PerceptualLoss(inputs.perceptual)
    adversary = None
    if parameters.slice_weight or parameters.volume_weight:
        start = round(parameters.adversarial_start * settings.epochs * batches)
        adversary = Adversary(parameters.slice_weight, parameters.volume_weight, start)
    loss = AutoencoderLoss(autoencoder, finest, perceptual, parameters.perceptual_weight, adversary).to(fabric.device)
    count = max(1, min(HELD_OUT, MAX_HELD_OUT_VOXELS // parameters.patch**3))
    patches = held_out.held_out(count)

    small, larger = (fabric.to_device(patches[:1, :, :size, :size, :size]) for size in PROBES)
    probes = (small.numel(), partial(loss, small)), (larger.numel(), partial(loss, larger))
    batch, voxels = parameters.batch, patches[0].numel()
    need = estimate_training(loss, probes, voxels, batch, settings.epochs * batches, run, fabric)
    check_memory(need, run)
    if adversary is not None:
        adversary.passes.zero_()  # the small patches above were no training

    def errors(model: Any) -> list[float]:
        """Of each resolution, one patch at a time."""
        module = getattr(model, "module", model)
        with torch.no_grad(), fabric.autocast():
            rows = [[float(value) for value in module.figures(fabric.to_device(patch[None]))] for patch in patches]
        return [float(value) for value in np.mean(rows, axis=0)]

    begun = time.monotonic()
    run.reporter.status("Training the autoencoder")
    draws = Draws(batches, parameters.batch, training)

    def validate(model: Any) -> float:
        return sum(errors(model))

    def codebook_figures() -> dict[str, float]:
        with fabric.autocast():
            return loss.codebook_figures(fabric.to_device(patch[None]) for patch in patches)

    result = fit(
        loss, lambda model, batch: model(batch), draws, validate, settings, run, fabric, "autoencoder",
        apart=adversary, figures=codebook_figures,
    )  # fmt: skip
    if not fabric.is_global_zero:
        return Outcome()
    presets = [name for name, coarser in (("preview", 1), ("full", 0)) if coarser >= finest]
    found = errors(loss)
    figures: dict[str, Any] = {
        "autoencoder_parameters": parameter_count(autoencoder),
        "held_out_loss": result.best,
        "best_epoch": result.best_epoch,
        **codebook_figures(),
        **{f"psnr_{name}": _psnr(found[(0 if name == "full" else 1) - finest]) for name in presets},
        **estimate_figures(need, time.monotonic() - begun, run),
    }
    outputs = {"bundle": run.output / "bundle", "history": run.output / "history.csv"}
    write_table(outputs["history"], result.history)
    card = {"autoencoder": autoencoder_card(autoencoder), "presets": presets, "finest": finest}
    steps = describe_steps(parameters.steps, settings, result)
    about = _about(parameters, data, steps, presets, run.seed)
    weights = {"autoencoder": autoencoder.state_dict()}
    name = parameters.autoencoder.value
    write_bundle(outputs["bundle"], about, AUTOENCODER_METHOD, name, card, weights, _readme(about))
    return Outcome(outputs, figures)


def _sources(
    inputs: TrainAutoencoderInputs, parameters: TrainAutoencoderParameters, run: Run
) -> tuple[StorePatches | PhantomPatches, StorePatches | PhantomPatches, int, str]:
    """Patches to train on and to assess_quality by, how much coarser than the full grid they are, and in words what they are."""
    if inputs.store is None:
        phantoms = PhantomPatches(parameters.patch, run.seed, PRESETS[Preset.FULL.value])
        return phantoms, phantoms, 0, "patches of simulated chests"
    store = Store.open(inputs.store)
    if not store.cases(TRAIN) or not store.cases(SPLITS[1]):
        raise InputError(
            f"{store.folder} has no training or no validation cases.",
            "Prepare it with more patients, or a larger --validation.",
        )
    finest = 1 if store.grid.shape == PRESETS[Preset.PREVIEW.value].shape else 0
    training, held_out = (StorePatches(store.cases(split), parameters.patch, run.seed) for split in (TRAIN, SPLITS[1]))
    return training, held_out, finest, f"patches of {len(store.cases(TRAIN))} volumes of {store.folder.name}"


def _psnr(squared: float) -> float:
    """In dB, of a mean squared error in -1 .. 1."""
    return round(10 * float(np.log10(4 / squared)), 2)


def _about(parameters: TrainAutoencoderParameters, data: str, steps: str, presets: list[str], seed: int) -> Card:
    volume = {"type": "image", "format": "hounsfield", "num_channels": 1, "value_range": [-1000, 1000]}
    return Card(
        name=f"Chest CT autoencoder, {parameters.autoencoder.value}",
        version="1.0.0",
        description="Makes chest CTs small, and small ones large again, for latent diffusion.",
        valid_for=f"CTs on the grid of {' and '.join(presets)}, like those that it was trained on.",
        training_data=f"{data} of {parameters.patch}^3; {steps}, seed {seed}",
        license="NOASSERTION",
        authorship="The person who trained it",
        task="Compression of chest CTs",
        inputs={"ct": volume},
        outputs={"ct": volume},
    )


def _readme(card: Card) -> str:
    return (
        f"# {card.name}\n\n{card.description}\n\nValid for: {card.valid_for}\n\nTrained on: {card.training_data}.\n\n"
        "Research only, not for diagnosis.\n\n"
        "    python -m deeprecon ctpa prepare --manifest manifest.csv --bundle THIS_FOLDER --output DIR\n"
    )
