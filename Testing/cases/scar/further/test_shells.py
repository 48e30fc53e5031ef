"""Shells of one surface of the wall get the scar that lies in the wall beneath them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ..files import scan
from .files import TO_LPS, reconstructed, told, write_ply, write_stl
from .shells import drawn, positions, sector_share, shell


@pytest.mark.parametrize(
    ("inner", "low", "high", "suffix"),
    [(True, 0.55, 1.0, ".stl"), (False, 0.0, 0.45, ".ply"), (True, 0.35, 0.65, ".ply")],
    ids=["outer half under the cavity's shell", "inner half under the outer shell", "middle of the wall"],
)
def test_scar_beneath_a_shell(tmp_path: Path, inner: bool, low: float, high: float, suffix: str) -> None:
    points, triangles = shell(inner)
    write = write_ply if suffix == ".ply" else write_stl
    mesh = write(tmp_path / f"shell{suffix}", points * TO_LPS, triangles)
    code, result = reconstructed(tmp_path, mesh, "--shell", "max", drawn=drawn(tmp_path, low, high))
    assert code == 0
    assert result["metrics"]["percent_of_wall"] == pytest.approx(sector_share(points, triangles), abs=8)


def test_a_shell_within_the_cavity(tmp_path: Path) -> None:
    """An electroanatomical map that is smaller than the cavity."""
    points, triangles = shell(True)
    axis = scan().ijk_to_ras[:3, 2] / np.linalg.norm(scan().ijk_to_ras[:3, 2])
    offset = points - positions(scan().blood).mean(0)
    offset -= np.outer(offset @ axis, axis)
    smaller = points - 2 * offset / np.linalg.norm(offset, axis=1)[:, None]
    mesh = write_ply(tmp_path / "map.ply", smaller * TO_LPS, triangles)
    stated = "--mesh-unit", "mm", "--mesh-frame", "lps"
    code, result = reconstructed(tmp_path, mesh, *stated, "--shell", "max", drawn=drawn(tmp_path, 0.55, 1))
    assert code == 0
    assert result["metrics"]["percent_of_wall"] == pytest.approx(sector_share(smaller, triangles), abs=8)


@pytest.mark.parametrize(("low", "share"), [(0.0, 1.0), (0.8, 0.0)])
def test_the_mean_through_the_wall(tmp_path: Path, low: float, share: float) -> None:
    points, triangles = shell(True)
    mesh = write_ply(tmp_path / "shell.ply", points * TO_LPS, triangles)
    code, result = reconstructed(tmp_path, mesh, "--shell", "mean", drawn=drawn(tmp_path, low, 1))
    assert code == 0
    expected = share * sector_share(points, triangles)
    assert result["metrics"]["percent_of_wall"] == pytest.approx(expected, abs=8)


def test_what_a_shell_shows_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, triangles = shell(True)
    mesh = write_ply(tmp_path / "shell.ply", points * TO_LPS, triangles)
    code, result = reconstructed(tmp_path, mesh, drawn=drawn(tmp_path, 0.55, 1))
    assert code == 0
    found = result["metrics"]["percent_of_wall"]
    assert found == pytest.approx(sector_share(points, triangles), abs=8) or "--shell" in told(result, capsys)
