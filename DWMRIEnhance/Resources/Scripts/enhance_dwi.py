"""Enhancing diffusion scans without a window, for many patients or a cluster:

    Slicer --no-splash --no-main-window --python-script enhance_dwi.py --dwi dwi.nii.gz --output DIR

takes the options of `python -m deeprecon dwmri enhance` (see its --help), runs the same computation in the same way,
and ends Slicer with its exit code: 0 done, 1 internal, 2 bad input, 3 cancelled. Its own options are

    --time-limit SECONDS   end everything after this time, with exit code 1 (default: one day)
    --scene FILE           also load the results of one scan and save them as a scene (.mrb)
"""

import argparse
import sys
import traceback
from pathlib import Path

import slicer

try:
    import deeprecon  # noqa: F401  in a build and in an installed extension
except ImportError:
    sys.path.append(str(Path(__file__).resolve().parents[3] / "Logic"))  # in the source tree

from deeprecon.data.errors import InputError
from deeprecon.jobs.process import child_environment
from deeprecon.jobs.runner import ProcessRunner
from deeprecon.panels.device_panel import userCommand, userOverlay
from deeprecon.scene.dwmri_result import load_folder

DAY = 86_400.0
INTERNAL, BAD_INPUT = 1, 2


def main(arguments: list[str]) -> int:
    """Run the enhancement; returns the exit code."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--time-limit", type=float, default=DAY)
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--output", type=Path)
    own, options = parser.parse_known_args(arguments)
    if own.output is not None:
        options += ["--output", str(own.output)]
    elif own.scene is not None:
        raise InputError("--scene needs the results of --output.", "Give --output DIR too.")
    command = [*userCommand()[:-1], "deeprecon", "dwmri", "enhance", *options]
    runner = ProcessRunner(command, child_environment(userOverlay().folder))
    runner.start()
    code = runner.wait(own.time_limit, lambda event: print(event.get("text", event), flush=True))
    if code is None:
        runner.kill()
        print(f"Error: not finished after {own.time_limit:g} seconds.", file=sys.stderr)
        return INTERNAL
    if code == 0 and own.scene is not None:
        load_folder(own.output)
        if not slicer.util.saveScene(str(own.scene), properties={}):
            raise InputError(f"The scene {own.scene} cannot be written.", "Choose another folder.")
    return code


try:
    code = main(sys.argv[1:])
except InputError as error:
    print(f"Error: {error}", file=sys.stderr)
    code = BAD_INPUT
except SystemExit as end:  # argparse
    code = end.code if isinstance(end.code, int) else BAD_INPUT
except BaseException:  # whatever happens, Slicer must not stay open
    traceback.print_exc()
    code = INTERNAL
slicer.util.exit(code)
