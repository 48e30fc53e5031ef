"""Sampling a latent: the whole latent at once where the device is large enough, else in windows fused at every step.

Fusing the predictions of each step, over one volume of noise, makes the windows parts of one sample (Bar-Tal 2023,
MultiDiffusion); sampling windows one after the other and averaging would mix independent samples. The windows move
from step to step, so that no plane is a seam at every step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.ctpa.diffusion.denoiser import Denoiser, DenoiserShape, RayWeights, ray_weights
from deeprecon.ctpa.diffusion.processes import Correct, Process, sample
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.patches import Blending, Shape, Windows
from deeprecon.jobs.failures import explain_exception
from deeprecon.jobs.run import Run, Stopped
from deeprecon.training.estimate import total_bytes

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
WINDOWS = (64, 48, 32, 16)
"""Latent voxels of a window along each axis, tried from the largest; multiples of twice any denoiser's divisor."""
MEMORY_SHARE = 0.5
"""Share of the device's memory that a step may take, whatever is free at the moment: windows change the bits."""


@dataclass(frozen=True)
class SamplingPlan:
    """Settings of the sampling.

    Attributes:
        steps: from noise to data.
        sampler: a name of `SamplerName`.
        guidance: scale of classifier-free guidance; 1 for none (Ho and Salimans 2022).
        window: latent voxels of a window along each axis; 0 for the whole, None to choose by the memory of the device.
        stride: latent voxels from one such window to the next; 0 for half a window, as for all chosen windows.
        blending: of the windows.
    """

    steps: int
    sampler: str = "ddim"
    guidance: float = 1.0
    window: int | None = None
    stride: int = 0
    blending: Blending = Blending.HANN


@dataclass(frozen=True)
class ComputeSetup:
    """How a step is computed: `window` latent voxels along each axis (0 for the whole), precision and device."""

    window: int
    precision: str
    device: str

    def __str__(self) -> str:
        extent = f"in windows of {self.window} latent voxels" if self.window else "the whole latent at once"
        return f"{extent}, {self.precision}, on {self.device}"


@dataclass(frozen=True, eq=False)
class LatentSample:
    """A sampled latent.

    Attributes:
        latent: (channels, k, j, i) float32 on the CPU.
        setup: how it was computed, as text.
        windows: of the last step; None where the whole latent was computed at once.
    """

    latent: Tensor
    setup: str
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
) -> LatentSample:
    """Sample a latent of unit variance for an X-ray. The noise depends on the seed alone, not on device or windows.

    When memory runs out, windows get smaller, then the precision lower, and finally the CPU is used; each change is
    reported, and the step is computed again.

    Args:
        denoiser: in evaluation mode; it is not changed.
        process: that it was trained with.
        xray: (rows, columns), factor times the latent's k and i.
        grid: of the latent.
        geometry: of the X-ray.
        plan: see there.
        seed: of the noise.
        run: its device and precision are tried first.
        correct: (data predicted at t, t) -> data, both (1, channels, k, j, i); see `processes.sample`.
        after_step: called with the number of steps done.

    Raises:
        Stopped: the run was asked to stop.
        MemoryError, RuntimeError: memory does not suffice for the smallest window on the CPU.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((1, denoiser.shape.latent, *grid.shape), generator=generator)
    predictor = _Predictor(denoiser, xray, grid, geometry, plan, seed, run)
    done = 0

    def predict(x: Tensor, t: float) -> Tensor:
        nonlocal done
        if run.should_stop():
            raise Stopped
        prediction = predictor(x, t)
        done += 1
        if after_step is not None:
            after_step(done)
        return prediction

    sampled = sample(process, predict, noise, plan.steps, plan.sampler, correct, generator)
    return LatentSample(sampled[0], str(predictor.setup), predictor.windows)


def compute_setups(shape: DenoiserShape, grid: Grid, plan: SamplingPlan, run: Run) -> Iterator[ComputeSetup]:
    """Setups in the order in which they are tried: the largest window that fits the device's memory first."""
    windows = [0, *(size for size in WINDOWS if size < max(grid.shape))]
    if plan.window is not None:
        windows = [plan.window, *(size for size in windows if 0 < size < (plan.window or max(grid.shape)))]
    batch = 1 if plan.guidance == 1 else 2
    for number, (device, precision) in enumerate(device_precisions(run)):
        total = total_bytes(device)
        fitting = [
            size
            for size in windows
            if total is None or denoising_bytes(shape, grid, size, batch, precision) < MEMORY_SHARE * total
        ]
        if plan.window is not None and number == 0:
            fitting = windows
        if precision == "bf16" and number == 1:
            fitting = windows[-1:]  # half the memory of the smallest window in fp32
        yield from (ComputeSetup(size, precision, device) for size in fitting or windows[-1:])


