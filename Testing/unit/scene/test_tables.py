"""Tables as nodes: typed columns that survive saving."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import slicer
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.tables import read_table, write_table
from deeprecon.scene.nodes.tables import node_from_rows, rounded, typed_rows

ROWS = [
    {"region": "scar, core", "segments": 3, "ml": 1.25, "note": None},
    {"region": "böse", "segments": 4, "ml": None, "note": "5"},
    {"region": "12", "segments": 5, "ml": 7, "extra": "late"},
]
TYPES = {
    "region": vtk.VTK_STRING,
    "segments": vtk.VTK_INT,
    "ml": vtk.VTK_DOUBLE,
    "note": vtk.VTK_STRING,
    "extra": vtk.VTK_STRING,
}


def content(node: Any) -> dict[str, list[Any]]:
    table = node.GetTable()
    return {
        table.GetColumnName(column): [table.GetColumn(column).GetValue(row) for row in range(table.GetNumberOfRows())]
        for column in range(table.GetNumberOfColumns())
    }


def test_columns_get_the_type_of_their_values(scene: Any) -> None:
    node = node_from_rows(ROWS, "table")
    assert {name: node.GetTable().GetColumnByName(name).GetDataType() for name in content(node)} == TYPES
    got = content(node)
    assert math.isnan(got["ml"].pop(1))
    assert got == {
        "region": ["scar, core", "böse", "12"],
        "segments": [3, 4, 5],
        "ml": [1.25, 7.0],
        "note": ["", "5", ""],
        "extra": ["", "", "late"],
    }


def test_a_csv_file_becomes_numbers_and_text(scene: Any, tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", [{"name": "a", "n": 1, "x": 1.5}, {"name": "2", "n": 2, "x": ""}])
    got = content(node_from_rows(typed_rows(read_table(tmp_path / "t.csv")), "table"))
    assert math.isnan(got["x"].pop())
    assert got == {"name": ["a", "2"], "n": [1, 2], "x": [1.5]}


def test_a_file_that_is_no_table_adds_nothing(scene: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1\n")
    with pytest.raises(InputError):
        node_from_rows(typed_rows(read_table(tmp_path / "t.csv")), "table")
    assert scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0


def test_a_rerun_replaces_the_columns(scene: Any) -> None:
    node = node_from_rows(ROWS, "first")
    assert node_from_rows([{"only": 1}], "second", node) is node
    assert (node.GetName(), content(node)) == ("second", {"only": [1]})


def test_a_table_without_rows_is_empty(scene: Any) -> None:
    assert content(node_from_rows([], "empty")) == {}


def test_types_survive_saving_the_scene(scene: Any, tmp_path: Path) -> None:
    node_from_rows(ROWS, "table")
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    node = slicer.util.getNode("table")
    assert {name: node.GetTable().GetColumnByName(name).GetDataType() for name in content(node)} == TYPES
    assert content(node)["region"] == ["scar, core", "böse", "12"]


def test_figures_of_a_result_have_three_significant_digits():
    rows = [{"name": "scar", "ml": 0.1 + 0.2, "wall": 105.843, "slice": 12345, "share": None}]
    assert rounded(rows) == [{"name": "scar", "ml": 0.3, "wall": 106.0, "slice": 12345, "share": None}]
