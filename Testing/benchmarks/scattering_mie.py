"""Exact fields of one homogeneous cylinder or ball by separation of variables (Mie series), for tests and benchmarks.

With u = u_i + sum of outgoing waves, continuity of the field and of its normal derivative at the surface gives each
coefficient: Bohren and Huffman 1983, chapters 4 and 8, for a scalar field. The contrast is q = n^2 - 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

Array = np.ndarray[Any, Any]


def cylinder_field(k: float, radius: float, contrast: float, sources: Array, receivers: Array, center: Array) -> Array:
    """(V, R) field that a cylinder scatters from unit line sources (V, 2) to receivers (R, 2), all outside of it."""
    n = np.arange(-_terms(k, radius, contrast), _terms(k, radius, contrast) + 1)
    c = _cylinder_coefficients(n, k, radius, contrast)
    (r0, t0), (r, t) = _polar(sources - center), _polar(receivers - center)
    apart = np.exp(1j * n * (t[None, :, None] - t0[:, None, None]))
    return 0.25j * np.asarray(
        (c * special.hankel1(n, k * r0[:, None, None]) * special.hankel1(n, k * r[None, :, None]) * apart).sum(-1)
    )


def cylinder_far_field(k: float, radius: float, contrast: float, travel: Array, seen: Array, center: Array) -> Array:
    """(V, R) far field of plane waves with directions of travel (V, 2), observed in directions (R, 2)."""
    n = np.arange(-_terms(k, radius, contrast), _terms(k, radius, contrast) + 1)
    c = _cylinder_coefficients(n, k, radius, contrast)
    (_, t0), (_, t) = _polar(travel), _polar(seen)
    waves = (c * np.exp(1j * n * (t[None, :, None] - t0[:, None, None]))).sum(-1)
    shift = np.exp(1j * k * (travel @ center)[:, None] - 1j * k * (seen @ center)[None])
    return np.sqrt(2 / (np.pi * k)) * np.exp(-0.25j * np.pi) * np.asarray(waves) * shift


def ball_field(k: float, radius: float, contrast: float, sources: Array, receivers: Array, center: Array) -> Array:
    """(V, R) field that a ball scatters from unit point sources (V, 3) to receivers (R, 3), all outside of it."""
    n = np.arange(_terms(k, radius, contrast) + 1)
    inner = k * np.sqrt(1 + contrast)
    j, dj = special.spherical_jn(n, k * radius), special.spherical_jn(n, k * radius, True)
    j1, dj1 = special.spherical_jn(n, inner * radius), special.spherical_jn(n, inner * radius, True)
    h, dh = _hankel(n, k * radius), _hankel(n, k * radius, True)
    c = (inner * j * dj1 - k * dj * j1) / (k * dh * j1 - inner * h * dj1)
    a, b = sources - center, receivers - center
    r0, r = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    cosine = np.clip((a / r0[:, None]) @ (b / r[:, None]).T, -1, 1)
    parts = c * (2 * n + 1) * _hankel(n, k * r0[:, None, None]) * _hankel(n, k * r[None, :, None])
    return 1j * k / (4 * np.pi) * np.asarray((parts * special.eval_legendre(n, cosine[..., None])).sum(-1))


def _terms(k: float, radius: float, contrast: float) -> int:
    return int(np.ceil(k * radius * max(1.0, np.sqrt(1 + contrast)))) + 15


def _cylinder_coefficients(n: Array, k: float, radius: float, contrast: float) -> Array:
    inner = k * np.sqrt(1 + contrast)
    j, dj, j1, dj1 = (f(n, x * radius) for x in (k, inner) for f in (special.jv, special.jvp))
    h, dh = special.hankel1(n, k * radius), special.h1vp(n, k * radius)
    return np.asarray((inner * j * dj1 - k * dj * j1) / (k * dh * j1 - inner * h * dj1))


def _hankel(n: Array, x: Any, derivative: bool = False) -> Array:
    return np.asarray(special.spherical_jn(n, x, derivative) + 1j * special.spherical_yn(n, x, derivative))


def _polar(points: Array) -> tuple[Array, Array]:
    return np.linalg.norm(points, axis=1), np.arctan2(points[:, 1], points[:, 0])
