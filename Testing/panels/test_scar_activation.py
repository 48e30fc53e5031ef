"""Activation from a pacing site that the user picks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import apply


def picked(place: Any, name: str = "site") -> Any:
    """A point list with one point."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.AddControlPoint(*map(float, place))
    return node


@pytest.fixture
def reconstructed(host: Any, widget: Any, tmp_path: Path) -> Any:
    """The open panel with the scar of a small heart on a coarse mesh."""
    import slicer

    from deeprecon.scar.simulate.hearts import sample_case, write_case
    from deeprecon.scar.simulate.ventricle import Ventricle

    heart = Ventricle(cavity_radius=18, cavity_length=52, base_height=14)
    files = write_case(sample_case(0, "infarct", heart, spacing=8, pixel=2.5, node_spacing=4), tmp_path / "case")
    node = widget._parameterNode
    node.segmentation = slicer.util.loadSegmentation(str(files["segmentation"]))
    node.mesh = slicer.util.loadModel(str(files["mesh"]))
    widget.ui.methodCombo.currentIndex = 2
    node.settings.slice_thickness = 8.0
    assert not widget.ui.activationButton.enabled
    assert "Reconstruct scar first" in widget.ui.activationButton.toolTip
    apply(host, widget)
    return widget


def test_isochrones_of_a_picked_site_appear_on_a_model(host: Any, reconstructed: Any) -> None:
    import slicer

    node, ui, run = reconstructed._parameterNode, reconstructed.ui, reconstructed.runPanel
    result = node.outputMesh
    assert not ui.activationButton.enabled
    assert "Markups" in ui.activationButton.toolTip
    points = slicer.util.arrayFromModelPoints(result)
    node.pacingSite = picked(points[points[:, 2].argmax()] + [0, 0, 500], "far")
    assert ui.activationButton.enabled
    ui.activationButton.click()
    host.waitFor(lambda: not run.busy, 120)
    assert "outside of the wall" in run.ui.messageLabel.text
    assert node.outputActivation is None

    probability = slicer.util.arrayFromModelPointData(result, "scar_probability")
    start = int(np.flatnonzero(probability < 0.1)[0])
    node.pacingSite = picked(points[start])
    ui.activationButton.click()
    host.waitFor(lambda: not run.busy, 120)
    assert "The last tissue is activated after" in run.ui.messageLabel.text
    job = json.loads((run.folder / "job.json").read_text(encoding="utf-8"))
    assert job["verb"] == "activation"
    np.testing.assert_allclose(job["parameters"]["site"], points[start], atol=1e-3)
    made = node.outputActivation
    times = slicer.util.arrayFromModelPointData(made, "activation_time")
    assert times[start] == 0
    assert 30 < np.nanmax(times) < 400
    display = made.GetDisplayNode()
    assert display.GetActiveScalarName() == "activation_time"
    assert display.GetScalarRange()[1] >= np.nanmax(times)
    assert display.GetColorNode().GetNumberOfColors() == 10
    assert not result.GetDisplayNode().GetVisibility()
    assert ui.activationLabel.text in run.ui.messageLabel.text
    assert node.outputMesh is result

    again = made.GetID()
    ui.activationButton.click()
    host.waitFor(lambda: not run.busy, 120)
    assert node.outputActivation.GetID() == again
    slicer.mrmlScene.RemoveNode(made)
    assert node.outputActivation is None
    assert ui.activationLabel.text == ""
