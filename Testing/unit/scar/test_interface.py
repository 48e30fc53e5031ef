from __future__ import annotations

import numpy as np
import pytest
from vtkmodules.vtkFiltersSources import vtkPlaneSource

from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.mesh.voxels import voxel_mesh
from deeprecon.data.volume import Volume
from deeprecon.scar.measure.interface import interface_area, isosurface
from deeprecon.scar.measure.metrics import entropy


def block(spacing: float = 1.0) -> Mesh:
    """A cube of 40 mm around the origin."""
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    count = round(40 / spacing)
    matrix[:3, 3] = -20 + spacing / 2
    return voxel_mesh(Volume(np.ones((count,) * 3, dtype=np.uint8), matrix), spacing)


def test_a_ball_of_scar_has_the_area_of_its_sphere() -> None:
    mesh = block()
    radius = np.linalg.norm(mesh.points, axis=1)
    area = interface_area(mesh, np.clip((17 - radius) / 10, 0, 1), cutoff=0.5)
    assert area == pytest.approx(4 * np.pi * 12**2 / 100, rel=0.01)
    assert interface_area(mesh, np.clip((17 - radius) / 10, 0, 1), cutoff=0.2) == pytest.approx(
        4 * np.pi * 15**2 / 100, rel=0.01
    )


def test_sides_of_the_wall_are_no_border() -> None:
    mesh = block(2.0)
    x, y, _ = mesh.points.T
    assert interface_area(mesh, 0.5 + (x - 4.5) / 100) == pytest.approx(16.0)
    channel = np.clip(0.5 + (np.abs(y) - 5) / 100, 0, 1)  # a slab of living wall between two scars
    assert interface_area(mesh, channel) == pytest.approx(32.0)


def test_without_scar_or_without_healthy_wall_there_is_no_border() -> None:
    mesh = block(4.0)
    assert interface_area(mesh, np.zeros(mesh.n_points)) == 0
    assert interface_area(mesh, np.ones(mesh.n_points)) == 0


def test_the_border_on_a_surface_is_lines() -> None:
    source = vtkPlaneSource()
    source.SetResolution(20, 20)
    source.Update()
    mesh = Mesh(source.GetOutput(), "plane")
    lines = isosurface(mesh, mesh.points[:, 0] + 0.5, 0.3)
    assert lines.GetNumberOfLines() == lines.GetNumberOfCells() > 0


def test_entropy_is_one_bit_at_one_half_and_zero_at_0_and_1() -> None:
    bits = entropy(np.array([0.0, 1.0, 0.5, 0.11, 0.89, 1e-320]))
    assert bits[:3].tolist() == [0, 0, 1]
    assert not np.signbit(bits).any()
    assert bits[3:5] == pytest.approx([0.4999, 0.4999], abs=2e-4)  # 0.11 is known for half a bit
    assert np.isfinite(bits).all()
    assert entropy(np.array([0, 1], dtype=np.float32)).tolist() == [0, 0]
