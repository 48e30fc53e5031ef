"""The verb `train-diffusion`: a prepared store in, a bundle that makes CTs of X-rays out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deeprecon.ctpa.autoencoder.network import Autoencoder
from deeprecon.ctpa.diffusion.denoiser import DENOISERS, parameter_count
from deeprecon.ctpa.diffusion.fitting import DenoisingLoss, NoisyLatents, latent_statistics, residual_deviation
from deeprecon.ctpa.diffusion.model import (
    AUTOENCODER_METHOD,
    METHOD,
    autoencoder_card,
    denoiser_card,
    half_state,
    load_autoencoder,
    round_to_half,
)
from deeprecon.ctpa.diffusion.posterior_mean import (
    MAX_DEVIATION_VOXELS,
    MAX_MEAN_VOXELS,
    PosteriorMean,
    downsampled,
    cross_fitted_deviations,
    fit_posterior_mean,
)
from deeprecon.ctpa.diffusion.processes import PROCESSES
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.encoders.pretrained import CARDS, make_encoder
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.measure.quality import prediction_limit
from deeprecon.ctpa.parameters import EncoderName, TrainDiffusionInputs, TrainDiffusionParameters
from deeprecon.ctpa.read.manifest import SPLITS, TRAIN
from deeprecon.ctpa.training.plan import (
    Probe,
    fit_settings,
    estimate_training,
    estimate_figures,
    check_memory,
    describe_steps,
    scaled_widths,
)
from deeprecon.ctpa.training.store import Case, Store, geometry_to_json
from deeprecon.ctpa.training.validation import held_out_metrics
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.tables import write_table
from deeprecon.jobs.run import Outcome, Run
from deeprecon.training.batches import Draws
from deeprecon.training.bundle import Bundle, Card, read_bundle, write_bundle
from deeprecon.training.fabric import Fabric, make_fabric
from deeprecon.training.fit import fit

MAX_PIXELS_PER_VOXEL = 4
"""Pixels of the X-ray along an axis for each latent voxel, at most."""
PROBES = (8, 16)
"""Latent voxels along each axis of the small windows that tell the need."""
MAX_HELD_OUT = 16
MAX_RANK = 32


def train_diffusion(inputs: TrainDiffusionInputs, parameters: TrainDiffusionParameters, run: Run) -> Outcome:
    """Train a denoiser on a store's latents and X-rays.

    Raises:
        InputError: store and autoencoder do not belong together, no validation cases, or too little memory.
    """
    store, source = Store.open(inputs.store), read_bundle(inputs.bundle, AUTOENCODER_METHOD)
    _check(store, source, inputs, parameters)
    training, validation = store.cases(TRAIN), store.cases(SPLITS[1])
    autoencoder = load_autoencoder(source, "cpu")
    grid = store_latent_grid(training[0], store.grid)
    factor = min(MAX_PIXELS_PER_VOXEL, store.grid.shape[0] // grid.shape[0])
    _check_shapes(training[0], autoencoder, parameters)
    fabric = make_fabric(run.device, run.precision)

    run.reporter.status("Reading the latents")
    shift, scale = latent_statistics(training)
    xrays = {name: load_xrays(cases, grid, factor) for name, cases in (("train", training), ("validation", validation))}
    run.reporter.status("Fitting the expectation")
    expectation, crossed = fit_latent_regression(training, xrays["train"], shift, scale, run.seed)
    # The process shall have unit variance where it has work to do: in what the expectation leaves.
    left = residual_deviation(training, expectation, crossed, shift, scale, grid)
    scale = scale * left
    crossed = crossed / left
    expectation.divide(left)
    process = PROCESSES[parameters.process.value]
    shape = DENOISERS[parameters.denoiser.value]
    widths = scaled_widths(shape.widths, parameters.width)
    shape = replace(shape, latent=autoencoder.shape.latent, widths=widths)
    torch.manual_seed(run.seed)
    encoder = make_encoder(parameters.xray_encoder.value, shape.features, factor, inputs.encoder)
    denoiser = ResidualDenoiser(shape, factor, expectation, process, encoder, parameters.checkpointing)
    loss = DenoisingLoss(denoiser)
    samples = NoisyLatents(
        cases=training,
        xrays=xrays["train"],
        deviations=crossed,
        shift=shift,
        scale=scale,
        grid=grid,
        process=process,
        withheld=parameters.withheld,
        patch=parameters.patch,
        divisor=shape.divisor,
        group=parameters.batch * fabric.world_size,
        seed=run.seed,
    )
    with torch.no_grad():
        deviations = expectation.deviation(expectation(xrays["validation"]))
    judged = replace(samples, cases=validation, xrays=xrays["validation"], deviations=deviations)
    held_out = judged.held_out(MAX_HELD_OUT)

    settings, batches = fit_settings(parameters.steps, parameters.accumulate, parameters.learning_rate)
    loss.to(fabric.device)
    voxels = float(np.prod([min(parameters.patch or count, count) for count in grid.shape]))
    probes = probe_batch(loss, samples, PROBES[0], fabric), probe_batch(loss, samples, PROBES[1], fabric)
    need = estimate_training(loss, probes, voxels, parameters.batch, settings.epochs * batches, run, fabric)
    check_memory(need, run)

    def validate(model: Any) -> float:
        return float(torch.stack([model(fabric.to_device(batch)) for batch in held_out]).mean())

    begun = time.monotonic()
    run.reporter.status("Training the denoiser")
    draws = Draws(batches, parameters.batch, samples)
    result = fit(loss, lambda model, batch: model(batch), draws, validate, settings, run, fabric, "denoiser")
    figures = {
        "denoiser_parameters": parameter_count(denoiser),
        "cases": len(training),
        "held_out_loss": result.best,
        "best_epoch": result.best_epoch,
        **estimate_figures(need, time.monotonic() - begun, run),
    }
    outputs = {"bundle": run.output / "bundle", "history": run.output / "history.csv"}
    if not fabric.is_global_zero:
        return Outcome()
    phantoms = all(case.patient.startswith("phantom-") for case in store.cases())
    distances = _distances(expectation, xrays["train"], xrays["validation"])
    card: dict[str, Any] = {
        "autoencoder": autoencoder_card(autoencoder),
        "presets": source.parameters["presets"],
        "denoiser": denoiser_card(denoiser, parameters.xray_encoder.value),
        "expectation": asdict(expectation.shape),
        "process": parameters.process.value,
        "latent_mean": shift.flatten().tolist(),
        "latent_std": scale.flatten().tolist(),
        "latent_grid": {"shape": list(grid.shape), "field": list(grid.field)},
        "geometries": [geometry_to_json(geometry) for geometry in dict.fromkeys(case.geometry for case in training)],
        "phantoms": phantoms,
        "usual_mean": distances[0].tolist(),
        "usual_deviation": distances[1].tolist(),
    }
    for part in (autoencoder, denoiser):
        round_to_half(part)
    run.reporter.status("Synthesizing held-out cases")
    checked, nrmse_limit = held_out_metrics(
        autoencoder, denoiser, process, validation, xrays["validation"], shift, scale, grid, run
    )
    if nrmse_limit is None:
        run.reporter.warning(
            "With fewer than three validation cases the model cannot tell which errors are usual: the trust of its "
            "results is never green. Prepare a store with more of them."
        )
    card["thresholds"] = None if nrmse_limit is None else {"nrmse": nrmse_limit, "distance": distances[2]}
    figures |= checked
    write_table(outputs["history"], result.history)
    weights = {"autoencoder": half_state(autoencoder), "denoiser": half_state(denoiser)}
    data = f"{len(training)} {'simulated chests' if phantoms else 'pairs of X-ray and CT'} of {store.folder.name}"
    steps = describe_steps(parameters.steps, settings, result)
    about = _about(f"{data}; {steps}, seed {run.seed}", phantoms, parameters.xray_encoder, inputs.encoder)
    write_bundle(outputs["bundle"], about, METHOD, parameters.denoiser.value, card, weights, _readme(about))
    return Outcome(outputs, figures)


def store_latent_grid(case: Case, grid: Grid) -> Grid:
    """The grid of a store's latents."""
    k, j, i = case.latent().shape[1:]
    return Grid((k, j, i), grid.field)


