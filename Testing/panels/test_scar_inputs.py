"""The inputs of the ScarReconstruction panel: segments, thresholds, landmarks, mesh, and messages about them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .conftest import apply

SHIFT = [[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]]
"""A transform to the front by 1 mm."""


def test_landmarks_are_written_and_restored_by_repeat(host: Any, ready: Any) -> None:
    import slicer

    from deeprecon.data.markups import read_markups
    from deeprecon.scar.parameters import Method

    node = ready._parameterNode
    node.settings.method = Method.INTERPOLATION
    node.settings.node_spacing = 3.0
    node.landmarks = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Patient points")
    assert "Patient points has no named point" in apply(host, ready)
    places = {"apex": (23.0, 23.0, 0.0), "base": (23.0, 23.0, 32.0), "anterior insertion": (33.0, 40.0, 16.0)}
    for name, place in places.items():
        node.landmarks.AddControlPoint(*place, name)
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    shift.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.array(SHIFT)))
    node.landmarks.SetAndObserveTransformNodeID(shift.GetID())
    assert "Scar volume" in apply(host, ready)
    written = read_markups(ready.runPanel.folder / "inputs" / "landmarks.mrk.json")
    assert {name: tuple(place) for name, place in written.items()} == {
        name: (x, y + 1, z) for name, (x, y, z) in places.items()
    }
    assert slicer.util.arrayFromModelPointData(node.outputMesh, "scar_transmurality").max() > 0.5
    points, node.landmarks = node.landmarks, None
    ready.runPanel.ui.repeatButton.click()
    assert node.landmarks is points
    points.SetNthControlPointLabel(0, "tip")
    message = apply(host, ready)
    assert "Patient points" in message
    assert "apex" in message


def test_drawn_core_and_blood_pools_are_recognized_by_their_names(host: Any, ready: Any) -> None:
    import slicer

    from deeprecon.data.segmentation import read_segmentation
    from deeprecon.scar.parameters import Method

    node = ready._parameterNode
    estimate = ready.runPanel.ui.estimateLabel.text
    _, j, i = np.indices((5, 24, 24))
    radius = np.hypot(j - 11.5, i - 11.5)
    masks = {"Scar core": (radius > 7) & (radius < 9) & (i > 16), "LV blood pool": radius < 6, "RV": i > 22}
    for name, mask in masks.items():
        key = node.segmentation.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            mask.astype(np.uint8), node.segmentation, key, node.inputVolume
        )
    ready.onChanged()
    assert ready.runPanel.ui.estimateLabel.text != estimate  # the core is fitted too
    node.settings.method = Method.INTERPOLATION
    apply(host, ready)
    written = read_segmentation(ready.runPanel.folder / "inputs" / "segmentation.seg.nrrd")
    found = {segment.name: segment.mask for segment in written.segments}
    assert set(found) == {"myocardium", "scar", "core", "blood-pool", "right-blood-pool"}
    assert np.array_equal(found["core"], masks["Scar core"])
    assert np.array_equal(found["right-blood-pool"], masks["RV"])
    core = slicer.util.arrayFromModelPointData(node.outputMesh, "core_probability")
    scar = slicer.util.arrayFromModelPointData(node.outputMesh, "scar_probability")
    assert 0 < core.sum() < scar.sum()
    ready.ui.scarSourceCombo.currentIndex = 1  # drawn scar is not used with intensities
    apply(host, ready)
    written = read_segmentation(ready.runPanel.folder / "inputs" / "segmentation.seg.nrrd")
    assert {segment.name for segment in written.segments} == {"myocardium", "blood-pool", "right-blood-pool"}


def test_scar_from_intensities_uses_the_threshold(host: Any, ready: Any) -> None:
    from deeprecon.scene.nodes.parameters import to_dataclass

    ready.ui.scarSourceCombo.currentIndex = 1
    assert ready.ui.thresholdRuleCombo.visible
    assert not ready.ui.scarCombo.visible
    assert ready.ui.thresholdRuleCombo.currentText == "fitted mixture (no threshold)"
    assert not ready.ui.thresholdSpinBox.visible
    ready.ui.thresholdRuleCombo.currentIndex = 3
    assert ready._parameterNode.settings.threshold == "max:60"
    ready.ui.thresholdSpinBox.value = 70.0
    assert ready._parameterNode.settings.threshold == "max:70"
    ready.ui.thresholdRuleCombo.currentIndex = 0
    assert ready._parameterNode.settings.threshold == ""
    ready.ui.thresholdRuleCombo.currentIndex = 2
    assert ready._parameterNode.settings.threshold == "fwhm"
    assert not ready.ui.thresholdSpinBox.visible
    ready.ui.methodCombo.currentIndex = 2
    assert "Scar volume" in apply(host, ready)
    job = json.loads((ready.runPanel.folder / "job.json").read_text(encoding="utf-8"))
    assert job["parameters"]["threshold"] == "fwhm"
    assert "scar" not in job["inputs"]
    assert to_dataclass(ready._parameterNode.settings).slice_thickness is None


def test_a_core_threshold_needs_intensities(host: Any, ready: Any) -> None:
    import slicer

    from deeprecon.scar.parameters import Alignment, Method, Projection

    node, edit = ready._parameterNode, ready.ui.coreThresholdEdit
    node.settings.method = Method.INTERPOLATION
    node.settings.node_spacing = 3.0
    assert not edit.visible
    ready.ui.scarSourceCombo.currentIndex = 1
    assert edit.visible
    node.settings.threshold = "max:50"
    edit.text = "max"
    assert not ready.runPanel.ui.applyButton.enabled
    assert "needs a number" in ready.runPanel.ui.applyButton.toolTip
    edit.text = "max:95"
    ready.ui.projectionCombo.currentIndex = ready.ui.projectionCombo.findText("No agreed values")
    ready.ui.reportValuesCombo.currentIndex = 1
    assert not ready.runPanel.ui.applyButton.enabled
    assert "agreed values are not made" in ready.runPanel.ui.applyButton.toolTip
    ready.ui.projectionCombo.currentIndex = ready.ui.projectionCombo.findText("Make the nodes agree with every pixel")
    ready.ui.alignmentCombo.currentIndex = 2
    assert (node.settings.projection, node.settings.alignment) == (Projection.EXACT, Alignment.OFF)
    apply(host, ready)
    job = json.loads((ready.runPanel.folder / "job.json").read_text(encoding="utf-8"))["parameters"]
    assert (job["core_threshold"], job["projection"], job["alignment"]) == ("max:95", "exact", "off")
    assert job["report_values"] == "agreed"
    assert node.outputMesh.GetDisplayNode().GetActiveScalarName() == "scar_probability_agreed"
    assert slicer.util.arrayFromModelPointData(node.outputMesh, "core_probability").max() > 0
    combo = ready.resultPanel.ui.showCombo
    assert combo.findData("scar_entropy") == 2
    assert combo.findData("scar_transmurality") == -1  # the axis is unknown
    ready.ui.scarSourceCombo.currentIndex = 0
    assert "Scar volume" in apply(host, ready)
    job = json.loads((ready.runPanel.folder / "job.json").read_text(encoding="utf-8"))["parameters"]
    assert job["core_threshold"] == ""
    assert node.settings.core_threshold == "max:95"  # for when it comes from intensities again


def test_missing_inputs_are_named_in_the_tool_tip_of_apply(host: Any, ready: Any) -> None:
    node, button = ready._parameterNode, ready.runPanel.ui.applyButton
    assert button.enabled
    node.scarSegment = ""
    ready.ui.scarCombo.currentIndex = 0
    assert not button.enabled
    assert "scar segment" in button.toolTip
    ready.ui.scarSourceCombo.currentIndex = 1
    assert button.enabled
    node.inputVolume = None
    assert not button.enabled
    assert "LGE volume" in button.toolTip
    ready.ui.scarSourceCombo.currentIndex = 0
    ready.ui.scarCombo.currentIndex = ready.ui.scarCombo.findData("Scar")
    assert button.enabled
    node.settings.core_cutoff = 0.2
    assert "core" in button.toolTip
    node.settings.core_cutoff = 0.8
    node.segmentation = None
    assert "segmentation" in button.toolTip


def test_an_empty_scar_segment_gives_a_result_without_scar(host: Any, ready: Any) -> None:
    ready.ui.scarCombo.currentIndex = ready.ui.scarCombo.findData("empty")
    ready.ui.methodCombo.currentIndex = 2
    assert "No scar was found" in apply(host, ready)
    assert ready.runPanel.state.value == "done"


def test_a_segment_that_is_removed_is_not_replaced_by_another_of_such_a_name(ready: Any) -> None:
    node, ui = ready._parameterNode, ready.ui
    segmentation = node.segmentation.GetSegmentation()
    segmentation.AddEmptySegment("other", "Scar of another day")
    ready.exit()  # to the Segment Editor
    ready.enter()
    segmentation.RemoveSegment(node.scarSegment)
    ready.exit()
    ready.enter()
    assert node.scarSegment == ""
    assert ui.scarCombo.currentIndex < 1
    assert ui.scarCombo.findData("other") > 0


def test_an_empty_wall_is_refused_and_leaves_the_scene_unchanged(host: Any, ready: Any) -> None:
    import slicer

    before = slicer.mrmlScene.GetNumberOfNodes()
    ready.ui.myocardiumCombo.currentIndex = ready.ui.myocardiumCombo.findData("empty")
    message = apply(host, ready)
    assert ready.runPanel.state.value == "failed"
    assert message.startswith("<b>The segment empty of the myocardium is empty.</b>")
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_a_mesh_off_the_wall_or_in_other_units_is_reported(host: Any, ready: Any) -> None:
    import slicer
    import vtk

    node, ui = ready._parameterNode, ready.ui
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(2.2)
    sphere.SetCenter(-2.3, -2.3, 1.6)  # the tube lies at positive coordinates of the scene
    sphere.Update()
    node.mesh = slicer.modules.models.logic().AddModel(sphere.GetOutput())
    assert "centimeters (LPS)" in ui.meshPlacementLabel.text
    assert ui.meshPlacementFrame.visible
    assert not ready.runPanel.ui.applyButton.enabled
    ui.meshUnitCombo.currentIndex = 2
    assert ui.meshPlacementLabel.text
    ui.meshFrameCombo.currentIndex = 2
    assert ui.meshPlacementLabel.text == ""
    assert ready.runPanel.ui.applyButton.enabled
    sphere.SetRadius(30)
    sphere.SetCenter(500, 0, 0)
    sphere.Update()
    node.mesh = slicer.modules.models.logic().AddModel(sphere.GetOutput())
    assert "same patient" in ui.meshPlacementLabel.text
    sphere.SetRadius(22)
    sphere.SetCenter(23, 23, 16)
    sphere.Update()
    ui.meshUnitCombo.currentIndex = ui.meshFrameCombo.currentIndex = 0
    far = vtk.vtkPolyData()
    far.DeepCopy(sphere.GetOutput())
    far.GetPoints().InsertNextPoint(-3000, 2000, 4000)  # a node that no cell uses
    far.GetPointData().Initialize()
    node.mesh = slicer.modules.models.logic().AddModel(far)
    assert ui.meshPlacementLabel.text == ""


def tagged_mesh() -> Any:
    """Tetrahedra of the tube's wall, tagged 2, and of its blood pool, tagged 7, in an array with an unusual name."""
    from vtkmodules.util.numpy_support import numpy_to_vtk

    from deeprecon.data.mesh.mesh import cell_means
    from deeprecon.data.mesh.voxels import voxel_mesh
    from deeprecon.data.volume import Volume
    from deeprecon.scene.nodes.models import node_from_mesh

    _, j, i = np.indices((5, 24, 24))
    inside = (np.hypot(j - 11.5, i - 11.5) < 10).astype(np.uint8)
    mesh = voxel_mesh(Volume(inside, np.diag([2.0, 2.0, 8.0, 1.0]), "heart"), 3.0)
    x, y = (cell_means(mesh, mesh.points[:, axis]) for axis in (0, 1))
    tags = numpy_to_vtk(np.where(np.hypot(x - 23, y - 23) > 12, 2, 7).astype(np.int32), deep=True)
    tags.SetName("part")
    mesh.dataset.GetCellData().AddArray(tags)
    return node_from_mesh(mesh, "Patient heart")


