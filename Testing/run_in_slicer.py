"""Runs the tests of the library and of the panels inside a real Slicer, which exits with pytest's code:

    Slicer --no-splash --testing --additional-module-paths ScarReconstruction CTPASynthesis DWMRIEnhance \
        --python-script Testing/run_in_slicer.py [PYTEST_ARGUMENTS...]

What Slicer's Python lacks lies in Testing/packages, so that Slicer itself stays as it is; put it there by

    PythonSlicer -m pip install --target Testing/packages --no-deps --require-hashes -r Testing/requirements/slicer.lock

Without pytest the exit code is 77 (skipped).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import slicer

SKIPPED = 77
HERE = Path(__file__).resolve().parent
PACKAGES = HERE / "packages"


def main(arguments: list[str]) -> int:
    sys.path.append(str(PACKAGES))  # last: where both have a package, it is Slicer's
    missing = [name for name in ("pytest", "pytest_timeout") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"Skipped: {' and '.join(missing)} not installed. See {Path(__file__).name}.")
        return SKIPPED
    import pytest

    folders = (str(PACKAGES), os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(folder for folder in folders if folder)  # for child processes
    if python := shutil.which("PythonSlicer"):
        sys.executable = python  # Slicer's own is empty, and tests start children with it
    sys.path.insert(0, str(HERE.parent / "Logic"))
    os.chdir(HERE)
    return int(pytest.main(["-p", "no:cacheprovider", "-c", "pytest.ini", *(arguments or ["unit", "panels"])]))


try:
    code = main(sys.argv[1:])
except BaseException as error:  # whatever happens, Slicer must not stay open
    print(f"The tests could not be run: {error!r}", file=sys.stderr)
    code = 1
slicer.util.exit(code)
