"""The report page of a reconstruction, and its pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkFiltersCore import vtkTriangleFilter

from deeprecon.data.mesh.mesh import Mesh, surface
from deeprecon.reporting.bullseye import bullseye
from deeprecon.reporting.figures import curves, histogram, montage, surface_views, views_along
from deeprecon.reporting.html import Report
from deeprecon.scar.measure.burden import NOT_GIVEN
from deeprecon.scar.measure.channels import channel_rows
from deeprecon.scar.observe.alignment.rows import motion_rows
from deeprecon.scar.observe.mixture.intensities import FittedIntensities
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import VALUE_ARRAYS, ReportValues
from deeprecon.scar.write.finished import Finished
from deeprecon.scar.write.slice_pictures import alignment_pictures, slice_pictures

FloatArray = npt.NDArray[np.floating[Any]]

_VALUES = {
    ReportValues.ESTIMATE: "Tables, pictures and the segmentation show the estimate, scar_probability.",
    ReportValues.AGREED: "Tables, pictures and the segmentation show the values that were made to agree with the "
    "pixels, scar_probability_agreed; the spread is that of the estimate, scar_probability.",
}


def write_report(path: Path, done: Finished) -> list[Path]:
    """Write the page and its pictures as PNG files in the same folder; returns the pictures' paths."""
    found = done.found
    report = Report("Scar reconstruction", _summary(found.burden))
    pictures: list[Path] = []

    def add(name: str, png: bytes, caption: str) -> None:
        file = path.with_name(f"{name}.png")
        file.write_bytes(png)
        pictures.append(file)
        report.picture(png, caption)

    for warning in done.warnings:
        report.warning(warning)
    report.heading("Burden")
    report.text(_VALUES[done.parameters.report_values])
    report.table(found.burden)
    report.heading("Scar in three dimensions")
    picture = _surface(found.mesh, done.slices.stacks[0])
    add("mesh", picture(VALUE_ARRAYS[done.parameters.report_values]), "Scar probability on the surface of the mesh.")
    add("uncertainty", picture("scar_uncertainty"), "Uncertainty on the surface of the mesh.")
    if segments := found.wall.segments:
        report.heading("Segments of the left ventricle")
        shares = [float(row["scar_percent"]) for row in segments]
        add("bullseye", bullseye(shares, "scar, % of the segment", 100.0), "Scar in the 17 segments of the AHA.")
        report.table(segments)
    if found.wall.transmurality:
        report.heading("Transmurality")
        report.table(found.wall.transmurality)
    if found.channels:
        report.heading("Candidate conduction channels")
        report.table(channel_rows(found.channels))
    if any(stack.mixture for stack in done.slices.stacks):
        report.heading("Intensities")
        for number, stack in enumerate(done.slices.stacks, 1):
            if stack.mixture is not None:
                add(f"intensities_{number}", _intensities(stack.mixture), _mixture_caption(stack))
    report.heading("Slices")
    add("slices", montage(slice_pictures(done)), "The slices with the wall, the observed and the reconstructed scar.")
    positions = " R", " A", " S"  # the position of each slice is in slices.csv; it would make the page too wide
    report.table([{name: row[name] for name in row if not name.endswith(positions)} for row in found.slices])
    _add_motion(report, add, done)
    if found.history.get("step"):
        report.heading("Training")
        steps = [int(step) for step in found.history["step"]]
        series = {name: values for name, values in found.history.items() if name != "step"}
        add("curves", curves(series, steps, "loss"), "Training and held-out pixels.")
    if regions := done.case.regions:
        report.heading("Regions")
        report.table(list(regions))
    report.heading("Settings")
    report.details("Everything needed to run this again", json.dumps(done.settings, indent=2, ensure_ascii=False))
    report.write(path)
    return pictures


def _add_motion(report: Report, add: Callable[[str, bytes, str], None], done: Finished) -> None:
    """How the slices were moved, where they were aligned."""
    if not (rows := motion_rows(done.slices.stacks)):
        return
    report.heading("Motion of the slices")
    if pictures := alignment_pictures(done):
        add("alignment", montage(pictures), "The slices that were moved, with the wall of the mesh before and after.")
    else:
        report.text("No slice was moved: nothing shows beyond doubt that one lay elsewhere.")
    report.table(rows)


def _intensities(found: FittedIntensities) -> bytes:
    return histogram(found.edges, found.counts, found.tissues, found.levels, "intensity")


def _mixture_caption(stack: Stack) -> str:
    """The levels of a stack in one sentence."""
    found = stack.mixture
    assert found is not None
    levels = ", ".join(f"{name} {level:.4g}" for name, level in found.levels.items())
    kind = "Rician, as in a magnitude image" if found.magnitude else "Gaussian"
    return (
        f"{stack.name}: intensities of the wall and the mixture that was fitted to them ({levels}; noise "
        f"{found.noise:.3g}, {kind})."
    )


def _summary(burden: Sequence[Mapping[str, Any]]) -> str:
    """The result in one sentence."""
    scar = burden[1]
    if NOT_GIVEN in scar.values():
        return "Volume, mass and percentage of scar are not given: all slices are long-axis slices."
    if "volume_ml" in scar:
        return (
            f"{scar['volume_ml']:.1f} ml of scar (spread of the ensemble {scar['low_ml']:.1f} to "
            f"{scar['high_ml']:.1f} ml), {scar['percent_of_wall']:.1f} % of the wall."
        )
    return f"{scar['area_cm2']:.1f} cm² of scar, {scar['percent_of_wall']:.1f} % of the surface."


def _surface(mesh: Mesh, stack: Stack) -> Callable[[str], bytes]:
    """A function that draws the mesh's surface as a PNG, colored by the array at its nodes that is named."""
    triangles = vtkTriangleFilter()
    triangles.SetInputData(surface(mesh))
    triangles.PassVertsOff()
    triangles.PassLinesOff()
    triangles.Update()
    output = triangles.GetOutput()
    points = vtk_to_numpy(output.GetPoints().GetData()).astype(np.float64)
    corners = vtk_to_numpy(output.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    # The heart's base lies above its apex in every patient, so the end of the axis that points up is the base.
    axis = np.cross(stack.ijk_to_ras[:3, 0], stack.ijk_to_ras[:3, 1])
    views = views_along(axis if axis[2] >= 0 else -axis)

    def picture(array: str) -> bytes:
        values = vtk_to_numpy(output.GetPointData().GetArray(array))
        return surface_views(points, corners, values, views, array.replace("_", " "))

    return picture
