"""What of a mesh counts, and its region tags."""

from __future__ import annotations

import numpy as np
import pytest
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh, node_volumes, unstructured_grid
from deeprecon.data.mesh.parts import find_part, with_cells
from deeprecon.data.mesh.tags import find_tags

from .meshes import VOLUME_CELLS, box, sphere_shell

USUAL = ["tag", "TAGS", "elemTag", "ELEMTAG", "element_tags", "cell_tags", "region", "Regions", "RegionId", "labels"]
USUAL += ["material", "Material_ID", "gmsh:physical", "CellEntityIds", "medit:ref"]


def with_cell_array(mesh: Mesh, name: str, values: np.ndarray) -> Mesh:
    array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
    array.SetName(name)
    mesh.dataset.GetCellData().AddArray(array)
    return mesh


def untidy(shift: float = 0.0) -> Mesh:
    """A box of tetrahedra that share no nodes, two of them listed twice, with faces, a line, a point and a far node.

    Args:
        shift: of half of the nodes, so that none are at exactly the same place.
    """
    tidy = box("tetra")
    connectivity, offsets, types = tidy.cells()
    own = tidy.points[connectivity]
    own[::2] += shift
    points = np.vstack([own, [[900.0, 900, 900]]])
    extra = [0, 1, 2, 4, 5, 6, 0, 1, 3, 2, 0, 1, 3]  # two faces, a line, a point; then the first tetrahedron turned
    ends = [3, 3, 2, 1, 4]
    cells = np.concatenate([extra, np.arange(len(connectivity)), np.arange(4, 8)])
    counts = np.concatenate([ends, np.diff(offsets), [4]])
    kinds = [vtk.VTK_TRIANGLE, vtk.VTK_TRIANGLE, vtk.VTK_LINE, vtk.VTK_VERTEX, vtk.VTK_TETRA, *types, vtk.VTK_TETRA]
    return Mesh(unstructured_grid(points, cells, np.concatenate([[0], np.cumsum(counts)]), kinds), "untidy")


@pytest.mark.parametrize("shift", [0.0, 1e-6])
def test_an_untidy_mesh_is_the_tidy_one_in_it(shift):
    whole, tidy = untidy(shift), box("tetra")
    part = find_part(whole)
    mesh = part.of(whole)
    assert (mesh.n_points, mesh.n_cells) == (tidy.n_points, tidy.n_cells)
    assert node_volumes(mesh).sum() == pytest.approx(48, rel=1e-5)
    assert part.left_out == (
        "2 faces and 1 line and 1 vertex beside elements",
        "1 node that no element uses",
        f"{whole.n_points - 1 - tidy.n_points} nodes at the place of another (joined)",
        "2 cells listed twice",
    )
    heights = part.spread(mesh.points[:, 2])
    np.testing.assert_allclose(heights[:-1], whole.points[:-1, 2], atol=1e-5)
    assert heights[-1] == 0


def test_many_nodes_at_one_place_and_a_node_far_away_are_no_burden():
    tidy = box("tetra")
    connectivity, _offsets, types = tidy.cells()
    points = np.vstack([tidy.points, np.zeros((20_000, 3)), [[1e9, 0, 0]]])
    start = tidy.n_points
    more = np.concatenate([np.arange(start, start + 20_000), [0, 1, 2, start + 20_000]])
    cells, kinds = np.concatenate([connectivity, more]), np.concatenate([types, np.full(5_001, vtk.VTK_TETRA)])
    mesh = Mesh(unstructured_grid(points, cells, np.arange(len(kinds) + 1) * 4, kinds), "mesh")
    part = find_part(mesh)
    assert len(part.first) == tidy.n_points + 2
    assert len(part.cells) == len(types) + 2


@pytest.mark.parametrize("cells", VOLUME_CELLS)
def test_a_tidy_mesh_is_the_part_itself(cells):
    mesh = box(cells)
    part = find_part(mesh)
    assert part.of(mesh) is mesh
    assert part.left_out == ()


def test_a_surface_keeps_its_polygons():
    shell = sphere_shell(resolution=12)
    whole = shell.dataset
    lines = vtk.vtkCellArray()
    for ids in ([0, 1], [1, 2]):
        lines.InsertNextCell(2, ids)
    whole.SetLines(lines)
    mesh = with_cell_array(Mesh(whole), "region", np.concatenate([[9, 9], np.arange(shell.dataset.GetNumberOfPolys())]))
    part = find_part(mesh)
    assert part.left_out == ("2 lines beside faces",)
    assert part.of(mesh).n_cells == whole.GetNumberOfPolys()
    tags = find_tags(mesh)
    assert tags.values.tolist() == list(range(whole.GetNumberOfPolys()))
    kept = with_cells(mesh, part.cells[::2])
    assert find_tags(kept).values.tolist() == list(range(0, whole.GetNumberOfPolys(), 2))


def test_a_chosen_region_is_a_part():
    mesh = box("hexahedron")
    part = find_part(mesh, np.arange(mesh.n_cells) < 3)
    chosen = part.of(mesh)
    assert (chosen.n_points, chosen.n_cells) == (16, 3)
    assert node_volumes(chosen).sum() == pytest.approx(12)
    assert part.left_out == ()
    with pytest.raises(InputError, match="no cells"):
        find_part(mesh, np.zeros(mesh.n_cells, bool))


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8, np.float64])
def test_usual_names_of_tags(name, kind):
    mesh = with_cell_array(box("tetra"), "quality", np.linspace(0, 1, 72))
    tags = find_tags(with_cell_array(mesh, name, (np.arange(72) % 3).astype(kind)))
    assert tags.name == name
    assert tags.values.tolist() == [0, 1, 2] * 24
    assert tags.values.dtype == np.int64


@pytest.mark.parametrize("name", ["vtkOriginalCellIds", "fiber", "stage", "tagged"])
def test_other_names_are_no_tags(name):
    assert find_tags(with_cell_array(box("tetra"), name, np.arange(72))) is None


def test_what_is_not_one_whole_number_is_no_tag():
    mesh = with_cell_array(box("tetra"), "region", np.linspace(0, 1, 72))
    assert find_tags(with_cell_array(mesh, "material", np.zeros((72, 3)))) is None


def test_any_array_can_be_named():
    mesh = with_cell_array(box("tetra"), "tag", np.ones(72, int))
    mesh = with_cell_array(with_cell_array(mesh, "AHA", np.arange(72)), "share", np.full(72, 0.5))
    assert find_tags(mesh, "AHA").values.tolist() == list(range(72))
    with pytest.raises(InputError, match="no array 'aha'") as caught:
        find_tags(mesh, "aha")
    assert "tag, AHA, share" in caught.value.hint
    with pytest.raises(InputError, match="'share' of tetra does not hold one whole number"):
        find_tags(mesh, "share")


def test_of_several_arrays_those_named_tag_come_first():
    mesh = with_cell_array(box("tetra"), "region", np.arange(72))
    mesh = with_cell_array(with_cell_array(mesh, "elemTag", np.ones(72)), "tag", np.ones(72, int))
    tags = find_tags(mesh)
    assert (tags.name, tags.others) == ("elemTag", ("region",))
