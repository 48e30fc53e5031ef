"""CTPASynthesis: the module file of the extension, operated through its widgets."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import apply, press, wait_until_gone
from .ctpa_case import MODULE, choose_small_film, composites, open_panel, write_model

Use = Callable[[str], None]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "demonstrator")


@pytest.fixture
def widget(host: Any, probed: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The open panel, everything on the CPU, with a hand-made model in place of the demonstrator."""
    return open_panel(host, model, monkeypatch)


@pytest.fixture
def ready(widget: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The open panel with a small X-ray, and a worker that writes a small result at once."""
    return choose_small_film(widget, monkeypatch)


def test_x_ray_from_apply_to_discarded_result(host: Any, ready: Any, tmp_path: Path) -> None:
    import slicer

    from deeprecon.scene.common.results import nodes_of_run
    from deeprecon.scene.ctpa.synthetic_label import labeled_views
    from deeprecon.scene.display.layouts import FILM_AND_CT, FILM_VIEW

    node, run, ctPanel = ready._parameterNode, ready.runPanel, ready.ctPanel.ui
    assert "80 x 96 pixels" in ready.ui.xrayLabel.text
    assert "PA view" in ready.ui.xrayLabel.text
    assert ready.ui.previewLabel.visible
    assert "GB" in run.ui.estimateLabel.text
    assert not ready.ctPanel.widget.visible
    assert labeled_views() == set()
    node.settings.samples, node.settings.steps, node.seed = 2, 7, 9
    message = apply(host, ready)
    assert run.state.value == "done", message
    assert "amber" in message
    assert run.warnings == ["The X-ray is small."]  # the reasons of the rating are under Results
    ct = node.outputCt
    assert ct.GetName() == "Patient film CT (SYNTHETIC)"

    # quality and projection check
    assert ready.ctPanel.widget.visible
    assert "Use this result with caution" in ctPanel.qualityLabel.text
    assert "No bone can be found" in ctPanel.qualityLabel.text
    assert not ctPanel.projectionLabel.pixmap.isNull()
    assert "error 0.31" in ctPanel.captionLabel.text
    panel = ready.resultPanel.ui
    assert panel.burdenTable.mrmlTableNode() is nodes_of_run(ct)["figures"]
    assert panel.reportButton.enabled
    assert [panel.showCombo.itemData(index) for index in range(panel.showCombo.count)] == [
        "ct", "sample_01", "sample_02", "spread",
    ]  # fmt: skip

    # display
    manager = slicer.app.layoutManager()
    assert manager.layout == FILM_AND_CT
    film = manager.sliceWidget(FILM_VIEW)
    assert film.mrmlSliceCompositeNode().GetBackgroundVolumeID() == nodes_of_run(ct)["xray"].GetID()
    assert {each.GetBackgroundVolumeID() for each in composites()} == {ct.GetID()}
    views = {
        node.GetID() for kind in ("vtkMRMLSliceNode", "vtkMRMLViewNode") for node in slicer.util.getNodesByClass(kind)
    }
    assert labeled_views() == views - {film.mrmlSliceNode().GetID()}  # the X-ray is a real one
    display = ct.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (700, 100)
    ctPanel.lungButton.click()
    assert (display.GetWindow(), display.GetLevel()) == (1500, -600)
    assert ctPanel.lungButton.checked
    assert not ctPanel.ctpaButton.checked
    panel.showCombo.currentIndex = panel.showCombo.findData("sample_02")
    sample = nodes_of_run(ct)["sample_02"]
    assert {each.GetBackgroundVolumeID() for each in composites()} == {sample.GetID()}
    assert sample.GetDisplayNode().GetWindow() == 1500
    panel.showCombo.currentIndex = panel.showCombo.findData("spread")
    assert {each.GetForegroundVolumeID() for each in composites()} == {nodes_of_run(ct)["spread"].GetID()}

    # the X-ray alone is not marked
    slicer.util.setSliceViewerLayers(background=node.xray, foreground=None)
    assert labeled_views() == set()

    # repeating restores the settings and writes into the same nodes
    node.settings.samples, node.settings.steps, node.seed = 3, 8, 1
    run.ui.repeatButton.click()
    assert (node.settings.samples, node.settings.steps, node.seed) == (2, 7, 9)
    key = ct.GetID()
    apply(host, ready)
    assert node.outputCt.GetID() == key
    panel.tablePathEdit.currentPath = str(tmp_path / "figures.csv")
    panel.saveTableButton.click()
    assert json.loads((tmp_path / "figures.csv.json").read_text(encoding="utf-8"))["seed"] == 9

    panel.discardButton.click()
    assert node.outputCt is None
    assert not ready.ctPanel.widget.visible
    assert labeled_views() == set()


def test_the_label_synthetic_is_drawn_in_all_views(host: Any, ready: Any, tmp_path: Path) -> None:
    import slicer
    import vtk

    def orange(view: Any) -> int:
        """Pixels of the mark's color in the lower part of a view."""
        window = view.renderWindow()
        window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        width, height, _ = grabber.GetOutput().GetDimensions()
        pixels = vtk.util.numpy_support.vtk_to_numpy(grabber.GetOutput().GetPointData().GetScalars())
        lower = pixels.reshape(height, width, -1)[: height // 5].astype(int)
        return int(((lower[..., 0] > 200) & (lower[..., 2] < 120) & (lower[..., 1] > 140)).sum())

    manager = slicer.app.layoutManager()
    views = [manager.sliceWidget(name).sliceView() for name in ("Red", "Yellow", "Green")]
    views.append(manager.threeDWidget(0).threeDView())
    assert [orange(view) for view in views] == [0, 0, 0, 0]
    apply(host, ready)
    assert min(orange(view) for view in views) > 100


def test_the_sample_is_chosen_and_can_be_turned(host: Any, widget: Any) -> None:
    node = widget._parameterNode
    assert "chest X-ray" in widget.runPanel.ui.applyButton.toolTip
    press(host, widget.ui.sampleButton)
    assert node.xray.GetName() == "Sample chest X-ray"
    assert widget.runPanel.ui.applyButton.enabled
    upright = widget.ui.previewLabel.pixmap.size()
    assert upright.height() > upright.width()
    widget.ui.turnCombo.currentIndex = 1
    assert node.settings.turn.value == "90"
    turned = widget.ui.previewLabel.pixmap.size()
    assert (turned.width(), turned.height()) == (upright.height(), upright.width())
    assert widget.ui.viewCombo.currentText.startswith("As the file says")
    widget.ui.invertCheckBox.checked = True
    assert node.settings.invert


def test_files_are_opened_and_other_images_disable_apply(host: Any, widget: Any, tmp_path: Path) -> None:
    from deeprecon.data.errors import InputError
    from deeprecon.data.volume import Volume
    from deeprecon.data.volume_io import write_volume
    from deeprecon.scene.nodes.volumes import node_from_volume

    image = np.random.default_rng(1).random((90, 1, 70)).astype(np.float32)
    write_volume(tmp_path / "Größe.nrrd", Volume(image, np.diag([-0.4, -1, 0.4, 1])))
    widget.ui.fileEdit.currentPath = str(tmp_path / "Größe.nrrd")
    press(host, widget.ui.openButton)
    assert widget._parameterNode.xray.GetName() == "Größe"
    assert widget.runPanel.ui.applyButton.enabled
    widget._parameterNode.xray = node_from_volume(Volume(np.zeros((4, 5, 6), np.int16), np.eye(4)), "Patient CT")
    assert not widget.runPanel.ui.applyButton.enabled
    assert "Patient CT is a volume" in widget.runPanel.ui.applyButton.toolTip
    assert "Patient CT is a volume" in widget.ui.xrayLabel.text
    assert not widget.ui.previewLabel.visible
    widget.ui.fileEdit.currentPath = ""
    with pytest.raises(InputError, match="No file"):
        widget.onOpenButton()


def test_a_model_of_the_user_has_to_be_chosen_before_it_is_used(host: Any, ready: Any, model: Path) -> None:
    assert "phantoms alone" in ready.ui.modelLabel.text
    assert not ready.ui.modelFrame.visible
    ready.ui.useModelCheckBox.checked = True
    assert "model of your own" in ready.runPanel.ui.applyButton.toolTip
    assert ready.ui.modelFrame.visible
    ready.bundlePanel.ui.folderEdit.currentPath = str(model)
    assert ready.runPanel.ui.applyButton.enabled
    apply(host, ready)
    job = json.loads((ready.runPanel.folder / "job.json").read_text(encoding="utf-8"))
    assert job["inputs"]["bundle"] == str(model)


def test_a_missing_demonstrator_disables_apply(
    host: Any, probed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("deeprecon.ctpa.demonstrator.demonstrator_folder", lambda: tmp_path / "missing")
    widget = host.loadModule(MODULE)
    press(host, widget.ui.sampleButton)
    assert not widget.runPanel.ui.applyButton.enabled
    assert "no model bundle" in widget.runPanel.ui.applyButton.toolTip
    assert "no model bundle" in widget.ui.modelLabel.text


def test_the_input_is_not_overwritten(host: Any, ready: Any) -> None:
    ready._parameterNode.outputCt = ready._parameterNode.xray
    assert "would be overwritten" in ready.runPanel.ui.applyButton.toolTip
    ready.runPanel.ui.repeatButton.click()
    assert "not a result" in ready.runPanel.ui.messageLabel.text


def test_all_x_rays_of_a_folder_are_processed(host: Any, ready: Any, tmp_path: Path) -> None:
    run, node = ready.runPanel, ready._parameterNode
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(b"")
    assert not run.ui.secondaryButton.enabled
    ready.ui.folderEdit.currentPath = str(tmp_path / "in")
    assert "results" in run.ui.secondaryButton.toolTip
    ready.ui.targetEdit.currentPath = str(tmp_path / "out")
    assert run.ui.secondaryButton.enabled
    node.settings.steps = 5
    run.ui.secondaryButton.click()
    host.waitFor(lambda: not run.busy, 120)
    assert "1 of 2 X-rays are done" in run.ui.messageLabel.text
    job = json.loads((run.folder / "job.json").read_text(encoding="utf-8"))
    assert job["inputs"] == {"xray": str(tmp_path / "in")}
    assert job["parameters"]["steps"] == 5
    table = ready.ui.folderTable.mrmlTableNode().GetTable()
    assert [table.GetValue(row, 1).ToString() for row in range(2)] == ["done", "input"]
    (tmp_path / "out" / "summary.csv").write_text("xray,status\nnotes of the user,read\n", encoding="utf-8")
    run.ui.secondaryButton.click()
    host.waitFor(lambda: not run.busy, 120)
    assert "1 of 2 X-rays are done" in run.ui.messageLabel.text
    assert "notes of the user" in (tmp_path / "out" / "summary.csv").read_text(encoding="utf-8")
    table = ready.ui.folderTable.mrmlTableNode().GetTable()
    assert [table.GetValue(row, 1).ToString() for row in range(2)] == ["done", "input"]


def test_the_result_is_exported_as_dicom(host: Any, ready: Any, tmp_path: Path) -> None:
    import SimpleITK as sitk

    run, ctPanel = ready.runPanel, ready.ctPanel.ui
    apply(host, ready)
    assert not ctPanel.exportButton.enabled
    assert "folder" in ctPanel.exportButton.toolTip
    ctPanel.exportFolderEdit.currentPath = str(tmp_path)
    ctPanel.patientEdit.text = "TEST 7"
    ctPanel.exportButton.click()
    host.waitFor(lambda: not run.busy, 120)
    assert run.state.value == "done", run.ui.messageLabel.text
    assert str(tmp_path / "synthetic-ct") in run.ui.messageLabel.text
    files = sorted((tmp_path / "synthetic-ct").rglob("*.dcm"))
    assert len(files) == 12
    image = sitk.ReadImage(str(files[0]))
    assert image.GetMetaData("0010|0020").strip() == "TEST 7"
    ctPanel.exportButton.click()  # once more: nothing is overwritten
    host.waitFor(lambda: not run.busy, 120)
    assert (tmp_path / "synthetic-ct-2").is_dir()


def test_volume_rendering_is_offered_where_slicer_has_the_presets(host: Any, probed: Any, ready: Any) -> None:
    import slicer

    from deeprecon.scene.ctpa.synthetic_label import labeled_views
    from deeprecon.scene.ctpa.views import PRESETS, presets, rendering

    apply(host, ready)
    combo = ready.ctPanel.ui.renderCombo
    assert combo.enabled is (len(presets()) > 0)
    if not presets():
        made = slicer.vtkMRMLVolumePropertyNode()
        made.SetName(PRESETS[0])
        slicer.modules.volumerendering.logic().AddPreset(made)
    other = host.loadModule(MODULE)  # asks again
    other.onChanged()
    combo = other.ctPanel.ui.renderCombo
    assert combo.enabled
    combo.currentIndex = combo.findData(PRESETS[0])
    assert rendering(other._parameterNode.outputCt) == PRESETS[0]
    slicer.util.setSliceViewerLayers(background=other._parameterNode.xray)
    assert labeled_views() == {slicer.app.layoutManager().threeDWidget(0).mrmlViewNode().GetID()}
    combo.currentIndex = 0
    assert labeled_views() == set()
    assert rendering(other._parameterNode.outputCt) == ""


def test_trained_models_are_used_by_the_next_step(host: Any, ready: Any, tmp_path: Path) -> None:
    autoencoder, diffusion = ready.trainingPanels
    assert (autoencoder.training.verb, diffusion.training.verb) == ("train-autoencoder", "train-diffusion")
    assert set(autoencoder.inputs) == {"store", "perceptual"}
    assert set(diffusion.inputs) == {"store", "bundle", "encoder"}
    diffusion.settings["steps"].value = 55
    assert ready._parameterNode.diffusionTraining.steps == 55
    ready.useAutoencoder(tmp_path)
    assert Path(diffusion.inputs["bundle"].currentPath) == tmp_path
    ready.useModel(tmp_path)
    assert ready._parameterNode.useModel
    assert Path(ready.bundlePanel.ui.folderEdit.currentPath) == tmp_path


def test_closing_the_scene_ends_the_run_and_resets_the_panel(host: Any, ready: Any, fake_worker: Use) -> None:
    import slicer

    from deeprecon.scene.ctpa.synthetic_label import labeled_views

    apply(host, ready)
    fake_worker("long")
    ready.runPanel.ui.applyButton.click()
    pids = ready.runPanel.folder / "pids"
    host.waitFor(lambda: pids.exists() and pids.read_text(encoding="utf-8") != "", 120)
    slicer.mrmlScene.Clear()
    assert not ready.runPanel.busy
    assert wait_until_gone([int(word) for word in pids.read_text(encoding="utf-8").split()]) == []
    assert ready._parameterNode.xray is None
    assert not ready.runPanel.ui.applyButton.enabled
    assert labeled_views() == set()


def test_a_saved_scene_restores_inputs_and_synthetic_labels(host: Any, ready: Any, tmp_path: Path) -> None:
    import slicer

    from deeprecon.ctpa.parameters import Preset, SamplerName
    from deeprecon.scene.ctpa.synthetic_label import labeled_views

    node = ready._parameterNode
    node.settings.preset, node.settings.sampler, node.seed = Preset.FULL, SamplerName.DPM_SOLVER, 11
    apply(host, ready)
    assert slicer.util.saveScene(str(tmp_path / "scan.mrb"), properties={})
    slicer.mrmlScene.Clear()
    assert labeled_views() == set()
    slicer.util.loadScene(str(tmp_path / "scan.mrb"), properties={})
    host.process(0.1)
    ready.enter()
    node = ready._parameterNode
    assert (node.settings.preset, node.settings.sampler, node.seed) == (Preset.FULL, SamplerName.DPM_SOLVER, 11)
    assert node.xray.GetName() == "Patient film"
    assert node.outputCt.GetName() == "Patient film CT (SYNTHETIC)"
    assert "Use this result with caution" in ready.ctPanel.ui.qualityLabel.text
    assert not ready.ctPanel.ui.projectionLabel.pixmap.isNull()
    slicer.util.setSliceViewerLayers(background=node.outputCt)
    assert len(labeled_views()) > 0


def test_the_sample_is_offered_in_sample_data(host: Any, widget: Any) -> None:
    import SampleData

    host.startupCompleted()
    assert SampleData.SampleDataLogic().sourceForSampleName("Synthetic chest X-ray") is not None
    assert [node.GetName() for node in host.clickSample("Synthetic chest X-ray")] == ["Sample chest X-ray"]


def test_the_module_has_title_category_and_help(host: Any) -> None:
    parent = host.loadModule(MODULE, show=False).parent
    assert parent.title == "CTPA Synthesis"
    assert list(parent.categories) == ["Image Synthesis"]
    assert "research use only" in parent.helpText
    assert parent.acknowledgementText
    assert len(MODULE.read_text(encoding="utf-8").splitlines()) < 400


def test_linked_widgets_name_fields_of_the_parameter_node(host: Any) -> None:
    import xml.etree.ElementTree as ET

    from deeprecon.ctpa.parameters import SynthesizeParameters
    from deeprecon.jobs.parameters import fields_of

    host.loadModule(MODULE, show=False)
    node = importlib.import_module("CTPASynthesis").CTPASynthesisParameterNode
    entries = ET.parse(MODULE.parent / "Resources" / "UI" / "CTPASynthesis.ui").iter("property")
    linked = [entry.findtext("string", "") for entry in entries if entry.get("name") == "SlicerParameterName"]
    assert len(linked) == len(set(linked))
    for name in linked:
        assert node.dataType(name)
    direct = {name for name in linked if "." not in name}
    by_code = {
        "settings", "atlasFolder", "modelFolder", "outputSummary", "autoencoderTraining", "diffusionTraining",
    }  # fmt: skip
    assert direct | by_code == set(node.allParameters)
    assert {f"settings.{field.name}" for field in fields_of(SynthesizeParameters)} <= set(linked)
