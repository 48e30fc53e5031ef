"""Exit codes and exceptions in words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deeprecon.data.errors import InputError
from deeprecon.jobs import failures
from deeprecon.jobs.process import child_environment


@pytest.mark.parametrize(
    ("code", "log", "killer", "kind"),
    [
        (-9, "", False, "crash"),
        (137, "", True, "memory"),
        (-11, "", True, "crash"),
        (139, "", False, "crash"),
        (0xC0000005, "", False, "crash"),
        (-1073741819, "", False, "crash"),
        (0xC0000017, "", False, "memory"),
        (1, "OSError: [Errno 28] No space left on device", False, "disk"),
        (1, "", False, "internal"),
        (1, "error: [/slicer/bin/python-real] exit abnormally - Report the problem.", False, "crash"),
        (1, "error: [/slicer/bin/python-real] exit abnormally - Report the problem.", True, "memory"),
    ],
)
def test_exit_codes_of_every_platform_are_explained(code: int, log: str, killer: bool, kind: str) -> None:
    failure = failures.explain_exit(code, log, killer)
    assert failure.kind == kind
    assert failure.message
    assert failure.hint


CRASH = """
import faulthandler
import sys
from pathlib import Path
from deeprecon.data.errors import names_damage

@names_damage
def read(path):
    faulthandler._sigsegv()

read(Path("a.vtk")) if sys.argv[1] == "reading" else faulthandler._sigsegv()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="crashes in the way of POSIX")
@pytest.mark.parametrize(("moment", "kind", "words"), [
    ("reading", "input", "An input file is damaged"), ("computing", "crash", "The computation crashed (SIGSEGV)"),
])  # fmt: skip
def test_a_crash_while_reading_is_the_files_fault(moment: str, kind: str, words: str) -> None:
    command = [sys.executable, "-c", CRASH, moment]
    crashed = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    failure = failures.explain_exit(crashed.returncode, crashed.stderr, memory_killer=False)
    assert failure.kind == kind
    assert words in failure.message
    assert ("driver" in failure.hint) == (moment == "computing")


def test_exceptions_are_explained_through_what_they_were_raised_from() -> None:
    class OutOfMemoryError(RuntimeError):
        """Named like torch's."""

    def raised(error: Exception, cause: Exception | None = None) -> Exception:
        error.__cause__ = cause
        return error

    full = OSError(28, "No space left on device")
    cases = [
        (raised(InputError("Cannot write the mesh."), full), "disk"),
        (OutOfMemoryError("CUDA out of memory."), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "memory"),
        (RuntimeError("could not create a primitive"), "memory"),
        (raised(ValueError("x"), MemoryError()), "memory"),
        (OSError(12, "Cannot allocate memory"), "memory"),
        (Exception("I/O error: No space left on device (os error 28)"), "disk"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "internal"),
        (ValueError("plain"), "internal"),
        (KeyboardInterrupt(), "cancelled"),
    ]
    for error, kind in cases:
        assert failures.explain_exception(error).kind == kind, error
