"""Estimated memory and time of a training, and its settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run
from deeprecon.training.estimate import activation_bytes, free_bytes, peak_bytes, weight_bytes
from deeprecon.training.fabric import Fabric
from deeprecon.training.fit import FitResult, FitSettings

VALIDATIONS = 20
"""Validations during a training."""
CHECKPOINTS_KEPT = 3
BASE = 0.6e9
"""Bytes of Python with PyTorch."""
TRANSIENT = 1.5
"""Memory over the activations that autograd keeps: temporary buffers and gradients."""


@dataclass(frozen=True)
class TrainingEstimate:
    """Resources of a training.

    Attributes:
        memory: bytes at its peak.
        seconds: of all steps.
    """

    memory: float
    seconds: float


Probe = tuple[float, Callable[[], Tensor]]
"""Voxels of a sample, and its loss."""


def estimate_training(
    model: nn.Module,
    probes: tuple[Probe, Probe],
    voxels: float,
    batch: int,
    batches: int,
    run: Run,
    fabric: Fabric,
) -> TrainingEstimate:
    """Memory and time of a training, from two small samples on the same device in the same precision.

    Args:
        model: to be trained.
        probes: of two sizes, since a part of a sample's cost, such as its X-ray, does not grow with its voxels.
        voxels: of a sample.
        batch: samples in a batch.
        batches: of the whole training, in one process.
        run: reports the estimate.
        fabric: for its precision.
    """
    costs = [_measure_probe(probe, fabric) for _, probe in probes]
    sizes = probes[0][0], probes[1][0]
    kept, seconds = (
        batch * extrapolate_linear(sizes, (smaller, larger), voxels) for smaller, larger in zip(*costs, strict=True)
    )
    model.zero_grad(set_to_none=True)
    own = BASE if run.device == "cpu" else 0.0
    estimate = TrainingEstimate(own + weight_bytes(model) + TRANSIENT * kept, seconds * batches)
    run.reporter.status(
        f"Training will take about {estimate.memory / 1e9:.1f} GB of memory and {describe_duration(estimate.seconds)}"
    )
    return estimate


def extrapolate_linear(sizes: tuple[float, float], costs: tuple[float, float], size: float) -> float:
    """The cost of a size, on the line through the costs of two sizes; in proportion where the two are the same."""
    if sizes[0] == sizes[1]:
        return costs[1] * size / sizes[1]
    slope = max(0.0, (costs[1] - costs[0]) / (sizes[1] - sizes[0]))
    return max(0.0, costs[1] - slope * sizes[1]) + slope * size


def _measure_probe(probe: Callable[[], Tensor], fabric: Fabric) -> tuple[float, float]:
    """Bytes that autograd keeps, and seconds of a forward and backward pass."""

    def step() -> Tensor:
        with fabric.autocast():
            return probe()

    kept = activation_bytes(step)
    step().backward()  # type: ignore[no-untyped-call]  # the first pass takes longer than later ones
    begun = time.perf_counter()
    step().backward()  # type: ignore[no-untyped-call]
    return float(kept), time.perf_counter() - begun


def check_memory(estimate: TrainingEstimate, run: Run) -> None:
    """Raise InputError where the device has less free memory than estimated."""
    free = free_bytes(run.device)
    if free is not None and estimate.memory > free:
        raise InputError(
            f"Training would take about {estimate.memory / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free.",
            "Set a smaller patch or batch (and accumulate more), or turn checkpointing on.",
        )


def estimate_figures(estimate: TrainingEstimate, seconds: float, run: Run) -> dict[str, float]:
    """Metrics of a result: estimated and measured resources."""
    figures = {"estimated_gb": round(estimate.memory / 1e9, 3), "estimated_seconds": round(estimate.seconds, 1)}
    peak = peak_bytes(run.device)
    if peak is not None:
        figures["peak_gb"] = round(peak / 1e9, 3)
    return figures | {"training_seconds": round(seconds, 1)}


def checkpoint_figures(run: Run) -> dict[str, float]:
    """Metrics of a result: files and size of the checkpoint, which stays; the best epochs and the last one."""
    sizes = [path.stat().st_size for path in run.checkpoint.glob("*.safetensors")]
    return {"checkpoints": len(sizes), "checkpoints_mb": round(sum(sizes) / 1e6, 1)}


def fit_settings(steps: int, accumulate: int, learning_rate: float) -> tuple[FitSettings, int]:
    """Settings of a fit over about `steps` steps, with `VALIDATIONS` validations.

    Returns:
        The settings, and batches in an epoch.
    """
    epochs = min(VALIDATIONS, steps)
    settings = FitSettings(
        epochs=epochs,
        learning_rate=learning_rate,
        warmup=0.05,
        accumulate=accumulate,
        clip_norm=1.0,
        ema=0.999,
        patience=0,
        keep=CHECKPOINTS_KEPT,
    )
    return settings, steps // epochs * accumulate


def describe_steps(steps: int, settings: FitSettings, result: FitResult) -> str:
    """The steps of a training as text, for the card of its bundle."""
    if not result.interrupted:
        return f"{steps} steps"
    return f"stopped after {result.epochs / settings.epochs:.0%} of {steps} steps"


def scaled_widths(widths: tuple[int, ...], width: int) -> tuple[int, ...]:
    """Channels of a network's levels in the same proportions, but beginning with `width`; unchanged where it is 0.

    Multiples of 8, so that they are divisible among the heads of attention.
    """
    return tuple(max(8, round(width * count / widths[0] / 8) * 8) for count in widths) if width else widths


def describe_duration(seconds: float) -> str:
    """A duration such as "3 minutes"."""
    for size, name in ((3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
