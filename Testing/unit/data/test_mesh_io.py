"""Mesh files and their place in the patient."""

from __future__ import annotations

import numpy as np
import pytest
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import FRAMES, SCALES, place, read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Inside, Mesh
from deeprecon.data.mesh.placement import find_placement, placement_scores

from .meshes import box, read_tetgen_surface, shell_points, sphere_shell

SURFACE = (".vtk", ".vtp", ".ply", ".stl")
VOLUME = (".vtk", ".vtu", ".pts")
PLACES = [(unit, frame) for unit in SCALES for frame in FRAMES]


def mesh_for(suffix: str) -> Mesh:
    return sphere_shell() if suffix in (".vtp", ".ply", ".stl") else box("tetra")


def sorted_rows(points: np.ndarray) -> np.ndarray:
    return np.unique(np.round(points, 3), axis=0)


@pytest.mark.parametrize("suffix", [*SURFACE, ".vtu", ".pts"])
@pytest.mark.parametrize(("unit", "frame"), PLACES)
def test_a_mesh_comes_back_from_its_own_unit_and_frame(tmp_path, suffix, unit, frame):
    mesh = mesh_for(suffix)
    path = tmp_path / f"Herz é 心{suffix}"
    write_mesh(path, mesh, unit, frame)
    file = read_mesh(path)
    assert file.frame == (None if suffix == ".pts" else frame)
    again = place(file, unit, frame)
    if suffix == ".stl":  # triangles without node numbers
        assert np.abs(sorted_rows(again.points) - sorted_rows(mesh.points)).max() < 2e-3
    else:
        assert np.abs(again.points - mesh.points).max() < 1e-4
        assert np.array_equal(again.cells()[0], mesh.cells()[0])


@pytest.mark.parametrize("suffix", [".vtk", ".vtp", ".vtu", ".ply"])
def test_results_keep_their_nodes(tmp_path, suffix):
    mesh = mesh_for(suffix)
    values = np.random.default_rng(0).random(mesh.n_points).astype(np.float32)
    write_mesh(tmp_path / f"m{suffix}", mesh.with_point_arrays({"scar_probability": values}))
    again = Mesh(read_mesh(tmp_path / f"m{suffix}").dataset)
    assert np.array_equal(again.point_array("scar_probability"), values)


def test_stl_has_no_room_for_results(tmp_path):
    mesh = sphere_shell().with_point_arrays({"scar": np.zeros(sphere_shell().n_points)})
    with pytest.raises(InputError, match="STL cannot hold values") as error:
        write_mesh(tmp_path / "m.stl", mesh)
    assert ".vtp" in error.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mesh", "suffix", "better"),
    [
        (box("tetra"), ".vtp", ".vtu"),
        (box("tetra"), ".ply", ".vtu"),
        (box("tetra"), ".stl", ".vtu"),
        (sphere_shell(), ".vtu", ".vtp"),
        (sphere_shell(), ".obj", ".vtp"),
    ],
)
def test_a_format_that_cannot_hold_the_mesh_is_refused(tmp_path, mesh, suffix, better):
    with pytest.raises(InputError) as error:
        write_mesh(tmp_path / f"m{suffix}", mesh)
    assert better in error.value.hint


@pytest.mark.parametrize("suffix", [".vtk", ".vtp", ".vtu", ".ply", ".stl"])
def test_slicer_reads_what_we_write_at_the_same_place(tmp_path, scene, suffix):
    mesh = mesh_for(suffix)
    write_mesh(tmp_path / f"m{suffix}", mesh, "mm", "ras")
    write_mesh(tmp_path / f"l{suffix}", mesh, "mm", "lps")
    for name in "ml":
        node = scene.AddNewNodeByClass("vtkMRMLModelNode")
        storage = scene.AddNewNodeByClass("vtkMRMLModelStorageNode")
        storage.SetFileName(str(tmp_path / f"{name}{suffix}"))
        assert storage.ReadData(node)
        assert np.allclose(node.GetMesh().GetBounds(), mesh.dataset.GetBounds(), atol=1e-3)


