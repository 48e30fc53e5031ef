"""A reconstruction as a segmentation of scar core, border zone or uncertain edge, and healthy wall."""

from __future__ import annotations

from deeprecon.data.segmentation import Segment, Segmentation
from deeprecon.scar.measure.voxels import VoxelResult

# Slicer's serialized terminology entries: category and type by their SNOMED CT codes.
_TERMINOLOGY = "Segmentation category and type - 3D Slicer General Anatomy list~SCT^{category}~SCT^{kind}~^^~~^^~^^"
_TISSUE = "85756007^Tissue"
_ALTERED = "49755003^Morphologically Altered Structure"
MYOCARDIUM = _TERMINOLOGY.format(category=_TISSUE, kind="74281007^Myocardium")
SCAR = _TERMINOLOGY.format(category=_ALTERED, kind="12402003^Scar")
CORE_BY_PROBABILITY = "Scar core by probability"
UNCERTAIN_EDGE = "Scar uncertain edge"


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
    names = ("Scar core", "Scar border zone") if voxels.core is not None else (CORE_BY_PROBABILITY, UNCERTAIN_EDGE)
    unknown = voxels.wall & ~voxels.observed
    return Segmentation(
        (
            Segment("Healthy myocardium", voxels.observed & ~scar, (0.87, 0.72, 0.66), MYOCARDIUM),
            Segment(names[1], scar & ~core, (1.0, 0.62, 0.2), SCAR),
            Segment(names[0], core, (0.75, 0.05, 0.1), SCAR),
            *([Segment("Myocardium not observed", unknown, (0.5, 0.5, 0.5), MYOCARDIUM)] if unknown.any() else []),
        ),
        voxels.ijk_to_ras,
        "Scar reconstruction",
    )
