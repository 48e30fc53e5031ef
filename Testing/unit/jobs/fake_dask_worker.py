"""Loaded by the Dask workers of the tests (distributed.worker.preload): their cases run the fake method.

Dask may load a copy of this file, so that its own path says nothing.
"""

import sys
from pathlib import Path

from deeprecon.cases import dask_task

FAKE_METHOD = Path(dask_task.__file__).resolve().parents[3] / "Testing" / "unit" / "jobs" / "fake_method.py"
dask_task.python_command = lambda interpreter: [sys.executable, "-X", "utf8", "-u", str(FAKE_METHOD)]