@pytest.mark.parametrize("suffix", [".vtk", ".vtp", ".vtu", ".ply", ".stl"])
@pytest.mark.parametrize("frame", ["RAS", "LPS"])
def test_the_frame_that_slicer_notes_is_found(tmp_path, scene, suffix, frame):
    import slicer

    node = scene.AddNewNodeByClass("vtkMRMLModelNode")
    mesh = mesh_for(suffix)
    node.SetAndObserveMesh(mesh.dataset)
    storage = scene.AddNewNodeByClass("vtkMRMLModelStorageNode")
    storage.SetFileName(str(tmp_path / f"m{suffix}"))
    storage.SetCoordinateSystem(getattr(slicer.vtkMRMLStorageNode, f"CoordinateSystem{frame}"))
    assert storage.WriteData(node)
    file = read_mesh(tmp_path / f"m{suffix}")
    assert file.frame == frame.lower()
    assert np.allclose(sorted_rows(place(file, "mm", file.frame).points), sorted_rows(mesh.points), atol=2e-3)


@pytest.mark.parametrize("suffix", [".vtk", ".vtu"])
@pytest.mark.parametrize("frame", ["RAS", "LPS"])
def test_slicer_saves_what_we_wrote_in_other_axes(tmp_path, scene, suffix, frame):
    import slicer

    write_mesh(tmp_path / "ours.vtu", box("tetra"), "mm", "lps")
    node = scene.AddNewNodeByClass("vtkMRMLModelNode")
    storage = scene.AddNewNodeByClass("vtkMRMLModelStorageNode")
    storage.SetFileName(str(tmp_path / "ours.vtu"))
    assert storage.ReadData(node)
    storage.SetFileName(str(tmp_path / f"slicer{suffix}"))
    storage.SetCoordinateSystem(getattr(slicer.vtkMRMLStorageNode, f"CoordinateSystem{frame}"))
    assert storage.WriteData(node)
    assert read_mesh(tmp_path / f"slicer{suffix}").frame == frame.lower()


@pytest.mark.parametrize("suffix", [".vtk", ".vtu", ".vtp"])
def test_files_in_lps_hold_numbers_only(tmp_path, suffix):
    """meshio refuses strings."""
    write_mesh(tmp_path / "surface.vtp", sphere_shell(), "mm", "ras")  # the string SPACE, which must not travel on
    fields = read_mesh(tmp_path / "surface.vtp").dataset.GetFieldData()
    mesh = mesh_for(suffix)
    mesh.dataset.SetFieldData(fields)
    write_mesh(tmp_path / f"m{suffix}", mesh, "mm", "lps")
    content = (tmp_path / f"m{suffix}").read_bytes()
    assert b"string" not in content.lower()
    assert read_mesh(tmp_path / f"m{suffix}").frame == "lps"


def test_an_unmarked_file_declares_nothing(tmp_path):
    writer = vtk.vtkXMLPolyDataWriter()
    writer.SetInputData(sphere_shell().dataset)
    writer.SetFileName(str(tmp_path / "m.vtp"))
    writer.Write()
    file = read_mesh(tmp_path / "m.vtp")
    assert (file.unit, file.frame) == (None, None)


@pytest.mark.parametrize("suffix", [".vtk", ".vtp", ".vtu", ".ply", ".stl"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.9, 0.98])
def test_cut_off_files_are_refused(tmp_path, suffix, share):
    path = tmp_path / f"m{suffix}"
    write_mesh(path, mesh_for(suffix))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"m\."):
        read_mesh(path)


@pytest.mark.parametrize("suffix", [".vtk", ".vtp", ".vtu", ".ply", ".stl", ".pts", ".xyz"])
def test_random_bytes_are_refused_quietly(tmp_path, suffix, capfd):
    (tmp_path / f"m{suffix}").write_bytes(np.random.default_rng(1).bytes(3000))
    with pytest.raises(InputError, match=r"m\."):
        read_mesh(tmp_path / f"m{suffix}")
    assert capfd.readouterr().err == ""


