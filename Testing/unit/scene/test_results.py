"""Results in the scene: all of them or none, checked, named, filed, and replaced by the next run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.volume import Volume
from deeprecon.scene.common import results
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.common.results import discard, hide_inputs, load_results, show_hidden_inputs
from deeprecon.scene.common.stored_inputs import write_inputs
from deeprecon.scene.display.colors import color_table, show_scalars
from deeprecon.scene.nodes.models import mesh_from_node, node_from_mesh
from deeprecon.scene.nodes.volumes import node_from_volume, volume_from_node
from deeprecon.scene.scar.result import node_factories, result_sentence

from .conftest import tetrahedra

Make = Callable[..., Path]
PATH = [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (7.0, 8.0, -9.0)]  # RAS mm


def counts(scene: Any) -> dict[str, int]:
    return {kind: scene.GetNumberOfNodesByClass(f"vtkMRML{kind}Node") for kind in ("Storable", "Display", "Storage")}


def hierarchy() -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def folder_of(node: Any) -> Any:
    return hierarchy().GetItemParent(hierarchy().GetItemByDataNode(node))


def test_every_output_becomes_a_node_of_its_kind(scene: Any, make_results: Make) -> None:
    nodes = load_results(make_results(), "Patient")
    assert {role: (node.GetClassName(), node.GetName()) for role, node in nodes.items()} == {
        "mesh": ("vtkMRMLModelNode", "Patient mesh"),
        "segmentation": ("vtkMRMLSegmentationNode", "Patient segmentation"),
        "image": ("vtkMRMLScalarVolumeNode", "Patient image"),
        "table": ("vtkMRMLTableNode", "Patient table"),
    }
    np.testing.assert_allclose(mesh_from_node(nodes["mesh"]).points, tetrahedra().points, atol=1e-5)
    np.testing.assert_allclose(volume_from_node(nodes["image"]).spacing, (2, 3, 4))
    assert nodes["table"].GetCellText(1, 0) == "core"
    assert provenance_of(nodes["table"])["seed"] == 7


def test_channels_become_lines_in_position_also_for_a_mesh_in_other_units(scene: Any, make_results: Make) -> None:
    folder = make_results()
    points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    lines.InsertNextCell(3)
    for place in PATH:
        lines.InsertCellPoint(points.InsertNextPoint(place))
    path = vtk.vtkPolyData()
    path.SetPoints(points)
    path.SetLines(lines)
    write_mesh(folder / "channels.vtp", Mesh(path, "channels"), "mm", "lps")
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    result["outputs"]["channel_paths"] = {"path": "channels.vtp", "sha256": sha256(folder / "channels.vtp")}
    result["metrics"]["mesh_unit"] = "cm"  # in which the mesh is written, not these
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    node = load_results(folder, "Patient", method_factories=node_factories)["channel_paths"]
    assert node.GetPolyData().GetNumberOfLines() == 1
    np.testing.assert_allclose(slicer.util.arrayFromModelPoints(node), PATH)
    assert node.GetDisplayNode().GetVisibility()
    assert node.GetDisplayNode().GetLineWidth() > 1


def test_a_run_without_a_name_is_called_after_method_and_date(scene: Any, make_results: Make) -> None:
    assert load_results(make_results())["mesh"].GetName() == "scar reconstruct 2026-01-02 03:04:05 mesh"


@pytest.mark.parametrize("file", ["mesh.vtu", "table.csv", "report.html", "model/weights.safetensors"])
def test_a_changed_file_adds_nothing(scene: Any, make_results: Make, file: str) -> None:
    folder = make_results()
    with open(folder / file, "ab") as handle:
        handle.write(b" ")
    before = counts(scene)
    with pytest.raises(InputError, match="was changed after the run"):
        load_results(folder)
    assert counts(scene) == before


def test_a_missing_file_adds_nothing(scene: Any, make_results: Make) -> None:
    folder = make_results()
    (folder / "image.nii.gz").unlink()
    before = counts(scene)
    with pytest.raises(InputError, match="is missing"):
        load_results(folder)
    assert counts(scene) == before


def test_a_file_that_cannot_be_read_adds_nothing(scene: Any, make_results: Make) -> None:
    folder = make_results()
    (folder / "image.nii.gz").write_bytes(b"not an image")
    result = json.loads((folder / "result.json").read_text())
    result["outputs"]["image"]["sha256"] = sha256(folder / "image.nii.gz")
    (folder / "result.json").write_text(json.dumps(result))
    before = counts(scene)
    with pytest.raises(InputError):
        load_results(folder)
    assert counts(scene) == before


@pytest.mark.parametrize("step", ["node_from_rows", "attach_provenance", "_move_to_folder"])
def test_a_failure_in_the_scene_removes_what_was_added(
    scene: Any, make_results: Make, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*args: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(results, step, fail)
    before = counts(scene)
    with pytest.raises(MemoryError):
        load_results(make_results())
    assert counts(scene) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged"),
        ("[]", "not the result of a job"),
        ('{"outputs": {"mesh": "mesh.vtu"}}', "damaged at 'mesh'"),
        ('{"outputs": {"mesh": {"path": "../secret", "sha256": ""}}}', "outside of its folder"),
    ],
)
def test_a_damaged_result_file_is_refused(scene: Any, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_results(tmp_path)


def test_a_folder_without_result_is_refused(scene: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no result"):
        load_results(tmp_path)


def test_the_next_run_takes_over_nodes_folder_and_display(scene: Any, make_results: Make) -> None:
    first = load_results(make_results("one"), "One")
    show_scalars(first["mesh"], "scar_probability")
    before, folder = counts(scene), folder_of(first["mesh"])
    second = load_results(make_results("two", offset=5.0), "Two", reuse={"mesh": first["mesh"], "volume": None})
    assert second == first
    assert counts(scene) == before
    assert (folder_of(second["mesh"]), hierarchy().GetItemName(folder)) == (folder, "Two")
    assert second["mesh"].GetName() == "Two mesh"
    np.testing.assert_allclose(mesh_from_node(second["mesh"]).points, tetrahedra(5.0).points, atol=1e-5)
    assert second["mesh"].GetDisplayNode().GetActiveScalarName() == "scar_probability"


def test_results_that_the_next_run_does_not_have_go(scene: Any, make_results: Make) -> None:
    first = load_results(make_results("one"))
    second = load_results(make_results("two", leave_out=("segmentation",)), reuse={"mesh": first["mesh"]})
    assert set(second) == {"mesh", "image", "table"}
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_failed_rerun_keeps_the_earlier_result(scene: Any, make_results: Make) -> None:
    first = load_results(make_results("one"), "One")
    folder = make_results("two", offset=9.0)
    (folder / "table.csv").write_text("broken")
    with pytest.raises(InputError):
        load_results(folder, "Two", reuse=first)
    assert first["mesh"].GetName() == "One mesh"
    np.testing.assert_allclose(mesh_from_node(first["mesh"]).points, tetrahedra().points, atol=1e-5)


def test_results_are_in_a_folder_under_the_study_of_the_input(scene: Any, make_results: Make) -> None:
    image = node_from_volume(Volume(np.zeros((2, 2, 2)), np.eye(4)), "LGE")
    tree = hierarchy()
    subject = tree.CreateSubjectItem(tree.GetSceneItemID(), "Patient")
    study = tree.CreateStudyItem(subject, "Study")
    tree.SetItemParent(tree.GetItemByDataNode(image), study)
    nodes = load_results(make_results(), "Run", image)
    folders = {folder_of(node) for node in nodes.values()}
    assert len(folders) == 1
    folder = folders.pop()
    assert (tree.GetItemName(folder), tree.GetItemParent(folder)) == ("Run", study)


def test_discarding_removes_all_nodes(scene: Any, make_results: Make) -> None:
    color_table("scar")  # shared by all results, so it is kept
    before = counts(scene), hierarchy().GetNumberOfItems()
    nodes = load_results(make_results())
    show_scalars(nodes["mesh"], "scar_probability")
    discard(nodes.values())
    assert (counts(scene), hierarchy().GetNumberOfItems()) == before


def test_discarding_skips_what_the_application_has_removed_by_itself(
    scene: Any, make_results: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    before = counts(scene)
    nodes = load_results(make_results())
    display = nodes["mesh"].GetDisplayNode()
    tag = scene.AddObserver(scene.NodeRemovedEvent, lambda *_: display.GetScene() and scene.RemoveNode(display))
    scene.RemoveNode(nodes["table"])
    discard(nodes.values())
    scene.RemoveObserver(tag)
    assert counts(scene) == before
    assert "ERR" not in capfd.readouterr().err


def test_inputs_that_a_result_hides_are_shown_again(scene: Any, make_results: Make) -> None:
    shown, hidden = (node_from_mesh(tetrahedra(), name) for name in ("shown", "hidden"))
    hidden.SetDisplayVisibility(False)
    mesh = load_results(make_results())["mesh"]
    hide_inputs(mesh, [shown, hidden, None])
    hide_inputs(mesh, [shown, hidden, None])  # of the next run, into the same nodes
    assert not shown.GetDisplayVisibility()
    show_hidden_inputs(mesh)
    assert shown.GetDisplayVisibility()
    assert not hidden.GetDisplayVisibility()  # the user hid it


def test_a_removed_input_or_earlier_result_is_not_used(scene: Any, make_results: Make) -> None:
    source = node_from_mesh(tetrahedra(), "source")
    earlier = load_results(make_results())
    for node in (source, earlier["mesh"]):
        scene.RemoveNode(node)
    nodes = load_results(make_results("second"), "again", source, {"mesh": earlier["mesh"], "table": earlier["table"]})
    assert nodes["mesh"] is not earlier["mesh"]
    assert scene.IsNodePresent(nodes["mesh"])
    assert nodes["table"] is earlier["table"]
    write_inputs(nodes["mesh"], "choices", {"source": source}, {})
    other = node_from_mesh(tetrahedra(), "other")  # has the ID that is free again
    assert nodes["mesh"].GetNodeReference("source") is None, other.GetID()


def test_units_and_axes_of_a_result_are_heeded(scene: Any, make_results: Make) -> None:
    from deeprecon.data.mesh.files import write_mesh

    folder = make_results()
    write_mesh(folder / "mesh.vtu", tetrahedra(), "cm", "ras")
    result = json.loads((folder / "result.json").read_text())
    result["outputs"]["mesh"]["sha256"] = sha256(folder / "mesh.vtu")
    result["metrics"]["mesh_unit"] = "cm"
    (folder / "result.json").write_text(json.dumps(result))
    np.testing.assert_allclose(mesh_from_node(load_results(folder)["mesh"]).points, tetrahedra().points, atol=1e-5)


def test_the_panels_sentence_says_where_scar_has_no_volume() -> None:
    assert result_sentence({"nodes": 10, "not_observed_percent": 60.0}).startswith("Volume, mass and percentage")
    assert result_sentence({"volume_ml": 12.34, "percent_of_wall": 9.6}) == "Scar volume: 12.3 ml, 10 % of the wall."
