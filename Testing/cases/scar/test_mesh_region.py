"""Meshes of more than the wall: what is used of them, what is refused, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.mesh.files import read_mesh
from deeprecon.data.mesh.mesh import Mesh

from .files import codes, scan
from .further.files import HEXAHEDRON, reconstructed, write_vtu, write_wall
from .further.test_blood_in_meshes import ATRIUM, BLOOD, WALL, blood_ml, parts, with_blood


def heart_file(folder: Path, *kinds: int, tags: Any = None) -> Path:
    points, cells, found = parts(*kinds)
    arrays = {} if tags is None else {"tag": np.asarray(tags(found), np.int32)}
    return write_vtu(folder / "heart.vtu", points, [(HEXAHEDRON, cells)], **arrays)


def test_the_rest_of_the_mesh_comes_back_without_values(tmp_path: Path) -> None:
    file = heart_file(tmp_path, WALL, BLOOD, ATRIUM, tags=lambda kinds: kinds + 1)
    code, result = with_blood(tmp_path, file)
    assert (code, codes(result)) == (0, ["mesh-region-assumed"])
    assert result["metrics"]["mesh_region"] == "1"
    assert "tagged 1 in the array tag" in result["doubts"][0]["text"]
    volume = float(result["doubts"][0]["text"].split("; ")[-1].split()[0])
    assert volume == pytest.approx(blood_ml(), rel=0.05)
    given, back = Mesh(read_mesh(file).dataset), Mesh(read_mesh(tmp_path / "out" / "mesh.vtu").dataset)
    np.testing.assert_allclose(back.points, given.points, atol=1e-4)
    np.testing.assert_array_equal(back.cells()[0], given.cells()[0])
    _, cells, kinds = parts(WALL, BLOOD, ATRIUM)
    outside = np.setdiff1d(np.arange(given.n_points), cells[kinds == WALL])
    arrays = {name: np.asarray(back.point_array(name))[outside] for name in back.array_names}
    assert not arrays["observed"].any()
    assert not arrays["scar_probability"].any()
    assert (arrays["scar_uncertainty"] == 1).all()
    assert np.isnan(arrays["group_residual"]).all()


def test_regions_that_are_all_wall_need_no_word(tmp_path: Path) -> None:
    file = heart_file(tmp_path, WALL, tags=lambda kinds: np.arange(len(kinds)) % 3)
    code, result = with_blood(tmp_path, file)
    assert (code, codes(result)) == (0, [])
    assert "mesh_region" not in result["metrics"]


def open_wall(folder: Path) -> Path:
    """Segments without blood, and a wall with a cut, which encloses none."""
    wall = scan().wall.copy()
    wall[:, wall.shape[1] // 2, wall.shape[2] // 2 :] = False
    return write_wall(folder, Myocardium=wall, Scar=scan().scar & wall)


def a_third_of_the_wall(kinds: np.ndarray) -> np.ndarray:
    """Region 1 of wall, and region 2 of wall and blood."""
    return np.where((kinds == WALL) & (np.arange(len(kinds)) % 3 > 0), 1, 2)


def test_unclear_regions_are_refused_and_can_be_accepted_or_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, drawn = heart_file(tmp_path, WALL, BLOOD, tags=a_third_of_the_wall), open_wall(tmp_path)
    assert reconstructed(tmp_path, file, drawn=drawn)[0] == 2
    said = capsys.readouterr().err
    assert "heart.vtu: Which of its regions are wall is unclear" in said
    assert "--mesh-region 1 2" in said
    assert "--accept mesh-region-unclear" in said
    code, result = reconstructed(tmp_path, file, "--accept", "mesh-region-unclear", drawn=drawn)
    assert (code, codes(result)) == (0, ["mesh-region-unclear"])
    code, result = reconstructed(tmp_path, file, "--mesh-region", "1", drawn=drawn)
    assert (code, codes(result)) == (0, [])


def test_blood_without_tags_is_refused_and_can_be_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = heart_file(tmp_path, WALL, BLOOD)
    assert with_blood(tmp_path, file)[0] == 2
    assert "--mesh-region" in capsys.readouterr().err
    code, result = with_blood(tmp_path, file, "--accept", "mesh-holds-blood")
    assert (code, codes(result)) == (0, ["mesh-holds-blood"])


def test_blood_is_known_from_the_wall_around_it(tmp_path: Path) -> None:
    assert reconstructed(tmp_path, heart_file(tmp_path, WALL, BLOOD))[0] == 2
    code, result = reconstructed(tmp_path, heart_file(tmp_path, WALL))
    assert (code, codes(result)) == (0, [])


def test_a_mesh_without_tags_has_no_region(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert with_blood(tmp_path, heart_file(tmp_path, WALL), "--mesh-region", "1")[0] == 2
    assert "has no region tags" in capsys.readouterr().err
