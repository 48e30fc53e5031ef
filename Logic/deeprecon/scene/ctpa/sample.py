"""The sample X-ray of the CTPA module: that of a simulated chest."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Geometry, detector_axes, expose, line_integrals
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.data.radiograph import Radiograph
from deeprecon.scene.ctpa.xray import node_from_radiograph
from deeprecon.steps import Apart, Steps, in_steps

NAME = "Sample chest X-ray"
GRID = Grid((304, 64, 256))
"""Coarse from front to back, the direction of the rays."""
SEED = 7


def sample_radiograph() -> Radiograph:
    """The X-ray of a phantom chest, PA, its pixels 1.4 x 1.2 mm at the chest."""
    geometry = Geometry()
    integrals = line_integrals(draw_grid(make_anatomy(SEED), GRID)[0], GRID, geometry)
    image = expose(integrals, np.random.default_rng(SEED))
    v, u = detector_axes(GRID, geometry)
    spacing = float(u[1] - u[0]), float(v[1] - v[0])
    scaled = (image - image.min()) / np.ptp(image)
    return Radiograph(scaled[::-1].astype(np.float32), spacing, geometry.view.value, NAME)


@in_steps
def load_sample_xray() -> Steps[Any]:
    """Make the sample X-ray and load it; returns its vtkMRMLScalarVolumeNode."""
    radiograph = yield Apart("Making the sample…", sample_radiograph)
    return node_from_radiograph(radiograph, slicer.mrmlScene.GenerateUniqueName(NAME))