def device_precisions(run: Run) -> list[tuple[str, str]]:
    """Devices and precisions in the order in which they are tried: those of the run, bf16, the CPU."""
    result = [(run.device, run.precision)]
    if run.precision == "fp32":
        result.append((run.device, "bf16"))
    if run.device != "cpu":
        result.append(("cpu", "fp32"))
    return result


def denoising_bytes(shape: DenoiserShape, grid: Grid, window: int, batch: int, precision: str) -> int:
    """Approximate memory of a step in bytes, without the weights; `ctpa_decoding.py` measures it."""
    voxels = int(np.prod([min(window, count) if window else count for count in grid.shape]))
    numbers = 9 * shape.widths[0] + 3 * shape.features
    lifted = shape.features * grid.shape[2] * grid.shape[1] * grid.shape[0]  # half-way along the rays
    return batch * (voxels * numbers + lifted) * DTYPES[precision].itemsize


class _Predictor:
    """Predictions for a whole latent, with the first compute setup that memory suffices for."""

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
        self._setups = compute_setups(denoiser.shape, grid, plan, run)
        self._change_setup(next(self._setups))
        self._reporter.status(f"Denoising {self.setup}")

    @torch.no_grad()
    def __call__(self, x: Tensor, t: float) -> Tensor:
        offset = self._rng.random(3)  # once per step, however often the step is tried
        while True:
            try:
                return self._predict(x, t, offset)
            except (MemoryError, RuntimeError) as error:
                if explain_exception(error).kind != "memory":
                    raise
                setup = next(self._setups, None)
                if setup is None:
                    raise
            self._reporter.warning(f"Memory ran out while denoising {self.setup}; it goes on {setup}.")
            self._change_setup(setup)

    def _change_setup(self, setup: ComputeSetup) -> None:
        """Convert the denoiser, and discard the features of the X-ray."""
        self.setup, self.windows = setup, None
        device, dtype = torch.device(setup.device), DTYPES[setup.precision]
        self._denoiser = self._original
        weight = next(self._original.parameters())
        if (weight.device, weight.dtype) != (device, dtype):
            self._denoiser = copy.deepcopy(self._original).to(device, dtype)
        self._features: Tensor | None = None
        self._rays: RayWeights | None = None
        if device.type == "cuda":
            torch.cuda.empty_cache()

    def _predict(self, x: Tensor, t: float, offset: npt.NDArray[np.float64]) -> Tensor:
        if self._features is None:
            self._features = self._condition()
        if not self.setup.window:
            if self._rays is None:
                self._rays = ray_weights(self._grid, self._geometry).to(self._features)
            return self._guided(x, t, self._features, self._rays)
        result = torch.zeros_like(x)
        self.windows = self._windows(offset)
        for window, weights in self.windows.weights(self._plan.blending):
            rays = ray_weights(self._grid, self._geometry, window).to(self._features)
            predicted = self._guided(x[(..., *window)], t, self._features, rays)
            result[(..., *window)] += predicted * torch.from_numpy(weights)
        return result

    def _condition(self) -> Tensor:
        """Features of the X-ray; with guidance, followed by those without it."""
        weight = next(self._denoiser.parameters())
        features = self._denoiser.features(torch.from_numpy(self._xray)[None, None].to(weight))
        if self._plan.guidance == 1:
            return features
        return torch.cat([features, self._denoiser.null_features(features)])

    def _guided(self, x: Tensor, t: float, features: Tensor, rays: RayWeights) -> Tensor:
        """Classifier-free guidance (Ho and Salimans 2022); a single prediction at a guidance of 1."""
        count = len(features)
        batch = x.to(features).expand(count, *[-1] * (x.ndim - 1))
        time = torch.full((count,), t, device=features.device)
        predicted = self._denoiser.denoise(batch, time, features, rays).float().cpu()
        if count == 1:
            return predicted
        return predicted[1:] + self._plan.guidance * (predicted[:1] - predicted[1:])

    def _windows(self, offset: npt.NDArray[np.float64]) -> Windows:
        """Overlapping windows, offset by a share of their stride, rounded to the denoiser's divisor."""
        divisor, size = self._original.shape.divisor, self.setup.window
        stride = self._plan.stride if size == self._plan.window else 0  # of smaller ones it could leave gaps
        cubes = Windows.cubes(self._grid.shape, size, stride or size // 2)
        moved: list[int] = [
            int(share * stride) // divisor * divisor for share, stride in zip(offset, cubes.stride, strict=True)
        ]
        shift: Shape = (moved[0], moved[1], moved[2])
        return Windows(cubes.shape, cubes.patch, cubes.stride, shift)
