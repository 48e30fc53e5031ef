"""Regular grids: values between their points, and the order of their axes."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

Outside = Literal["nearest", "nan", "zero"]
T = TypeVar("T", bound=np.generic)


def interpolate(grid: npt.ArrayLike, indices: npt.ArrayLike, outside: Outside = "nearest") -> npt.NDArray[np.float64]:
    """Multilinear interpolation of a grid at fractional indices.

    A grid of samples covers half a step beyond its first and last sample along each axis; there it has the value of
    its edge.

    Args:
        grid: (d1, ..., dn) samples, or (d1, ..., dn, C) with C channels.
        indices: (N, n), in the order of the grid's axes.
        outside: what a place beyond the grid gets: the value of the nearest edge, NaN or 0.

    Returns:
        (N,) or (N, C).

    Raises:
        ValueError: the grid has neither n nor n + 1 axes.
    """
    from scipy.ndimage import map_coordinates  # Slicer's panels load this module at their start

    values, places = np.asarray(grid), np.asarray(indices, np.float64)
    axes = places.shape[1]
    if values.ndim not in (axes, axes + 1):
        raise ValueError(f"Indices along {axes} axes do not fit a grid of {values.ndim}.")
    last = np.array(values.shape[:axes]) - 1
    inner = np.clip(places, 0, last).T
    channels = values[..., None] if values.ndim == axes else values
    result = np.empty((len(places), channels.shape[-1]))
    for channel in range(channels.shape[-1]):
        map_coordinates(channels[..., channel], inner, result[:, channel], order=1, mode="nearest")
    if outside != "nearest":
        beyond = ((places < -0.5) | (places > last + 0.5)).any(axis=1)
        result[beyond] = np.nan if outside == "nan" else 0
    return result[:, 0] if values.ndim == axes else result


def turned(image: npt.NDArray[T], swap: bool, rows: bool, columns: bool) -> npt.NDArray[T]:
    """An image (rows, columns, ...), each if asked for: both swapped, then the rows, then the columns reversed."""
    image = image.swapaxes(0, 1) if swap else image
    return np.ascontiguousarray(image[:: -1 if rows else 1, :: -1 if columns else 1])
