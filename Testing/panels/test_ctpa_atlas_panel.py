"""CTPASynthesis with an atlas, operated through its widgets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import apply, press
from .ctpa_case import choose_small_film, composites, open_panel, write_model


@pytest.fixture
def ready(host: Any, probed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The open panel with a small X-ray, and a worker that writes a small result at once."""
    return choose_small_film(open_panel(host, write_model(tmp_path / "model"), monkeypatch), monkeypatch)


def test_an_atlas_is_fitted_without_a_model(host: Any, ready: Any) -> None:
    import slicer

    from deeprecon.scene.common.results import nodes_of_run

    ui, node, run = ready.ui, ready._parameterNode, ready.runPanel
    ui.methodCombo.currentIndex = ui.methodCombo.findText("Network")
    of_network = (ui.modelCollapsibleButton, ui.samplesSpinBox, ui.samplesSpinBoxLabel, ui.advancedCollapsibleButton)
    assert [each.visible for each in of_network] == [True] * 4
    network = ui.methodLabel.text, run.ui.estimateLabel.text
    ui.useModelCheckBox.checked = True  # but none is chosen
    assert not run.ui.applyButton.enabled
    ui.methodCombo.currentIndex = ui.methodCombo.findText("Atlas fitted to the X-ray")
    assert run.ui.applyButton.enabled
    assert [each.visible for each in of_network] == [False] * 4
    assert ui.methodLabel.text != network[0]
    assert "1.2 GB of memory" in run.ui.estimateLabel.text
    message = apply(host, ready)
    assert run.state.value == "done", message
    job = json.loads((run.folder / "job.json").read_text(encoding="utf-8"))
    assert job["inputs"] == {"xray": "inputs/xray.nrrd"}
    assert job["parameters"]["method"] == "atlas"
    made = nodes_of_run(node.outputCt)
    assert {"ct", "labels", "origin", "deformation"} <= set(made)
    panel = ready.resultPanel.ui
    panel.showCombo.currentIndex = panel.showCombo.findData("labels")
    assert {each.GetLabelVolumeID() for each in composites()} == {made["labels"].GetID()}
    assert {each.GetBackgroundVolumeID() for each in composites()} == {node.outputCt.GetID()}

    # the light says what no atlas shows; the slider blends X-ray and projection
    from deeprecon.scene.display.layouts import FILM_VIEW

    ct_panel = ready.ctPanel.ui
    assert "emboli cannot be recovered" in ct_panel.limitsLabel.text
    assert "depth" in ct_panel.limitsLabel.text
    film = slicer.app.layoutManager().sliceWidget(FILM_VIEW).mrmlSliceCompositeNode()
    ct_panel.fadeSlider.value = 0.4
    assert film.GetForegroundVolumeID() == made["projected"].GetID()
    assert film.GetForegroundOpacity() == 0.4
    assert made["projected"].GetDisplayNode().GetWindow() == made["xray"].GetDisplayNode().GetWindow()
    panel.showCombo.currentIndex = panel.showCombo.findData("origin")
    assert film.GetForegroundOpacity() == 0.4
    ct_panel.fadeSlider.value = 0
    assert film.GetForegroundVolumeID() is None
    assert "yellow" in ct_panel.captionLabel.text
    ct_panel.outlinesCheckBox.checked = False
    assert "yellow" not in ct_panel.captionLabel.text

    # repeating restores the method; the network's choices are left alone
    ui.methodCombo.currentIndex = ui.methodCombo.findText("Network")
    run.ui.repeatButton.click()
    assert node.settings.method.value == "atlas"
    assert node.useModel
    assert slicer.util.getNodesByClass("vtkMRMLGridTransformNode") == [made["deformation"]]


def add_volume(name: str, shape: tuple[int, int, int] = (6, 8, 10)) -> Any:
    from deeprecon.data.volume import Volume
    from deeprecon.scene.nodes.volumes import node_from_volume

    return node_from_volume(Volume(np.zeros(shape, np.int16), np.diag([30.0, 30.0, 40.0, 1.0])), name)


def choose_atlas_method(panel: Any) -> None:
    panel.ui.methodCombo.currentIndex = panel.ui.methodCombo.findText("Atlas fitted to the X-ray")


