"""Drawing a latent: at once where it fits the memory, else window by window, all windows fused at every step.

Fusing each step's predictions, over one volume of noise, makes the windows parts of one draw (Bar-Tal 2023,
MultiDiffusion). Drawing them one after the other and averaging mixes independent draws. The windows move from step to
step, so that no plane is a seam at every one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.ctpa.diffusion.denoiser import Denoiser, DenoiserShape, Rays, rays
from deeprecon.ctpa.diffusion.processes import Correct, Process, sample
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.patches import Blending, Shape, Windows
from deeprecon.jobs.failures import explain_exception
from deeprecon.jobs.run import Run, Stopped
from deeprecon.training.hardware import memory

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
WINDOWS = (64, 48, 32, 16)
"""Latent voxels of a window along each axis, tried from the largest; multiples of twice any denoiser's divisor."""
USABLE = 0.8
"""Share of the free memory that is taken."""


@dataclass(frozen=True)
class SamplingPlan:
    """How a sample is drawn.

    Attributes:
        steps: from noise to data.
        sampler: a name of `SamplerName`.
        guidance: how much more the X-ray counts than without; 1 for as trained (Ho and Salimans 2022).
        window: latent voxels of a window along each axis; 0 for the whole, None to choose by the free memory.
        stride: latent voxels from one such window to the next; 0 for half a window, as for all that are chosen.
        blending: of the windows.
    """

    steps: int
    sampler: str = "ddim"
    guidance: float = 1.0
    window: int | None = None
    stride: int = 0
    blending: Blending = Blending.HANN


@dataclass(frozen=True)
class Place:
    """Where and how a step is computed: `window` latent voxels along each axis (0 for the whole), type and device."""

    window: int
    precision: str
    device: str

    def __str__(self) -> str:
        extent = f"windows of {self.window} latent voxels" if self.window else "the whole latent at once"
        return f"{extent}, {self.precision}, on {self.device}"


@dataclass(frozen=True, eq=False)
class Drawn:
    """A latent (channels, k, j, i) float32 on the CPU, in words how it was computed, and the windows of the last step.

    Without windows it was computed at once.
    """

    latent: Tensor
    how: str
    windows: Windows | None


