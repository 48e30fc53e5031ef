"""Checksums of files, and writing them in one step."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

HEAD = 1024


@dataclass(frozen=True)
class Digest:
    """Checksum and first bytes of a file, from one reading.

    Attributes:
        sha256: of the content, as hexadecimal text.
        head: its first `HEAD` bytes.
    """

    sha256: str
    head: bytes


def digest(path: Path | str) -> Digest:
    """Checksum and first bytes of a file; it is not read again as long as its size, times and inode are the same."""
    state = os.stat(path)
    return _digest(os.path.abspath(path), (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino))


@lru_cache(maxsize=65536)
def _digest(path: str, state: tuple[int, ...]) -> Digest:
    with open(path, "rb") as file:
        head = file.read(HEAD)
        file.seek(0)
        return Digest(hashlib.file_digest(file, "sha256").hexdigest(), head)


def sha256(path: Path | str) -> str:
    """SHA-256 of a file as hexadecimal text."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A new, empty file in the folder of `path`, renamed to it on success and removed on failure.

    Its name cannot be foreseen and ends like `path`, since many writers choose the format by the ending. It is made
    anew, never opened through a link, with the usual mode.
    """
    path = Path(path)
    part = path.with_name(f".part-{secrets.token_hex(8)}-{path.name}")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), 0o666))
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically; bytes of file names that are no UTF-8 are written as escapes."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(path: Path | str, value: Any) -> None:
    """Write indented UTF-8 JSON atomically. NaN and infinity raise ValueError: they are not JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of a path that are no UTF-8, which must come back
        text = json.dumps(value, indent=2, allow_nan=False)
    write_text(path, text + "\n")
