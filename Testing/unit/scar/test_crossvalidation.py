"""Cross-validation: each slice is hidden in turn and predicted from the others."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scar.fit.interpolation import SPATIAL
from deeprecon.scar.parameters import Interpolation


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def given(files):
    return {"scar": [files["scar"]], "myocardium": [files["myocardium"]], "mesh": files["mesh"]}


def test_every_slice_is_predicted_by_the_field_and_by_every_interpolation(given, patient, done, result_of):
    output = done("cross-validate", inputs=given, slice_thickness=12.0, steps=150)
    rows = rows_of(output / "cross_validation.csv")
    shown = int(patient.stacks[0].wall.any(axis=(1, 2)).sum())
    assert len(rows) == shown * (len(SPATIAL) + 1)
    assert {row["method"] for row in rows} == {"field", *(kind.value for kind in SPATIAL)}
    assert {row["slice"] for row in rows if row["end"] == "yes"} == {"1", str(shown)}
    summary = {row["method"]: float(row["rms"]) for row in rows_of(output / "summary.csv")}
    assert 0 < summary["field"] < 0.5
    assert result_of(output)["metrics"]["slices"] == shown


def test_interpolations_along_the_wall_are_compared_where_its_axes_are_known(given, files, done, start):
    settings = {"slice_thickness": 12.0, "method": "interpolation"}
    output = done("cross-validate", inputs={**given, "landmarks": files["landmarks"]}, **settings)
    assert {row["method"] for row in rows_of(output / "summary.csv")} == {kind.value for kind in Interpolation}
    _, output = start("cross-validate", "without", inputs=given, **settings)
    assert {row["method"] for row in rows_of(output / "summary.csv")} == {kind.value for kind in SPATIAL}
    assert "Interpolations along the wall are left out" in (output / ".job" / "events.jsonl").read_text("utf-8")


def test_the_hidden_slice_is_really_hidden(given, files, patient, done):
    """Another scar in one slice changes what is observed there, not what is predicted for it."""
    stack = patient.stacks[0]
    other = stack.scar * stack.wall
    other[3] = stack.wall[3] - other[3]
    path = files["scar"].parent / "other_scar.nii.gz"
    write_volume(path, Volume(other, stack.ijk_to_ras))
    settings = {"slice_thickness": 12.0, "method": "interpolation"}
    first = done("cross-validate", "first", inputs=given, **settings)
    second = done("cross-validate", "second", inputs={**given, "scar": [path]}, **settings)
    path.unlink()
    for one, two in zip(*(rows_of(each / "cross_validation.csv") for each in (first, second)), strict=True):
        if one["slice"] == "4":
            assert one["predicted_scar_cm2"] == two["predicted_scar_cm2"]
            assert one["observed_scar_cm2"] != two["observed_scar_cm2"]


def test_one_slice_alone_cannot_be_checked(given, patient, start, tmp_path):
    stack = patient.stacks[0]
    paths = {}
    for name, array in (("scar", stack.scar * stack.wall), ("myocardium", stack.wall)):
        only = array.copy()
        only[:3], only[4:] = 0, 0
        paths[name] = tmp_path / f"{name}.nii.gz"
        write_volume(paths[name], Volume(only, stack.ijk_to_ras))
    inputs = {"scar": [paths["scar"]], "myocardium": [paths["myocardium"]], "mesh": given["mesh"]}
    code, output = start("cross-validate", inputs=inputs, slice_thickness=12.0, method="interpolation")
    assert code == 2
    assert "one slice only" in (output / ".job" / "events.jsonl").read_text(encoding="utf-8")


def test_fits_in_parts_are_found_finished_and_give_the_same_tables(given, done, again_in_parts):
    plain = done("cross-validate", "plain", inputs=given, slice_thickness=12.0, steps=20)
    parts = again_in_parts(plain, 3)
    for name in ("cross_validation.csv", "summary.csv"):
        assert (parts / name).read_bytes() == (plain / name).read_bytes()
