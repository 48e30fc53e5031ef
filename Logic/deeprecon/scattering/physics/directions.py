"""Directions of incidence and observation, and far fields in the coordinates midpoint and offset.

With observation angle r and incidence angle s, the midpoint is m = (r + s) / 2 and the offset h = (r - s) / 2 (Fan and
Ying 2019, arXiv 1911.13202). Rotating the object by an angle shifts the data along m and the polar image along theta by
the same angle, so that the map from data to image is a convolution in m.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]


def directions(n: int) -> npt.NDArray[np.float64]:
    """(n,) angles in radians, uniform from 0, without the end point that would repeat the first."""
    return np.asarray(2 * np.pi / n * np.arange(n))


def angular_orders(n: int) -> npt.NDArray[np.int64]:
    """(n,) integer angular orders in FFT order."""
    return np.asarray(np.rint(np.fft.fftfreq(n, 1 / n)), np.int64)


def angular_offsets(n: int) -> npt.NDArray[np.float64]:
    """(n,) offsets h in [-pi/2, pi/2) of n uniform directions, in FFT order."""
    return angular_orders(n) * np.pi / n


def to_midpoint(far_field: Complex) -> Complex:
    """(..., N, N) far field [observation, incidence] on `directions(N)` to (..., N, N) data [midpoint, offset].

    Midpoints between two directions are computed by the shift theorem, which is exact where the far field's angular
    orders are below N / 2. Midpoints are `directions(N)`, offsets are `angular_offsets(N)`.
    """
    n = far_field.shape[-1]
    s, j = np.arange(n)[:, None], np.arange(n)[None]
    return _shift_midpoints(far_field[..., (s + j) % n, s], -1)


def from_midpoint(data: Complex) -> Complex:
    """The inverse of `to_midpoint`."""
    n = data.shape[-1]
    r, s = np.arange(n)[:, None], np.arange(n)[None]
    return _shift_midpoints(data, 1)[..., s, (r - s) % n]


def average_reciprocal(data: Complex) -> Complex:
    """(..., N, N) data [midpoint, offset] to (..., N, N / 2 + 1), offsets h from 0 to pi/2: the independent half.

    Reciprocity: exchanging source and receiver rotates both by pi, d(m, h) = d(m + pi, -h). The mean of the two values
    has half the noise power.
    """
    n = data.shape[-1]
    half = n // 2
    opposite = np.roll(data, -half, axis=-2)[..., -np.arange(half) % n]
    return np.concatenate([(data[..., :half] + opposite) / 2, data[..., half : half + 1]], axis=-1)


def _shift_midpoints(data: Complex, sign: int) -> Complex:
    n = data.shape[-1]
    phase = np.exp(sign * 1j * np.pi / n * np.outer(angular_orders(n), angular_orders(n)))
    return np.asarray(np.fft.ifft(np.fft.fft(data, axis=-2) * phase, axis=-2)).astype(data.dtype)


def resample_directions(far_field: Complex, start: tuple[float, float], n: int) -> Complex:
    """(..., No, Ni) on full circles of uniform angles to (..., n, n) on `directions(n)`.

    Trigonometric interpolation, which is exact where the far field's orders are below half of both numbers of
    directions.

    Args:
        far_field: [observation, incidence], without a repeated end point.
        start: first observation and first incidence angle, radians.
        n: number of directions of the result.
    """
    for axis, first in ((-2, start[0]), (-1, start[1])):
        far_field = np.moveaxis(_interpolate_circle(np.moveaxis(far_field, axis, -1), first, n), -1, axis)
    return far_field


def _interpolate_circle(values: Complex, start: float, n: int) -> Complex:
    count = values.shape[-1]
    if count == n and start == 0:
        return values
    kept = np.abs(angular_orders(count)) < min(n, count) / 2  # the Nyquist order has no sign
    order = angular_orders(count)[kept]
    series = np.fft.fft(values, axis=-1)[..., kept] / count
    basis = np.exp(1j * order[:, None] * (2 * np.pi / n * np.arange(n) - start))
    return np.asarray(series @ basis).astype(values.dtype)


def high_order_share(far_field: Complex) -> float:
    """Share of the far field's energy in the highest quarter of the orders that its directions can represent.

    Nearly 0 where there are enough directions (see `required_directions`); the larger of the shares of both axes.
    """
    largest = 0.0
    for axis in (-2, -1):
        power = np.abs(np.fft.fft(far_field, axis=axis)) ** 2
        power = np.moveaxis(power, axis, 0).reshape(far_field.shape[axis], -1).sum(axis=1)
        top = np.abs(angular_orders(len(power))) >= 3 / 8 * len(power)
        largest = max(largest, float(power[top].sum() / max(power.sum(), np.finfo(float).tiny)))
    return largest


def max_angular_order(k: float) -> int:
    """Largest angular order, in observation and incidence each, of far fields of objects in the unit disc.

    Excess bandwidth formula for three digits (Chew et al. 2001, Fast and efficient algorithms in computational
    electromagnetics); the norm of higher orders is below 1e-5 of that of the far field.
    """
    return int(np.ceil(k + 1.8 * 3 ** (2 / 3) * k ** (1 / 3)))


def remove_noise_orders(far_field: Complex, k: float) -> Complex:
    """(..., N, N) far field on `directions(N)` without the orders above `max_angular_order`, which are noise."""
    kept = np.abs(angular_orders(far_field.shape[-1])) <= max_angular_order(k)
    if kept.all():
        return far_field
    series = np.fft.fft2(far_field) * (kept[:, None] & kept)
    return np.asarray(np.fft.ifft2(series)).astype(far_field.dtype)


def required_directions(k: float) -> int:
    """A power of two for all orders: up to k + 6 in observation and incidence, twice that in the midpoint."""
    return int(2 ** np.ceil(np.log2(4 * (k + 6))))
