"""Surfaces beside the wall: what they are taken for, and how the user says what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deeprecon.data.mesh.files import read_mesh
from deeprecon.data.mesh.mesh import Mesh

from .files import codes
from .further.files import TO_LPS, reconstructed, surface, used, write_ply, write_wall
from .further.test_shells import drawn, shell


def shell_file(folder: Path, inner: bool = True) -> Path:
    points, triangles = shell(inner)
    return write_ply(folder / "shell.ply", points * TO_LPS, triangles)


def test_an_open_surface_is_taken_for_a_shell_and_the_result_says_so(tmp_path: Path) -> None:
    code, result = reconstructed(tmp_path, shell_file(tmp_path), drawn=drawn(tmp_path, 0.55, 1.0))
    assert (code, codes(result)) == (0, ["shell-assumed"])
    assert "An open surface is taken for a shell" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    mesh = Mesh(read_mesh(tmp_path / "out" / "mesh.ply").dataset)
    assert "group_residual" not in mesh.array_names  # its nodes are not those of the pixels
    beneath = np.asarray(mesh.point_array("observed")) > 0
    assert beneath.mean() > 0.8
    assert (np.asarray(mesh.point_array("scar_uncertainty"))[~beneath] == 1).all()
    assert result["metrics"]["not_observed_percent"] < 20
    assert (tmp_path / "out" / "segmentation.seg.nrrd").exists()


@pytest.mark.parametrize("options", [("--shell", "max"), ("--shell", "max", "--accept", "shell-assumed")])
def test_a_shell_that_is_stated_needs_no_word(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, result = reconstructed(tmp_path, shell_file(tmp_path), *options, drawn=drawn(tmp_path, 0.55, 1.0))
    assert (code, codes(result)) == (0, [])


def test_a_shell_has_no_values_that_agree_with_pixels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = reconstructed(tmp_path, shell_file(tmp_path), "--report-values", "agreed")
    assert code == 2
    assert "is a shell: its nodes are not those of the pixels" in capsys.readouterr().err


def test_an_assumed_shell_may_be_accepted(tmp_path: Path) -> None:
    code, result = reconstructed(tmp_path, shell_file(tmp_path), "--accept", "shell-assumed")
    assert (code, codes(result)) == (0, ["shell-assumed"])


def test_a_closed_surface_is_the_wall(tmp_path: Path) -> None:
    points, triangles = used(*surface())
    code, result = reconstructed(tmp_path, write_ply(tmp_path / "wall.ply", points * TO_LPS, triangles))
    assert (code, codes(result)) == (0, [])


def test_a_wall_without_scar_gives_a_shell_without(tmp_path: Path) -> None:
    code, result = reconstructed(tmp_path, shell_file(tmp_path, inner=False), "--no-scar", drawn=write_wall(tmp_path))
    assert code == 2  # the segmentation shows some
    _, result = reconstructed(tmp_path, shell_file(tmp_path, inner=False), drawn=drawn(tmp_path, 2, 3))
    assert result["metrics"]["area_cm2"] == 0


def test_a_volume_mesh_is_no_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from .files import write_heart

    assert reconstructed(tmp_path, write_heart(tmp_path / "mesh.vtu"), "--shell", "mean")[0] == 2
    assert "mesh.vtu is a volume mesh" in capsys.readouterr().err
