"""X-ray to CT against what needs no network, on phantoms at 48 x 48 x 56 voxels: prints tables, writes JSON, can fail.

    python Testing/benchmarks/ctpa_synthesis.py [--training 500] [--held-out 100] [--json FILE]

Everything learns from the same phantoms, and their X-rays: a cone beam, with scatter, noise and a gain of its own,
standardized as the verbs do it. Baselines are the mean CT, the CT of the nearest X-ray, and ridge regression,
whose strength is chosen on a fifth of the training cases, on X-rays standardized and as they are. The model is what
`ctpa train-autoencoder` and `ctpa train-diffusion` build, in small: an autoencoder of 4x, the posterior mean,
and a denoiser of what that leaves. Its training takes up to two hours of one core; the time is printed.

The figures of the model are of the mean of 8 samples, of one sample, and of the best of the 8. "shuffled" compares each
result with another patient's CT. Emboli are detected by a linear classifier that was trained on true CTs: no X-ray
shows them, so an area of about 0.5 is the honest result. Lung, blood in the heart and bone of the spine are looked for
in each CT by itself, as a user's results are checked; the recall of vessels is the share at their true position.
Exits with 1 if a gate does not hold: matched at least 5 dB above shuffled, and organs of plausible HU in 95 % of the
samples. Targets: above ridge, and a smaller projection error. The projection error alone proves little: rows with
"guided" are what projection guidance makes of the mean CT, of ridge and of the model.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
import numpy.typing as npt
import torch
from benchmarks.common import argument_parser, write_result
from benchmarks.ctpa_baselines import fit_ridge
from torch import Tensor

from deeprecon.ctpa.autoencoder.network import AUTOENCODERS, Autoencoder
from deeprecon.ctpa.diffusion.denoiser import DenoiserShape, parameter_count, ray_weights
from deeprecon.ctpa.diffusion.guidance import sart_step
from deeprecon.ctpa.diffusion.processes import PROCESSES, sample
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.grid import HIGH, LOW, Grid, to_hu, to_network
from deeprecon.ctpa.measure.anatomy import ORGAN_LIMITS, cardiothoracic_ratio, lung_litres, organ_medians, vessel_recall
from deeprecon.ctpa.measure.metrics import HU_RANGE
from deeprecon.ctpa.measure.projection_check import check_projection
from deeprecon.ctpa.observe.body import body_mask
from deeprecon.ctpa.observe.film import standardize
from deeprecon.ctpa.observe.projection import Geometry, expose, line_integrals
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.ctpa.training.autoencoder_loss import AutoencoderLoss
from deeprecon.ctpa.training.denoising import DenoisingLoss, NoisyLatents, latent_statistics, residual_deviation
from deeprecon.ctpa.training.posterior_mean_fit import cross_fitted_deviations, fit_posterior_mean
from deeprecon.jobs.run import Run
from deeprecon.training.batches import Batches, RandomBatches
from deeprecon.training.devices import resolve_precision
from deeprecon.training.fabric import make_fabric
from deeprecon.training.fit import FitSettings, fit

GRID, GEOMETRY = Grid((56, 48, 48)), Geometry()
FACTOR = 4
WIDTHS = (32, 64, 128)
SAMPLES, STEPS = 8, 20
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
MIN_GAP, MIN_PLAUSIBLE = 5.0, 0.95
Volumes = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Cases:
    """Phantoms: HU (cases, k, j, i), labels, X-rays as exposed and as the networks see them, and who has emboli."""

    hu: Volumes
    labels: Volumes
    exposed: Volumes
    xrays: Volumes
    emboli: Volumes


@dataclass(frozen=True, eq=False)
class Latent:
    """A case of `NoisyLatents`."""

    values: Volumes
    geometry: Geometry = GEOMETRY

    def latent(self) -> Volumes:
        return self.values

    def known(self, shape: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
        return np.ones(shape, bool)


class Quiet:
    """A reporter of the held-out figures alone."""

    def status(self, text: str) -> None: ...
    def progress(self, fraction: float, seconds_left: float | None = None) -> None: ...
    def metric(self, step: int, **values: float) -> None:
        print("  step", step, {name: float(f"{value:.4g}") for name, value in values.items()}, flush=True)

    def warning(self, message: str) -> None:
        print("  warning:", message, flush=True)


def draw_cases(first: int, count: int) -> Cases:
    hu, labels, exposed, emboli = [], [], [], []
    for number in range(first, first + count):
        anatomy = make_anatomy(number)
        volume, label = draw_grid(anatomy, GRID)
        exposed.append(expose(line_integrals(volume, GRID, GEOMETRY), np.random.default_rng([number, 62])))
        hu.append(np.clip(volume, LOW, HIGH))
        labels.append(label)
        emboli.append(anatomy.has_embolus)
    return Cases(
        np.stack(hu), np.stack(labels), np.stack(exposed), np.stack([standardize(x) for x in exposed]), np.array(emboli)
    )


# ---- figures


def decibels(result: Volumes, truth: Volumes) -> Volumes:
    """(cases,) PSNR over the fixed range."""
    error = np.clip(result, LOW, HIGH).astype(np.float32) - truth
    squared = (error**2).reshape(len(truth), -1).mean(axis=1)
    with np.errstate(divide="ignore"):
        decibel: Volumes = 10 * np.log10(HU_RANGE**2 / squared)
    return decibel


def area(scores: Volumes, positive: Volumes) -> float:
    """Area under the ROC curve."""
    above = scores[positive][:, None] - scores[~positive][None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def spearman(one: Volumes, other: Volumes) -> float:
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def embolus_classifier(training: Cases) -> Callable[[Volumes], Volumes]:
    """Scores of CTs by a ridge regression from true CTs to whether there is an embolus."""
    flat = training.hu.reshape(len(training.hu), -1).astype(np.float32) / 1000
    mean, wanted = flat.mean(axis=0), training.emboli - training.emboli.mean()
    centered = flat - mean
    gram = centered @ centered.T
    weights = centered.T @ np.linalg.solve(gram + 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram)), wanted)
    return lambda volumes: (volumes.reshape(len(volumes), -1).astype(np.float32) / 1000 - mean) @ weights


def mean_of(values: Sequence[float | None]) -> float:
    """Of those that were found."""
    return float(np.mean([value for value in values if value is not None]))


def plausible(organs: Mapping[str, float | None]) -> bool:
    """Whether lung, blood and bone are found and measure what they may."""
    found = [(organs[name], limits) for name, limits in ORGAN_LIMITS.items()]
    return all(value is not None and limits[0] <= value <= limits[1] for value, limits in found)


def judged(result: Volumes, held_out: Cases, classify: Callable[[Volumes], Volumes]) -> dict[str, float]:
    """Figures of one CT for each held-out case."""
    shuffled = np.roll(result, 1, axis=0)
    checks = [check_projection(hu, x, GRID, GEOMETRY).nrmse for hu, x in zip(result, held_out.exposed, strict=True)]
    organs = [organ_medians(hu, GRID) for hu in result]
    pairs = list(zip(result, held_out.hu, strict=True))
    lungs = [abs(lung_litres(one, GRID) / lung_litres(other, GRID) - 1) for one, other in pairs]
    ratios = [(cardiothoracic_ratio(one, GRID), cardiothoracic_ratio(other, GRID)) for one, other in pairs]
    vessels = [vessel_recall(one, other, labels) for (one, other), labels in zip(pairs, held_out.labels, strict=True)]
    return {
        "psnr": float(decibels(result, held_out.hu).mean()),
        "shuffled": float(decibels(shuffled, held_out.hu).mean()),
        "mae": float(np.abs(np.clip(result, LOW, HIGH) - held_out.hu).mean()),
        "projection_nrmse": float(np.mean(checks)),
        "plausible": float(np.mean([plausible(organ) for organ in organs])),
        **{f"{name}_hu": mean_of([organ[name] for organ in organs]) for name in ORGAN_LIMITS},
        "vessel_recall": mean_of(vessels),
        "lung_volume_error": float(np.mean(lungs)),
        "cardiothoracic_error": mean_of([abs(a - b) for a, b in ratios if a is not None and b is not None]),
        "embolus_auc": area(classify(result), held_out.emboli),
    }


def guided(result: Volumes, held_out: Cases) -> Volumes:
    """Each CT a step sart_step to its X-ray."""
    rounded, seen = np.rint(np.clip(result, LOW, HIGH)).astype(np.int16), np.ones(held_out.exposed.shape[1:], bool)
    return np.stack([sart_step(hu, x, seen, GRID, GEOMETRY) for hu, x in zip(rounded, held_out.exposed, strict=True)])


# ---- baselines


def baselines(training: Cases, held_out: Cases) -> dict[str, Volumes]:
    """CTs of the held-out cases by method."""
    count = len(training.hu)
    flat, wanted = training.xrays.reshape(count, -1), held_out.xrays.reshape(len(held_out.hu), -1)
    nearest = ((wanted[:, None] - flat[None]) ** 2).sum(axis=2).argmin(axis=1)
    part = count - count // 5
    best: tuple[float, str, float] = (-np.inf, "", 0.0)
    for name in ("xrays", "exposed"):
        images = getattr(training, name)
        for strength in STRENGTHS:
            predicted = fit_ridge(images[:part], training.hu[:part], strength).predict(images[part:])
            best = max(best, (float(decibels(predicted, training.hu[part:]).mean()), name, strength))
    print(f"ridge: strength {best[2]:g} on {best[1]}, {best[0]:.2f} dB on the cases that it was chosen on", flush=True)
    ridge = fit_ridge(getattr(training, best[1]), training.hu, best[2])
    mean = np.broadcast_to(training.hu.mean(axis=0), held_out.hu.shape)
    return {
        "mean CT": mean.astype(np.float32),
        "nearest X-ray": training.hu[nearest],
        "ridge": ridge.predict(getattr(held_out, best[1])),
    }


# ---- the model


def train_autoencoder(training: Cases, steps: int, run: Run) -> Autoencoder:
    volumes = to_network(training.hu)
    torch.manual_seed(run.seed)
    loss = AutoencoderLoss(Autoencoder(AUTOENCODERS["small-4x"]), 0)
    size = 4
    epochs = max(1, round(steps * size / len(volumes)))
    batches = Batches(len(volumes), size, lambda chosen: torch.from_numpy(volumes[chosen])[:, None], run.seed)
    few = torch.from_numpy(volumes[:8])[:, None].to(run.device)

    def validate(model: Any) -> float:
        return float(sum(getattr(model, "module", model).figures(few)))

    settings = FitSettings(epochs=epochs, learning_rate=3e-3, warmup=0.05, clip_norm=1.0, ema=0.995, patience=0)
    fit(loss, lambda model, batch: model(batch), batches, validate, settings, run, name="autoencoder")
    return loss.autoencoder.cpu().eval().requires_grad_(False)


@torch.no_grad()
def encoded(model: Autoencoder, hu: Volumes) -> Tensor:
    parts = np.array_split(hu, max(1, len(hu) // 20))
    return torch.cat([model.encode(torch.from_numpy(to_network(part))[:, None]) for part in parts])


@torch.no_grad()
def decoded(model: Autoencoder, latents: Tensor) -> Volumes:
    return np.concatenate([to_hu(model.decode(part)[:, 0].numpy()) for part in latents.split(20)])


def samples(
    training: Cases, held_out: Cases, autoencoder: Autoencoder, process: str, steps: int, batch: int, run: Run
) -> tuple[dict[str, Volumes], Volumes]:
    """Train posterior mean and denoiser.

    Returns:
        CTs by name: of the posterior mean, of latents of the true CTs; and (samples, cases, k, j, i) of the model.
    """
    latents, truth = encoded(autoencoder, training.hu), encoded(autoencoder, held_out.hu)
    cases = [Latent(latent.numpy()) for latent in latents]
    xrays, unseen = (torch.from_numpy(images)[:, None] for images in (training.xrays, held_out.xrays))
    grid = GRID.coarser(FACTOR)
    shift, scale = latent_statistics(cases)
    standardized = (latents - shift) / scale
    mean = standardized.mean(dim=0)
    posterior_mean = fit_posterior_mean(xrays, standardized - mean, mean, run.seed)
    crossed = cross_fitted_deviations(xrays, standardized - mean, run.seed)
    left = residual_deviation(cases, posterior_mean, crossed, shift, scale, grid)
    scale, crossed = scale * left, crossed / left
    posterior_mean.rescale(left)

    way = PROCESSES[process]
    torch.manual_seed(run.seed)
    shape = DenoiserShape(autoencoder.shape.latent, WIDTHS, 1, 32)
    denoiser = ResidualDenoiser(shape, FACTOR, posterior_mean, way)
    loader = NoisyLatents(
        cases, xrays, crossed, shift, scale, grid, way, 0.1, 0, shape.divisor, batch, run.seed
    )  # fmt: skip
    kept = NoisyLatents(
        cases[:32], xrays[:32], crossed[:32], shift, scale, grid, way, 0.0, 0, shape.divisor, batch, run.seed
    ).held_out(32)
    fabric = make_fabric(run.device, run.precision)

    def validate(model: Any) -> float:
        return float(torch.stack([model(fabric.to_device(one)) for one in kept]).mean())

    epochs = min(5, steps)
    settings = FitSettings(epochs=epochs, learning_rate=2e-3, warmup=0.1, clip_norm=1.0, ema=0.999, patience=0)
    draws = RandomBatches(max(1, steps // epochs), batch, loader)
    fit(DenoisingLoss(denoiser), lambda model, one: model(one), draws, validate, settings, run, fabric, "denoiser")
    print(f"denoiser: {parameter_count(denoiser)} parameters", flush=True)
    denoiser.eval().to(run.device)
    whole, drawn = ray_weights(grid, GEOMETRY).to(torch.zeros((), device=run.device)), []
    for number in range(SAMPLES):
        generator = torch.Generator().manual_seed(run.seed + number)
        found = []
        for images in unseen.split(20):
            with torch.no_grad():
                features = denoiser.features(images.to(run.device))
            noise = torch.randn((len(images), shape.latent, *grid.shape), generator=generator)

            def predict(x: Tensor, t: float, features: Tensor = features) -> Tensor:
                at = x.to(run.device)
                return denoiser.denoise(at, torch.full((len(x),), t, device=run.device), features, whole).cpu()

            found.append(sample(way, predict, noise, STEPS))
        drawn.append(decoded(autoencoder, torch.cat(found) * scale + shift))
    posterior_mean.cpu()
    with torch.no_grad():
        deviations = posterior_mean.deviation(posterior_mean(unseen))
        expected = posterior_mean.volume(deviations, ray_weights(grid, GEOMETRY).axes) * scale + shift
    return {"posterior mean": decoded(autoencoder, expected), "autoencoder": decoded(autoencoder, truth)}, np.stack(
        drawn
    )


def main() -> int:
    parser = argument_parser(__doc__, "ctpa_synthesis")
    parser.add_argument("--training", type=int, default=500)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--autoencoder-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=1500, help="of the denoiser")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--process", choices=list(PROCESSES), default="rectified-flow")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    training, held_out = draw_cases(0, arguments.training), draw_cases(1_000_000, arguments.held_out)
    found = baselines(training, held_out)
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        precision = resolve_precision(arguments.device, arguments.precision)
        run = Run(Path(folder), Path(folder), arguments.device, 1, precision, 0, Quiet())
        autoencoder = train_autoencoder(training, arguments.autoencoder_steps, run)
        between = time.process_time()
        others, drawn = samples(
            training, held_out, autoencoder, arguments.process, arguments.steps, arguments.batch, run
        )
    minutes = {"autoencoder": (between - begun) / 60, "denoiser_and_sampling": (time.process_time() - between) / 60}
    mean = drawn.astype(np.float32).mean(axis=0)
    found |= {"one sample": drawn[0], f"mean of {SAMPLES}": mean, **others}
    found |= {f"{name}, guided": guided(found[name], held_out) for name in ("mean CT", "ridge", f"mean of {SAMPLES}")}
    classify = embolus_classifier(training)
    rows = {name: judged(result, held_out, classify) for name, result in found.items()}
    rows["true CT"] = judged(held_out.hu, held_out, classify) | {"psnr": float("nan")}  # without end

    spread = drawn.astype(np.float32).std(axis=0, ddof=1)
    error, body = np.abs(mean - held_out.hu), np.stack([body_mask(hu) for hu in held_out.hu])
    some = np.random.default_rng(0).choice(int(body.sum()), min(50_000, int(body.sum())), replace=False)
    calibration = {
        "best_of_samples_psnr": float(np.mean(np.max([decibels(one, held_out.hu) for one in drawn], axis=0))),
        "spread_hu": float(np.sqrt((spread[body] ** 2).mean())),
        "error_hu": float(np.sqrt((error[body] ** 2).mean())),
        "spearman": spearman(error[body][some], spread[body][some]),
    }
    columns = list(next(iter(rows.values())))
    print("\n" + f"{'':18s}" + "".join(f"{name[:16]:>18s}" for name in columns))
    for name, row in rows.items():
        print(f"{name:18s}" + "".join(f"{row[column]:18.3f}" for column in columns))
    print("\n" + "\n".join(f"{name:24s} {value:.3f}" for name, value in {**calibration, **minutes}.items()))

    ours, ridge = rows[f"mean of {SAMPLES}"], rows["ridge"]
    gates = {
        "matched is 5 dB above shuffled": ours["psnr"] - ours["shuffled"] >= MIN_GAP,
        "organs have plausible HU": rows["one sample"]["plausible"] >= MIN_PLAUSIBLE,
    }
    targets = {
        "above ridge": ours["psnr"] > ridge["psnr"],
        "projection error below ridge's": ours["projection_nrmse"] < ridge["projection_nrmse"],
    }
    for kind, entries in (("gate", gates), ("target", targets)):
        for name, holds in entries.items():
            print(f"{kind}: {name}: {'holds' if holds else 'FAILS'}")
    settings = {name: str(value) for name, value in vars(arguments).items()}
    write_result(arguments.json, {
        "settings": settings,
        "methods": {name: {key: v if np.isfinite(v) else None for key, v in row.items()} for name, row in rows.items()},
        "calibration": calibration, "cpu_minutes": minutes,
        "gates": gates, "targets": targets,
    })  # fmt: skip
    return 0 if all(gates.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
