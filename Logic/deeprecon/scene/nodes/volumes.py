"""Volume nodes to volumes and back."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume, check_affine, check_geometry
from deeprecon.steps import Apart, Steps, in_steps

THICKNESS_ATTRIBUTE = "DeepRecon.SliceThickness"
_DICOM_SLICE_THICKNESS = "0018,0050"


@in_steps
def volume_from_node(node: Any) -> Steps[Volume]:
    """The image of a scalar or label map volume node, in world coordinates.

    Args:
        node: vtkMRMLScalarVolumeNode; a linear parent transform is applied to the geometry, no voxel is resampled.

    Raises:
        InputError: no image, several components, a non-linear parent transform, or a sheared grid.
    """
    name = node.GetName()
    if image_of(node).GetNumberOfScalarComponents() != 1:
        raise InputError(f"The volume {name} is a color or vector image.", "Choose one with one value in each voxel.")
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ijk_to_ras = matrix_to_world(node) @ slicer.util.arrayFromVTKMatrix(matrix)
    thickness = slice_thickness(node)
    from_dicom = bool(node.GetAttribute("DICOM.instanceUIDs"))
    across = 0 if from_dicom or thickness is not None else None  # so Slicer loads DICOM, and `node_from_volume` stores
    array = yield from copied_voxels(node)
    volume = Volume(array, ijk_to_ras, name, thickness, across)
    check_geometry(volume)
    return volume


def image_of(node: Any) -> Any:
    """The vtkImageData of a volume node.

    Raises:
        InputError: there is none, or it is empty.
    """
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"{node.GetName()} holds no image.", "Choose another one.")
    return image


def copied_voxels(node: Any) -> Steps[npt.NDArray[np.generic]]:
    """A copy of the voxels of a volume node (k, j, i), or (k, j, i, V) where it has several components.

    A thread fetches the memory, which takes ten times as long as filling it.

    Raises:
        InputError: no image, or another one than before that step.
    """
    before = _voxels(node)
    text = f"Copying {node.GetName()}…"
    space: npt.NDArray[np.generic] = yield Apart(text, partial(np.full, before.shape, 0, before.dtype))
    del before  # its memory may be gone
    now = _voxels(node)
    if now.shape != space.shape or now.dtype != space.dtype:
        raise InputError(f"{node.GetName()} was changed while it was read.", "Start again.")
    np.copyto(space, now)
    return space


def _voxels(node: Any) -> npt.NDArray[np.generic]:
    image = image_of(node)
    array = vtk_to_numpy(image.GetPointData().GetScalars())
    voxels: npt.NDArray[np.generic] = array.reshape(*image.GetDimensions()[::-1], *array.shape[1:])
    return voxels


@in_steps
def node_from_volume(volume: Volume, name: str, node: Any = None) -> Steps[Any]:
    """Put a volume into the scene; what Slicer takes long for are two steps.

    Args:
        volume: its array is copied.
        name: of the node.
        node: vtkMRMLScalarVolumeNode whose image and geometry are replaced; a new one is made if None.

    Returns:
        The node, free of any parent transform.

    Raises:
        InputError: a sheared or singular grid; nothing is changed then.
    """
    check_affine(volume.ijk_to_ras, volume.name)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    with slicer.util.NodeModify(node):
        node.SetName(name)
        node.SetAndObserveTransformNodeID(None)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volume.ijk_to_ras))
        slicer.util.updateVolumeFromArray(node, _storable(volume.array))
        thickness = volume.slice_thickness if volume.across in (0, None) else None
        node.SetAttribute(THICKNESS_ATTRIBUTE, None if thickness is None else repr(float(thickness)))
    if node.GetDisplayNode() is None:
        yield f"Preparing {name} for display…"
        node.CreateDefaultDisplayNodes()
    return node


def matrix_to_world(node: Any) -> npt.NDArray[np.float64]:
    """(4, 4) matrix from node coordinates to world coordinates, both RAS mm; the identity without a parent transform.

    Raises:
        InputError: a parent transform that is not linear.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            f"{node.GetName()} has the non-linear parent transform {parent.GetName()}.",
            "Harden the transform first (Transforms module), or take the node out of it.",
        )
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return np.array(slicer.util.arrayFromVTKMatrix(matrix))


def _storable(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The array in a type that VTK and the image formats support, in native byte order."""
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.kind in "iu" and (array.dtype.itemsize == 8 or array.dtype == np.uint32):
        limits = np.iinfo(np.int32)  # Slicer does not show 64-bit integers
        fits = array.size == 0 or (array.min() >= limits.min and array.max() <= limits.max)
        return array.astype(np.int32 if fits else np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def slice_thickness(node: Any) -> float | None:
    """Thickness in mm of the slices of a volume node, which may differ from their distance; None if unknown.

    Taken from the attribute that `node_from_volume` sets, else from Slicer's DICOM database.
    """
    text = node.GetAttribute(THICKNESS_ATTRIBUTE)
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if text is None and instances and database is not None:
        text = database.instanceValue(instances[0], _DICOM_SLICE_THICKNESS)
    try:
        return (float(text) or None) if text else None  # 0 stands for a thickness that is not known
    except ValueError:
        return None
