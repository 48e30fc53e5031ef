"""Transforms out of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from deeprecon.data.errors import InputError


def node_from_transform_file(path: Path, name: str, node: Any = None) -> Any:
    """Put the transform of an ITK file (.h5, .tfm) into the scene; a field of displacements becomes a grid transform.

    The file's map is the one from the parent of the node, as for every transform that Slicer reads.

    Args:
        path: the file, points in LPS mm.
        name: of the node.
        node: vtkMRMLTransformNode whose transform is replaced; a new one is made if None.

    Raises:
        InputError: the file holds no transform.
    """
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(path))
    read = slicer.vtkMRMLGridTransformNode() if node is None else node
    if not storage.ReadData(read):
        raise InputError(f"{path} holds no transform that can be read.", "Run the job again.")
    read.SetName(name)
    return slicer.mrmlScene.AddNode(read) if node is None else node
