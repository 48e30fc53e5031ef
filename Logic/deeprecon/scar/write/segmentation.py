"""A reconstruction as a segmentation of scar core, border zone or uncertain edge, and healthy wall."""

from __future__ import annotations

import numpy as np

from deeprecon.data.segmentation import Segment, Segmentation
from deeprecon.data.volume import Volume
from deeprecon.scar.measure.voxels import VoxelResult

# Slicer's serialized terminology entries: category and type by their SNOMED CT codes.
_TERMINOLOGY = "Segmentation category and type - 3D Slicer General Anatomy list~SCT^{category}~SCT^{kind}~^^~~^^~^^"
_TISSUE = "85756007^Tissue"
_ALTERED = "49755003^Morphologically Altered Structure"
MYOCARDIUM = _TERMINOLOGY.format(category=_TISSUE, kind="74281007^Myocardium")
SCAR = _TERMINOLOGY.format(category=_ALTERED, kind="12402003^Scar")
HEALTHY, UNOBSERVED = "Healthy myocardium", "Myocardium not observed"
CORE, BORDER_ZONE = "Scar core", "Scar border zone"
CORE_BY_PROBABILITY, UNCERTAIN_EDGE = "Scar core by probability", "Scar uncertain edge"
"""Names of the segments; those by probability stand for core and border zone where nothing else tells these apart."""


def segment_regions(voxels: VoxelResult, cutoff: float, core_cutoff: float) -> Segmentation:
    """Scar core, border zone and healthy wall as segments; by probability alone an uncertain edge for the border zone.

    The names of segments by probability mean scar when they are read again, so that such a core is no drawn one.

    Args:
        voxels: the reconstruction.
        cutoff: probability above which a voxel is scar.
        core_cutoff: that above which scar is core, where the core has no probability of its own.
    """
    scar = voxels.observed & (voxels.scar > cutoff)
    core = scar & (voxels.scar > core_cutoff if voxels.core is None else voxels.core > cutoff)
    names = (CORE, BORDER_ZONE) if voxels.core is not None else (CORE_BY_PROBABILITY, UNCERTAIN_EDGE)
    unknown = voxels.wall & ~voxels.observed
    return Segmentation(
        (
            Segment(HEALTHY, voxels.observed & ~scar, (0.87, 0.72, 0.66), MYOCARDIUM),
            Segment(names[1], scar & ~core, (1.0, 0.62, 0.2), SCAR),
            Segment(names[0], core, (0.75, 0.05, 0.1), SCAR),
            *([Segment(UNOBSERVED, unknown, (0.5, 0.5, 0.5), MYOCARDIUM)] if unknown.any() else []),
        ),
        voxels.ijk_to_ras,
        "Scar reconstruction",
    )


def probability_volume(voxels: VoxelResult) -> Volume:
    """The probability of scar on the grid of the segmentation; NaN off the wall and where no slice shows it."""
    values = np.where(voxels.observed, voxels.scar, np.nan).astype(np.float32)
    return Volume(values, voxels.ijk_to_ras, "Scar probability")