def test_atlases_of_the_scene_a_folder_and_a_lateral_film_come_into_the_job_and_back(
    host: Any, ready: Any, tmp_path: Path
) -> None:
    import slicer

    from deeprecon.data.volume import Volume
    from deeprecon.data.volume_io import read_volume, write_volume

    ui, node, run = ready.ui, ready._parameterNode, ready.runPanel
    choose_atlas_method(ready)
    assert not ui.atlasPicturesLabel.visible
    node.atlas, node.atlas3 = add_volume("Woman"), add_volume("Man")
    assert ui.atlasPicturesLabel.visible
    assert not ui.atlasPicturesLabel.pixmap.isNull()
    (tmp_path / "more").mkdir()
    ui.atlasFolderEdit.currentPath = str(tmp_path / "more")
    film = np.random.default_rng(1).random((90, 1, 70)).astype(np.float32)
    write_volume(tmp_path / "side.nrrd", Volume(film, np.diag([-4.0, -1, 4.0, 1])))
    ui.lateralFileEdit.currentPath = str(tmp_path / "side.nrrd")
    press(host, ui.lateralOpenButton)
    assert node.lateral.GetName() == "side"
    message = apply(host, ready)
    assert run.state.value == "done", message
    job = json.loads((run.folder / "job.json").read_text(encoding="utf-8"))
    assert job["inputs"] == {
        "xray": "inputs/xray.nrrd",
        "atlas": ["inputs/atlas_1.nrrd", "inputs/atlas_2.nrrd", str(tmp_path / "more")],
        "lateral": "inputs/lateral.nrrd",
    }
    assert read_volume(run.folder / "inputs" / "atlas_2.nrrd").array.shape == (6, 8, 10)

    # a result brings its inputs back, unless one is gone
    chosen = node.atlas, node.atlas3, node.lateral
    node.atlas = node.atlas3 = node.lateral = None
    ui.atlasFolderEdit.currentPath = ""
    run.ui.repeatButton.click()
    assert (node.atlas, node.atlas2, node.lateral) == chosen
    assert Path(ui.atlasFolderEdit.currentPath) == tmp_path / "more"
    slicer.mrmlScene.RemoveNode(chosen[1])
    assert node.atlas2 is None
    run.ui.repeatButton.click()
    assert "atlas of this result is not in the scene" in run.ui.messageLabel.text


def test_what_is_no_atlas_or_no_other_film_disables_apply(host: Any, ready: Any, tmp_path: Path) -> None:
    ui, node, apply_button = ready.ui, ready._parameterNode, ready.runPanel.ui.applyButton
    choose_atlas_method(ready)
    node.atlas = add_volume("One slice", (1, 8, 10))
    assert "One slice is no CT" in apply_button.toolTip
    node.atlas = None
    node.lateral = node.xray
    assert "lateral film is the frontal X-ray" in apply_button.toolTip
    node.lateral = None
    ui.atlasFolderEdit.currentPath = str(tmp_path / "missing")
    assert "There is no folder" in apply_button.toolTip
    ui.atlasFolderEdit.currentPath = ""
    assert apply_button.enabled


def test_a_folder_of_films_is_fitted_with_the_chosen_atlases(host: Any, ready: Any, tmp_path: Path) -> None:
    ui, node, run = ready.ui, ready._parameterNode, ready.runPanel
    choose_atlas_method(ready)
    node.atlas, node.lateral = add_volume("Woman"), add_volume("side", (90, 1, 70))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"")
    ui.folderEdit.currentPath, ui.targetEdit.currentPath = str(tmp_path / "in"), str(tmp_path / "out")
    assert "lateral film belongs to one X-ray" in run.ui.secondaryButton.toolTip
    node.lateral = None
    run.ui.secondaryButton.click()
    host.waitFor(lambda: not run.busy, 120)
    job = json.loads((run.folder / "job.json").read_text(encoding="utf-8"))
    assert job["inputs"] == {"xray": str(tmp_path / "in"), "atlas": ["inputs/atlas_1.nrrd"]}
    assert (run.folder / "inputs" / "atlas_1.nrrd").is_file()
