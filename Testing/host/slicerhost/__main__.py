"""Runs a Python script as `Slicer` does on its command line.

    python -m slicerhost [--no-main-window] [--testing] [--no-splash] [--additional-module-paths DIR...]
                         --python-script FILE [ARGUMENTS...]

As in Slicer the process does not end with the script but with slicer.util.exit, sys.exit or the last window; an
uncaught exception ends it only with --testing.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import traceback
from pathlib import Path

from . import start


def main() -> int:
    parser = argparse.ArgumentParser(prog="slicerhost", allow_abbrev=False)
    parser.add_argument("--no-main-window", action="store_true")
    parser.add_argument("--no-splash", action="store_true")
    parser.add_argument("--testing", action="store_true")
    parser.add_argument("--disable-cli-modules", action="store_true")
    parser.add_argument("--additional-module-paths", nargs="+", default=[], type=Path)
    parser.add_argument("--python-script", nargs=argparse.REMAINDER, required=True)
    options = parser.parse_args()
    script, *arguments = options.python_script
    host = start(mainWindow=not options.no_main_window, testing=options.testing)
    for folder in options.additional_module_paths:
        for path in sorted(folder.glob("*.py")):
            host.loadModule(path, show=False)
    host.startupCompleted()
    sys.argv = [os.path.abspath(script), *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as request:
        code = request.code
        host.app.exit(code if isinstance(code, int) else 0 if code is None else 1)
    except Exception:
        traceback.print_exc()
        if options.testing:
            host.app.exit(1)
    if host.app._h_exitCode is None:
        host.app.exec()
    code = host.app._h_exitCode or 0
    failed = options.testing and bool(host.slotErrors())
    host.close()
    host.core.close()
    return code or int(failed)


if __name__ == "__main__":
    sys.exit(main())
