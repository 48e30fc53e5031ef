"""A finished reconstruction with all that it was made from, which the writers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deeprecon.scar.measure.reconstruction import Reconstruction
from deeprecon.scar.observe.slices import ObservedSlices
from deeprecon.scar.parameters import ReconstructParameters
from deeprecon.scar.read.case import Case
from deeprecon.scar.read.mesh import HeartMesh


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished reconstruction.

    Attributes:
        case, heart, slices: images, mesh and observations.
        found: the measured reconstruction.
        parameters: of the run.
        settings: everything needed to run it again, for the report.
        warnings: all of the run.
    """

    case: Case
    heart: HeartMesh
    slices: ObservedSlices
    found: Reconstruction
    parameters: ReconstructParameters
    settings: Mapping[str, Any]
    warnings: tuple[str, ...]
