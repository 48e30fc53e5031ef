"""Coordinates of the ventricles' wall from Laplace's equation: apicobasal, transmural, rotational, transventricular."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.numerics.tetrahedra import Tetrahedra, solve_laplace
from deeprecon.scar.anatomy.axes import SEPTUM_DEGREES, Axes
from deeprecon.scar.anatomy.surfaces import HeartSurfaces, Surface

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_APEX = 1.5
"""Distance from the line through the apical wall within which nodes are the apex, in mean edges."""
_LEVELS = 64
"""Levels of the apicobasal solution between which it is scaled to the distance along the axis."""


@dataclass(frozen=True, eq=False)
class VentricularCoordinates:
    """Laplace's solutions in the wall of one ventricle or both, and the coordinates made of them.

    Attributes:
        mesh: of the wall, RAS mm.
        surfaces: of the wall.
        axes: long axis of the left ventricle, with the right one's insertions where there is a right one.
        cavity_apex: (3,) RAS mm of the left cavity's apical end.
        ascent: (N,) solution that is 0 at the apex and 1 at the base; its gradient points to the base.
        from_epicardium, from_left, from_right: (N,) solutions that are 1 on one surface and 0 on the others; their sum
            is 1.
        apicobasal: (N,) from 0 at the apex to 1 at the base: `ascent`, scaled so that it grows evenly along the axis.
        transmural: (N,) from 0 at the endocardium to 1 at the epicardium; in the septum to 1 at the right endocardium.
        rotational: (N,) around the left ventricle's axis, from 0 in the middle of the septum over the anterior wall
            to 1: a harmonic function with values on a circle.
        transventricular: (N,) from 0 at the left endocardium to 1 at the right one; 0 without a right ventricle.
        left: (N,) the left ventricle's wall with the septum; false in the free wall of the right one.
    """

    mesh: Tetrahedra
    surfaces: HeartSurfaces
    axes: Axes
    cavity_apex: Floats
    ascent: Floats
    from_epicardium: Floats
    from_left: Floats
    from_right: Floats
    apicobasal: Floats
    transmural: Floats
    rotational: Floats
    transventricular: Floats
    left: Mask

    @property
    def arrays(self) -> dict[str, Floats]:
        """The coordinates by name."""
        names = "apicobasal", "transmural", "rotational", "transventricular"
        return {name: getattr(self, name) for name in names}


def ventricular_coordinates(
    mesh: Tetrahedra, surfaces: HeartSurfaces, axes: Axes | None = None
) -> VentricularCoordinates:
    """Solve Laplace's equation for the coordinates.

    The universal ventricular coordinates (Bayer et al. 2018, Med Image Anal 45:83) are made of the same four solutions;
    here the rotation is harmonic all around, without a cut.

    Args:
        mesh: of the wall, RAS mm.
        surfaces: of the same mesh.
        axes: from landmarks; found from the surfaces if left out.

    Raises:
        ArithmeticError: an equation cannot be solved.
    """
    stiffness = mesh.stiffness()
    left, epicardium, right = (surfaces.nodes(part) for part in (Surface.LEFT, Surface.EPICARDIUM, Surface.RIGHT))
    epicardium &= ~left & ~right

    def solve(ones: Mask, zeros: Mask) -> Floats:
        return np.clip(solve_laplace(stiffness, ones | zeros, ones.astype(np.float64)), 0, 1)

    from_epicardium = solve(epicardium, left | right)
    if surfaces.biventricular:
        from_left = solve(left, epicardium | right)
        septum = solve(left, epicardium) > 0.5
        transventricular = solve(right, left)
        is_left = (transventricular < 0.5) | septum
        inner = (left | right) & ~(right & septum)
        transmural = solve(epicardium | (right & septum), inner)
    else:
        from_left, transmural = 1 - from_epicardium, from_epicardium
        transventricular = np.zeros(len(mesh.points))
        septum, is_left = np.zeros((2, len(mesh.points)), bool)
        is_left |= True
    base = surfaces.nodes(Surface.BASE)
    inner_apex, outer_apex, middle = _long_axis(surfaces, is_left)
    along = _distance_to_line(mesh.points, inner_apex, outer_apex)
    apex = is_left & ~base & (along <= max(_APEX * mesh.mean_edge(), float(along.min())))
    ascent = solve(base, apex)
    if axes is None:
        septal = right & septum & ~base
        axes = _with_insertions(Axes(outer_apex, middle), mesh.points[septal])
    return VentricularCoordinates(
        mesh,
        surfaces,
        axes,
        inner_apex,
        ascent,
        from_epicardium,
        from_left,
        np.clip(1 - from_epicardium - from_left, 0, 1),
        _evenly(ascent, (mesh.points - axes.apex) @ axes.direction, is_left),
        transmural,
        _rotation(mesh, stiffness, axes),
        transventricular,
        is_left,
    )


def _long_axis(surfaces: HeartSurfaces, left: Mask) -> tuple[Floats, Floats, Floats]:
    """The apex of the left cavity, that of its outer wall, and the middle of the mitral plane, (3,) RAS mm each."""
    points = surfaces.points
    rim = points[surfaces.nodes(Surface.BASE) & surfaces.nodes(Surface.LEFT)]
    middle = (rim.min(axis=0) + rim.max(axis=0)) / 2
    inner = points[surfaces.nodes(Surface.LEFT)]
    inner_apex = inner[((inner - middle) @ surfaces.direction).argmin()]
    down = (inner_apex - middle) / np.linalg.norm(inner_apex - middle)
    outer = points[surfaces.nodes(Surface.EPICARDIUM) & left]
    ahead = (outer - inner_apex) @ down
    beside = np.linalg.norm(outer - inner_apex - ahead[:, None] * down, axis=1)
    return inner_apex, outer[np.where(ahead > 0, beside, np.inf).argmin()], middle


def _distance_to_line(points: Floats, start: Floats, end: Floats) -> Floats:
    """(N,) distance of points to the line between two."""
    way = end - start
    share = np.clip((points - start) @ way / (way @ way), 0, 1)
    distance: Floats = np.linalg.norm(points - start - share[:, None] * way, axis=1)
    return distance


def _evenly(ascent: Floats, height: Floats, left: Mask) -> Floats:
    """The apicobasal solution, scaled so that it is the mean height of its level sets in the left ventricle, 0 to 1."""
    levels = np.quantile(ascent[left], np.linspace(0, 1, _LEVELS + 1))
    level = np.clip(np.searchsorted(levels, ascent[left], side="right") - 1, 0, _LEVELS - 1)
    count = np.maximum(np.bincount(level, minlength=_LEVELS), 1)
    value, mean = (np.bincount(level, each[left], _LEVELS) / count for each in (ascent, height))
    used = np.bincount(level, minlength=_LEVELS) > 0
    value, mean = value[used], np.maximum.accumulate(mean[used])
    low, high = height[left & (ascent <= 0)].mean(), height[left & (ascent >= 1)].mean()
    value, mean = np.r_[0.0, value, 1.0], np.r_[low, np.clip(mean, low, high), high]
    scaled: Floats = (np.interp(ascent, value, mean) - low) / (high - low)
    return scaled


def _with_insertions(axes: Axes, septal: Floats) -> Axes:
    """The axes with the ends of the right ventricle's septal surface (S, 3), in the middle third of the long axis."""
    if not len(septal):
        return axes
    height = (septal - axes.apex) @ axes.direction / axes.length
    across = septal - axes.apex - (height * axes.length)[:, None] * axes.direction
    facing = across.mean(axis=0)
    facing /= np.linalg.norm(facing)
    angle = np.arctan2(across @ np.cross(axes.direction, facing), across @ facing)
    middle = np.abs(height - 0.5) < 1 / 6
    if not middle.any():
        return axes
    inferior, anterior = (septal[middle][order] for order in (angle[middle].argmin(), angle[middle].argmax()))
    found = Axes(axes.apex, axes.base, anterior, inferior)
    plausible = SEPTUM_DEGREES[0] <= np.degrees(found.septum or 0.0) <= SEPTUM_DEGREES[1]
    return found if plausible else axes