def test_regions_of_the_mesh_are_named_in_the_panel_as_a_message_asks(host: Any, ready: Any) -> None:
    import slicer

    from deeprecon.scar.parameters import Method

    node, ui = ready._parameterNode, ready.ui
    node.settings.method = Method.INTERPOLATION
    assert not ui.meshCollapsibleButton.visible
    node.mesh = tagged_mesh()
    assert ui.meshCollapsibleButton.visible
    ui.meshRegionEdit.text = "wall"
    assert "whole numbers" in ready.runPanel.ui.applyButton.toolTip
    assert not ready.runPanel.ui.applyButton.enabled
    ui.meshRegionEdit.text = "2"
    message = apply(host, ready)
    assert "no region tags, so that &quot;Regions of the wall&quot; 2 names none" in message
    assert "the tags with &quot;Array of region tags&quot;." in message
    ui.tagArrayEdit.text = "part"
    ui.observedWithinSpinBox.value = 20.0
    assert "Scar volume" in apply(host, ready)
    job = json.loads((ready.runPanel.folder / "job.json").read_text(encoding="utf-8"))["parameters"]
    assert (job["tag_array"], job["mesh_region"], job["observed_within"]) == ("part", [2], 20.0)
    probability = slicer.util.arrayFromModelPointData(node.outputMesh, "scar_probability")
    points = slicer.util.arrayFromModelPoints(node.outputMesh)
    assert probability.max() > 0.9
    assert probability[np.hypot(*(points[:, :2] - 23).T) < 8].max() == 0  # blood
    ui.meshRegionEdit.text = ui.tagArrayEdit.text = ""
    ui.observedWithinSpinBox.value = 0.0
    ready.runPanel.ui.repeatButton.click()
    assert (ui.meshRegionEdit.text, ui.tagArrayEdit.text, ui.observedWithinSpinBox.value) == ("2", "part", 20.0)
    ui.shellCombo.currentIndex = 1
    assert "a volume mesh, which &quot;A surface shows&quot; is not meant for" in apply(host, ready)
    node.mesh = None  # what the settings of a mesh say does not concern the one that is made
    assert "Scar volume" in apply(host, ready)
    job = json.loads((ready.runPanel.folder / "job.json").read_text(encoding="utf-8"))["parameters"]
    assert (job["tag_array"], job["mesh_region"], job["shell"]) == ("", [], "auto")
