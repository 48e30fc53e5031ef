"""Observations: one group per pixel with wall, and quadrature points in the prism of each pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.scar.observe.stacks import Stack

Inside = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]
"""(M, 3) points in RAS mm -> (M,) bool, true within the heart wall."""

_BOXES = (2, 2, 4)
"""Into how many boxes a prism is divided along the pixel's two sides and across the slice."""


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice where it lies in the patient.

    Attributes:
        origin: (3,) center of pixel (0, 0) in RAS mm, at half the depth of the slab.
        u, v: (3,) steps to the next pixel along array axes i and j in RAS mm; their lengths are the pixel size.
        normal: (3,) unit vector across the slice, towards the next slice.
        thickness: of the imaged slab along the normal in mm.
        stack: which stack it belongs to.
        index: which slice of that stack it is.
        shift: (3,) RAS mm by which the middle of its wall was moved; `origin`, `u`, `v` and `normal` are after that.
    """

    origin: npt.NDArray[np.float64]
    u: npt.NDArray[np.float64]
    v: npt.NDArray[np.float64]
    normal: npt.NDArray[np.float64]
    thickness: float
    stack: int
    index: int
    shift: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True, eq=False)
class Observations:
    """Every pixel with wall, one group each, of any number of stacks in any orientation.

    Groups come in the order of the stacks, then of the array axes (k, j, i).

    Attributes:
        y: (G,) float32, share of the wall in the pixel's prism that is scar; 0 is data.
        wall: (G,) float32, share of the pixel's prism that is wall, above 0.
        slice_id: (G,) int64, index into `planes`.
        centers: (G, 3) float64, center of the prism in RAS mm.
        planes: one per slice, slices without wall included.
        core: (G,) float32, share of that wall that is scar core, at most `y`; None where no stack separates it.
        likelihood, core_likelihood: (G, S) float32, see `Stack`; None where a stack has none.
    """

    y: npt.NDArray[np.float32]
    wall: npt.NDArray[np.float32]
    slice_id: npt.NDArray[np.int64]
    centers: npt.NDArray[np.float64]
    planes: tuple[Plane, ...]
    core: npt.NDArray[np.float32] | None = None
    likelihood: npt.NDArray[np.float32] | None = None
    core_likelihood: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Quadrature points of the wall within each prism.

    Attributes:
        points: (G, K, 3) float64 in RAS mm.
        weights: (G, K) float32, each row sums to 1, or to 0 where the prism meets no wall of the mesh.
        overlap: (S,) float64, share of each slice's wall whose prisms meet the wall of the mesh; NaN for slices
            without wall.
    """

    points: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float32]
    overlap: npt.NDArray[np.float64]

    @property
    def met(self) -> npt.NDArray[np.bool_]:
        """(G,) true for the groups whose prism meets the wall of the mesh."""
        return np.asarray(self.weights.any(axis=1))


def planes_of(stack: Stack, number: int = 0) -> tuple[Plane, ...]:
    """The slices of a stack; `number` is the stack's place among the others."""
    placed, offsets = stack.placed, stack.offsets
    return tuple(
        Plane(
            matrix[:3, 3] + k * matrix[:3, 2],
            matrix[:3, 0],
            matrix[:3, 1],
            stack.normal,
            float(stack.thickness),
            number,
            k,
            offsets[k],
        )
        for k, matrix in enumerate(placed)
    )


def observe(stacks: Sequence[Stack]) -> Observations:
    """Collect the pixels with wall of all stacks. Only pixels without wall are left out: "no scar" is data.

    Args:
        stacks: at least one.

    Raises:
        InputError: no stack, arrays of different shapes, values outside [0, 1], or a stack without any wall.
    """
    if not stacks:
        raise InputError("There are no slices to reconstruct from.", "Give a scar volume or an LGE volume.")
    planes: list[Plane] = []
    y, core, wall, slice_id, centers = [], [], [], [], []
    for number, stack in enumerate(stacks):
        _check(stack)
        k, j, i = np.nonzero(stack.wall > 0)
        y.append(stack.scar[k, j, i])
        if stack.core is not None:
            core.append(np.minimum(stack.core, stack.scar)[k, j, i])
        wall.append(stack.wall[k, j, i])
        slice_id.append(len(planes) + k)
        index = np.stack([i, j, k, np.ones(len(i))], axis=1)
        centers.append(np.einsum("nab,nb->na", stack.placed[k, :3], index))
        planes.extend(planes_of(stack, number))
    return Observations(
        np.concatenate(y).astype(np.float32),
        np.concatenate(wall).astype(np.float32),
        np.concatenate(slice_id).astype(np.int64),
        np.concatenate(centers).astype(np.float64),
        tuple(planes),
        np.concatenate(core).astype(np.float32) if len(core) == len(stacks) else None,
        _of_pixels([stack.likelihood for stack in stacks], stacks),
        _of_pixels([stack.core_likelihood for stack in stacks], stacks),
    )