def _rotation(mesh: Tetrahedra, stiffness: Any, axes: Axes) -> Floats:
    """(N,) the harmonic function around the long axis, in turns from 0 to 1.

    The angle around the axis is smooth but for its jump; what is added to it so that its gradient has no divergence is
    single-valued and solves Poisson's equation. Around the axis within the apical wall there is no such angle; these
    tetrahedra are left out.
    """
    local = axes.to_local(mesh.points)
    angle = np.arctan2(local[:, 1], local[:, 0])
    turns = angle[mesh.corners]
    steps = _wrapped(np.roll(turns, -1, axis=1) - turns)
    across = _wrapped(turns[:, 2] - turns[:, 0])
    around = np.abs(steps.sum(axis=1)) + np.abs(steps[:, 0] + steps[:, 1] - across)
    from_first = _wrapped(turns - turns[:, :1]) * (around < 1e-6)[:, None]
    gradient = np.einsum("mc,mcd->md", from_first, mesh.slopes) * mesh.volumes[:, None]
    flux = np.einsum("md,mcd->mc", gradient, mesh.slopes)
    right = -np.bincount(mesh.corners.ravel(), flux.ravel(), len(mesh.points)).astype(np.float64)
    fixed = np.zeros(len(mesh.points), bool)
    fixed[int(np.hypot(local[:, 0], local[:, 1]).argmax())] = True
    harmonic = angle + solve_laplace(stiffness, fixed, np.zeros(len(mesh.points)), right)
    # The added function is known but for a constant: on average it turns nothing.
    harmonic -= np.average(harmonic - angle, weights=mesh.node_volumes)
    turned: Floats = harmonic / (2 * np.pi) % 1
    return turned


def _wrapped(angle: Floats) -> Floats:
    """Angles in -pi to pi."""
    wrapped: Floats = (angle + np.pi) % (2 * np.pi) - np.pi
    return wrapped
