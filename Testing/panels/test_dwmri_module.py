"""DWMRIEnhance: the module file of the extension, operated through its widgets."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import ROOT, apply, wait_until_gone
from .dwmri_case import choose_small_scan

MODULE = ROOT / "DWMRIEnhance" / "DWMRIEnhance.py"

Use = Callable[[str], None]


@pytest.fixture
def ready(widget: Any) -> Any:
    """The open panel with a small scan and the instant method."""
    choose_small_scan(widget._parameterNode)
    return widget


def test_scan_from_apply_to_discarded_result(host: Any, ready: Any, tmp_path: Path) -> None:
    import slicer

    from deeprecon.scene.common.results import nodes_of_run
    from deeprecon.scene.display.layouts import SIDE_BY_SIDE
    from deeprecon.scene.dwmri.scan import scan_from_node

    node, run, compare = ready._parameterNode, ready.runPanel, ready.results.comparePanel
    assert not compare.widget.visible
    assert "b0 volumes" in ready.ui.gradientsLabel.text
    assert "8 different" in ready.ui.gradientsLabel.text
    assert "time left" in run.ui.estimateLabel.text
    message = apply(host, ready)
    assert run.state.value == "done", message
    assert "10 volumes" in message
    made = node.outputScan
    assert made.GetClassName() == "vtkMRMLDiffusionWeightedVolumeNode"
    found, before = scan_from_node(made), scan_from_node(node.inputScan)
    assert np.array_equal(found.gradients.directions, before.gradients.directions)
    assert not np.array_equal(found.array, before.array)
    assert "about" in run.ui.estimateLabel.text  # learned

    # the panel shows it
    panel = ready.results.resultPanel.ui
    assert panel.burdenTable.mrmlTableNode() is nodes_of_run(made)["figures"]
    assert panel.reportButton.enabled
    assert [panel.showCombo.itemData(index) for index in range(panel.showCombo.count)] == [
        "scan", "residual", "fa", "color_fa", "md", "noise", "uncertainty",
    ]  # fmt: skip
    manager = slicer.app.layoutManager()
    assert manager.layout == SIDE_BY_SIDE
    assert not compare.ui.fadeSlider.enabled  # nothing is blended
    compare.ui.sideBySideCheckBox.checked = False
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {each.GetBackgroundVolumeID() for each in composites} == {node.inputScan.GetID()}
    assert {each.GetForegroundVolumeID() for each in composites} == {made.GetID()}
    assert {each.GetForegroundOpacity() for each in composites} == {1.0}
    assert all(each.GetLinkedControl() for each in composites)

    # fade, flicker, volume
    compare.ui.fadeSlider.value = 0.25
    assert {each.GetForegroundOpacity() for each in composites} == {0.25}
    compare.ui.flickerButton.click()
    host.waitFor(lambda: composites[0].GetForegroundOpacity() == 1.0, 120)
    host.waitFor(lambda: composites[0].GetForegroundOpacity() == 0.0, 120)
    compare.ui.flickerButton.click()
    compare.ui.volumeSlider.value = 5
    assert [each.GetDisplayNode().GetDiffusionComponent() for each in (node.inputScan, made)] == [5, 5]
    assert "Volume 5: b = 1000" in compare.ui.volumeLabel.text
    windows = [each.GetDisplayNode().GetWindow() for each in (node.inputScan, made)]
    assert windows[0] == windows[1]

    # side by side, and back
    layout = slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView
    manager.setLayout(layout)
    compare.ui.sideBySideCheckBox.checked = True
    shown = [manager.sliceWidget(name).mrmlSliceCompositeNode().GetBackgroundVolumeID() for name in
             ("Red", "Yellow", "Green")]  # fmt: skip
    assert shown == [node.inputScan.GetID(), made.GetID(), nodes_of_run(made)["residual"].GetID()]
    assert {manager.sliceWidget(name).mrmlSliceNode().GetOrientation() for name in ("Red", "Yellow", "Green")} == {
        "Axial"
    }
    compare.ui.sideBySideCheckBox.checked = False
    assert manager.layout == layout
    assert manager.sliceWidget("Yellow").mrmlSliceNode().GetOrientation() == "Sagittal"

    # the maps, with their legends
    compare.ui.sideBySideCheckBox.checked = True
    panel.showCombo.currentIndex = panel.showCombo.findData("fa")
    made_of = nodes_of_run(made)
    shown = [manager.sliceWidget(name).mrmlSliceCompositeNode().GetBackgroundVolumeID() for name in
             ("Red", "Yellow", "Green")]  # fmt: skip
    assert shown == [made_of[role].GetID() for role in ("fa_before", "fa_after", "fa_change")]
    change = made_of["fa_change"].GetDisplayNode()
    assert (change.GetLevel(), change.GetWindow()) == (0.0, 0.4)
    np.testing.assert_allclose(
        slicer.util.arrayFromVolume(made_of["fa_change"]),
        slicer.util.arrayFromVolume(made_of["fa_after"]) - slicer.util.arrayFromVolume(made_of["fa_before"]),
        atol=1e-6,
    )

    def legends() -> dict[str, str]:
        nodes = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
        return {node.GetTitleText(): node.GetNthViewNodeID(0)[-3:] for node in nodes if node.GetVisibility()}

    assert set(legends()) == {"FA", "FA change"}
    compare.ui.sideBySideCheckBox.checked = False
    assert set(legends()) == {"FA"}
    panel.showCombo.currentIndex = panel.showCombo.findData("color_fa")
    assert legends() == {}
    assert "green: front to back" in compare.ui.volumeLabel.text
    panel.showCombo.currentIndex = panel.showCombo.findData("residual")
    assert compare.volume == 5  # as it was
    assert set(legends()) == {"Residual"}
    residual = made_of["residual"].GetDisplayNode()
    assert residual.GetLevel() == 0.0
    assert residual.GetColorNodeID() == "vtkMRMLColorTableNodeGrey"
    for name, pair in (("fa", True), ("residual", False), ("color_fa", True), ("noise", False)):
        panel.showCombo.currentIndex = panel.showCombo.findData(name)
        assert compare.ui.fadeSlider.enabled is pair
    assert not compare.ui.volumeSlider.visible
    panel.tablePathEdit.currentPath = str(tmp_path / "figures.csv")
    panel.saveTableButton.click()
    assert "Mean FA after" in (tmp_path / "figures.csv").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "figures.csv.json").read_text(encoding="utf-8"))["parameters"]["method"] == "pca"

    # repeating gives the same values in the same nodes
    first, key = found.array, made.GetID()
    node.settings.bias_correction, node.seed = False, 5
    run.ui.repeatButton.click()
    assert (node.settings.bias_correction, node.seed) == (True, 0)
    apply(host, ready)
    assert node.outputScan.GetID() == key
    assert np.array_equal(scan_from_node(node.outputScan).array, first)

    panel.discardButton.click()
    assert node.outputScan is None
    assert not compare.widget.visible
    assert slicer.mrmlScene.GetNodeByID(key) is None


def test_region_and_line_are_measured_again_when_they_change(host: Any, ready: Any, tmp_path: Path) -> None:
    import slicer

    from deeprecon.scene.common.results import nodes_of_run

    node, ui = ready._parameterNode, ready.ui
    assert not ui.measureCollapsibleButton.visible
    apply(host, ready)
    ui.measureCollapsibleButton.collapsed = False
    ui.boxButton.click()
    host.waitFor(lambda: node.regionTable is not None, 120)
    assert nodes_of_run(node.outputScan)["regions"] is node.regionTable  # goes with the result
    table = node.regionTable.GetTable()
    figures = [table.GetValueByName(row, "figure").ToString() for row in range(table.GetNumberOfRows())]
    assert figures == ["Voxels", "Signal over noise", "FA", "MD [1e-6 mm²/s]"]
    voxels = table.GetValueByName(0, "after").ToInt()
    node.region.SetSize(*(2 * size for size in node.region.GetSize()))
    host.waitFor(lambda: table.GetValueByName(0, "after").ToInt() > 4 * voxels, 120)
    assert table.GetValueByName(1, "after").ToDouble() > 1.5 * table.GetValueByName(1, "before").ToDouble()

    ui.lineButton.click()
    title = "Profile before and after"
    host.waitFor(lambda: slicer.util.getFirstNodeByClassByName("vtkMRMLPlotChartNode", title) is not None, 120)
    chart = slicer.util.getFirstNodeByClassByName("vtkMRMLPlotChartNode", title)
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    assert chart.GetYAxisTitle() == "Scan"
    combo = ready.results.resultPanel.ui.showCombo
    combo.currentIndex = combo.findData("fa")
    host.waitFor(lambda: chart.GetYAxisTitle() == "FA", 120)
    combo.currentIndex = combo.findData("noise")
    host.waitFor(lambda: chart.GetNumberOfPlotSeriesNodes() == 1, 120)

    save = ready.results.resultPanel.ui
    save.tableCombo.currentIndex = save.tableCombo.findText(node.regionTable.GetName())
    save.tablePathEdit.currentPath = str(tmp_path / "region.csv")
    save.saveTableButton.click()
    assert "Signal over noise" in (tmp_path / "region.csv").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "region.csv.json").read_text(encoding="utf-8"))["region"] == "Region"

    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    key, grid = drawn.GetSegmentation().AddEmptySegment("bundle", "bundle"), nodes_of_run(node.outputScan)["noise"]
    drawn.SetReferenceImageGeometryParameterFromVolumeNode(grid)
    node.region = drawn
    for count in (5, 9):  # drawn on as it is measured
        mask = np.zeros(slicer.util.arrayFromVolume(grid).shape, np.uint8)
        mask[4, 8, 2 : 2 + count] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, drawn, key, grid)
        host.waitFor(lambda count=count: table.GetValueByName(0, "after").ToString() == str(count), 120)
    assert table.GetValueByName(0, "region").ToString() == "bundle"

    region, scan = node.region, node.outputScan
    slicer.mrmlScene.RemoveNode(region)
    assert node.region is None
    assert nodes_of_run(scan)["dwi"] is scan
    slicer.mrmlScene.Clear()  # with a measure waiting
    host.process(0.4)
    assert ready._parameterNode.outputScan is None


def test_the_input_is_not_overwritten(host: Any, ready: Any) -> None:
    ready._parameterNode.outputScan = ready._parameterNode.inputScan
    assert "would be overwritten" in ready.runPanel.ui.applyButton.toolTip
    ready.runPanel.ui.repeatButton.click()
    assert "not a result" in ready.runPanel.ui.messageLabel.text


def test_a_model_has_to_be_chosen_before_it_is_used(host: Any, ready: Any) -> None:
    ready.ui.useModelCheckBox.checked = True
    assert "trained model" in ready.runPanel.ui.applyButton.toolTip
    assert not ready.ui.methodCombo.enabled
    ready.ui.useModelCheckBox.checked = False
    assert ready.runPanel.ui.applyButton.enabled


def test_a_dataset_is_enhanced_into_its_derivatives(host: Any, widget: Any, tmp_path: Path) -> None:
    from deeprecon.data.diffusion.files import write_dwi
    from deeprecon.dwmri.parameters import Method
    from deeprecon.dwmri.simulate.head import make_phantom

    scan = make_phantom((8, 16, 18), 1, ((1000.0, 8),), 20.0).noisy
    for subject in ("01", "02"):
        (tmp_path / f"sub-{subject}" / "dwi").mkdir(parents=True)
        write_dwi(tmp_path / f"sub-{subject}" / "dwi" / f"sub-{subject}_dwi.nii.gz", scan)
    (tmp_path / "sub-02" / "dwi" / "sub-02_dwi.bvec").write_text("1 0 0\n", encoding="utf-8")
    run = widget.runPanel
    assert not run.ui.secondaryButton.enabled
    assert "BIDS" in run.ui.secondaryButton.toolTip
    widget.ui.folderEdit.currentPath = str(tmp_path)
    assert run.ui.secondaryButton.enabled
    assert not run.ui.applyButton.enabled  # no scan is chosen
    widget._parameterNode.settings.method = Method.PCA
    run.ui.secondaryButton.click()
    host.waitFor(lambda: not run.busy, 240)
    assert run.state.value == "done", run.ui.messageLabel.text
    assert "1 of 2 scans" in run.ui.messageLabel.text
    results = tmp_path / "derivatives" / "deeprecon"
    assert (results / "dataset_description.json").is_file()
    assert (results / "sub-01" / "dwi" / "sub-01_desc-denoised_dwi.nii.gz").is_file()
    assert not (results / "sub-02").exists()
    table = widget.ui.folderTable.mrmlTableNode().GetTable()
    assert [table.GetValue(row, 1).ToString() for row in range(2)] == ["done", "input"]


def test_a_dataset_is_enhanced_with_the_model_that_is_chosen(
    host: Any, widget: Any, tmp_path: Path, fake_worker: Use
) -> None:
    from deeprecon.data.files import sha256, write_json
    from deeprecon.training.bundle import FORMAT

    model = tmp_path / "model"
    for part in ("configs", "models", "docs"):
        (model / part).mkdir(parents=True)
    (model / "models" / "model.safetensors").write_bytes(b"weights")
    (model / "docs" / "README.md").write_text("A model.", encoding="utf-8")
    words = ("name", "network", "version", "license", "description", "valid_for", "training_data",
             "monai_version", "pytorch_version", "numpy_version")  # fmt: skip
    names = ("models/model.safetensors", "docs/README.md")
    card = {**dict.fromkeys(words, "1"), "format": FORMAT, "method": "dwmri", "parameters": {},
            "network_data_format": {}, "files": {name: sha256(model / name) for name in names}}  # fmt: skip
    write_json(model / "configs" / "metadata.json", card)
    fake_worker("input")
    run = widget.runPanel
    (tmp_path / "data").mkdir()
    widget.ui.folderEdit.currentPath = str(tmp_path / "data")
    widget.ui.useModelCheckBox.checked = True
    assert not run.ui.secondaryButton.enabled
    assert "trained model" in run.ui.secondaryButton.toolTip
    widget.bundlePanel.ui.folderEdit.currentPath = str(model)
    run.ui.secondaryButton.click()
    host.waitFor(lambda: not run.busy, 120)
    job = json.loads((run.folder / "job.json").read_text(encoding="utf-8"))
    assert job["inputs"] == {"bids": str(tmp_path / "data"), "bundle": str(model)}
    assert Path(job["output"]) == tmp_path / "data" / "derivatives" / "deeprecon"


def test_closing_the_scene_ends_the_run_and_resets_the_panel(host: Any, ready: Any, fake_worker: Use) -> None:
    import slicer

    fake_worker("long")
    ready.runPanel.ui.applyButton.click()
    pids = ready.runPanel.folder / "pids"
    host.waitFor(lambda: pids.exists() and pids.read_text(encoding="utf-8") != "", 120)
    slicer.mrmlScene.Clear()
    assert not ready.runPanel.busy
    assert wait_until_gone([int(word) for word in pids.read_text(encoding="utf-8").split()]) == []
    assert ready._parameterNode.inputScan is None
    assert not ready.runPanel.ui.applyButton.enabled


def test_a_saved_scene_restores_the_inputs(host: Any, ready: Any, tmp_path: Path) -> None:
    import slicer

    from deeprecon.dwmri.parameters import Background, Method
    from deeprecon.scene.dwmri.scan import gradients_of

    node = ready._parameterNode
    node.settings.background, node.seed = Background.ZERO, 11
    directions = gradients_of(node.inputScan).directions
    assert slicer.util.saveScene(str(tmp_path / "scan.mrb"), properties={})
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(tmp_path / "scan.mrb"), properties={})
    host.process(0.1)
    ready.enter()
    node = ready._parameterNode
    assert (node.settings.method, node.settings.background, node.seed) == (Method.PCA, Background.ZERO, 11)
    assert node.inputScan.GetName() == "Patient DWI"
    np.testing.assert_allclose(gradients_of(node.inputScan).directions, directions, atol=1e-5)


def test_the_sample_is_offered_in_sample_data(host: Any, widget: Any) -> None:
    import SampleData

    host.startupCompleted()
    assert SampleData.SampleDataLogic().sourceForSampleName("Synthetic diffusion scan") is not None
    assert [node.GetName() for node in host.clickSample("Synthetic diffusion scan")] == ["Sample DWI"]


def test_the_self_test_of_the_module_passes(host: Any, widget: Any) -> None:
    host.runTests("DWMRIEnhance")


def test_the_module_has_title_category_and_help(host: Any) -> None:
    parent = host.loadModule(MODULE, show=False).parent
    assert parent.title == "DWI Enhance"
    assert list(parent.categories) == ["Diffusion"]
    assert "research use only" in parent.helpText
    assert parent.acknowledgementText
    assert len(MODULE.read_text(encoding="utf-8").splitlines()) < 400


def test_linked_widgets_name_fields_of_the_parameter_node(host: Any) -> None:
    import xml.etree.ElementTree as ET

    host.loadModule(MODULE, show=False)
    node = importlib.import_module("DWMRIEnhance").DWMRIEnhanceParameterNode
    entries = ET.parse(MODULE.parent / "Resources" / "UI" / "DWMRIEnhance.ui").iter("property")
    linked = [entry.findtext("string", "") for entry in entries if entry.get("name") == "SlicerParameterName"]
    assert len(linked) == len(set(linked))
    for name in linked:
        assert node.dataType(name)
    direct = {name for name in linked if "." not in name}
    by_code = {"settings", "training", "modelFolder", "outputSummary", "regionTable"}
    assert direct | by_code == set(node.allParameters)
    names = (
        "method",
        "bias_correction",
        "steps",
        "repair",
        "impute",
        "exclude",
        "b0_threshold",
        "background",
        "stored",
    )
    assert {f"settings.{name}" for name in names} <= set(linked)
