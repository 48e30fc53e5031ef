"""Measurements made by computing: phantoms, and slices of volumes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.jobs.run import Run, Stopped
from deeprecon.scattering.parameters import Family, PhantomParameters
from deeprecon.scattering.physics.coordinates import cell_axis, directions_needed, to_polar
from deeprecon.scattering.physics.discs import directions, far_field
from deeprecon.scattering.read.measurements import Measurements
from deeprecon.scattering.read.tissue import Region
from deeprecon.scattering.simulate.scenes import FAMILIES, on_polar, on_square

if TYPE_CHECKING:
    from deeprecon.scattering.physics.volume_integral import VolumeIntegral

Floats = npt.NDArray[np.floating[Any]]


def pixels_needed(k: float, largest_contrast: float, least: int = 64) -> int:
    """Pixels along a side of the unit square for about 12 in a wavelength, where it is shortest."""
    return max(least, 16 * math.ceil(12 * k * math.sqrt(1 + max(largest_contrast, 0.0)) / math.pi / 16))


def simulate_phantoms(parameters: PhantomParameters, run: Run) -> Measurements:
    """Random objects and their far fields: of discs without discretization error, of others by Lippmann-Schwinger.

    The objects depend on the seed and their number alone: a larger count begins with the same.

    Raises:
        Stopped: on request.
    """
    k, n = parameters.k, parameters.angles or directions_needed(parameters.k)
    axis, theta = cell_axis(parameters.grid), directions(n)
    solver = None
    if parameters.family is not Family.DISCS:
        solver = _solver(k, cell_axis(pixels_needed(k, parameters.contrast_max, parameters.grid)), run)
    rows: list[tuple[Floats, ...]] = []
    for number in range(parameters.count):
        if run.should_stop():
            raise Stopped
        rng = np.random.default_rng([run.seed, number])
        scene = FAMILIES[parameters.family.value](rng, (parameters.contrast_min, parameters.contrast_max))
        if solver is None:
            found = far_field(k, scene, theta, theta)
        else:
            found = solver.far_field(on_square(scene, solver.axis), theta, theta)
        rows.append(
            (
                found.astype(np.complex64),
                on_square(scene, axis).astype(np.float32),
                on_polar(scene, n, parameters.rings).astype(np.float32),
            )
        )
        if number % 16 == 15:
            run.reporter.progress((number + 1) / parameters.count)
    measured, square, polar = (np.stack(part) for part in zip(*rows, strict=True))
    made = Measurements(measured, k, square, axis, polar, name="phantom")
    return _noisy(made, parameters.noise, parameters.relative_noise, run.seed)


def simulate_region(region: Region, k: float, angles: int, rings: int, noise: float, run: Run) -> Measurements:
    """Far fields of slices, by Lippmann-Schwinger.

    Args:
        region: what is measured.
        k: wave number times its radius.
        angles: directions; 0 for as many as k needs.
        rings: of the true polar images.
        noise: added, % of the root mean square.
        run: device and reporter.

    Raises:
        InputError: the wave equation cannot be solved for this contrast.
        Stopped: on request.
    """
    n = angles or directions_needed(k)
    axis, theta = cell_axis(region.contrast.shape[-1]), directions(n)
    solver = _solver(k, axis, run)
    found = []
    for number, contrast in enumerate(region.contrast):
        if run.should_stop():
            raise Stopped
        found.append(solver.far_field(contrast, theta, theta).astype(np.complex64))
        run.reporter.progress((number + 1) / len(region.contrast))
    polar = to_polar(region.contrast, axis, n, rings).astype(np.float32)
    made = Measurements(
        np.stack(found), k, region.contrast.astype(np.float32), axis, polar, region.geometry, name="slices"
    )
    return _noisy(made, noise, 0.0, run.seed)


def _solver(k: float, axis: Floats, run: Run) -> VolumeIntegral:
    from deeprecon.scattering.physics.volume_integral import VolumeIntegral

    return VolumeIntegral(k, axis, run.device)


def _noisy(made: Measurements, additive: float, multiplicative: float, seed: int) -> Measurements:
    if not additive and not multiplicative:
        return made
    return made.with_noise(additive / 100, multiplicative / 100, seed)
