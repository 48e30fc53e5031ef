"""GENEActiv's `.bin` files: a header of text, and pages of 300 measurements in hexadecimal digits.

Source: "Understanding .bin files", GENEActiv instructions (Activinsights).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.watches.samples import Floats, Samples, samples_from_blocks, sign_extended

_PAGE = b"Recorded Data"
_MEASUREMENTS = 300  # of a page
_DIGITS = 12  # of a measurement: 3 axes of 12 bits, light, button
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S:%f"


def read_geneactiv(path: Path) -> Samples:
    """The acceleration in g, with the calibration that the file states.

    Raises:
        InputError: it is no such file, or it is cut off.
    """
    content = path.read_bytes()
    if not content.startswith(b"Device Identity"):
        raise InputError(f"{path} is no recording of a GENEActiv watch.", "Give the .bin file that its software saved.")
    header, *pages = content.split(_PAGE)
    about = _fields(header)
    expected = int(about.get("Number of Pages", len(pages)))
    if len(pages) < expected:
        raise InputError(f"{path} is cut off: it holds {len(pages)} of {expected} pages.", "Copy it again.")
    gain = np.array([float(about[f"{axis} gain"]) for axis in "xyz"])
    offset = np.array([float(about[f"{axis} offset"]) for axis in "xyz"])
    starts, rates, blocks = [], [], []
    origin: datetime | None = None
    for number, page in enumerate(pages):
        fields = _fields(page)
        at = datetime.strptime(fields["Page Time"], _TIME_FORMAT)
        origin = origin or at
        starts.append((at - origin).total_seconds())
        rates.append(float(fields["Measurement Frequency"].replace(",", ".")))
        blocks.append((_measurements(path, number, page) * 100 - offset) / gain)
    times, values, _ = samples_from_blocks(path, starts, rates, blocks)
    start = origin.replace(tzinfo=_time_zone(about.get("Time Zone", ""))) if origin else None
    return Samples(path, times, values, start, about.get("Subject Code", ""), Unit.G)


def _fields(text: bytes) -> dict[str, str]:
    """The lines `name:value` of a header."""
    lines = (line.decode("utf-8", "replace").partition(":") for line in text.splitlines() if b":" in line)
    return {name.strip(): value.strip() for name, _, value in lines}


def _measurements(path: Path, number: int, page: bytes) -> Floats:
    """(300, 3) numbers of the sensor in a page."""
    digits = page.split()[-1]
    if len(digits) != _MEASUREMENTS * _DIGITS or not re.fullmatch(rb"[0-9A-Fa-f]+", digits):
        raise InputError(f"{path} is cut off or damaged in page {number + 1}.", "Copy it again.")
    data = np.frombuffer(bytes.fromhex(digits.decode()), np.uint8).astype(np.int64).reshape(-1, _DIGITS // 2)
    x, y, z = (
        data[:, 0] << 4 | data[:, 1] >> 4,
        (data[:, 1] & 15) << 8 | data[:, 2],
        data[:, 3] << 4 | data[:, 4] >> 4,
    )
    return sign_extended(np.stack([x, y, z], axis=1), 12).astype(np.float64)


def _time_zone(text: str) -> tzinfo | None:
    """Of "GMT +01:00"; None where it is not stated."""
    found = re.fullmatch(r"GMT\s*([+-])(\d{1,2}):(\d{2})", text)
    if found is None:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset)
