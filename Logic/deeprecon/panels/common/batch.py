"""Running a verb without a window, for the batch scripts of the modules."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import slicer

from deeprecon.data.errors import InputError
from deeprecon.jobs.command import JOB_FOLDER
from deeprecon.jobs.results.publication import last_result
from deeprecon.jobs.runner import ProcessRunner
from deeprecon.panels.computer.device_panel import userCommand, userEnvironment, userOverlay

DAY = 86_400.0
INTERNAL, BAD_INPUT = 1, 2


def runBatch(method: str, verb: str, load: Callable[[Path], object], arguments: list[str]) -> int:
    """Run a verb as on the command line; returns the exit code after any error, because Slicer must not stay open.

    Args:
        method, verb: see `jobs/verbs.py`.
        load: loads the results in an output folder into the scene, for --scene.
        arguments: options of the verb, and --time-limit SECONDS and --scene FILE of our own; "help" alone lists them,
            because Slicer answers --help itself.
    """
    try:
        return _run(method, verb, load, arguments)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return BAD_INPUT
    except SystemExit as end:  # argparse
        return end.code if isinstance(end.code, int) else BAD_INPUT
    except BaseException:
        traceback.print_exc()
        return INTERNAL


def _run(method: str, verb: str, load: Callable[[Path], object], arguments: list[str]) -> int:
    if arguments == ["help"]:
        arguments = ["--help"]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--time-limit", type=float, default=DAY)
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--output", type=Path)
    own, options = parser.parse_known_args(arguments)
    if own.output is not None:
        options += ["--output", str(own.output)]
    elif own.scene is not None:
        raise InputError("--scene needs the results of --output.", "Give --output DIR too.")
    command = [*userCommand()[:-1], "deeprecon", method, verb, *options]
    runner = ProcessRunner(command, userEnvironment(userOverlay()))
    runner.start()
    code = runner.wait(own.time_limit, lambda event: print(event.get("text", event), flush=True))
    if code is None:
        runner.kill()
        print(f"Error: not finished after {own.time_limit:g} seconds.", file=sys.stderr)
        return INTERNAL
    if code == 0 and own.scene is not None:
        load(last_result(own.output / JOB_FOLDER) or own.output)
        if not slicer.util.saveScene(str(own.scene), properties={}):
            raise InputError(f"The scene {own.scene} cannot be written.", "Choose another folder.")
    return code
