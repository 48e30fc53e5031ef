"""Long-axis slices alone give no volume; with short-axis slices, or as a scan of the whole heart, they give one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.mesh.files import read_mesh
from deeprecon.data.mesh.mesh import Inside, Mesh
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.scar.simulate.hearts import write_case

from .files import codes, heart, run, scan, write_heart
from .further.files import QUICK, TO_LPS, reconstructed, table, write_ply
from .further.test_shells import shell

ALONE = "long-axis-alone"
SIZES = {"volume_ml", "mass_g", "percent_of_wall", "low_ml", "high_ml", "area_cm2", "interface_cm2", "pieces"}
VOLUME = 17.97


def long_axis_stack(path: Path, count: int = 1, spacing: float = 8.0, tilt: float = 90.0) -> Path:
    """Slices of 8 mm through the heart's middle, whose normal lies `tilt` degrees off the long axis."""
    x, y, z = (scan().ijk_to_ras[:3, :3] / np.linalg.norm(scan().ijk_to_ras[:3, :3], axis=0)).T
    turn = np.radians(tilt)
    normal = np.cos(turn) * z + np.sin(turn) * y
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([2 * x, 2 * np.cross(normal, x), spacing * normal], 1)
    center = (heart().mesh.points.max(0) + heart().mesh.points.min(0)) / 2
    matrix[:3, 3] = center - matrix[:3, :3] @ [32, 32, (count - 1) / 2]
    k, j, i = np.indices((count, 64, 64))
    points = np.stack([i, j, k], -1).reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    wall = Inside(heart().mesh)(points).reshape(k.shape)
    scar = wall & heart().scar(points).reshape(k.shape)
    parts = Segment("Myocardium", wall), Segment("Scar", scar)
    write_segmentation(path, Segmentation(parts, matrix, "long axis", 8.0))
    return path


def of_slices(folder: Path, *files: Path, landmarks: Path | None = None) -> tuple[int, dict[str, Any]]:
    """A run without a mesh, or with several stacks on one."""
    marks = {} if landmarks is None else {"landmarks": landmarks}
    options = [part for name in ("scar", "myocardium") for part in (f"--{name}", *files)]
    mesh = {"mesh": write_heart(folder / "mesh.vtu")} if len(files) > 1 else {}
    return run("reconstruct", folder / "out", *QUICK, *options, **marks, **mesh)


def assert_no_volume(folder: Path, code: int, result: dict[str, Any]) -> None:
    """Probability without sizes in metrics, tables and report, and a word that says why and what helps."""
    assert (code, codes(result).count(ALONE)) == (0, 1)
    assert not SIZES & set(result["metrics"])
    (doubt,) = (doubt for doubt in result["doubts"] if doubt["code"] == ALONE)
    assert doubt["assumed"]
    assert "long-axis" in doubt["text"]
    assert "short-axis" in doubt["way_out"]
    rows = [row for row in table(folder / "out" / "table.csv") if row["region"] != "not observed"]
    assert {value for row in rows for name, value in row.items() if name != "region"} == {"not given"}
    assert not {"aha.csv", "transmurality.csv"} & {path.name for path in (folder / "out").iterdir()}
    report = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "Volume, mass and percentage of scar are not given" in report
    assert doubt["text"] in report


@pytest.mark.parametrize(("count", "spacing", "tilt"), [(1, 8, 90), (1, 8, 60), (3, 20, 90), (2, 8, 75)])
def test_long_axis_slices_alone_give_no_volume(tmp_path: Path, count: int, spacing: float, tilt: float) -> None:
    drawn = long_axis_stack(tmp_path / "4ch.seg.nrrd", count, spacing, tilt)
    code, result = reconstructed(tmp_path, write_heart(tmp_path / "mesh.vtu"), drawn=drawn)
    assert_no_volume(tmp_path, code, result)
    probability = Mesh(read_mesh(tmp_path / "out" / "mesh.vtu").dataset).point_array("scar_probability")
    assert np.asarray(probability).max() > 0.9


def test_several_long_axis_views_are_no_volume_either(tmp_path: Path) -> None:
    first, second = (long_axis_stack(tmp_path / f"{tilt}.seg.nrrd", tilt=tilt) for tilt in (90, 130))
    assert_no_volume(tmp_path, *of_slices(tmp_path, first, second))


@pytest.mark.parametrize("marked", [False, True])
def test_a_wall_of_one_long_axis_slice_has_no_volume(tmp_path: Path, marked: bool) -> None:
    """Without a mesh."""
    marks = write_case(heart(), tmp_path, dicom=False)["landmarks"] if marked else None
    code, result = of_slices(tmp_path, long_axis_stack(tmp_path / "4ch.seg.nrrd"), landmarks=marks)
    assert_no_volume(tmp_path, code, result)


def test_a_shell_over_one_long_axis_slice_has_no_area(tmp_path: Path) -> None:
    points, triangles = shell(True)
    mesh = write_ply(tmp_path / "shell.ply", points * TO_LPS, triangles)
    drawn = long_axis_stack(tmp_path / "4ch.seg.nrrd")
    assert_no_volume(tmp_path, *reconstructed(tmp_path, mesh, "--shell", "max", drawn=drawn))


@pytest.mark.parametrize("tilt", [0, 30])
def test_one_short_axis_slice_gives_a_volume(tmp_path: Path, tilt: float) -> None:
    drawn = long_axis_stack(tmp_path / "sa.seg.nrrd", tilt=tilt)
    code, result = reconstructed(tmp_path, write_heart(tmp_path / "mesh.vtu"), drawn=drawn)
    assert (code, codes(result)) == (0, [])
    assert result["metrics"]["volume_ml"] > 0
    code, result = of_slices(tmp_path / "alone", drawn)
    assert (code, codes(result)) == (0, [])
    assert result["metrics"]["volume_ml"] > 0


def test_long_axis_beside_short_axis_slices_give_a_volume(tmp_path: Path) -> None:
    short = scan().write_segments(tmp_path / "sa.seg.nrrd", Myocardium=scan().wall, Scar=scan().scar)
    code, result = of_slices(tmp_path, short, long_axis_stack(tmp_path / "4ch.seg.nrrd"))
    assert (code, codes(result)) == (0, [])
    assert result["metrics"]["volume_ml"] == pytest.approx(VOLUME, abs=1.5)


@pytest.mark.parametrize("with_mesh", [True, False])
def test_a_scan_of_the_whole_heart_gives_a_volume_in_any_direction(tmp_path: Path, with_mesh: bool) -> None:
    """As a 3D scan in axial or coronal slices, which are oblique or long-axis slices of most hearts."""
    drawn = long_axis_stack(tmp_path / "coronal.seg.nrrd", count=12)
    if with_mesh:
        code, result = reconstructed(tmp_path, write_heart(tmp_path / "mesh.vtu"), drawn=drawn)
    else:
        code, result = of_slices(tmp_path, drawn)
    assert (code, codes(result)) == (0, [])
    assert result["metrics"]["volume_ml"] == pytest.approx(VOLUME, rel=0.15)
