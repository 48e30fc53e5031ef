"""Samples of a CT: latents are sampled, and decoded into files."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from deeprecon.ctpa.autoencoder.tiling import decode_tiled
from deeprecon.ctpa.diffusion.model import Model
from deeprecon.ctpa.diffusion.processes import Correct
from deeprecon.ctpa.diffusion.sampling import DTYPES, SamplingPlan, denoise_latent, device_precisions
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.memory import TILES, best_tile
from deeprecon.ctpa.observe.projection import Geometry, Image
from deeprecon.ctpa.patches import Windows
from deeprecon.data.files import atomic_path
from deeprecon.jobs.failures import explain_exception
from deeprecon.jobs.run import PartReporter, Run, Stopped
from deeprecon.training.estimate import total_bytes


@dataclass(frozen=True)
class DecodedSample:
    """A sample as a file of int16 HU (`numpy.load` maps it).

    Attributes:
        path: of the file.
        seed: of its noise.
        setup: how the latent was computed, as text; "" for one that an earlier run had sampled.
        windows: of the latent, at whose borders seams may show: those of the sampling, else those of the decoding.
        seconds_denoise, seconds_decode: wall time.
    """

    path: Path
    seed: int
    setup: str
    windows: Windows
    seconds_denoise: float
    seconds_decode: float


def draw_sample(
    model: Model,
    xray: Image,
    latent_grid: Grid,
    geometry: Geometry,
    plan: SamplingPlan,
    level: int,
    seed: int,
    folder: Path,
    run: Run,
    part: PartReporter,
    share: float,
    correct: Correct | None = None,
) -> DecodedSample:
    """Draw one sample. It depends on its own seed alone, not on samples drawn before.

    The latent is saved in `run.checkpoint`, so that a resumed run does not sample it again.

    Args:
        model: see there.
        xray: on the detector of the denoiser's features.
        latent_grid, geometry: see there.
        plan: of the sampling.
        level: finest levels of the autoencoder that are left out.
        seed: of the noise.
        folder: of the file.
        run: see there.
        part: reports the progress.
        share: of the time for sampling; the rest is decoding.
        correct: see `processes.sample`.

    Raises:
        Stopped: the run was asked to stop.
    """
    begun, setup, windows = time.perf_counter(), "", None
    saved = run.checkpoint / f"latent_{seed}.npy"
    data = _load(saved)
    if data is None:
        drawn = denoise_latent(
            model.denoiser, model.process, xray, latent_grid, geometry, plan, seed, run, correct,
            lambda done: part.progress(share * done / plan.steps),
        )  # fmt: skip
        data, setup, windows = drawn.latent, drawn.setup, drawn.windows
        run.checkpoint.mkdir(parents=True, exist_ok=True)
        with atomic_path(saved) as path:
            np.save(path, data.numpy())
    sampled = time.perf_counter()
    latent = model.to_latent(data[None].to(model.latent_scale))[0]
    path = folder / f"sample_{seed}.npy"
    tile = _decode(model, latent, level, path, run, part, share)
    k, j, i = latent_grid.shape
    windows = windows or Windows.cubes((k, j, i), tile, tile)
    return DecodedSample(path, seed, setup, windows, sampled - begun, time.perf_counter() - sampled)


def _load(path: Path) -> torch.Tensor | None:
    with suppress(OSError, ValueError):
        return torch.from_numpy(np.load(path))
    return None


def _decode(
    model: Model, latent: torch.Tensor, level: int, path: Path, run: Run, part: PartReporter, share: float
) -> int:
    """Decode into a file; where memory runs out with smaller tiles, then in shorter numbers, at last on the CPU.

    Returns:
        The tile's size.
    """

    def after(done: float) -> None:
        if run.should_stop():
            raise Stopped
        part.progress(share + (1 - share) * done)

    factor = model.autoencoder.shape.factor >> level
    shape = tuple(int(count) * factor for count in latent.shape[1:])
    out = np.lib.format.open_memmap(path, "w+", np.int16, shape)
    setups = list(_setups(model, level, run))
    for setup, following in zip(setups, [*setups[1:], None], strict=True):
        device, precision, tile = setup
        try:
            autoencoder = model.autoencoder
            weight = next(autoencoder.parameters())
            if (weight.device, weight.dtype) != (torch.device(device), DTYPES[precision]):
                autoencoder = copy.deepcopy(autoencoder).to(device, DTYPES[precision])
            decode_tiled(autoencoder, latent.to(device, DTYPES[precision]), (tile,) * 3, out, level, after)
            out.flush()
            return tile
        except (MemoryError, RuntimeError) as error:
            if following is None or explain_exception(error).kind != "memory":
                raise
        device, precision, tile = following
        run.reporter.warning(
            f"Memory ran out while decoding; it goes on in {precision} with tiles of {tile} latent voxels on {device}."
        )
    raise AssertionError("there is always a setup")


def _setups(model: Model, level: int, run: Run) -> Iterator[tuple[str, str, int]]:
    """Device, precision and tile, in the order in which they are tried."""
    for number, (device, precision) in enumerate(device_precisions(run)):
        if device == "cpu" and precision == "fp16":
            precision = "fp32"  # CPUs have no convolutions in fp16
        itemsize = DTYPES[precision].itemsize
        first = best_tile(model.bundle.parameters, level, itemsize, total_bytes(device) or float("inf"))
        if precision == "bf16" and number == 1:
            first = TILES[-1]  # half the memory of the smallest tile in fp32
        yield from ((device, precision, tile) for tile in TILES if tile <= first)
