"""Checks before a run that a heart mesh lies on the myocardium: its length unit and its axes may be wrong."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import FRAMES, SCALES
from deeprecon.scene.nodes.models import mesh_from_node
from deeprecon.scene.scar.job import ScarNodes
from deeprecon.scene.scar.segments import chosen_volume

UNIT_NAMES = {"mm": "millimeters", "cm": "centimeters", "m": "meters", "um": "micrometers"}

MIN_OVERLAP = 0.15
"""Overlap of the bounding boxes of mesh and wall, see `overlap`, from which on the mesh is taken to lie on the wall."""


class MeshPlacementCheck:
    """Checks the placement of a mesh; keeps the bounds of the wall until the wall changes."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._wall: npt.NDArray[np.float64] | None = None

    def problem(self, nodes: ScarNodes) -> str:
        """A question about unit and axes, or an error in the wall; empty if the mesh lies on the wall."""
        if nodes.mesh is None or nodes.missing():
            return ""
        segmentation = nodes.segmentation.GetSegmentation()
        key = nodes.segmentation.GetID(), nodes.segments["myocardium"], segmentation.GetMTime()
        try:
            if self._wall is None or self._key != key:
                self._wall, self._key = wall_bounds(nodes), key
            return mesh_placement_problem(nodes, self._wall)
        except InputError as error:
            return str(error)


def mesh_placement_problem(nodes: ScarNodes, wall: npt.NDArray[np.float64]) -> str:
    """A question about unit and axes, if the mesh does not lie on the wall; else empty.

    Args:
        nodes: with a mesh.
        wall: (2, 3) lower and upper corner of the wall in RAS mm, see `wall_bounds`.
    """
    if overlap(_bounds(nodes.mesh) * nodes.mesh_scale, wall) >= MIN_OVERLAP:
        return ""
    mesh = _bounds_of_cells(nodes.mesh)
    if overlap(mesh * nodes.mesh_scale, wall) >= MIN_OVERLAP:
        return ""
    fits = [
        f"{UNIT_NAMES[unit]} ({frame.upper()})"
        for unit, frame in itertools.product(SCALES, FRAMES)
        if overlap(mesh * SCALES[unit] * FRAMES[frame], wall) >= MIN_OVERLAP
    ]
    size = " × ".join(f"{length:.3g}" for length in mesh[1] - mesh[0])
    wall_size = " × ".join(f"{length:.3g}" for length in wall[1] - wall[0])
    lead = f"The mesh (size {size}) does not lie on the myocardium (size {wall_size} mm)."
    if fits:
        return f"{lead} It would if its coordinates were {' or '.join(fits)}. What are they?"
    return f"{lead} No unit or axes bring them together: check that both belong to the same patient, or move the mesh."


def wall_bounds(nodes: ScarNodes) -> npt.NDArray[np.float64]:
    """(2, 3) lower and upper corner of the myocardium in RAS mm.

    Raises:
        InputError: the segment is empty or cannot be made into voxels.
    """
    volume = chosen_volume(nodes.segmentation, nodes.segments["myocardium"])
    indices = np.argwhere(volume.array)
    if len(indices) == 0:
        raise InputError("The segment of the myocardium is empty.", "Draw it, or choose another segment.")
    centers = indices[:, ::-1] @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3]
    half_voxel = np.abs(volume.ijk_to_ras[:3, :3]).sum(axis=1) / 2  # extent along each world axis
    return np.stack([centers.min(axis=0) - half_voxel, centers.max(axis=0) + half_voxel])


def overlap(mesh: npt.NDArray[np.float64], wall: npt.NDArray[np.float64]) -> float:
    """Shared volume of two boxes over the volume of the larger one; each as (2, 3) opposite corners in RAS mm."""
    low, high = mesh.min(axis=0), mesh.max(axis=0)
    shared = np.prod(np.clip(np.minimum(high, wall[1]) - np.maximum(low, wall[0]), 0, None))
    largest = max(np.prod(high - low), np.prod(wall[1] - wall[0]))
    return float(shared / largest) if largest > 0 else 0.0


def _bounds(node: Any) -> npt.NDArray[np.float64]:
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    return np.array(bounds).reshape(3, 2).T


def _bounds_of_cells(node: Any) -> npt.NDArray[np.float64]:
    """The same of the nodes that cells use."""
    mesh = mesh_from_node(node)
    points = mesh.points[mesh.cells()[0]]
    return np.stack([points.min(axis=0), points.max(axis=0)]) if len(points) else _bounds(node)
