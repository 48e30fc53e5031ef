"""A small result folder, as a job leaves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import VTK_TETRA, vtkUnstructuredGrid

from deeprecon.data.files import sha256, write_json
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume


def tetrahedra(offset: float = 0.0) -> Mesh:
    """Two tetrahedra that share a face, with values at the nodes and cells."""
    points = vtkPoints()
    points.SetDataTypeToDouble()
    for point in ((0, 0, 0), (20, 0, 0), (0, 30, 0), (0, 0, 40), (20, 30, 40)):
        points.InsertNextPoint(*(value + offset for value in point))
    grid = vtkUnstructuredGrid()
    grid.SetPoints(points)
    grid.InsertNextCell(VTK_TETRA, 4, (0, 1, 2, 3))
    grid.InsertNextCell(VTK_TETRA, 4, (1, 2, 3, 4))
    for data, name, values in (
        (grid.GetPointData(), "scar_probability", (0.0, 0.25, 0.5, 0.75, 1.0)),
        (grid.GetPointData(), "scar_uncertainty", (0.5, 0.4, 0.3, 0.2, 0.1)),
        (grid.GetCellData(), "tag", (1.0, 2.0)),
    ):
        array = numpy_to_vtk(np.array(values, np.float32), deep=True)
        array.SetName(name)
        data.AddArray(array)
    return Mesh(grid, "tetrahedra")


RESULT: dict[str, Any] = {
    "format": 1,
    "metrics": {"dice": 0.93, "text": 'quotes " and ; : = % signs, ä 心'},
    "provenance": {
        "method": "scar",
        "verb": "reconstruct",
        "date": "2026-01-02T03:04:05+00:00",
        "device": "cpu",
        "seed": 7,
        "parameters": {"method": "field", "steps": 100, "labels": ["scar=3,4"], "slice_thickness": None},
        "inputs": {"lge.nrrd": "0" * 64},
    },
}


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Path]:
    """Writes a result folder; `leave_out` names roles that this run does not have."""

    def make(name: str = "result", offset: float = 0.0, leave_out: tuple[str, ...] = ()) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        mask = np.zeros((3, 4, 5), bool)
        mask[1] = True
        write_mesh(folder / "mesh.vtu", tetrahedra(offset), "mm", "lps")
        segments = (Segment("Scar", mask, (1, 0, 0)),)
        write_segmentation(folder / "segmentation.seg.nrrd", Segmentation(segments, np.eye(4)))
        write_volume(folder / "image.nii.gz", Volume(np.full((3, 4, 5), offset, np.float32), np.diag([2.0, 3, 4, 1])))
        write_table(folder / "table.csv", [{"region": "scar", "ml": 1.5}, {"region": "core", "ml": 0.5}])
        (folder / "report.html").write_text("<p>report</p>", encoding="utf-8")
        (folder / "model").mkdir()
        (folder / "model" / "weights.safetensors").write_bytes(b"weights")
        files = {
            "mesh": "mesh.vtu",
            "segmentation": "segmentation.seg.nrrd",
            "image": "image.nii.gz",
            "table": "table.csv",
            "report": "report.html",
        }
        outputs: dict[str, Any] = {
            role: {"path": file, "sha256": sha256(folder / file)}
            for role, file in files.items()
            if role not in leave_out
        }
        weights = {"weights.safetensors": sha256(folder / "model" / "weights.safetensors")}
        outputs["model"] = {"path": "model", "files": weights}
        write_json(folder / "result.json", {**RESULT, "outputs": outputs})
        return folder

    return make
