"""`python -m deeprecon METHOD VERB`, and the console script `deeprecon`."""

import os
import sys

# Python puts the working folder first: a numpy.py that lies there must not be imported. Unless the package lies there.
if sys.path[0] == os.getcwd() and os.path.dirname(os.path.dirname(os.path.abspath(__file__))) != os.getcwd():
    del sys.path[0]

import _signal  # type: ignore[import-not-found]  # built in: `signal` itself takes time to load

CANCELLED = 3


def run() -> int:
    """Run the command line; returns its exit code."""
    _signal.signal(_signal.SIGINT, _end)
    from deeprecon.cli import main
    from deeprecon.jobs.process import die_with_parent

    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text in the terminal's encoding
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    die_with_parent()
    return main()


def _end(number: int, frame: object) -> None:
    """Ctrl+C while modules are loaded: a word instead of a traceback out of their middle."""
    os.write(2, b"Error: The run was cancelled.\n")
    os._exit(CANCELLED)


if __name__ == "__main__":
    sys.exit(run())
