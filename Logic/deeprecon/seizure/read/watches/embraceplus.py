"""EmbracePlus' `.avro` files of raw data, half an hour each; a folder of them is one recording.

Source: "Raw data in the Empatica Cloud" and "How to access Avro files with Python", support.empatica.com. Needs
fastavro, an optional package that is imported only when such a file is opened.
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.errors import InputError, names_damage
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.watches.samples import Floats, Samples, samples_from_blocks


def read_embraceplus(path: Path) -> Samples:
    """The acceleration in g of a file, or of all files of a folder in order of their times.

    Raises:
        InputError: fastavro is not installed, a file is damaged or has no acceleration, or there are several users.
    """
    files = sorted(path.glob("*.avro")) if path.is_dir() else [path]
    parts = sorted((part for file in files if (part := _read_file(file))), key=lambda part: part[0])
    users = {user for *_, user in parts}
    if len(users) > 1:
        raise InputError(f"{path} has {len(users)} users: {', '.join(sorted(users))}.", "Give each user's as a folder.")
    starts, rates, blocks = [one[0] for one in parts], [one[1] for one in parts], [one[2] for one in parts]
    times, values, first = samples_from_blocks(path, starts, rates, blocks)
    return Samples(path, times, values, datetime.fromtimestamp(first, UTC), "".join(users), Unit.G)


@names_damage
def _read_file(path: Path) -> tuple[float, float, Floats, str] | None:
    """Start in s, samples a second, (n, 3) g, user; None where nothing was measured."""
    fastavro = _fastavro()
    content = BytesIO(path.read_bytes())  # of a file, as much memory would be taken as a damaged length says
    try:
        records = list(fastavro.reader(content))
    except fastavro.schema.SchemaParseException as error:
        raise ValueError(str(error)) from error
    if len(records) != 1 or "rawData" not in records[0]:
        raise InputError(f"{path} is no file of raw data of an EmbracePlus.")
    found = records[0]["rawData"]["accelerometer"]
    axes = [np.asarray(found[axis], np.float64) for axis in "xyz"]
    if not len(axes[0]):
        return None
    scale = found["imuParams"]
    factor = (scale["physicalMax"] - scale["physicalMin"]) / (scale["digitalMax"] - scale["digitalMin"])
    user = (records[0].get("enrollment") or {}).get("participantID") or ""
    start, rate = found["timestampStart"] / 1e6, float(found["samplingFrequency"])
    return start, rate, np.stack(axes, axis=1) * factor, str(user)


def _fastavro() -> Any:
    try:
        import fastavro
    except ImportError as error:
        raise InputError(
            "Files of an EmbracePlus (.avro) need fastavro, which is not installed.",
            "Install it: pip install './Logic[seizure]'",
        ) from error
    return fastavro
