"""Small valid files of every format of `seizure`, for `fuzz.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import common  # noqa: F401 the library's path
import numpy as np
from fuzz_format import FileFormat


def _write_recording(folder: Path) -> Path:
    from deeprecon.seizure.simulate.files import write_phantom

    return write_phantom(folder, 1, 1, 0.5, 0.02, 0)["recording"]


def _write_events(folder: Path) -> Path:
    from deeprecon.seizure.simulate.files import write_phantom

    return write_phantom(folder, 1, 1, 0.5, 0.0, 0)["events"]


def _read_recordings(path: Path) -> Any:
    from deeprecon.seizure.observe.recordings import load_recordings

    return [recording.magnitude.tobytes() for recording in load_recordings(path)]


def _write_dataset(folder: Path) -> Path:
    from deeprecon.seizure.observe.recordings import load_recordings
    from deeprecon.seizure.read.dataset import write_dataset

    recordings = load_recordings(_write_events(folder))
    write_dataset(folder / "a.npz", recordings)
    return folder / "a.npz"


def _read_dataset(path: Path) -> Any:
    from deeprecon.seizure.read.dataset import read_dataset

    return [recording.magnitude.tobytes() for recording in read_dataset(path)]


def _write_configuration(folder: Path) -> Path:
    from deeprecon.jobs.parameters import to_json
    from deeprecon.seizure.configuration import Framework, ModelConfig

    content = {"modelConfig": to_json(ModelConfig(Framework.PYTORCH))}
    (folder / "a.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return folder / "a.json"


def _read_configuration(path: Path) -> Any:
    from deeprecon.seizure.read.configuration import read_configuration

    return read_configuration(path)


def _write_seizure_table(folder: Path) -> Path:
    (folder / "a.csv").write_text("recording,user,start,end\na,1,10,20\n", encoding="utf-8")
    return folder / "a.csv"


def _read_seizure_table(path: Path) -> Any:
    from deeprecon.seizure.read.seizure_table import read_seizure_table

    return read_seizure_table(path)


def _numbers(limit: int, count: int = 900) -> np.ndarray:
    from unit.seizure.watch_writers import numbers

    return numbers(count, limit)


def _write_geneactiv(folder: Path) -> Path:
    from unit.seizure.watch_writers import write_geneactiv

    return write_geneactiv(folder / "a.bin", _numbers(600), rate=25.0)


def _write_gt3x(folder: Path) -> Path:
    from unit.seizure.watch_writers import log_of, write_gt3x

    return write_gt3x(folder / "a.gt3x", {"log.bin": b"".join(log_of(_numbers(768), 30))})


def _write_cwa(folder: Path) -> Path:
    from unit.seizure.watch_writers import pack_10_bits, write_cwa

    return write_cwa(folder / "a.cwa", 2 * _numbers(384, 2400), 120, pack_10_bits, 0x30)


def _write_avro(folder: Path) -> Path:
    from unit.seizure.watch_writers import BEGIN, write_avro

    return write_avro(folder / "a.avro", BEGIN, _numbers(6000, 1280))


def _write_e4(folder: Path) -> Path:
    from unit.seizure.watch_writers import write_e4

    write_e4(folder, _numbers(128))
    return folder / "ACC.csv"


def _write_motion(folder: Path) -> Path:
    from unit.seizure.watch_writers import write_motion

    channels = [(f"w{axis}", axis, "ACCEL", "left_wrist") for axis in "xyz"]
    return write_motion(folder, _numbers(30).astype(float), channels)


RECORDINGS = (
    FileFormat("recording", _write_recording, _read_recordings, cut=False),
    FileFormat("events", _write_events, _read_recordings),
    FileFormat("data set", _write_dataset, _read_dataset, checked=True),
    FileFormat("configuration", _write_configuration, _read_configuration),
    FileFormat("seizure table", _write_seizure_table, _read_seizure_table, cut=False),
    FileFormat("GENEActiv a.bin", _write_geneactiv, _read_recordings),
    FileFormat("ActiGraph a.gt3x", _write_gt3x, _read_recordings),
    FileFormat("Axivity a.cwa", _write_cwa, _read_recordings),
    FileFormat("EmbracePlus a.avro", _write_avro, _read_recordings),
    FileFormat("Empatica E4 ACC.csv", _write_e4, _read_recordings, cut=False),
    FileFormat("BIDS motion", _write_motion, _read_recordings, cut=False),
)
"""Recordings, their tables and settings of `seizure`."""
