"""Baselines of X-ray to CT, for benchmarks and tests: ridge regression, and diffusion in independent patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.ctpa.diffusion.processes import Process
from deeprecon.ctpa.patches import Blending, Slices, Windows

Array = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear map of X-rays in its dual form, as weights of the training cases, which are fewer than the pixels.

    Attributes:
        xrays: (cases, pixels) minus their mean.
        xray_mean: (pixels,).
        weights: (cases, voxels).
        ct_mean: (voxels,).
        shape: (k, j, i) of a CT.
    """

    xrays: Values
    xray_mean: Values
    weights: Values
    ct_mean: Values
    shape: tuple[int, int, int]

    def predict(self, xrays: npt.ArrayLike) -> Values:
        """(cases, k, j, i) HU from (cases, rows, columns)."""
        images = np.asarray(xrays, np.float32)
        centered = images.reshape(len(images), -1) - self.xray_mean
        hu = ((centered @ self.xrays.T) @ self.weights + self.ct_mean).astype(np.float32)
        return hu.reshape(len(images), *self.shape)


def fit_ridge(xrays: npt.ArrayLike, cts: npt.ArrayLike, strength: float = 100.0) -> Ridge:
    """Fit all voxels.

    Args:
        xrays: (cases, rows, columns), on one scale.
        cts: (cases, k, j, i) HU.
        strength: of the L2 penalty, in the X-rays' units squared.
    """
    images, volumes = np.asarray(xrays, np.float32), np.asarray(cts, np.float32)
    flat, targets = images.reshape(len(images), -1), volumes.reshape(len(volumes), -1)
    xray_mean, ct_mean = flat.mean(axis=0), targets.mean(axis=0)
    centered = flat - xray_mean
    gram = (centered @ centered.T).astype(np.float64) + strength * np.eye(len(flat))
    weights = np.linalg.solve(gram, (targets - ct_mean).astype(np.float64)).astype(np.float32)
    k, j, i = volumes.shape[1:]
    return Ridge(centered, xray_mean, weights, ct_mean, (k, j, i))


def training_pair(
    process: Process, data: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """x_t, t (batch,), and the target, for one random time per sample; the times of a batch are spread evenly."""
    count = len(data)
    offset = torch.rand((), generator=generator, device=data.device)
    t = process.start * (torch.arange(count, device=data.device) + offset) / count
    t = t[torch.randperm(count, generator=generator, device=data.device)]
    noise = torch.randn(data.shape, generator=generator, device=data.device, dtype=data.dtype)
    wide = t.view(-1, *[1] * (data.ndim - 1))
    a, s = process.scales(wide)
    return a * data + s * noise, t, process.target(data, noise, wide)


def blend(
    windows: Windows,
    predict: Callable[[Slices], npt.NDArray[np.float32]],
    channels: int,
    kind: Blending = Blending.HANN,
) -> npt.NDArray[np.float32]:
    """(channels, k, j, i) from `predict(where)` -> (channels, *patch), patch by patch."""
    result = np.zeros((channels, *windows.shape), np.float32)
    for where, weights in windows.weights(kind):
        result[(slice(None), *where)] += predict(where) * weights
    return result
