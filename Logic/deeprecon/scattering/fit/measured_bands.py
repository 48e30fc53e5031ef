"""What full-wave inversion fits: calibrated fields, their noise, and a model of each frequency."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.scattering.fit.full_wave import Measured
from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.physics.calibration import noise_share, source_strengths
from deeprecon.scattering.physics.directions import directions
from deeprecon.scattering.physics.forward_model import ForwardModel
from deeprecon.scattering.physics.region import Region
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.read.scattered_fields import ScatteredFields

MIN_PIXELS = 15.0
"""In the wavelength of the background, so that 8 are left in an object of contrast 2.5."""
_MAX_INCIDENCES = 16


def measured_bands(
    fields: ScatteredFields, region: Region, noise: float | None, device: str
) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    """The frequencies that the grid can represent, from low to high, and notes for the user.

    Args:
        fields: of one object.
        region: in which it lies.
        noise: relative to the norm of each frequency's scattered field; estimated from the fields if None.
        device: of torch.

    Raises:
        InputError: the grid is too coarse for all frequencies, or a source does not radiate.
    """
    kept = [band for band in fields.bands if fields.speed / band.frequency >= MIN_PIXELS * region.spacing]
    if not kept:
        needed = math.ceil(MIN_PIXELS * region.side * fields.bands[0].frequency / fields.speed)
        raise InputError(
            f"{fields.name}: {region.n} pixels along a side are too few for the lowest frequency.",
            f"Give --grid {needed} or more, or a smaller --side.",
        )
    notes = []
    if len(kept) < len(fields.bands):
        needed = math.ceil(MIN_PIXELS * region.side * fields.bands[-1].frequency / fields.speed)
        notes.append(
            f"Frequencies above {label(kept[-1].frequency)} are not used: pixels of {1e3 * region.spacing:.3g} mm are "
            f"too large for their waves (--grid {needed} uses all)."
        )
    made = []
    for band in kept:
        k, data = fields.k(band), band.scattered
        if not fields.calibrated and band.incident is not None:
            strength, _ = source_strengths(fields.arrangement, k, region.center, band.incident, band.used)
            if not np.abs(strength).min() > 1e-6 * np.abs(strength).max():
                view = int(np.abs(strength).argmin()) + 1
                raise InputError(
                    f"{fields.name}: the source of view {view} does not radiate at {label(band.frequency)}.",
                    "Leave out this view or frequency.",
                )
            data = data / strength[:, None]
        radius = region.side / math.sqrt(2)
        found = noise_share(fields.arrangement, k, region.center, radius, data, band.used) if noise is None else noise
        model = ForwardModel(k, fields.arrangement, region, device)
        made.append(Measured(label(band.frequency), model, data, band.used, found))
    if any(band.noise is None for band in made):
        notes.append("The noise is not known: the receivers are too few to tell (--noise); steps end without it.")
    return tuple(made), tuple(notes)


def label(frequency: float) -> str:
    """A frequency in words."""
    for unit, size in (("GHz", 1e9), ("MHz", 1e6), ("kHz", 1e3)):
        if frequency >= size:
            return f"{frequency / size:.4g} {unit}"
    return f"{frequency:.4g} Hz"


def far_field_band(
    measured: FarFieldData, index: int, region: Region, model: ForwardModel | None, device: str
) -> Measured:
    """One object of far fields, with at most 16 of its directions of incidence.

    Args:
        measured: far fields; the unit of length is the radius of their region.
        index: of the object.
        region: of side 2 around the origin.
        model: of an earlier object of the same data; made if None.
        device: of torch.
    """
    arrangement, chosen = _full_circle(measured.angles)
    data = measured.far_field[index][:, chosen].T.astype(np.complex128)
    used = np.ones(data.shape, bool)
    noise = noise_share(arrangement, measured.k, region.center, 1.0, data, used)
    model = model or ForwardModel(measured.k, arrangement, region, device, tolerance=1e-3)
    return Measured(f"k = {measured.k:g}", model, data, used, noise)


def _full_circle(n: int) -> tuple[Arrangement, npt.NDArray[np.int64]]:
    """Plane waves and far receivers on `directions(n)`, and which of the directions are those of incidence."""
    theta = directions(n)
    vectors = np.stack([np.cos(theta), np.sin(theta)], axis=-1)
    chosen = np.arange(0, n, max(1, n // _MAX_INCIDENCES))
    receivers = np.broadcast_to(vectors, (len(chosen), n, 2))
    return Arrangement(vectors[chosen], receivers, plane_waves=True, far_field=True), chosen
