"""Random objects in the region of measured fields, and what their arrangement would measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.jobs.run import Run, Stopped
from deeprecon.scattering.physics.image_grids import subcell_offsets
from deeprecon.scattering.physics.region import Region

if TYPE_CHECKING:
    from deeprecon.scattering.fit.full_wave import Measured

Floats = npt.NDArray[np.floating[Any]]

_SUBPIXELS = 4
_RADIUS = (0.15, 0.4)
"""Of the balls, relative to half of the region's side."""
_MAX_COUNT = 3
_SPAN = 0.9
"""Balls stay within this share of the region."""


def random_balls(rng: np.random.Generator, region: Region, contrast: tuple[float, float]) -> npt.NDArray[np.float64]:
    """One to three discs or balls, `region.shape`; where they overlap, the last one counts.

    Args:
        rng: generator.
        region: two- or three-dimensional.
        contrast: smallest and largest, of each ball.
    """
    image = np.zeros(region.shape)
    for _ in range(int(rng.integers(1, _MAX_COUNT + 1))):
        radius = rng.uniform(*_RADIUS) * region.side / 2
        center = rng.uniform(-1, 1, region.dimension) * (_SPAN * region.side / 2 - radius)
        share = ball_share(region, center, radius)
        image = (1 - share) * image + share * rng.uniform(*contrast)
    return image


def ball_share(region: Region, center: Floats, radius: float) -> npt.NDArray[np.float64]:
    """Share of each pixel that lies in a disc or ball, `region.shape`, from 4 points along each axis.

    Args:
        region: two- or three-dimensional.
        center: (d,) x, y(, z) in m, relative to that of the region.
        radius: in m.
    """
    d, n = region.dimension, region.n
    line = (region.line()[:, None] + region.spacing * subcell_offsets(_SUBPIXELS)).ravel()
    squares = np.meshgrid(*[(line - middle) ** 2 for middle in center[::-1]], indexing="ij", sparse=True)
    inside = np.asarray(sum(squares) < radius**2).reshape(*[n, _SUBPIXELS] * d)
    return np.asarray(inside.mean(axis=tuple(range(1, 2 * d, 2))))


def simulate_objects(
    bands: Sequence[Measured], region: Region, count: int, contrast: tuple[float, float], noise: float, run: Run
) -> tuple[npt.NDArray[np.float32], list[tuple[Measured, ...]]]:
    """Random objects, (S, *region.shape), and their fields at each frequency, with noise.

    An object depends only on the seed and its number.

    Args:
        bands: whose models, used receivers and frequencies are taken.
        region: of the models.
        count: S.
        contrast: see `random_balls`.
        noise: relative to the root mean square of each frequency's field.
        run: seed and reporter.

    Raises:
        InputError: the wave equation cannot be solved for an object.
        Stopped: on request.
    """
    images, fields = [], []
    for number in range(count):
        if run.should_stop():
            raise Stopped
        rng = np.random.default_rng([run.seed, number])
        image = random_balls(rng, region, contrast)
        images.append(image.astype(np.float32))
        fields.append(tuple(_measure(band, image, noise, rng) for band in bands))
        run.reporter.progress((number + 1) / count)
    return np.stack(images), fields


def _measure(band: Measured, image: Floats, noise: float, rng: np.random.Generator) -> Measured:
    data = band.model.scattered(image)
    size = noise * float(np.sqrt((np.abs(data[band.used]) ** 2).mean() / 2))
    real, imaginary = rng.standard_normal((2, *data.shape))
    return replace(band, data=data + size * (real + 1j * imaginary), noise=noise)
