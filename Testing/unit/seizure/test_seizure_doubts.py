"""Each doubt about a recording: raised, not raised, and accepted, from the shell."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.cli import BAD_INPUT, DONE, main
from deeprecon.seizure.read.dataset import read_dataset
from deeprecon.seizure.simulate.recordings import simulate_long_recording


@pytest.fixture(scope="module")
def axes() -> np.ndarray:
    """(N, 3) g of some minutes with a seizure."""
    return simulate_long_recording(0.1, 3, 2)[0]


@pytest.fixture
def published(shared_data: Path) -> Callable[..., Path]:
    """The published event, and copies of it with other steps between rows or other magnitudes."""

    def make(folder: Path, step: float = 0.0, scale: float = 1.0) -> Path:
        source = shared_data / "epi" / "osdb_event_45781.json"
        content = json.loads(source.read_text(encoding="utf-8"))
        event = content[0] if isinstance(content, list) else content
        begin = datetime(2023, 5, 5, 6, 27, 30)
        for number, row in enumerate(event["datapoints"]):
            if step:
                row["dataTime"] = (begin + timedelta(seconds=step * (number + 1))).strftime("%Y-%m-%dT%H:%M:%SZ")
            if scale != 1:
                row["rawData"], row["rawData3D"] = [scale * value for value in row["rawData"]], None
        path = folder / "event.json"
        path.write_text(json.dumps([event]), encoding="utf-8")
        return path

    return make


@pytest.fixture
def detect(bundle: Path, tmp_path: Path) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """Runs `seizure detect` from the shell: exit code and doubts of the result."""

    def run(path: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
        output = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        arguments = ["--recording", str(path), "--bundle", str(bundle), "--device", "cpu", "--output", str(output)]
        code = main(["seizure", "detect", *arguments, *options])
        result = output / "result.json"
        return code, json.loads(result.read_text(encoding="utf-8"))["doubts"] if result.exists() else []

    return run


def write(path: Path, axes: np.ndarray, user: str = "") -> Path:
    lines = [f"{n / 25:.2f},{x:.4f},{y:.4f},{z:.4f}{',' + user if user else ''}" for n, (x, y, z) in enumerate(axes)]
    path.write_text("\n".join([f"t,x,y,z{',user' if user else ''}", *lines]) + "\n", encoding="utf-8")
    return path


def test_the_published_event_raises_no_doubt(published, detect, tmp_path):
    assert detect(published(tmp_path)) == (DONE, [])


@pytest.mark.parametrize("factor", [0.7, 1.2])
def test_a_wrong_calibration_is_refused_with_its_way_out(axes, factor, detect, tmp_path, capsys):
    path = write(tmp_path / "night.csv", factor * axes)
    assert detect(path)[0] == BAD_INPUT
    error = capsys.readouterr().err
    assert f"Error: night.csv: a still arm measures {factor:.2f} g instead of 1 g." in error
    assert "Give a calibrated recording" in error
    assert "--accept calibration-doubtful" in error


def test_a_calibration_within_5_percent_raises_no_doubt(axes, detect, tmp_path):
    for factor in (0.96, 1.0, 1.04):
        assert detect(write(tmp_path / "night.csv", factor * axes)) == (DONE, [])


def test_an_offset_of_an_axis_is_refused(detect, tmp_path, capsys):
    positions = np.repeat([[1.0, 0, 0], [0, 0.8, 0.6], [-1.0, 0, 0], [0, -0.6, 0.8]], 25 * 60, axis=0)
    still = positions + np.random.default_rng(0).normal(0, 0.004, positions.shape)
    offset = np.array([0.2, 0, 0])
    assert detect(write(tmp_path / "night.csv", still)) == (DONE, [])
    assert detect(write(tmp_path / "night.csv", still + offset))[0] == BAD_INPUT
    assert "depending on its position" in capsys.readouterr().err


def test_an_accepted_calibration_is_scaled(axes, detect, tmp_path):
    code, doubts = detect(write(tmp_path / "night.csv", 0.7 * axes), "--accept", "calibration-doubtful")
    assert (code, [(one["code"], one["assumed"]) for one in doubts]) == (DONE, [("calibration-doubtful", False)])
    from deeprecon.seizure.observe.recordings import load_single_recording

    (scaled, plain) = (load_single_recording(write(tmp_path / "a.csv", f * axes)).magnitude for f in (0.7, 1.0))
    np.testing.assert_allclose(scaled, plain, rtol=0.01)


def test_magnitudes_of_an_event_are_checked_too(published, detect, tmp_path, capsys):
    path = published(tmp_path, scale=0.65)
    assert detect(path)[0] == BAD_INPUT
    assert "event.json, event 45781: a still arm measures 0.66 g" in capsys.readouterr().err
    assert detect(path, "--accept", "calibration-doubtful")[0] == DONE


def test_a_sum_of_axes_is_stated(published, detect, tmp_path):
    code, doubts = detect(published(tmp_path, scale=1.3))
    assert (code, [(one["code"], one["assumed"]) for one in doubts]) == (DONE, [("sum-of-axes", True)])


@pytest.mark.parametrize(("step", "rate"), [(3.2, 39.06), (4.8, 26.04), (5.2, 24.04), (6.2, 20.16)])
def test_rows_of_another_length_are_resampled_and_stated(step, rate, published, detect, tmp_path):
    from deeprecon.seizure.observe.recordings import load_single_recording

    path = published(tmp_path, step)
    found = load_single_recording(path)
    assert found.valid.all()
    assert found.seconds == pytest.approx(30 * step, abs=1.1)
    code, doubts = detect(path)
    assert (code, [(one["code"], one["assumed"]) for one in doubts]) == (DONE, [("row-rate", True)])
    assert float(doubts[0]["text"].split(": ")[1].split()[0]) == pytest.approx(rate, rel=0.01)


def test_rows_every_5_s_raise_no_doubt(published, detect, tmp_path):
    for step in (4.95, 5.0, 5.05):  # within the precision of the time stamps
        assert detect(published(tmp_path, step)) == (DONE, [])


@pytest.mark.parametrize("step", [2, 10])
def test_rows_of_an_impossible_length_are_refused_until_accepted(step, published, detect, tmp_path, capsys):
    path = published(tmp_path, step)
    assert detect(path)[0] == BAD_INPUT
    error = capsys.readouterr().err
    assert f"event.json, event 45781: rows of 125 samples follow each other every {step:.2f} s" in error
    assert "--accept row-rate" in error
    code, doubts = detect(path, "--accept", "row-rate")
    assert (code, [(one["code"], one["assumed"]) for one in doubts]) == (DONE, [("row-rate", False)])


def test_time_that_is_not_monitored_is_stated_first(axes, detect, tmp_path, capsys):
    changed = axes.copy()
    changed[:1000] = 0
    code, doubts = detect(write(tmp_path / "night.csv", changed))
    assert (code, [(one["code"], one["assumed"]) for one in doubts]) == (DONE, [("not-monitored", True)])
    assert capsys.readouterr().out.startswith("Assumed: night.csv: not monitored: ")
    assert detect(write(tmp_path / "night.csv", changed), "--accept", "not-monitored")[0] == DONE


def prepare(tmp_path: Path, *options: str) -> tuple[int, list[str]]:
    """`seizure prepare` from the shell: exit code and users of the data set."""
    output = tmp_path / f"data-{len(list(tmp_path.iterdir()))}"
    code = main(["seizure", "prepare", *options, "--output", str(output)])
    data = output / "dataset.npz"
    return code, [one.user for one in read_dataset(data)] if data.exists() else []


def test_a_recording_without_a_user_is_not_for_training(axes, tmp_path, capsys):
    paths = [str(write(tmp_path / f"night{number}.csv", axes)) for number in (1, 2)]
    assert prepare(tmp_path, "--recordings", *paths)[0] == BAD_INPUT
    error = capsys.readouterr().err
    assert "night1: the file does not state who wore the watch" in error
    assert "Give --user, a column user, or the user in --seizures" in error
    assert "--accept user-unknown" in error


def test_users_from_option_column_or_table_raise_no_doubt(axes, tmp_path):
    paths = [str(write(tmp_path / f"night{number}.csv", axes)) for number in (1, 2)]
    assert prepare(tmp_path, "--recordings", *paths, "--user", "ann") == (DONE, ["ann", "ann"])
    named = write(tmp_path / "named.csv", axes, "bob")
    assert prepare(tmp_path, "--recordings", str(named), *paths, "--user", "ann") == (DONE, ["bob", "ann", "ann"])
    table = tmp_path / "seizures.csv"
    table.write_text("recording,user,start,end\nnight1,cleo,,\n", encoding="utf-8")
    assert prepare(tmp_path, "--recordings", paths[0], "--seizures", str(table)) == (DONE, ["cleo"])


def test_an_accepted_recording_without_a_user_is_named_after_its_file(axes, tmp_path):
    path = write(tmp_path / "night1.csv", axes)
    assert prepare(tmp_path, "--recordings", str(path), "--accept", "user-unknown") == (DONE, ["night1"])


def test_a_file_of_two_users_is_refused(axes, tmp_path, capsys):
    path = write(tmp_path / "night1.csv", axes, "ann")
    path.write_text(path.read_text().replace("ann", "bob", 1))
    assert prepare(tmp_path, "--recordings", str(path))[0] == BAD_INPUT
    assert "has 2 users: ann, bob" in capsys.readouterr().err
