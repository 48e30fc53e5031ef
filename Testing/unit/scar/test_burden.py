from __future__ import annotations

import numpy as np
import pytest
from vtkmodules.vtkCommonDataModel import VTK_HEXAHEDRON, VTK_QUADRATIC_TETRA, VTK_TETRA
from vtkmodules.vtkFiltersCore import vtkAppendPolyData
from vtkmodules.vtkFiltersSources import vtkLineSource, vtkPlaneSource

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scar.measure.burden import scar_burden
from deeprecon.scar.measure.sizes import connected_pieces, mesh_edges, node_sizes
from deeprecon.scar.simulate.ventricle import grid_mesh
from deeprecon.scar.tissue_tags import TissueTags, parse_tissue_tags
from deeprecon.scar.write.mesh import element_tags


def box(counts: tuple[int, int, int], spacing: float) -> Mesh:
    """Cubes of `spacing` mm: nodes run fastest along z."""
    shape = np.array(counts) + 1
    nodes = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3) * spacing
    cells = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    ids = np.ravel_multi_index(tuple((cells[:, None] + corners).reshape(-1, 3).T), tuple(shape)).reshape(-1, 8)
    return grid_mesh(nodes.astype(float), [(VTK_HEXAHEDRON, ids)], "box")


def plane_source() -> vtkPlaneSource:
    source = vtkPlaneSource()
    source.SetOrigin(0, 0, 0)
    source.SetPoint1(30, 0, 0)
    source.SetPoint2(0, 30, 0)
    source.SetResolution(30, 30)
    source.Update()
    return source


def plane() -> Mesh:
    """A square of 30 mm by 30 mm."""
    return Mesh(plane_source().GetOutput(), "plane")


def row(rows: list[dict[str, str | float]], region: str) -> dict[str, str | float]:
    return next(row for row in rows if row["region"] == region)


def test_volumes_and_mass_of_a_box() -> None:
    mesh = box((40, 10, 10), 2.0)
    rows = scar_burden(mesh, np.zeros(mesh.n_points), np.zeros(mesh.n_points))
    assert row(rows, "wall")["volume_ml"] == pytest.approx(32.0)
    assert row(rows, "wall")["mass_g"] == pytest.approx(32.0 * 1.05)
    assert row(rows, "wall")["percent_of_wall"] == pytest.approx(100)
    scar = row(rows, "scar")
    assert (scar["volume_ml"], scar["pieces"], scar["largest_piece_ml"]) == (0, 0, 0)


def test_core_and_uncertain_edge_make_up_the_scar() -> None:
    mesh = box((40, 10, 10), 2.0)
    probability = mesh.points[:, 0] / 80  # a ramp along x
    rows = scar_burden(mesh, probability, np.zeros(mesh.n_points), cutoff=0.5, core_cutoff=0.75)
    volumes = {str(row["region"]): float(row["volume_ml"]) for row in rows}
    assert volumes["core"] + volumes["uncertain edge"] == pytest.approx(volumes["scar"])
    assert "border zone" not in volumes, "probability alone tells no tissue"
    # nodes above x = 40 mm are scar: 19 full layers of 0.8 ml and the half one at the end
    assert volumes["scar"] == pytest.approx(19.5 * 0.8)
    assert volumes["core"] == pytest.approx(9.5 * 0.8)


def test_spread_holds_the_volume_and_widens_with_the_uncertainty() -> None:
    mesh = box((40, 10, 10), 2.0)
    probability = mesh.points[:, 0] / 80
    sure = row(scar_burden(mesh, probability, np.zeros(mesh.n_points)), "scar")
    assert sure["low_ml"] == sure["volume_ml"] == sure["high_ml"]
    unsure = row(scar_burden(mesh, probability, np.full(mesh.n_points, 0.051)), "scar")
    # 1.96 * 0.051 = 0.1, which is 8 mm of the ramp and so 4 layers of 0.8 ml (3 whole steps beyond the strict cutoff)
    assert float(unsure["volume_ml"]) - float(unsure["low_ml"]) == pytest.approx(4 * 0.8, abs=0.81)
    assert float(unsure["high_ml"]) - float(unsure["volume_ml"]) == pytest.approx(4 * 0.8, abs=0.81)


def test_surface_burden_is_an_area_without_mass() -> None:
    mesh = plane()
    rows = scar_burden(mesh, (mesh.points[:, 0] > 15).astype(float), np.zeros(mesh.n_points))
    assert row(rows, "wall")["area_cm2"] == pytest.approx(9.0)
    assert row(rows, "scar")["area_cm2"] == pytest.approx(9 * 14.5 / 30)
    assert not any(key.endswith(("_ml", "_g")) for key in rows[0])


def test_node_sizes_add_up_for_mixed_cells() -> None:
    nodes = np.array(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1], [0.5, 0.5, 4]],
        dtype=float,
    )
    mesh = grid_mesh(nodes, [(VTK_HEXAHEDRON, np.arange(8)[None]), (VTK_TETRA, np.array([[4, 5, 6, 8]]))], "mixed")
    sizes = node_sizes(mesh)
    assert sizes.sum() == pytest.approx(1 + 0.5)
    assert sizes[8] == pytest.approx(0.125)
    assert sizes[4] == pytest.approx(0.125 + 0.125)


