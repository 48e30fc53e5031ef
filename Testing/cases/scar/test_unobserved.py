"""Wall that no slice shows is unknown: it counts in no volume, and the result says how much it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.segmentation import read_segmentation
from deeprecon.scar.measure.sizes import node_sizes
from deeprecon.scar.read.result import read_result

from .files import heart, run, scan, table, write_heart


def reconstructed(
    folder: Path, slices: list[int], *options: str, mesh: Path | None = None
) -> tuple[int, dict[str, Any]]:
    """A run on some of the slices."""
    shown = np.isin(np.arange(len(scan().wall)), slices)[:, None, None]
    masks = {"Myocardium": scan().wall & shown, "Scar": scan().scar & shown}
    file = scan().write_segments(folder / "slices.seg.nrrd", **masks)
    mesh = mesh or write_heart(folder / "mesh.vtu")
    common = "--method", "interpolation", "--alignment", "off"
    return run("reconstruct", folder / "out", *common, *options, scar=file, myocardium=file, mesh=mesh)


@pytest.fixture
def one_slice(tmp_path: Path) -> dict[str, Any]:
    """A run on one slice of the stack."""
    code, result = reconstructed(tmp_path, [4])
    assert code == 0
    return result


def test_wall_far_from_the_only_slice_is_unknown(tmp_path: Path, one_slice: dict[str, Any]) -> None:
    mesh = read_result(tmp_path / "out" / "mesh.vtu").mesh
    observed = np.asarray(mesh.point_array("observed")) > 0
    probability, uncertainty = (np.asarray(mesh.point_array(f"scar_{name}")) for name in ("probability", "uncertainty"))
    assert 0.2 < observed.mean() < 0.6
    assert (uncertainty[~observed] == 1).all()
    assert (probability[~observed] > 0.5).any()  # the estimate is kept
    assert not np.asarray(mesh.point_array("scar_binary"))[~observed].any()
    sizes = node_sizes(mesh) / 1000
    rows = table(tmp_path / "out")
    assert rows["wall"]["volume_ml"] == pytest.approx(sizes[observed].sum(), abs=0.002)
    assert rows["scar"]["volume_ml"] == pytest.approx(sizes[observed & (probability > 0.5)].sum(), abs=0.002)
    assert rows["scar"]["high_ml"] <= rows["wall"]["volume_ml"]
    assert rows["scar"]["volume_ml"] < sizes[heart().truth].sum()
    assert rows["not observed"]["volume_ml"] == pytest.approx(sizes[~observed].sum(), abs=0.002)
    assert one_slice["metrics"]["not_observed_percent"] == rows["not observed"]["percent_of_wall"]


def test_the_result_says_how_much_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, result = reconstructed(tmp_path, [4])
    assert "from every slice: nothing is known there" in capsys.readouterr().err
    assert "from every slice: nothing is known there" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert result["metrics"]["observed_within_mm"] == pytest.approx(10, abs=0.01)
    names = read_segmentation(tmp_path / "out" / "segmentation.seg.nrrd").names
    assert "Myocardium not observed" in names


def test_unknown_elements_have_a_tag_of_their_own(tmp_path: Path, one_slice: dict[str, Any]) -> None:
    code, result = run("export", tmp_path / "x", mesh=tmp_path / "out" / "mesh.vtu")
    assert code == 0
    tags = [int(line.split()[-1]) for line in (tmp_path / "x" / "mesh.elem").read_text().splitlines()[1:]]
    assert tags.count(102) == result["metrics"]["unknown_elements"] > 0
    assert set(tags) <= {1, 100, 101, 102}


@pytest.mark.parametrize("suffix", [".vtu", ".vtk", ".pts"])
def test_nodes_in_no_pixel_have_no_residual(tmp_path: Path, suffix: str) -> None:
    code, _ = reconstructed(tmp_path, [4], mesh=write_heart(tmp_path / f"heart{suffix}"))
    assert code == 0
    mesh = read_result(tmp_path / "out" / f"mesh{suffix}").mesh
    if suffix == ".pts":
        residual = np.loadtxt(tmp_path / "out" / "mesh.group_residual.dat")
    else:
        residual = np.asarray(mesh.point_array("group_residual"))
    observed = np.asarray(mesh.point_array("observed")) > 0
    assert np.isnan(residual[~observed]).all()
    assert np.isfinite(residual).any()


def test_the_user_may_say_how_far_a_slice_is_believed(tmp_path: Path) -> None:
    _, result = reconstructed(tmp_path, [4], "--observed-within", "1000")
    assert result["metrics"]["not_observed_percent"] == 0
    assert "not observed" not in table(tmp_path / "out")


def test_a_whole_stack_shows_the_whole_wall(tmp_path: Path) -> None:
    _, result = reconstructed(tmp_path, list(range(len(scan().wall))))
    assert result["metrics"]["not_observed_percent"] == 0
    assert "Myocardium not observed" not in read_segmentation(tmp_path / "out" / "segmentation.seg.nrrd").names
