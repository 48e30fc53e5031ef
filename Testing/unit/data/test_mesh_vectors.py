"""Vectors turn with the points of their mesh, there and back."""

from __future__ import annotations

import numpy as np
import pytest
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from deeprecon.data.mesh.files import place, read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.mesh.vectors import turn_vectors

from .meshes import box, sphere_shell
from .orientations import rotation

SIGNS = {"ras": np.array([1.0, 1, 1]), "lps": np.array([-1.0, -1, 1])}


def add(data, name, values):
    array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
    array.SetName(name)
    data.AddArray(array)
    return array


def with_vectors(mesh):
    """Edges of the cells as fibers, ways between neighboring nodes as vectors, and what must not turn."""
    points, dataset = mesh.points, mesh.dataset
    connectivity, offsets, types = mesh.cells()
    fiber = points[connectivity[offsets[:-1] + 1]] - points[connectivity[offsets[:-1]]]
    add(dataset.GetCellData(), "fiber", fiber)
    add(dataset.GetCellData(), "sheet", np.roll(fiber, 1, axis=1).astype(np.float32))
    add(dataset.GetCellData(), "tag", np.arange(len(types), dtype=np.int32))
    add(dataset.GetPointData(), "way", points[1] - points).SetComponentName(1, "middle")
    normals = np.tile(np.array([0.6, 0, 0.8], np.float32), (len(points), 1))
    dataset.GetPointData().SetNormals(add(dataset.GetPointData(), "Normals", normals))
    tensors = np.einsum("ni,nj->nij", points[1] - points, points + 1).reshape(-1, 9)
    dataset.GetPointData().SetTensors(add(dataset.GetPointData(), "spread", tensors))
    add(dataset.GetPointData(), "color", np.tile(np.array([1, 2, 3], np.uint8), (len(points), 1)))
    add(dataset.GetPointData(), "pair", np.ones((len(points), 2)))
    dataset.GetPointData().SetScalars(add(dataset.GetPointData(), "scar", np.arange(float(len(points)))))
    return mesh


def arrays_of(mesh):
    found = {}
    for data in (mesh.dataset.GetPointData(), mesh.dataset.GetCellData()):
        for index in range(data.GetNumberOfArrays()):
            found[data.GetArray(index).GetName()] = vtk_to_numpy(data.GetArray(index)).copy()
    return found


def expected_in(frame, name, values):
    if name == "spread":
        return values * np.outer(SIGNS[frame], SIGNS[frame]).ravel()
    return values * SIGNS[frame] if name in ("fiber", "sheet", "way", "Normals") else values


@pytest.mark.parametrize("suffix", [".vtu", ".vtp", ".vtk", ".ply"])
@pytest.mark.parametrize("frame", ["ras", "lps"])
@pytest.mark.parametrize("unit", ["mm", "um"])
def test_vectors_go_into_the_files_axes_and_come_back(tmp_path, suffix, frame, unit):
    mesh = with_vectors(box("tetra") if suffix == ".vtu" else sphere_shell(resolution=8))
    before = arrays_of(mesh)
    write_mesh(tmp_path / f"m{suffix}", mesh, unit, frame)
    for name, values in arrays_of(mesh).items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)
    file = read_mesh(tmp_path / f"m{suffix}")
    raw = arrays_of(Mesh(file.dataset))
    again = place(file, unit, frame)
    back = arrays_of(again)
    names = {"way", "Normals", "spread", "scar"} if suffix == ".ply" else set(before)  # PLY holds the nodes' values
    assert names <= set(raw)
    for name in names:
        np.testing.assert_allclose(raw[name], expected_in(frame, name, before[name]), rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(back[name], before[name], rtol=1e-6, err_msg=name)
        assert back[name].dtype == raw[name].dtype
    for name, values in arrays_of(Mesh(file.dataset)).items():
        np.testing.assert_array_equal(values, raw[name], err_msg=name)  # the file's own are as they were
    write_mesh(tmp_path / f"again{suffix}", again, unit, frame)
    for name, values in arrays_of(Mesh(read_mesh(tmp_path / f"again{suffix}").dataset)).items():
        np.testing.assert_array_equal(values, raw[name], err_msg=name)


@pytest.mark.parametrize("frame", ["ras", "lps"])
def test_fibers_beside_opencarp_points_turn_with_them(tmp_path, frame):
    mesh = with_vectors(box("tetra"))
    before = arrays_of(mesh)
    write_mesh(tmp_path / "m.pts", mesh, "um", frame)
    axes = np.loadtxt(tmp_path / "m.lon", skiprows=1)
    np.testing.assert_allclose(axes[:, :3], before["fiber"] * SIGNS[frame], rtol=1e-6)
    np.testing.assert_allclose(axes[:, 3:], before["sheet"] * SIGNS[frame], rtol=1e-6)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "m.way.dat"), before["way"] * SIGNS[frame], rtol=1e-6)
    back = arrays_of(place(read_mesh(tmp_path / "m.pts"), "um", frame))
    np.testing.assert_allclose(back["fiber"], before["fiber"], rtol=1e-6)
    np.testing.assert_allclose(back["sheet"], before["sheet"], rtol=1e-6)


