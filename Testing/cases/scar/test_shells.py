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


@pytest.mark.parametrize("stated", [(), ("--mesh-unit", "mm", "--mesh-frame", "lps")])
def test_a_closed_inner_surface_is_refused_and_told_of_the_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stated: tuple[str, ...]
) -> None:
    """An endocardial surface with a lid over the valves."""
    points, triangles = shell(True)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    _, first, counts = np.unique(np.sort(edges, axis=1), axis=0, return_index=True, return_counts=True)
    rim = edges[first[counts == 1]]
    lid = np.column_stack([rim[:, ::-1], np.full(len(rim), len(points))])
    closed = np.vstack([points, points[rim].mean((0, 1))]), np.vstack([triangles, lid])
    mesh = write_ply(tmp_path / "closed.ply", closed[0] * TO_LPS, closed[1])
    assert reconstructed(tmp_path, mesh, *stated, drawn=drawn(tmp_path, 0.55, 1.0))[0] == 2
    said = capsys.readouterr().err
    assert "closed.ply" in said
    assert "if it is the wall's inner or outer surface, say so with --shell max" in said
    assert reconstructed(tmp_path, mesh, *stated, "--shell", "max", drawn=drawn(tmp_path, 0.55, 1.0))[0] == 0


def test_a_surface_in_another_place_is_not_told_of_the_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points, triangles = used(*surface())
    assert reconstructed(tmp_path, write_ply(tmp_path / "far.ply", (points + 400) * TO_LPS, triangles))[0] == 2
    said = capsys.readouterr().err
    assert "no unit and axes lay it onto the wall" in said
    assert "--shell" not in said


def test_a_wall_without_scar_gives_a_shell_without(tmp_path: Path) -> None:
    code, result = reconstructed(tmp_path, shell_file(tmp_path, inner=False), "--no-scar", drawn=write_wall(tmp_path))
    assert code == 2  # the segmentation shows some
    _, result = reconstructed(tmp_path, shell_file(tmp_path, inner=False), drawn=drawn(tmp_path, 2, 3))
    assert result["metrics"]["area_cm2"] == 0


def test_a_volume_mesh_is_no_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from .files import write_heart

    assert reconstructed(tmp_path, write_heart(tmp_path / "mesh.vtu"), "--shell", "mean")[0] == 2
    assert "mesh.vtu is a volume mesh" in capsys.readouterr().err
