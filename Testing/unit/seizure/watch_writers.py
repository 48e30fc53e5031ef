"""Writes files of watches after the public descriptions of their formats."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 24
BEGIN = datetime(2024, 3, 5, 22, 30, 15)


def numbers(count: int, limit: int, seed: int = 0) -> np.ndarray:
    """(count, 3) numbers of a sensor: around a third of `limit` on z, and the extremes in the first samples."""
    rng = np.random.default_rng(seed)
    values = np.rint(rng.normal([0, 0, limit / 3], limit / 50, (count, 3))).astype(np.int64)
    values[:2] = [[limit - 1, -limit, 5], [-1, 0, -limit]]
    return values


def write_geneactiv(path: Path, values: np.ndarray, rate: float = 50.0, pages: int | None = None) -> Path:
    """Pages of 300 measurements; gains 25600 and offsets 100, -200, 300."""
    blocks = np.split(values, range(300, len(values), 300))
    lines = ["Device Identity", "Device Unique Serial Code:012345", "", "Subject Info", "Subject Code:P7", ""]
    lines += ["Configuration Info", "Time Zone:GMT +01:00", "", "Calibration Data"]
    for axis, offset in zip("xyz", (100, -200, 300), strict=True):
        lines += [f"{axis} gain:25600", f"{axis} offset:{offset}"]
    lines += ["Memory Status", f"Number of Pages:{len(blocks) if pages is None else pages}", ""]
    for number, block in enumerate(blocks):
        at = BEGIN + timedelta(seconds=number * 300 / rate)
        stamp = at.strftime("%Y-%m-%d %H:%M:%S:") + f"{at.microsecond // 1000:03d}"
        lines += ["Recorded Data", "Device Unique Serial Code:012345", f"Sequence Number:{number}"]
        lines += [f"Page Time:{stamp}", "Unassigned:", "Temperature:30.1", "Battery voltage:4.1"]
        lines += ["Device Status:Recording", f"Measurement Frequency:{rate:.1f}"]
        lines += ["".join(f"{x & 4095:03X}{y & 4095:03X}{z & 4095:03X}7FC" for x, y, z in block.tolist())]
    path.write_bytes("\r\n".join(lines).encode() + b"\r\n")
    return path


def record(kind: int, second: int, payload: bytes) -> bytes:
    data = struct.pack("<BBIH", 0x1E, kind, second, len(payload)) + payload
    return data + bytes([~int(np.bitwise_xor.reduce(np.frombuffer(data, np.uint8))) & 0xFF])


def pack_12_bits(values: np.ndarray) -> bytes:
    """Samples in the order y, x, z, most significant half bytes first."""
    digits = "".join(f"{one & 4095:03x}" for sample in values[:, [1, 0, 2]].tolist() for one in sample)
    return bytes.fromhex(digits + "0" * (len(digits) % 2))


def write_gt3x(path: Path, files: dict[str, bytes], rate: int = 30, **info: Any) -> Path:
    lines = {"Serial Number": "MOS2D12345", "Sample Rate": rate, "Subject Name": "P8", **info}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("info.txt", "".join(f"{name}: {value}\r\n" for name, value in lines.items()))
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def log_of(raw: np.ndarray, rate: int, kind: int = 0, parameters: bytes = b"") -> list[bytes]:
    first = int(BEGIN.replace(tzinfo=UTC).timestamp())
    pack = pack_12_bits if kind == 0 else lambda part: part.astype("<i2").tobytes()
    records = [record(6, first, b"{}"), record(21, first, parameters)]
    return records + [
        record(kind, first + n, pack(part)) for n, part in enumerate(np.split(raw, range(rate, len(raw), rate)))
    ]


def write_cwa(path: Path, raw: np.ndarray, per_block: int, pack: Callable[[np.ndarray], bytes], packing: int) -> Path:
    """Blocks at 100 Hz; the clock is read in the middle of each one, with a fraction of a second."""
    content = bytearray(b"MD" + struct.pack("<H", 1020) + bytes(1020))
    for number, part in enumerate(np.split(raw, range(per_block, len(raw), per_block))):
        at = BEGIN + timedelta(seconds=number * per_block / 100 + 0.25)  # of sample 25
        stamp = (at.year - 2000) << 26 | at.month << 22 | at.day << 17 | at.hour << 12 | at.minute << 6 | at.second
        fraction = round(at.microsecond / 1e6 * 32768)
        offset = 25 - ((fraction << 1) * 100 >> 16)
        head = struct.pack(
            "<2sHHIIIHHBBBBhH", b"AX", 508, 0x8000 | fraction, 9, number, stamp, 1 << 13, 0, 0, 0, 0x4A, packing,
            offset, len(part),
        )  # fmt: skip
        block = (head + pack(part)).ljust(510, b"\0")
        content += block + struct.pack("<H", -int(np.frombuffer(block, "<u2").sum()) & 0xFFFF)
    path.write_bytes(bytes(content) + b"\xff" * 512)
    return path


def pack_10_bits(values: np.ndarray) -> bytes:
    """Numbers of 10 bits, with an exponent of 1."""
    words = sum((values[:, n] // 2 & 1023) << 10 * n for n in range(3)) | 1 << 30
    return words.astype("<u4").tobytes()


def write_e4(folder: Path, values: np.ndarray) -> str:
    """ACC.csv of an Empatica E4 at 32 Hz from 2024-01-11 00:00:00 UTC; returns its text."""
    lines = ["1704931200.00, 1704931200.00, 1704931200.00", "32.000000, 32.000000, 32.000000"]
    text = "\n".join([*lines, *(",".join(map(str, row)) for row in values.tolist())]) + "\n"
    (folder / "ACC.csv").write_text(text)
    return text


def schema_of(name: str, value: Any) -> Any:
    """The Avro schema of a value."""
    if isinstance(value, dict):
        fields = [{"name": key, "type": schema_of(key.title(), entry)} for key, entry in value.items()]
        return {"type": "record", "name": name, "fields": fields}
    if isinstance(value, list):
        return {"type": "array", "items": "int"}
    return {int: "long", float: "float", str: "string"}[type(value)]


def write_avro(path: Path, start: datetime, values: np.ndarray, user: str = "1-1-01") -> Path:
    """A file of an EmbracePlus at 64 Hz; needs fastavro."""
    import fastavro

    scale = {"physicalMin": -16, "physicalMax": 16, "digitalMin": -32768, "digitalMax": 32768}
    axes = {axis: values[:, n].tolist() for n, axis in enumerate("xyz")}
    stamp = int(start.timestamp() * 1e6)
    found = {"timestampStart": stamp, "samplingFrequency": 64.0, "imuParams": scale, **axes}
    content = {"enrollment": {"participantID": user}, "rawData": {"accelerometer": found}}
    with open(path, "wb") as file:
        fastavro.writer(file, schema_of("Root", content), [content])
    return path


def write_motion(folder: Path, values: np.ndarray, channels: list[tuple[str, str, str, str]]) -> Path:
    base = "sub-07_task-sleep_tracksys-imu"
    header = "name\tcomponent\ttype\ttracked_point\tunits"
    rows = [f"{name}\t{axis}\t{kind}\t{point}\tm/s^2" for name, axis, kind, point in channels]
    (folder / f"{base}_channels.tsv").write_text("\n".join([header, *rows]) + "\n")
    (folder / f"{base}_motion.json").write_text(json.dumps({"SamplingFrequency": 50}))
    path = folder / f"{base}_motion.tsv"
    np.savetxt(path, values, "%.17g", delimiter="\t")
    path.write_text(path.read_text().replace("nan", "n/a"))
    return path
