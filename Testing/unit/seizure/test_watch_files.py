"""Files of watches, made after the public descriptions of their formats: sample-exact, told when damaged."""

from __future__ import annotations

import struct
import sys
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from unit.seizure.watch_writers import (
    BEGIN,
    SECONDS,
    log_of,
    numbers,
    pack_10_bits,
    pack_12_bits,
    record,
    write_avro,
    write_cwa,
    write_e4,
    write_geneactiv,
    write_gt3x,
    write_motion,
)

from deeprecon.data.errors import InputError
from deeprecon.seizure.observe.recordings import load_recordings, load_single_recording
from deeprecon.seizure.read.watches.actigraph import decode_float, unpack_12_bits
from deeprecon.seizure.read.watches.files import read_watch
from deeprecon.seizure.read.watches.samples import Samples


def seconds(samples: Samples, rate: float) -> None:
    """Check that the samples follow each other at this rate."""
    np.testing.assert_allclose(samples.times, np.arange(len(samples.times)) / rate, atol=1e-9)


# ---- GENEActiv


def test_geneactiv_is_sample_exact(tmp_path):
    raw = numbers(50 * SECONDS, 2048 // 3)
    raw[:2] = [[2047, -2048, 5], [-1, 0, -2048]]
    found = read_watch(write_geneactiv(tmp_path / "a.bin", raw))
    np.testing.assert_array_equal(found.values, (raw * 100 - [100, -200, 300]) / 25600)
    seconds(found, 50)
    assert found.start == BEGIN.replace(tzinfo=timezone(timedelta(hours=1)))
    assert (found.user, found.doubts) == ("P7", ())


def test_pages_of_geneactiv_that_are_missing_or_cut_are_told(tmp_path):
    raw = numbers(1200, 600)
    with pytest.raises(InputError, match=r"a.bin is cut off: it holds 4 of 5 pages"):
        load_recordings(write_geneactiv(tmp_path / "a.bin", raw, pages=5))
    path = write_geneactiv(tmp_path / "b.bin", raw)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"b.bin is cut off or damaged in page 4"):
        load_recordings(path)


# ---- ActiGraph


def test_the_examples_of_the_public_descriptions():
    data = bytes.fromhex("006008EBD007009EBF007008EBF0")
    assert unpack_12_bits(data).tolist() == [[8, 6, -323], [9, 7, -321], [8, 7, -321]]
    assert decode_float(0x09400000) == 256
    assert decode_float(0x05418937) == pytest.approx(16.384, abs=2e-6)
    assert decode_float(0) == 0


@pytest.mark.parametrize("kind", [0, 26])
@pytest.mark.parametrize("rate", [30, 31, 100])
def test_actigraph_is_sample_exact(kind, rate, tmp_path):
    raw = numbers(rate * SECONDS, 2048 if kind == 0 else 32768) // (1 if kind == 0 else 16)
    log = log_of(raw, rate, kind)
    log.insert(5, bytes(7))  # zeros may lie between records
    log.append(record(26, int(BEGIN.timestamp()), b"\x01"))  # connected to a computer
    found = read_watch(write_gt3x(tmp_path / "a.gt3x", {"log.bin": b"".join(log)}, rate, TimeZone="-04:00:00"))
    np.testing.assert_array_equal(found.values, raw / 256)
    seconds(found, rate)
    assert found.start == BEGIN.replace(tzinfo=timezone(-timedelta(hours=4)))
    assert (found.user, found.doubts) == ("P8", ())


def test_the_scale_of_actigraph_is_that_of_the_file_before_that_of_the_watch(tmp_path):
    raw = numbers(30 * SECONDS, 2048)
    scale = struct.pack("<HHI", 0, 55, 0x09200000)  # 128
    log = b"".join(log_of(raw, 30, parameters=scale))
    np.testing.assert_array_equal(read_watch(write_gt3x(tmp_path / "a.gt3x", {"log.bin": log})).values, raw / 128)
    stated = write_gt3x(tmp_path / "b.gt3x", {"log.bin": log}, **{"Acceleration Scale": "300.0"})
    np.testing.assert_array_equal(read_watch(stated).values, raw / 300)
    log = b"".join(log_of(raw, 30))
    with pytest.raises(InputError, match="does not state its scale, and that of the watch XYZ1 is unknown"):
        read_watch(write_gt3x(tmp_path / "c.gt3x", {"log.bin": log}, **{"Serial Number": "XYZ1"}))


