"""The scene is Slicer's: files, segmentations, selectors, the module's node after closing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


def addVolume(name: str = "Volume") -> Any:
    import slicer

    matrix = np.array([[0.0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3.0, 11], [0, 0, 0, 1]])
    return slicer.util.addVolumeFromArray(
        np.arange(60, dtype="int16").reshape(3, 4, 5), ijkToRAS=slicer.util.vtkMatrixFromArray(matrix), name=name
    )


def geometry(volume: Any) -> np.ndarray:
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha"])
def test_a_volume_keeps_voxels_and_geometry_in_a_file(host: Any, tmp_path: Path, ending: str) -> None:
    import slicer

    volume = addVolume()
    path = tmp_path / ("volume" + ending)
    assert slicer.util.exportNode(volume, str(path), {})
    loaded = slicer.util.loadVolume(str(path), {"name": "again"})
    assert loaded is not volume
    assert loaded.GetName() == "again"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(volume))
    np.testing.assert_allclose(geometry(loaded), geometry(volume), atol=1e-5)


def test_a_missing_or_broken_file_leaves_no_node(host: Any, tmp_path: Path) -> None:
    import slicer

    (tmp_path / "broken.vtp").write_text("not a mesh")
    count = slicer.mrmlScene.GetNumberOfNodes()
    for name in ("broken.vtp", "missing.nrrd", "unknown.xyz"):
        with pytest.raises(RuntimeError, match=name):
            slicer.util.loadNodeFromFile(str(tmp_path / name), None, {})
    assert slicer.mrmlScene.GetNumberOfNodes() == count


@pytest.mark.parametrize("ending", [".mrb", ".mrml"])
def test_a_scene_is_saved_and_loaded(host: Any, tmp_path: Path, ending: str) -> None:
    import slicer

    volume = addVolume("Heart")
    volume.SetAttribute("DeepRecon.seed", "7")
    if ending == ".mrml":
        assert slicer.util.saveNode(volume, str(tmp_path / "heart.nrrd"), {})
    parameters = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "Parameters")
    parameters.SetParameter("level", "3.5")
    parameters.SetNodeReferenceID("inputVolume", volume.GetID())
    assert slicer.util.saveScene(str(tmp_path / ("scene" + ending)), {})
    slicer.mrmlScene.Clear(0)
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    slicer.util.loadScene(str(tmp_path / ("scene" + ending)), {})
    loaded = slicer.util.getNode("Heart")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), np.arange(60).reshape(3, 4, 5))
    assert loaded.GetAttribute("DeepRecon.seed") == "7"
    parameters = slicer.util.getNode("Parameters")
    assert parameters.GetParameter("level") == "3.5"
    assert parameters.GetNodeReference("inputVolume") is loaded


def test_a_segmentation_keeps_its_segments_in_a_file(host: Any, tmp_path: Path) -> None:
    import slicer

    volume = addVolume()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Wall")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    masks = {"myocardium": np.zeros((3, 4, 5), "uint8"), "scar": np.zeros((3, 4, 5), "uint8")}
    masks["myocardium"][1, 1:3, 1:4] = 1
    masks["scar"][1, 1, 1:3] = 1
    for name, mask in masks.items():
        segment = node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, volume)
    assert slicer.util.saveNode(node, str(tmp_path / "wall.seg.nrrd"), {})
    loaded = slicer.util.loadSegmentation(str(tmp_path / "wall.seg.nrrd"), {"name": "again"})
    assert tuple(loaded.GetSegmentation().GetSegmentIDs()) == ("myocardium", "scar")
    for name, mask in masks.items():
        np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(loaded, name, volume), mask)
    assert loaded.CreateClosedSurfaceRepresentation()


def test_nodes_appear_in_the_subject_hierarchy(host: Any) -> None:
    import slicer

    volume = addVolume()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume)
    assert hierarchy.GetItemName(item) == "Volume"
    slicer.mrmlScene.RemoveNode(volume)
    assert hierarchy.GetItemByDataNode(volume) == 0


def test_a_node_selector_lists_the_scene_without_automatic_selection(host: Any) -> None:
    import slicer

    chosen: list[Any] = []
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.connect("currentNodeChanged(vtkMRMLNode*)", chosen.append)
    first = addVolume("first")
    assert (selector.enabled, selector.nodeCount()) == (True, 0)
    selector.setMRMLScene(slicer.mrmlScene)
    addVolume("second")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    assert (selector.nodeCount(), selector.currentNode()) == (2, None)
    selector.setCurrentNode(first)
    assert (chosen, selector.currentNodeID) == ([first], first.GetID())
    slicer.mrmlScene.RemoveNode(first)
    assert selector.nodeCount() == 1


def test_a_node_requested_before_the_scene_is_selected_later(host: Any) -> None:
    import slicer

    volume = addVolume()
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setCurrentNode(volume)
    assert selector.currentNode() is None
    selector.setMRMLScene(slicer.mrmlScene)
    assert selector.currentNode() is volume


def test_a_selector_filters_by_attribute_and_removes_its_observers(host: Any) -> None:
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLModelNode"]
    selector.addAttribute("vtkMRMLModelNode", "Role", "heart")
    selector.setMRMLScene(slicer.mrmlScene)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    heart = selector.addNode()
    assert (heart.GetAttribute("Role"), selector.nodeCount(), selector.currentNode()) == ("heart", 1, heart)
    selector.delete()
    slicer.mrmlScene.RemoveNode(heart)
    assert host.slotErrors() == []


def test_a_segment_selector_follows_added_and_removed_segments(host: Any) -> None:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    selector = slicer.qMRMLSegmentSelectorWidget()
    selector.setMRMLScene(slicer.mrmlScene)
    changes: list[str] = []
    selector.connect("currentSegmentChanged(QString)", changes.append)
    selector.setCurrentNode(node)
    node.GetSegmentation().AddEmptySegment("scar", "Scar")
    node.GetSegmentation().AddEmptySegment("wall", "Wall")
    assert selector.currentSegmentID() == "scar"
    selector.setCurrentSegmentID("wall")
    node.GetSegmentation().RemoveSegment("wall")
    assert (selector.currentSegmentID(), changes) == ("scar", ["scar", "wall", "scar"])


def test_a_show_3d_button_makes_and_removes_surfaces(host: Any) -> None:
    import slicer

    volume = addVolume()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    segment = node.GetSegmentation().AddEmptySegment("a", "a")
    mask = np.zeros((3, 4, 5), "uint8")
    mask[1, 1:3, 1:4] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, volume)
    button = slicer.qMRMLSegmentationShow3DButton()
    assert not button.enabled
    button.setSegmentationNode(node)
    button.click()
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    button.click()
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_closing_the_scene_gives_the_module_a_fresh_parameter_node(host: Any) -> None:
    import slicer

    widget = host.loadModule(Path(__file__).parent / "template" / "Threshold.py")
    widget.ui.levelSlider.value = 17
    widget.ui.inputSelector.setCurrentNode(addVolume())
    slicer.mrmlScene.Clear(0)
    assert widget._parameterNode.level == 100
    assert widget.ui.levelSlider.value == 100
    assert widget._parameterNode.inputVolume is None
    assert slicer.mrmlScene.GetSingletonNode("Threshold", "vtkMRMLScriptedModuleNode") is not None


@pytest.mark.parametrize("actions", [True, False])
def test_a_node_selector_takes_another_node_before_the_current_one_is_removed(host: Any, actions: bool) -> None:
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.noneEnabled = True
    selector.addEnabled = selector.removeEnabled = actions
    selector.setMRMLScene(slicer.mrmlScene)
    first, second = addVolume("first"), addVolume("second")
    selector.setCurrentNode(second)
    seen: list[tuple[Any, bool]] = []  # current node, and whether the removed one was still in the scene
    selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: seen.append((node, bool(removed.GetScene()))))
    for removed in (second, first):
        slicer.mrmlScene.RemoveNode(removed)
    assert seen == [(first, True), (None, True)]
    assert (selector.currentNode(), selector.nodeCount()) == (None, 0)


def test_closing_the_scene_leaves_a_node_selector_without_a_node(host: Any) -> None:
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    nodes = [addVolume("first"), addVolume("second")]
    seen: list[Any] = []
    selector.setCurrentNode(nodes[1])
    selector.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    slicer.mrmlScene.Clear(0)
    assert (seen, selector.currentNode()) == ([None], None)
