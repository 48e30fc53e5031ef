"""Meshes of tetrahedra for simulations, from a closed surface or from the wall drawn in slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkDoubleArray
from vtkmodules.vtkFiltersCore import vtkImplicitPolyDataDistance

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Inside, Mesh, triangles_of
from deeprecon.data.mesh.voxels import stack_depth
from deeprecon.jobs.run import Outcome, Run
from deeprecon.numerics.isosurface_stuffing import stuff
from deeprecon.numerics.tetrahedra import Tetrahedra
from deeprecon.scar.electrophysiology.parameters import MeshingInputs, MeshingParameters
from deeprecon.scar.parameters import Frame, Unit
from deeprecon.scar.read.regions import open_regions
from deeprecon.scar.read.result import read_ventricles
from deeprecon.scar.read.roles import parse_labels

Floats = npt.NDArray[np.float64]
Depth = Callable[[Floats], Floats]

_SPACING = 1.12
"""Spacing of the lattice over the mean edge of the tetrahedra that it makes."""
_MAX_LOST = 0.02
"""Share of the wall that pieces beside the largest may have, which are left out."""
_MAX_NODES = 40_000_000
"""Nodes of the lattice above which the edge is refused: about 10 GB."""


def simulation_mesh(inputs: MeshingInputs, parameters: MeshingParameters, run: Run) -> Outcome:
    """A mesh of tetrahedra of the wall, without the steps of voxels and between slices interpolated by shape.

    The quality of its elements is among the figures: the smallest and largest angle between two faces, and the smallest
    radius ratio, three times the radius of the inscribed over that of the circumscribed sphere.

    Raises:
        InputError: neither or both inputs; an open surface; no wall; an edge that tears the wall apart, or so small
            that the mesh would not fit the memory.
    """
    if (inputs.surface is None) == (inputs.myocardium is None):
        raise InputError("Give either a surface or a myocardium.", "One of --surface and --myocardium.")
    run.reporter.status("Reading the wall")
    depth, low, high, name = _surface_depth(inputs, parameters, run) if inputs.surface else _drawn(inputs, parameters)
    spacing = _SPACING * parameters.edge
    if np.prod((high - low) / spacing + 3) * 2 > _MAX_NODES:
        raise InputError(f"An edge of {parameters.edge:g} mm is too small for {name}.", "Choose a larger --edge.")
    run.reporter.status("Filling it with tetrahedra")
    try:
        mesh = Tetrahedra.of(*stuff(depth, low, high, spacing))
    except ValueError as error:
        raise InputError(f"No tetrahedron fits into {name}: {error}.", "Choose a smaller --edge.") from error
    mesh = _largest(mesh, name, run)
    path = run.output / "mesh.vtu"
    write_mesh(path, Mesh.from_arrays(mesh.points, mesh.corners), Unit.MM.value, Frame.LPS.value)
    placement = {"mesh_unit": Unit.MM.value, "mesh_frame": Frame.LPS.value}
    return Outcome({"mesh": path}, quality(mesh) | placement)


def quality(mesh: Tetrahedra) -> dict[str, Any]:
    """Figures of a mesh: size, volume, mean edge, angles between faces and radius ratio."""
    place = mesh.points[mesh.corners]
    areas = mesh.slopes * (3 * mesh.volumes)[:, None, None]  # inward normals of the faces, as long as their areas
    length = np.linalg.norm(areas, axis=2)
    pairs = [(one, other) for one in range(4) for other in range(one)]
    cosines = [-np.einsum("md,md->m", areas[:, a], areas[:, b]) / (length[:, a] * length[:, b]) for a, b in pairs]
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    inscribed = 3 * mesh.volumes / length.sum(axis=1)
    sides = place[:, 1:] - place[:, :1]
    squares = (sides**2).sum(axis=2)
    turned = np.stack([np.cross(sides[:, (each + 1) % 3], sides[:, (each + 2) % 3]) for each in range(3)], axis=1)
    circumscribed = np.linalg.norm(np.einsum("ms,msd->md", squares, turned), axis=1) / (12 * mesh.volumes)
    return {
        "nodes": len(mesh.points),
        "elements": len(mesh.corners),
        "volume_ml": round(float(mesh.volumes.sum()) / 1000, 3),
        "mean_edge_mm": round(mesh.mean_edge(), 3),
        "smallest_angle_degrees": round(float(angles.min()), 2),
        "largest_angle_degrees": round(float(angles.max()), 2),
        "smallest_radius_ratio": round(float((3 * inscribed / circumscribed).min()), 4),
    }


def _largest(mesh: Tetrahedra, name: str, run: Run) -> Tetrahedra:
    """The largest piece; refuses a wall that is torn apart."""
    piece = mesh.pieces()[mesh.corners[:, 0]]
    sizes = np.bincount(piece, mesh.volumes)
    kept = piece == sizes.argmax()
    lost = 1 - float(sizes.max() / sizes.sum())
    if lost > _MAX_LOST:
        raise InputError(
            f"The mesh of {name} falls into pieces; the largest has {1 - lost:.0%} of its volume.",
            "Choose a smaller --edge, or keep one piece of the wall.",
        )
    if lost > 0:
        run.reporter.warning(f"Left out: small pieces of {1000 * lost * sizes.sum() / 1e6:.2g} ml beside the wall.")
    used, corners = np.unique(mesh.corners[kept], return_inverse=True)
    return Tetrahedra(mesh.points[used], corners.reshape(-1, 4))


def _drawn(inputs: MeshingInputs, parameters: MeshingParameters) -> tuple[Depth, Floats, Floats, str]:
    """Depth in the wall that slices show, the corners of a box around it, and the name of the file."""
    assert inputs.myocardium is not None
    regions = open_regions(inputs.myocardium, parse_labels(parameters.labels))
    return *stack_depth(regions.region("myocardium"), parameters.slice_thickness), regions.name


def _surface_depth(inputs: MeshingInputs, parameters: MeshingParameters, run: Run) -> tuple[Depth, Floats, Floats, str]:
    """Depth below a closed surface, the corners of a box around it, and the name of the file."""
    from scipy.spatial import cKDTree

    assert inputs.surface is not None
    heart = read_ventricles(inputs.surface, parameters.mesh_unit, parameters.mesh_frame)
    run.consider(heart.doubts)
    inside, closed = Inside(heart.mesh), triangles_of(heart.mesh)
    exact = vtkImplicitPolyDataDistance()
    exact.SetInput(closed)
    nodes = vtk_to_numpy(closed.GetPoints().GetData()).astype(np.float64)
    tree = cKDTree(nodes)
    corners = nodes[Mesh(closed).cells()[0].reshape(-1, 3)]
    longest = float(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max())

    def depth(points: Floats) -> Floats:
        sign = np.where(inside(points), 1.0, -1.0)
        distance = tree.query(points)[0]
        near = np.flatnonzero(distance < 3 * parameters.edge + longest)  # of the others only the sign counts
        found = vtkDoubleArray()
        exact.FunctionValue(numpy_to_vtk(np.ascontiguousarray(points[near]), deep=True), found)
        signed = -vtk_to_numpy(found)
        distance[near] = np.abs(signed)
        # VTK's sign is unsure at edges; that of the raster holds farther off than its steps.
        unsure = distance[near] <= inside.spacing
        sign[near[unsure]] = np.sign(signed[unsure])
        result: Floats = sign * distance
        return result

    return depth, nodes.min(axis=0), nodes.max(axis=0), inputs.surface.name
