"""Ridge regression from X-ray to CT (Hoerl and Kennard 1970): a baseline for networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
