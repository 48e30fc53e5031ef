"""The table of a DICOM file's VOI LUT Sequence (PS3.3, C.11.2)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom_sequence import read_first_item

SEQUENCE, DESCRIPTOR, DATA = (0x0028, 0x3010), (0x0028, 0x3002), (0x0028, 0x3006)


def read_voi_table(path: Path) -> tuple[int, npt.NDArray[np.uint16]] | None:
    """The first table of the VOI LUT Sequence: the pixel value that its first entry is for, and its entries.

    None where the file has none that can be read; see `read_first_item`.
    """
    found = read_first_item(path, SEQUENCE, (DESCRIPTOR, DATA))
    if len(found) < 2 or len(found[DESCRIPTOR]) < 6:
        return None
    count, first, _ = struct.unpack("<HHH", found[DESCRIPTOR][:6])
    values = np.frombuffer(found[DATA], "<u2")[: count or 65536]
    return (first, values) if len(values) else None
