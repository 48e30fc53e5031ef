"""Region tags of the cells of a mesh, under the names that programs give them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.mesh.parts import cell_values, polygons_after

TAG = "tag"
"""The name that we give to tags."""

_USUAL = (
    r"tags?|(elem|element|cell)_?tags?|(region|material|physical)s?(_?(tag|id)s?)?|mat_?ids?|labels?|"
    r"gmsh:physical|medit:ref|cell_?entity_?ids?"
)
"""In any case: openCARP and ours (tag), meshtool (elemTag), gmsh and medit by meshio, VMTK (CellEntityIds), others."""


@dataclass(frozen=True, eq=False)
class Tags:
    """Region tags.

    Attributes:
        name: of the array at the cells.
        values: (C,) whole numbers, cells as `Mesh.cells` counts them.
        others: names of further arrays with a usual name and other values.
    """

    name: str
    values: npt.NDArray[np.int64]
    others: tuple[str, ...] = ()


def find_tags(mesh: Mesh, name: str = "") -> Tags | None:
    """The region tags of a mesh's cells.

    Args:
        mesh: any.
        name: of the array; empty looks for a usual one, in the order of the file, "tag" and names with it first.

    Returns:
        None where no array of whole numbers at the cells has a usual name.

    Raises:
        InputError: no array has the name given, or it does not hold one whole number per cell.
    """
    data = mesh.dataset.GetCellData()
    arrays = [data.GetArray(index) for index in range(data.GetNumberOfArrays())]
    named = {array.GetName(): array for array in arrays if array is not None and array.GetName()}
    if name:
        if name not in named:
            raise InputError(
                f"{mesh.name} has no array {name!r} at its cells.",
                f"It has: {', '.join(named) or 'none'}. Choose one of them with --tag-array.",
            )
        if (values := _whole_numbers(mesh, named[name])) is None:
            raise InputError(
                f"The array {name!r} of {mesh.name} does not hold one whole number per cell.",
                "Choose another one with --tag-array.",
            )
        return Tags(name, values)
    usual = sorted((each for each in named if re.fullmatch(_USUAL, each, re.IGNORECASE)), key=_lacks_tag)
    found = {each: values for each in usual if (values := _whole_numbers(mesh, named[each])) is not None}
    if not found:
        return None
    first, *others = found
    differing = tuple(each for each in others if not np.array_equal(found[each], found[first]))
    return Tags(first, found[first], differing)


def with_tags(mesh: Mesh, values: npt.NDArray[np.int64], name: str = TAG) -> Mesh:
    """The mesh with (C,) tags, cells as `Mesh.cells` counts them, in an array at its cells that replaces one so named.

    Vertices and lines of a surface get 0.
    """
    dataset = mesh.dataset.NewInstance()
    dataset.ShallowCopy(mesh.dataset)
    array = np.zeros(mesh.n_cells, np.int32)
    array[polygons_after(mesh) :][: len(values)] = values
    tags = numpy_to_vtk(array, deep=True)
    tags.SetName(name)
    dataset.GetCellData().AddArray(tags)
    return Mesh(dataset, mesh.name)


def _lacks_tag(name: str) -> bool:
    return "tag" not in name.lower()


def _whole_numbers(mesh: Mesh, array: Any) -> npt.NDArray[np.int64] | None:
    """(C,) values of an array at the cells, None where they are not one whole number each."""
    if array.GetNumberOfComponents() != 1:
        return None
    values = cell_values(mesh, array)
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.rint(values))).all():
        return None
    return values.astype(np.int64)
