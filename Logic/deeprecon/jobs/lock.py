"""One run at a time in a job folder."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import IO

from deeprecon.data.errors import InputError

_LOCKED_BYTE = 2**30
"""Windows locks bytes, and nobody else can read them: one far beyond the end is taken."""


def lock(file: IO[bytes], folder: Path) -> None:
    """Lock an open file of a job folder for this run; the lock goes with the file or the process, however it ends.

    Where the file system has no locks, as on some network disks, nothing is locked.

    Raises:
        InputError: another run has locked it.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            message = f"Another run is working in the folder {folder}."
            raise InputError(message, "Wait until it has ended, or choose another folder.") from error
