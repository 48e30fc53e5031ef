"""One page and table about many results."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

SETTINGS = {"slice_thickness": 12.0, "method": "interpolation"}


@pytest.fixture(scope="module")
def results(tmp_path_factory, files):
    """A folder of results: one of a run, others by changing its figures, and one run that failed."""
    from deeprecon.jobs.job import Job
    from deeprecon.worker import run_job

    folder = tmp_path_factory.mktemp("results")
    inputs = {"scar": [str(files["scar"])], "myocardium": [str(files["myocardium"])], "mesh": str(files["mesh"])}
    job = folder / "patient b" / ".job"
    Job("scar", "reconstruct", inputs, SETTINGS, "..", "cpu", 1, "fp32", 0).save(job)
    assert run_job(job) == 0
    for name, percent, volume in (("patient a", 40.0, 33.0), ("group/patient c", 1.5, 1.25)):
        shutil.copytree(folder / "patient b", folder / name, ignore=shutil.ignore_patterns(".job"))
        path = folder / name / "result.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["metrics"] |= {"percent_of_wall": percent, "volume_ml": volume}
        content["doubts"] = [{"code": "scar-fills-wall"}, {"code": "scar-fills-wall"}] if percent > 20 else []
        path.write_text(json.dumps(content), encoding="utf-8")
    Job("scar", "reconstruct", inputs, SETTINGS, "..", "cpu", 1, "fp32", 0).save(folder / "patient d" / ".job")
    return folder


def rows_of(output):
    with open(output / "group.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_patients_are_sorted_with_volumes_spread_and_doubts(results, done, result_of, warnings_of):
    output = done("report-group", inputs={"folder": results})
    rows = rows_of(output)
    assert [row["patient"] for row in rows] == ["patient a", "patient b", "group/patient c"]
    assert [float(row["scar_percent"]) for row in rows][::2] == [40.0, 1.5]
    assert rows[2]["scar_ml"] == "1.25"
    own = json.loads((results / "patient b" / "result.json").read_text())["metrics"]
    assert float(rows[1]["scar_ml"]) == pytest.approx(own["volume_ml"], abs=1e-3)
    assert float(rows[1]["low_ml"]) <= float(rows[1]["scar_ml"]) <= float(rows[1]["high_ml"])
    assert float(rows[1]["wall_ml"]) > float(rows[1]["scar_ml"])
    assert rows[0]["doubts"] == "scar-fills-wall"
    assert result_of(output)["metrics"] == {
        "patients": 3,
        "with_doubts": sum(bool(row["doubts"]) for row in rows),
        "median_scar_percent": pytest.approx(float(rows[1]["scar_percent"]), abs=0.01),
    }
    page = (output / "group.html").read_text(encoding="utf-8")
    assert page.count("<img ") >= 3
    assert page.index("patient a") < page.index("patient b") < page.index("group/patient c")
    assert len(page) < 1_500_000, "thumbnails, not whole pictures"
    assert "Without a result: patient d." in warnings_of(output)
    assert "Without a result: patient d." in page


def test_what_cannot_be_read_is_named_and_other_verbs_are_passed_over(results, tmp_path, done, warnings_of):
    shutil.copytree(results / "group", tmp_path / "few", ignore=shutil.ignore_patterns(".job"))
    (tmp_path / "few" / "cut").mkdir()
    (tmp_path / "few" / "cut" / "result.json").write_text('{"metrics": ', encoding="utf-8")
    (tmp_path / "few" / "exported").mkdir()
    other = {"metrics": {}, "outputs": {}, "doubts": [], "provenance": {"method": "scar", "verb": "export"}}
    (tmp_path / "few" / "exported" / "result.json").write_text(json.dumps(other), encoding="utf-8")
    (tmp_path / "few" / "patient c" / "mesh.png").write_bytes(b"no picture")
    output = done("report-group", inputs={"folder": tmp_path / "few"})
    assert "The picture mesh.png is damaged." in (output / "group.html").read_text(encoding="utf-8")
    assert [row["patient"] for row in rows_of(output)] == ["patient c"]
    assert warnings_of(output) == ["The result of cut cannot be read and is left out."]


def test_a_folder_without_results_is_refused(tmp_path, error_of):
    (tmp_path / "file").write_text("")
    assert "is no folder" in error_of("report-group", inputs={"folder": tmp_path / "file"})
    (tmp_path / "empty").mkdir()
    assert "holds no result" in error_of("report-group", name="other", inputs={"folder": tmp_path / "empty"})
