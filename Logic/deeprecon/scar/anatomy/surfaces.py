"""The surfaces of the ventricles: base, epicardium and the endocardium of each, found on the boundary of their wall."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.numerics.tetrahedra import Tetrahedra, connected

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_SMOOTHING = 2
"""Times that normals are averaged with those of their neighbors: the steps of voxels are no base."""
_COSINES = np.arange(0.95, 0.05, -0.05)
"""Of the largest angle between the normals of the base and the long axis, as tried: from 18 to 84 degrees."""
_RIM = 0.8
"""Cosine of the angle to the long axis up to which a face next to the base belongs to it."""
_MIN_AREA = 0.04
"""Share of the boundary below which a part of it is no surface of a ventricle."""
_MIN_RATIO = 1.15
"""Thickness of the left wall over that of the right one below which it is not clear which is which."""


class Surface(IntEnum):
    """Parts of the boundary of the ventricles' wall."""

    BASE = 1
    EPICARDIUM = 2
    LEFT = 3
    RIGHT = 4


@dataclass(frozen=True, eq=False)
class HeartSurfaces:
    """The boundary of the wall of the left ventricle or of both.

    Attributes:
        points: (N, 3) nodes of the mesh in RAS mm.
        faces: (F, 3) corners of the boundary's triangles, counterclockwise seen from outside of the wall.
        part: (F,) values of `Surface`.
        direction: (3,) unit vector from the apex to the base, the mean normal of the base.
    """

    points: Floats
    faces: Ints
    part: Ints
    direction: Floats

    @property
    def biventricular(self) -> bool:
        """Whether there is a right ventricle."""
        return bool((self.part == Surface.RIGHT).any())

    def nodes(self, *parts: Surface) -> Mask:
        """(N,) nodes of some parts. On the rim of the base they belong to the other part too."""
        found = np.zeros(len(self.points), bool)
        found[self.faces[np.isin(self.part, parts)]] = True
        return found

    def area(self, part: Surface) -> float:
        """In mm2."""
        return float(_areas(self.points, self.faces[self.part == part]).sum())


def find_surfaces(mesh: Tetrahedra, direction: Floats, name: str) -> HeartSurfaces:
    """Tell base, epicardium and endocardium apart.

    The base is what looks along the long axis and without which the boundary of the wall falls into an outer and one or
    two inner surfaces. So a base that is slanted, or rounded at its rims, is found as well as a flat cut, and the floor
    of a cavity, which looks along the axis too, is none. The largest of the others is the epicardium. Of two inner ones
    the left ventricle's lies behind the thicker wall.

    Args:
        mesh: of the wall, in RAS mm.
        direction: (3,) along the long axis of the left ventricle, of either sign.
        name: of the mesh, for messages.

    Raises:
        InputError: the mesh falls into pieces, its boundary does not fall into such surfaces, or two ventricles
            cannot be told apart.
    """
    pieces = mesh.pieces()[mesh.corners[:, 0]]
    if len(numbers := np.unique(pieces)) > 1:
        sizes = sorted((float(mesh.volumes[pieces == number].sum()) / 1000 for number in numbers), reverse=True)
        raise InputError(
            f"{name} consists of {len(sizes)} pieces, of {' and '.join(f'{size:.3g}' for size in sizes[:3])} ml.",
            "Keep the one that is the wall, or join them.",
        )
    faces = mesh.surface()
    found = [_split(mesh.points, faces, sign * direction) for sign in (1, -1)]
    count, _, part, axis = max((entry for entry in found), key=lambda entry: entry[:2])
    if not count:
        raise InputError(
            f"{name} has no base: without what looks along the long axis, its boundary does not fall into an outer and "
            "an inner surface.",
            "Cut it open at the valves, or give --landmarks with apex and base.",
        )
    surfaces = HeartSurfaces(mesh.points, faces, part, axis)
    return _named(surfaces, count, name)


def _split(points: Floats, faces: Ints, direction: Floats) -> tuple[int, float, Ints, Floats]:
    """Divide the boundary at the steepest angle that leaves two inner surfaces, else at that which leaves one.

    Returns:
        Number of inner surfaces, 0 where none is found; the angle's cosine; (F,) 1 for the base and from 2 on for the
        others by their area; (3,) mean normal of the base.
    """
    normals, areas = _normals(points, faces, _SMOOTHING), _areas(points, faces)
    edges = _neighbors(faces)
    best: tuple[int, float, Ints, Floats] = (0, 0.0, np.zeros(len(faces), np.int64), direction)
    for cosine in _COSINES.tolist():
        part = _parts(edges, normals @ direction > cosine, areas)
        inner = int(part.max()) - Surface.EPICARDIUM
        if best[0] < inner <= 2:
            weights = (areas * (part == Surface.BASE))[:, None]
            axis = (normals * weights).sum(axis=0)
            best = inner, cosine, part, axis / np.linalg.norm(axis)
    inner, cosine, part, axis = best
    if inner:
        part = _up_to_the_rim(edges, _normals(points, faces, 0) @ axis, part)
    return inner, cosine, part, axis


