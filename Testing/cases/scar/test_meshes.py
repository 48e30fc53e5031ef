"""Meshes as other programs write them: what counts of them, and the tags of their regions."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk

from deeprecon.data.mesh.files import read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh, unstructured_grid
from deeprecon.data.mesh.tags import find_tags

from .files import codes, heart, run, scan


def tetrahedra() -> Mesh:
    """The phantom's mesh in tetrahedra, RAS mm."""
    split = vtk.vtkDataSetTriangleFilter()
    split.SetInputData(heart().mesh.dataset)
    split.TetrahedraOnlyOn()
    split.Update()
    return Mesh(split.GetOutput(), "tetrahedra")


def grid(points: np.ndarray, cells: list[np.ndarray], kinds: list[int], **arrays: np.ndarray) -> Mesh:
    """A mesh of cells (C, corners) of one kind after the other, with arrays at the cells."""
    counts = np.concatenate([np.full(len(each), each.shape[1]) for each in cells])
    types = np.concatenate([np.full(len(each), kind) for each, kind in zip(cells, kinds, strict=True)])
    dataset = unstructured_grid(
        points, np.concatenate([each.ravel() for each in cells]), np.concatenate([[0], np.cumsum(counts)]), types
    )
    for name, values in arrays.items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name.replace("__", ":"))
        dataset.GetCellData().AddArray(array)
    return Mesh(dataset, "grid")


