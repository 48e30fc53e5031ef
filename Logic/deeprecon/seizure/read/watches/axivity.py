"""Axivity's `.cwa` files (AX3, AX6): a header of 1024 bytes and blocks of 512 bytes.

Source: "AX3/AX6 technical documentation" and cwa.h, github.com/openmovementproject/openmovement.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.watches.samples import Floats, Samples, damaged_doubts, sign_extended

_HEADER_BYTES, _BLOCK_BYTES = 1024, 512
_BLOCK = struct.Struct("<2sHHIIIHHBBBBhH")
_SAMPLES_AT = 30  # bytes before the samples of a block
_YEAR_ZERO = datetime(2000, 1, 1)
_MAX_DRIFT = 0.1  # share by which the rate of a sensor may differ from the stated one
_MAX_JUMP = 1.0  # s beyond that


@dataclass(frozen=True, eq=False)
class _Block:
    """Samples of a block: at sample `index` the clock showed `second`, in s from the year 2000."""

    sequence: int
    second: float
    index: int
    rate: float
    values: Floats


def read_axivity(path: Path) -> Samples:
    """The acceleration in g; times between the clock's readings are interpolated linearly.

    Raises:
        InputError: it is no such file, it is cut off, or it has no samples.
    """
    content = path.read_bytes()
    if content[:2] != b"MD":
        raise InputError(f"{path} is no recording of an Axivity watch.", "Give its .cwa file.")
    if len(content) < _HEADER_BYTES or len(content) % _BLOCK_BYTES:
        raise InputError(f"{path} is cut off: its size is no multiple of {_BLOCK_BYTES} bytes.", "Copy it again.")
    blocks: list[_Block] = []
    damaged = total = 0
    for start in range(_HEADER_BYTES, len(content), _BLOCK_BYTES):
        data = content[start : start + _BLOCK_BYTES]
        if data == b"\xff" * _BLOCK_BYTES or data == bytes(_BLOCK_BYTES):
            continue  # space that was never written
        total += 1
        if data[:2] != b"AX" or int(np.frombuffer(data, "<u2").sum()) & 0xFFFF:
            damaged += 1
            continue
        blocks.append(_read_block(path, data))
    blocks = [block for block in blocks if len(block.values)]
    if not blocks:
        raise InputError(f"{path} has no samples of acceleration.")
    times = np.concatenate([_times(list(run)) for run in _runs(blocks)])
    origin = _YEAR_ZERO + timedelta(seconds=float(times[0]))
    values = np.concatenate([block.values for block in blocks])
    doubts = damaged_doubts(path, damaged, total, "blocks")
    return Samples(path, times - times[0], values, origin, unit=Unit.G, doubts=doubts)


def _read_block(path: Path, data: bytes) -> _Block:
    head = _BLOCK.unpack_from(data)
    fraction, sequence, stamp, light, code, packing, offset, count = (head[n] for n in (2, 4, 5, 6, 10, 11, 12, 13))
    if code == 0:
        raise InputError(f"{path} is of a first version of the format, which cannot be read.")
    rate = 3200 / (1 << (15 - (code & 15)))
    second = float(_seconds(stamp))
    if fraction & 0x8000:  # with a fraction of a second, the stated offset was moved to the whole second
        part = (fraction & 0x7FFF) << 1
        offset += part * int(rate) >> 16
        second += part / 65536
    return _Block(sequence, second, offset, rate, _values(path, data, light, packing, count))


def _seconds(stamp: int) -> int:
    """s from the year 2000; the stamp's bits are yyyyyymm mmdddddh hhhhmmmm mmssssss."""
    year, month, day = stamp >> 26 & 63, stamp >> 22 & 15, stamp >> 17 & 31
    hour, minute, second = stamp >> 12 & 31, stamp >> 6 & 63, stamp & 63
    return int((datetime(2000 + year, month, day, hour, minute, second) - _YEAR_ZERO).total_seconds())


def _values(path: Path, data: bytes, light: int, packing: int, count: int) -> Floats:
    """(n, 3) g."""
    axes, kind = packing >> 4, packing & 15
    if (axes, kind) == (3, 0):
        words = np.frombuffer(data, "<u4", count, _SAMPLES_AT).astype(np.int64)
        numbers = np.stack([sign_extended(words >> shift & 1023, 10) for shift in (0, 10, 20)], axis=1)
        return (numbers << (words >> 30)[:, None]).astype(np.float64) / 256
    if kind != 2 or axes not in (3, 6, 9):
        raise InputError(f"{path} has samples of a kind that cannot be read ({axes} axes, packing {kind}).")
    words16: npt.NDArray[np.int16] = np.frombuffer(data, "<i2", count * axes, _SAMPLES_AT).reshape(count, axes)
    first = 0 if axes == 3 else 3  # the gyroscope's axes lie before those of the acceleration
    return words16[:, first : first + 3].astype(np.float64) / (1 << (8 + (light >> 13)))


def _runs(blocks: list[_Block]) -> list[list[_Block]]:
    """Blocks without an interruption between them."""
    runs = [[blocks[0]]]
    for before, block in itertools.pairwise(blocks):
        samples = len(before.values) - before.index + block.index
        late = block.second - before.second - samples / block.rate
        whole = block.sequence == before.sequence + 1 and block.rate == before.rate
        if whole and abs(late) < _MAX_JUMP + _MAX_DRIFT * abs(samples) / block.rate:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs


def _times(run: list[_Block]) -> Floats:
    """(N,) s of the samples of a run: a line between the samples at which the clock was read."""
    first = np.concatenate([[0], np.cumsum([len(block.values) for block in run])])
    at = np.array([begin + block.index for begin, block in zip(first[:-1], run, strict=True)], np.float64)
    seconds = np.array([block.second for block in run])
    keep = np.concatenate([[True], (np.diff(at) > 0) & (np.diff(seconds) > 0)])  # a clock may be read once for several
    at, seconds, number = at[keep], seconds[keep], np.arange(first[-1], dtype=np.float64)
    slope = 1 / run[0].rate if len(at) < 2 else float((seconds[-1] - seconds[0]) / (at[-1] - at[0]))
    times = np.interp(number, at, seconds)
    times = np.where(number < at[0], seconds[0] - (at[0] - number) * slope, times)
    return np.asarray(np.where(number > at[-1], seconds[-1] + (number - at[-1]) * slope, times))
