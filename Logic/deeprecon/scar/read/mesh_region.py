"""Which regions of a mesh are the wall: as stated, else judged by what the slices show where their elements lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh, cell_means, cell_volumes
from deeprecon.data.mesh.tags import Tags
from deeprecon.scar.read.case import Case, StackImages

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_WALL, _NOT_WALL = 0.5, 0.2
"""Share of a region that lies in the wall of the slices, from which on it is wall, and below which it is not."""
_MIN_SEEN = 0.05
"""Share of a region below which the slices show too little of it to judge it by them."""


@dataclass(frozen=True)
class Region:
    """The regions of a mesh that are its wall.

    Attributes:
        tags: of them; empty for the whole mesh.
        doubts: what was assumed or is unclear.
    """

    tags: tuple[int, ...] = ()
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True)
class _Shown:
    """What the slices show where the elements of one region lie.

    Attributes:
        tag: of the region.
        wall, blood: shares of what the slices show of it.
        blood_ml: its volume where they show blood.
        beyond: whether they show next to nothing of it, and most of it lies beyond the next slice that there could be.
        is_seen: whether they show enough to judge it by them.
    """

    tag: int
    wall: float
    blood: float
    blood_ml: float
    beyond: bool
    is_seen: bool

    @property
    def is_wall(self) -> bool:
        return self.wall >= _WALL if self.is_seen else not self.beyond

    @property
    def is_other(self) -> bool:
        """Blood, an atrium, or another ventricle."""
        return self.wall < _NOT_WALL or self.blood > self.wall if self.is_seen else self.beyond


def choose_region(mesh: Mesh, tags: Tags | None, cells: Integers, stated: Sequence[int], case: Case) -> Region:
    """The regions that are wall.

    A region is wall where at least half of what the slices show of it is wall; it is none below a fifth, where more of
    it is blood than wall, or where it lies beyond the slices.

    Args:
        mesh: what counts of the file, RAS mm.
        tags: of the cells of the whole file.
        cells: numbers in the file of the cells of `mesh`.
        stated: tags of the wall as the user states them; empty to judge them.
        case: with the images.

    Raises:
        InputError: the mesh has no such regions.
    """
    if stated:
        return Region(_check_stated(mesh.name, tags, cells, stated))
    if tags is None or not mesh.is_volume:
        return Region()
    values = tags.values[cells]
    found = _look_up(mesh, values, case)
    others = [region for region in found if region.is_other]
    unclear = [region for region in found if not region.is_other and not region.is_wall]
    used = tuple(region.tag for region in found if not region.is_other)
    if not (others or unclear) or not any(region.is_wall and region.is_seen for region in found):
        return Region()
    blood = sum(region.blood_ml for region in found)
    where = f"{blood:.0f} ml of the mesh lie where the slices show blood"
    if unclear:
        shares = " and ".join(f"{region.wall:.0%} of region {region.tag}" for region in unclear)
        text = f"Which of its regions are wall is unclear: of what the slices show of them, {shares} is wall; {where}."
        way_out = f"Name the regions of the wall: --mesh-region {_listed(used, ' ')}."
        return Region(used, (Doubt("mesh-region-unclear", mesh.name, text, way_out),))
    text = (
        f"Used are its regions tagged {_listed(used)} in the array {tags.name}, which the slices show as wall, without "
        f"those tagged {_listed([region.tag for region in others])}; {where}."
    )
    doubt = Doubt("mesh-region-assumed", mesh.name, text, "Name the wall's regions with --mesh-region.", assumed=True)
    return Region(used, (doubt,))


def _check_stated(name: str, tags: Tags | None, cells: Integers, stated: Sequence[int]) -> tuple[int, ...]:
    if tags is None:
        raise InputError(
            f"{name} has no region tags, so that --mesh-region {_listed(stated, ' ')} names none.",
            "Leave it out, or name the array of the tags with --tag-array.",
        )
    known = np.unique(tags.values[cells]).tolist()
    if missing := [tag for tag in stated if tag not in known]:
        shown = _listed(known[:20]) + (", ..." if len(known) > 20 else "")
        raise InputError(
            f"{name} has no region {_listed(missing)} in the array {tags.name}.", f"It has {shown}; name some of these."
        )
    return tuple(dict.fromkeys(stated))


@dataclass(frozen=True, eq=False)
class _Look:
    """Where (M,) points lie in the slices of one stack.

    Attributes:
        wall, blood: what the slices show there.
        seen: at any height of the slices.
        beyond: past the next slice that there could be.
    """

    wall: Bools
    blood: Bools
    seen: Bools
    beyond: Bools


def _look_up(mesh: Mesh, tags: Integers, case: Case) -> list[_Shown]:
    """What the slices show of each region, by the middle of each element."""
    centers = np.stack([cell_means(mesh, mesh.points[:, axis]) for axis in range(3)], axis=1)
    volumes = cell_volumes(mesh) / 1000
    looks = [_look(images, centers) for images in case.stacks]
    regions = []
    for tag in np.unique(tags).tolist():
        sizes = volumes * (tags == tag)
        size = float(sizes.sum())
        wall, blood, seen = (
            float(sum(sizes @ getattr(look, name) for look in looks)) for name in ("wall", "blood", "seen")
        )
        total = max(seen, 1e-12)
        blood_ml = max(float(sizes @ look.blood) for look in looks)
        beyond = min(float(sizes @ look.beyond) for look in looks)
        shown = _Shown(tag, wall / total, blood / total, blood_ml, beyond > 0.5 * size, seen > _MIN_SEEN * size)
        regions.append(shown)
    return regions


def _look(images: StackImages, points: Floats) -> _Look:
    wall = np.asarray(images.wall.array) > 0.5
    shown = np.flatnonzero(wall.any(axis=(1, 2)))
    place = images.wall.to_ijk(points)
    beyond = (place[:, 2] < shown[0] - 1.5) | (place[:, 2] > shown[-1] + 1.5)
    i, j, k = np.rint(place).astype(np.int64).T
    seen = (k >= shown[0]) & (k <= shown[-1])
    within = seen & (i >= 0) & (j >= 0) & (i < wall.shape[2]) & (j < wall.shape[1])
    is_wall, is_blood = np.zeros((2, len(points)), bool)
    is_wall[within] = wall[k[within], j[within], i[within]]
    is_blood[within] = images.blood[k[within], j[within], i[within]]
    return _Look(is_wall, is_blood, seen, beyond)


def _listed(tags: Sequence[int], separator: str = ", ") -> str:
    return separator.join(map(str, tags))
