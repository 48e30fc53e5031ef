"""The far field of discs without discretization error: T-matrix and Graf's addition theorem.

Conventions of the whole method: Lap u + k^2 (1 + q) u = 0, incident plane waves exp(ik d.x), and the far field u_inf
of the scattered wave u_s ~ exp(ikr) / sqrt(r) u_inf(x/r; d) (Colton and Kress 2013, section 3.5).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.scattering.optional import optional
from deeprecon.scattering.simulate.scenes import Scene, is_discs

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

_EXTRA_ORDERS = 16
"""Orders beyond k times radius; the terms fall faster than exponentially there."""


def directions(n: int) -> npt.NDArray[np.float64]:
    """(n,) angles in radians, uniform from 0, without the end point that would repeat the first."""
    return np.asarray(2 * np.pi / n * np.arange(n))


def far_field(k: float, scene: Scene, observation: Floats, incidence: Floats) -> npt.NDArray[np.complex128]:
    """Far field of discs.

    Args:
        k: wave number times the length unit.
        scene: discs that do not touch; contrasts above -1.
        observation, incidence: (No,) and (Ni,) angles of x/r and d in radians.

    Returns:
        (No, Ni).

    Raises:
        InputError: shapes that are no discs, or that overlap.
    """
    if not is_discs(scene) or any(shape.contrast <= -1 for shape in scene):
        raise InputError(
            "The exact solver knows discs that do not touch, of contrasts above -1.",
            "Use the Lippmann-Schwinger solver for other scenes.",
        )
    special = optional("scipy.special")
    reach = [math.ceil(k * e.a * max(1.0, math.sqrt(1 + e.contrast))) + _EXTRA_ORDERS for e in scene]
    orders = [np.arange(-m, m + 1) for m in reach]
    start = np.concatenate([[0], np.cumsum([len(m) for m in orders])])
    parts = [slice(start[i], start[i + 1]) for i in range(len(scene))]
    # Outgoing waves of high order are huge near a disc and their weights tiny; scaled by their size at the rim the
    # system is well conditioned.
    scale = np.concatenate([1 / np.abs(special.hankel1(p, k * e.a)) for p, e in zip(orders, scene, strict=True)])
    system, given = np.eye(start[-1], dtype=complex), np.zeros((start[-1], len(incidence)), complex)
    for one, p, part in zip(scene, orders, parts, strict=True):
        t = _t_matrix(special, k, one.contrast, one.a, p)[:, None]
        arriving = np.exp(1j * k * (np.cos(incidence) * one.x + np.sin(incidence) * one.y))
        given[part] = t * 1j ** p[:, None] * np.exp(-1j * np.outer(p, incidence)) * arriving
        for other, m, there in zip(scene, orders, parts, strict=True):
            if other is one:
                continue
            distance, angle = math.hypot(one.x - other.x, one.y - other.y), math.atan2(one.y - other.y, one.x - other.x)
            span = np.arange(m[0] - p[-1], m[-1] - p[0] + 1)
            waves = special.hankel1(span, k * distance) * np.exp(1j * span * angle)
            system[part, there] = -t * waves[m[None] - p[:, None] - span[0]]
    outgoing = scale[:, None] * np.linalg.solve(system * scale / scale[:, None], given / scale[:, None])
    result = np.zeros((len(observation), len(incidence)), complex)
    for one, p, part in zip(scene, orders, parts, strict=True):
        leaving = np.exp(-1j * k * (np.cos(observation) * one.x + np.sin(observation) * one.y))[:, None]
        result += leaving * ((-1j) ** p * np.exp(1j * np.outer(observation, p))) @ outgoing[part]
    return np.asarray(math.sqrt(2 / (math.pi * k)) * np.exp(-0.25j * math.pi) * result)


def _t_matrix(special: Any, k: float, contrast: float, radius: float, orders: npt.NDArray[np.int64]) -> Complex:
    """(M,) ratio of outgoing to incident wave of each order, from continuity of u and du/dr at the rim."""
    inner = k * math.sqrt(1 + contrast)
    j, dj = special.jv(orders, k * radius), special.jvp(orders, k * radius)
    j_in, dj_in = special.jv(orders, inner * radius), special.jvp(orders, inner * radius)
    h, dh = special.hankel1(orders, k * radius), special.h1vp(orders, k * radius)
    ratio: Complex = -(k * dj * j_in - inner * j * dj_in) / (k * dh * j_in - inner * h * dj_in)
    return ratio
