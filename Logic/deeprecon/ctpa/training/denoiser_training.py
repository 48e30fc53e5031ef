"""The verb `train-diffusion`: from a prepared store to a bundle that makes CTs of X-rays."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deeprecon.ctpa.autoencoder.network import Autoencoder
from deeprecon.ctpa.diffusion.denoiser import DENOISERS, parameter_count
from deeprecon.ctpa.diffusion.model import (
    AUTOENCODER_METHOD,
    METHOD,
    autoencoder_card,
    denoiser_card,
    half_state,
    load_autoencoder,
    round_to_half,
)
from deeprecon.ctpa.diffusion.posterior_mean import PosteriorMean
from deeprecon.ctpa.diffusion.processes import PROCESSES, Process
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.encoders.pretrained import make_encoder
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.parameters import EncoderName, TrainDiffusionInputs, TrainDiffusionParameters
from deeprecon.ctpa.read.manifest import TRAIN, VALIDATION
from deeprecon.ctpa.training.cards import model_bundle_card, readme
from deeprecon.ctpa.training.denoising import Batch, DenoisingLoss, NoisyLatents, latent_statistics, residual_deviation
from deeprecon.ctpa.training.plan import (
    Probe,
    TrainingEstimate,
    check_memory,
    checkpoint_figures,
    describe_steps,
    estimate_figures,
    estimate_training,
    fit_settings,
    scaled_widths,
)
from deeprecon.ctpa.training.posterior_mean_fit import fit_latent_regression
from deeprecon.ctpa.training.store import Case, Store
from deeprecon.ctpa.training.validation import held_out_metrics, prediction_limit
from deeprecon.data.errors import InputError
from deeprecon.data.tables import write_table
from deeprecon.jobs.run import Outcome, Run
from deeprecon.training.batches import RandomBatches
from deeprecon.training.bundle import Bundle, read_bundle, write_bundle
from deeprecon.training.fabric import Fabric, make_fabric
from deeprecon.training.fit import fit

MAX_PIXELS_PER_VOXEL = 4
"""Maximum pixels of the X-ray along an axis for each latent voxel."""
PROBES = (8, 16)
"""Latent voxels along each axis of the windows from which memory and time are estimated."""
MAX_HELD_OUT = 16
"""Maximum held-out batches of the loss."""
MIN_TRAINING = 3
"""Minimum training cases: cross-fitting leaves one out, and one case alone has no deviation from a mean."""


def train_diffusion(inputs: TrainDiffusionInputs, parameters: TrainDiffusionParameters, run: Run) -> Outcome:
    """Train a denoiser on a store's latents and X-rays.

    Raises:
        InputError: store and autoencoder do not belong together, no validation cases, or too little memory.
    """
    fabric = make_fabric(run.device, run.precision)
    data = _read(inputs, parameters, run)
    denoiser = _make_denoiser(data, inputs, parameters, run)
    training, held_out = _make_batches(data, denoiser, parameters, fabric, run)
    loss = DenoisingLoss(denoiser).to(fabric.device)
    settings, count = fit_settings(parameters.steps, parameters.accumulate, parameters.learning_rate)
    estimate = _estimate(loss, training, parameters, settings.epochs * count, run, fabric)
    check_memory(estimate, run)

    def validate(model: Any) -> float:
        return float(torch.stack([model(fabric.to_device(batch)) for batch in held_out]).mean())

    begun = time.monotonic()
    run.reporter.status("Training the denoiser")
    draws = RandomBatches(count, parameters.batch, training)
    result = fit(loss, lambda model, batch: model(batch), draws, validate, settings, run, fabric, "denoiser")
    figures = {
        "denoiser_parameters": parameter_count(denoiser),
        "cases": len(data.training),
        "held_out_loss": result.best,
        "best_epoch": result.best_epoch,
        **estimate_figures(estimate, time.monotonic() - begun, run),
        **checkpoint_figures(run),
    }
    if not fabric.is_global_zero:
        return Outcome()
    thresholds, metrics = _validate_samples(data, denoiser, run)
    outputs = {"bundle": run.output / "bundle", "history": run.output / "history.csv"}
    write_table(outputs["history"], result.history)
    data_words = f"{len(data.training)} {'simulated chests' if data.phantoms else 'pairs of X-ray and CT'}"
    steps = describe_steps(parameters.steps, settings, result)
    words = f"{data_words} of {data.store.folder.name}; {steps}, seed {run.seed}"
    card = _network_card(data, denoiser, parameters) | {"thresholds": thresholds}
    about = model_bundle_card(words, data.phantoms, parameters.xray_encoder, inputs.encoder)
    weights = {"autoencoder": half_state(data.autoencoder), "denoiser": half_state(denoiser)}
    page = readme(about, "synthesize --bundle THIS_FOLDER --xray xray.dcm --output DIR")
    write_bundle(outputs["bundle"], about, METHOD, parameters.denoiser.value, card, weights, page)
    return Outcome(outputs, figures | metrics)


@dataclass(frozen=True, eq=False)
class _Data:
    """The training data and the posterior mean fitted to it.

    Attributes:
        store, source: see there; `source` is the bundle of the autoencoder that made the latents.
        autoencoder: on the CPU.
        training, validation: cases.
        grid: of the latents.
        factor: pixels of the X-rays along an axis for each latent voxel.
        xrays, validation_xrays: (cases, 1, rows, columns).
        shift, scale: (latent, 1, 1, 1); with them, the residual of the latents has unit variance.
        posterior_mean: of the latents standardized by shift and scale.
        deviations: (cases, latent, *coarse) cross-fitted, of the training cases.
        embedding_mean, embedding_std: (components + 1,) of the X-rays.
        distance_limit: upper 99 % prediction limit of the embedding distance; None for fewer than three cases.
        phantoms: all cases are phantoms.
    """

    store: Store
    source: Bundle
    autoencoder: Autoencoder
    training: Sequence[Case]
    validation: Sequence[Case]
    grid: Grid
    factor: int
    xrays: Tensor
    validation_xrays: Tensor
    shift: Tensor
    scale: Tensor
    posterior_mean: PosteriorMean
    deviations: Tensor
    embedding_mean: Tensor
    embedding_std: Tensor
    distance_limit: float | None
    phantoms: bool


def _read(inputs: TrainDiffusionInputs, parameters: TrainDiffusionParameters, run: Run) -> _Data:
    """Read and check the store, standardize its latents, and fit the posterior mean."""
    store, source = Store.open(inputs.store), read_bundle(inputs.bundle, AUTOENCODER_METHOD)
    _check(store, source, inputs, parameters)
    training, validation = store.cases(TRAIN), store.cases(VALIDATION)
    autoencoder = load_autoencoder(source, "cpu")
    _check_shapes(training[0], autoencoder, parameters)
    k, j, i = training[0].latent().shape[1:]
    grid = Grid((k, j, i), store.grid.field)
    factor = min(MAX_PIXELS_PER_VOXEL, store.grid.shape[0] // k)
    run.reporter.status("Reading the latents")
    shift, scale = latent_statistics(training)
    xrays, validation_xrays = (load_xrays(cases, grid, factor) for cases in (training, validation))
    run.reporter.status("Fitting the posterior mean")
    posterior_mean, deviations = fit_latent_regression(training, xrays, shift, scale, run.seed)
    # The process has to have unit variance where it samples: in the residual.
    residual = residual_deviation(training, posterior_mean, deviations, shift, scale, grid)
    posterior_mean.rescale(residual)
    mean, std, limit = _embedding_statistics(posterior_mean, xrays, validation_xrays)
    return _Data(
        store=store,
        source=source,
        autoencoder=autoencoder,
        training=training,
        validation=validation,
        grid=grid,
        factor=factor,
        xrays=xrays,
        validation_xrays=validation_xrays,
        shift=shift,
        scale=scale * residual,
        posterior_mean=posterior_mean,
        deviations=deviations / residual,
        embedding_mean=mean,
        embedding_std=std,
        distance_limit=limit,
        phantoms=all(case.patient.startswith("phantom-") for case in store.cases()),
    )


def _process(parameters: TrainDiffusionParameters) -> Process:
    return PROCESSES[parameters.process.value]


def _make_denoiser(
    data: _Data, inputs: TrainDiffusionInputs, parameters: TrainDiffusionParameters, run: Run
) -> ResidualDenoiser:
    shape = DENOISERS[parameters.denoiser.value]
    widths = scaled_widths(shape.widths, parameters.width)
    shape = replace(shape, latent=data.autoencoder.shape.latent, widths=widths)
    torch.manual_seed(run.seed)
    encoder = make_encoder(parameters.xray_encoder.value, shape.features, data.factor, inputs.encoder)
    return ResidualDenoiser(
        shape, data.factor, data.posterior_mean, _process(parameters), encoder, parameters.checkpointing
    )


def _make_batches(
    data: _Data, denoiser: ResidualDenoiser, parameters: TrainDiffusionParameters, fabric: Fabric, run: Run
) -> tuple[NoisyLatents, list[Batch]]:
    """The training latents, and held-out batches."""
    training = NoisyLatents(
        cases=data.training,
        xrays=data.xrays,
        deviations=data.deviations,
        shift=data.shift,
        scale=data.scale,
        grid=data.grid,
        process=_process(parameters),
        withheld=parameters.withheld,
        patch=parameters.patch,
        divisor=denoiser.shape.divisor,
        group=parameters.batch * fabric.world_size,
        seed=run.seed,
    )
    with torch.no_grad():
        deviations = data.posterior_mean.deviation(data.posterior_mean(data.validation_xrays))
    validation = replace(training, cases=data.validation, xrays=data.validation_xrays, deviations=deviations)
    return training, validation.held_out(MAX_HELD_OUT)


def _estimate(
    loss: DenoisingLoss,
    training: NoisyLatents,
    parameters: TrainDiffusionParameters,
    batches: int,
    run: Run,
    fabric: Fabric,
) -> TrainingEstimate:
    voxels = float(np.prod([min(parameters.patch or count, count) for count in training.grid.shape]))
    probes = probe_batch(loss, training, PROBES[0], fabric), probe_batch(loss, training, PROBES[1], fabric)
    return estimate_training(loss, probes, voxels, parameters.batch, batches, run, fabric)


def _validate_samples(
    data: _Data, denoiser: ResidualDenoiser, run: Run
) -> tuple[Mapping[str, float | None] | None, dict[str, float]]:
    """The thresholds of the bundle (None for too few cases) and metrics, from samples of held-out cases.

    The weights are rounded to half precision before, as the bundle holds them.
    """
    for part in (data.autoencoder, denoiser):
        round_to_half(part)
    run.reporter.status("Synthesizing held-out cases")
    metrics, nrmse_limit = held_out_metrics(
        data.autoencoder, denoiser, data.validation, data.validation_xrays, data.shift, data.scale, data.grid, run
    )
    if nrmse_limit is not None:
        return {"nrmse": nrmse_limit, "distance": data.distance_limit}, metrics
    run.reporter.warning(
        "With fewer than three validation cases the model cannot tell which errors are usual: the trust of its "
        "results is never green. Prepare a store with more of them."
    )
    return None, metrics


def _network_card(data: _Data, denoiser: ResidualDenoiser, parameters: TrainDiffusionParameters) -> dict[str, Any]:
    """What `load_model` needs, as JSON values."""
    geometries = dict.fromkeys(case.geometry for case in data.training)
    return {
        "autoencoder": autoencoder_card(data.autoencoder),
        "presets": data.source.parameters["presets"],
        "denoiser": denoiser_card(denoiser, parameters.xray_encoder.value),
        "posterior_mean": asdict(data.posterior_mean.shape),
        "process": parameters.process.value,
        "latent_mean": data.shift.flatten().tolist(),
        "latent_std": data.scale.flatten().tolist(),
        "latent_grid": {"shape": list(data.grid.shape), "field": list(data.grid.field)},
        "geometries": [geometry.to_json() for geometry in geometries],
        "phantoms": data.phantoms,
        "usual_mean": data.embedding_mean.tolist(),
        "usual_deviation": data.embedding_std.tolist(),
    }


def load_xrays(cases: Sequence[Case], grid: Grid, factor: int) -> Tensor:
    """(cases, 1, rows, columns) X-rays with `factor` pixels for each voxel of a latent grid."""
    size = factor * grid.shape[0], factor * grid.shape[2]
    images = [functional.adaptive_avg_pool2d(torch.from_numpy(case.xray())[None], size) for case in cases]
    return torch.stack(images)


def probe_batch(loss: DenoisingLoss, latents: NoisyLatents, size: int, fabric: Fabric) -> Probe:
    """A small window of one sample; see `plan.estimate_training`."""
    batch = fabric.to_device(replace(latents, patch=size, group=1)(np.zeros(1, np.int64)))
    return float(np.prod(batch["x"].shape[2:])), partial(loss, batch)


def _embedding_statistics(
    posterior_mean: PosteriorMean, xrays: Tensor, held_out: Tensor
) -> tuple[Tensor, Tensor, float | None]:
    """Mean and standard deviation of the embeddings of all X-rays, and the limit of the held-out ones' distance."""
    with torch.no_grad():
        known, new = posterior_mean.embedding(xrays), posterior_mean.embedding(held_out)
    both = torch.cat([known, new])  # in training cases alone the components explain too much of the image
    mean, std = both.mean(dim=0), both.std(dim=0).clamp_min(1e-6)
    distances = ((new - mean) / std).square().mean(dim=1).sqrt()
    return mean, std, prediction_limit(distances.tolist())


def _check(store: Store, source: Bundle, inputs: TrainDiffusionInputs, parameters: TrainDiffusionParameters) -> None:
    if store.latents is None:
        raise InputError(f"{store.folder} holds no latents.", "Prepare it with --bundle, an autoencoder's bundle.")
    if store.latents != source.sha256:
        raise InputError(
            f"The latents of {store.folder} were made by another autoencoder than that in {source.folder}.",
            "Give the bundle with which the store was prepared.",
        )
    training, validation = len(store.cases(TRAIN)), len(store.cases(VALIDATION))
    if training < MIN_TRAINING or not validation:
        raise InputError(
            f"{store.folder} has {training} training and {validation} validation cases; {MIN_TRAINING} and 1 are the "
            "least.",
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
