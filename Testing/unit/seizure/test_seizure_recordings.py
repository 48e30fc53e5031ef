"""Plain recordings of any watch: columns, units, rates and gaps."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.seizure.observe.recordings import load_single_recording
from deeprecon.seizure.observe.resampling import resample
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.recording import add_seizures


def write(path: Path, times: np.ndarray, values: np.ndarray, header: str = "t,x,y,z") -> Path:
    np.savetxt(path, np.column_stack([times, values]), "%.6f", delimiter=",", header=header, comments="")
    return path


def oscillation(times: np.ndarray, frequency: float = 4.0) -> np.ndarray:
    """(N, 3) g whose length is 1 + 0.4 sin."""
    length = 1 + 0.4 * np.sin(2 * np.pi * frequency * times)
    return length[:, None] * np.array([0.48, 0.6, 0.64])


def still(count: int) -> np.ndarray:
    """(N, 3) g of an arm at rest, with the noise of a sensor."""
    return np.array([0.0, 0.0, 1.0]) + np.random.default_rng(3).normal(0, 0.001, (count, 3))


@pytest.mark.parametrize(("unit", "scale"), [(Unit.G, 1.0), (Unit.MG, 1000.0), (Unit.M_S2, 9.80665)])
def test_unit_is_detected_from_rest_and_noted(unit, scale, tmp_path):
    times = np.arange(1000) / 25
    path = write(tmp_path / "a.csv", times, scale * oscillation(times))
    for stated in (Unit.AUTO, unit):
        found = load_single_recording(path, stated)
        np.testing.assert_allclose(found.magnitude, 1 + 0.4 * np.sin(8 * np.pi * times), atol=2e-6)
        assert f"read as {unit.value}" in found.notes
    assert found.valid.all()


def test_wrong_unit_is_refused(tmp_path):
    times = np.arange(1000) / 25
    path = write(tmp_path / "a.csv", times, oscillation(times))
    with pytest.raises(InputError, match=r"not 1 g in mg. It fits g"):
        load_single_recording(path, Unit.MG)
    with pytest.raises(InputError, match="fits no unit"):
        load_single_recording(write(path, times, 60 * oscillation(times)))


@pytest.mark.parametrize("rate", [20.0, 31.25, 32.0, 50.0, 64.0, 100.0])
def test_other_rates_are_resampled(rate, tmp_path):
    times = np.arange(round(40 * rate)) / rate
    found = load_single_recording(write(tmp_path / "a.csv", times, oscillation(times)))
    inside = slice(50, -50)
    truth = 1 + 0.4 * np.sin(8 * np.pi * np.arange(len(found.magnitude)) / 25)
    np.testing.assert_allclose(found.magnitude[inside], truth[inside], atol=2e-3)
    assert any("resampled" in note for note in found.notes)
    assert found.seconds == pytest.approx(40, abs=0.1)


def test_frequencies_above_the_new_nyquist_frequency_are_removed():
    times = np.arange(4000) / 100
    high = np.sin(2 * np.pi * 20 * times)
    assert np.abs(resample(high, 100, 25, np.arange(100, 900) / 25)).max() < 2e-3
    constant = resample(np.ones(4000), 100, 25, np.arange(1000) / 25)
    np.testing.assert_allclose(constant, 1, atol=1e-12)


def test_missing_samples_are_a_gap(tmp_path):
    times = np.arange(2000) / 25
    keep = (times < 20) | (times >= 32)
    found = load_single_recording(write(tmp_path / "a.csv", times[keep], oscillation(times)[keep]))
    seconds = np.arange(len(found.magnitude)) / 25
    np.testing.assert_array_equal(found.valid, (seconds < 20) | (seconds >= 32))
    assert "1 gaps were masked" in found.notes
    assert (found.magnitude[~found.valid] == 0).all()


def test_clock_jitter_gives_neither_gaps_nor_movement(tmp_path):
    rng = np.random.default_rng(0)
    times = np.arange(2000) / 25 + rng.uniform(-0.01, 0.01, 2000)
    found = load_single_recording(write(tmp_path / "a.csv", times, still(2000)))
    assert found.valid.all()
    np.testing.assert_allclose(found.magnitude, 1, atol=0.004)


def test_times_may_be_dates_and_columns_in_any_order(tmp_path):
    begin = datetime(2025, 1, 2, 3, 4, 5)
    lines = ["z,time,y,x,note"]
    lines += [f"1.0,{(begin + timedelta(seconds=n / 25)).isoformat()},0,0,calm" for n in range(300)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    found = load_single_recording(tmp_path / "a.csv")
    assert found.start == begin
    np.testing.assert_allclose(found.magnitude, 1)


def test_magnitude_without_axes_is_read(tmp_path):
    found = load_single_recording(
        write(tmp_path / "a.csv", np.arange(300) / 25, np.full((300, 1), 980.0), "t,magnitude")
    )
    np.testing.assert_allclose(found.magnitude, 0.98, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: ["a,b,c", *lines[1:]], "has the columns a, b, c"),
        (lambda lines: [*lines[:5], "0.2,oops,0,1", *lines[5:]], "line 6: '0.2,oops,0,1'"),
        (lambda lines: [*lines[:5], "0.2", *lines[5:]], "line 6, has too few values"),
        (lambda lines: [*lines[:5], lines[3], *lines[5:]], "line 6: the time does not increase"),
        (lambda lines: [*lines[:5], lines[5].replace("1.0", "nan"), *lines[6:]], "line 6: a value is not finite"),
        (lambda lines: lines[:100], "has 99 samples, which is too short"),
        (lambda lines: lines[:1], "has no samples"),
        (lambda lines: [lines[0], *lines[1::10]], "samples a second"),
    ],
)
def test_errors_name_their_line(change, words, tmp_path):
    lines = ["t,x,y,z", *(f"{n / 25},0.0,0.0,1.0" for n in range(4000))]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(change(lines)) + "\n")
    with pytest.raises(InputError, match=words):
        load_single_recording(path)


def test_seizures_must_lie_in_the_recording_and_not_overlap(tmp_path):
    recording = load_single_recording(
        write(tmp_path / "a.csv", np.arange(2500) / 25, oscillation(np.arange(2500) / 25))
    )
    found = add_seizures(recording, "u", [(50.0, 60.0), (10.0, 20.0)])
    assert found.user == "u"
    assert found.seizures == ((10.0, 20.0), (50.0, 60.0))
    for wrong in ([(90.0, 101.0)], [(20.0, 20.0)], [(-1.0, 5.0)]):
        with pytest.raises(InputError, match="it has no seizure from"):
            add_seizures(recording, "u", wrong)
    with pytest.raises(InputError, match="overlap"):
        add_seizures(recording, "u", [(10.0, 20.0), (15.0, 30.0)])