def test_pieces_join_along_edges_only() -> None:
    mesh = box((30, 30, 1), 1.0)
    x, y, _ = mesh.points.T
    apart = (x < 10) | (x > 12)
    pieces = connected_pieces(mesh_edges(mesh), apart)
    assert set(pieces[x < 10]) == {0}
    assert set(pieces[x > 12]) == {1}
    assert set(pieces[~apart]) == {-1}
    corner_to_corner = ((x <= 5) & (y <= 5)) | ((x >= 6) & (y >= 6))
    assert connected_pieces(mesh_edges(mesh), corner_to_corner).max() == 1
    assert connected_pieces(mesh_edges(mesh), np.zeros(mesh.n_points, dtype=bool)).max() == -1


def test_a_long_winding_piece_is_one() -> None:
    mesh = box((40, 40, 1), 1.0)
    x, y, z = mesh.points.astype(int).T
    snake = (z == 0) & ((y % 4 == 0) | ((y % 4 != 0) & (x == np.where((y // 4) % 2 == 0, 40, 0))))
    assert connected_pieces(mesh_edges(mesh), snake).max() == 0


def test_pieces_are_found_on_surfaces_too() -> None:
    mesh = plane()
    x = mesh.points[:, 0]
    assert connected_pieces(mesh_edges(mesh), (x < 10) | (x > 20)).max() == 1


def test_specks_are_scar_but_no_pieces() -> None:
    mesh = box((40, 10, 10), 2.0)
    x, y, z = mesh.points.T
    speck = (x == 30) & (y == 4) & (z == 4)
    scar = row(scar_burden(mesh, ((x < 10) | speck).astype(float), np.zeros(mesh.n_points)), "scar")
    assert scar["pieces"] == 1
    assert scar["largest_piece_ml"] == pytest.approx(scar["volume_ml"] - 0.008, abs=0.0011)


def test_element_tags_keep_healthy_tags_and_mark_border_and_core() -> None:
    mesh = box((3, 1, 1), 1.0)
    probability = np.interp(mesh.points[:, 0], [0, 1, 2, 3], [0, 0.2, 1, 1])
    core = np.interp(mesh.points[:, 0], [0, 1, 2, 3], [0, 0, 0.2, 1])
    assert element_tags(mesh, probability, core=core).tolist() == [1, 100, 101]
    own, tags = np.array([7, 8, 9]), TissueTags(border=20, core=21)
    assert element_tags(mesh, probability, existing=own, tags=tags, core=core).tolist() == [7, 20, 21]
    assert element_tags(mesh, probability).tolist() == [1, 101, 101], "the uncertain edge is no tissue of its own"
    assert element_tags(mesh, np.zeros(mesh.n_points), existing=own).tolist() == [7, 8, 9]
    assert element_tags(mesh, np.zeros(mesh.n_points), existing=own, tags=TissueTags(3)).tolist() == [3, 3, 3]
    half = np.interp(mesh.points[:, 0], [0, 1, 2, 3], [0, 0, 1, 1])
    assert element_tags(mesh, probability, observed=half).tolist() == [102, 102, 101]


def test_scar_tags_that_are_taken_are_refused() -> None:
    mesh = box((3, 1, 1), 1.0)
    with pytest.raises(InputError, match="box has healthy elements tagged 100 and 101") as caught:
        element_tags(mesh, np.zeros(mesh.n_points), existing=np.array([101, 100, 201]))
    assert "--tags border=300 core=301 unknown=302" in caught.value.hint
    own = np.array([1, 102, 2])
    assert element_tags(mesh, np.zeros(mesh.n_points), existing=own).tolist() == [1, 102, 2]  # nothing is unknown
    with pytest.raises(InputError, match="box has healthy elements tagged 102"):
        element_tags(mesh, np.zeros(mesh.n_points), existing=own, observed=(mesh.points[:, 0] < 2.5).astype(float))


def test_tags_of_tissues_are_written_as_in_the_message() -> None:
    assert parse_tissue_tags(("healthy=1", "border=200", "CORE=201")) == TissueTags(1, 200, 201, 102)
    assert parse_tissue_tags(("border=7 core=7",)) == TissueTags(None, 7, 7, 102)
    for wrong in ("border", "border=", "border=1.5", "scar=3", "healthy=100"):
        with pytest.raises(InputError, match="tag"):
            parse_tissue_tags((wrong,))


def test_curved_cells_and_stray_lines_do_not_disturb() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    pairs = [(0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3)]
    nodes = np.vstack([corners, [(corners[a] + corners[b]) / 2 for a, b in pairs]])
    curved = grid_mesh(nodes, [(VTK_QUADRATIC_TETRA, np.arange(10)[None])], "curved")
    assert connected_pieces(mesh_edges(curved), np.ones(10, dtype=bool)).max() == 0
    # corners meet through the nodes between them only
    assert connected_pieces(mesh_edges(curved), np.arange(10) < 4).max() == 3

    append = vtkAppendPolyData()
    for source in (vtkLineSource(), plane_source()):
        source.Update()
        append.AddInputData(source.GetOutput())
    append.Update()
    assert node_sizes(Mesh(append.GetOutput(), "both")).sum() == pytest.approx(900)


def test_spread_of_samples_is_where_one_more_would_lie() -> None:
    mesh = box((40, 10, 10), 2.0)
    x = mesh.points[:, 0]
    # volumes of 8, 9.6, 11.2 and 12.8 ml over the share of half a layer: scar from the end to 10, 12, 14 and 16 layers
    samples = np.stack([(x > 80 - 2 * layers - 1).astype(float) for layers in (10, 12, 14, 16)])
    volumes = np.array([10.5, 12.5, 14.5, 16.5]) * 0.8
    mean = samples.mean(axis=0)
    rows = scar_burden(mesh, mean, np.zeros(mesh.n_points), cutoff=0.4, samples=samples)
    half = 3.1824 * np.std(volumes, ddof=1) * np.sqrt(1 + 1 / 4)
    assert row(rows, "scar")["low_ml"] == pytest.approx(volumes.mean() - half, abs=2e-3)
    assert row(rows, "scar")["high_ml"] == pytest.approx(volumes.mean() + half, abs=2e-3)
    assert row(rows, "wall")["low_ml"] == row(rows, "wall")["high_ml"] == pytest.approx(32.0)


def test_spread_of_samples_stays_within_the_wall_and_holds_the_volume() -> None:
    mesh = box((40, 10, 10), 2.0)
    x = mesh.points[:, 0]
    samples = np.stack([np.zeros(mesh.n_points), (x > 11).astype(float)])
    scar = row(scar_burden(mesh, samples[1], np.zeros(mesh.n_points), samples=samples), "scar")
    assert (scar["low_ml"], scar["high_ml"]) == (0, 32)
    with pytest.raises(ValueError, match="one sample"):
        scar_burden(mesh, samples[1], np.zeros(mesh.n_points), samples=samples[:1])
    same = np.stack([samples[0], samples[0]])
    scar = row(scar_burden(mesh, samples[1], np.ones(mesh.n_points), samples=same), "scar")
    assert scar["low_ml"] == 0
    assert scar["high_ml"] == scar["volume_ml"]


def test_a_core_of_its_own_splits_the_scar() -> None:
    mesh = box((40, 10, 10), 2.0)
    x = mesh.points[:, 0]
    probability, core = (x > 39).astype(float), ((x > 59) | (x < 11)).astype(float)
    still = np.zeros(mesh.n_points)
    rows = scar_burden(mesh, probability, still, core=core)
    volumes = {str(row["region"]): float(row["volume_ml"]) for row in rows}
    assert volumes["scar"] == pytest.approx(20.5 * 0.8)
    assert volumes["core"] == pytest.approx(10.5 * 0.8)  # core outside the scar does not count
    assert volumes["border zone"] == pytest.approx(10 * 0.8)
    moved = np.stack([core, (x > 49).astype(float)])
    rows = scar_burden(mesh, probability, still, core=core, samples=np.stack([probability] * 2), core_samples=moved)
    assert row(rows, "scar")["low_ml"] == row(rows, "scar")["high_ml"]
    assert float(row(rows, "core")["low_ml"]) < 10.5 * 0.8 < float(row(rows, "core")["high_ml"])
    with pytest.raises(ValueError, match="samples of the core"):
        scar_burden(mesh, probability, still, core=core, samples=np.stack([probability] * 2))


def test_the_border_with_the_healthy_wall_has_an_area() -> None:
    mesh = box((40, 10, 10), 2.0)
    x = mesh.points[:, 0]
    rows = scar_burden(mesh, np.abs(x - 40) / 40, np.zeros(mesh.n_points))  # scar at both ends of the bar
    assert row(rows, "scar")["interface_cm2"] == row(rows, "core")["interface_cm2"] == pytest.approx(8.0)
    assert row(rows, "wall")["interface_cm2"] == row(rows, "uncertain edge")["interface_cm2"] == 0
    core = row(scar_burden(mesh, np.ones(len(x)), np.zeros(len(x)), core=(x > 39).astype(float)), "core")
    assert core["interface_cm2"] == pytest.approx(4.0)
    mesh = plane()
    assert "interface_cm2" not in scar_burden(mesh, np.zeros(mesh.n_points), np.zeros(mesh.n_points))[1]


def test_element_tags_follow_a_core_of_its_own() -> None:
    mesh = box((3, 1, 1), 1.0)
    probability = np.interp(mesh.points[:, 0], [0, 1, 2, 3], [0, 0.4, 1, 1])
    core = np.interp(mesh.points[:, 0], [0, 1, 2, 3], [1, 1, 0.4, 0])
    assert element_tags(mesh, probability, core=core).tolist() == [1, 101, 100]
