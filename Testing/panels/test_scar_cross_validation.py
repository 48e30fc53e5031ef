"""Cross-validation from the panel, and the sections of the results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.scar.fit.interpolation import SPATIAL

from .conftest import apply, wait_until_gone


def check(host: Any, widget: Any, timeout: float = 180.0) -> str:
    """Press the button next to Apply, wait for the end, return the message."""
    button = widget.runPanel.ui.secondaryButton
    assert button.enabled, button.toolTip
    button.click()
    host.waitFor(lambda: not widget.runPanel.busy, timeout)
    return str(widget.runPanel.ui.messageLabel.text)


def test_cross_validation_shows_its_tables_and_compares_the_interpolations(host: Any, ready: Any) -> None:
    import slicer

    node, ui = ready._parameterNode, ready.tablesPanel.ui
    node.settings.node_spacing = 4.0
    ready.ui.methodCombo.currentIndex = 2
    ready.ui.interpolationCombo.currentIndex = 2
    assert ready.runPanel.ui.secondaryButton.text == "Cross-validate"
    assert not ui.crossValidationCollapsibleButton.visible
    message = check(host, ready)
    assert "Each of 5 slices was left out in turn: interpolation (signed distance) predicts them" in message, message
    job = json.loads((ready.runPanel.folder / "job.json").read_text(encoding="utf-8"))
    assert job["verb"] == "cross-validate"
    assert ui.crossValidationCollapsibleButton.visible
    assert not ui.crossValidationCollapsibleButton.collapsed
    summary = ui.crossValidationTable.mrmlTableNode()
    assert summary is node.outputCheck
    assert summary.GetColumnTitle("dice") == "Dice"
    table = summary.GetTable()
    scores = {table.GetValueByName(row, "method").ToString(): table.GetValueByName(row, "dice").ToDouble()
              for row in range(table.GetNumberOfRows())}  # fmt: skip
    assert set(scores) == {kind.value for kind in SPATIAL}
    assert min(scores.values()) > 0.9  # all slices of the tube are alike
    assert f"{scores['signed-distance']:.2f}" in ui.crossValidationLabel.text
    assert ui.crossValidationLabel.text in message
    assert ui.crossValidationSlicesTable.mrmlTableNode().GetTable().GetNumberOfRows() == 5 * len(SPATIAL)
    assert node.outputMesh is None  # it is no reconstruction

    again = summary.GetID()
    check(host, ready)
    assert node.outputCheck.GetID() == again
    apply(host, ready)
    assert node.outputCheck.GetID() == again
    combo = ready.resultPanel.ui.tableCombo
    offered = [combo.itemText(index) for index in range(combo.count)]
    assert offered[0] == node.outputTable.GetName()
    assert summary.GetName() in offered
    ready.resultPanel.ui.discardButton.click()
    assert ui.crossValidationCollapsibleButton.visible
    ui.discardCrossValidationButton.click()
    assert slicer.mrmlScene.GetNodeByID(again) is None
    assert not ui.crossValidationCollapsibleButton.visible


def test_cross_validation_of_the_field_reports_progress(host: Any, ready: Any) -> None:
    node, run = ready._parameterNode, ready.runPanel
    node.settings.node_spacing = 4.0
    node.settings.steps = 15
    run.ui.secondaryButton.click()
    assert not run.ui.secondaryButton.enabled
    assert run.ui.applyButton.text == "Cancel"
    host.waitFor(lambda: not run.busy or 0 < run.ui.progressBar.value < 1000, 120)
    host.waitFor(lambda: not run.busy, 180)
    message = run.ui.messageLabel.text
    assert "the neural field predicts them with a mean Dice of" in message, message
    assert "the best interpolation (" in message
    assert ready.tablesPanel.ui.crossValidationTable.mrmlTableNode().GetTable().GetNumberOfRows() == 5


def test_cross_validation_is_cancelled_like_a_run(host: Any, ready: Any, fake_worker: Callable[[str], None]) -> None:
    fake_worker("long")
    ready.runPanel.ui.secondaryButton.click()
    path = ready.runPanel.folder / "pids"
    host.waitFor(lambda: path.exists() and path.read_text(encoding="utf-8") != "", 120)
    ready.runPanel.ui.applyButton.click()
    host.waitFor(lambda: not ready.runPanel.busy, 120)
    assert ready.runPanel.ui.messageLabel.text == "Cancelled. Nothing was changed."
    assert ready._parameterNode.outputCheck is None
    assert wait_until_gone([int(word) for word in path.read_text(encoding="utf-8").split()]) == []


def test_cross_validation_of_a_single_slice_is_refused(host: Any, ready: Any) -> None:
    import slicer

    node = ready._parameterNode
    ready.ui.methodCombo.currentIndex = 2
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node.segmentation, "LV Myocardium", node.inputVolume).copy()
    array[1:] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node.segmentation, "LV Myocardium", node.inputVolume)
    array[..., ::2] = 0  # a wall that is scar throughout is another contradiction
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node.segmentation, "Scar", node.inputVolume)
    assert "There is one slice only" in check(host, ready)
    assert ready.runPanel.state.value == "failed"


def test_channels_are_shown_as_lines_and_rows(host: Any, widget: Any, tmp_path: Path) -> None:
    """The isthmus of 4 mm between two scars of a small heart, on slices fine enough to show it."""
    import slicer

    from deeprecon.scar.simulate.hearts import sample_case, write_case
    from deeprecon.scar.simulate.ventricle import Ventricle
    from deeprecon.scene.common.results import nodes_of_run

    heart = Ventricle(cavity_radius=18, cavity_length=52, base_height=14)
    case = sample_case(0, "isthmus", heart, spacing=6, thickness=6, pixel=1.5, node_spacing=4)
    files = write_case(case, tmp_path / "case")
    node, ui = widget._parameterNode, widget.tablesPanel.ui
    node.segmentation = slicer.util.loadSegmentation(str(files["segmentation"]))
    node.mesh = slicer.util.loadModel(str(files["mesh"]))
    widget.ui.methodCombo.currentIndex = 2
    widget.ui.interpolationCombo.currentIndex = 2
    node.settings.core_cutoff = 0.5
    node.settings.slice_thickness = 6.0
    apply(host, widget)
    run = nodes_of_run(node.outputMesh)
    table = ui.channelsTable.mrmlTableNode()
    assert table is run["channels"]
    assert ui.channelsCollapsibleButton.visible
    (length,) = slicer.util.arrayFromTableColumn(table, "length_mm")
    assert 15 < length < 35
    lines = run["channel_paths"]
    assert lines.GetPolyData().GetNumberOfLines() == table.GetTable().GetNumberOfRows() == 1
    assert lines.GetDisplayNode().GetVisibility()
    path = slicer.util.arrayFromModelPoints(lines)
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).sum() == pytest.approx(length, abs=0.5)
    assert node.outputMesh.GetDisplayNode().GetOpacity() < 1  # else the wall hides them


def test_settings_of_the_network_are_shown_only_with_it(host: Any, ready: Any) -> None:
    from deeprecon.scar.parameters import MlpSize

    ui = ready.ui
    for index, shown in enumerate((False, True, False)):
        ui.methodCombo.currentIndex = index
        assert ui.networkCombo.visible is ui.networkComboLabel.visible is shown
        assert ui.samplesSpinBox.visible is ui.samplesSpinBoxLabel.visible is shown
    ui.methodCombo.currentIndex = 1
    ui.networkCombo.currentIndex = ui.networkCombo.findText("6 layers of 256")
    ui.samplesSpinBox.value = 12
    settings = ready._parameterNode.settings
    assert (settings.network, settings.samples) == (MlpSize.LARGE, 12)


def test_each_table_has_a_section_and_a_missing_bullseye_is_hidden(host: Any, widget: Any, tmp_path: Path) -> None:
    import slicer

    tablesPanel = widget.tablesPanel
    ui = tablesPanel.ui
    sections = {
        "aha": ui.segmentsCollapsibleButton,
        "transmurality": ui.transmuralityCollapsibleButton,
        "channels": ui.channelsCollapsibleButton,
        "slices": ui.slicesCollapsibleButton,
        "unmet": ui.unmetCollapsibleButton,
    }
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    for role in sections:
        tablesPanel.setResult({role: table, "mesh": None}, tmp_path / "gone.png")
        assert [name for name, section in sections.items() if section.visible] == [role]
        assert not ui.bullseyeLabel.visible
    tablesPanel.setResult({})
    assert not any(section.visible for section in sections.values())
