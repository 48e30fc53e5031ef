"""CSV files of any watch: headers, separators, times, packets, and changes of the clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import deeprecon
from deeprecon.data.errors import InputError
from deeprecon.seizure.observe.recordings import load_single_recording
from deeprecon.seizure.read.dataset import read_dataset
from deeprecon.seizure.read.watches.accelerometer_csv import parse_accelerometer_csv
from deeprecon.seizure.read.watches.samples import Samples

COUNT = 500
BEGIN = datetime(2024, 3, 30, 23, 59, 50)
VALUES = np.round(np.random.default_rng(0).normal([0.1, -0.2, 0.9], 0.02, (COUNT, 3)), 4)
Stamp = Callable[[int], str]


def parse(header: str, stamp: Stamp, separator: str = ",", columns: tuple[str, ...] = ()) -> Samples:
    """A table with the time of each sample in its first column."""
    rows = [separator.join([stamp(n), *map(str, row)]) for n, row in enumerate(VALUES.tolist())]
    return parse_accelerometer_csv(Path("night.csv"), "\n".join([header, *rows]) + "\n", columns)


def relative(number: int) -> str:
    return f"{number / 25:.2f}"


def at(number: int) -> datetime:
    return BEGIN + timedelta(milliseconds=40 * number)


@pytest.mark.parametrize(
    ("header", "separator"),
    [
        ('"t","x","y","z"', ","),
        ("timestamp;acc_x;acc_y;acc_z", ";"),
        ("Time (s)\tAccel X (g)\tAccel Y (g)\tAccel Z (g)", "\t"),
        ("# made by a phone\n\nelapsed_time,X-axis,Y-axis,Z-axis", ","),
        ("seconds,ax,ay,az", ","),
        ("unix_time,accelerometer_x,AccelerometerY,acceleration z", ","),
    ],
)
def test_headers_are_recognized(header, separator):
    found = parse(header, relative, separator)
    np.testing.assert_array_equal(found.values, VALUES)
    np.testing.assert_allclose(found.times, np.arange(COUNT) / 25, atol=1e-12)
    assert (found.start, found.doubts) == (None, ())


def test_cells_may_be_quoted_and_have_decimal_commas():
    rows = [";".join(f'"{value:.4f}"'.replace(".", ",") for value in (n / 25, *VALUES[n])) for n in range(COUNT)]
    found = parse_accelerometer_csv(Path("night.csv"), "\n".join(["Zeit;x;y;z", *rows]), ("Zeit", "x", "y", "z"))
    np.testing.assert_array_equal(found.values, VALUES)
    np.testing.assert_allclose(found.times, np.arange(COUNT) / 25, atol=1e-12)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("when,x,y,z", "no time"),
        ("t,gyro_x,gyro_y,gyro_z", "no acceleration"),
        ("t,linear_acceleration_x,y,z", "no x"),
        ("timestamp,epoch,x,y,z", "several time"),
        ("t,acc_x,acc_y,acc_z,accel_x", "several x"),
    ],
)
def test_unclear_columns_are_refused_with_the_option_that_names_them(header, words):
    with pytest.raises(InputError, match=f"{words}.*--columns TIME X Y Z"):
        parse(header, relative)


def test_named_columns_are_read_and_wrong_names_are_refused():
    found = parse(
        "when,gravity_x,gravity_y,gravity_z", relative, columns=("When", "gravity_z", "gravity_y", "gravity_x")
    )
    np.testing.assert_array_equal(found.values, VALUES[:, ::-1])
    with pytest.raises(InputError, match=r"--columns: it has no or several columns wann. Name 4 .* of when, x, y, z"):
        parse("when,x,y,z", relative, columns=("wann", "x", "y", "z"))
    with pytest.raises(InputError, match="--columns: 3 are given"):
        parse("when,x,y,z", relative, columns=("when", "x", "y"))
    with pytest.raises(InputError, match=r"has no header: its first line holds numbers. Write t,x,y,z above it"):
        parse("0,0,0,1", relative)


@pytest.mark.parametrize(
    ("header", "factor", "epoch"),
    [
        ("t", 1, 1711843190),
        ("timestamp", 1e3, 1711843190000),
        ("epoch", 1e6, 1711843190000000),
        ("time_ms", 1e3, 0),
        ("time (us)", 1e6, 0),
    ],
)
def test_times_count_seconds_or_milliseconds_from_1970_or_from_the_start(header, factor, epoch):
    found = parse(
        f"{header},x,y,z", lambda n: f"{epoch + n / 25 * factor:.9g}" if not epoch else f"{epoch + n * factor / 25:.2f}"
    )
    np.testing.assert_allclose(found.times, np.arange(COUNT) / 25, atol=1e-6)
    assert found.start == (datetime(2024, 3, 30, 23, 59, 50, tzinfo=UTC) if epoch else None)


@pytest.mark.parametrize(
    "pattern",
    ["%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S,%f", "%d-%m-%Y %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S.%f",
     "%d/%m/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S.%f"],
)  # fmt: skip
def test_dates_may_have_any_order_that_is_clear(pattern):
    separator = ";" if "," in pattern else ","
    found = parse(separator.join("txyz"), lambda n: at(n).strftime(pattern), separator)
    np.testing.assert_allclose(found.times, np.arange(COUNT) / 25, atol=1e-9)
    assert found.start == BEGIN
    assert found.doubts == ()


def test_dates_of_an_unclear_order_are_stated():
    found = parse("t,x,y,z", lambda n: (at(n) + timedelta(days=4)).strftime("%d/%m/%Y %H:%M:%S.%f"))
    assert found.start == BEGIN + timedelta(days=4)
    assert [(doubt.code, doubt.assumed) for doubt in found.doubts] == [("date-order", True)]


def test_a_time_that_is_no_time_names_its_line():
    with pytest.raises(InputError, match=r"line 12: '32.03.2024' is not a time"):
        parse("t,x,y,z", lambda n: "32.03.2024" if n == 10 else at(n).isoformat())
    with pytest.raises(InputError, match="some times have a time zone"):
        parse("t,x,y,z", lambda n: at(n).isoformat() + ("Z" if n == 10 else ""))


def test_samples_of_packets_are_spread_evenly_and_this_is_stated():
    late = lambda n: n // 25 + (100 if n >= 250 else 0)  # noqa: E731
    found = parse("t,x,y,z", lambda n: str(late(n)))
    expected = np.arange(COUNT) / 25 + np.where(np.arange(COUNT) >= 250, 100, 0)
    np.testing.assert_allclose(found.times, expected, atol=1e-9)
    assert [(doubt.code, doubt.assumed) for doubt in found.doubts] == [("packet-times", True)]
    assert "packets of 25" in found.doubts[0].text


@pytest.mark.parametrize("hours", [1, -1])
def test_a_change_of_the_clock_is_refused_and_taken_out_if_accepted(hours, bundle, tmp_path, capsys):
    change = BEGIN + timedelta(seconds=10)
    stamps = [at(n) if at(n) < change else at(n) + timedelta(hours=hours) for n in range(1500)]
    path = tmp_path / "night.csv"
    lines = [f"{stamp.isoformat()},0.1,-0.2,{0.97 + n % 7 / 500}" for n, stamp in enumerate(stamps)]
    path.write_text("\n".join(["t,x,y,z", *lines]))
    way = "forward" if hours == 1 else "back"
    with pytest.raises(InputError, match=f"jumps {way} by an hour after 10 s"):
        deeprecon.seizure.detect(path, bundle)
    result = deeprecon.seizure.detect(path, bundle, accept=["clock-change"])
    assert {doubt["code"] for doubt in json.loads(json.dumps(result.doubts, default=vars))} >= {"clock-change"}
    assert load_single_recording(path).valid.all()


def test_a_gap_of_an_hour_that_starts_at_no_full_hour_is_a_gap(tmp_path):
    found = parse("t,x,y,z", lambda n: (at(n) + timedelta(minutes=-7, hours=n >= 250)).isoformat())
    assert found.doubts == ()
    assert np.diff(found.times).max() == pytest.approx(3600.04)


def test_times_without_a_zone_are_stated_and_prepare_names_the_columns(tmp_path):
    for zone, codes in (("", ["time-zone-unknown"]), ("+01:00", [])):
        lines = [f"{at(n).isoformat()}{zone};0;0;{0.97 + n % 7 / 500}" for n in range(COUNT)]
        path = tmp_path / f"night{len(zone)}.csv"
        path.write_text("\n".join(["when;gx;gy;gz", *lines]))
        done = deeprecon.seizure.prepare(path, columns=["when", "gx", "gy", "gz"], user="P1")
        assert [doubt.code for doubt in done.doubts] == codes
        assert read_dataset(done.outputs["data"])[0].monitored_seconds == COUNT / 25
