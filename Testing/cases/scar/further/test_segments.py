"""Segments and labels as people name them, patients without scar, and wall that no slice shows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon import cli
from deeprecon.data.mesh.mesh import Inside
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation

from ..files import codes, heart, run, scan, write_heart
from .files import HEXAHEDRON, QUICK, TO_LPS, WEDGE, reconstructed, table, told, write_vtu, write_wall


def prepared(folder: Path, file: Path, *options: str, scar: bool = True) -> tuple[int, dict[str, Any]]:
    """A run of `prepare` with one file for wall and scar."""
    files = {"myocardium": file, "mesh": write_heart(folder / "mesh.vtu")} | ({"scar": file} if scar else {})
    return run("prepare", folder / "prepared", "--alignment", "off", "--slice-thickness", "8", *options, **files)


def percent(result: dict[str, Any]) -> float:
    value: float = result["metrics"]["observed_scar_percent"]
    return value


TRUTH = 100 * float((scan().scar & scan().wall).sum()) / float(scan().wall.sum())


def thirds() -> list[Any]:
    """The scar in three parts."""
    part = np.arange(len(scan().scar))[:, None, None] % 3
    return [scan().scar & (part == number) for number in range(3)]


@pytest.mark.parametrize(
    "names",
    [
        ("Scar_1", "Scar_2", "Scar_3"),
        ("Fibrosis septal", "Fibrosis lateral", "Fibrosis inferior RV insertion"),
        ("Infarct core", "Peri-infarct zone", "MVO"),
        ("core", "gray zone", "microvascular obstruction"),
        ("LGE anterior", "LGE apex", "hyperenhancement"),
        ("Segment_1 scar", "scar (2)", "SCAR LCx"),
        ("Dense scar", "Border zone", "No-reflow"),
    ],
)
def test_scar_in_several_segments(tmp_path: Path, names: tuple[str, ...]) -> None:
    masks = {"LV myocardium": scan().wall, **dict(zip(names, thirds(), strict=True))}
    code, result = prepared(tmp_path, scan().write_segments(tmp_path / "a.seg.nrrd", **masks))
    assert (code, codes(result)) == (0, [])
    assert percent(result) == pytest.approx(TRUTH, abs=0.05)


@pytest.mark.parametrize("names", [("Scar", "Core"), ("Total scar", "Scar core"), ("Infarct", "MVO")])
def test_a_segment_within_another_counts_once(tmp_path: Path, names: tuple[str, str]) -> None:
    masks = {"Myocardium": scan().wall, names[0]: scan().scar, names[1]: thirds()[0]}
    code, result = prepared(tmp_path, scan().write_segments(tmp_path / "a.seg.nrrd", **masks))
    assert code == 0
    assert percent(result) == pytest.approx(TRUTH, abs=0.05)


# ---- patients without scar


def test_an_empty_scar_segment_of_a_healthy_heart(tmp_path: Path) -> None:
    masks = {"Myocardium": scan().wall, "Scar": np.zeros_like(scan().wall)}
    code, result = prepared(tmp_path, scan().write_segments(tmp_path / "a.seg.nrrd", **masks), "--no-scar")
    assert (code, percent(result)) == (0, 0)


def test_healthy_rows_among_others(tmp_path: Path) -> None:
    """Segmentations whose rows say it in the words that people use in tables."""
    write_heart(tmp_path / "mesh.vtu")
    scan().write_segments(tmp_path / "ill.seg.nrrd", Myocardium=scan().wall, Scar=scan().scar)
    scan().write_segments(tmp_path / "well.seg.nrrd", Myocardium=scan().wall)
    rows = ["case,scar,myocardium,mesh,alignment,no-scar"]
    rows += ["p1,ill.seg.nrrd,ill.seg.nrrd,mesh.vtu,off,no"]
    rows += [f"p{number},,well.seg.nrrd,mesh.vtu,off,{word}" for number, word in enumerate(("true", "yes", "1"), 2)]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    output = tmp_path / "out"
    assert cli.main(["scar", "prepare", "--cases", str(tmp_path / "cases.csv"), "--output", str(output)]) == 0
    with open(output / "summary.csv", encoding="utf-8-sig", newline="") as file:
        found = {row["case"]: float(row["observed_scar_percent"]) for row in csv.DictReader(file)}
    assert found == pytest.approx({"p1": TRUTH, "p2": 0, "p3": 0, "p4": 0}, abs=0.05)


def test_a_label_map_without_the_scars_label_needs_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels of EMIDEC: 1 cavity, 2 normal wall, 3 infarction, 4 no-reflow."""
    labels = np.where(scan().wall, 2, np.where(scan().blood, 1, 0)).astype(np.uint8)
    file = scan().write(tmp_path / "normal.nii.gz", labels)
    options = "--labels", "scar=3,4", "myocardium=2,3,4"
    assert prepared(tmp_path, file, *options)[0] == 2
    said = capsys.readouterr().err
    assert "normal.nii.gz" in said
    assert "--no-scar" in said
    code, result = prepared(tmp_path, file, *options, "--no-scar")
    assert (code, percent(result)) == (0, 0)


