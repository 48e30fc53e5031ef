"""The far field of discs without discretization error: T-matrices and Graf's addition theorem.

Conventions of this package: Laplace(u) + k^2 (1 + q) u = 0, incident plane waves exp(ik d.x), and the far field u_inf
of the scattered wave u_s ~ exp(ikr) / sqrt(r) u_inf(x/r; d) (Colton and Kress 2013, section 3.5).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from deeprecon.data.errors import InputError
from deeprecon.scattering.physics.scene import Ellipse, Scene, are_separate_discs

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

_EXTRA_ORDERS = 16
"""Orders beyond k times radius, where the terms of the series decay faster than exponentially."""


def disc_far_field(k: float, scene: Scene, observation: Floats, incidence: Floats) -> npt.NDArray[np.complex128]:
    """Far field of discs.

    Args:
        k: wave number times the length unit.
        scene: discs that do not touch; contrasts above -1.
        observation, incidence: (No,) and (Ni,) angles of x/r and d in radians.

    Returns:
        (No, Ni).

    Raises:
        InputError: shapes that are not discs, or that overlap.
    """
    if not are_separate_discs(scene) or any(shape.contrast <= -1 for shape in scene):
        raise InputError(
            "The exact solver needs discs that do not touch, of contrasts above -1.",
            "Use the Lippmann-Schwinger solver for other scenes.",
        )
    orders = [_disc_orders(k, shape) for shape in scene]
    ends = np.cumsum([len(p) for p in orders])
    parts = [slice(end - len(p), end) for end, p in zip(ends, orders, strict=True)]
    outgoing = _outgoing_waves(k, scene, orders, parts, incidence)
    result = np.zeros((len(observation), len(incidence)), complex)
    for shape, p, part in zip(scene, orders, parts, strict=True):
        phase = np.exp(-1j * k * (np.cos(observation) * shape.x + np.sin(observation) * shape.y))[:, None]
        result += phase * ((-1j) ** p * np.exp(1j * np.outer(observation, p))) @ outgoing[part]
    return np.asarray(math.sqrt(2 / (math.pi * k)) * np.exp(-0.25j * math.pi) * result)


def _disc_orders(k: float, shape: Ellipse) -> npt.NDArray[np.int64]:
    """(M,) angular orders of the waves that a disc scatters."""
    largest = math.ceil(k * shape.a * max(1.0, math.sqrt(1 + shape.contrast))) + _EXTRA_ORDERS
    return np.arange(-largest, largest + 1)


def _outgoing_waves(
    k: float, scene: Scene, orders: list[npt.NDArray[np.int64]], parts: list[slice], incidence: Floats
) -> Complex:
    """(M, Ni) amplitudes of the outgoing waves of all discs, about their own centers, for each incident plane wave.

    Each disc scatters the incident wave and the outgoing waves of the other discs, which Graf's addition theorem
    expands about its center.
    """
    # Outgoing waves of high order are huge near a disc and their amplitudes tiny; scaled by their size at the rim, the
    # system is well conditioned.
    scale = np.concatenate([1 / np.abs(special.hankel1(p, k * e.a)) for p, e in zip(orders, scene, strict=True)])
    system, incident = np.eye(len(scale), dtype=complex), np.zeros((len(scale), len(incidence)), complex)
    for one, p, part in zip(scene, orders, parts, strict=True):
        t = _t_matrix(k, one.contrast, one.a, p)[:, None]
        phase = np.exp(1j * k * (np.cos(incidence) * one.x + np.sin(incidence) * one.y))
        incident[part] = t * 1j ** p[:, None] * np.exp(-1j * np.outer(p, incidence)) * phase
        for other, m, columns in zip(scene, orders, parts, strict=True):
            if other is one:
                continue
            distance, angle = math.hypot(one.x - other.x, one.y - other.y), math.atan2(one.y - other.y, one.x - other.x)
            span = np.arange(m[0] - p[-1], m[-1] - p[0] + 1)
            waves = special.hankel1(span, k * distance) * np.exp(1j * span * angle)
            system[part, columns] = -t * waves[m[None] - p[:, None] - span[0]]
    return np.asarray(scale[:, None] * np.linalg.solve(system * scale / scale[:, None], incident / scale[:, None]))


def _t_matrix(k: float, contrast: float, radius: float, orders: npt.NDArray[np.int64]) -> Complex:
    """(M,) ratio of outgoing to incident wave of each order, from continuity of u and du/dr at the rim."""
    inner = k * math.sqrt(1 + contrast)
    j, dj = special.jv(orders, k * radius), special.jvp(orders, k * radius)
    j_in, dj_in = special.jv(orders, inner * radius), special.jvp(orders, inner * radius)
    h, dh = special.hankel1(orders, k * radius), special.h1vp(orders, k * radius)
    ratio: Complex = -(k * dj * j_in - inner * j * dj_in) / (k * dh * j_in - inner * h * dj_in)
    return ratio
