"""Why a job failed: kind, message and hint, from an exception inside the job or from its exit code and log."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deeprecon.data import errors
from deeprecon.data.doubts import DoubtError, how_to_accept
from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Stopped

DISK_ERRORS = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
DISK_MESSAGES = ("No space left on device", "Disk quota exceeded", "File too large")
MEMORY_MESSAGES = ("bad_alloc", "MemoryError", "out of memory", "can't allocate memory", "not enough memory",
                "Cannot allocate memory", "could not create a primitive")  # fmt: skip
"""The last one is oneDNN's, which computes for torch on CPUs, where it gets no memory."""
MEMORY_HINT = "Close other programs, take a coarser resolution or fewer inputs, or use a computer with more memory."
DISK_HINT = "Free some space, or choose a folder on another disk, and run again."
LAUNCHER_MESSAGE = "exit abnormally"
"""PythonSlicer, a launcher, exits with 1 whatever signal ended the Python that it started, and prints this."""
_READING = re.compile(rf'{Path(errors.__file__).name}", line \d+ in named\b')
"""In the stack that Python prints when it crashes: the function around every reader, see `names_damage`."""
WINDOWS_MEMORY = {0xC0000017, 0xC000012D}  # STATUS_NO_MEMORY, STATUS_COMMITMENT_LIMIT


@dataclass(frozen=True)
class Failure:
    """Why a job has no result.

    Attributes:
        kind: input, memory, disk, cancelled, crash or internal.
        message, hint: what is wrong and what to do.
        codes: of the contradictions that could be accepted, see `deeprecon.data.doubts`.
    """

    kind: str
    message: str
    hint: str = ""
    codes: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """All of it in a line, for tables and warnings: message, hint and how to accept the contradictions."""
        return " ".join(filter(None, (self.message, self.hint, how_to_accept(self.codes))))


class JobFailedError(Exception):
    """Raised by a run for which another job has failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.told)
        self.failure = failure


CANCELLED = Failure("cancelled", "The run was cancelled.", "What it has saved is kept: it can be resumed.")


def explain_exception(error: BaseException) -> Failure:
    """What an exception that ended a task means for the person who started it."""
    if isinstance(error, JobFailedError):
        return error.failure
    for cause in _causes(error):
        text = str(cause)
        if (isinstance(cause, OSError) and cause.errno in DISK_ERRORS) or any(word in text for word in DISK_MESSAGES):
            return Failure("disk", f"The disk is full: {_short_message(cause)}.", DISK_HINT)
        # Known by name, for torch may not be imported here: torch.OutOfMemoryError is a RuntimeError.
        names = {kind.__name__ for kind in type(cause).__mro__}
        no_memory = isinstance(cause, OSError) and cause.errno == errno.ENOMEM
        allocator = isinstance(cause, RuntimeError) and any(word in text for word in MEMORY_MESSAGES)
        if names & {"MemoryError", "OutOfMemoryError"} or no_memory or allocator:
            return Failure("memory", f"Memory ran out: {_short_message(cause)}.", MEMORY_HINT)
    if isinstance(error, Stopped | KeyboardInterrupt):
        return CANCELLED
    if isinstance(error, DoubtError):
        return Failure("input", error.message, error.hint, error.codes)
    if isinstance(error, InputError):
        return Failure("input", error.message, error.hint)
    if isinstance(error, OSError) and error.filename is not None:
        hint = "Find out whether it is still there and can be read and written to, and run again."
        return Failure("disk", f"{error.strerror or error}: {os.fsdecode(error.filename)}.", hint)
    if isinstance(error, UnicodeEncodeError):
        hint = "Set the language of the shell to one with UTF-8, such as LANG=C.UTF-8, or rename it."
        return Failure("input", f"A name cannot be written in {error.encoding}: {_short_message(error)}.", hint)
    if isinstance(error, ModuleNotFoundError):
        return Failure("internal", f"The Python package {error.name} is missing.", "Install it and run again.")
    return Failure("internal", f"{type(error).__name__}: {_short_message(error)}", "Please report this with the log.")


def explain_exit(code: int, log: str, memory_killer: bool) -> Failure:
    """Why a child that reported neither result nor error is gone.

    Args:
        code: exit code; negative or above 128 for a signal (9: killed), as subprocess and shells put it.
        log: its last words.
        memory_killer: the operating system killed a process for memory while it ran.
    """
    number = -code if code < 0 else code - 128 if 128 < code < 160 else 0
    unsigned = code & 0xFFFFFFFF
    launched = LAUNCHER_MESSAGE in log
    if (memory_killer and (number == 9 or launched)) or unsigned in WINDOWS_MEMORY:
        return Failure("memory", "Memory ran out: the system ended the computation.", MEMORY_HINT)
    if any(word in log for word in MEMORY_MESSAGES):
        return Failure("memory", "Memory ran out.", MEMORY_HINT)
    if any(word in log for word in DISK_MESSAGES):
        return Failure("disk", "The disk is full.", DISK_HINT)
    if number == 9:
        hint = "Another program ended it, or memory was short: look at the memory in use and run again."
        return Failure("crash", "The computation was killed from outside.", hint)
    if number or launched or unsigned >= 0xC0000000:
        name = _signal_name(number) if number else f"exit code {unsigned:#x}"
        if _READING.search(log):
            message = f"An input file is damaged: the computation crashed while it read the file ({name})."
            return Failure("input", message, "Copy or export the files again.")
        hint = "Run again on the CPU; if that works, the driver or build of the GPU is to blame. Else report the log."
        return Failure("crash", f"The computation crashed ({name}).", hint)
    hint = "The log says more; check the installation."
    return Failure("internal", f"The computation ended without a result (exit code {code}).", hint)


def count_memory_kills() -> int | None:
    """How often Linux has killed a process for memory since it started; None where the system does not count it."""
    try:
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and those it was raised from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _short_message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
