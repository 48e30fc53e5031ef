"""NIfTI files written slab by slab: a volume need not be in memory, and is compressed on several threads.

The file is one gzip member (RFC 1952) whose deflate stream (RFC 1951) is cut into blocks that are compressed apart from
each other; so any reader takes it, and the bytes do not depend on the number of threads.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path

BLOCK = 2**22
"""Bytes that are compressed at once."""
LEVEL = 1
"""Of compression: the fastest. Level 6 takes 4 to 6 times as long for a tenth less."""


def write_nifti_slabs(
    path: Path,
    slabs: Iterable[npt.NDArray[np.generic]],
    shape: tuple[int, int, int],
    dtype: npt.DTypeLike,
    ijk_to_ras: npt.NDArray[np.float64],
    threads: int = 1,
    description: str = "",
) -> None:
    """Write a volume from its slabs, atomically.

    Args:
        path: ending in .nii.gz.
        slabs: (planes, j, i) one after the other along k.
        shape: (k, j, i) of the whole volume.
        dtype: of the file; slabs are converted.
        ijk_to_ras: (4, 4).
        threads: that compress.
        description: up to 80 bytes in the file's header.

    Raises:
        InputError: nibabel is missing.
        ValueError: the slabs are not the volume's.
        OSError: the file cannot be written; nothing is left then.
    """
    try:
        import nibabel
    except ModuleNotFoundError as error:
        raise InputError(
            f"Writing {path.name} needs nibabel, which is not installed.", "Install it: pip install nibabel."
        ) from error
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.dtype(dtype))
    header.set_data_shape(shape[::-1])
    header.set_sform(ijk_to_ras, 1)
    header.set_qform(ijk_to_ras, 1)
    header.set_xyzt_units("mm")
    header["descrip"] = description.encode()[:80]
    header["vox_offset"] = 352
    start = header.binaryblock + bytes(4)  # no extensions
    with atomic_path(path) as part, open(part, "wb") as file:
        _compress(_blocks(start, slabs, shape, np.dtype(dtype)), file, threads)


def _blocks(
    start: bytes, slabs: Iterable[npt.NDArray[np.generic]], shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> Iterator[bytes | memoryview]:
    yield start
    planes = 0
    for slab in slabs:
        if slab.shape[1:] != shape[1:]:
            raise ValueError(f"a slab of {slab.shape} is none of {shape}")
        planes += len(slab)
        content = memoryview(np.ascontiguousarray(slab, dtype).tobytes())
        yield from (content[first : first + BLOCK] for first in range(0, len(content), BLOCK))
    if planes != shape[0]:
        raise ValueError(f"{planes} planes are not {shape[0]}")


def _compress(blocks: Iterable[bytes | memoryview], file: Any, threads: int) -> None:
    """Write a gzip file. Each block but the last ends with a flush that leaves the stream open at a whole byte."""
    file.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff")  # deflate, no name, no time, fastest, unknown system
    checksum, length = 0, 0
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[bytes]] = deque()
        for block in blocks:
            checksum, length = zlib.crc32(block, checksum), length + len(block)
            waiting.append(pool.submit(_deflate, block))
            if len(waiting) > 2 * threads:
                file.write(waiting.popleft().result())
        while waiting:
            file.write(waiting.popleft().result())
    file.write(b"\x03\x00")  # an empty last block
    file.write(struct.pack("<II", checksum, length % 2**32))


def _deflate(block: bytes | memoryview) -> bytes:
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(block) + stream.flush(zlib.Z_FULL_FLUSH)