def denoise_latent(
    denoiser: Denoiser,
    process: Process,
    xray: npt.NDArray[np.float32],
    grid: Grid,
    geometry: Geometry,
    plan: SamplingPlan,
    seed: int,
    run: Run,
    correct: Correct | None = None,
    after_step: Callable[[int], None] | None = None,
) -> Drawn:
    """Draw a latent of unit variance for an X-ray. The noise depends on the seed alone, not on device or windows.

    When memory runs out, windows become smaller, then the numbers shorter, and at last the CPU takes over; each change
    is reported, and the step is computed again.

    Args:
        denoiser: in evaluation mode; it is not changed.
        process: that it was trained with.
        xray: (rows, columns), factor times the latent's k and i.
        grid: of the latent.
        geometry: of the X-ray.
        plan: see there.
        seed: of the noise.
        run: its device and precision come first.
        correct: (data foretold at t, t) -> data, both (1, channels, k, j, i); see `diffusion.sample`.
        after_step: called with the number of steps done.

    Raises:
        Stopped: the run was asked to stop.
        MemoryError, RuntimeError: memory does not even suffice for the smallest window on the CPU.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((1, denoiser.shape.latent, *grid.shape), generator=generator)
    predictor = _Predictor(denoiser, xray, grid, geometry, plan, seed, run)
    done = 0

    def predict(x: Tensor, t: float) -> Tensor:
        nonlocal done
        if run.should_stop():
            raise Stopped
        foretold = predictor(x, t)
        done += 1
        if after_step is not None:
            after_step(done)
        return foretold

    drawn = sample(process, predict, noise, plan.steps, plan.sampler, correct, generator)
    return Drawn(drawn[0], str(predictor.place), predictor.windows)


def places(shape: DenoiserShape, grid: Grid, plan: SamplingPlan, run: Run) -> Iterator[Place]:
    """Where to compute, best first: what fits the free memory at once, and what to fall back to."""
    windows = [0, *(size for size in WINDOWS if size < max(grid.shape))]
    if plan.window is not None:
        windows = [plan.window, *(size for size in windows if 0 < size < (plan.window or max(grid.shape)))]
    batch = 1 if plan.guidance == 1 else 2
    for number, (device, precision) in enumerate(ways(run)):
        free = free_memory(device)
        fitting = [
            size
            for size in windows
            if free is None or denoising_bytes(shape, grid, size, batch, precision) < USABLE * free
        ]
        if plan.window is not None and number == 0:
            fitting = windows
        if precision == "bf16" and number == 1:
            fitting = windows[-1:]  # what no window of 4 bytes fits may still fit with 2
        yield from (Place(size, precision, device) for size in fitting or windows[-1:])


def ways(run: Run) -> list[tuple[str, str]]:
    """Devices and precisions to compute on and in, best first: as the run says, in shorter numbers, on the CPU."""
    found = [(run.device, run.precision)]
    if run.precision == "fp32":
        found.append((run.device, "bf16"))
    if run.device != "cpu":
        found.append(("cpu", "fp32"))
    return found


def free_memory(device: str) -> int | None:
    """Bytes that can be had on a device; None where it cannot be told."""
    if device.startswith("cuda"):
        free: int = torch.cuda.mem_get_info(device)[0]
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return memory()[1]


def denoising_bytes(shape: DenoiserShape, grid: Grid, window: int, batch: int, precision: str) -> int:
    """Memory in bytes that a step takes beside the weights, about; `ctpa_decoding.py` measures it."""
    voxels = int(np.prod([min(window, count) if window else count for count in grid.shape]))
    numbers = 9 * shape.widths[0] + 3 * shape.features
    lifted = shape.features * grid.shape[2] * grid.shape[1] * grid.shape[0]  # half-way along the rays
    return batch * (voxels * numbers + lifted) * DTYPES[precision].itemsize


class _Predictor:
    """Foretells at all voxels of a latent, on whatever place memory allows."""

    def __init__(
        self,
        denoiser: Denoiser,
        xray: npt.NDArray[np.float32],
        grid: Grid,
        geometry: Geometry,
        plan: SamplingPlan,
        seed: int,
        run: Run,
    ) -> None:
        self._original, self._xray, self._grid, self._geometry = denoiser, xray, grid, geometry
        self._plan, self._reporter = plan, run.reporter
        self._rng = np.random.default_rng([seed, 23])
        self.windows: Windows | None = None
        self._places = places(denoiser.shape, grid, plan, run)
        self._move(next(self._places))
        if self.place.window:
            self._reporter.status(f"Denoising with {self.place}")

    @torch.no_grad()
    def __call__(self, x: Tensor, t: float) -> Tensor:
        offset = self._rng.random(3)  # drawn once a step, however often the step is tried
        while True:
            try:
                return self._predict(x, t, offset)
            except (MemoryError, RuntimeError) as error:
                if explain_exception(error).kind != "memory":
                    raise
                place = next(self._places, None)
                if place is None:
                    raise
            self._reporter.warning(f"Memory ran out with {self.place}; it goes on with {place}.")
            self._move(place)

    def _move(self, place: Place) -> None:
        """Bring the denoiser and what it knows of the X-ray to a place."""
        self.place, self.windows = place, None
        device, dtype = torch.device(place.device), DTYPES[place.precision]
        self._denoiser = self._original
        weight = next(self._original.parameters())
        if (weight.device, weight.dtype) != (device, dtype):
            self._denoiser = copy.deepcopy(self._original).to(device, dtype)
        self._features: Tensor | None = None
        self._whole: Rays | None = None
        if device.type == "cuda":
            torch.cuda.empty_cache()

    def _predict(self, x: Tensor, t: float, offset: npt.NDArray[np.float64]) -> Tensor:
        if self._features is None:
            self._features = self._conditions()
        if not self.place.window:
            if self._whole is None:
                self._whole = rays(self._grid, self._geometry).to(self._features)
            return self._guided(x, t, self._features, self._whole)
        result = torch.zeros_like(x)
        self.windows = self._windows(offset)
        for where, weights in self.windows.weights(self._plan.blending):
            part = rays(self._grid, self._geometry, where).to(self._features)
            foretold = self._guided(x[(..., *where)], t, self._features, part)
            result[(..., *where)] += foretold * torch.from_numpy(weights)
        return result

    def _conditions(self) -> Tensor:
        """Features of the X-ray; with guidance, a second time without it."""
        weight = next(self._denoiser.parameters())
        features = self._denoiser.features(torch.from_numpy(self._xray)[None, None].to(weight))
        if self._plan.guidance == 1:
            return features
        return torch.cat([features, self._denoiser.null_features(features)])

    def _guided(self, x: Tensor, t: float, features: Tensor, where: Rays) -> Tensor:
        count = len(features)
        batch = x.to(features).expand(count, *[-1] * (x.ndim - 1))
        time = torch.full((count,), t, device=features.device)
        foretold = self._denoiser.denoise(batch, time, features, where).float().cpu()
        if count == 1:
            return foretold
        return foretold[1:] + self._plan.guidance * (foretold[:1] - foretold[1:])

    def _windows(self, offset: npt.NDArray[np.float64]) -> Windows:
        """Overlapping windows, moved by a share of their stride that keeps the denoiser's pooling in step."""
        divisor, size = self._original.shape.divisor, self.place.window
        stride = self._plan.stride if size == self._plan.window else 0  # of smaller ones it could leave gaps
        cubes = Windows.cubes(self._grid.shape, size, stride or size // 2)
        moved: list[int] = [
            int(share * stride) // divisor * divisor for share, stride in zip(offset, cubes.stride, strict=True)
        ]
        shift: Shape = (moved[0], moved[1], moved[2])
        return Windows(cubes.shape, cubes.patch, cubes.stride, shift)