def _up_to_the_rim(edges: tuple[Ints, Ints], upward: Floats, part: Ints) -> Ints:
    """The parts with the base extended to what looks along the axis next to it: smooth normals end before its rim."""
    one, other = edges
    wanted = (upward > _RIM) | (part == Surface.BASE)
    both = wanted[one] & wanted[other]
    piece = connected(len(part), one[both], other[both])
    is_base = np.isin(piece, piece[part == Surface.BASE]) & wanted
    return np.where(is_base, int(Surface.BASE), part)


def _parts(edges: tuple[Ints, Ints], upward: Mask, areas: Floats) -> Ints:
    """(F,) 1 for the base and 2, 3, ... for the surfaces that it separates, the largest first; all 2 without a base."""
    one, other = edges
    same = upward[one] == upward[other]
    piece = connected(len(upward), one[same], other[same])
    size = np.bincount(piece, areas)
    is_upward = np.zeros(len(size), bool)
    is_upward[piece[upward]] = True
    large = ~is_upward & (size > _MIN_AREA * size.sum())
    # What is small goes to what it touches, so that only pieces of the base are left between large surfaces.
    touched: list[set[int]] = [set() for _ in size]
    for first, second in {(int(a), int(b)) for a, b in zip(piece[one[~same]], piece[other[~same]], strict=True)}:
        touched[first].add(second)
        touched[second].add(first)
    label = np.where(large, np.arange(len(size)), -1)
    base = [number for number in np.flatnonzero(is_upward) if sum(large[list(touched[number])]) > 1]
    label[base] = -2
    front = [*np.flatnonzero(label != -1)]
    while front:
        ahead = []
        for number in front:
            for neighbor in touched[number]:
                if label[neighbor] == -1:
                    label[neighbor] = label[number]
                    ahead.append(neighbor)
        front = ahead
    whole = {number: float(size[label == number].sum()) for number in np.flatnonzero(large)}
    result = np.full(len(size), int(Surface.BASE))
    for rank, number in enumerate(sorted(whole, key=lambda each: -whole[each]), int(Surface.EPICARDIUM)):
        result[label == number] = rank
    return result[piece]


def _named(surfaces: HeartSurfaces, inner: int, name: str) -> HeartSurfaces:
    """The same with the inner surfaces in the order left, right."""
    if inner < 2:
        return surfaces
    from scipy.spatial import cKDTree

    outer = cKDTree(surfaces.points[surfaces.nodes(Surface.EPICARDIUM)])
    thickness = [
        float(np.percentile(outer.query(surfaces.points[surfaces.nodes(part)])[0], 25))
        for part in (Surface.LEFT, Surface.RIGHT)
    ]
    if max(thickness) < _MIN_RATIO * min(thickness):
        raise InputError(
            f"{name} has two cavities with walls of {thickness[0]:.1f} and {thickness[1]:.1f} mm: which is the left "
            "ventricle's is not clear.",
            "Give the left ventricle alone.",
        )
    if thickness[0] > thickness[1]:
        return surfaces
    exchanged = np.array([0, Surface.BASE, Surface.EPICARDIUM, Surface.RIGHT, Surface.LEFT])
    return HeartSurfaces(surfaces.points, surfaces.faces, exchanged[surfaces.part], surfaces.direction)


def _sides(points: Floats, faces: Ints) -> tuple[Floats, Floats]:
    place = points[faces]
    return place[:, 1] - place[:, 0], place[:, 2] - place[:, 0]


def _areas(points: Floats, faces: Ints) -> Floats:
    """(F,) mm2."""
    areas: Floats = np.linalg.norm(np.cross(*_sides(points, faces)), axis=1) / 2
    return areas


def _normals(points: Floats, faces: Ints, smoothing: int) -> Floats:
    """(F, 3) unit normals out of the wall, averaged so many times with those of neighbors."""
    normals = np.cross(*_sides(points, faces))
    for _ in range(smoothing):
        at_nodes = [np.bincount(faces.ravel(), np.repeat(normals[:, axis], 3), len(points)) for axis in range(3)]
        normals = np.stack([values[faces].sum(axis=1) for values in at_nodes], axis=1)
    unit: Floats = normals / np.maximum(np.linalg.norm(normals, axis=1), 1e-300)[:, None]
    return unit


def _neighbors(faces: Ints) -> tuple[Ints, Ints]:
    """(E,) and (E,) numbers of faces that share an edge."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    key = edges[:, 0] * (int(faces.max()) + 1) + edges[:, 1]
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    return order[:-1][same] // 3, order[1:][same] // 3
