"""Vectors at the nodes and cells of a mesh turn with its points: fibers and sheets, normals, tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_DOUBLE, VTK_FLOAT
from vtkmodules.vtkCommonDataModel import vtkDataSetAttributes, vtkPointSet

Floats = npt.NDArray[np.float64]

_TENSOR = 9


def vector_arrays(data: vtkDataSetAttributes) -> dict[int, Any]:
    """The VTK arrays that turn when the axes do, by their numbers: all of floating point values with 3 components, such
    as fibers, sheets, displacements and normals, or with 9, which are tensors by rows.

    Whole numbers (colors) and texture coordinates do not, nor does what has another number of components. Colors in
    floating point look like vectors and count as such.
    """
    arrays = {index: data.GetArray(index) for index in range(data.GetNumberOfArrays())}
    return {
        index: array
        for index, array in arrays.items()
        if array is not None
        and array.GetDataType() in (VTK_FLOAT, VTK_DOUBLE)
        and array.GetNumberOfComponents() in (3, _TENSOR)
        and array is not data.GetTCoords()
    }


def turn_vectors(dataset: vtkPointSet, at_points: npt.ArrayLike, at_cells: npt.ArrayLike) -> None:
    """Turn the vectors of a dataset, in new arrays; the arrays there were, which others may share, stay as they are.

    Vectors are directions here, not lengths: a vector v goes the way of J v and keeps its own length, so that neither
    another unit of the points nor a transform that stretches them changes it. Normals n go the way of J^-T n, and
    tensors T become R T R^T with R the rotation in J (the orthogonal factor of its polar decomposition). Names, types,
    order and roles (active normals and so on) of the arrays stay.

    Args:
        dataset: its points are left alone.
        at_points: (3, 3) matrix J that turns the axes, or (N, 3, 3), one for each of N nodes: the Jacobian of a bending
            transform. No unit.
        at_cells: the same for C cells, (3, 3) or (C, 3, 3).
    """
    for data, given in ((dataset.GetPointData(), at_points), (dataset.GetCellData(), at_cells)):
        jacobians = np.asarray(given, np.float64)
        found = vector_arrays(data)
        if found:
            _replace(data, {index: _turned(array, jacobians, data) for index, array in found.items()})


def _turned(array: Any, jacobians: Floats, data: vtkDataSetAttributes) -> Any:
    """A copy of a VTK array of vectors or tensors, turned by (3, 3) or (N, 3, 3) Jacobians."""
    values = vtk_to_numpy(array).astype(np.float64)
    if values.shape[1] == _TENSOR:
        left, _stretch, right = np.linalg.svd(jacobians)
        rotation = left @ right
        values = (rotation @ values.reshape(-1, 3, 3) @ np.swapaxes(rotation, -1, -2)).reshape(-1, _TENSOR)
    else:
        is_normal = array is data.GetNormals() or array.GetName() == "Normals"
        matrices = np.swapaxes(np.linalg.pinv(jacobians), -1, -2) if is_normal else jacobians
        lengths = np.linalg.norm(values, axis=1)
        values = np.einsum("...ij,...j->...i", matrices, values)
        now = np.linalg.norm(values, axis=1)
        if not np.allclose(now, lengths, rtol=1e-12, atol=0):  # a mere turn is kept bit for bit
            values *= np.divide(lengths, now, out=np.ones_like(now), where=now > 0)[:, None]
    copy = array.NewInstance()
    copy.DeepCopy(array)  # with its names
    vtk_to_numpy(copy)[...] = values
    copy.Modified()
    return copy


def _replace(data: vtkDataSetAttributes, others: dict[int, Any]) -> None:
    """Exchange arrays, by their numbers, for others; all keep their order and roles."""
    arrays = [data.GetAbstractArray(index) for index in range(data.GetNumberOfArrays())]
    roles = {kind: data.GetAbstractAttribute(kind) for kind in range(vtkDataSetAttributes.NUM_ATTRIBUTES)}
    places = {kind: index for kind, role in roles.items() for index, array in enumerate(arrays) if array is role}
    for _ in arrays:
        data.RemoveArray(0)
    for index, array in enumerate(arrays):
        data.AddArray(others.get(index, array))
    for kind, index in places.items():
        data.SetActiveAttribute(index, kind)
