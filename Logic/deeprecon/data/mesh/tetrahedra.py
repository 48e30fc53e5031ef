"""The tetrahedra of a volume mesh; other cells are divided into some."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import VTK_TETRA
from vtkmodules.vtkFiltersGeneral import vtkDataSetTriangleFilter

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh, unstructured_grid
from deeprecon.numerics.tetrahedra import Tetrahedra

Ints = npt.NDArray[np.int64]

_CELL = "cell"
_FLAT = 1e-9
"""Volume below which a tetrahedron is none, as a share of the mean."""


def tetrahedra_of(mesh: Mesh) -> tuple[Tetrahedra, Ints]:
    """The tetrahedra of a volume mesh, on its nodes, and (M,) the number of the cell that each is of, or is a part of.

    Hexahedra, wedges and the like are divided so that neighbors fit; parts without volume are left out.

    Raises:
        InputError: the mesh is a surface, or tetrahedra have no volume.
    """
    if not mesh.is_volume:
        raise InputError(f"{mesh.name} is a surface, which has no fibers and conducts nothing.", "Give a volume mesh.")
    connectivity, offsets, types = mesh.cells()
    if (types == VTK_TETRA).all():
        corners, cells = connectivity.reshape(-1, 4), np.arange(len(types))
    else:
        grid = unstructured_grid(mesh.points, connectivity, offsets, types)
        number = numpy_to_vtk(np.arange(len(types)), deep=True)
        number.SetName(_CELL)
        grid.GetCellData().AddArray(number)
        divide = vtkDataSetTriangleFilter()
        divide.SetInputData(grid)
        divide.TetrahedraOnlyOn()
        divide.Update()
        divided = divide.GetOutput()
        corners = Mesh(divided).cells()[0].reshape(-1, 4)
        cells = vtk_to_numpy(divided.GetCellData().GetArray(_CELL)).astype(np.int64)
    place = mesh.points[corners]
    sides = place[:, 1:] - place[:, :1]
    volumes = np.abs(np.einsum("md,md->m", np.cross(sides[:, 0], sides[:, 1]), sides[:, 2]))
    flat = volumes <= _FLAT * volumes.mean()
    if flat.any() and len(cells) == len(types):
        raise InputError(f"{mesh.name} has {int(flat.sum())} tetrahedra without volume.", "Make the mesh again.")
    return Tetrahedra.of(mesh.points, corners[~flat]), cells[~flat]
