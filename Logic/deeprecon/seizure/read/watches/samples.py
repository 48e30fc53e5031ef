"""What every reader of a watch's files returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.seizure.parameters import Unit

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples as their file has them.

    Attributes:
        path: of the file.
        times: (N,) s from the first sample.
        values: (N, 3) axes or (N, 1) magnitude, in the unit of the file.
        start: time of the first sample, None where the file has no dates; without a time zone where it states none.
        user: who wore the watch, as the file states it; empty where it does not.
        unit: of the values as the format defines it, AUTO where it does not.
        name: of the recording; empty for that of the file.
        first_line: of the samples in a text file, for messages; 0 in a binary one.
        doubts: what is contradictory or assumed.
    """

    path: Path
    times: Floats
    values: Floats
    start: datetime | None
    user: str = ""
    unit: Unit = Unit.AUTO
    name: str = ""
    first_line: int = 0
    doubts: tuple[Doubt, ...] = ()

    def place(self, index: int) -> str:
        """Where a sample is in the file, for messages."""
        return f"line {self.first_line + index}" if self.first_line else f"sample {index + 1}"


def samples_from_blocks(
    path: Path, starts: Sequence[float], rates: Sequence[float], blocks: Sequence[Floats]
) -> tuple[Floats, Floats, float]:
    """Join blocks of evenly sampled values.

    Args:
        path: of the file, for messages.
        starts: time of each block's first sample in s; no block is empty.
        rates: samples a second in each block.
        blocks: (n, 3) each.

    Returns:
        (N,) s from the first sample, (N, 3) values, and time of the first sample.

    Raises:
        InputError: there are no samples.
    """
    if not sum(map(len, blocks)):
        raise InputError(f"{path} has no samples of acceleration.")
    first = starts[0]
    parts = [start - first + np.arange(len(one)) / rate for start, rate, one in zip(starts, rates, blocks, strict=True)]
    return np.concatenate(parts), np.concatenate(blocks), float(first)


def sign_extended(values: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.int64]:
    """Two's complement of some bits as signed numbers."""
    sign = 1 << (bits - 1)
    return (values ^ sign) - sign


def with_clock_doubts(samples: Samples) -> Samples:
    """State that times of day are those of the watch's clock, where the file has no time zone."""
    if samples.start is None or samples.start.tzinfo is not None:
        return samples
    text = "its times have no time zone: times of day are those of the watch's clock."
    way_out = "Times in seconds from the first sample do not depend on it."
    doubt = Doubt("time-zone-unknown", samples.path.name, text, way_out, assumed=True)
    return replace(samples, doubts=(*samples.doubts, doubt))


def damaged_doubts(path: Path, damaged: int, total: int, what: str) -> tuple[Doubt, ...]:
    """Blocks of a file whose checksum is wrong: left out as gaps, if that is accepted."""
    if not damaged:
        return ()
    text = f"{damaged} of {total} {what} are damaged: their checksum is wrong."
    way_out = "Copy the file from the watch again; if this is accepted, they are gaps."
    return (Doubt("damaged-blocks", path.name, text, way_out),)
