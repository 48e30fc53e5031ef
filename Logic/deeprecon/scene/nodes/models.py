"""Meshes of model nodes, and meshes as model nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.mesh.vectors import turn_vectors, vector_arrays


def mesh_from_node(node: Any) -> Mesh:
    """The mesh of a model node in the world, RAS mm.

    Args:
        node: vtkMRMLModelNode with a surface or a volume mesh; parent transforms of any kind are applied to its points,
            and turn its vectors and tensors (see `vector_arrays`), which keep their lengths.

    Returns:
        A mesh with the node's order of points and cells and with its arrays.

    Raises:
        InputError: the node holds no mesh.
    """
    source = node.GetMesh()
    if source is None or source.GetNumberOfPoints() == 0:
        raise InputError(f"The model {node.GetName()} holds no mesh.", "Choose another model.")
    dataset = source.NewInstance()
    dataset.DeepCopy(source)
    if node.GetParentTransformNode() is not None:
        transform = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, transform)
        moved = vtk.vtkPoints()
        moved.SetDataTypeToDouble()
        transform.TransformPoints(source.GetPoints(), moved)
        if vector_arrays(dataset.GetPointData()) or vector_arrays(dataset.GetCellData()):
            centers = vtk.vtkCellCenters()
            centers.SetInputData(source)
            centers.Update()
            at_cells = _jacobians(transform, centers.GetOutput().GetPoints())
            turn_vectors(dataset, _jacobians(transform, source.GetPoints()), at_cells)
        dataset.SetPoints(moved)
    return Mesh(dataset, node.GetName())


def _jacobians(transform: Any, points: Any) -> npt.NDArray[np.float64]:
    """(N, 3, 3) derivatives of a transform of any kind at N vtkPoints: row i, column j is d out_i / d in_j."""
    places = vtk.vtkPolyData()
    places.SetPoints(points)
    for name, axis in zip("ijk", np.eye(3), strict=True):
        array = numpy_to_vtk(np.tile(axis, (points.GetNumberOfPoints(), 1)), deep=True)
        array.SetName(name)
        places.GetPointData().AddArray(array)
    moving = vtk.vtkTransformFilter()
    moving.SetInputData(places)
    moving.SetTransform(transform)
    moving.TransformAllInputVectorsOn()
    moving.SetOutputPointsPrecision(vtk.vtkAlgorithm.DOUBLE_PRECISION)
    moving.Update()
    turned = moving.GetOutput().GetPointData()
    return np.stack([vtk_to_numpy(turned.GetArray(name)).astype(np.float64) for name in "ijk"], axis=-1)


def node_from_mesh(mesh: Mesh, name: str, node: Any = None) -> Any:
    """Put a mesh into the scene; points, cells and arrays keep their order.

    Args:
        mesh: RAS mm.
        name: of the node.
        node: vtkMRMLModelNode whose mesh is replaced; a new one is made if None.

    Returns:
        The node, free of any parent transform.
    """
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
    dataset = mesh.dataset.NewInstance()
    dataset.ShallowCopy(mesh.dataset)
    with slicer.util.NodeModify(node):
        node.SetName(name)
        node.SetAndObserveTransformNodeID(None)
        node.SetAndObserveMesh(dataset)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node
