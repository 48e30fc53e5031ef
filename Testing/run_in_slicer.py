"""Runs the library's tests inside a real Slicer, which exits with pytest's code:

    Slicer --no-splash --testing --no-main-window --python-script Testing/run_in_slicer.py

pytest and pytest-timeout have to be installed in Slicer's Python first; without them the exit code is 77 (skipped).
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import slicer

SKIPPED = 77
HERE = Path(__file__).resolve().parent


def main() -> int:
    missing = [name for name in ("pytest", "pytest_timeout") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"Skipped: {' and '.join(missing)} not installed. Run: PythonSlicer -m pip install pytest pytest-timeout")
        return SKIPPED
    import pytest

    sys.path[:0] = [str(HERE.parent / "Logic")]
    return int(pytest.main(["-p", "no:cacheprovider", "-c", str(HERE / "pytest.ini"), str(HERE / "unit")]))


try:
    code = main()
except BaseException as error:  # whatever happens, Slicer must not stay open
    print(f"The tests could not be run: {error!r}", file=sys.stderr)
    code = 1
slicer.util.exit(code)
