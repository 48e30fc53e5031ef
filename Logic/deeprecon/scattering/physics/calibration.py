"""Strength of the sources from the field without an object, and the noise of scattered fields."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.physics.directions import max_angular_order

Complex = npt.NDArray[np.complexfloating[Any, Any]]
Bools = npt.NDArray[np.bool_]

_BEAM = math.radians(5.0)
"""Angle around the side opposite to the source in which antennas radiate like a line or point source."""
_MAIN_LOBE = math.radians(40.0)
_MIN_EXCESS = 1.5
"""Receivers for each multipole, of which noise can be told apart."""


def source_strengths(
    arrangement: Arrangement, k: float, center: npt.NDArray[np.float64], incident: Complex, used: Bools
) -> tuple[npt.NDArray[np.complex128], float]:
    """(V,) complex strengths of the sources by least squares, and the relative error of the fitted fields.

    Only the receivers opposite to each source count, as the beams of antennas are not those of line or point sources.

    Args:
        arrangement: receivers at positions.
        k: wave number, rad/m.
        center: (d,) of the region, in m.
        incident: (V, R) field without an object.
        used: (V, R) values that count.
    """
    angle = np.where(used, _angles_from_axis(arrangement, center), np.inf)
    beam = used & (angle <= np.maximum(_BEAM, angle.min(axis=1, keepdims=True)) + 1e-9)
    model, measured = np.where(beam, arrangement.direct(k), 0), np.where(beam, incident, 0)
    power = (np.abs(model) ** 2).sum(axis=1)
    strengths = (model.conj() * measured).sum(axis=1) / np.where(power > 0, power, 1)
    size = float(np.linalg.norm(measured))
    error = float(np.linalg.norm(strengths[:, None] * model - measured)) / size if size else 0.0
    return np.asarray(strengths, np.complex128), error


def phase_coherence(
    arrangement: Arrangement, k: float, center: npt.NDArray[np.float64], incident: Complex, used: Bools
) -> float:
    """How well the phases of incident fields follow the distance from the source: 1 exactly, near 0 not at all.

    The mean over the views of |sum d conj(e)| / sum |d| with the phase factors e of the modeled field, over receivers
    within 40 degrees of the way of the wave; arguments as `source_strengths`.
    """
    model = arrangement.direct(k)
    values = np.where(used & (_angles_from_axis(arrangement, center) <= _MAIN_LOBE), incident, 0)
    product = (values * (model / np.abs(model)).conj()).sum(axis=1)
    size = np.abs(values).sum(axis=1)
    return float((np.abs(product)[size > 0] / size[size > 0]).mean()) if (size > 0).any() else 0.0


def _angles_from_axis(arrangement: Arrangement, center: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(V, R) angles in radians between the receivers and the way of the wave, as seen from the center."""
    travel = arrangement.source if arrangement.plane_waves else center - arrangement.source
    travel = travel / np.linalg.norm(travel, axis=-1, keepdims=True)
    seen = arrangement.receiver - center
    seen = seen / np.linalg.norm(seen, axis=-1, keepdims=True)
    return np.asarray(np.arccos(np.clip(np.einsum("vd,vrd->vr", travel, seen), -1, 1)))


def noise_share(
    arrangement: Arrangement, k: float, center: npt.NDArray[np.float64], radius: float, scattered: Complex, used: Bools
) -> float | None:
    """Noise of scattered fields relative to their norm: the part that no object in the region can scatter.

    Outside of a circle around the region the field of each view is a sum of multipoles H_n(kr) exp(in theta), up to an
    order that the radius limits; what they do not fit is noise, of which they take their share. Errors that look like
    an object, such as those of positions, are not seen. None in three dimensions and where receivers are too few.

    Args:
        arrangement, k, scattered, used: as `source_strengths`.
        center: (2,) of the region, in m.
        radius: of a circle around the region, in m.
    """
    if arrangement.dimension != 2:
        return None
    order = max_angular_order(k * radius)
    n = np.arange(-order, order + 1)
    power, freedom, total, views = 0.0, 0, 0.0, 0
    for receivers, values, valid in zip(arrangement.receiver, scattered, used, strict=True):
        if valid.sum() < _MIN_EXCESS * len(n):
            continue
        basis = _multipoles(receivers[valid], center, k, n, arrangement.far_field)
        found, _, rank, _ = np.linalg.lstsq(basis, values[valid], rcond=1e-6)
        power += float((np.abs(basis @ found - values[valid]) ** 2).sum())
        freedom += int(valid.sum()) - int(rank)
        total += float((np.abs(values[valid]) ** 2).mean())
        views += 1
    return math.sqrt(power / freedom / (total / views)) if freedom and total else None


def _multipoles(
    receivers: npt.NDArray[np.float64], center: npt.NDArray[np.float64], k: float, n: npt.NDArray[Any], far: bool
) -> npt.NDArray[np.complex128]:
    """(R, orders) multipoles at the receivers, each scaled to 1 at the smallest distance."""
    place = receivers if far else receivers - center
    theta = np.arctan2(place[:, 1], place[:, 0])
    waves = np.exp(1j * n * theta[:, None])
    if far:
        return np.asarray(waves)
    radius = np.linalg.norm(place, axis=1)
    nearest = special.hankel1(n, k * radius.min())
    return np.asarray(waves * special.hankel1(n, k * radius[:, None]) / nearest)
