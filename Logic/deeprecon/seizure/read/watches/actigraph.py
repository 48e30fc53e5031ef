"""ActiGraph's `.gt3x` files: a ZIP archive of `info.txt` with `log.bin`, or with `activity.bin` of older devices.

Sources: github.com/actigraph/GT3X-File-Format and github.com/actigraph/NHANES-GT3X-File-Format.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.watches.samples import Samples, damaged_doubts, samples_from_blocks, sign_extended

_SEPARATOR = 0x1E
_HEADER = struct.Struct("<BBIH")  # separator, type, time, size of the payload
_ACTIVITY, _PARAMETERS, _ACTIVITY2 = 0, 21, 26
_ACCELERATION_SCALE = (0, 55)  # address space and identifier among the parameters
_MAX_BYTES = 1 << 31  # of a file in the archive; a year of records is less
_OLD_SCALE = 341.0
_SCALES = {"NEO": 341.0, "CLE": 341.0, "MRA": 341.0, "MOS": 256.0, "TAS": 256.0}
"""Numbers of the sensor for 1 g, by the first letters of the serial number."""


@dataclass
class _Log:
    """Content of log.bin: the second, and (n, 3) x, y, z of each record of activity."""

    seconds: list[int] = field(default_factory=list)
    blocks: list[npt.NDArray[np.int64]] = field(default_factory=list)
    scale: float | None = None
    records: int = 0
    damaged: int = 0


def read_actigraph(path: Path) -> Samples:
    """The acceleration in g. Seconds without a record, such as those of idle sleep mode, are gaps.

    Raises:
        InputError: it is no such file, it is cut off, or its scale is unknown.
    """
    try:
        with ZipFile(path) as archive:
            names = set(archive.namelist())
            if "info.txt" not in names or not names & {"log.bin", "activity.bin"}:
                raise InputError(f"{path} is no .gt3x file: it lacks info.txt or log.bin.")
            info = _read_info(_member(path, archive, "info.txt"))
            new = "log.bin" in names
            data = _member(path, archive, "log.bin" if new else "activity.bin")
    except BadZipFile as error:
        raise InputError(f"{path} is cut off or damaged: it is no ZIP archive.", "Copy it again.") from error
    rate, user, zone = float(info["Sample Rate"]), info.get("Subject Name", ""), _time_zone(info.get("TimeZone", ""))
    if not new:
        values = unpack_12_bits(data) / _OLD_SCALE
        times, values, _ = samples_from_blocks(path, [0.0], [rate], [values])
        start = datetime(1, 1, 1) + timedelta(microseconds=int(info["Start Date"]) // 10)  # ticks of 100 ns
        return Samples(path, times, values, start.replace(tzinfo=zone), user, Unit.G)
    log = _read_log(path, data)
    scale = _scale(path, info, log)
    rates = [max(rate, float(len(block))) for block in log.blocks]
    times, values, first = samples_from_blocks(path, log.seconds, rates, [block / scale for block in log.blocks])
    start = datetime.fromtimestamp(first, UTC).replace(tzinfo=zone)  # the record's time is that of the watch's clock
    doubts = damaged_doubts(path, log.damaged, log.records + log.damaged, "records")
    return Samples(path, times, values, start, user, Unit.G, doubts=doubts)


def _member(path: Path, archive: ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MAX_BYTES:
        raise InputError(f"{path}: {name} would hold more than {_MAX_BYTES >> 30} GB; no watch records that much.")
    return archive.read(name)


def _read_info(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode("utf-8-sig", "replace").splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _read_log(path: Path, data: bytes) -> _Log:
    """All records; one with a wrong checksum is skipped and counted.

    Raises:
        InputError: the last record is not complete.
    """
    log = _Log()
    position, in_step = 0, True
    while position < len(data):
        if in_step and data[position] == 0:  # zeros may lie between records
            position += 1
            continue
        end = _end_of_record(data, position)
        if end is None or end > len(data):
            if in_step and data[position] == _SEPARATOR:
                raise InputError(f"{path} is cut off: its last record is not complete.", "Copy it again.")
        elif int(np.bitwise_xor.reduce(np.frombuffer(data, np.uint8, end - position, position))) == 0xFF:
            _, kind, second, _ = _HEADER.unpack_from(data, position)
            _add_record(log, kind, second, data[position + _HEADER.size : end - 1])
            position, in_step = end, True
            continue
        log.damaged += in_step
        position = data.find(bytes([_SEPARATOR]), position + 1)
        in_step = False
        if position < 0:
            break
    return log


def _end_of_record(data: bytes, position: int) -> int | None:
    """The first byte after a record and its checksum; None where there is no whole header."""
    if data[position] != _SEPARATOR or position + _HEADER.size > len(data):
        return None
    return position + _HEADER.size + int(_HEADER.unpack_from(data, position)[3]) + 1


def _add_record(log: _Log, kind: int, second: int, payload: bytes) -> None:
    log.records += 1
    if kind == _PARAMETERS:
        for space, identifier, value in struct.iter_unpack("<HHI", payload[: len(payload) // 8 * 8]):
            if (space, identifier) == _ACCELERATION_SCALE:
                log.scale = decode_float(value)
    elif kind in (_ACTIVITY, _ACTIVITY2) and len(payload) > 1:  # one byte: the watch was connected to a computer
        if kind == _ACTIVITY:
            block = unpack_12_bits(payload)
        else:
            block = np.frombuffer(payload, "<i2", len(payload) // 6 * 3).astype(np.int64).reshape(-1, 3)
        log.seconds.append(second)
        log.blocks.append(block)


def unpack_12_bits(data: bytes) -> npt.NDArray[np.int64]:
    """(n, 3) x, y, z from signed numbers of 12 bits in the order y, x, z; a last half byte is not used."""
    padded = np.frombuffer(data + bytes(-len(data) % 3), np.uint8).astype(np.int64).reshape(-1, 3)
    pairs = np.stack([padded[:, 0] << 4 | padded[:, 1] >> 4, (padded[:, 1] & 15) << 8 | padded[:, 2]], axis=1)
    numbers = pairs.ravel()[: len(data) * 2 // 9 * 3]
    return sign_extended(numbers, 12).reshape(-1, 3)[:, [1, 0, 2]]


def decode_float(value: int) -> float:
    """A number of a PARAMETERS record: 24 bits of fraction and 8 bits of exponent, both signed."""
    fraction = (value & 0xFFFFFF ^ 0x800000) - 0x800000
    exponent = (value >> 24 ^ 0x80) - 0x80
    return float(fraction / (1 << 23) * 2.0**exponent)


def _scale(path: Path, info: dict[str, str], log: _Log) -> float:
    serial = info.get("Serial Number", "")
    stated = info.get("Acceleration Scale", "").replace(",", ".")
    scale = float(stated) if stated else log.scale or _SCALES.get(serial[:3])
    if not scale or scale <= 0:
        raise InputError(f"{path} does not state its scale, and that of the watch {serial or '?'} is unknown.")
    return scale


def _time_zone(text: str) -> tzinfo | None:
    """Of "-04:00:00"; None where it is not stated."""
    found = re.fullmatch(r"([+-]?)(\d{1,2}):(\d{2})(?::\d{2})?", text)
    if found is None:
        return None
    offset: timedelta = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset)