def test_the_older_actigraph_format_is_read_without_a_time_zone(tmp_path):
    raw = numbers(30 * SECONDS, 2048)
    ticks = int((BEGIN - datetime(1, 1, 1)).total_seconds()) * 10_000_000
    path = write_gt3x(tmp_path / "a.gt3x", {"activity.bin": pack_12_bits(raw)}, **{"Start Date": ticks})
    found = read_watch(path)
    np.testing.assert_array_equal(found.values, raw / 341)
    assert found.start == BEGIN
    assert [(doubt.code, doubt.assumed) for doubt in found.doubts] == [("time-zone-unknown", True)]


def test_damaged_records_of_actigraph_are_gaps_once_accepted(tmp_path):
    raw = numbers(30 * SECONDS, 2048)
    log = log_of(raw, 30)
    log[12] = log[12][:40] + bytes([log[12][40] ^ 1]) + log[12][41:]
    found = read_watch(write_gt3x(tmp_path / "a.gt3x", {"log.bin": b"".join(log)}, TimeZone="00:00:00"))
    assert [(doubt.code, doubt.assumed) for doubt in found.doubts] == [("damaged-blocks", False)]
    assert "1 of 26 records" in found.doubts[0].text
    np.testing.assert_array_equal(found.values, np.delete(raw, np.arange(300, 330), axis=0) / 256)
    assert found.times[300] == pytest.approx(11)


def test_actigraph_files_that_are_cut_off_are_told(tmp_path):
    log = b"".join(log_of(numbers(30 * SECONDS, 2048), 30))
    with pytest.raises(InputError, match=r"a.gt3x is cut off: its last record"):
        read_watch(write_gt3x(tmp_path / "a.gt3x", {"log.bin": log[:-3]}))
    path = write_gt3x(tmp_path / "b.gt3x", {"log.bin": log})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"b.gt3x is cut off or damaged: it is no ZIP archive"):
        read_watch(path)
    with pytest.raises(InputError, match=r"c.gt3x is no .gt3x file"):
        read_watch(write_gt3x(tmp_path / "c.gt3x", {}))


# ---- Axivity


def test_axivity_is_sample_exact(tmp_path):
    even = numbers(100 * SECONDS, 512) * 2
    wide = numbers(100 * SECONDS, 2048)
    gyro = np.concatenate([wide[::-1], wide], axis=1)
    kinds = [
        (even, 120, pack_10_bits, 0x30, 256),
        (wide, 80, lambda part: part.astype("<i2").tobytes(), 0x32, 512),
        (gyro, 40, lambda part: part.astype("<i2").tobytes(), 0x62, 512),
    ]
    for raw, per_block, pack, packing, scale in kinds:
        found = read_watch(write_cwa(tmp_path / "a.cwa", raw, per_block, pack, packing))
        np.testing.assert_array_equal(found.values, raw[:, -3:] / scale)
        np.testing.assert_allclose(found.times, np.arange(len(raw)) / 100, atol=2e-4)
        assert abs((found.start - BEGIN).total_seconds()) < 1e-3
        assert [doubt.code for doubt in found.doubts] == ["time-zone-unknown"]


def test_damaged_blocks_of_axivity_are_gaps_once_accepted_and_cut_files_are_told(tmp_path):
    raw = numbers(2400, 512) * 2
    path = write_cwa(tmp_path / "a.cwa", raw, 120, pack_10_bits, 0x30)
    content = bytearray(path.read_bytes())
    content[1024 + 5 * 512 + 100] ^= 4
    path.write_bytes(bytes(content))
    found = read_watch(path)
    assert (found.doubts[0].code, found.doubts[0].assumed) == ("damaged-blocks", False)
    assert "1 of 20 blocks" in found.doubts[0].text
    np.testing.assert_array_equal(found.values, np.delete(raw, np.arange(600, 720), axis=0) / 256)
    assert found.times[600] == pytest.approx(7.2, abs=2e-4)
    path.write_bytes(bytes(content[:-600]))
    with pytest.raises(InputError, match=r"a.cwa is cut off"):
        read_watch(path)