def load_xrays(cases: Sequence[Case], grid: Grid, factor: int) -> Tensor:
    """(cases, 1, rows, columns) X-rays with `factor` pixels for each voxel of a latent grid."""
    size = factor * grid.shape[0], factor * grid.shape[2]
    images = [functional.adaptive_avg_pool2d(torch.from_numpy(case.xray())[None], size) for case in cases]
    return torch.stack(images)


def probe_batch(loss: DenoisingLoss, samples: NoisyLatents, size: int, fabric: Fabric) -> Probe:
    """A small window of one sample; see `training_plan.estimate_training`."""
    batch = fabric.to_device(replace(samples, patch=size, group=1)(np.zeros(1, np.int64)))
    return float(np.prod(batch["x"].shape[2:])), partial(loss, batch)


def fit_latent_regression(cases: Sequence[Case], xrays: Tensor, shift: Tensor, scale: Tensor, seed: int) -> tuple[PosteriorMean, Tensor]:
    """The expectation of standardized latents, and the deviations (cases, latent, *coarse) that such fit_latent_regression unseen.

    Args:
        cases: of the training.
        xrays: (cases, 1, rows, columns).
        shift, scale: (latent, 1, 1, 1) mean and standard deviation of the latents.
        seed: see `fit_posterior_mean`.
    """
    total, coarse = torch.zeros(()), []
    for case in cases:
        latent = (torch.from_numpy(case.latent()).float() - shift) / scale
        total = total + downsampled(latent, MAX_MEAN_VOXELS)
        coarse.append(downsampled(latent, MAX_DEVIATION_VOXELS))
    stacked = torch.stack(coarse)
    deviations = stacked - stacked.mean(dim=0)
    expectation = fit_posterior_mean(xrays, deviations, total / len(cases), seed, rank=MAX_RANK)
    return expectation, cross_fitted_deviations(xrays, deviations, seed, rank=MAX_RANK)


