"""Inputs and settings of the scar methods, as the command line, the panel and the documentation see them."""
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

from deeprecon.jobs.parameters import Range, check_ranges


class Method(Enum):
    """How scar is carried from the slices to the nodes."""

    FIELD = "field"
    INTERPOLATION = "interpolation"


class Interpolation(Enum):
    """The classical interpolations between slices."""

    NEAREST = "nearest"
    LINEAR = "linear"
    SIGNED_DISTANCE = "signed-distance"
    LOG_ODDS = "log-odds"


class Observation(Enum):
    """What a pixel says: the share of its wall that is scar, or that share rounded to 0 or 1."""

    SOFT = "soft"
    BINARY = "binary"


class Unit(Enum):
    """Length unit of a mesh file."""

    AUTO = "auto"
    MM = "mm"
    CM = "cm"
    M = "m"
    UM = "um"


class Frame(Enum):
    """Patient axes of a mesh file."""

    AUTO = "auto"
    RAS = "ras"
    LPS = "lps"


@dataclass(frozen=True)
class ReconstructInputs:
    """Files of one patient. `scar`, `lge`, `myocardium` and `remote` take one file per stack, in the same order."""

    mesh: Annotated[Path | None, "heart mesh: VTK, VTU, VTP, PLY, STL or openCARP .pts; made from the wall if left out"] = None
    scar: Annotated[tuple[Path, ...], "scar: label or fraction volume, segmentation or DICOM folder"] = ()
    lge: Annotated[tuple[Path, ...], "LGE volume, read by --threshold instead of --scar"] = ()
    myocardium: Annotated[tuple[Path, ...], "myocardium: label or fraction volume, or segmentation"] = ()
    remote: Annotated[tuple[Path, ...], "healthy region for --threshold nsd; the whole wall's lower half if left out"] = ()


@dataclass(frozen=True)
class ReconstructParameters:
    """Settings of `scar reconstruct`."""

    method: Annotated[Method, "how scar is carried between the slices"] = Method.FIELD
    interpolation: Annotated[Interpolation, "which one, for --method interpolation"] = Interpolation.LINEAR
    observation: Annotated[Observation, "keep partial pixels, or round them to 0 or 1"] = Observation.SOFT
    threshold: Annotated[str, "scar from intensities: nsd:N, fwhm, max:PERCENT or otsu"] = "nsd:5"
    labels: Annotated[
        tuple[str, ...],
        "label values or segment names, such as scar=3,4 myocardium=2; well-known names are found without it",
    ] = ()
    slice_thickness: Annotated[
        float | None, Range(0.1, 30, "mm"), "thickness of the imaged slab; DICOM states it, else the slice spacing is taken"
    ] = None
    node_spacing: Annotated[float, Range(0.3, 10, "mm"), "element size of the mesh made when none is given"] = 1.5
    mesh_unit: Annotated[Unit, "length unit of the mesh file; auto takes the only one that fits the wall"] = Unit.AUTO
    mesh_frame: Annotated[Frame, "patient axes of the mesh file; auto takes the only ones that fit the wall"] = Frame.AUTO
    steps: Annotated[int, Range(0, 1_000_000), "training steps of the field; 0 lets the budget decide"] = 0
    budget: Annotated[float, Range(1, 36_000, "s"), "training time of the field on this machine, turned into steps"] = 60.0
    cutoff: Annotated[float, Range(0.01, 0.99), "probability above which a node counts as scar"] = 0.5
    core_cutoff: Annotated[float, Range(0.01, 1.0), "probability above which scar counts as core, else border zone"] = 0.75
    density: Annotated[float, Range(0.9, 1.2, "g/ml"), "density of myocardium, for the mass"] = 1.05

    def validate(self) -> list[str]:
        """Reasons why these settings cannot be used, in words; empty when they can."""
        reasons = check_ranges(self)
        if self.core_cutoff < self.cutoff:
            reasons.append("core_cutoff must not lie below cutoff: the core is a part of the scar")
        return reasons
