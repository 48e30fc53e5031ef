"""Decompression that ends where a file holds more than its header states."""

from __future__ import annotations

import bz2
import zlib
from pathlib import Path

from deeprecon.data.errors import InputError

GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
"""zlib's number for gzip with a check of the checksum and length (zlib.h, inflateInit2)."""


def inflate(path: Path, data: bytes, limit: int) -> bytes:
    """Content of gzip data of one or several members, its checksum and length checked.

    Args:
        path: of the file, for messages.
        data: that begins with `GZIP`.
        limit: bytes that the content may have.

    Raises:
        InputError: cut off, damaged, or longer than the limit.
    """
    parts: list[bytes] = []
    left = limit
    while data:
        stream = zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = stream.decompress(data, left + 1)
        except zlib.error as error:
            raise _damaged(path, str(error)) from error
        if len(part) > left:
            raise _damaged(path, f"it holds more than the {limit} bytes that its header states")
        if not stream.eof:
            raise _damaged(path, "its compressed data end too early")
        parts.append(part)
        left -= len(part)
        data = stream.unused_data.lstrip(b"\0")
    return b"".join(parts)


def inflate_start(data: bytes, length: int) -> bytes:
    """The first bytes of gzip data, fewer where they are damaged; nothing is checked."""
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(data, length)
    except zlib.error:
        return b""


def inflate_bzip2(path: Path, data: bytes, limit: int) -> bytes:
    """Content of bzip2 data; see `inflate`."""
    stream = bz2.BZ2Decompressor()
    try:
        content = stream.decompress(data, limit + 1)
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if len(content) > limit:
        raise _damaged(path, f"it holds more than the {limit} bytes that its header states")
    if not stream.eof:
        raise _damaged(path, "its compressed data end too early")
    return content


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path} is cut off or damaged ({reason}).", "Copy or export it again.")