def test_names_order_and_roles_stay():
    mesh = with_vectors(box("tetra"))
    data = mesh.dataset.GetPointData()
    names = mesh.array_names
    turn_vectors(mesh.dataset, np.diag(SIGNS["lps"]), np.diag(SIGNS["lps"]))
    assert mesh.array_names == names
    roles = data.GetScalars(), data.GetNormals(), data.GetTensors(), data.GetVectors()
    assert [role and role.GetName() for role in roles] == ["scar", "Normals", "spread", None]
    assert data.GetArray("way").GetComponentName(1) == "middle"


def test_a_rotation_turns_normals_as_it_turns_all_else():
    mesh = with_vectors(box("tetra"))
    before, turn = arrays_of(mesh), rotation((25.0, -40.0, 65.0))
    turn_vectors(mesh.dataset, turn, turn)
    after = arrays_of(mesh)
    for name in ("Normals", "way", "fiber", "sheet"):
        np.testing.assert_allclose(after[name], before[name] @ turn.T, rtol=1e-6, atol=1e-6, err_msg=name)
    spread = turn @ before["spread"].reshape(-1, 3, 3) @ turn.T
    np.testing.assert_allclose(after["spread"], spread.reshape(-1, 9), rtol=1e-6, atol=1e-6)


def test_a_stretch_turns_normals_the_other_way_and_keeps_lengths():
    mesh = with_vectors(box("tetra"))
    before = arrays_of(mesh)
    jacobian = np.diag([2.0, 1.0, 1.0])
    turn_vectors(mesh.dataset, np.tile(jacobian, (mesh.n_points, 1, 1)), jacobian)
    after = arrays_of(mesh)
    wanted = np.array([0.3, 0, 0.8]) / np.hypot(0.3, 0.8)
    np.testing.assert_allclose(after["Normals"], np.tile(wanted, (mesh.n_points, 1)), rtol=1e-6)
    pushed = before["fiber"] * [2, 1, 1]
    pushed *= (np.linalg.norm(before["fiber"], axis=1) / np.linalg.norm(pushed, axis=1))[:, None]
    np.testing.assert_allclose(after["fiber"], pushed, rtol=1e-12)
    np.testing.assert_allclose(after["spread"], before["spread"], rtol=1e-9, atol=1e-9)  # there is no rotation in it


def test_single_values_of_a_ply_file_stay_single(tmp_path):
    mesh = sphere_shell(resolution=8)
    members = {f"member_{index}": np.full(mesh.n_points, index) for index in range(3)}
    write_mesh(tmp_path / "m.ply", mesh.with_point_arrays(members | {"flow_x": members["member_0"]}), "mm", "lps")
    assert Mesh(read_mesh(tmp_path / "m.ply").dataset).array_names == (*members, "flow_x")
