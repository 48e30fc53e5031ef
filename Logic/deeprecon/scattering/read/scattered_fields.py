"""Scattered fields that were measured by any arrangement of sources and receivers, at one or several frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.scattering.physics.arrangement import Arrangement

Complex = npt.NDArray[np.complexfloating[Any, Any]]

SPEED_OF_LIGHT = 299_792_458.0
"""In a vacuum, m/s."""


@dataclass(frozen=True, eq=False)
class Band:
    """The fields of one frequency, time convention exp(-iwt).

    Attributes:
        frequency: in Hz.
        scattered: (V, R) scattered field per unit strength of the source (see `Arrangement`) once calibrated.
        incident: (V, R) field without the object, in the same unit as `scattered` before calibration; None if not
            measured.
        used: (V, R) False where nothing valid was measured.
    """

    frequency: float
    scattered: npt.NDArray[np.complex128]
    incident: npt.NDArray[np.complex128] | None
    used: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ScatteredFields:
    """Fields of one object.

    Attributes:
        arrangement: of the sources and receivers, the same for all frequencies.
        bands: in ascending order of frequency.
        speed: of waves in the background, m/s.
        calibrated: fields are per unit strength of the source, so that no incident field is needed.
        center: (d,) of the region in which the object lies, in m; None if not known.
        side: of that square or cube, in m; None if not known.
        plane_to_ras: (4, 4) from (x mm, y mm, z mm, 1) of the sources' coordinates to RAS mm.
        name: of the file, for messages.
        notes: what is assumed, for the user.
        doubts: contradictions that reading has found.
    """

    arrangement: Arrangement
    bands: tuple[Band, ...]
    speed: float = SPEED_OF_LIGHT
    calibrated: bool = False
    center: npt.NDArray[np.float64] | None = None
    side: float | None = None
    plane_to_ras: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    name: str = "data"
    notes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    def k(self, band: Band) -> float:
        """Wave number of a band in the background, rad/m."""
        return 2 * math.pi * band.frequency / self.speed

    def with_bands(self, bands: tuple[Band, ...]) -> ScatteredFields:
        """The same arrangement with other bands."""
        return replace(self, bands=bands)

    def with_noise(self, share: float, seed: int) -> ScatteredFields:
        """A copy with additive complex normal noise, `share` of the root mean square of each band's scattered field."""
        rng = np.random.default_rng(seed)
        bands = []
        for band in self.bands:
            size = math.sqrt(float((np.abs(band.scattered[band.used]) ** 2).mean()))
            parts = rng.standard_normal((2, *band.scattered.shape)) / math.sqrt(2)
            bands.append(replace(band, scattered=band.scattered + share * size * (parts[0] + 1j * parts[1])))
        return self.with_bands(tuple(bands))


def check_fields(fields: ScatteredFields) -> None:
    """Check shapes and positions that every reader and writer relies on.

    Raises:
        InputError: arrays that do not fit each other, no finite positions, or no bands.
    """
    source, receiver = fields.arrangement.source, fields.arrangement.receiver
    hint = "See the layout of files in the documentation of scattering."
    if source.ndim != 2 or source.shape[1] not in (2, 3) or not len(source):
        raise InputError(f"{fields.name}: source is {source.shape}, expected (views, 2) or (views, 3).", hint)
    if receiver.ndim != 3 or receiver.shape[0] != len(source) or receiver.shape[2] != source.shape[1]:
        expected = f"({len(source)}, receivers, {source.shape[1]})"
        raise InputError(f"{fields.name}: receiver is {receiver.shape}, expected {expected}.", hint)
    for name, vectors, directions in (
        ("source", source, fields.arrangement.plane_waves),
        ("receiver", receiver, fields.arrangement.far_field),
    ):
        if not np.isfinite(vectors).all():
            raise InputError(f"{fields.name}: {name} holds values that are not finite.", hint)
        length = np.linalg.norm(vectors, axis=-1)
        if directions and np.abs(length - 1).max() > 1e-3:
            raise InputError(
                f"{fields.name}: {name} holds directions, whose length must be 1; it is up to {length.max():.3g}.",
                "Give unit vectors, or state that these are positions.",
            )
    if not fields.bands:
        raise InputError(f"{fields.name} holds no frequencies.", hint)
    for band in fields.bands:
        _check_band(fields, band, receiver.shape[:2])


def _check_band(fields: ScatteredFields, band: Band, shape: tuple[int, ...]) -> None:
    where = f"{fields.name} at {band.frequency:.6g} Hz"
    for name, values in (("scattered", band.scattered), ("incident", band.incident), ("used", band.used)):
        if values is not None and values.shape != shape:
            raise InputError(f"{where}: {name} is {values.shape}, expected {shape}.", "One value for each receiver.")
    if not band.frequency > 0 or not math.isfinite(band.frequency):
        raise InputError(f"{where}: expected a positive frequency.", "Give frequencies in Hz.")
    if not band.used.any() or not np.abs(band.scattered[band.used]).max() > 0:
        raise InputError(f"{where}: the scattered field is 0 everywhere.", "Give fields of an object that scatters.")
    if not np.isfinite(band.scattered[band.used]).all():
        raise InputError(f"{where}: the scattered field holds values that are not finite.", "Mark them as not used.")
