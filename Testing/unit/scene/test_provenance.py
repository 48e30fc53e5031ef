"""Provenance of result nodes, also after the scene was saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import slicer

from deeprecon.data.errors import InputError
from deeprecon.scene.common.provenance import attach_provenance, provenance_of, write_sidecar
from deeprecon.scene.common.results import load_results
from deeprecon.scene.nodes.models import node_from_mesh

from .conftest import RESULT, tetrahedra


def result_node() -> Any:
    node = node_from_mesh(tetrahedra(), "result")
    attach_provenance(node, RESULT)
    return node


def test_provenance_is_read_back_completely(scene: Any) -> None:
    assert provenance_of(result_node()) == {**RESULT["provenance"], "metrics": RESULT["metrics"]}


def test_parameters_are_read_back_for_a_repeat(scene: Any) -> None:
    assert provenance_of(result_node())["parameters"] == RESULT["provenance"]["parameters"]


def test_short_entries_stand_singly_for_people(scene: Any) -> None:
    node = result_node()
    assert node.GetAttribute("DeepRecon.Provenance.device") == "cpu"
    assert node.GetAttribute("DeepRecon.Provenance.seed") == "7"
    assert node.GetAttribute("DeepRecon.Provenance.parameters") is None


def test_the_next_run_leaves_no_old_entries(scene: Any) -> None:
    node = result_node()
    node.SetAttribute("DeepRecon.Choices", "kept")
    attach_provenance(node, {"provenance": {"method": "scar"}})
    assert provenance_of(node) == {"method": "scar", "metrics": {}}
    assert node.GetAttribute("DeepRecon.Provenance.device") is None
    assert node.GetAttribute("DeepRecon.Choices") == "kept"


@pytest.mark.parametrize("ending", ["mrb", "mrml"])
def test_provenance_survives_saving_the_scene(
    scene: Any, tmp_path: Path, make_results: Callable[..., Path], ending: str
) -> None:
    roles = load_results(make_results(), "Patient")
    wanted = provenance_of(roles["mesh"])
    names = [node.GetName() for node in roles.values()]
    path = str(tmp_path / f"scene.{ending}")
    if ending == "mrb":
        assert scene.WriteToMRB(path)
        scene.Clear(0)
        assert scene.ReadFromMRB(path)
    else:
        for node in roles.values():
            node.AddDefaultStorageNode()
            kind = node.GetStorageNode().GetDefaultWriteFileExtension()
            node.GetStorageNode().SetFileName(str(tmp_path / f"{node.GetName()}.{kind}"))
            assert node.GetStorageNode().WriteData(node)
        scene.SetURL(path)
        scene.SetRootDirectory(str(tmp_path))
        assert scene.Commit()
        scene.Clear(0)
        scene.SetURL(path)
        assert scene.Connect()
    for name in names:
        assert provenance_of(slicer.util.getNode(name)) == wanted


def test_a_node_that_is_no_result_is_named(scene: Any) -> None:
    with pytest.raises(InputError, match="heart was not made by DeepRecon"):
        provenance_of(node_from_mesh(tetrahedra(), "heart"))


def test_damaged_provenance_is_reported(scene: Any) -> None:
    node = result_node()
    node.SetAttribute("DeepRecon.Provenance", "{")
    with pytest.raises(InputError, match="provenance of result is damaged"):
        provenance_of(node)


def test_the_side_car_is_next_to_the_file(scene: Any, tmp_path: Path) -> None:
    node = result_node()
    path = write_sidecar(tmp_path / "Herz ä.vtu", node)
    assert path.name == "Herz ä.vtu.json"
    assert json.loads(path.read_text(encoding="utf-8")) == provenance_of(node)
