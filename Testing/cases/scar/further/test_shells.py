"""Shells of one surface of the wall get the scar that lies in the wall beneath them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ..files import scan
from .files import TO_LPS, reconstructed, surface, told, used, write_ply, write_stl, write_wall

SECTOR = 120.0


def indices(points: Any) -> Any:
    """(N, 3) continuous (i, j, k)."""
    matrix = scan().ijk_to_ras
    return np.linalg.solve(matrix[:3, :3], (points - matrix[:3, 3]).T).T


def positions(mask: Any) -> Any:
    """(N, 3) RAS of a mask's voxels."""
    return np.argwhere(mask)[:, ::-1] @ scan().ijk_to_ras[:3, :3].T + scan().ijk_to_ras[:3, 3]


def in_sector(points: Any) -> Any:
    """(N,) whether points lie within 120 degrees around the cavity's axis."""
    offset = indices(points)[:, :2] - indices(positions(scan().blood)).mean(0)[:2]
    return np.degrees(np.arctan2(offset[:, 1], offset[:, 0])) % 360 < SECTOR


@cache
def depths() -> Any:
    """(n,) from 0 at the cavity to 1 outside, of each voxel of the wall."""
    wall = positions(scan().wall)
    inner = cKDTree(positions(scan().blood)).query(wall)[0]
    outside = positions(~scan().wall & ~scan().blood)
    center = indices(positions(scan().blood)).mean(0)
    beyond = np.linalg.norm((indices(outside) - center)[:, :2], axis=1) > 8
    outer = cKDTree(outside[beyond]).query(wall)[0]
    return inner / (inner + outer)


def drawn(folder: Path, low: float, high: float) -> Path:
    """Scar between two depths of the wall, in the sector."""
    wall = positions(scan().wall)
    scar = np.zeros_like(scan().wall)
    scar[scan().wall] = in_sector(wall) & (depths() >= low) & (depths() <= high)
    return write_wall(folder, Myocardium=scan().wall, Scar=scar)


@cache
def shell(inner: bool) -> tuple[Any, Any]:
    """The surface of the cavity, or the outer one: nodes in RAS mm and triangles."""
    points, triangles = used(*surface())
    to_blood = cKDTree(positions(scan().blood)).query(points)[0]
    chosen = (to_blood < 5.5 if inner else to_blood > 5.5)[triangles].all(1)
    return used(points, triangles[chosen])


def sector_share(points: Any, triangles: Any) -> float:
    """Percent of the shell's area within the sector."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return float(100 * areas[in_sector((a + b + c) / 3)].sum() / areas.sum())


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
