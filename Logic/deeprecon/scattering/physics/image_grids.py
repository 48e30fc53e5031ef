"""Polar and square image grids over the measured region, which is the unit disc.

Polar images are (angles, rings) at the angles `directions(angles)` and the radii `ring_radii(rings)`; square images are
(n, n), rows are y, on the points axis x axis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.numerics.grids import Outside, interpolate

Floats = npt.NDArray[np.floating[Any]]


def ring_radii(n: int) -> npt.NDArray[np.float64]:
    """(n,) centers of n rings of the unit disc."""
    return (np.arange(n) + 0.5) / n


def ring_weights(n: int) -> npt.NDArray[np.float64]:
    """(n,) area of each ring j as a share of the disc, (2j + 1) / n^2; sums to 1."""
    return (2 * np.arange(n) + 1) / n**2


def pixel_centers(n: int) -> npt.NDArray[np.float64]:
    """(n,) coordinates of the pixel centers of an n x n image that covers [-1, 1] x [-1, 1]."""
    return (np.arange(n) + 0.5) * 2 / n - 1


def fine_polar_axes(n_theta: int, n_rho: int, points: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(n_theta * points,) angles and (n_rho * points,) radii of points x points sampling points in each polar cell."""
    step = subcell_offsets(points)
    theta = 2 * np.pi / n_theta * (np.arange(n_theta)[:, None] + step).ravel()
    return theta, (np.arange(n_rho)[:, None] + 0.5 + step).ravel() / n_rho


def to_square(polar: Floats, axis: Floats) -> npt.NDArray[np.float64]:
    """(..., Ntheta, Nrho) to (..., n, n) on the points axis x axis, rows are y; bilinear, 0 outside of the disc.

    Inside the innermost ring, values are interpolated across the center to the opposite side.
    """
    n_theta, n_rho = polar.shape[-2:]
    x, y = np.meshgrid(axis, axis)
    rho = np.hypot(x, y) * n_rho - 0.5
    theta = np.arctan2(y, x) / (2 * np.pi) * n_theta
    # One ring inside the first, which is the first ring of the opposite side, and the first angle again after the last.
    padded = np.concatenate([np.roll(polar[..., :1], -(n_theta // 2), -2), polar], axis=-1)
    padded = np.concatenate([padded, padded[..., :1, :]], axis=-2)
    values = _interpolate_images(padded, theta % n_theta, rho + 1, "nearest")
    return np.where(np.hypot(x, y) <= 1, values, 0.0)


def to_polar(square: Floats, axis: Floats, n_theta: int, n_rho: int, points: int = 4) -> npt.NDArray[np.float64]:
    """(..., n, n) on the points axis x axis, rows are y, to (..., Ntheta, Nrho): the mean of points in each cell.

    Bilinear; 0 outside the image.
    """
    theta, rho = fine_polar_axes(n_theta, n_rho, points)
    spacing = float(axis[1] - axis[0])
    column, row = (np.outer(part(theta), rho) / spacing - axis[0] / spacing for part in (np.cos, np.sin))
    values = _interpolate_images(square, row, column, "zero")
    cells = values.reshape(*square.shape[:-2], n_theta, points, n_rho, points)
    return np.asarray(cells.mean(axis=(-3, -1)))


def _interpolate_images(images: Floats, row: Floats, column: Floats, outside: Outside) -> npt.NDArray[np.float64]:
    """(..., *row.shape) values of images (..., rows, columns) at fractional rows and columns."""
    channels = np.moveaxis(images.reshape(-1, *images.shape[-2:]), 0, -1)
    values = interpolate(channels, np.stack([row.ravel(), column.ravel()], axis=1), outside)
    return values.T.reshape(*images.shape[:-2], *row.shape)


def subcell_offsets(points: int) -> npt.NDArray[np.float64]:
    """(points,) uniform sampling points in a cell of length 1, relative to its center."""
    return np.asarray((np.arange(points) + 0.5) / points - 0.5)


def required_pixels(k: float, max_contrast: float, minimum: int = 64) -> int:
    """Pixels along a side of [-1, 1] x [-1, 1] for about 12 in the shortest wavelength, a multiple of 16."""
    return max(minimum, 16 * math.ceil(12 * k * math.sqrt(1 + max(max_contrast, 0.0)) / math.pi / 16))
