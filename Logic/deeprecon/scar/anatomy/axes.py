"""The heart's own frame: the left ventricle's long axis and the insertions of the right one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume

Floats = npt.NDArray[np.float64]

SEPTUM_DEGREES = (20.0, 200.0)
"""Smallest and largest angle between the insertions, over the septum; 120 in the picture of the 17 segments."""
_MAX_ELONGATION = 1.8
"""Length over width above which a cut through the cavity is no short-axis slice."""


@dataclass(frozen=True, eq=False)
class Axes:
    """The left ventricle's long axis and the two places where the right ventricle meets it, each (3,) RAS mm.

    Attributes:
        apex: of the left ventricle, of its cavity or of its outer wall; defines the direction of the axis.
        base: middle of the mitral plane.
        anterior, inferior: insertions of the right ventricle; None where they are not known.
    """

    apex: Floats
    base: Floats
    anterior: Floats | None = None
    inferior: Floats | None = None

    @property
    def length(self) -> float:
        """From apex to base in mm."""
        return float(np.linalg.norm(self.base - self.apex))

    @property
    def direction(self) -> Floats:
        """(3,) unit vector from apex to base."""
        unit: Floats = (self.base - self.apex) / self.length
        return unit

    @property
    def septum(self) -> float | None:
        """Angle from the inferior to the anterior insertion over the septum in radians; None if one is not known."""
        if self.anterior is None or self.inferior is None:
            return None
        first, second = (_across(point - self.apex, self.direction) for point in (self.inferior, self.anterior))
        return float(np.arctan2(np.cross(first, second) @ self.direction, first @ second) % (2 * np.pi))

    @cached_property
    def frame(self) -> Floats:
        """(3, 3) rows in RAS: to the middle of the septum, to the front and from apex to base.

        Without insertions the patient's right is used in place of the septum.
        """
        z = self.direction
        if self.septum is None or self.inferior is None:
            right = np.array([1.0, 0, 0]) if abs(z[0]) < 0.9 else np.array([0, 1.0, 0])
            x = _across(right, z)
        else:
            first = _across(self.inferior - self.apex, z)
            x = np.cos(self.septum / 2) * first + np.sin(self.septum / 2) * np.cross(z, first)
        return np.stack([x, np.cross(z, x), z])

    def to_local(self, points: Floats) -> Floats:
        """(M, 3) RAS mm to (M, 3) mm along the rows of `frame`, from the apex."""
        local: Floats = (points - self.apex) @ self.frame.T
        return local

    def to_ras(self, local: Floats) -> Floats:
        """(M, 3) mm along the rows of `frame` to (M, 3) RAS mm."""
        points: Floats = local @ self.frame + self.apex
        return points


def _across(vector: Floats, direction: Floats) -> Floats:
    """The unit vector of the part of `vector` (3,) that is orthogonal to `direction`."""
    part = vector - direction * (vector @ direction)
    unit: Floats = part / np.linalg.norm(part)
    return unit


def axes_from_landmarks(points: Mapping[str, npt.ArrayLike]) -> Axes:
    """Axes from named points, (3,) RAS mm each.

    Names are read by their words, in any case: "apex" and "base", and "insertion" with "anterior" or "inferior"
    (or "posterior"). Points of other names, and an apex or a base of the right ventricle, are left out.

    Raises:
        InputError: apex or base is missing, a place is named twice, or the points cannot belong to a heart.
    """
    found: dict[str, Floats] = {}
    for name, point in points.items():
        place = _place_of(name)
        if place is None:
            continue
        if place in found:
            raise InputError(f"Several landmarks are named {place}.", "Keep one of them.")
        found[place] = np.asarray(point, np.float64)
        if found[place].shape != (3,) or not np.isfinite(found[place]).all():
            raise InputError(f"The landmark {name!r} has no place in space.", "Set the point again.")
    missing = [place for place in ("apex", "base") if place not in found]
    if missing:
        raise InputError(
            f"The landmarks do not say where the {' and the '.join(missing)} is.",
            f"Name a point each {' and '.join(missing)}; there are: {', '.join(map(repr, points)) or 'none'}.",
        )
    axes = Axes(found["apex"], found["base"], found.get("anterior insertion"), found.get("inferior insertion"))
    if axes.length < 1:
        raise InputError("The landmarks apex and base lie at the same place.", "Set both points again.")
    for place, insertion in (("anterior", axes.anterior), ("inferior", axes.inferior)):
        if insertion is not None:
            distance = np.linalg.norm(np.cross(insertion - axes.apex, axes.direction))
            if distance < 0.05 * axes.length:
                raise InputError(
                    f"The {place} insertion lies on the line from apex to base.", "It belongs onto the outer wall."
                )
    if axes.septum is not None and not SEPTUM_DEGREES[0] <= np.degrees(axes.septum) <= SEPTUM_DEGREES[1]:
        raise InputError(
            f"From the inferior to the anterior insertion over the septum it is {np.degrees(axes.septum):.0f} degrees "
            "around the long axis.",
            "They may have been confused with each other, or apex and base may have been.",
        )
    return axes


def _place_of(name: str) -> str | None:
    """The point of `Axes` that a landmark's name stands for."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = set(re.findall(r"[^\W_]+", spaced.lower()))
    if words & {"insertion", "insertions"}:
        if "anterior" in words:
            return "anterior insertion"
        return "inferior insertion" if words & {"inferior", "posterior"} else None
    if words & {"rv", "right"}:
        return None
    return next((place for place in ("apex", "base") if place in words), None)


