"""Midpoint and offset of directions, and the polar grid: the coordinates in which turning the object is a shift.

With observation angle r and incidence angle s, m = (r + s) / 2 and h = (r - s) / 2 (Fan and Ying 2019, arXiv
1911.13202). Turning the object by an angle shifts the data by it along m and the polar image along theta; the
map from data to image is a convolution in m.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.numerics.grids import Outside, interpolate

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]


def orders(n: int) -> npt.NDArray[np.int64]:
    """(n,) whole angular orders in the sequence of the FFT."""
    return np.asarray(np.rint(np.fft.fftfreq(n, 1 / n)), np.int64)


def offsets(n: int) -> npt.NDArray[np.float64]:
    """(n,) the offsets h in [-pi/2, pi/2) of n uniform directions, in the sequence of the FFT."""
    return orders(n) * np.pi / n


def to_midpoint(far_field: Complex) -> Complex:
    """(..., N, N) far field [observation, incidence] on `directions(N)` to (..., N, N) data [midpoint, offset].

    No interpolation: a midpoint between two directions is reached by the shift theorem, without error where the far
    field's angular orders are below N / 2. Midpoints are `directions(N)`, offsets are `offsets(N)`.
    """
    n = far_field.shape[-1]
    s, j = np.arange(n)[:, None], np.arange(n)[None]
    return _shifted(far_field[..., (s + j) % n, s], -1)


def from_midpoint(data: Complex) -> Complex:
    """The inverse of `to_midpoint`."""
    n = data.shape[-1]
    r, s = np.arange(n)[:, None], np.arange(n)[None]
    return _shifted(data, 1)[..., s, (r - s) % n]


def by_reciprocity(data: Complex) -> Complex:
    """(..., N, N) data [midpoint, offset] to (..., N, N / 2 + 1), offsets h from 0 to pi/2: the independent half.

    Exchanging source and receiver turns both by pi: d(m, h) = d(m + pi, -h). The mean of the two halves the noise's
    power.
    """
    n = data.shape[-1]
    half = n // 2
    opposite = np.roll(data, -half, axis=-2)[..., -np.arange(half) % n]
    return np.concatenate([(data[..., :half] + opposite) / 2, data[..., half : half + 1]], axis=-1)


def _shifted(data: Complex, sign: int) -> Complex:
    n = data.shape[-1]
    phase = np.exp(sign * 1j * np.pi / n * np.outer(orders(n), orders(n)))
    return np.asarray(np.fft.ifft(np.fft.fft(data, axis=-2) * phase, axis=-2)).astype(data.dtype)


def resample(far_field: Complex, start: tuple[float, float], n: int) -> Complex:
    """(..., No, Ni) on full circles of uniform angles to (..., n, n) on `directions(n)`, without error.

    By trigonometric interpolation, where the far field's orders are below half of both numbers of directions.

    Args:
        far_field: [observation, incidence], without a repeated end point.
        start: first observation and first incidence angle, radians.
        n: directions wanted.
    """
    for axis, first in ((-2, start[0]), (-1, start[1])):
        far_field = np.moveaxis(_interpolated(np.moveaxis(far_field, axis, -1), first, n), -1, axis)
    return far_field


def _interpolated(values: Complex, start: float, n: int) -> Complex:
    count = values.shape[-1]
    if count == n and start == 0:
        return values
    kept = np.abs(orders(count)) < min(n, count) / 2  # the order at the Nyquist limit has no side
    order = orders(count)[kept]
    series = np.fft.fft(values, axis=-1)[..., kept] / count
    basis = np.exp(1j * order[:, None] * (2 * np.pi / n * np.arange(n) - start))
    return np.asarray(series @ basis).astype(values.dtype)


def undersampling(far_field: Complex) -> float:
    """Share of the far field's squared norm in the top quarter of the orders that its directions can hold.

    It is nearly 0 where there are directions enough; see `directions_needed`.
    """
    worst = 0.0
    for axis in (-2, -1):
        power = np.abs(np.fft.fft(far_field, axis=axis)) ** 2
        power = np.moveaxis(power, axis, 0).reshape(far_field.shape[axis], -1).sum(axis=1)
        top = np.abs(orders(len(power))) >= 3 / 8 * len(power)
        worst = max(worst, float(power[top].sum() / max(power.sum(), np.finfo(float).tiny)))
    return worst


def largest_order(k: float) -> int:
    """Angular order, in observation and incidence each, up to which far fields of objects in the unit disc reach.

    The excess bandwidth formula for three digits of the waves (Chew et al. 2001, Fast and efficient algorithms in
    computational electromagnetics): what lies beyond is below 1e-5 of the far field.
    """
    return int(np.ceil(k + 1.8 * 3 ** (2 / 3) * k ** (1 / 3)))


def band_limited(far_field: Complex, k: float) -> Complex:
    """(..., N, N) far field on `directions(N)` without the orders that only noise can have."""
    kept = np.abs(orders(far_field.shape[-1])) <= largest_order(k)
    if kept.all():
        return far_field
    series = np.fft.fft2(far_field) * (kept[:, None] & kept)
    return np.asarray(np.fft.ifft2(series)).astype(far_field.dtype)


def directions_needed(k: float) -> int:
    """A power of two that holds all orders: at most k + 6 in observation and incidence, twice that in the midpoint."""
    return int(2 ** np.ceil(np.log2(4 * (k + 6))))


# ---- polar and square images


def radii(n: int) -> npt.NDArray[np.float64]:
    """(n,) centers of n rings of the unit disc."""
    return (np.arange(n) + 0.5) / n


def ring_weights(n: int) -> npt.NDArray[np.float64]:
    """(n,) area of each ring over that of the disc, sums to 1; the weights 2j + 1 of the metric."""
    return (2 * np.arange(n) + 1) / n**2


def cell_axis(n: int) -> npt.NDArray[np.float64]:
    """(n,) pixel centers of an n x n image that covers [-1, 1] x [-1, 1]."""
    return (np.arange(n) + 0.5) * 2 / n - 1


def to_square(polar: Floats, axis: Floats) -> npt.NDArray[np.float64]:
    """(..., Ntheta, Nrho) to (..., n, n) on the points axis x axis, rows are y; bilinear, 0 outside of the disc.

    Rings are continued through the center to the opposite side.
    """
    n_theta, n_rho = polar.shape[-2:]
    x, y = np.meshgrid(axis, axis)
    rho = np.hypot(x, y) * n_rho - 0.5
    theta = np.arctan2(y, x) / (2 * np.pi) * n_theta
    # A ring before the first one, and the first direction once more after the last.
    wide = np.concatenate([np.roll(polar[..., :1], -(n_theta // 2), -2), polar], axis=-1)
    wide = np.concatenate([wide, wide[..., :1, :]], axis=-2)
    values = _at(wide, theta % n_theta, rho + 1, "nearest")
    return np.where(np.hypot(x, y) <= 1, values, 0.0)


def to_polar(square: Floats, axis: Floats, n_theta: int, n_rho: int, fine: int = 4) -> npt.NDArray[np.float64]:
    """(..., n, n) on the points axis x axis, rows are y, to (..., Ntheta, Nrho): the mean over points of each cell.

    Bilinear; 0 beyond the outermost pixels.
    """
    step = (np.arange(fine) + 0.5) / fine - 0.5
    theta = 2 * np.pi / n_theta * (np.arange(n_theta)[:, None] + step).ravel()
    rho = (np.arange(n_rho)[:, None] + 0.5 + step).ravel() / n_rho
    spacing = float(axis[1] - axis[0])
    column, row = (np.outer(part(theta), rho) / spacing - axis[0] / spacing for part in (np.cos, np.sin))
    cells = _at(square, row, column, "zero").reshape(*square.shape[:-2], n_theta, fine, n_rho, fine)
    return np.asarray(cells.mean(axis=(-3, -1)))


def _at(images: Floats, row: Floats, column: Floats, outside: Outside) -> npt.NDArray[np.float64]:
    """(..., *row.shape) values of images (..., rows, columns) at fractional rows and columns."""
    channels = np.moveaxis(images.reshape(-1, *images.shape[-2:]), 0, -1)
    values = interpolate(channels, np.stack([row.ravel(), column.ravel()], axis=1), outside)
    return values.T.reshape(*images.shape[:-2], *row.shape)
