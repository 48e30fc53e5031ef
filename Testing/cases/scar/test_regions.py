"""What is taken for scar: names of segments, label values, and patients without scar."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon import cli
from deeprecon.data.formats.nrrd import Nrrd, read_nrrd, write_nrrd
from deeprecon.scar.read.roles import role_of

from .files import codes, run, scan, write_heart

EVEN = (np.arange(100) % 2 == 0)[:, None, None]


def halves() -> tuple[np.ndarray, np.ndarray]:
    """The scar of every other slice, and the rest of it."""
    even = EVEN[: len(scan().scar)]
    return scan().scar & even, scan().scar & ~even


def prepared(folder: Path, file: Path, *options: str, scar: bool = True) -> tuple[int, dict[str, Any]]:
    """A run of `prepare` with one file for wall and scar."""
    files = {"myocardium": file, "mesh": write_heart(folder / "mesh.vtu")} | ({"scar": file} if scar else {})
    return run("prepare", folder / "out", "--alignment", "off", "--slice-thickness", "8", *options, **files)


def percent(result: dict[str, Any]) -> float:
    value: float = result["metrics"]["observed_scar_percent"]
    return value


@pytest.fixture
def truth(tmp_path: Path) -> float:
    """Percent of the wall that is scar."""
    (tmp_path / "truth").mkdir()
    file = scan().write_segments(tmp_path / "truth" / "a.seg.nrrd", Myocardium=scan().wall, Scar=scan().scar)
    return percent(prepared(tmp_path / "truth", file)[1])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Infarct LAD", "Infarct right coronary"),
        ("Scar", "Remote scar"),
        ("Scar", "Small scars"),
        ("Scar core", "Border zone"),
        ("Infarct LAD", "Infarct LCx"),
    ],
)
def test_all_segments_of_scar_count(tmp_path: Path, truth: float, first: str, second: str) -> None:
    one, other = halves()
    masks = {"Myocardium": scan().wall, first: one, second: other}
    code, result = prepared(tmp_path, scan().write_segments(tmp_path / "a.seg.nrrd", **masks))
    assert (code, codes(result)) == (0, [])
    assert percent(result) == pytest.approx(truth, abs=0.01)
    taken = {row["segment or label"]: row["taken for"] for row in result["provenance"]["regions"]}
    assert taken["Myocardium"] == "myocardium"
    assert "not used" not in taken.values()


@pytest.mark.parametrize(
    "name", ["Healthy myocardium (no scar)", "non-infarcted myocardium", "Scar-free wall", "Myocardium LGE image"]
)
def test_what_is_negated_is_no_scar(tmp_path: Path, truth: float, name: str) -> None:
    masks = {"Myocardium": scan().wall, "Scar": scan().scar, name: scan().wall & ~scan().scar}
    code, result = prepared(tmp_path, scan().write_segments(tmp_path / "a.seg.nrrd", **masks))
    assert code == 0
    assert percent(result) == pytest.approx(truth, abs=0.01)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Myocardium without scar or fibrosis", "myocardium"),
        ("Myocardium (scar excluded)", "myocardium"),
        ("remote, no LGE", "remote"),
        ("Scar of the free wall", "scar"),
        ("scar_free_wall", "scar"),
        ("Gray zones", "border-zone"),
        ("No reflow", "no-reflow"),
        ("Non-viable myocardium", "scar"),
        ("Scar core by probability", "scar"),
        ("Scar uncertain edge", "scar"),
        ("RV scar", None),
        ("RV insertion point fibrosis", "scar"),
        ("RV insertion points", None),
        ("chest wall", None),
    ],
)
def test_words_around_the_name_are_understood(name: str, role: str | None) -> None:
    assert role_of(name) == role


def test_a_name_with_scar_that_is_not_counted_is_stated(tmp_path: Path) -> None:
    masks = {"Myocardium": scan().wall, "Scar": scan().scar, "RV scar": ~scan().wall}
    code, result = prepared(tmp_path, scan().write_segments(tmp_path / "a.seg.nrrd", **masks))
    assert (code, codes(result)) == (0, ["segment-not-used"])
    assert "RV scar" in result["doubts"][0]["text"]


def test_scar_that_fills_the_wall_is_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = scan().write_segments(tmp_path / "a.seg.nrrd", Myocardium=scan().wall, Scar=scan().wall)
    code, _ = prepared(tmp_path, file)
    assert code == 2
    assert "100% of the myocardium is scar" in capsys.readouterr().err
    code, result = prepared(tmp_path, file, "--accept", "scar-fills-wall")
    assert (code, codes(result)) == (0, ["scar-fills-wall"])


def test_the_report_says_what_was_taken_for_what(tmp_path: Path) -> None:
    file = scan().write_segments(tmp_path / "a.seg.nrrd", Wall=scan().wall, Infarct_LAD=scan().scar, Notes=scan().blood)
    mesh = write_heart(tmp_path / "mesh.vtu")
    options = "--method", "interpolation", "--alignment", "off"
    code, _ = run("reconstruct", tmp_path / "out", *options, scar=file, myocardium=file, mesh=mesh)
    assert code == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Infarct LAD" in page
    assert "not used" in page


def test_numbers_of_segments_may_have_gaps(tmp_path: Path, truth: float) -> None:
    path = scan().write_segments(tmp_path / "a.seg.nrrd", Myocardium=scan().wall, Note=scan().blood, Scar=scan().scar)
    whole = read_nrrd(path)
    keys = {key.replace("Segment2_", "Segment7_"): value for key, value in whole.keys.items()}
    keys = {key: value for key, value in keys.items() if not key.startswith("Segment1_")}
    write_nrrd(path, Nrrd(**{**vars(whole), "keys": keys}))
    assert percent(prepared(tmp_path, path)[1]) == pytest.approx(truth, abs=0.01)


def label_map(wall: float, scar: float, dtype: Any = np.float32) -> np.ndarray:
    """Wall and scar by their values."""
    return np.where(scan().scar, scar, np.where(scan().wall, wall, 0)).astype(dtype)


@pytest.mark.parametrize(
    ("wall", "scar", "dtype"),
    [(16777216, 16777217, np.int32), (2**31 - 2, 2**31 - 1, np.int32), (1.9996, 3.0004, np.float32), (2, 3, np.uint8)],
)
def test_labels_may_be_large_or_rounded(tmp_path: Path, truth: float, wall: float, scar: float, dtype: Any) -> None:
    file = scan().write(tmp_path / "labels.nii.gz", label_map(wall, scar, dtype))
    code, result = prepared(tmp_path, file, "--labels", f"scar={round(scar)}", f"myocardium={round(wall)}")
    assert code == 0
    assert percent(result) == pytest.approx(truth, abs=0.01)


def test_fractions_may_exceed_one_by_rounding(tmp_path: Path) -> None:
    wall = scan().write(tmp_path / "wall.nii.gz", scan().wall.astype(np.uint8))
    share = scan().scar * np.float32(1.0006) - np.float32(0.0004)
    share[0, 0, 0] = 0.4
    scar = scan().write(tmp_path / "scar.nii.gz", share.astype(np.float32))
    files = {"mesh": write_heart(tmp_path / "mesh.vtu"), "myocardium": wall, "scar": scar}
    assert run("prepare", tmp_path / "out", "--alignment", "off", "--slice-thickness", "8", **files)[0] == 0


def test_a_healthy_patient_in_a_batch(tmp_path: Path, truth: float) -> None:
    scan().write(tmp_path / "infarct.nii.gz", label_map(2, 3, np.uint8))
    scan().write(tmp_path / "normal.nii.gz", label_map(2, 2, np.uint8))
    write_heart(tmp_path / "mesh.vtu")
    rows = "".join(
        f"{name},{name}.nii.gz,{name}.nii.gz,mesh.vtu,scar=3;myocardium=2,8,off,{healthy}\n"
        for name, healthy in (("infarct", ""), ("normal", "yes"))
    )
    table = tmp_path / "cases.csv"
    table.write_text("case,scar,myocardium,mesh,labels,slice-thickness,alignment,no-scar\n" + rows, encoding="utf-8")
    assert cli.main(["scar", "prepare", "--cases", str(table), "--output", str(tmp_path / "out")]) == 0
    with open(tmp_path / "out" / "summary.csv", encoding="utf-8-sig", newline="") as file:
        found = {row["case"]: float(row["observed_scar_percent"]) for row in csv.DictReader(file)}
    assert found == pytest.approx({"infarct": truth, "normal": 0}, abs=0.01)


def test_a_healthy_patient_needs_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = scan().write_segments(tmp_path / "a.seg.nrrd", Myocardium=scan().wall)
    assert prepared(tmp_path, file)[0] == 2
    assert "--no-scar" in capsys.readouterr().err
    for scar in (True, False):
        code, result = prepared(tmp_path, file, "--no-scar", scar=scar)
        assert (code, percent(result)) == (0, 0)


@pytest.mark.parametrize("given", [True, False])
def test_scar_in_a_patient_without_scar_is_refused(tmp_path: Path, given: bool) -> None:
    file = scan().write_segments(tmp_path / "a.seg.nrrd", Myocardium=scan().wall, Scar=scan().scar)
    assert prepared(tmp_path, file, "--no-scar", scar=given)[0] == 2
