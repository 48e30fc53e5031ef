"""The table of a DICOM file's VOI LUT Sequence (PS3.3, C.11.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.header import first_item, read_header


def read_voi_table(path: Path) -> tuple[int, npt.NDArray[np.uint16]] | None:
    """The first table of the VOI LUT Sequence: the pixel value that its first entry is for, and its entries.

    None where the file has none.

    Raises:
        InputError: the file is damaged.
    """
    item = first_item(read_header(path), "VOILUTSequence")
    if item is None or len(item.get("LUTDescriptor") or ()) < 3 or not item.get("LUTData"):
        return None
    count, first, _ = item.LUTDescriptor
    data = item.LUTData  # bytes or numbers, as the file encodes it
    values = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.atleast_1d(data).astype(np.uint16)
    return int(first), values[: count or 65536]
