"""BIDS motion: `_motion.tsv` without a header, its columns in `_channels.tsv`, its rate in `_motion.json`.

Source: bids-specification.readthedocs.io, "Motion" (BIDS 1.9 and later).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.text import read_text
from deeprecon.seizure.read.watches.samples import Samples

ENDING = "_motion.tsv"
_UNITS = {"g": Unit.G, "mg": Unit.MG, "m/s^2": Unit.M_S2, "m/s2": Unit.M_S2, "m/s²": Unit.M_S2}


def read_bids_motion(path: Path, columns: Sequence[str] = ()) -> Samples:
    """The acceleration of one tracked point.

    Args:
        path: of the `_motion.tsv`; the two other files lie beside it.
        columns: names of the channels of x, y and z; by default the only ones of the type ACCEL.

    Raises:
        InputError: a file is missing or does not fit the others, or it is unclear which channels are meant.
    """
    base = path.name.removesuffix(ENDING)
    about = _read_json(path.with_name(f"{base}_motion.json"))
    channels_path = path.with_name(f"{base}_channels.tsv")
    channels = list(csv.DictReader(io.StringIO(read_text(channels_path)), delimiter="\t"))
    rows = np.loadtxt(io.StringIO(read_text(path)), delimiter="\t", ndmin=2, converters=_number, encoding="utf-8")
    if rows.shape[1] != len(channels):
        raise InputError(f"{path} has {rows.shape[1]} columns, {channels_path.name} names {len(channels)}.")
    chosen = _accelerations(channels_path, channels, columns)
    units = {channels[index].get("units", "") for index in chosen}
    unit = _UNITS.get(units.pop(), Unit.AUTO) if len(units) == 1 else Unit.AUTO
    latency = [index for index, one in enumerate(channels) if one.get("type", "").upper() == "LATENCY"]
    times = rows[:, latency[0]] if latency else np.arange(len(rows)) / float(about["SamplingFrequency"])
    present = np.isfinite(rows[:, chosen]).all(axis=1) & np.isfinite(times)  # n/a: a sample that is missing
    if not present.any():
        raise InputError(f"{path} has no samples of acceleration.")
    times, values = times[present], rows[present][:, chosen]
    subject = re.match(r"sub-([A-Za-z0-9]+)", path.name)
    user = subject[1] if subject else ""
    return Samples(path, times - times[0], values, None, user, unit, base, first_line=1)


def _number(text: str) -> float:
    return float("nan") if text.strip() == "n/a" else float(text)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, dict) or not float(content.get("SamplingFrequency") or 0) > 0:
        raise InputError(f"{path} states no SamplingFrequency.")
    return content


def _accelerations(path: Path, channels: list[dict[str, str]], columns: Sequence[str]) -> list[int]:
    """Columns of x, y and z."""
    names = [one.get("name", "") for one in channels]
    if columns:
        if len(columns) != 3 or not set(columns) <= set(names):
            raise InputError(f"--columns must name three channels of {path}.", f"It has {', '.join(names)[:300]}.")
        return [names.index(name) for name in columns]
    found = [index for index, one in enumerate(channels) if one.get("type", "").upper() == "ACCEL"]
    by_axis = {channels[index].get("component", ""): index for index in found}
    if len(found) != 3 or set(by_axis) != {"x", "y", "z"}:
        listed = ", ".join(names[index] for index in found)[:300] or "none"
        raise InputError(
            f"{path}: it is unclear which channels are the wrist's acceleration (of type ACCEL: {listed}).",
            "Name those of x, y and z: --columns NAME NAME NAME",
        )
    return [by_axis[axis] for axis in "xyz"]