def test_other_data_in_a_vtk_file_are_no_mesh(tmp_path):
    image = vtk.vtkImageData()
    image.SetDimensions(3, 3, 3)
    image.AllocateScalars(vtk.VTK_FLOAT, 1)
    image.GetPointData().GetScalars().Fill(0)
    writer = vtk.vtkDataSetWriter()
    writer.SetInputData(image)
    writer.SetFileName(str(tmp_path / "m.vtk"))
    writer.Write()
    with pytest.raises(InputError, match="does not hold a surface or volume mesh"):
        read_mesh(tmp_path / "m.vtk")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("POINTS 3 float\n0 0 0 1 0 0 0 1 0\nPOLYGONS 1 4\n3 0 1 7\n", "nodes that it does not have"),
        ("POINTS 3 float\n0 0 0 1 0 0 0 1 0\n", "holds no mesh"),
    ],
)
def test_inconsistent_files_are_refused(tmp_path, text, words):
    (tmp_path / "m.vtk").write_text(f"# vtk DataFile Version 3.0\ntitle\nASCII\nDATASET POLYDATA\n{text}")
    with pytest.raises(InputError, match=words):
        read_mesh(tmp_path / "m.vtk")


@pytest.mark.parametrize("suffix", [".vtk", ".vtp", ".ply", ".pts"])
def test_coordinates_that_are_no_numbers_are_refused(tmp_path, suffix):
    mesh = sphere_shell()
    mesh.dataset.GetPoints().SetPoint(5, (float("nan"), 0, 0))
    write_mesh(tmp_path / f"m{suffix}", mesh)
    with pytest.raises(InputError, match="not finite"):
        read_mesh(tmp_path / f"m{suffix}")


@pytest.mark.parametrize("faces", ["3 0 1 2\n3 0 1 3\n", "4 0 1 2 3\n3 0 1 3\n"])
def test_ascii_ply_is_read(tmp_path, faces):
    (tmp_path / "m.ply").write_text(
        "ply\nformat ascii 1.0\ncomment made by hand\nelement vertex 4\nproperty float x\nproperty float y\n"
        "property float z\nproperty uchar quality\nelement face 2\nproperty list uchar int vertex_indices\nend_header\n"
        "0 0 0 1\n1 0 0 2\n0 1 0 3\n0 0 1 4\n" + faces
    )
    mesh = Mesh(read_mesh(tmp_path / "m.ply").dataset)
    assert mesh.points[3].tolist() == [0, 0, 1]
    assert mesh.cells()[0].tolist() == [int(word) for line in faces.splitlines() for word in line.split()[1:]]
    assert mesh.point_array("quality").tolist() == [1, 2, 3, 4]


def raw_file(tmp_path, unit, frame, mesh=None):
    """The shell in a file that says nothing about unit or frame."""
    mesh = mesh or sphere_shell()
    data = vtk.vtkPolyData()
    data.DeepCopy(mesh.dataset)
    points = vtk.vtkPoints()
    points.SetDataTypeToDouble()
    for point in mesh.points / (SCALES[unit] * FRAMES[frame]):
        points.InsertNextPoint(point)
    data.SetPoints(points)
    writer = vtk.vtkXMLPolyDataWriter()
    writer.SetInputData(data)
    writer.SetFileName(str(tmp_path / "m.vtp"))
    writer.Write()
    return read_mesh(tmp_path / "m.vtp")


@pytest.mark.parametrize(("unit", "frame"), PLACES)
def test_the_wall_tells_unit_and_frame(tmp_path, unit, frame):
    file = raw_file(tmp_path, unit, frame)
    assert find_placement(file, shell_points()) == (unit, frame)
    scores = placement_scores(file, shell_points())
    assert set(scores) == set(PLACES)
    assert scores[unit, frame] > 0.9


def test_slices_shifted_by_breathing_do_not_hide_the_winner(tmp_path):
    file = raw_file(tmp_path, "mm", "lps")
    shifts = np.random.default_rng(2).normal(0, 1.5, (3, 3))
    points = shell_points()
    slices = np.digitize(points[:, 2], [0, 20])
    assert find_placement(file, points + shifts[slices]) == ("mm", "lps")