# ---- Empatica


def test_a_folder_of_an_e4_is_sample_exact(tmp_path):
    raw = numbers(32 * SECONDS, 128)
    folder = tmp_path / "1704931200_A00C"
    folder.mkdir()
    text = write_e4(folder, raw)
    found = read_watch(folder)
    np.testing.assert_array_equal(found.values, raw / 64)
    seconds(found, 32)
    assert found.start == datetime(2024, 1, 11, tzinfo=UTC)
    for path in (folder, folder / "ACC.csv"):
        assert load_single_recording(path).name == "1704931200_A00C"
    (folder / "ACC.csv").write_text(text[: text.rindex(",")] + "\n")
    with pytest.raises(InputError, match=r"ACC.csv, line 770: .* is no sample of three axes"):
        read_watch(folder)


def test_embraceplus_without_fastavro_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastavro", None)
    (tmp_path / "a.avro").write_bytes(b"Obj\x01")
    with pytest.raises(InputError, match=r"need fastavro, which is not installed. Install it: pip install"):
        load_recordings(tmp_path / "a.avro")


def test_a_folder_of_embraceplus_files_is_sample_exact(tmp_path):
    pytest.importorskip("fastavro")
    raw, begin = numbers(64 * SECONDS, 2048 * 3), datetime(2024, 1, 11, tzinfo=UTC)
    write_avro(tmp_path / "b.avro", begin, raw[:640])
    write_avro(tmp_path / "a.avro", begin + timedelta(seconds=10), raw[640:])
    found = read_watch(tmp_path)
    np.testing.assert_array_equal(found.values, raw * (32 / 65536))
    seconds(found, 64)
    assert (found.start, found.user) == (begin, "1-1-01")
    (tmp_path / "b.avro").write_bytes((tmp_path / "b.avro").read_bytes()[:-40])
    with pytest.raises(InputError, match=r"b.avro is cut off or damaged"):
        read_watch(tmp_path)
    write_avro(tmp_path / "b.avro", begin, raw[:640], "1-1-02")
    with pytest.raises(InputError, match=r"has 2 users: 1-1-01, 1-1-02"):
        read_watch(tmp_path)


# ---- BIDS


def test_bids_motion_is_sample_exact_and_refuses_to_guess_the_wrist(tmp_path):
    raw = numbers(50 * SECONDS, 30).astype(float)
    raw[100, 1] = np.nan
    point = [(f"w{axis}", axis, "ACCEL", "left_wrist") for axis in "zyx"]
    path = write_motion(
        tmp_path, np.column_stack([raw[:, ::-1], raw[:, 0]]), [*point, ("g", "x", "GYRO", "left_wrist")]
    )
    found = read_watch(path)
    np.testing.assert_array_equal(found.values, np.delete(raw, 100, axis=0))
    assert found.times[100] == pytest.approx(101 / 50)
    assert (found.user, found.unit.value) == ("07", "m/s2")
    hip = [(f"h{axis}", axis, "ACCEL", "hip") for axis in "xyz"]
    path = write_motion(tmp_path, np.column_stack([raw[:, ::-1], raw]), [*point, *hip])
    with pytest.raises(InputError, match=r"unclear which channels .* Name those of x, y and z: --columns"):
        read_watch(path)
    np.testing.assert_array_equal(read_watch(path, ("hx", "hy", "hz")).values, found.values)
    with pytest.raises(InputError, match=r"must name three channels of .*_channels.tsv"):
        read_watch(path, ("hx",))


def test_other_files_and_columns_of_binary_files_are_refused(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"1")
    for path in (tmp_path / "a.xyz", tmp_path):
        with pytest.raises(InputError, match=r"is no recording that can be read. Give an event file or .*\.gt3x"):
            load_recordings(path)
    with pytest.raises(InputError, match="Leave out --columns"):
        load_recordings(tmp_path / "a.bin", columns=("a",))
    with pytest.raises(InputError, match=r"Cannot read .*a.cwa: No such file"):
        load_recordings(tmp_path / "a.cwa")
