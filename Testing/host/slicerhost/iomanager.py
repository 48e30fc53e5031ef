"""`slicer.app.coreIOManager()`: reading and writing of nodes and scenes through the real storage nodes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import slicer
from PySide6 import QtCore

from .pythonqt import cppClass

# File type -> (node class, storage node class, endings that it reads)
READERS = {
    "VolumeFile": (
        "vtkMRMLScalarVolumeNode",
        "vtkMRMLVolumeArchetypeStorageNode",
        (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".dcm"),
    ),
    "ModelFile": (
        "vtkMRMLModelNode",
        "vtkMRMLModelStorageNode",
        (".vtk", ".vtp", ".vtu", ".stl", ".ply", ".obj"),
    ),
    "SegmentationFile": ("vtkMRMLSegmentationNode", "vtkMRMLSegmentationStorageNode", (".seg.nrrd", ".seg.nhdr")),
    "TableFile": ("vtkMRMLTableNode", "vtkMRMLTableStorageNode", (".csv", ".tsv")),
    "TransformFile": ("vtkMRMLTransformNode", "vtkMRMLTransformStorageNode", (".tfm", ".h5")),
    "MarkupsFile": ("vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsJsonStorageNode", (".mrk.json",)),
    "TextFile": ("vtkMRMLTextNode", "vtkMRMLTextStorageNode", (".txt", ".json", ".xml")),
}
SCENE_ENDINGS = (".mrml", ".mrb")
# The volume storage node of slicer-core names no file types to write.
VOLUME_FORMATS = ("NRRD (.nrrd)", "NIfTI (.nii.gz)", "NIfTI (.nii)", "MetaImage (.mha)")


def _ending(path: str, endings: Iterable[str]) -> str:
    """The longest of the endings that the path has, or ""."""
    return max((e for e in endings if path.lower().endswith(e)), key=len, default="")


@cppClass(newFileLoaded="qSlicerIO::IOProperties")
class qSlicerCoreIOManager(QtCore.QObject):
    newFileLoaded = QtCore.Signal(object)

    def fileType(self, fileName: str) -> str:
        fileName = str(fileName)
        if _ending(fileName, SCENE_ENDINGS):
            return "SceneFile"
        found = {kind: _ending(fileName, endings) for kind, (_, _, endings) in READERS.items()}
        best = max(found, key=lambda kind: len(found[kind]))
        return best if found[best] else "NoFile"

    def loadNodes(self, fileType: str, properties: dict[str, Any], loaded: Any = None, messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if fileType == "SceneFile":
            return self.loadScene(path, bool(properties.get("clear", False)))
        if fileType not in READERS or not os.path.isfile(path):
            return False
        nodeClass, storageClass, endings = READERS[fileType]
        if fileType == "VolumeFile" and properties.get("labelmap"):
            nodeClass = "vtkMRMLLabelMapVolumeNode"
        scene = slicer.mrmlScene
        stem = os.path.basename(path)
        stem = stem[: len(stem) - len(_ending(stem, endings))]
        node = scene.AddNewNodeByClass(nodeClass, scene.GenerateUniqueName(properties.get("name") or stem))
        storage = scene.AddNewNodeByClass(storageClass)
        storage.SetFileName(path)
        if not storage.ReadData(node):
            scene.RemoveNode(storage)
            scene.RemoveNode(node)
            return False
        node.SetAndObserveStorageNodeID(storage.GetID())
        if hasattr(node, "CreateDefaultDisplayNodes"):
            node.CreateDefaultDisplayNodes()
        if loaded is not None:
            loaded.AddItem(node)
        self.newFileLoaded.emit(properties)
        return True

    def loadScene(self, path: str, clear: bool = True) -> bool:
        scene = slicer.mrmlScene
        if path.lower().endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear))
        scene.SetURL(path)
        return bool(scene.Connect() if clear else scene.Import())

    def saveScene(self, path: str, image: Any = None) -> bool:
        if not _ending(path, SCENE_ENDINGS):
            raise NotImplementedError(f"the host saves scenes as .mrml or .mrb, not {path}")
        scene = slicer.mrmlScene
        scene.SetRootDirectory(os.path.dirname(path))
        if path.lower().endswith(".mrb"):
            return bool(scene.WriteToMRB(path))
        scene.SetURL(path)
        return bool(scene.Commit(path))

    def saveNodes(self, fileType: str, properties: dict[str, Any], messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if fileType == "SceneFile":
            return self.saveScene(path)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        return bool(storage.WriteData(node))

    def exportNodes(
        self,
        nodeIDs: list[str],
        fileNames: list[str],
        properties: dict[str, Any],
        harden: bool = False,
        messages: Any = None,
    ) -> bool:
        if harden:
            raise NotImplementedError("the host does not export hardened nodes")
        for nodeID, fileName in zip(nodeIDs, fileNames, strict=True):
            node = slicer.mrmlScene.GetNodeByID(nodeID)
            storage = node.CreateDefaultStorageNode()
            storage.UnRegister(None)
            storage.SetFileName(str(fileName))
            if not storage.WriteData(node):
                return False
        return True

    def fileWriterFileType(self, node: Any, fileFormat: str = "") -> str:
        return next((kind for kind, (nodeClass, _, _) in READERS.items() if node.IsA(nodeClass)), "NoFile")

    def fileWriterExtensions(self, node: Any) -> tuple[str, ...]:
        """Formats such as "NRRD (.nrrd)" that the node can be written in."""
        if node.IsA("vtkMRMLVolumeNode"):
            return VOLUME_FORMATS
        storage = node.CreateDefaultStorageNode()
        storage.UnRegister(None)
        formats = storage.GetSupportedWriteFileTypes()
        return tuple(formats.GetValue(i) for i in range(formats.GetNumberOfValues()))

    def extractKnownExtension(self, fileName: str, node: Any) -> str:
        endings = [fmt[fmt.rindex("(") + 1 : -1] for fmt in self.fileWriterExtensions(node)]
        return _ending(str(fileName), endings) or os.path.splitext(str(fileName))[1]
