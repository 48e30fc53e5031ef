"""Projection guidance: the residual between X-ray and projection, back-projected while a sample is drawn.

An iteration of SART (Andersen and Kak 1984) with a single view, on the CT predicted at a step. The residual of a ray is
distributed evenly over the body, so it changes nothing about depth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from deeprecon.ctpa.autoencoder.tiling import decode_tiled, encode_tiled
from deeprecon.ctpa.diffusion.model import Model
from deeprecon.ctpa.diffusion.processes import Correct
from deeprecon.ctpa.grid import Grid, Hu
from deeprecon.ctpa.observe.body import body_mask
from deeprecon.ctpa.observe.projection import (
    Geometry,
    Image,
    detector_axes,
    fit_gain_offset,
    interpolation,
    line_integrals,
)

Mask = npt.NDArray[np.bool_]

CORRECTION_TIMES = (0.5, 0.35, 0.2, 0.1)
"""Times at which a sample is corrected, once each: before the first there is no chest, after the last only detail."""
MAX_CHANGE = 150.0
"""Maximum change of a voxel in HU."""
MIN_PATH = 20.0
"""Minimum path of a ray through the body in mm, for its residual to be used."""
LEVEL, TILE = 1, 16
"""Finest levels of the autoencoder that are left out, and latent voxels of a tile."""


def projection_correction(model: Model, xray: Image, covered: Mask, grid: Grid, geometry: Geometry) -> Correct:
    """For `processes.sample`: corrects the data predicted at `CORRECTION_TIMES`.

    Args:
        model: see there.
        xray: on the detector of the grid, as the model takes it.
        covered: its pixels within the film.
        grid: of a decoded volume without the `LEVEL` finest levels.
        geometry: of the X-ray.
    """
    remaining = list(CORRECTION_TIMES)

    def correct(data: Tensor, now: float) -> Tensor:
        if not remaining or now > remaining[0]:
            return data
        while remaining and now <= remaining[0]:
            remaining.pop(0)
        weight = next(model.autoencoder.parameters())
        latent = model.to_latent(data.to(model.latent_scale))[0].to(weight)
        size = (TILE, TILE, TILE)
        hu = decode_tiled(model.autoencoder, latent, size, coarser=LEVEL)
        changed = sart_step(hu, xray, covered, grid, geometry)
        step = encode_tiled(model.autoencoder, changed, size, LEVEL) - encode_tiled(model.autoencoder, hu, size, LEVEL)
        return model.to_data((latent + step)[None].float()).to(data)

    return correct


def sart_step(hu: Hu, xray: Image, covered: Mask, grid: Grid, geometry: Geometry) -> Hu:
    """One SART iteration towards an X-ray of unknown gain and offset.

    Args:
        hu: (k, j, i) on the grid.
        xray: (rows towards the head, columns to the left) on `projection.detector_axes`.
        covered: pixels within the film.
        grid, geometry: see there.
    """
    body = body_mask(hu)
    projected = line_integrals(hu, grid, geometry)
    path = line_integrals(np.where(body, 0, -1000), grid, geometry)  # of water in place of the body
    gain, offset = fit_gain_offset(projected[covered], xray[covered])
    if gain <= 0:  # no correlation yet
        return hu
    residual = (xray - offset) / gain - projected
    inside = covered & (path > 0.02 * MIN_PATH)
    share = np.where(inside, 1000 * residual / np.maximum(path, 1e-6), 0).astype(np.float32)
    z, y, x = grid.axes()
    v, u = detector_axes(grid, geometry)
    result = hu.copy()
    for index, magnification in enumerate(geometry.magnification(y)):
        along = interpolation(z * magnification, v) @ share @ interpolation(x * magnification, u).T
        plane = hu[:, index] + np.where(body[:, index], np.clip(along, -MAX_CHANGE, MAX_CHANGE), 0)
        result[:, index] = np.rint(np.clip(plane, -1000, 3000)).astype(np.int16)
    return result