def _distances(expectation: PosteriorMean, xrays: Tensor, unseen: Tensor) -> tuple[Tensor, Tensor, float | None]:
    """Mean and standard deviation of the embeddings of X-rays, and what the distance of unseen ones stays below."""
    with torch.no_grad():
        known, new = expectation.embedding(xrays), expectation.embedding(unseen)
    both = torch.cat([known, new])  # the unseen ones too: of what they leave unexplained, training says too little
    mean, deviation = both.mean(dim=0), both.std(dim=0).clamp_min(1e-6)
    distances = ((new - mean) / deviation).square().mean(dim=1).sqrt()
    return mean, deviation, prediction_limit(distances.tolist())


def _check(store: Store, source: Bundle, inputs: TrainDiffusionInputs, parameters: TrainDiffusionParameters) -> None:
    if store.latents is None:
        raise InputError(f"{store.folder} holds no latents.", "Prepare it with --bundle, an autoencoder's bundle.")
    if store.latents != source.sha256:
        raise InputError(
            f"The latents of {store.folder} were made by another autoencoder than that in {source.folder}.",
            "Give the bundle with which the store was prepared.",
        )
    if len(store.cases(TRAIN)) < 2 or not store.cases(SPLITS[1]):
        raise InputError(
            f"{store.folder} has {len(store.cases(TRAIN))} training and {len(store.cases(SPLITS[1]))} validation cases;"
            " two and one are the least.",
            "Prepare it with more patients, or a larger --validation.",
        )
    frozen = parameters.xray_encoder is not EncoderName.SPATIAL
    if frozen and inputs.encoder is None:
        raise InputError(
            f"The X-ray encoder {parameters.xray_encoder.value} needs its weights.", "Give them with --encoder."
        )
    if inputs.encoder is not None and not frozen:
        raise InputError("--encoder was given, but the X-ray encoder is our own.", "Choose --xray-encoder too.")


def _check_shapes(case: Case, autoencoder: Autoencoder, parameters: TrainDiffusionParameters) -> None:
    channels = case.latent().shape[0]
    if channels != autoencoder.shape.latent:
        raise InputError(
            f"{case.folder} holds latents of {channels} channels, the autoencoder makes {autoencoder.shape.latent}.",
            "Prepare the store again.",
        )
    divisor = DENOISERS[parameters.denoiser.value].divisor
    if parameters.patch % divisor:
        raise InputError(f"A patch of {parameters.patch} does not divide by {divisor}.", "Choose a multiple of it.")


def _about(training_data: str, phantoms: bool, name: EncoderName, encoder: Path | None) -> Card:
    """What people need to know; a frozen encoder, whose weights the bundle holds, is named with its license."""
    kind = "phantom-trained demonstrator" if phantoms else "trained on the user's own pairs"
    description = "Draws chest CTs that one frontal X-ray may belong to. They are synthetic, whatever they show."
    if encoder is not None:
        card = CARDS[name.value]
        description += (
            f" It holds the frozen X-ray encoder {name.value} from {encoder.name} (sha256 {sha256(encoder)}), published"
            f" by {card.source}, under its own license: {card.license}."
        )
    return Card(
        name=f"X-ray to CT, {kind}",
        version="1.0.0",
        description=description,
        valid_for="Frontal chest X-rays like those that it was trained on. Emboli cannot be told from an X-ray.",
        training_data=training_data,
        license="Apache-2.0" if phantoms and encoder is None else "NOASSERTION",
        authorship="DeepRecon contributors" if phantoms else "The person who trained it",
        task="Synthesis of a chest CT from an X-ray",
        inputs={"xray": {"type": "image", "format": "magnitude", "num_channels": 1}},
        outputs={"ct": {"type": "image", "format": "hounsfield", "num_channels": 1, "value_range": [-1000, 1000]}},
    )


def _readme(card: Card) -> str:
    return (
        f"# {card.name}\n\n{card.description}\n\nValid for: {card.valid_for}\n\nTrained on: {card.training_data}.\n\n"
        "Research only, not for diagnosis.\n\n"
        "    python -m deeprecon ctpa synthesize --bundle THIS_FOLDER --xray xray.dcm --output DIR\n"
    )
