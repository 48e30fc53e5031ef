"""CTPASynthesis with an atlas, operated through its widgets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import apply
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

    # repeating restores the method; the network's choices are left alone
    ui.methodCombo.currentIndex = ui.methodCombo.findText("Network")
    run.ui.repeatButton.click()
    assert node.settings.method.value == "atlas"
    assert node.useModel
    assert slicer.util.getNodesByClass("vtkMRMLGridTransformNode") == [made["deformation"]]
