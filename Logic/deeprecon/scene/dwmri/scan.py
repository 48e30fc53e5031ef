"""Diffusion scans as nodes, and back: diffusion weighted volumes, and sequences of volumes.

A diffusion weighted volume keeps its directions in a measurement frame: frame times direction is in RAS. A sequence has
no gradients. Those of a sequence that was loaded from a file are read from that file and its tables; those of one that
was made here are in an attribute of the node.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from vtk.util import numpy_support

from deeprecon.data.diffusion.files import read_dwi, read_gradients
from deeprecon.data.diffusion.gradients import GradientTable, gradient_table, image_rotation
from deeprecon.data.diffusion.kinds import part_doubts, read_sidecar, stated_part
from deeprecon.data.diffusion.scan import DwiScan, usable_scan
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume, check_affine
from deeprecon.data.volume_io import NIFTI, NRRD
from deeprecon.scene.nodes.volumes import copied_voxels, image_of, matrix_to_world, node_from_volume, volume_from_node
from deeprecon.steps import Apart, Steps, in_steps

WEIGHTED, SEQUENCE = "vtkMRMLDiffusionWeightedVolumeNode", "vtkMRMLSequenceNode"
_GRADIENTS = "DeepRecon.Gradients"
"""Attribute of a sequence: b-values and directions in RAS, as JSON."""

_DOUBTS = "DeepRecon.Doubts"
"""Attribute of a scan node: doubts about the file that it was loaded from, as JSON."""

_SIDECAR = "DeepRecon.Sidecar"
"""Attribute of a scan node: the JSON file beside the file that it was loaded from."""

Array = npt.NDArray[np.float64]


@in_steps
def scan_from_node(node: Any) -> Steps[DwiScan]:
    """The scan of a node, in world coordinates.

    Args:
        node: vtkMRMLDiffusionWeightedVolumeNode or vtkMRMLSequenceNode; a linear parent transform is applied to the
            geometry and the gradients, no voxel is resampled.

    Raises:
        InputError: no image, gradients that are missing or do not fit, a non-linear parent transform, a sheared grid.
    """
    array, ijk_to_ras = yield from (_sequence_image(node) if node.IsA(SEQUENCE) else _image(node))
    check_affine(ijk_to_ras, node.GetName())
    doubts = Doubt.from_json(json.loads(node.GetAttribute(_DOUBTS) or "[]"))
    if not doubts and (path := _loaded_file(node)) is not None:
        doubts = part_doubts(stated_part(path, read_sidecar(path)), path.name)
    scan = DwiScan(array, ijk_to_ras, gradients_of(node), node.GetName(), doubts=doubts)
    usable: DwiScan = yield Apart("Checking the scan…", partial(usable_scan, scan))
    return usable


def gradients_of(node: Any) -> GradientTable:
    """The b-values and world directions of a node, without reading its image.

    Raises:
        InputError: as `scan_from_node`.
    """
    if node.IsA(SEQUENCE):
        return _sequence_gradients(node)
    bvals, directions = raw_gradients(node)
    frame = vtk.vtkMatrix4x4()
    node.GetMeasurementFrameMatrix(frame)
    turn = image_rotation(matrix_to_world(node)) @ slicer.util.arrayFromVTKMatrix(frame)[:3, :3]
    return gradient_table(bvals, directions @ turn.T, node.GetName())


def raw_gradients(node: Any) -> tuple[Array, Array]:
    """(V,) b-values and (V, 3) directions of a diffusion weighted volume, as stored in the node."""
    count = node.GetNumberOfGradients()
    if count == 0:
        return np.zeros(0), np.zeros((0, 3))
    bvals = np.array(numpy_support.vtk_to_numpy(node.GetBValues()), float).ravel()
    return bvals, np.array(numpy_support.vtk_to_numpy(node.GetDiffusionGradients()), float).reshape(count, 3)


def count_volumes(node: Any) -> int:
    """Number of volumes of a scan node, 0 where it is empty."""
    if node.IsA(SEQUENCE):
        return int(node.GetNumberOfDataNodes())
    image = node.GetImageData()
    return 0 if image is None else int(image.GetNumberOfScalarComponents())


def count_values(node: Any) -> int:
    """Number of values of a scan node: voxels times volumes."""
    image = node if not node.IsA(SEQUENCE) else node.GetNthDataNode(0)
    data = None if image is None or not hasattr(image, "GetImageData") else image.GetImageData()
    return 0 if data is None else int(data.GetNumberOfPoints()) * count_volumes(node)


@in_steps
def open_scan(path: Path) -> Steps[Any]:
    """Load a scan into the scene as a diffusion weighted volume, named after its file, or after its DICOM folder.

    Args:
        path: NIfTI, DWI NRRD, or any file of a DICOM series.

    Raises:
        InputError: as `read_dwi`.
    """
    scan = yield Apart("Reading the scan…", partial(read_dwi, path))
    name = scan.name.split(".")[0] if path.name.lower().endswith(NIFTI + NRRD) else scan.name
    node = node_from_scan(scan, slicer.mrmlScene.GenerateUniqueName(name))
    if scan.doubts:
        node.SetAttribute(_DOUBTS, json.dumps([doubt.as_json() for doubt in scan.doubts]))
    if path.name.lower().endswith(NIFTI + NRRD) and (sidecar := read_sidecar(path)):
        node.SetAttribute(_SIDECAR, json.dumps(sidecar))
    return node


def sidecar_of(node: Any) -> dict[str, Any]:
    """The entries of the JSON file beside the file that a scan node was loaded from; empty where there is none."""
    if text := node.GetAttribute(_SIDECAR):
        entries: dict[str, Any] = json.loads(text)
        return entries
    path = _loaded_file(node)
    return {} if path is None else read_sidecar(path)


def node_from_scan(scan: DwiScan, name: str, node: Any = None, like: Any = None) -> Any:
    """Put a scan into the scene.

    Args:
        scan: its array is copied.
        name: of the node.
        node: whose content is replaced; a new one is made if None, or if it is not of the class of `like`.
        like: node whose class is taken and, if it has no parent transform, whose gradients and frame are copied
            unchanged; a diffusion weighted volume is made if None.

    Returns:
        The node, free of any parent transform.
    """
    check_affine(scan.ijk_to_ras, scan.name)
    kind = WEIGHTED if like is None else like.GetClassName()
    if node is None or node.GetClassName() != kind:
        node = slicer.mrmlScene.AddNewNodeByClass(kind, name)
    with slicer.util.NodeModify(node):
        node.SetName(name)
        if kind == SEQUENCE:
            _fill_sequence(node, scan)
            return node
        node.SetAndObserveTransformNodeID(None)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(scan.ijk_to_ras))
        _set_components(node, scan.array)
        _set_gradients(node, scan, like)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node


def node_from_colors(array: npt.NDArray[np.floating[Any]], ijk_to_ras: Array, name: str, node: Any = None) -> Any:
    """Put a color image (k, j, i, 3) of 0 to 1 into the scene, as 8-bit colors."""
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", name)
    with slicer.util.NodeModify(node):
        node.SetName(name)
        node.SetAndObserveTransformNodeID(None)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
        _set_components(node, np.round(255 * np.clip(np.nan_to_num(array), 0, 1)).astype(np.uint8))
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node


def _image(node: Any) -> Steps[tuple[npt.NDArray[np.generic], Array]]:
    matrix = vtk.vtkMatrix4x4()
    image_of(node)
    node.GetIJKToRASMatrix(matrix)
    ijk_to_ras = matrix_to_world(node) @ slicer.util.arrayFromVTKMatrix(matrix)
    array = yield from copied_voxels(node)
    return array if array.ndim == 4 else array[..., None], ijk_to_ras


def _sequence_image(node: Any) -> Steps[tuple[npt.NDArray[np.generic], Array]]:
    volumes = [node.GetNthDataNode(index) for index in range(node.GetNumberOfDataNodes())]
    if not volumes or not all(volume.IsA("vtkMRMLScalarVolumeNode") for volume in volumes):
        raise InputError(f"{node.GetName()} is no sequence of volumes.", "Choose a diffusion scan.")
    parts = []
    for volume in volumes:
        parts.append((yield from volume_from_node.steps(volume)))
    first = parts[0]
    for part in parts[1:]:
        if part.array.shape != first.array.shape or not np.allclose(part.ijk_to_ras, first.ijk_to_ras, atol=1e-3):
            raise InputError(f"The volumes of {node.GetName()} do not have the same grid.", "Register them first.")
    arrays = [part.array for part in parts]
    return (yield Apart("Reading the scan…", partial(np.stack, arrays, axis=-1))), first.ijk_to_ras


def _sequence_gradients(node: Any) -> GradientTable:
    text = node.GetAttribute(_GRADIENTS)
    if text:
        stored = json.loads(text)
        return gradient_table(stored["b"], np.array(stored["ras"], float).reshape(-1, 3), node.GetName())
    path = _loaded_file(node)
    if path is None:
        raise InputError(
            f"The sequence {node.GetName()} has no gradients, and the file that it was loaded from does not exist.",
            "Load the scan with Open below the scan's name: NIfTI with .bval and .bvec, or DWI NRRD.",
        )
    table = read_gradients(path)
    if len(table) != node.GetNumberOfDataNodes():
        raise InputError(f"{path.name} has {len(table)} volumes, {node.GetName()} {node.GetNumberOfDataNodes()}.")
    return table


def _loaded_file(node: Any) -> Path | None:
    """The file that Slicer loaded a node from; None where there is none any more."""
    storage = node.GetStorageNode()
    path = Path(storage.GetFileName() or "") if storage is not None else Path()
    return path if path.is_file() else None


def _fill_sequence(node: Any, scan: DwiScan) -> None:
    node.RemoveAllDataNodes()
    node.SetIndexName("volume")
    node.SetIndexUnit("")
    node.SetIndexTypeFromString("numeric")
    table = scan.gradients
    content = {"b": table.bvals.tolist(), "ras": table.directions.tolist()}
    node.SetAttribute(_GRADIENTS, json.dumps(content))
    for number in range(len(table)):
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetName(f"{node.GetName()} {number}")
        volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(scan.ijk_to_ras))
        slicer.util.updateVolumeFromArray(volume, np.ascontiguousarray(scan.array[..., number]))
        node.SetDataNodeAtValue(volume, str(number))


def _set_components(node: Any, array: npt.NDArray[np.generic]) -> None:
    """Set the image of a volume node with V components from an array (k, j, i, V)."""
    k, j, i, _ = array.shape
    image = vtk.vtkImageData()
    image.SetDimensions(i, j, k)
    flat = np.ascontiguousarray(array).reshape(k * j * i, -1)
    values = numpy_support.numpy_to_vtk(flat.astype(flat.dtype.newbyteorder("="), copy=False), deep=True)
    values.SetName("ImageScalars")
    image.GetPointData().SetScalars(values)
    node.SetAndObserveImageData(image)


def _set_gradients(node: Any, scan: DwiScan, like: Any) -> None:
    """Set the gradients of the scan; if possible, copied unchanged from the node `like`."""
    bvals, directions, frame = scan.gradients.bvals, scan.gradients.directions, vtk.vtkMatrix4x4()
    if like is not None and like.GetParentTransformNode() is None and like.GetNumberOfGradients() == len(bvals):
        bvals, directions = raw_gradients(like)
        like.GetMeasurementFrameMatrix(frame)
    node.SetNumberOfGradients(len(bvals))
    node.SetBValues(numpy_support.numpy_to_vtk(np.ascontiguousarray(bvals, float), deep=True))
    node.SetDiffusionGradients(numpy_support.numpy_to_vtk(np.ascontiguousarray(directions, float), deep=True))
    node.SetMeasurementFrameMatrix(frame)


def mean_b0_volume(scan: DwiScan) -> Volume:
    """The mean of the b0 volumes; of all volumes if there is no b0."""
    chosen = scan.gradients.b0 if scan.gradients.b0.any() else np.ones(len(scan.gradients), bool)
    return scan.volume(scan.array[..., chosen].mean(axis=-1, dtype=np.float32))


def empty_like(node: Any) -> Any:
    """A volume node outside of the scene with the grid of a scan node and one value in each voxel."""
    image = node.GetNthDataNode(0) if node.IsA(SEQUENCE) else node
    matrix = vtk.vtkMatrix4x4()
    image.GetIJKToRASMatrix(matrix)
    ijk_to_ras = matrix_to_world(image) @ slicer.util.arrayFromVTKMatrix(matrix)
    grid = slicer.vtkMRMLScalarVolumeNode()
    grid.SetName(node.GetName())
    grid.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
    slicer.util.updateVolumeFromArray(grid, np.zeros(image.GetImageData().GetDimensions()[::-1], np.uint8))
    return grid


@in_steps
def node_from_map(volume: Volume, name: str, node: Any = None) -> Steps[Any]:
    """Put a mask into the scene as a label map, and any other map as a scalar volume."""
    if volume.array.dtype.kind in "iub" and node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    return (yield from node_from_volume.steps(volume, name, node))
