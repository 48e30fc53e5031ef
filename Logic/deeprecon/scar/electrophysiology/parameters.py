"""Inputs and settings of `scar simulation-mesh`, `scar fibers` and `scar activation`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from deeprecon.jobs.parameters import Parameters, Range
from deeprecon.scar.parameters import Frame, ReportValues, Unit


@dataclass(frozen=True)
class MeshingInputs:
    """The wall: a closed surface, or drawn in slices."""

    surface: Annotated[Path | None, "closed surface of the wall (VTK, VTP, PLY, STL), or a volume mesh of it"] = None
    myocardium: Annotated[Path | None, "segmentation, mask or label map of the wall in slices, in place of that"] = None


@dataclass(frozen=True)
class MeshingParameters(Parameters):
    """Settings of `scar simulation-mesh`."""

    edge: Annotated[float, Range(0.3, 5, "mm"), "mean edge of the tetrahedra"] = 1.0
    slice_thickness: Annotated[
        float | None,
        Range(0.1, 50, "mm"),
        "thickness of the slabs; left out, that of the file, else the spacing",
    ] = None
    labels: Annotated[tuple[str, ...], "label values or segment names by role, such as myocardium=2"] = ()
    mesh_unit: Annotated[Unit, "length unit of the surface's file; auto: that of its format, else mm"] = Unit.AUTO
    mesh_frame: Annotated[Frame, "patient axes of the surface's file; auto: as the file states, else RAS"] = Frame.AUTO


@dataclass(frozen=True)
class VentriclesInputs:
    """A volume mesh of the ventricles' wall."""

    mesh: Annotated[Path, "result of scar reconstruct, or another volume mesh of the wall (VTK, VTU, .pts)"]
    landmarks: Annotated[
        Path | None,
        "markups (.mrk.json, .fcsv) with points named apex and base, and anterior and inferior insertion; left out, "
        "these are found on the surface of the wall",
    ] = None


@dataclass(frozen=True)
class _VentriclesParameters(Parameters):
    """Settings about the mesh, and the rule of fibers."""

    mesh_unit: Annotated[Unit, "length unit of the mesh file; auto: that of its run or format, else mm"] = Unit.AUTO
    mesh_frame: Annotated[Frame, "patient axes of the mesh file; auto: as the file or its run states, else RAS"] = (
        Frame.AUTO
    )
    tag_array: Annotated[
        str, "array of region tags at the mesh's cells; left out, that of the run, or one of a usual name"
    ] = ""
    mesh_region: Annotated[
        tuple[int, ...], "region tags of the wall in a mesh that holds more; left out, those of the run, or all"
    ] = ()
    endo: Annotated[
        float, Range(-90, 90, "degrees"), "angle of the fibers at the endocardium to the circumferential direction"
    ] = 60.0
    epi: Annotated[float, Range(-90, 90, "degrees"), "the same at the epicardium"] = -60.0
    sheet_endo: Annotated[
        float, Range(-90, 90, "degrees"), "angle of the sheets at the endocardium to the direction through the wall"
    ] = -65.0
    sheet_epi: Annotated[float, Range(-90, 90, "degrees"), "the same at the epicardium"] = 25.0


@dataclass(frozen=True)
class FibersParameters(_VentriclesParameters):
    """Settings of `scar fibers`."""

    replace: Annotated[bool, "fibers by rule in place of those that the mesh has"] = False


@dataclass(frozen=True)
class ActivationInputs(VentriclesInputs):
    """A volume mesh of the ventricles' wall, and channels to read activation in."""

    channels: Annotated[
        Path | None, "paths of channels (channels.vtp of scar reconstruct); left out, those beside the mesh"
    ] = None


@dataclass(frozen=True)
class ActivationParameters(_VentriclesParameters):
    """Settings of `scar activation`."""

    site: Annotated[
        tuple[float, ...],
        "where activation starts, R A S in mm; left out, at the endocardium of each of the 17 segments in turn",
    ] = ()
    along: Annotated[float, Range(0.01, 5, "m/s"), "speed of conduction along the fibers"] = 0.6
    across: Annotated[float, Range(0.01, 5, "m/s"), "speed of conduction across the fibers"] = 0.3
    border: Annotated[float, Range(0.01, 1), "speed in the border zone, as a share of that in healthy tissue"] = 0.5
    late: Annotated[float, Range(0.1, 1000, "ms"), "delay by the scar above which tissue counts as late"] = 20.0
    duration: Annotated[float, Range(50, 1000, "ms"), "of the action potential, for the vulnerability index"] = 250.0
    radius: Annotated[float, Range(1, 50, "mm"), "of the search of the vulnerability index"] = 8.0
    report_values: Annotated[ReportValues, "which values scar and core are made of"] = ReportValues.ESTIMATE
    cutoff: Annotated[float, Range(0.01, 0.99), "probability above which an element is scar, and core"] = 0.5

    def validate(self) -> list[str]:
        reasons = super().validate()
        if len(self.site) not in (0, 3):
            reasons.append("a site is three numbers, R A S in mm")
        if self.across > self.along:
            reasons.append("the speed across the fibers exceeds that along them")
        return reasons
