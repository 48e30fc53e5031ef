"""The mesh nodes in the prism of each pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.scar.observe.observations import planes_of
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.read.training_data import NodeGroups

Floats = npt.NDArray[np.float64]


def group_nodes(points: Floats, stacks: Sequence[Stack]) -> NodeGroups:
    """Put the mesh's nodes into the prisms of the pixels that show wall, in the order of `observe`.

    A prism is the pixel's footprint, half a pixel to either side of its center, times the slab's thickness around the
    slice as it lies in the patient, moved by `Stack.offsets`. Pixels whose prism holds no node are left out.

    The box is the cube around all nodes, those in gaps included: no axis is scaled against another, and every node of
    the mesh lies in the range of the network's coordinates.

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
