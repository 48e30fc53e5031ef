"""ScarReconstruction: what happens in the scene while its panel is open, in each state of the panel."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk

from .scar_case import choose_small_case, small_stack
from .scene_events import EVENTS, STATES, Bench, Case, check_event


def choose(node: Any, name: str) -> None:
    """Two stacks, a mesh around them, landmarks, and for the scar a segment that is not named so."""
    import slicer

    from deeprecon.scar.parameters import Method

    choose_small_case(node, name)
    node.segmentation.GetSegmentation().GetSegment("empty").SetName("Second lesion")
    node.scarSegment = "empty"
    node.inputVolume2, node.segmentation2 = small_stack(f"{name} second")
    bounds = [0.0] * 6
    node.inputVolume.GetRASBounds(bounds)
    box = vtk.vtkCubeSource()
    box.SetBounds(bounds)
    box.Update()
    node.mesh = slicer.modules.models.logic().AddModel(box.GetOutput())
    node.mesh.SetName(f"{name} mesh")
    node.landmarks = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"{name} landmarks")
    node.landmarks.CreateDefaultDisplayNodes()
    for label, height in (("apex", bounds[4]), ("base", bounds[5])):
        node.landmarks.AddControlPoint(vtk.vtkVector3d(0, 0, height), label)
    node.settings.method = Method.INTERPOLATION


def write_result(folder: Path, verb: str, metrics: dict[str, Any], files: dict[str, str]) -> None:
    """The result.json of files (role -> name) that are in the folder already."""
    outputs = {
        role: {"path": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
        for role, name in files.items()
    }
    parameters = {"method": "interpolation", "interpolation": "linear"}
    provenance = {"method": "scar", "verb": verb, "seed": 3, "parameters": parameters}
    result = {"format": 1, "metrics": metrics, "provenance": provenance, "outputs": outputs}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def finished(folder: Path) -> None:
    """Mesh, segmentation, burden, slices and segments, as a reconstruction leaves them."""
    from deeprecon.data.mesh.files import write_mesh
    from deeprecon.data.mesh.mesh import Mesh
    from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation

    folder.mkdir()
    ball = vtk.vtkSphereSource()
    ball.SetRadius(20)
    ball.Update()
    mesh = Mesh(ball.GetOutput(), "mesh")
    value = np.linspace(0, 1, mesh.n_points, dtype=np.float32)
    mesh = mesh.with_point_arrays({"scar_probability": value, "scar_uncertainty": value / 2})
    write_mesh(folder / "mesh.vtp", mesh, "mm", "lps")
    mask = np.zeros((3, 4, 5), bool)
    mask[1] = True
    write_segmentation(folder / "segmentation.seg.nrrd", Segmentation((Segment("Scar", mask, (1, 0, 0)),), np.eye(4)))
    files = {"mesh": "mesh.vtp", "segmentation": "segmentation.seg.nrrd"}
    for role in ("table", "slices", "aha"):
        files[role] = f"{role}.csv"
        (folder / files[role]).write_text("region,volume_ml\nscar,1.5\n", encoding="utf-8")
    write_result(folder, "reconstruct", {"volume_ml": 1.5, "percent_of_wall": 7.0}, files)


def compare(bench: Bench) -> None:
    """The uncertainty, and a cross-validation."""
    folder = bench.folder.with_name("cross-validation")
    if not folder.exists():
        folder.mkdir()
        for name in ("summary", "slices"):
            (folder / f"{name}.csv").write_text("method,dice\nlinear,0.9\n", encoding="utf-8")
        metrics = {"slices": 5, "dice_linear": 0.9, "dice_nearest": 0.8}
        write_result(folder, "cross-validate", metrics, {"summary": "summary.csv", "slices": "slices.csv"})
    bench.run.ui.secondaryButton.click()
    bench.started().finish(folder)
    bench.wait()
    assert bench.node.outputCheck is not None
    bench.widget.resultPanel.shown = "scar_uncertainty"


INPUTS = ("inputVolume", "segmentation", "mesh", "landmarks", "inputVolume2", "segmentation2")
CASE = Case("ScarReconstruction", INPUTS, "outputMesh", choose, compare, lambda widget: widget.resultPanel, finished)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", EVENTS)
def test_choices_after(event: str, state: str, bench: Bench, capfd: Any) -> None:
    check_event(bench, event, state, capfd)
