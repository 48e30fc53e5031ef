"""openCARP meshes."""

from __future__ import annotations

import numpy as np
import pytest
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import place, read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh, cell_means, node_volumes

from .meshes import box

PTS = "6\n0 0 0\n1000 0 0\n0 1000 0\n0 0 1000\n1000 1000 1000\n2000 0 0\n"
ELEM = "4\nTt 0 1 2 3 7\nTr 1 2 4 2\nLn 0 5 3\nTt 1 2 3 4 9\n"
LON = "2\n1 0 0 0 1 0\n0 1 0 0 0 1\n0 0 1 1 0 0\n0.6 0.8 0 0 0 1\n"


def written(folder, pts=PTS, elem=ELEM, lon=LON):
    (folder / "heart.pts").write_text(pts)
    (folder / "heart.elem").write_text(elem)
    if lon is not None:
        (folder / "heart.lon").write_text(lon)
    return folder / "heart.pts"


def test_a_mesh_is_read_in_micrometres_with_tags_and_fibers(tmp_path):
    file = read_mesh(written(tmp_path))
    assert (file.unit, file.frame) == ("um", None)
    mesh = place(file, "um", "ras")
    assert mesh.points[4].tolist() == [1, 1, 1]
    assert mesh.cells()[2].tolist() == [vtk.VTK_TETRA, vtk.VTK_TRIANGLE, vtk.VTK_LINE, vtk.VTK_TETRA]
    data = mesh.dataset.GetCellData()
    assert [data.GetArray("tag").GetValue(index) for index in range(4)] == [7, 2, 3, 9]
    assert data.GetArray("fiber").GetTuple(3) == pytest.approx((0.6, 0.8, 0))
    assert data.GetArray("sheet").GetTuple(0) == (0, 1, 0)


def test_the_elem_file_stands_for_the_mesh_too(tmp_path):
    assert read_mesh(written(tmp_path).with_suffix(".elem")).points.shape == (6, 3)


def test_a_result_is_written_in_the_files_own_order(tmp_path):
    mesh = place(read_mesh(written(tmp_path)), "um", "lps")
    result = mesh.with_point_arrays({"scar_probability": np.linspace(0, 1, 6)})
    out = tmp_path / "Ergebnis é.pts"
    write_mesh(out, result, "um", "lps")
    assert np.array_equal(np.loadtxt(out, skiprows=1), np.loadtxt(tmp_path / "heart.pts", skiprows=1))
    assert out.with_suffix(".elem").read_text() == ELEM
    assert out.with_suffix(".lon").read_text() == LON
    dat = np.loadtxt(tmp_path / "Ergebnis é.scar_probability.dat")
    assert np.allclose(dat, np.linspace(0, 1, 6))


def test_element_tags_come_from_the_caller(tmp_path):
    mesh = place(read_mesh(written(tmp_path)), "um", "ras")
    means = cell_means(mesh, [0, 0, 0, 1, 1, 1])
    write_mesh(tmp_path / "out.pts", mesh, "um", "ras", element_tags=np.where(means >= 0.5, 100, 1))
    tags = [int(line.split()[-1]) for line in (tmp_path / "out.elem").read_text().splitlines()[1:]]
    assert tags == [1, 1, 100, 100]
    with pytest.raises(ValueError, match="2 tags for 4 elements"):
        write_mesh(tmp_path / "out.pts", mesh, "um", "ras", element_tags=[1, 2])


@pytest.mark.parametrize("cells", ["hexahedron", "wedge", "tetra", "pyramid"])
def test_every_kind_of_element_keeps_its_volume(tmp_path, cells):
    mesh = box(cells)
    write_mesh(tmp_path / "b.pts", mesh, "um", "ras")
    again = place(read_mesh(tmp_path / "b.pts"), "um", "ras")
    assert np.allclose(again.points, mesh.points)
    assert np.array_equal(again.cells()[0], mesh.cells()[0])
    assert np.allclose(node_volumes(again), node_volumes(mesh))


@pytest.mark.parametrize(("cells", "swap"), [("hexahedron", [0, 1, 2, 3, 4, 7, 6, 5]), ("wedge", [0, 1, 2, 3, 5, 4])])
def test_both_orders_of_corners_are_understood_and_kept(tmp_path, cells, swap):
    write_mesh(tmp_path / "turned.pts", box(cells), "um", "ras")
    lines = (tmp_path / "turned.elem").read_text().splitlines()
    plain = [lines[0]]
    for line in lines[1:]:
        kind, *nodes, tag = line.split()
        plain.append(" ".join([kind, *(nodes[place] for place in swap), tag]))
    (tmp_path / "plain.elem").write_text("\n".join(plain) + "\n")
    (tmp_path / "plain.pts").write_text((tmp_path / "turned.pts").read_text())
    for name in ("turned", "plain"):
        mesh = place(read_mesh(tmp_path / f"{name}.pts"), "um", "ras")
        assert node_volumes(mesh).sum() == pytest.approx(48)
        write_mesh(tmp_path / "again.pts", mesh, "um", "ras")
        assert (tmp_path / "again.elem").read_text() == (tmp_path / f"{name}.elem").read_text()


def test_cells_that_opencarp_has_not_are_refused(tmp_path):
    with pytest.raises(InputError, match="VTK type"):
        write_mesh(tmp_path / "b.pts", box("quadratic tetra"), "um", "ras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pts": PTS[:-10]}, "heart.pts"),
        ({"pts": PTS.replace("1000 0 0", "1000 0")}, "expected 3 numbers"),
        ({"pts": PTS.replace("2000", "nan")}, "not finite"),
        ({"pts": "hello\n"}, "first line must be a count"),
        ({"pts": ""}, "first line must be a count"),
        ({"elem": ELEM[:-14]}, "announces 4 lines and has 3"),
        ({"elem": ELEM.replace("0 5 3", "0 6 3")}, "node numbers from 0 to 5"),
        ({"elem": ELEM.replace("Tt 0 1", "Xx 0 1")}, "unknown kind: Xx"),
        ({"elem": ELEM.replace("Tt 0 1 2 3 7", "Tt 0 1 2")}, "Tt elements do not all"),
        ({"lon": LON[:-10]}, "heart.lon"),
        ({"lon": "3\n"}, "must be 1 .* or 2"),
        ({"lon": "1\n1 0 0\n"}, "1 lines for 4 elements"),
    ],
)
def test_broken_files_are_refused_in_words(tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        read_mesh(written(tmp_path, **change))


def test_a_missing_elem_file_is_named(tmp_path):
    written(tmp_path)
    (tmp_path / "heart.elem").unlink()
    with pytest.raises(InputError, match=r"heart\.elem"):
        read_mesh(tmp_path / "heart.pts")


def test_a_binary_file_is_refused(tmp_path):
    written(tmp_path)
    (tmp_path / "heart.pts").write_bytes(np.random.default_rng(0).bytes(1000))
    with pytest.raises(InputError, match="not a text file"):
        read_mesh(tmp_path / "heart.pts")


def test_a_mesh_made_elsewhere_gets_tag_0(tmp_path):
    write_mesh(tmp_path / "b.pts", Mesh(box("tetra").dataset), "um", "ras")
    assert {line.split()[-1] for line in (tmp_path / "b.elem").read_text().splitlines()[1:]} == {"0"}
    assert not (tmp_path / "b.lon").exists()
