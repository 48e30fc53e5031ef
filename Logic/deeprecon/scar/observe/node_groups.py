"""The mesh nodes in each pixel's prism: what the mlp is trained on, and cardioscar's .npz file of the same."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.scar.observe.observations import planes_of
from deeprecon.scar.read.stacks import Stack

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NAMES = ("coordinates", "intensities", "group_ids", "group_sizes", "scaler_min", "scaler_max")
_AGAIN = "Make the file again with scar prepare."


@dataclass(frozen=True, eq=False)
class NodeGroups:
    """G groups of nodes, each with the value that the mean over its nodes shall have.

    A node stands once in each group that it belongs to: none in a gap between slices, several where slabs overlap.

    Attributes:
        points: (N, 3) in mm, sorted by group; RAS where they come from a mesh, as the file has them where from a file.
        values: (G,) float32, 0 to 1; 0 is data.
        offsets: (G + 1,) the nodes of group g are `points[offsets[g] : offsets[g + 1]]`, at least one.
        box: (2, 3) lowest and highest corner, in mm, of what the network sees as 0 to 1 along each axis.
        nodes: (N,) which node of the mesh each point is; None where they come from a file.
        numbers: (G,) which group of `observe` each is; None where they come from a file.
    """

    points: Floats
    values: npt.NDArray[np.float32]
    offsets: Ints
    box: Floats
    nodes: Ints | None = None
    numbers: Ints | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def sizes(self) -> Ints:
        """(G,) nodes in each group."""
        sizes: Ints = np.diff(self.offsets)
        return sizes


def group_nodes(points: Floats, stacks: Sequence[Stack]) -> NodeGroups:
    """Put the mesh's nodes into the prisms of the pixels that show wall, in the order of `observe`.

    A prism is the pixel's footprint, half a pixel to either side of its center, times the slab's thickness around the
    slice as it lies in the patient, moved by `Stack.offsets`. Pixels whose prism holds no node are left out.

    The box is the cube around all nodes, those in gaps included: a millimeter is then the same along every axis, and
    nowhere on the mesh does the network leave the range that it knows.

    Args:
        points: (M, 3) all nodes of the mesh, RAS mm.
        stacks: checked by `observe`.

    Returns:
        No group at all where no node lies in any prism.
    """
    node, group, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)], []
    first = 0
    for stack in stacks:
        wall = stack.wall > 0
        number = np.full(wall.shape, -1)
        number[wall] = first + np.arange(wall.sum())
        first += int(wall.sum())
        values.append(stack.scar[wall])
        depth = points @ stack.normal
        for plane, numbers in zip(planes_of(stack), number, strict=True):
            from_middle = depth - plane.origin @ plane.normal
            half = plane.thickness / 2
            within = np.flatnonzero((from_middle >= -half) & (from_middle < half))
            # Least squares rather than dot products: rows and columns need not be at right angles.
            to_pixel = np.linalg.pinv(np.stack([plane.u, plane.v], axis=1))
            # A pixel reaches from half an index below its center to half above; a node on the border is the next one's.
            i, j = np.floor((points[within] - plane.origin) @ to_pixel.T + 0.5).astype(np.int64).T
            known = (i >= 0) & (i < numbers.shape[1]) & (j >= 0) & (j < numbers.shape[0])
            found = np.full(len(within), -1)
            found[known] = numbers[j[known], i[known]]
            node.append(within[found >= 0])
            group.append(found[found >= 0])
    nodes, groups = np.concatenate(node), np.concatenate(group)
    order = np.argsort(groups, kind="stable")
    met, sizes = np.unique(groups, return_counts=True)
    low, high = points.min(axis=0), points.max(axis=0)
    half_side = (high - low).max() / 2
    box = (low + high) / 2 + np.array([[-half_side], [half_side]])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    nodes = nodes[order]
    return NodeGroups(points[nodes], np.concatenate(values)[met].astype(np.float32), offsets, box, nodes, met)


def training_groups(points: Floats, stacks: Sequence[Stack]) -> NodeGroups:
    """`group_nodes` where there is something to train on.

    Raises:
        InputError: no node lies in any prism.
    """
    groups = group_nodes(points, stacks)
    if not len(groups):
        raise InputError(
            "No node of the mesh lies in any pixel of the wall.",
            "Check that they belong together, and the mesh's unit.",
        )
    return groups


def write_npz(path: Path, groups: NodeGroups) -> None:
    """Write groups as cardioscar's training data: one row for each node of a group, coordinates 0 to 1 within the box.

    Its scaler is the box. Since that is a cube for our own groups, whoever trains on the file has the same millimeter
    along every axis too.
    """
    coordinates = (groups.points - groups.box[0]) / (groups.box[1] - groups.box[0])
    with atomic_path(path) as part:
        np.savez(
            part,
            coordinates=coordinates.astype(np.float32),
            intensities=np.repeat(groups.values, groups.sizes)[:, None],
            group_ids=np.repeat(np.arange(len(groups), dtype=np.int32), groups.sizes),
            group_sizes=groups.sizes.astype(np.int32),
            scaler_min=groups.box[0],
            scaler_max=groups.box[1],
        )


def read_npz(path: Path) -> NodeGroups:
    """Read training data as cardioscar's `prepare` or ours wrote them; rows may come in any order.

    Raises:
        InputError: no such file, arrays missing, of wrong shapes or not finite, coordinates or values outside of
            [0, 1], group numbers that do not count up from 0, or several values in one group.
    """
    arrays = _load(path)
    coordinates, ids, sizes = arrays["coordinates"], arrays["group_ids"], arrays["group_sizes"]
    intensities = arrays["intensities"][:, 0]
    box = np.stack([arrays["scaler_min"], arrays["scaler_max"]]).astype(np.float64)
    for name in ("group_ids", "group_sizes"):
        if not np.issubdtype(arrays[name].dtype, np.integer):
            raise InputError(f"{path}: {name} holds no whole numbers.", _AGAIN)
    if not (box[1] > box[0]).all():
        raise InputError(f"{path}: scaler_max does not exceed scaler_min along every axis.", _AGAIN)
    if not len(ids) or ids.min() < 0 or ids.max() >= len(sizes):
        raise InputError(f"{path}: the groups are not numbered from 0 to {len(sizes) - 1}.", _AGAIN)
    if not np.array_equal(np.bincount(ids, minlength=len(sizes)), sizes) or not sizes.all():
        raise InputError(f"{path}: group_sizes does not count the nodes of each group in group_ids.", _AGAIN)
    for name, values in (("coordinates", coordinates), ("intensities", intensities)):
        # A little beyond 1 comes from rounding.
        if values.min() < -1e-5 or values.max() > 1 + 1e-5:
            raise InputError(
                f"{path}: {name} must lie within 0 and 1, found {values.min():.4g} to {values.max():.4g}.", _AGAIN
            )
    order = np.argsort(ids, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    values = intensities[order]
    mixed = np.flatnonzero(values != np.repeat(values[offsets[:-1]], sizes))
    if len(mixed):
        raise InputError(
            f"{path}: group {ids[order][mixed[0]]} has several values; its nodes lie in one pixel and share its value.",
            "Files of older versions of cardioscar mix two ways of rounding to a voxel. " + _AGAIN,
        )
    points = coordinates[order].astype(np.float64) * (box[1] - box[0]) + box[0]
    return NodeGroups(points, np.clip(values[offsets[:-1]], 0, 1).astype(np.float32), offsets, box)


def _load(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays by name, with the shapes that they must have and finite."""
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise InputError(f"{path} is no .npz file of training data.", _AGAIN)
        with file:
            if missing := [name for name in _NAMES if name not in file]:
                raise InputError(f"{path} lacks {', '.join(missing)}.", _AGAIN)
            arrays = {name: file[name] for name in _NAMES}
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.", "Check the path.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:  # ValueError: a pickle, which is not loaded
        raise InputError(f"{path} is damaged, or holds more than numbers: {error}.", _AGAIN) from error
    n, m = arrays["group_ids"].size, arrays["group_sizes"].size
    for name, shape in zip(_NAMES, ((n, 3), (n, 1), (n,), (m,), (3,), (3,)), strict=True):
        if arrays[name].shape != shape:
            raise InputError(f"{path}: {name} has the shape {arrays[name].shape}, expected {shape}.", _AGAIN)
        if arrays[name].dtype.kind not in "fiu" or not np.isfinite(arrays[name]).all():
            raise InputError(f"{path}: {name} holds what is no finite number.", _AGAIN)
    return arrays
