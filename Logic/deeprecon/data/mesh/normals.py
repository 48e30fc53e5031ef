"""Normals at the nodes of a surface, whatever the winding of its faces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkPolyDataNormals

from deeprecon.data.mesh.mesh import Mesh, with_points

Floats = npt.NDArray[np.float64]

_MAX_ROUNDS = 60


def node_normals(mesh: Mesh, reach: float) -> Floats:
    """(N, 3) unit normals, each on either side of the surface, neighbors on the same one; 0 at nodes without a face.

    Args:
        mesh: a surface, open or closed, whose faces may be wound in any way.
        reach: distance in mm along the surface over which normals are averaged, so that steps and noise of the surface
            do not turn them.
    """
    from scipy.sparse import coo_array

    connectivity, offsets, _ = mesh.cells()
    faces = vtkCellArray()
    faces.SetData(numpy_to_vtkIdTypeArray(offsets, deep=True), numpy_to_vtkIdTypeArray(connectivity, deep=True))
    surface = with_points(vtkPolyData(), mesh.points)
    surface.SetPolys(faces)
    consistent = vtkPolyDataNormals()
    consistent.SetInputData(surface)
    consistent.ConsistencyOn()
    consistent.AutoOrientNormalsOff()
    consistent.SplittingOff()
    consistent.Update()
    array = consistent.GetOutput().GetPointData().GetNormals()
    normals = np.nan_to_num(vtk_to_numpy(array).astype(np.float64))
    last = np.append(np.arange(1, len(connectivity)), 0)
    last[offsets[1:] - 1] = offsets[:-1]
    first, second = connectivity, connectivity[last]
    lengths = np.linalg.norm(mesh.points[first] - mesh.points[second], axis=1)
    edge = float(np.median(lengths[lengths > 0])) if lengths.any() else reach
    count = mesh.n_points
    pairs = np.r_[first, second], np.r_[second, first]
    near = coo_array((np.ones(2 * len(first)), pairs), shape=(count, count)).tocsr()
    near.data[:] = 1
    for _ in range(min(_MAX_ROUNDS, round((reach / edge) ** 2))):
        normals = _unit(normals + near @ normals)
    return _unit(normals)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 1e-9, lengths, 1))
