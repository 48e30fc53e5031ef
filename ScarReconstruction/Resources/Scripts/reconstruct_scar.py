"""Scar reconstruction without a window, for many patients or a cluster:

    Slicer --no-splash --no-main-window --python-script reconstruct_scar.py \\
        --lge lge.nrrd --myocardium wall.seg.nrrd --output DIR

takes the options of `python -m deeprecon scar reconstruct` (see its --help), runs the same computation in the same way,
and ends Slicer with its exit code: 0 done, 1 internal, 2 bad input, 3 cancelled. Its own options are

    --time-limit SECONDS   end everything after this time, with exit code 1 (default: one day)
    --scene FILE           also load the results and save them as a scene (.mrb)
"""

import sys
from pathlib import Path

import slicer

try:
    import deeprecon  # noqa: F401  in a build and in an installed extension
except ImportError:
    sys.path.append(str(Path(__file__).resolve().parents[3] / "Logic"))  # in the source tree

from deeprecon.panels.common.batch import runBatch
from deeprecon.scene.common.results import load_results

slicer.util.exit(runBatch("scar", "reconstruct", load_results, sys.argv[1:]))
