"""Cells of fewer dimensions, nodes and cells that are left over or listed twice do not count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..files import heart
from .files import (
    HEXAHEDRON,
    LINE,
    POLYLINE,
    QUAD,
    TETRAHEDRON,
    TO_LPS,
    TRIANGLE,
    VERTEX,
    WEDGE,
    Blocks,
    elements,
    exported,
    reconstructed,
    surface,
    tetrahedra,
    used,
    write_carp,
    write_ply,
    write_stl,
    write_vtu,
)

FIGURES = "volume_ml", "percent_of_wall", "interface_cm2", "pieces"


def figures(result: dict[str, Any]) -> dict[str, float]:
    return {name: result["metrics"][name] for name in FIGURES}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Figures of the tetrahedra alone."""
    folder = tmp_path_factory.mktemp("truth")
    points, cells = tetrahedra()
    code, result = reconstructed(folder, write_vtu(folder / "a.vtu", points * TO_LPS, [(TETRAHEDRON, cells)]))
    assert code == 0
    return figures(result)


def hexahedra() -> tuple[Any, Blocks, Blocks]:
    """Nodes in LPS mm, solid cells of the phantom and the quadrilaterals of their faces."""
    mesh = heart().mesh
    nodes, offsets, types = (np.asarray(part) for part in mesh.cells())
    solids = [
        (kind, np.array([nodes[offsets[cell] : offsets[cell + 1]] for cell in np.flatnonzero(types == kind)]))
        for kind in (HEXAHEDRON, WEDGE)
    ]
    corners = ((0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (2, 3, 7, 6), (0, 3, 7, 4), (1, 2, 6, 5))
    faces = np.concatenate([solids[0][1][:, part] for part in corners])
    return np.array(mesh.points) * TO_LPS, solids, [(QUAD, faces)]


def test_quadrilaterals_of_hexahedra_count_in_no_figure(tmp_path: Path) -> None:
    points, solids, faces = hexahedra()
    found = []
    for name, blocks in (("a", solids), ("b", [*faces, *solids])):
        (tmp_path / name).mkdir()
        code, result = reconstructed(tmp_path / name, write_vtu(tmp_path / name / "heart.vtu", points, blocks))
        assert code == 0
        found.append(figures(result))
    assert found[1] == pytest.approx(found[0], abs=0.02)


def conduction() -> Blocks:
    """Lines along the wall as of a Purkinje network."""
    cells = tetrahedra()[1]
    return [(LINE, cells[:200, :2]), (POLYLINE, cells[200:400, :3])]


def inner_triangles() -> Blocks:
    """Faces between tetrahedra, as of a surface within the wall, one vertex and one line."""
    cells = tetrahedra()[1]
    return [(VERTEX, cells[:1, :1]), (LINE, cells[:1, :2]), (TRIANGLE, cells[::3, :3])]


@pytest.mark.parametrize(("extra", "first"), [(conduction, False), (inner_triangles, True)])
def test_lines_and_inner_triangles(tmp_path: Path, truth: dict[str, float], extra: Any, first: bool) -> None:
    points, cells = tetrahedra()
    solids: Blocks = [(TETRAHEDRON, cells)]
    blocks = [*extra(), *solids] if first else [*solids, *extra()]
    code, result = reconstructed(tmp_path, write_vtu(tmp_path / "heart.vtu", points * TO_LPS, blocks))
    assert code == 0
    assert figures(result) == pytest.approx(truth, abs=0.02)
    assert exported(tmp_path)[0] == 0
    kinds, tags = elements(tmp_path / "x" / "mesh.elem")
    assert kinds.count("Tt") == len(cells)
    assert 101 in {tag for kind, tag in zip(kinds, tags, strict=True) if kind == "Tt"}
    assert {tag for kind, tag in zip(kinds, tags, strict=True) if kind != "Tt"} <= {0, 1}


def test_triangles_and_lines_in_opencarp(tmp_path: Path, truth: dict[str, float]) -> None:
    points, cells = tetrahedra()
    faces = surface()[1]
    blocks: Blocks = [(TRIANGLE, faces), (LINE, cells[:50, :2]), (TETRAHEDRON, cells)]
    tags = [30] * len(faces) + [40] * 50 + [7] * len(cells)
    code, result = reconstructed(tmp_path, write_carp(tmp_path / "heart.pts", points * TO_LPS * 1000, blocks, tags))
    assert code == 0
    assert figures(result) == pytest.approx(truth, abs=0.02)
    assert exported(tmp_path)[0] == 0
    kinds, tags = elements(tmp_path / "x" / "mesh.elem")
    assert kinds.count("Tt") == len(cells)
    assert {tag for kind, tag in zip(kinds, tags, strict=True) if kind == "Tr"} <= {30}


def test_cells_that_share_no_nodes(tmp_path: Path, truth: dict[str, float]) -> None:
    points, cells = tetrahedra()
    separate = np.arange(cells.size).reshape(cells.shape)
    mesh = write_vtu(tmp_path / "heart.vtu", points[cells.ravel()] * TO_LPS, [(TETRAHEDRON, separate)])
    code, result = reconstructed(tmp_path, mesh)
    assert code == 0
    found = figures(result)
    assert found["pieces"] == truth["pieces"]
    assert found["volume_ml"] == pytest.approx(truth["volume_ml"], rel=0.02)
    assert found["interface_cm2"] == pytest.approx(truth["interface_cm2"], rel=0.1)


@pytest.mark.parametrize(
    ("extra", "stated"),
    [("place holder", ()), ("cloud", ("--mesh-unit", "mm", "--mesh-frame", "lps"))],
)
def test_nodes_that_no_cell_uses(tmp_path: Path, truth: dict[str, float], extra: str, stated: tuple[str, ...]) -> None:
    """A place holder before all others, and nodes of a torso far away."""
    points, cells = tetrahedra()
    rng = np.random.default_rng(0)
    more = {
        "place holder": np.zeros((1, 3)) + 1000.0 * (np.arange(3) == 0),
        "cloud": rng.uniform(-400, 400, (3000, 3)),
    }[extra]
    shift = len(more)
    mesh = write_vtu(tmp_path / "heart.vtu", np.vstack([more, points * TO_LPS]), [(TETRAHEDRON, cells + shift)])
    code, result = reconstructed(tmp_path, mesh, *stated)
    assert code == 0
    assert figures(result) == pytest.approx(truth, abs=0.02)


def test_coordinates_that_are_not_numbers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, cells = tetrahedra()
    more = np.vstack([points * TO_LPS, np.full((2, 3), np.nan)])
    assert reconstructed(tmp_path, write_vtu(tmp_path / "heart.vtu", more, [(TETRAHEDRON, cells)]))[0] == 2
    said = capsys.readouterr().err
    assert "heart.vtu" in said
    assert "not finite" in said


def test_nodes_that_no_element_uses_in_opencarp(tmp_path: Path, truth: dict[str, float]) -> None:
    points, cells = tetrahedra()
    points = np.vstack([[[0, 0, 0], [1e6, 1e6, -1e6]], points * TO_LPS * 1000])
    mesh = write_carp(tmp_path / "heart.pts", points, [(TETRAHEDRON, cells + 2)], [1] * len(cells))
    code, result = reconstructed(tmp_path, mesh)
    assert code == 0
    assert figures(result) == pytest.approx(truth, abs=0.02)


def listed_again(cells: Any, how: str) -> Any:
    """Cells with repetitions as merged meshes have them."""
    if how == "other order":
        return np.concatenate([cells, cells[:, [1, 2, 0, 3]]])
    if how == "a part three times":
        return np.concatenate([cells, cells[: len(cells) // 3], cells[: len(cells) // 3]])
    return np.repeat(cells, 2, axis=0)


@pytest.mark.parametrize("how", ["other order", "a part three times", "one after the other"])
def test_tetrahedra_listed_again(tmp_path: Path, truth: dict[str, float], how: str) -> None:
    points, cells = tetrahedra()
    blocks: Blocks = [(TETRAHEDRON, listed_again(cells, how))]
    code, result = reconstructed(tmp_path, write_vtu(tmp_path / "heart.vtu", points * TO_LPS, blocks))
    assert code == 0
    assert figures(result) == pytest.approx(truth, abs=0.02)


def test_cells_without_volume(tmp_path: Path, truth: dict[str, float]) -> None:
    points, cells = tetrahedra()
    flat = cells[:20].copy()
    flat[:, 3] = flat[:, 0]
    blocks: Blocks = [(TETRAHEDRON, np.concatenate([cells, flat]))]
    code, result = reconstructed(tmp_path, write_vtu(tmp_path / "heart.vtu", points * TO_LPS, blocks))
    assert code == 0
    assert figures(result) == pytest.approx(truth, abs=0.02)


@pytest.mark.parametrize("name", ["heart.ply", "heart.stl"])
def test_surface_with_each_triangle_twice(tmp_path: Path, name: str) -> None:
    points, triangles = used(*surface())
    write = write_ply if name.endswith("ply") else write_stl
    found = []
    for part, faces in (("a", triangles), ("b", np.concatenate([triangles, triangles]))):
        (tmp_path / part).mkdir()
        code, result = reconstructed(tmp_path / part, write(tmp_path / part / name, points * TO_LPS, faces))
        assert code == 0
        found.append(result["metrics"])
    assert found[1]["percent_of_wall"] == pytest.approx(found[0]["percent_of_wall"], abs=0.1)
    assert found[1]["area_cm2"] == pytest.approx(found[0]["area_cm2"], rel=0.01)