def _of_pixels(
    arrays: Sequence[npt.NDArray[np.float32] | None], stacks: Sequence[Stack]
) -> npt.NDArray[np.float32] | None:
    """The rows of the pixels with wall, of one array a stack; None where one is missing."""
    found = [array[stack.wall > 0] for array, stack in zip(arrays, stacks, strict=True) if array is not None]
    return np.concatenate(found) if len(found) == len(stacks) else None


def _check(stack: Stack) -> None:
    if stack.wall.ndim != 3 or stack.wall.shape != stack.scar.shape:
        raise InputError(f"{stack.name}: wall {stack.wall.shape} and scar {stack.scar.shape} must be equal 3D shapes.")
    if not (np.isfinite(stack.thickness) and stack.thickness > 0):
        raise InputError(f"{stack.name}: the slice thickness is {stack.thickness} mm.", "Give --slice-thickness.")
    has_wall = stack.wall > 0
    if not has_wall.any():
        raise InputError(f"{stack.name}: no pixel holds myocardium.", "Check the myocardium segment and its labels.")
    for name, values in (("wall", stack.wall), ("scar", stack.scar[has_wall])):
        # Comparisons with NaN are false, so NaN fails here too.
        if not (values.min() >= 0 and values.max() <= 1):
            raise InputError(f"{stack.name}: {name} fractions must lie within 0 and 1 and be finite.")


def quadrature(observations: Observations, inside: Inside | None = None) -> Quadrature:
    """Spread points over the prism of every group: the pixel's footprint times the slab's thickness.

    A pixel's footprint reaches half a pixel to either side of its center and the slab half its thickness to either
    side of the slice, so that the gap between slices stays empty. The prism is divided into 2 x 2 x 4 equal boxes (4
    across the slice) and each box is one point. With `inside`, a box is weighted by how many of its 2 x 2 x 2 inner
    points lie in the wall, and its point is their center, so that the points represent the wall alone. (With 16 points,
    boxes measure the scar of a prism with a third less error than quasi-random points.)

    Args:
        observations: G groups.
        inside: whether points lie in the wall of the mesh; None takes the whole prism.
    """
    planes, groups = observations.planes, len(observations)
    frames = np.stack([np.stack([plane.u, plane.v, plane.normal * plane.thickness]) for plane in planes])
    frames = frames[observations.slice_id]
    points = observations.centers[:, None] + _centers(_BOXES) @ frames
    weights = np.full(points.shape[:2], 1 / points.shape[1], np.float32)
    if inside is not None:
        inner = _centers((2, 2, 2)) / np.array(_BOXES)
        member = np.zeros((len(inner), *weights.shape), bool)
        shift = np.zeros_like(points)
        for place, offset in enumerate(inner):
            step = offset @ frames
            member[place] = inside((points + step[:, None]).reshape(-1, 3)).reshape(groups, -1)
            shift += member[place, ..., None] * step[:, None]
        count = member.sum(axis=0)
        points += shift / np.maximum(count, 1)[..., None]
        weights = (count / np.maximum(count.sum(axis=1, keepdims=True), 1)).astype(np.float32)
    total = np.bincount(observations.slice_id, observations.wall, len(planes))
    found = np.bincount(observations.slice_id, observations.wall * weights.any(axis=1), len(planes))
    overlap = np.divide(found, total, out=np.full(len(planes), np.nan), where=total > 0)
    return Quadrature(points, weights, overlap)


def _centers(boxes: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """(K, 3) centers of the equal boxes of a unit cube around the origin."""
    axes = [(np.arange(count) + 0.5) / count - 0.5 for count in boxes]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def overlap_warnings(observations: Observations, points: Quadrature, min_overlap: float = 0.8) -> list[str]:
    """A warning for every slice of which less than `min_overlap` of the wall meets the wall of the mesh."""
    return [
        f"Slice {plane.index + 1} of stack {plane.stack + 1}: only {share:.0%} of its wall meets the mesh; "
        "mesh and images may be shifted or of different heart phases."
        for plane, share in zip(observations.planes, points.overlap, strict=True)
        if share < min_overlap
    ]
