"""Meshes that hold more than the wall that the slices show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..files import scan
from .blood import ATRIUM, BLOOD, STEP, WALL, labeled, parts
from .files import (
    HEXAHEDRON,
    elements,
    exported,
    reconstructed,
    told,
    write_carp,
    write_stl,
    write_vtu,
    write_wall,
)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Scar in ml on the wall alone."""
    folder = tmp_path_factory.mktemp("truth")
    points, cells, _ = parts(WALL)
    code, result = reconstructed(folder, write_vtu(folder / "wall.vtu", points, [(HEXAHEDRON, cells)]))
    assert code == 0
    volume: float = result["metrics"]["volume_ml"]
    return volume


def with_blood(folder: Path, mesh: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """A run whose slices show wall, scar and blood."""
    masks = {"Myocardium": scan().wall, "Scar": scan().scar, "LV blood pool": scan().blood}
    return reconstructed(folder, mesh, *options, drawn=write_wall(folder, **masks))


def blood_ml() -> float:
    return float((labeled()[2] == BLOOD).sum() * STEP**3 / 1000)


@pytest.mark.parametrize(
    ("name", "tags"),
    [("tag", (2, 1, 3)), ("region", (10, 20, 30)), ("elemTag", (1, 2, 3)), ("material", (0, 7, 8))],
)
def test_the_region_that_slices_show_as_wall_is_used(
    tmp_path: Path, truth: float, name: str, tags: tuple[int, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    points, cells, kinds = parts(WALL, BLOOD, ATRIUM)
    values = np.array(tags, np.int32)[kinds]
    mesh = write_vtu(tmp_path / "heart.vtu", points, [(HEXAHEDRON, cells)], **{name: values})
    code, result = with_blood(tmp_path, mesh)
    assert code == 0
    assert result["metrics"]["volume_ml"] == pytest.approx(truth, rel=0.03)
    said = told(result, capsys)
    assert "blood" in said
    assert " ml" in said


def test_opencarp_with_blood(tmp_path: Path, truth: float) -> None:
    points, cells, kinds = parts(WALL, BLOOD)
    mesh = write_carp(tmp_path / "heart.pts", points * 1000, [(HEXAHEDRON, cells)], np.array([5, 6])[kinds])
    code, result = with_blood(tmp_path, mesh)
    assert code == 0
    assert result["metrics"]["volume_ml"] == pytest.approx(truth, rel=0.03)
    assert exported(tmp_path)[0] == 0
    tags = np.array(elements(tmp_path / "x" / "mesh.elem")[1])
    assert len(tags) == len(cells)
    assert set(tags[kinds == BLOOD].tolist()) == {6}
    assert {5, 101} <= set(tags[kinds == WALL].tolist())


def test_the_user_names_the_region(tmp_path: Path, truth: float) -> None:
    points, cells, kinds = parts(WALL, BLOOD, ATRIUM)
    values = np.where(kinds == WALL, np.where(np.arange(len(kinds)) % 2, 11, 12), 20 + kinds).astype(np.int32)
    mesh = write_vtu(tmp_path / "heart.vtu", points, [(HEXAHEDRON, cells)], tag=values)
    code, result = with_blood(tmp_path, mesh, "--mesh-region", "11", "12")
    assert code == 0
    assert result["metrics"]["volume_ml"] == pytest.approx(truth, rel=0.03)


def test_a_region_that_the_mesh_has_not_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, cells, kinds = parts(WALL, BLOOD)
    mesh = write_vtu(tmp_path / "heart.vtu", points, [(HEXAHEDRON, cells)], tag=(kinds + 1).astype(np.int32))
    assert with_blood(tmp_path, mesh, "--mesh-region", "9")[0] == 2
    said = capsys.readouterr().err
    assert "heart.vtu" in said
    assert "9" in said
    assert "1, 2" in said


def test_blood_without_tags_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, cells, _ = parts(WALL, BLOOD)
    code, result = with_blood(tmp_path, write_vtu(tmp_path / "heart.vtu", points, [(HEXAHEDRON, cells)]))
    said = told(result, capsys)
    assert code in (0, 2)
    assert "heart.vtu" in said
    assert "blood" in said
    assert any(f"{round(blood_ml()) + step} ml" in said for step in range(-8, 9))


def test_a_closed_epicardium_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, cells, _ = parts(WALL, BLOOD)
    quads = ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (2, 3, 7, 6), (0, 4, 7, 3), (1, 2, 6, 5))
    faces = np.concatenate([cells[:, part] for part in quads])
    _, first, counts = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    outer = faces[first[counts == 1]]
    triangles = np.concatenate([outer[:, [0, 1, 2]], outer[:, [0, 2, 3]]])
    _, result = with_blood(tmp_path, write_stl(tmp_path / "epicardium.stl", points, triangles))
    said = told(result, capsys)
    assert "epicardium.stl" in said
    assert "blood" in said
    assert " ml" in said
