"""What of a recording is monitored: short gaps bridged, jitter, and times in which the watch measures no wearer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.tables import read_table
from deeprecon.seizure.observe.recordings import recording_from_samples
from deeprecon.seizure.read.recording import Recording
from deeprecon.seizure.read.watches.samples import Samples
from deeprecon.seizure.simulate.recordings import simulate_long_recording


@pytest.fixture(scope="module")
def axes() -> np.ndarray:
    """(N, 3) g of about an hour of everyday activities and a seizure."""
    return simulate_long_recording(1.0, 5, 1)[0]


def observe(axes: np.ndarray, times: np.ndarray | None = None) -> Recording:
    times = np.arange(len(axes)) / 25 if times is None else times
    return recording_from_samples(Samples(Path("wrist.csv"), times - times[0], axes, None))


def difference(found: Recording, expected: Recording) -> float:
    """Root mean square, g, where monitored."""
    count = min(len(found.magnitude), len(expected.magnitude))
    both = (found.magnitude[:count] - expected.magnitude[:count])[found.valid[:count]]
    return float(np.sqrt((both**2).mean()))


def test_a_worn_watch_is_monitored_throughout(axes, shared_data):
    from deeprecon.seizure.observe.recordings import load_single_recording

    for found in (observe(axes), load_single_recording(shared_data / "epi" / "osdb_event_45781.json")):
        assert found.valid.all()
        assert (dict(found.unmonitored), found.doubts) == ({}, ())


def test_single_lost_samples_are_bridged(axes):
    keep = np.ones(len(axes), bool)
    keep[700::1500] = False  # one a minute
    found = observe(axes[keep], np.arange(len(axes))[keep] / 25)
    assert found.valid.all()
    assert f"{(~keep).sum() / 25:.2f} s in gaps of at most 1 s were bridged" in found.notes
    np.testing.assert_array_equal(found.magnitude[keep], observe(axes).magnitude[keep])  # all others are unchanged


@pytest.mark.parametrize(("missing", "bridged"), [(20, True), (25, True), (26, False), (100, False)])
def test_gaps_are_bridged_up_to_a_second(axes, missing, bridged):
    keep = np.ones(len(axes), bool)
    keep[5000 : 5000 + missing] = False
    found = observe(axes[keep], np.arange(len(axes))[keep] / 25)
    assert bool(found.valid.all()) is bridged
    if not bridged:
        np.testing.assert_array_equal(np.flatnonzero(~found.valid), np.arange(5000, 5000 + missing))
        assert dict(found.unmonitored) == {"gap": missing / 25}


@pytest.mark.parametrize("loss", [0.0, 0.01])
def test_jitter_of_the_time_stamps_is_no_gap(axes, loss):
    rng = np.random.default_rng(0)
    keep = rng.random(len(axes)) >= loss
    times = np.arange(len(axes)) / 25 + rng.uniform(-0.018, 0.018, len(axes))
    found = observe(axes[keep], np.sort(times)[keep])
    assert found.valid.all()
    assert difference(found, observe(axes)) < 0.3 * observe(axes).magnitude.std()


def test_a_clock_that_drifts_is_followed(axes):
    nominal = np.arange(len(axes)) / 25
    drifting = nominal + 0.01 * nominal[-1] * (nominal / nominal[-1]) ** 2
    found = observe(axes, drifting)
    assert found.valid.all()
    moved = np.interp(np.arange(len(found.magnitude)) / 25, drifting, np.linalg.norm(axes, axis=1))
    assert np.abs(np.corrcoef(moved, found.magnitude)[0, 1]) > 0.97


def test_a_clock_that_jumps_by_years_is_named_and_takes_no_memory(axes):
    times = np.arange(len(axes)) / 25
    times[40_000:] += 30 * 365 * 86400.0
    with pytest.raises(InputError, match=r"wrist\.csv: the clock jumps by 10950 days after 1600 s"):
        observe(axes, times)


def change(axes: np.ndarray, kind: str) -> np.ndarray:
    changed = axes.copy()
    part = slice(15_000, 60_000)  # 10 to 40 min
    noise = np.random.default_rng(1).normal(0, 0.005, changed[part].shape)
    if kind == "zeros":
        changed[part] = 0
    elif kind == "constant":
        changed[part] = changed[part.start]
    elif kind == "dead axis":
        changed[part, 1] = 0
    elif kind == "not worn":
        changed[part] = np.array([0, 0, 1.0]) + noise
    elif kind == "saturation":
        changed[part] = np.clip(3 * np.sin(np.arange(45_000) * 0.9)[:, None] * [0.2, 0.3, 1.0], -2, 2)
    return changed


@pytest.mark.parametrize("kind", ["zeros", "constant", "dead axis", "not worn", "saturation"])
def test_time_without_a_wearer_is_not_monitored(axes, kind):
    found = observe(change(axes, kind))
    (cause,) = {name for name, seconds in found.unmonitored.items() if seconds > 60}
    assert cause == kind
    minutes = np.flatnonzero(~found.valid) / 1500
    if kind == "not worn":  # whole minutes, without the last one before a movement
        assert 10 <= minutes.min() < 11.1
        assert 37.9 < minutes.max() < 40
    else:
        assert minutes.min() == pytest.approx(10, abs=0.1)
        assert minutes.max() == pytest.approx(40, abs=0.1)
    assert (found.magnitude[~found.valid] == 0).all()


def test_short_zeros_are_lost_samples_and_short_stillness_is_monitored(axes):
    changed = axes.copy()
    changed[5000:5010] = 0
    changed[8000:8500] = changed[8000]  # 20 s
    found = observe(changed)
    assert found.valid.all()
    assert found.magnitude[5000:5010].min() > 0.5


def test_a_sleeper_is_monitored(axes):
    rng = np.random.default_rng(2)
    seconds = np.arange(25 * 3600) / 25
    breath = 0.004 * np.sin(2 * np.pi * 0.25 * seconds)
    still = np.array([0.0, 0.6, 0.8]) + breath[:, None] * [0.6, 0.64, -0.48] + rng.normal(0, 0.004, (len(seconds), 3))
    assert observe(still).valid.all()


def test_shares_stand_in_result_table_and_first_line(done, result_of, bundle, axes, tmp_path):
    path = tmp_path / "night.csv"
    times = np.arange(30_000) / 25
    changed = axes[:30_000].copy()
    changed[15_000:22_500] = 0
    np.savetxt(path, np.column_stack([times, changed]), "%.3f", delimiter=",", header="t,x,y,z", comments="")
    output = done("detect", inputs={"recording": path, "bundle": bundle})
    result = result_of(output)
    assert next(iter(result["metrics"])) == "not_monitored_share"
    assert result["metrics"]["not_monitored_share"] == pytest.approx(0.25)
    assert result["metrics"]["not_monitored_minutes"] == {"zeros": pytest.approx(5.0)}
    (doubt,) = result["doubts"]
    assert (doubt["code"], doubt["assumed"]) == ("not-monitored", True)
    assert "25.0 % of 0.33 h (zeros 5.0 min)" in doubt["text"]
    rows = read_table(output / "probability.csv")
    assert [row["monitored"] == "0" for row in rows] == [row["probability"] == "" for row in rows]
    blind = [float(row["time_s"]) for row in rows if row["monitored"] == "0"]
    assert (min(blind), max(blind)) == (605.0, 925.0)
    again = done("rescore", "again", inputs={"probability": output / "probability.csv"})
    for found in (result, result_of(again)):
        assert found["metrics"]["windows_not_monitored_share"] == pytest.approx(len(blind) / len(rows))
