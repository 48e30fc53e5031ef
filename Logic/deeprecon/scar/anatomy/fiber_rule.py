"""Fibers and sheets by rule, from Laplace's solutions in the ventricles' wall.

Bayer, Blake, Plank, Trayanova 2012, "A novel rule-based algorithm for assigning myocardial fiber orientation to
computational heart models", Ann Biomed Eng 40:2243 (LDRB). In one point this differs: there the angle is interpolated
twice in the free walls, as a number and by the frames, so that it changes with the square of the transmural solution;
here it changes linearly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.scar.anatomy.ventricular_coordinates import VentricularCoordinates

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FiberAngles:
    """Angles at the endocardium and at the epicardium in degrees, between which they change linearly.

    Attributes:
        endo, epi: of the fibers, from the circumferential direction, which is counterclockwise seen from the base,
            towards the base.
        sheet_endo, sheet_epi: of the sheets, from the outward direction through the wall around the fiber.
    """

    endo: float = 60.0
    epi: float = -60.0
    sheet_endo: float = -65.0
    sheet_epi: float = 25.0


def rule_based_fibers(coordinates: VentricularCoordinates, angles: FiberAngles) -> tuple[Floats, Floats]:
    """(M, 3) unit vectors along the fibers and (M, 3) along the sheets, across the fibers, in each tetrahedron."""
    mesh = coordinates.mesh

    def at_cells(values: Floats) -> Floats:
        mean: Floats = values[mesh.corners].mean(axis=1)
        return mean

    # Within the apex, where the ascent is 0 all over, the way to the base leads away from the long axis.
    axes = coordinates.axes
    away = mesh.points[mesh.corners].mean(axis=1) - axes.apex
    away = _unit(away - (away @ axes.direction)[:, None] * axes.direction, axes.direction)
    ascent = _unit(mesh.gradients(coordinates.ascent), away)
    left, right = at_cells(coordinates.from_left), at_cells(coordinates.from_right)
    depth, share = at_cells(coordinates.from_epicardium), right / np.maximum(left + right, 1e-12)
    fiber = angles.endo + (angles.epi - angles.endo) * depth
    sheet = angles.sheet_endo + (angles.sheet_epi - angles.sheet_endo) * depth
    # Both inner frames look from the left cavity to the right one, so that angles change their sign in the septum.
    side = 1 - 2 * share
    inner = _turned(_frame(ascent, -mesh.gradients(coordinates.from_left)), side * fiber, side * sheet)
    if coordinates.surfaces.biventricular:
        other = _turned(_frame(ascent, mesh.gradients(coordinates.from_right)), side * fiber, side * sheet)
        inner = _between(inner, other, share)
    outer = _turned(_frame(ascent, mesh.gradients(coordinates.from_epicardium)), fiber, sheet)
    found = _between(inner, outer, depth)
    return found[:, :, 0], found[:, :, 2]


def _frame(up: Floats, outward: Floats) -> Floats:
    """(M, 3, 3) orthonormal columns: circumferential, to the base, through the wall.

    Args:
        up: (M, 3) unit vectors to the base.
        outward: (M, 3) through the wall, of any length.

    Where a solution is constant to the last bit, as in the free wall of the other ventricle, any direction across the
    ascent stands for that through the wall: its share is 0 there.
    """
    least = np.eye(3)[np.abs(up).argmin(axis=1)]
    across = _unit(np.cross(up, least), least)
    through = outward - np.einsum("md,md->m", outward, up)[:, None] * up
    through = _unit(through, across)
    return np.stack([np.cross(up, through), up, through], axis=2)


def _unit(vectors: Floats, instead: Floats) -> Floats:
    """(M, 3) vectors of length 1; `instead` of those without any length."""
    length = np.linalg.norm(vectors, axis=1)[:, None]
    unit: Floats = np.where(length > 1e-12, vectors / np.maximum(length, 1e-12), instead)
    return unit


def _turned(frame: Floats, fiber: Floats, sheet: Floats) -> Floats:
    """(M, 3, 3) frames, turned around the direction through the wall and then around the fiber, by (M,) degrees."""
    first, second = np.radians(fiber), np.radians(sheet)
    around, up, through = np.moveaxis(frame, 2, 0)
    along = np.cos(first)[:, None] * around + np.sin(first)[:, None] * up
    across = np.cos(first)[:, None] * up - np.sin(first)[:, None] * around
    normal = np.cos(second)[:, None] * across - np.sin(second)[:, None] * through
    radial = np.cos(second)[:, None] * through + np.sin(second)[:, None] * across
    return np.stack([along, normal, radial], axis=2)


def _between(first: Floats, second: Floats, share: Floats) -> Floats:
    """(M, 3, 3) frames on the shortest way from the first to the second, whose axes have no sign, at (M,) shares."""
    from scipy.spatial.transform import Rotation

    start, end = (Rotation.from_matrix(each).as_quat() for each in (first, second))
    x, y, z, w = start.T
    # Half a turn around one of its axes leaves a frame of axes the same.
    same = np.stack([start, *(np.stack(each, axis=1) for each in ((w, z, -y, -x), (-z, w, x, -y), (y, -x, w, -z)))])
    likeness = np.einsum("smd,md->sm", same, end)
    best = np.abs(likeness).argmax(axis=0)
    rows = np.arange(len(start))
    start, cosine = same[best, rows], likeness[best, rows]
    start = start * np.sign(cosine + (cosine == 0))[:, None]
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
    sine = np.sin(angle)
    near = sine < 1e-6
    sine = np.where(near, 1, sine)
    of_start = np.where(near, 1 - share, np.sin((1 - share) * angle) / sine)
    of_end = np.where(near, share, np.sin(share * angle) / sine)
    found = of_start[:, None] * start + of_end[:, None] * end
    matrices: Floats = Rotation.from_quat(found).as_matrix()
    return matrices
