"""The page that a reconstruction leaves behind, and its pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkFiltersCore import vtkTriangleFilter

from deeprecon.data.mesh.mesh import Mesh, surface
from deeprecon.reporting.bullseye import bullseye
from deeprecon.reporting.figures import Slice, curves, montage, surface_views, views_along
from deeprecon.reporting.html import Report
from deeprecon.scar.read.case import Case

FloatArray = npt.NDArray[np.floating[Any]]

MONTAGE_SLICES = 10
MARGIN = 6  # pixels left around the wall in the slice pictures


@dataclass(frozen=True, eq=False)
class Result:
    """What a reconstruction found.

    Attributes:
        mesh: with `scar_probability` and `scar_uncertainty` at its nodes.
        slice_probability: per stack (k, j, i) float32, reconstructed probability at the pixel centers, 0 off the wall.
        burden: rows of table.csv.
        slices: rows about each slice.
        history: curve name -> values, with the steps under "step"; empty for methods that do not train.
        tables: rows of aha.csv, transmurality.csv and channels.csv by name; empty where there are none.
        settings: everything needed to run it again.
        warnings: what the user should know.
    """

    mesh: Mesh
    slice_probability: tuple[npt.NDArray[np.float32], ...]
    burden: Sequence[Mapping[str, Any]]
    slices: Sequence[Mapping[str, Any]]
    history: Mapping[str, Sequence[float]]
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    settings: Mapping[str, Any]
    warnings: Sequence[str]


def write_report(path: Path, case: Case, result: Result, lead: str) -> list[Path]:
    """Write the page and, beside it, its pictures as PNG files; returns the pictures' paths."""
    report = Report("Scar reconstruction", lead)
    pictures: list[Path] = []

    def add(name: str, png: bytes, caption: str) -> None:
        file = path.with_name(f"{name}.png")
        file.write_bytes(png)
        pictures.append(file)
        report.picture(png, caption)

    for warning in result.warnings:
        report.warning(warning)
    report.heading("Burden")
    report.table(result.burden)
    report.heading("Scar in three dimensions")
    picture = _surface(case, result.mesh)
    add("mesh", picture("scar_probability"), "Scar probability on the surface of the mesh.")
    add("uncertainty", picture("scar_uncertainty"), "Uncertainty on the surface of the mesh.")
    if segments := result.tables["aha"]:
        report.heading("Segments of the left ventricle")
        shares = [float(row["scar_percent"]) for row in segments]
        add("bullseye", bullseye(shares, "scar, % of the segment", 100.0), "Scar in the 17 segments of the AHA.")
        report.table(segments)
    if result.tables["transmurality"]:
        report.heading("Transmurality")
        report.table(result.tables["transmurality"])
    if result.tables["channels"]:
        report.heading("Candidate conduction channels")
        report.table(result.tables["channels"])
    report.heading("Slices")
    add("slices", montage(_slices(case, result)), "The slices with the wall, the observed and the reconstructed scar.")
    places = " R", " A", " S"  # where each slice lies is in slices.csv; it would make the page too wide
    report.table([{name: row[name] for name in row if not name.endswith(places)} for row in result.slices])
    if result.history.get("step"):
        report.heading("Training")
        steps = [int(step) for step in result.history["step"]]
        series = {name: values for name, values in result.history.items() if name != "step"}
        add("curves", curves(series, steps, "loss"), "Training and held-out pixels.")
    report.heading("Settings")
    report.details("Everything needed to run this again", json.dumps(result.settings, indent=2, ensure_ascii=False))
    report.write(path)
    return pictures


def _surface(case: Case, mesh: Mesh) -> Callable[[str], bytes]:
    """Draws the mesh's surface as a PNG, colored by the array at its nodes that is named."""
    triangles = vtkTriangleFilter()
    triangles.SetInputData(surface(mesh))
    triangles.PassVertsOff()
    triangles.PassLinesOff()
    triangles.Update()
    output = triangles.GetOutput()
    points = vtk_to_numpy(output.GetPoints().GetData()).astype(np.float64)
    corners = vtk_to_numpy(output.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    # The heart's base lies above its apex in every patient, so the end of the axis that points up is the base.
    axis = np.cross(case.stacks[0].ijk_to_ras[:3, 0], case.stacks[0].ijk_to_ras[:3, 1])
    views = views_along(axis if axis[2] >= 0 else -axis)

    def picture(array: str) -> bytes:
        values = vtk_to_numpy(output.GetPointData().GetArray(array))
        return surface_views(points, corners, values, views, array.replace("_", " "))

    return picture


def _slices(case: Case, result: Result) -> list[Slice]:
    """The slices that show wall, at most MONTAGE_SLICES spread evenly, cropped to the heart."""
    slices = []
    for stack, image, probability in zip(case.stacks, case.lge, result.slice_probability, strict=True):
        crop = tuple(_around(np.nonzero((stack.wall > 0).any(axis=axes))[0]) for axes in ((0, 2), (0, 1)))
        gray = stack.wall * 0.3 if image is None else np.asarray(image.array, np.float32)
        spacing = np.linalg.norm(stack.ijk_to_ras[:3, :3], axis=0)
        for k in np.nonzero((stack.wall > 0).any(axis=(1, 2)))[0]:
            outlines = {
                "myocardium": stack.wall[k][crop],
                "observed scar": (stack.scar[k] * (stack.wall[k] > 0))[crop],
                "reconstructed scar": probability[k][crop],
            }
            slices.append(Slice(f"slice {k + 1}", gray[k][crop], outlines, float(spacing[1] / spacing[0])))
    chosen = np.unique(np.linspace(0, len(slices) - 1, min(MONTAGE_SLICES, len(slices))).round().astype(int))
    return [slices[index] for index in chosen]


def _around(indices: npt.NDArray[np.integer[Any]]) -> slice:
    return slice(max(int(indices[0]) - MARGIN, 0), int(indices[-1]) + MARGIN + 1)
