"""Simulated far fields of random phantoms and of slices of volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.jobs.run import Run, Stopped
from deeprecon.scattering.parameters import Family, PhantomParameters
from deeprecon.scattering.physics.directions import (
    directions,
    max_angular_order,
    required_directions,
    resample_directions,
)
from deeprecon.scattering.physics.discs import disc_far_field
from deeprecon.scattering.physics.image_grids import pixel_centers, required_pixels, to_polar
from deeprecon.scattering.physics.scene import are_separate_discs, rasterize_polar, rasterize_square
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.read.sound_speed import RegionSlices
from deeprecon.scattering.simulate.families import FAMILIES

if TYPE_CHECKING:
    from deeprecon.scattering.physics.volume_integral import VolumeIntegral

Floats = npt.NDArray[np.floating[Any]]


def simulate_phantoms(parameters: PhantomParameters, run: Run) -> FarFieldData:
    """Random objects and their far fields: discs by T-matrices, other shapes by the Lippmann-Schwinger equation.

    An object depends only on the seed and its index, so that a larger count starts with the same objects.

    Raises:
        Stopped: on request.
    """
    k, n = parameters.k, parameters.angles or required_directions(parameters.k)
    axis, theta = pixel_centers(parameters.grid), directions(n)
    solver = None
    if parameters.family is not Family.DISCS:
        solver = _solver(k, pixel_centers(required_pixels(k, parameters.contrast_max, parameters.grid)), run)
    rows: list[tuple[Floats, ...]] = []
    for number in range(parameters.count):
        if run.should_stop():
            raise Stopped
        rng = np.random.default_rng([run.seed, number])
        scene = FAMILIES[parameters.family.value](rng, (parameters.contrast_min, parameters.contrast_max))
        if solver is None or are_separate_discs(scene):
            found = disc_far_field(k, scene, theta, theta)
        else:
            found = _solved(solver, rasterize_square(scene, solver.axis), theta)
        rows.append(
            (
                found.astype(np.complex64),
                rasterize_square(scene, axis).astype(np.float32),
                rasterize_polar(scene, n, parameters.rings).astype(np.float32),
            )
        )
        if number % 16 == 15:
            run.reporter.progress((number + 1) / parameters.count)
    measured, square, polar = (np.stack(part) for part in zip(*rows, strict=True))
    simulated = FarFieldData(measured, k, square, axis, polar, name="phantom")
    return _add_noise(simulated, parameters.noise, parameters.relative_noise, run.seed)


def simulate_slices(region: RegionSlices, k: float, angles: int, rings: int, noise: float, run: Run) -> FarFieldData:
    """Far fields of slices, by the Lippmann-Schwinger equation.

    Args:
        region: contrast of the slices.
        k: wave number times its radius.
        angles: directions; 0 for as many as k needs.
        rings: of the true polar images.
        noise: additive, % of the root mean square.
        run: device and reporter.

    Raises:
        InputError: the wave equation cannot be solved for this contrast.
        Stopped: on request.
    """
    n = angles or required_directions(k)
    axis, theta = pixel_centers(region.contrast.shape[-1]), directions(n)
    solver = _solver(k, axis, run)
    found = []
    for number, contrast in enumerate(region.contrast):
        if run.should_stop():
            raise Stopped
        found.append(_solved(solver, contrast, theta).astype(np.complex64))
        run.reporter.progress((number + 1) / len(region.contrast))
    polar = to_polar(region.contrast, axis, n, rings).astype(np.float32)
    simulated = FarFieldData(
        np.stack(found), k, region.contrast.astype(np.float32), axis, polar, region.geometry, name="slices"
    )
    return _add_noise(simulated, noise, 0.0, run.seed)


def _solver(k: float, axis: Floats, run: Run) -> VolumeIntegral:
    from deeprecon.scattering.physics.volume_integral import VolumeIntegral

    return VolumeIntegral(k, axis, run.device)


def _solved(solver: VolumeIntegral, contrast: Floats, theta: Floats) -> npt.NDArray[np.complex128]:
    """Far field on the directions `theta`; no more incident waves are solved for than its orders need."""
    enough = min(len(theta), 2 * max_angular_order(solver.k) + 2)
    few = solver.far_field(contrast, theta, directions(enough))
    return np.asarray(resample_directions(few, (0.0, 0.0), len(theta)), np.complex128)


def _add_noise(data: FarFieldData, additive: float, multiplicative: float, seed: int) -> FarFieldData:
    if not additive and not multiplicative:
        return data
    return data.with_noise(additive / 100, multiplicative / 100, seed)
