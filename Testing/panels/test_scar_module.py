"""ScarReconstruction as a user meets it: the very module file of the extension, clicked through."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .conftest import apply, wait_until_gone

Use = Callable[[str], None]


SHIFT = [[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]]
"""A transform to the front by 1 mm."""


def test_clicked_through_from_the_sample_to_the_result(host: Any, widget: Any, tmp_path: Path) -> None:
    import slicer

    from deeprecon.scene.common.results import nodes_of_run
    from deeprecon.scene.scar.inputs import is_result

    run, node = widget.runPanel, widget._parameterNode
    assert not run.ui.applyButton.enabled
    assert "segmentation" in run.ui.applyButton.toolTip
    widget.ui.sampleButton.click()
    assert node.inputVolume.GetName() == "Sample LGE"
    assert widget.ui.myocardiumCombo.currentText == "myocardium"
    assert widget.ui.scarCombo.currentText == "scar"
    assert widget.ui.meshPlacementLabel.text == ""
    assert "about" in run.ui.estimateLabel.text

    # watch and cancel
    run.ui.applyButton.click()
    folder = run.folder
    host.waitFor(lambda: run.ui.progressBar.value > 0 or not run.busy, 120)
    assert run.busy, run.error
    process = run.runner._process.pid
    run.ui.applyButton.click()
    host.waitFor(lambda: not run.busy, 120)
    assert run.state.value == "idle"
    assert wait_until_gone([process]) == []
    assert node.outputMesh is None
    assert (folder / "job.json").exists()

    # again, to the end
    node.settings.steps = 40
    message = apply(host, widget)
    assert run.state.value == "done", message
    assert "ml" in message
    mesh = node.outputMesh
    assert is_result(mesh)
    assert mesh.GetMesh().GetNumberOfPoints() == node.mesh.GetMesh().GetNumberOfPoints()
    probability = slicer.util.arrayFromModelPointData(mesh, "scar_probability")
    assert 0.3 < probability.max() <= 1
    assert np.array_equal(slicer.util.arrayFromModelPoints(mesh), slicer.util.arrayFromModelPoints(node.mesh))
    assert node.outputSegmentation.GetSegmentation().GetNumberOfSegments() == 3
    assert node.outputTable.GetTable().GetNumberOfRows() == 4
    border = node.outputTable.GetTable().GetColumnByName("interface_cm2")
    assert border is not None
    tablesPanel = widget.tablesPanel.ui  # the sample has landmarks
    segments = tablesPanel.segmentsTable.mrmlTableNode()
    assert segments is nodes_of_run(mesh)["aha"]
    assert segments.GetTable().GetNumberOfRows() == 17
    assert segments.GetColumnTitle("scar_percent") == "scar %"
    assert tablesPanel.segmentsCollapsibleButton.visible
    assert not tablesPanel.segmentsCollapsibleButton.collapsed
    assert tablesPanel.bullseyeLabel.visible
    assert tablesPanel.bullseyeLabel.pixmap.width() > 400
    assert tablesPanel.transmuralityTable.mrmlTableNode().GetTable().GetNumberOfRows() == 5
    assert tablesPanel.slicesTable.mrmlTableNode() is node.outputSlices
    assert not tablesPanel.channelsCollapsibleButton.visible  # the infarct of the sample has none
    assert widget.resultPanel.ui.burdenTable.mrmlTableNode() is node.outputTable
    assert widget.resultPanel.ui.reportButton.enabled
    assert mesh.GetDisplayNode().GetActiveScalarName() == "scar_probability"
    assert not node.mesh.GetDisplayVisibility()
    assert slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(mesh).GetVisibility()
    widget.resultPanel.ui.showCombo.currentIndex = 1
    assert mesh.GetDisplayNode().GetActiveScalarName() == "scar_uncertainty"
    offered = [widget.resultPanel.ui.showCombo.itemData(index) for index in range(5)]
    assert offered[2:] == ["scar_entropy", "scar_binary", "scar_transmurality"]
    widget.resultPanel.ui.showCombo.currentIndex = 4
    assert mesh.GetDisplayNode().GetActiveScalarName() == "scar_transmurality"
    widget.resultPanel.ui.showCombo.currentIndex = 5
    assert mesh.GetDisplayNode().GetActiveScalarName() == "group_residual"
    assert tuple(mesh.GetDisplayNode().GetScalarRange()) == (-0.5, 0.5)
    widget.resultPanel.ui.tablePathEdit.currentPath = str(tmp_path / "table.csv")
    widget.resultPanel.ui.saveTableButton.click()
    assert "scar" in (tmp_path / "table.csv").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "table.csv.json").read_text(encoding="utf-8"))["parameters"]["steps"] == 40
    combo = widget.resultPanel.ui.tableCombo
    combo.currentIndex = combo.findText(segments.GetName())
    widget.resultPanel.ui.tablePathEdit.currentPath = str(tmp_path / "aha.csv")
    widget.resultPanel.ui.saveTableButton.click()
    assert "basal anterior" in (tmp_path / "aha.csv").read_text(encoding="utf-8")

    ids = [node.outputMesh.GetID(), node.outputTable.GetID()]
    widget.resultPanel.ui.discardButton.click()
    assert node.outputMesh is None
    assert node.outputTable is None
    assert not widget.resultPanel.ui.discardButton.enabled
    assert not tablesPanel.bullseyeLabel.visible
    assert not tablesPanel.segmentsCollapsibleButton.visible
    assert [slicer.mrmlScene.GetNodeByID(key) for key in ids] == [None, None]


def test_repeating_restores_the_settings_and_gives_the_same_bits_in_the_same_nodes(host: Any, ready: Any) -> None:
    import slicer

    node = ready._parameterNode
    node.settings.steps = 20
    node.settings.node_spacing = 3.0
    assert "Scar volume" in apply(host, ready)
    ids = [node.outputMesh.GetID(), node.outputTable.GetID(), node.outputSlices.GetID()]
    first = slicer.util.arrayFromModelPointData(node.outputMesh, "scar_probability").copy()
    node.settings.steps = 7
    node.settings.cutoff = 0.3
    node.scarSegment = "empty"
    node.seed = 5
    ready.runPanel.ui.repeatButton.click()
    assert (node.settings.steps, node.settings.cutoff, node.seed) == (20, 0.5, 0)
    assert ready.ui.scarCombo.currentText == "Scar"
    apply(host, ready)
    assert [node.outputMesh.GetID(), node.outputTable.GetID(), node.outputSlices.GetID()] == ids
    assert np.array_equal(slicer.util.arrayFromModelPointData(node.outputMesh, "scar_probability"), first)


def test_an_instant_interpolation_makes_its_own_mesh(host: Any, ready: Any) -> None:
    from deeprecon.scar.parameters import Method

    ready._parameterNode.settings.method = Method.INTERPOLATION
    assert ready.ui.interpolationCombo.visible
    assert not ready.ui.budgetSpinBox.visible
    message = apply(host, ready)
    assert "Scar volume" in message, message
    assert any("Patient LGE" in text and '"Slice thickness"' in text for text in ready.runPanel.warnings)
    ready.ui.thicknessSpinBox.value = 8.0
    apply(host, ready)
    assert not any("thickness" in text for text in ready.runPanel.warnings)


def test_landmarks_go_along_and_come_back_with_repeat(host: Any, ready: Any) -> None:
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


def test_a_drawn_core_and_the_blood_pools_are_taken_by_their_names(host: Any, ready: Any) -> None:
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
    ready.ui.scarSourceCombo.currentIndex = 1  # what was drawn of the scar stays away from intensities
    apply(host, ready)
    written = read_segmentation(ready.runPanel.folder / "inputs" / "segmentation.seg.nrrd")
    assert {segment.name for segment in written.segments} == {"myocardium", "blood-pool", "right-blood-pool"}


def test_the_coordinate_network_is_trained_and_has_a_budget(host: Any, ready: Any) -> None:
    ready.ui.methodCombo.currentIndex = 1
    assert ready.ui.methodCombo.currentText.startswith("Coordinate network")
    assert ready.ui.budgetSpinBox.visible
    assert not ready.ui.interpolationCombo.visible
    ready._parameterNode.settings.steps = 20
    ready._parameterNode.settings.node_spacing = 3.0
    assert "Scar volume" in apply(host, ready)


def test_scar_from_intensities_follows_the_threshold(host: Any, ready: Any) -> None:
    from deeprecon.scene.nodes.parameters import to_dataclass

    ready.ui.scarSourceCombo.currentIndex = 1
    assert ready.ui.thresholdRuleCombo.visible
    assert not ready.ui.scarCombo.visible
    ready.ui.thresholdRuleCombo.currentIndex = 2
    assert ready._parameterNode.settings.threshold == "max:60"
    ready.ui.thresholdSpinBox.value = 70.0
    assert ready._parameterNode.settings.threshold == "max:70"
    ready.ui.thresholdRuleCombo.currentIndex = 1
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
    ready.ui.projectionCombo.currentIndex = ready.ui.projectionCombo.findText("Make the nodes agree with every pixel")
    ready.ui.alignmentCombo.currentIndex = 1
    assert (node.settings.projection, node.settings.alignment) == (Projection.EXACT, Alignment.OFF)
    apply(host, ready)
    job = json.loads((ready.runPanel.folder / "job.json").read_text(encoding="utf-8"))["parameters"]
    assert (job["core_threshold"], job["projection"], job["alignment"]) == ("max:95", "exact", "off")
    assert slicer.util.arrayFromModelPointData(node.outputMesh, "core_probability").max() > 0
    combo = ready.resultPanel.ui.showCombo
    assert combo.findData("scar_entropy") == 2
    assert combo.findData("scar_transmurality") == -1  # nothing tells where the axis is
    ready.ui.scarSourceCombo.currentIndex = 0
    assert "Scar volume" in apply(host, ready)
    job = json.loads((ready.runPanel.folder / "job.json").read_text(encoding="utf-8"))["parameters"]
    assert job["core_threshold"] == ""
    assert node.settings.core_threshold == "max:95"  # for when it comes from intensities again


def test_what_is_missing_is_reported_beside_apply(host: Any, ready: Any) -> None:
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


def test_no_scar_at_all_is_an_answer_in_words(host: Any, ready: Any) -> None:
    ready.ui.scarCombo.currentIndex = ready.ui.scarCombo.findData("empty")
    ready.ui.methodCombo.currentIndex = 2
    assert "No scar was found" in apply(host, ready)
    assert ready.runPanel.state.value == "done"


def test_an_empty_wall_is_an_error_in_words_and_changes_nothing(host: Any, ready: Any) -> None:
    import slicer

    before = slicer.mrmlScene.GetNumberOfNodes()
    ready.ui.myocardiumCombo.currentIndex = ready.ui.myocardiumCombo.findData("empty")
    message = apply(host, ready)
    assert ready.runPanel.state.value == "failed"
    assert message.startswith("<b>The segment empty of the myocardium is empty.</b>")
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_a_mesh_elsewhere_or_in_other_units_is_asked_about(host: Any, ready: Any) -> None:
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


def test_closing_the_scene_ends_the_run_with_all_its_processes(host: Any, ready: Any, fake_worker: Use) -> None:
    import slicer

    fake_worker("long")
    ready.runPanel.ui.applyButton.click()
    pids = ready.runPanel.folder / "pids"
    host.waitFor(lambda: pids.exists() and pids.read_text(encoding="utf-8") != "", 120)
    slicer.mrmlScene.Clear()
    assert not ready.runPanel.busy
    assert wait_until_gone([int(word) for word in pids.read_text(encoding="utf-8").split()]) == []
    assert ready._parameterNode.segmentation is None
    assert not ready.runPanel.ui.applyButton.enabled


def test_unloading_the_module_ends_the_run(host: Any, ready: Any, fake_worker: Use) -> None:
    fake_worker("long")
    ready.runPanel.ui.applyButton.click()
    pids = ready.runPanel.folder / "pids"
    host.waitFor(lambda: pids.exists() and pids.read_text(encoding="utf-8") != "", 120)
    ready.cleanup()
    assert wait_until_gone([int(word) for word in pids.read_text(encoding="utf-8").split()]) == []


def test_a_saved_scene_brings_the_choices_back_but_no_run(host: Any, ready: Any, tmp_path: Path) -> None:
    import slicer

    from deeprecon.scar.parameters import Interpolation, Method

    node = ready._parameterNode
    node.settings.method = Method.INTERPOLATION
    node.settings.interpolation = Interpolation.SIGNED_DISTANCE
    node.settings.node_spacing = 2.5
    node.seed = 11
    node.segmentation2, node.inputVolume2 = node.segmentation, node.inputVolume
    ready.ui.thicknessSpinBox.value = 6.0
    path = str(tmp_path / "Szene 场景.mrb")
    assert slicer.util.saveScene(path, properties={})
    slicer.mrmlScene.Clear()
    assert ready._parameterNode.seed == 0
    slicer.util.loadScene(path, properties={})
    host.process(0.1)
    ready.enter()
    node = ready._parameterNode
    assert node.settings.method is Method.INTERPOLATION
    assert node.settings.interpolation is Interpolation.SIGNED_DISTANCE
    assert (node.settings.node_spacing, node.seed, node.settings.slice_thickness) == (2.5, 11, 6.0)
    assert node.segmentation.GetName() == "Patient segmentation"
    assert node.segmentation2 is node.segmentation
    assert node.inputVolume2.GetName() == "Patient LGE"
    assert ready.ui.scarCombo.currentText == "Scar"
    assert ready.runPanel.state.value == "idle"


def test_leaving_and_coming_back_keeps_the_panel_linked(host: Any, ready: Any) -> None:
    ready.exit()
    ready.enter()
    ready.ui.budgetSpinBox.value = 120
    assert ready._parameterNode.settings.budget == 120
    ready._parameterNode.seed = 3
    assert ready.ui.seedSpinBox.value == 3
    assert ready.ui.methodCombo.itemText(0).startswith("Neural field")


def test_repeating_something_else_is_refused_in_words(host: Any, ready: Any) -> None:
    import slicer

    ready.runPanel.ui.repeatButton.click()
    assert "No result is selected" in ready.runPanel.ui.messageLabel.text
    ready._parameterNode.outputMesh = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Other")
    ready.runPanel.ui.repeatButton.click()
    assert "Other is not a result" in ready.runPanel.ui.messageLabel.text


def test_the_sample_is_offered_in_sample_data(host: Any, widget: Any) -> None:
    import SampleData

    from deeprecon.scene.scar.sample import NAMES

    host.startupCompleted()
    name = "Synthetic heart with scar"
    assert SampleData.SampleDataLogic().sourceForSampleName(name) is not None
    nodes = host.clickSample(name)
    assert [node.GetName() for node in nodes] == list(NAMES)
    assert all(node.GetStorageNode() is None for node in nodes)


def test_the_logic_works_without_a_panel(host: Any, ready: Any) -> None:
    from deeprecon.scar.parameters import Method, ReconstructParameters
    from deeprecon.scene.scar.job import ScarNodes

    module = importlib.import_module("ScarReconstruction")
    node = ready._parameterNode
    nodes = ScarNodes(node.segmentation, {"myocardium": "LV Myocardium", "scar": "Scar"}, node.inputVolume)
    events: list[dict[str, Any]] = []
    parameters = ReconstructParameters(method=Method.INTERPOLATION)
    runner = module.ScarReconstructionLogic().reconstruct(nodes, parameters, device="cpu", wait=False)
    assert runner.running
    assert runner.wait(300, events.append) == 0
    assert {event["type"] for event in events} >= {"status", "progress", "result"}


def test_the_modules_own_test_passes(host: Any, widget: Any) -> None:
    host.runTests("ScarReconstruction")


def test_another_result_comes_with_its_own_table_and_an_input_is_never_overwritten(host: Any, ready: Any) -> None:
    import slicer

    from deeprecon.scar.parameters import Method

    node = ready._parameterNode
    node.settings.method = Method.INTERPOLATION
    node.settings.node_spacing = 3.0
    apply(host, ready)
    first, table = node.outputMesh, node.outputTable
    node.outputMesh = None
    assert node.outputTable is None
    apply(host, ready)
    assert node.outputMesh is not first
    assert node.outputTable is not table
    assert ready.resultPanel.ui.reportButton.enabled
    node.outputMesh = first
    assert node.outputTable is table
    assert ready.resultPanel.ui.burdenTable.mrmlTableNode() is table
    assert not ready.resultPanel.ui.reportButton.enabled  # that of the other run
    assert ready.runPanel.ui.applyButton.enabled
    node.outputMesh = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Heart")
    assert not ready.runPanel.ui.applyButton.enabled
    assert "Heart is no result" in ready.runPanel.ui.applyButton.toolTip
