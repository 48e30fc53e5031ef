"""Exit codes and exceptions in words."""

from __future__ import annotations

import pytest

from deeprecon.data.errors import InputError
from deeprecon.jobs import failures


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
        (raised(ValueError("x"), MemoryError()), "memory"),
        (OSError(12, "Cannot allocate memory"), "memory"),
        (Exception("I/O error: No space left on device (os error 28)"), "disk"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "internal"),
        (ValueError("plain"), "internal"),
        (KeyboardInterrupt(), "cancelled"),
    ]
    for error, kind in cases:
        assert failures.explain_exception(error).kind == kind, error
