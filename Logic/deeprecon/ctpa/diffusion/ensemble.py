"""Samples of a CT: drawn as latents, decoded into files on disk, and summed up without all of them in memory."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deeprecon.ctpa.autoencoder.network import decode_tiled
from deeprecon.ctpa.diffusion.model import Model
from deeprecon.ctpa.diffusion.processes import Correct
from deeprecon.ctpa.diffusion.sampling import DTYPES, SamplingPlan, denoise_latent, free_memory, ways
from deeprecon.ctpa.grid import Grid, Hu
from deeprecon.ctpa.memory import TILES, best_tile
from deeprecon.ctpa.observe.projection import Geometry, Image
from deeprecon.ctpa.patches import Windows
from deeprecon.data.files import atomic_path
from deeprecon.jobs.failures import explain_exception
from deeprecon.jobs.run import PartReporter, Run, Stopped

SLAB = 16
"""Planes that are read and written at once."""


@dataclass(frozen=True)
class Decoded:
    """A sample as a file of int16 HU (`numpy.load` maps it), and how it came about.

    Attributes:
        path: of the file.
        seed: of its noise.
        how: where and in what the latent was drawn, in words; "" for one that an earlier run had drawn.
        windows: of the latent, whose borders may show: those that it was drawn in, else those that it was decoded in.
        seconds_denoise, seconds_decode: wall time.
    """

    path: Path
    seed: int
    how: str
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
) -> Decoded:
    """Draw one sample. It depends on its own seed alone, not on the samples drawn before.

    The latent is kept in `run.checkpoint`: a run that goes on does not draw it again.

    Args:
        model: see there.
        xray: on the detector of the denoiser's features.
        latent_grid, geometry: see there.
        plan: how the latent is drawn.
        level: finest levels of the autoencoder that are left out.
        seed: of the noise.
        folder: gets the file.
        run: see there.
        part: gets the progress.
        share: of the time that drawing takes, the rest being decoding.
        correct: see `diffusion.sample`.

    Raises:
        Stopped: the run was asked to stop.
    """
    begun, how, windows = time.perf_counter(), "", None
    kept = run.checkpoint / f"latent_{seed}.npy"
    data = _kept(kept)
    if data is None:
        drawn = denoise_latent(
            model.denoiser, model.process, xray, latent_grid, geometry, plan, seed, run, correct,
            lambda done: part.progress(share * done / plan.steps),
        )  # fmt: skip
        data, how, windows = drawn.latent, drawn.how, drawn.windows
        run.checkpoint.mkdir(parents=True, exist_ok=True)
        with atomic_path(kept) as path:
            np.save(path, data.numpy())
    between = time.perf_counter()
    latent = model.to_latent(data[None].to(model.latent_scale))[0]
    path = folder / f"sample_{seed}.npy"
    tile = _decode(model, latent, level, path, run, part, share)
    k, j, i = latent_grid.shape
    windows = windows or Windows.cubes((k, j, i), tile, tile)
    return Decoded(path, seed, how, windows, between - begun, time.perf_counter() - between)


def slabs(path: Path, count: int) -> Iterator[Hu]:
    """The planes of a file of `Decoded`, `SLAB` by `SLAB`; each time only these are mapped."""
    for first in range(0, count, SLAB):
        yield np.array(np.load(path, mmap_mode="r")[first : first + SLAB])


def mean_slabs(paths: Sequence[Path], count: int) -> Iterator[Hu]:
    """The mean of samples, slab by slab."""
    for parts in zip(*(slabs(path, count) for path in paths), strict=True):
        total = parts[0].astype(np.float32)
        for other in parts[1:]:
            total += other
        yield np.rint(total / len(parts)).astype(np.int16)


def spread_slabs(paths: Sequence[Path], count: int) -> Iterator[Hu]:
    """The standard deviation of two samples or more (n - 1 in the denominator), slab by slab."""
    for parts in zip(*(slabs(path, count) for path in paths), strict=True):
        stack = np.stack(parts).astype(np.float32)
        yield np.rint(stack.std(axis=0, ddof=1)).astype(np.int16)


def _kept(path: Path) -> torch.Tensor | None:
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
    places = list(_places(model, level, run))
    for place, following in zip(places, [*places[1:], None], strict=True):
        device, precision, tile = place
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
    raise AssertionError("there is always a place")


def _places(model: Model, level: int, run: Run) -> Iterator[tuple[str, str, int]]:
    """Device, precision and tile, best first."""
    for number, (device, precision) in enumerate(ways(run)):
        if device == "cpu" and precision == "fp16":
            precision = "fp32"  # CPUs have no convolutions in fp16
        itemsize = DTYPES[precision].itemsize
        first = best_tile(model.bundle.parameters, level, itemsize, free_memory(device) or float("inf"))
        if precision == "bf16" and number == 1:
            first = TILES[-1]  # what no tile of 4 bytes fits may still fit with 2
        yield from ((device, precision, tile) for tile in TILES if tile <= first)


def latent_grid(card: Mapping[str, Any]) -> Grid:
    """Of a bundle's card."""
    entry = card["latent_grid"]
    k, j, i = (int(count) for count in entry["shape"])
    x, y, z = (float(size) for size in entry["field"])
    return Grid((k, j, i), (x, y, z))
