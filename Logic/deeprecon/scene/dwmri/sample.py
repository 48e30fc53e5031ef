"""The sample scan of the DWI module: a noisy phantom."""

from __future__ import annotations

from functools import partial
from typing import Any

import slicer

from deeprecon.dwmri.simulate.head import make_phantom
from deeprecon.scene.dwmri.scan import node_from_scan
from deeprecon.steps import Apart, Steps, in_steps

NAME = "Sample DWI"
SHAPE, B0, SHELLS, SNR = (24, 48, 48), 3, ((1000.0, 30),), 20.0


@in_steps
def load_sample_scan() -> Steps[Any]:
    """Make the sample scan and load it as a diffusion weighted volume; returns its node."""
    made = yield Apart("Making the sample…", partial(make_phantom, SHAPE, B0, SHELLS, SNR))
    return node_from_scan(made.noisy, slicer.mrmlScene.GenerateUniqueName(NAME))
