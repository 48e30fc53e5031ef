"""Results written for simulators: the core is that of the result, where the result has one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from deeprecon.data.mesh.files import read_mesh, write_mesh
from deeprecon.data.mesh.mesh import cell_means


@pytest.fixture
def drawn(tmp_path, patient):
    """Writes a result whose core lies at the right half of its scar, though scar is as sure on the left."""

    def write(ending, own_core=True):
        x, _, z = patient.mesh.points.T
        scar = np.where(z > np.median(z), 0.9, 0.0)
        core = np.where((scar > 0) & (x > np.median(x)), 0.83, 0.0)
        arrays = {"scar_probability": scar, "scar_uncertainty": 0 * scar} | (
            {"core_probability": core} if own_core else {}
        )
        folder = tmp_path / f"result {ending} {own_core}"
        folder.mkdir()
        path = folder / f"mesh.{ending}"
        unit = "um" if ending == "pts" else "mm"
        healthy = np.ones(patient.mesh.n_cells, np.int64)
        write_mesh(path, patient.mesh.with_point_arrays(arrays), unit, "lps", element_tags=healthy)
        made = {"outputs": {"mesh": {"path": path.name}}, "metrics": {"mesh_unit": unit, "mesh_frame": "lps"}}
        (folder / "result.json").write_text(json.dumps(made), encoding="utf-8")
        return path, scar, core

    return write


def tags_of(path):
    return vtk_to_numpy(read_mesh(path).dataset.GetCellData().GetArray("tag"))


@pytest.mark.parametrize("ending", ["vtu", "pts"])
def test_a_core_of_its_own_goes_into_the_tags(ending, drawn, done, result_of, patient):
    path, scar, core = drawn(ending)
    exported = done("export", "exported", inputs={"mesh": path})
    found = tags_of(exported / "mesh.pts")
    is_scar, is_core = (cell_means(patient.mesh, values) > 0.5 for values in (scar, core))
    np.testing.assert_array_equal(found, np.where(is_scar, 100 + is_core, 1))
    assert set(found.tolist()) == {1, 100, 101}
    figures = result_of(exported)["metrics"]
    assert (figures["border_elements"], figures["core_elements"]) == ((found == 100).sum(), (found == 101).sum())
    assert "scar_elements" not in figures
    np.testing.assert_allclose(np.loadtxt(exported / "mesh.core_probability.dat"), core, atol=1e-6)


def test_without_a_core_of_its_own_all_scar_has_one_tag(drawn, done, result_of, patient):
    path, scar, _ = drawn("vtu", own_core=False)
    exported = done("export", "exported", inputs={"mesh": path})
    mean = cell_means(patient.mesh, scar)
    assert ((mean > 0.5) & (mean < 0.75)).any(), "an uncertain edge"
    np.testing.assert_array_equal(tags_of(exported / "mesh.pts"), np.where(mean > 0.5, 101, 1))
    figures = result_of(exported)["metrics"]
    assert figures["scar_elements"] == (mean > 0.5).sum()
    assert not {"border_elements", "core_elements"} & set(figures)


def test_the_core_of_a_reconstruction_reaches_the_simulator(files, patient, done, result_of):
    inputs = {"lge": [files["lge"]], "myocardium": [files["segmentation"]], "mesh": files["mesh"]}
    settings = {"method": "interpolation", "threshold": "nsd:5", "core_threshold": "max:85"}
    output = done("reconstruct", inputs=inputs, **settings)
    arrays = read_mesh(output / "mesh.vtu").dataset.GetPointData()
    core, scar = (vtk_to_numpy(arrays.GetArray(name)) for name in ("core_probability", "scar_probability"))
    tags = tags_of(done("export", "exported", inputs={"mesh": output / "mesh.vtu"}) / "mesh.pts")
    inside = (cell_means(patient.mesh, values) > 0.5 for values in (scar, core))
    both = np.logical_and(*inside)
    np.testing.assert_array_equal(tags == 101, both)
    assert 0 < both.sum() < (tags > 1).sum()


@pytest.mark.parametrize("frame", ["lps", "ras"])
@pytest.mark.parametrize("ending", ["vtu", "pts"])
def test_fibers_keep_their_direction_in_the_elements(ending, frame, tmp_path, patient, done):
    connectivity, offsets, _ = patient.mesh.cells()

    def edges(points):
        ways = points[connectivity[offsets[:-1]]] - points[connectivity[offsets[:-1] + 1]]
        return ways / np.linalg.norm(ways, axis=1, keepdims=True)

    mesh = patient.mesh.with_point_arrays({"scar_probability": np.zeros(patient.mesh.n_points)})
    array = numpy_to_vtk(edges(mesh.points), deep=True)
    array.SetName("fiber")
    mesh.dataset.GetCellData().AddArray(array)
    unit = "um" if ending == "pts" else "mm"
    write_mesh(tmp_path / f"mesh.{ending}", mesh, unit, "lps")
    made = {"outputs": {"mesh": {"path": f"mesh.{ending}"}}, "metrics": {"mesh_unit": unit, "mesh_frame": "lps"}}
    (tmp_path / "result.json").write_text(json.dumps(made), encoding="utf-8")
    exported = done("export", "exported", inputs={"mesh": tmp_path / f"mesh.{ending}"}, frame=frame)
    points, fibers = (np.loadtxt(exported / f"mesh.{suffix}", skiprows=1) for suffix in ("pts", "lon"))
    assert (points[:, 0].mean() * mesh.points[:, 0].mean() < 0) == (frame == "lps")
    np.testing.assert_allclose(np.sum(edges(points) * fibers, axis=1), 1, atol=1e-4)
