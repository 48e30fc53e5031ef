"""The interface between scar and healthy wall."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkContourFilter
from vtkmodules.vtkFiltersVerdict import vtkCellSizeFilter

from deeprecon.data.mesh.mesh import Mesh

Floats = npt.NDArray[np.floating]


def isosurface(mesh: Mesh, field: Floats, value: float = 0.5) -> vtkPolyData:
    """Triangles (lines on a surface mesh) on which a (N,) node field has a value, RAS mm."""
    dataset = mesh.dataset.NewInstance()
    dataset.CopyStructure(mesh.dataset)
    dataset.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(field, dtype=np.float64), deep=True))
    contour = vtkContourFilter()
    contour.SetInputData(dataset)
    contour.SetValue(0, value)
    contour.ComputeNormalsOff()
    contour.Update()
    surface: vtkPolyData = contour.GetOutput()
    return surface


def piece_sizes(pieces: vtkPolyData) -> npt.NDArray[np.float64]:
    """(P,) area of each triangle in mm2, or length of each line in mm."""
    measure = vtkCellSizeFilter()
    measure.SetInputData(pieces)
    measure.Update()
    data = measure.GetOutput().GetCellData()
    lengths, areas = (vtk_to_numpy(data.GetArray(name)).astype(np.float64) for name in ("Length", "Area"))
    sizes: npt.NDArray[np.float64] = lengths + areas  # of which one is 0
    return sizes


def interface_area(mesh: Mesh, probability: Floats, cutoff: float = 0.5) -> float:
    """Area in cm2 of the border between scar and healthy wall.

    The border ends where the wall ends: the endocardial and epicardial sides of a scar are no part of it. It is large
    for a scar that is interwoven with healthy wall, and is associated with arrhythmic events in dilated cardiomyopathy
    (Balaban 2021, doi 10.1016/j.jacep.2020.08.036).

    Args:
        mesh: wall with volume elements, RAS mm.
        probability: (N,) of scar.
        cutoff: probability above which a node is scar.
    """
    return float(piece_sizes(isosurface(mesh, probability, cutoff)).sum()) / 100