def axes_from_cavities(
    left: Volume, right: Volume | None = None, wall: Volume | None = None, motions: Floats | None = None
) -> Axes:
    """Axes from the blood pools of short-axis slices.

    The long axis is the line fitted to the centers of the left cavity in its slices, weighted by area. The apex is at
    the end where the cavity is narrower, at the last slice with wall; the base at the other end of the cavity. The
    insertions are where blood of the right ventricle next to the wall begins and ends around the axis, in the middle
    third of the cavity. Seen from the apex, the anterior one lies clockwise of the septum: hearts are not mirrored.

    Args:
        left: (k, j, i) shares of each pixel that are blood of the left ventricle, 0 to 1; slices along axis 0.
        right: the same of the right ventricle, on the same grid.
        wall: the same of the left ventricle's wall, on the same grid.
        motions: (k, 4, 4) RAS mm to RAS mm by which each slice is to be moved to lie on the heart; None for no move.

    Raises:
        InputError: the cavity is on fewer than two slices, or the slices do not cut across it.
    """
    share = np.asarray(left.array, np.float64)
    area = share.sum(axis=(1, 2))
    drawn = np.flatnonzero(area > 0)
    if len(drawn) < 2:
        raise InputError(
            f"{left.name}: the left ventricle's cavity is on {len(drawn)} slices; its axis needs two or more.",
            "Place landmarks named apex and base.",
        )
    moved = np.tile(np.eye(4), (len(share), 1, 1)) if motions is None else motions
    middles = np.stack([_moved(moved[k], _middle(share[k], k, left)) for k in drawn.tolist()])
    if _elongation(share[drawn], left) > _MAX_ELONGATION:
        raise InputError(
            f"{left.name}: the slices do not cut across the left ventricle's cavity.",
            "Place landmarks named apex and base.",
        )
    weight = area[drawn] / area[drawn].sum()
    center, middle_k = weight @ middles, weight @ drawn
    slope = (weight * (drawn - middle_k)) @ (middles - center) / (weight @ (drawn - middle_k) ** 2)
    narrow_first = area[drawn][: len(drawn) // 2].sum() < area[drawn][-(len(drawn) // 2) :].sum()
    shown = drawn if wall is None else np.flatnonzero((share + np.asarray(wall.array)).sum(axis=(1, 2)) > 0)
    first, last = (shown[0] - 0.5, drawn[-1] + 0.5) if narrow_first else (shown[-1] + 0.5, drawn[0] - 0.5)
    apex, base = (center + slope * (k - middle_k) for k in (first, last))
    axes = Axes(apex, base)
    if right is None:
        return axes
    third = len(drawn) // 3
    return _with_insertions(axes, drawn[third : len(drawn) - third], right, wall, moved)


def _middle(share: Floats, k: int, volume: Volume) -> Floats:
    """(3,) RAS mm, center of mass of a slice (j, i)."""
    j, i = np.indices(share.shape)
    middle: Floats = volume.to_ras([np.average(i, weights=share), np.average(j, weights=share), k])
    return middle


def _moved(matrix: Floats, points: Floats) -> Floats:
    """(..., 3) RAS mm after a rigid motion (4, 4)."""
    moved: Floats = points @ matrix[:3, :3].T + matrix[:3, 3]
    return moved


def _elongation(share: Floats, volume: Volume) -> float:
    """Mean length over width of a region on slices (k, j, i), weighted by area."""
    found = []
    j, i = (grid.ravel() for grid in np.indices(share.shape[1:]))
    for weight in share.reshape(len(share), -1):
        spread = np.cov(np.stack([i, j]) * volume.spacing[:2, None], aweights=weight, ddof=0)
        low, high = np.linalg.eigvalsh(spread + np.diag(volume.spacing[:2] ** 2) / 12)
        found.append(np.sqrt(high / low))
    return float(np.average(found, weights=share.sum(axis=(1, 2))))


def _with_insertions(
    axes: Axes, slices: npt.NDArray[np.int64], right: Volume, wall: Volume | None, moved: Floats
) -> Axes:
    """`axes` with both insertions, if the right cavity on these slices shows them."""
    from scipy.ndimage import binary_dilation, generate_binary_structure

    blood = np.asarray(right.array) > 0.05
    if wall is not None:
        in_plane = generate_binary_structure(3, 1) & np.array([False, True, False])[:, None, None]
        steps = max(1, round(3 / float(right.spacing[:2].mean())))
        blood &= binary_dilation(np.asarray(wall.array) > 0.05, in_plane, steps)
    z = axes.direction
    anterior: list[Floats] = []
    inferior: list[Floats] = []
    for k in slices:
        j, i = np.nonzero(blood[k])
        if len(i) < 3:
            continue
        points = _moved(moved[k], right.to_ras(np.stack([i, j, np.full(len(i), k)], axis=1)))
        across = points - axes.apex
        across -= (across @ z)[:, None] * z
        septum = _across(across.mean(axis=0), z)
        angle = np.arctan2(across @ np.cross(z, septum), across @ septum)
        anterior.append(points[angle.argmax()])
        inferior.append(points[angle.argmin()])
    if not anterior:
        return axes
    found = Axes(axes.apex, axes.base, np.median(anterior, axis=0), np.median(inferior, axis=0))
    plausible = SEPTUM_DEGREES[0] <= np.degrees(found.septum or 0.0) <= SEPTUM_DEGREES[1]
    return found if plausible else axes
