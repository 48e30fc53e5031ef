"""`python -m deeprecon METHOD VERB`."""

import os
import sys

# Python puts the working folder first: a numpy.py that lies there must not be imported. Unless the package lies there.
if sys.path[0] == os.getcwd() and os.path.dirname(os.path.dirname(os.path.abspath(__file__))) != os.getcwd():
    del sys.path[0]

from deeprecon.cli import main
from deeprecon.jobs.process import die_with_parent

if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text in the terminal's encoding
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    die_with_parent()
    sys.exit(main())