def test_a_mesh_alike_in_both_frames_is_a_question(tmp_path):
    center = (0, 0, 15.0)
    file = raw_file(tmp_path, "mm", "ras", sphere_shell(center=center))
    points = shell_points(center=center)
    with pytest.raises(InputError, match="more than one choice") as error:
        find_placement(file, points)
    assert "mm/ras" in str(error.value)
    assert "mm/lps" in str(error.value)
    assert "--mesh-frame" in error.value.hint
    assert find_placement(file, points, frame="lps") == ("mm", "lps")


def test_a_mesh_far_from_the_wall_is_a_question(tmp_path):
    with pytest.raises(InputError, match="no unit and axes"):
        find_placement(raw_file(tmp_path, "mm", "ras"), shell_points() + np.array((300, 0, 0)))


@pytest.mark.parametrize("stated", [{"unit": "cm", "frame": "ras"}, {"unit": "mm", "frame": "lps"}])
def test_what_is_stated_must_lie_on_the_wall(tmp_path, stated):
    with pytest.raises(InputError, match=r"covers only \d+ % of the wall") as error:
        find_placement(raw_file(tmp_path, "mm", "ras"), shell_points(), **stated)
    assert "mm/ras" in str(error.value)


def test_what_the_file_declares_must_lie_on_the_wall(tmp_path):
    lps = sphere_shell()
    write_mesh(tmp_path / "m.vtp", lps, "mm", "ras")
    content = (tmp_path / "m.vtp").read_bytes()
    assert find_placement(read_mesh(tmp_path / "m.vtp"), shell_points()) == ("mm", "ras")
    mirrored = place(read_mesh(tmp_path / "m.vtp"), "mm", "lps")
    write_mesh(tmp_path / "m.vtp", mirrored, "mm", "ras")
    assert content != (tmp_path / "m.vtp").read_bytes()
    file = read_mesh(tmp_path / "m.vtp")
    with pytest.raises(InputError, match="Share of the wall"):
        find_placement(file, shell_points())
    assert find_placement(file, shell_points(), frame="lps") == ("mm", "lps")


def test_an_open_surface_is_placed_by_its_nodes(tmp_path):
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(25)
    sphere.SetCenter(-40, 25, 10)
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    sphere.SetEndPhi(150)
    sphere.Update()
    file = raw_file(tmp_path, "cm", "lps", Mesh(sphere.GetOutput(), "cup"))
    assert find_placement(file, shell_points(outer=27, inner=23)) == ("cm", "lps")


def test_no_wall_is_said(tmp_path):
    with pytest.raises(InputError, match="no wall"):
        find_placement(raw_file(tmp_path, "mm", "ras"), np.zeros((0, 3)))


def wall_slices(mesh: Mesh, spacing: float) -> np.ndarray:
    """Points in the wall, on slices `spacing` apart."""
    low, high = mesh.points.min(axis=0), mesh.points.max(axis=0)
    points = np.random.default_rng(0).uniform(low, high, (300_000, 3))
    points = points[Inside(mesh, spacing=(high - low).max() / 200)(points)]
    return points[points[:, 2] % spacing < spacing / 10]


@pytest.mark.parametrize(("unit", "frame"), [("mm", "ras"), ("cm", "lps"), ("m", "ras"), ("um", "lps")])
def test_the_real_human_heart_finds_its_place(tmp_path, shared_data, unit, frame):
    heart = place(read_mesh(shared_data / "scar/cobiveco_geo1/heart.vtp"), "mm", "ras")
    assert find_placement(raw_file(tmp_path, unit, frame, heart), wall_slices(heart, 10.0)) == (unit, frame)


def test_the_real_rabbit_heart_in_centimetres_finds_its_place(tmp_path, shared_data):
    raw = read_tetgen_surface(shared_data / "scar/chaste_rabbit_ucsd/UCSD_heart")
    write_mesh(tmp_path / "rabbit.ply", raw, "mm", "ras")
    file = read_mesh(tmp_path / "rabbit.ply")
    wall = wall_slices(place(file, "cm", "ras"), 3.0)
    assert find_placement(file, wall) == ("cm", "ras")