def test_a_healthy_heart_has_no_scar_on_its_mesh(tmp_path: Path) -> None:
    file = scan().write_segments(tmp_path / "a.seg.nrrd", Myocardium=scan().wall)
    files = {"myocardium": file, "mesh": write_heart(tmp_path / "mesh.vtu")}
    code, result = run("reconstruct", tmp_path / "out", *QUICK, "--no-scar", **files)
    assert code == 0
    assert result["metrics"]["volume_ml"] == 0
    assert result["metrics"]["percent_of_wall"] == 0


# ---- wall that no slice shows


def slices(folder: Path, numbers: list[int]) -> Path:
    """Only some slices are drawn."""
    shown = np.isin(np.arange(len(scan().wall)), numbers)[:, None, None]
    return write_wall(folder, Myocardium=scan().wall & shown, Scar=scan().scar & shown)


def test_a_second_ventricle_beside_the_slices(tmp_path: Path) -> None:
    """A mesh with a ventricle that no slice shows as wall has as much scar as without it."""
    mesh = heart().mesh
    nodes, offsets, types = (np.asarray(part) for part in mesh.cells())
    aside = 90 * scan().ijk_to_ras[:3, 0] / np.linalg.norm(scan().ijk_to_ras[:3, 0])
    points = np.array(mesh.points)
    blocks = []
    for kind in (HEXAHEDRON, WEDGE):
        cells = np.array([nodes[offsets[cell] : offsets[cell + 1]] for cell in np.flatnonzero(types == kind)])
        blocks += [(kind, cells), (kind, cells + len(points))]
    both = np.vstack([points, points + aside]) * TO_LPS
    code, result = reconstructed(tmp_path, write_vtu(tmp_path / "both.vtu", both, blocks))
    assert code == 0
    assert result["metrics"]["not_observed_percent"] == pytest.approx(50, abs=1)
    assert result["metrics"]["volume_ml"] == pytest.approx(17.97, abs=0.2)
    assert result["metrics"]["percent_of_wall"] == pytest.approx(17.04, abs=0.3)


@pytest.mark.parametrize(("numbers", "low", "high"), [([5, 6, 7, 8], 20, 60), ([2, 7], 15, 60)])
def test_wall_beyond_and_between_few_slices(tmp_path: Path, numbers: list[int], low: float, high: float) -> None:
    options = ("--observed-within", "10") if len(numbers) == 2 else ()
    code, result = reconstructed(
        tmp_path, write_heart(tmp_path / "mesh.vtu"), *options, drawn=slices(tmp_path, numbers)
    )
    assert code == 0
    rows = {row["region"]: row for row in table(tmp_path / "out" / "table.csv")}
    share = float(rows["not observed"]["percent_of_wall"])
    assert low < share < high
    assert result["metrics"]["not_observed_percent"] == pytest.approx(share, abs=0.01)
    total = float(rows["wall"]["volume_ml"]) + float(rows["not observed"]["volume_ml"])
    assert total == pytest.approx(105.4, abs=0.5)
    assert float(rows["scar"]["volume_ml"]) < 17.97


def test_one_long_axis_slice_gives_no_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axes = scan().ijk_to_ras[:3, :3] / np.linalg.norm(scan().ijk_to_ras[:3, :3], axis=0)
    center = (heart().mesh.points.max(0) + heart().mesh.points.min(0)) / 2
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([axes[:, 0] * 2, axes[:, 2] * 2, np.cross(axes[:, 0], axes[:, 2]) * 8], 1)
    matrix[:3, 3] = center - matrix[:3, :2] @ [32, 32]
    j, i = np.indices((64, 64))
    points = np.stack([i, j, np.zeros_like(i)], -1).reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    wall = Inside(heart().mesh)(points).reshape(1, 64, 64)
    scar = wall & (i[None] > 32)
    drawn = tmp_path / "4ch.seg.nrrd"
    parts = Segment("Myocardium", wall), Segment("Scar", scar)
    write_segmentation(drawn, Segmentation(parts, matrix, "4ch", 8.0))
    code, result = reconstructed(tmp_path, write_heart(tmp_path / "mesh.vtu"), drawn=drawn)
    said = told(result, capsys)
    assert "volume_ml" not in result.get("metrics", {})
    assert "long-axis" in said or "long axis" in said
    assert code in (0, 2)
