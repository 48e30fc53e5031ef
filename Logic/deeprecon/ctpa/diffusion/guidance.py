"""Drawing a sample towards what the X-ray shows: the residual of its projection, spread back along the rays.

An iteration of SART (Andersen and Kak 1984) with a single view, on the CT that is foretold while a sample is drawn.
What a ray misses is shared out evenly within the body, so nothing is said about depth that the model did not say.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from deeprecon.ctpa.autoencoder.network import decode_tiled, encode_tiled
from deeprecon.ctpa.diffusion.model import Model
from deeprecon.ctpa.diffusion.processes import Correct
from deeprecon.ctpa.grid import Grid, Hu
from deeprecon.ctpa.measure.metrics import body_mask
from deeprecon.ctpa.observe.projection import Geometry, Image, detector_axes, interpolation, line_integrals

Mask = npt.NDArray[np.bool_]

TIMES = (0.5, 0.35, 0.2, 0.1)
"""Times at which a sample is corrected, once each: from the first on there is a chest, after the last only detail."""
MOST = 150.0
"""HU by which a voxel is changed at most."""
LEAST_PATH = 20.0
"""mm of body along a ray below which nothing is changed."""
LEVEL, TILE = 1, 16
"""Finest levels of the autoencoder that are left out, and latent voxels of a tile."""


def toward_xray(model: Model, xray: Image, covered: Mask, grid: Grid, geometry: Geometry) -> Correct:
    """For `diffusion.sample`: corrects the data foretold at `TIMES`.

    Args:
        model: see there.
        xray: on the detector of the grid, as the model takes it.
        covered: its pixels that count.
        grid: of a decoded volume without the `LEVEL` finest levels.
        geometry: of the X-ray.
    """
    left = list(TIMES)

    def correct(data: Tensor, now: float) -> Tensor:
        if not left or now > left[0]:
            return data
        while left and now <= left[0]:
            left.pop(0)
        weight = next(model.autoencoder.parameters())
        latent = model.to_latent(data.to(model.latent_scale))[0].to(weight)
        size = (TILE, TILE, TILE)
        hu = decode_tiled(model.autoencoder, latent, size, coarser=LEVEL)
        changed = closer(hu, xray, covered, grid, geometry)
        step = encode_tiled(model.autoencoder, changed, size, LEVEL) - encode_tiled(model.autoencoder, hu, size, LEVEL)
        return model.to_data((latent + step)[None].float()).to(data)

    return correct


def closer(hu: Hu, xray: Image, covered: Mask, grid: Grid, geometry: Geometry) -> Hu:
    """A CT whose projection is nearer to an X-ray of unknown gain and offset.

    Args:
        hu: (k, j, i) on the grid.
        xray: (rows towards the head, columns to the left) on `projection.detector_axes`.
        covered: pixels of the X-ray that count.
        grid, geometry: see there.
    """
    body = body_mask(hu)
    projected = line_integrals(hu, grid, geometry)
    path = line_integrals(np.where(body, 0, -1000), grid, geometry)  # of water in place of the body
    seen = projected[covered].astype(np.float64)
    columns = np.stack([seen, np.ones_like(seen)], axis=1)
    gain, offset = np.linalg.lstsq(columns, xray[covered].astype(np.float64), rcond=None)[0]
    if gain <= 0:  # nothing in common yet
        return hu
    missing = (xray - offset) / gain - projected
    inside = covered & (path > 0.02 * LEAST_PATH)
    share = np.where(inside, 1000 * missing / np.maximum(path, 1e-6), 0).astype(np.float32)
    z, y, x = grid.axes()
    v, u = detector_axes(grid, geometry)
    result = hu.copy()
    for index, magnification in enumerate(geometry.magnification(y)):
        along = interpolation(z * magnification, v) @ share @ interpolation(x * magnification, u).T
        plane = hu[:, index] + np.where(body[:, index], np.clip(along, -MOST, MOST), 0)
        result[:, index] = np.rint(np.clip(plane, -1000, 3000)).astype(np.int16)
    return result
