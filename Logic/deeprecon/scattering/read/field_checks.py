"""Contradictions within measured fields: time convention, wave number, reciprocity, receivers that do not measure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.scattering.physics.calibration import phase_coherence, source_strengths
from deeprecon.scattering.physics.region import Region
from deeprecon.scattering.read.scattered_fields import ScatteredFields

_DEAD = 1e-3
"""Amplitude relative to that of the other receivers below which nothing was measured."""
_MIN_COHERENCE, _MIN_GAIN = 0.5, 0.2
"""Of another time convention or wave number, and beyond that of the stated one, to be believed."""
_WAVE_NUMBERS = np.exp(np.linspace(-0.3, 0.3, 61))
"""Wave numbers that are compared, relative to the stated one."""
_MIN_WAVE_NUMBER_ERROR = 0.05
_MAX_RECIPROCITY_DEFECT = 0.7
_MIN_PAIRS = 6


def with_doubts(fields: ScatteredFields) -> ScatteredFields:
    """Fields without receivers that do not measure, and with the doubts about all others."""
    fields = _without_dead_receivers(fields)
    return replace(fields, doubts=(*fields.doubts, *_phase_doubts(fields), *_reciprocity_doubts(fields)))


def check_region(fields: ScatteredFields, region: Region) -> None:
    """Whether sources and receivers surround the region, and the units are plausible.

    Raises:
        InputError: sources or receivers in the region, or a region that is far too small or large for the wave length.
    """
    for name, positions, infinite in (
        ("source", fields.arrangement.source, fields.arrangement.plane_waves),
        ("receiver", fields.arrangement.receiver, fields.arrangement.far_field),
    ):
        inside = np.abs(positions - region.center).max(axis=-1) <= region.side / 2
        if not infinite and inside.any():
            count = len(np.unique(positions[inside].round(9), axis=0))
            raise InputError(
                f"{fields.name}: {count} {name}{'s lie' if count > 1 else ' lies'} inside of the region of "
                f"{1e3 * region.side:.4g} mm, in which the object is.",
                "Give a smaller --side, or the right unit of length.",
            )
    lengths = [region.side * band.frequency / fields.speed for band in fields.bands]
    if min(lengths) < 0.02 or max(lengths) > 200:
        raise InputError(
            f"{fields.name}: the region of {1e3 * region.side:.4g} mm has {min(lengths):.3g} to {max(lengths):.3g} "
            "wave lengths, which are no measurement.",
            "Give frequencies in Hz, lengths and the speed in the units that the file states.",
        )


def _without_dead_receivers(fields: ScatteredFields) -> ScatteredFields:
    """Leave out receivers that measure nothing, or the same number, in all views and at all frequencies."""
    places, number = fields.arrangement.distinct_receivers()
    values = np.stack([band.scattered + (0 if band.incident is None else band.incident) for band in fields.bands])
    used = np.stack([band.used for band in fields.bands])
    usual = np.array([np.median(np.abs(v[u])) for v, u in zip(values, used, strict=True)])
    relative = np.where(used, np.abs(values) / np.where(usual > 0, usual, 1)[:, None, None], np.nan)
    dead = []
    for index in range(len(places)):
        own = used & (number == index)
        if own.any() and (np.median(relative[own]) < _DEAD or _stuck(values[own])):
            dead.append(index)
    if not dead or len(dead) == len(places):
        return fields
    mask = ~np.isin(number, dead)
    bands = tuple(replace(band, used=band.used & mask) for band in fields.bands)
    shown = ", ".join(f"({', '.join(f'{value:.4g}' for value in places[index])})" for index in dead[:3])
    text = (
        f"{len(dead)} of {len(places)} receivers measure nothing or always the same, and are left out: those at "
        f"{shown}{' and others' if len(dead) > 3 else ''} (m, or a direction)."
    )
    doubt = Doubt("receiver-dead", fields.name, text, "Repair or leave out the receiver.", assumed=True)
    return replace(fields, bands=bands, doubts=(*fields.doubts, doubt))


def _stuck(values: npt.NDArray[np.complex128]) -> bool:
    return len(values) > 2 and float(np.abs(values - values[0]).max()) <= 1e-9 * float(np.abs(values[0]))


def _phase_doubts(fields: ScatteredFields) -> tuple[Doubt, ...]:
    """Whether the phases of the incident fields follow the distance only with another convention or wave number."""
    bands = [(band, band.incident) for band in fields.bands if band.incident is not None]
    if not bands or fields.arrangement.far_field:
        return ()
    center = np.zeros(fields.arrangement.dimension) if fields.center is None else fields.center

    def coherence(ratio: float, conjugate: bool = False) -> float:
        values = [
            phase_coherence(
                fields.arrangement,
                ratio * fields.k(band),
                center,
                incident.conj() if conjugate else incident,
                band.used,
            )
            for band, incident in bands
        ]
        return float(np.mean(values))

    given = coherence(1.0)
    conjugate = coherence(1.0, conjugate=True)
    if conjugate > max(_MIN_COHERENCE, given + _MIN_GAIN):
        text = (
            "The phases of the incident fields follow the distance from the sources with the opposite time convention: "
            f"their coherence is {conjugate:.2f} then, {given:.2f} as stated."
        )
        way_out = "State the right time_convention, or take the complex conjugate of all fields."
        return (Doubt("time-convention-doubtful", fields.name, text, way_out),)
    values = [coherence(float(ratio)) for ratio in _WAVE_NUMBERS]
    best = int(np.argmax(values))
    ratio = float(_WAVE_NUMBERS[best])
    if values[best] > max(_MIN_COHERENCE, given + _MIN_GAIN) and abs(ratio - 1) > _MIN_WAVE_NUMBER_ERROR:
        text = (
            f"The phases of the incident fields follow the distance from the sources at {ratio:.2f} times the stated "
            f"wave number: their coherence is {values[best]:.2f} then, {given:.2f} as stated."
        )
        way_out = "State the right frequencies, speed, and unit of length."
        return (Doubt("wave-number-doubtful", fields.name, text, way_out),)
    return ()


def _reciprocity_doubts(fields: ScatteredFields) -> tuple[Doubt, ...]:
    """Whether fields between two places, each once the source, are equal; for sources at places of receivers."""
    a = fields.arrangement
    if a.plane_waves or a.far_field or fields.center is None:
        return ()
    near = np.linalg.norm(a.receiver[:, :, None] - a.source[None, None], axis=-1) < 1e-4 * np.abs(a.source).max()
    where = {(v, w): r for v, r, w in np.argwhere(near)}
    pairs = [(v, w) for v, w in where if v < w and (w, v) in where]
    difference, size, count = 0.0, 0.0, 0
    for band in fields.bands:
        strength = np.ones(len(a.source), complex)
        if not fields.calibrated and band.incident is not None:
            strength, _ = source_strengths(a, fields.k(band), fields.center, band.incident, band.used)
        for v, w in pairs:
            if band.used[v, where[v, w]] and band.used[w, where[w, v]] and strength[v] and strength[w]:
                one, other = band.scattered[v, where[v, w]] / strength[v], band.scattered[w, where[w, v]] / strength[w]
                difference += abs(one - other) ** 2
                size += (abs(one) ** 2 + abs(other) ** 2) / 2
                count += 1
    if count < _MIN_PAIRS or difference <= _MAX_RECIPROCITY_DEFECT**2 * size:
        return ()
    text = (
        f"Fields from one place to another and back differ by {100 * (difference / size) ** 0.5:.0f} % over {count} "
        "pairs of places: they are not reciprocal."
    )
    way_out = "State the right places of sources and receivers, such as the sense in which their numbers run."
    return (Doubt("not-reciprocal", fields.name, text, way_out),)
