"""Tags of elements survive whatever their array is called, and those of scar can be chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .files import (
    TETRAHEDRON,
    TO_LPS,
    elements,
    exported,
    heights,
    reconstructed,
    tetrahedra,
    write_carp,
    write_legacy,
    write_vtu,
)


def halves(upper: int, lower: int) -> Any:
    """(n,) tags by height."""
    height = heights(*tetrahedra())
    return np.where(height > np.median(height), upper, lower)


def exported_tags(folder: Path, *options: str) -> set[int]:
    """Tags of the elements of mesh.elem, from a result in folder/out."""
    assert exported(folder, *options)[0] == 0
    return set(elements(folder / "x" / "mesh.elem")[1])


def write_result(folder: Path, **arrays: Any) -> None:
    """A result in folder/out of a mesh with arrays of the elements."""
    points, cells = tetrahedra()
    mesh = write_vtu(folder / "heart.vtu", points * TO_LPS, [(TETRAHEDRON, cells)], **arrays)
    assert reconstructed(folder, mesh)[0] == 0


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("Region", np.float64), ("elemTag", np.int16), ("Material", np.int32)],
)
def test_a_tag_array_of_another_program(tmp_path: Path, name: str, dtype: Any) -> None:
    write_result(tmp_path, **{name: halves(24, 10).astype(dtype)})
    assert {10, 24} < exported_tags(tmp_path)


def test_a_tag_array_in_the_field_data_of_legacy_cells(tmp_path: Path) -> None:
    points, cells = tetrahedra()
    lines = ["FIELD FieldData 1", f"material 1 {len(cells)} int", *map(str, halves(24, 10))]
    mesh = write_legacy(tmp_path / "heart.vtk", points, [(TETRAHEDRON, cells)], lines)
    assert reconstructed(tmp_path, mesh)[0] == 0
    assert {10, 24} < exported_tags(tmp_path)


def test_the_user_names_the_tag_array(tmp_path: Path) -> None:
    write_result(tmp_path, **{"gmsh:geometrical": halves(1, 2), "gmsh:physical": halves(24, 10)})
    assert {10, 24} < exported_tags(tmp_path, "--tag-array", "gmsh:physical")


def test_an_array_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(tmp_path, elemTag=halves(24, 10))
    assert exported(tmp_path, "--tag-array", "label")[0] == 2
    said = capsys.readouterr().err
    assert "mesh.vtu" in said
    assert "label" in said
    assert "elemTag" in said


@pytest.mark.parametrize(
    ("own", "options", "scar"),
    [
        ((1, 101), ("border=200", "core=201"), 201),
        ((100, 101), ("border=5", "core=6"), 6),
        ((24, 102), ("unknown=302",), 101),
    ],
)
def test_tags_in_use_are_avoided(tmp_path: Path, own: tuple[int, int], options: tuple[str, ...], scar: int) -> None:
    points, cells = tetrahedra()
    mesh = write_carp(tmp_path / "heart.pts", points * 1000 * [-1, -1, 1], [(TETRAHEDRON, cells)], halves(*own))
    assert reconstructed(tmp_path, mesh)[0] == 0
    assert {*own, scar} <= exported_tags(tmp_path, "--tags", *options)


def test_a_tag_in_use_is_refused_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(tmp_path, tag=halves(101, 1).astype(np.float32))
    assert exported(tmp_path)[0] == 2
    said = capsys.readouterr().err
    assert "mesh.vtu" in said
    assert "101" in said
    assert "--tags" in said


def test_healthy_elements_without_tags_get_the_chosen_one(tmp_path: Path) -> None:
    write_result(tmp_path)
    tags = exported_tags(tmp_path, "--tags", "healthy=3", "core=9")
    assert {3, 9} <= tags
    assert not tags & {1, 101}