def parts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, tetrahedra (T, 4), and the triangles (F, 3) of their boundary."""
    mesh = tetrahedra()
    tets = mesh.cells()[0].reshape(-1, 4)
    faces = np.sort(tets[:, [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]].reshape(-1, 3), axis=1)
    once, count = np.unique(faces, axis=0, return_counts=True)
    return mesh.points, tets, once[count == 1]


def reconstructed(folder: Path, mesh: Mesh, *options: str, ending: str = "vtu") -> tuple[int, dict[str, Any]]:
    """A run on a mesh, which becomes a file in LPS mm."""
    folder.mkdir(exist_ok=True)
    drawn = scan().write_segments(folder / "a.seg.nrrd", Myocardium=scan().wall, Scar=scan().scar)
    path = folder / f"heart.{ending}"
    write_mesh(path, mesh, "um" if ending == "pts" else "mm", "lps")
    return run(
        "reconstruct",
        folder / "out",
        *("--method", "interpolation", "--alignment", "off", "--slice-thickness", "8", *options),
        scar=drawn,
        myocardium=drawn,
        mesh=path,
    )


@cache
def truth(folder: str) -> dict[str, Any]:
    """The figures of the tetrahedra alone."""
    points, tets, _ = parts()
    code, result = reconstructed(Path(folder) / "truth", grid(points, [tets], [vtk.VTK_TETRA]))
    assert (code, codes(result)) == (0, [])
    metrics: dict[str, Any] = result["metrics"]
    return metrics


def untidy(kind: str) -> Mesh:
    """The tetrahedra and more."""
    points, tets, faces = parts()
    other, types = {
        "faces": ([faces], [vtk.VTK_TRIANGLE]),
        "face, line, point": ([faces[:1], faces[:9, :2], faces[:1, :1]], [5, 3, 1]),
        "listed twice": ([tets[:, [1, 2, 0, 3]]], [vtk.VTK_TETRA]),
    }.get(kind, ([], []))
    if kind == "far node":
        return grid(np.vstack([points, [[-300.0, 200, 400]]]), [tets], [vtk.VTK_TETRA])
    if kind == "no shared nodes":
        return grid(points[tets.ravel()], [np.arange(tets.size).reshape(-1, 4)], [vtk.VTK_TETRA])
    return grid(points, [*other, tets], [*types, vtk.VTK_TETRA])


@pytest.mark.parametrize("kind", ["faces", "face, line, point", "listed twice", "far node", "no shared nodes"])
def test_what_is_beside_the_wall_does_not_count(tmp_path_factory, tmp_path, kind):
    mesh, right = untidy(kind), truth(str(tmp_path_factory.getbasetemp()))
    code, result = reconstructed(tmp_path, mesh)
    assert (code, codes(result)) == (0, ["mesh-left-out"])
    for name in ("volume_ml", "percent_of_wall", "pieces", "interface_cm2"):
        assert result["metrics"][name] == pytest.approx(right[name], rel=1e-6), name
    written = read_mesh(tmp_path / "out" / "mesh.vtu")
    assert (written.points.shape, Mesh(written.dataset).n_cells) == (mesh.points.shape, mesh.n_cells)
    assert run("export", tmp_path / "carp", mesh=tmp_path / "out" / "mesh.vtu")[0] == 0
    elements = (tmp_path / "carp" / "mesh.elem").read_text().split("\n")
    assert int(elements[0]) == len(parts()[1])
    assert {line.split()[0] for line in elements[1:] if line} == {"Tt"}


def halves() -> np.ndarray:
    """A tag for each tetrahedron of `parts`."""
    points, tets, _ = parts()
    heights = points[tets].mean(axis=1)[:, 2]
    return np.where(heights > np.median(heights), 24, 10)


def tags_in(path: Path) -> np.ndarray:
    found = find_tags(Mesh(read_mesh(path).dataset))
    assert found is not None
    return found.values


@pytest.mark.parametrize(
    ("name", "ending"),
    [("elemTag", "vtk"), ("gmsh:physical", "vtu"), ("Region", "vtu"), ("material", "vtk"), ("tag", "pts")],
)
def test_tags_of_regions_reach_the_simulator(tmp_path, name, ending):
    points, tets, faces = parts()
    beside = [] if ending == "pts" else [faces]
    tags = np.concatenate([np.full(len(faces), 3) if beside else np.zeros(0, int), halves()])
    mesh = grid(points, [*beside, tets], [vtk.VTK_TRIANGLE] * len(beside) + [vtk.VTK_TETRA], **{name: tags})
    code, result = reconstructed(tmp_path, mesh, ending=ending)
    assert code == 0
    output = tmp_path / "out" / f"mesh.{ending}"
    assert result["metrics"]["tag_array"] == name
    np.testing.assert_array_equal(tags_in(output), tags)
    assert run("export", tmp_path / "carp", mesh=output)[0] == 0
    found = tags_in(tmp_path / "carp" / "mesh.pts")
    assert set(found.tolist()) == {10, 24, 101}
    np.testing.assert_array_equal(found[found < 100], halves()[found < 100])
    assert run("export", tmp_path / "other", "--format", "vtu", "--tags", "core=7", mesh=output)[0] == 0
    other = tags_in(tmp_path / "other" / "mesh.vtu")
    assert other[: len(tags) - len(tets)].tolist() == [3] * (len(tags) - len(tets))
    np.testing.assert_array_equal(other[len(tags) - len(tets) :], np.where(found == 101, 7, found))


def test_tags_of_another_name_are_named_once(tmp_path):
    points, tets, _ = parts()
    mesh = grid(points, [tets], [vtk.VTK_TETRA], segments=halves(), material=np.ones(len(tets), int))
    code, result = reconstructed(tmp_path, mesh, "--tag-array", "segments")
    assert (code, codes(result)) == (0, [])
    assert run("export", tmp_path / "carp", mesh=tmp_path / "out" / "mesh.vtu")[0] == 0
    assert {10, 24} < set(tags_in(tmp_path / "carp" / "mesh.pts").tolist())
    assert run("export", tmp_path / "one", "--tag-array", "material", mesh=tmp_path / "out" / "mesh.vtu")[0] == 0
    assert set(tags_in(tmp_path / "one" / "mesh.pts").tolist()) == {1, 101}
    assert reconstructed(tmp_path / "no", mesh, "--tag-array", "nothing")[0] == 2


def test_several_arrays_of_tags_are_stated(tmp_path):
    points, tets, _ = parts()
    mesh = grid(points, [tets], [vtk.VTK_TETRA], region=np.arange(len(tets)), elemTag=halves())
    code, result = reconstructed(tmp_path, mesh, "--accept", "tags-in-several-arrays", "mesh-left-out")
    assert (code, codes(result), result["metrics"]["tag_array"]) == (0, ["tags-in-several-arrays"], "elemTag")


def test_tags_in_use_are_resolved_by_others(tmp_path, capfd):
    points, tets, _ = parts()
    tags = np.where(halves() == 24, 100, 1)
    assert reconstructed(tmp_path, grid(points, [tets], [vtk.VTK_TETRA], tag=tags), ending="pts")[0] == 0
    output = tmp_path / "out" / "mesh.pts"
    capfd.readouterr()
    assert run("export", tmp_path / "carp", mesh=output)[0] == 2
    assert "--tags border=200 core=201 unknown=202" in capfd.readouterr().err
    others = ("--tags", "border=200", "core=201", "unknown=202")
    assert run("export", tmp_path / "kept", *others, mesh=output)[0] == 0
    assert set(tags_in(tmp_path / "kept" / "mesh.pts").tolist()) == {1, 100, 201}
    stated = ("--tags", "healthy=1", "border=100", "core=101", "unknown=102")
    code, result = run("export", tmp_path / "retagged", *stated, mesh=output)
    found = tags_in(tmp_path / "retagged" / "mesh.pts")
    assert (code, set(found.tolist())) == (0, {1, 101})
    assert result["metrics"]["scar_elements"] == (found == 101).sum()
