"""How long and how large a training will be, told before it starts, and how it is fit_settings into epochs."""

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
"""Held-out figures during a training."""
CHECKPOINTS_KEPT = 3
BASE = 0.6e9
"""Bytes of Python with PyTorch."""
TRANSIENT = 1.5
"""Memory over what autograd keeps: buffers of the layer that is computed, and gradients on their way."""


@dataclass(frozen=True)
class TrainingEstimate:
    """What a training takes.

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
        probes: of two sizes, since a part of what a sample takes, such as its X-ray, does not grow with its voxels.
        voxels: of a sample.
        batch: samples in a batch.
        batches: of the whole training, in one process.
        run: its reporter is told.
        fabric: its precision counts.
    """
    taken = [_measure_probe(probe, fabric) for _, probe in probes]
    sizes = probes[0][0], probes[1][0]
    kept, seconds = (
        batch * extrapolate_linear(sizes, (smaller, larger), voxels) for smaller, larger in zip(*taken, strict=True)
    )
    model.zero_grad(set_to_none=True)
    own = BASE if run.device == "cpu" else 0.0
    need = TrainingEstimate(own + weight_bytes(model) + TRANSIENT * kept, seconds * batches)
    run.reporter.status(f"Training will take about {need.memory / 1e9:.1f} GB of memory and {describe_duration(need.seconds)}")
    return need


def extrapolate_linear(sizes: tuple[float, float], taken: tuple[float, float], size: float) -> float:
    """What a size takes, after the line through what two take; in proportion where the two are the same."""
    if sizes[0] == sizes[1]:
        return taken[1] * size / sizes[1]
    slope = max(0.0, (taken[1] - taken[0]) / (sizes[1] - sizes[0]))
    return max(0.0, taken[1] - slope * sizes[1]) + slope * size


def _measure_probe(probe: Callable[[], Tensor], fabric: Fabric) -> tuple[float, float]:
    """Bytes that autograd keeps, and seconds of a forward and backward pass."""

    def step() -> Tensor:
        with fabric.autocast():
            return probe()

    kept = activation_bytes(step)
    step().backward()  # type: ignore[no-untyped-call]  # the first pass takes longer than those to come
    begun = time.perf_counter()
    step().backward()  # type: ignore[no-untyped-call]
    return float(kept), time.perf_counter() - begun


def check_memory(need: TrainingEstimate, run: Run) -> None:
    """Raise InputError where the device has less free memory than needed."""
    free = free_bytes(run.device)
    if free is not None and need.memory > free:
        raise InputError(
            f"Training would take about {need.memory / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free.",
            "Set a smaller patch or batch (and accumulate more), or turn checkpointing on.",
        )


def estimate_figures(need: TrainingEstimate, seconds: float, run: Run) -> dict[str, float]:
    """Figures of a result: what was estimated, and what it was."""
    figures = {"estimated_gb": round(need.memory / 1e9, 3), "estimated_seconds": round(need.seconds, 1)}
    peak = peak_bytes(run.device)
    if peak is not None:
        figures["peak_gb"] = round(peak / 1e9, 3)
    return figures | {"training_seconds": round(seconds, 1)}


def fit_settings(steps: int, accumulate: int, learning_rate: float) -> tuple[FitSettings, int]:
    """Settings of a fit over about so many steps, with a held-out figure every `VALIDATIONS`-th part of them.

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
    """How long a training went on, for the card of its bundle."""
    if not result.interrupted:
        return f"{steps} steps"
    return f"stopped after {result.epochs / settings.epochs:.0%} of {steps} steps"


def scaled_widths(widths: tuple[int, ...], width: int) -> tuple[int, ...]:
    """Channels of a network's levels in the same proportions, but beginning with `width`; as they are where it is 0.

    Multiples of 8, so that the heads of attention share them evenly.
    """
    return tuple(max(8, round(width * count / widths[0] / 8) * 8) for count in widths) if width else widths


def describe_duration(seconds: float) -> str:
    """A duration such as "3 minutes"."""
    for size, name in ((3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
