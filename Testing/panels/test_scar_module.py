"""ScarReconstruction: the module file of the extension, operated through its widgets."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .conftest import apply, press, wait_until_gone

Use = Callable[[str], None]


def test_sample_case_from_cancelled_run_to_discarded_result(host: Any, widget: Any, tmp_path: Path) -> None:
    import slicer

    from deeprecon.scene.common.results import nodes_of_run
    from deeprecon.scene.display.layouts import BESIDE_3D
    from deeprecon.scene.scar.inputs import is_result

    run, node = widget.runPanel, widget._parameterNode
    assert not run.ui.applyButton.enabled
    assert "segmentation" in run.ui.applyButton.toolTip
    press(host, widget.ui.sampleButton)
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
    assert slicer.app.layoutManager().layout == BESIDE_3D
    assert slicer.app.layoutManager().threeDWidget(0).mrmlViewNode().IsMappedInLayout()
    assert slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(mesh).GetVisibility()
    widget.resultPanel.ui.showCombo.currentIndex = 1
    assert mesh.GetDisplayNode().GetActiveScalarName() == "scar_uncertainty"
    offered = [widget.resultPanel.ui.showCombo.itemData(index) for index in range(5)]
    assert offered[2:] == ["scar_entropy", "scar_binary", "scar_transmurality"]
    widget.resultPanel.ui.showCombo.currentIndex = 4
    assert mesh.GetDisplayNode().GetActiveScalarName() == "scar_transmurality"
    widget.resultPanel.shown = "scar_probability_agreed"
    assert mesh.GetDisplayNode().GetActiveScalarName() == "scar_probability_agreed"
    widget.resultPanel.shown = "group_residual"
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


def test_repeat_restores_the_settings_and_reproduces_the_result_in_the_same_nodes(host: Any, ready: Any) -> None:
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


def test_interpolation_without_a_mesh_generates_one(host: Any, ready: Any) -> None:
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


def test_coordinate_network_is_trained_with_a_budget(host: Any, ready: Any) -> None:
    ready.ui.methodCombo.currentIndex = 1
    assert ready.ui.methodCombo.currentText.startswith("Coordinate network")
    assert ready.ui.budgetSpinBox.visible
    assert not ready.ui.interpolationCombo.visible
    ready._parameterNode.settings.steps = 20
    ready._parameterNode.settings.node_spacing = 3.0
    assert "Scar volume" in apply(host, ready)


def test_closing_the_scene_ends_all_processes_of_the_run(host: Any, ready: Any, fake_worker: Use) -> None:
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


def test_a_saved_scene_restores_the_inputs_but_no_run(host: Any, ready: Any, tmp_path: Path) -> None:
    import slicer

    from deeprecon.scar.parameters import Interpolation, Method, Shell

    node = ready._parameterNode
    node.settings.method = Method.INTERPOLATION
    node.settings.interpolation = Interpolation.SIGNED_DISTANCE
    node.settings.node_spacing = 2.5
    node.seed = 11
    node.segmentation2, node.inputVolume2 = node.segmentation, node.inputVolume
    ready.ui.thicknessSpinBox.value = 6.0
    ready.ui.observedWithinSpinBox.value = 4.5
    ready.ui.tagArrayEdit.text = "elemTag"
    ready.ui.meshRegionEdit.text = "3, 4"
    ready.ui.shellCombo.currentIndex = 2
    path = str(tmp_path / "Szene 场景.mrb")
    assert slicer.util.saveScene(path, properties={})
    slicer.mrmlScene.Clear()
    assert ready._parameterNode.seed == 0
    assert ready.ui.meshRegionEdit.text == ready.ui.tagArrayEdit.text == ""
    slicer.util.loadScene(path, properties={})
    host.process(0.1)
    ready.enter()
    node = ready._parameterNode
    assert node.settings.method is Method.INTERPOLATION
    assert node.settings.interpolation is Interpolation.SIGNED_DISTANCE
    assert (node.settings.node_spacing, node.seed, node.settings.slice_thickness) == (2.5, 11, 6.0)
    assert (node.settings.observed_within, node.settings.tag_array) == (4.5, "elemTag")
    assert (list(node.settings.mesh_region), node.settings.shell) == ([3, 4], Shell.MEAN)
    assert (ready.ui.meshRegionEdit.text, ready.ui.observedWithinSpinBox.value) == ("3 4", 4.5)
    assert node.segmentation.GetName() == "Patient segmentation"
    assert node.segmentation2 is node.segmentation
    assert node.inputVolume2.GetName() == "Patient LGE"
    assert ready.ui.scarCombo.currentText == "Scar"
    assert ready.runPanel.state.value == "idle"


def test_the_panel_stays_linked_after_leaving_and_entering_it(host: Any, ready: Any) -> None:
    ready.exit()
    ready.enter()
    ready.ui.budgetSpinBox.value = 120
    assert ready._parameterNode.settings.budget == 120
    ready._parameterNode.seed = 3
    assert ready.ui.seedSpinBox.value == 3
    assert ready.ui.methodCombo.itemText(0).startswith("Neural field")


def test_repeat_is_refused_without_a_result(host: Any, ready: Any) -> None:
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


def test_the_self_test_of_the_module_passes(host: Any, widget: Any) -> None:
    host.runTests("ScarReconstruction")


def test_each_result_has_its_own_table_and_an_input_is_not_overwritten(host: Any, ready: Any) -> None:
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
