"""Coordinates of the ventricles' wall and fibers by rule."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.markups import read_markups
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Inside, Mesh
from deeprecon.data.mesh.opencarp import FIBER, SHEET
from deeprecon.data.mesh.parts import cell_values, with_cell_arrays
from deeprecon.data.mesh.tetrahedra import tetrahedra_of
from deeprecon.jobs.run import Outcome, Run
from deeprecon.numerics.tetrahedra import Tetrahedra
from deeprecon.scar.anatomy.axes import Axes, axes_from_landmarks
from deeprecon.scar.anatomy.fiber_rule import FiberAngles, rule_based_fibers
from deeprecon.scar.anatomy.long_axis import long_axis
from deeprecon.scar.anatomy.surfaces import Surface, find_surfaces
from deeprecon.scar.anatomy.ventricular_coordinates import VentricularCoordinates, ventricular_coordinates
from deeprecon.scar.electrophysiology.parameters import FibersParameters, VentriclesInputs
from deeprecon.scar.read.mesh import HeartMesh
from deeprecon.scar.read.result import read_ventricles
from deeprecon.scar.write.mesh import companion_files, placement

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def fibers(inputs: VentriclesInputs, parameters: FibersParameters, run: Run) -> Outcome:
    """Coordinates of the ventricles' wall at the nodes of a mesh, and fibers and sheets by rule in its elements.

    Coordinates are Laplace's solutions (`ventricular_coordinates`), fibers and sheets follow them
    (`rule_based_fibers`). Nodes that are not wall have NaN as coordinates, elements that are not wall no fibers (0).

    Raises:
        InputError: the mesh is no volume mesh of one ventricle or both with an open base, or the landmarks do not fit.
    """
    run.reporter.status("Reading the mesh")
    heart = read_ventricles(
        inputs.mesh, parameters.mesh_unit, parameters.mesh_frame, parameters.tag_array, parameters.mesh_region
    )
    run.consider(heart.doubts)
    tetrahedra, cells = tetrahedra_of(heart.mesh)
    coordinates = find_coordinates(heart, tetrahedra, inputs.landmarks, run)
    spread = {name: heart.part.spread(values, np.nan) for name, values in coordinates.arrays.items()}
    mesh = heart.whole.with_point_arrays(spread)
    own = own_fibers(heart)
    if own is not None and not parameters.replace:
        text, way_out = "Its elements have fibers, which are kept.", "Fibers by rule: --replace."
        run.consider([Doubt("mesh-has-fibers", inputs.mesh.name, text, way_out, assumed=True)])
    else:
        run.reporter.status("Fibers by rule")
        angles = FiberAngles(parameters.endo, parameters.epi, parameters.sheet_endo, parameters.sheet_epi)
        made = of_cells(heart, tetrahedra, cells, *rule_based_fibers(coordinates, angles))
        mesh = with_cell_arrays(mesh, dict(zip((FIBER, SHEET), made, strict=True)))
    outputs = write_ventricles(heart, mesh, run.output)
    surfaces = coordinates.surfaces
    figures = {
        "nodes": heart.mesh.n_points,
        "elements": heart.mesh.n_cells,
        "ventricles": 2 if surfaces.biventricular else 1,
        "apex_to_base_mm": round(coordinates.axes.length, 1),
        **{f"{part.name.lower()}_cm2": round(surfaces.area(part) / 100, 1) for part in Surface if surfaces.area(part)},
    }
    return Outcome(outputs, figures | placement(heart))


def find_coordinates(
    heart: HeartMesh, tetrahedra: Tetrahedra, landmarks: Path | None, run: Run
) -> VentricularCoordinates:
    """The coordinates of a mesh's wall; says what they are counted from where that is not known.

    Raises:
        InputError: as `find_surfaces` and `axes_from_landmarks`; the landmarks lie beside the mesh.
    """
    run.reporter.status("Finding base, endocardium and epicardium")
    name = heart.whole.name
    axes = None if landmarks is None else _axes_beside(heart, landmarks)
    direction = _direction(heart.mesh) if axes is None else axes.direction
    surfaces = find_surfaces(tetrahedra, direction, name)
    run.reporter.status("Solving Laplace's equation")
    try:
        found = ventricular_coordinates(tetrahedra, surfaces, axes)
    except ArithmeticError as error:
        raise InputError(f"{name}: {error}.", "Make a mesh of better elements.") from error
    if found.axes.septum is None:
        run.reporter.warning(
            "Where the right ventricle meets the left one is not known: the rotational coordinate counts from the "
            "patient's right. Give --landmarks with both insertions to have it count from the septum."
        )
    return found


def _axes_beside(heart: HeartMesh, landmarks: Path) -> Axes:
    axes = axes_from_landmarks(read_markups(landmarks))
    far = float(np.linalg.norm(heart.mesh.points - axes.apex, axis=1).min())
    if far > axes.length / 2:
        raise InputError(
            f"{landmarks.name}: the apex lies {far:.0f} mm beside {heart.whole.name}.",
            "Check that both are of the same heart, and the unit and axes of the mesh.",
        )
    return axes


def _direction(mesh: Mesh) -> Floats:
    """(3,) along the long axis."""
    found = long_axis(Inside(mesh), mesh.points, np.zeros((0, 3)))
    if found is None:
        raise InputError(
            f"{mesh.name} encloses no cavity, so that it has no long axis.",
            "Give a mesh of the ventricles' wall, or --landmarks with apex and base.",
        )
    return found


def own_fibers(heart: HeartMesh) -> Floats | None:
    """(C, 3) fibers that the elements of the wall have; None where they have none."""
    data = heart.whole.dataset.GetCellData()
    for index in range(data.GetNumberOfArrays()):
        array = data.GetArray(index)
        if array is None or not re.fullmatch(r"fib(er|re)s?", array.GetName() or "", re.IGNORECASE):
            continue
        if array.GetNumberOfComponents() == 3 and (values := cell_values(heart.whole, array)[heart.part.cells]).any():
            length = np.linalg.norm(values, axis=1)[:, None]
            unit: Floats = np.divide(values, length, out=np.zeros(values.shape), where=length > 0)
            return unit
    return None


def of_cells(heart: HeartMesh, tetrahedra: Tetrahedra, cells: Ints, fiber: Floats, sheet: Floats) -> list[Floats]:
    """(C, 3) fibers and sheets of all elements of a file from (M, 3) of the tetrahedra; 0 where there is no wall.

    Those of an element are the means over its tetrahedra by volume, axes without a sign.
    """
    found: list[Floats] = []
    for axes in (fiber, sheet):
        weighted = axes * tetrahedra.volumes[:, None]
        first = np.unique(cells, return_index=True)[1]
        leading = np.zeros((heart.mesh.n_cells, 3))
        leading[cells[first]] = axes[first]
        weighted *= np.where(np.einsum("md,md->m", axes, leading[cells]) < 0, -1, 1)[:, None]
        mean = np.stack([np.bincount(cells, column, len(leading)) for column in weighted.T], axis=1)
        if found:
            mean -= np.einsum("cd,cd->c", mean, found[0])[:, None] * found[0]
        length = np.linalg.norm(mean, axis=1)[:, None]
        found.append(np.divide(mean, length, out=np.zeros_like(mean), where=length > 0))
    whole = np.zeros((len(found), len(heart.whole.cells()[2]), 3))
    whole[:, heart.part.cells] = found
    return list(whole)


def write_ventricles(heart: HeartMesh, mesh: Mesh, folder: Path) -> dict[str, Path]:
    """Write the mesh of a file, with arrays, in its unit, axes and format; returns where its files lie, by role."""
    path = folder / f"mesh{heart.suffix}"
    write_mesh(path, mesh, heart.unit.value, heart.frame.value)
    return {"mesh": path} | companion_files(path)
