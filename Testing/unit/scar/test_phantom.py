from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deeprecon.data.mesh.mesh import node_volumes
from deeprecon.scar.measure.sizes import connected_pieces, mesh_edges
from deeprecon.scar.simulate import hearts as phantoms
from deeprecon.scar.simulate.hearts import Phantom, sample_case
from deeprecon.scar.simulate.lesions import LESIONS
from deeprecon.scar.simulate.scan import scan, slices
from deeprecon.scar.simulate.ventricle import Tissue, Ventricle

LOGIC = Path(phantoms.__file__).parents[3]


def quick(**settings: object) -> Phantom:
    """A coarse sample case that is made fast."""
    return sample_case(**{"pixel": 2.5, "node_spacing": 3.0} | settings)


@pytest.fixture(scope="module")
def coarse() -> Phantom:
    return quick(seed=1)


def everywhere(points: np.ndarray) -> np.ndarray:
    return np.full(len(points), Tissue.WALL, dtype=np.uint8)


# The ventricle


def test_the_heart_has_the_size_and_pose_of_a_person(case: Phantom) -> None:
    volumes = node_volumes(case.mesh) / 1000
    assert 90 < volumes.sum() < 140  # ml
    marks = case.landmarks
    assert np.linalg.norm(marks["apex"] - marks["base"]) == pytest.approx(Ventricle().length)
    right, front, up = marks["apex"] - marks["base"]
    assert right < 0 < front  # the apex points to the left, to the front
    assert up < 0  # and down
    assert marks["right ventricle"][0] > marks["left ventricle"][0]  # R counts up


def test_mesh_fills_the_analytic_wall(case: Phantom) -> None:
    volumes = node_volumes(case.mesh)
    assert 60_000 <= case.mesh.n_points <= 100_000
    assert (volumes > 0).all()
    low, high = case.mesh.points.min(axis=0), case.mesh.points.max(axis=0)
    points = np.random.default_rng(3).uniform(low, high, (1_000_000, 3))
    analytic = case.wall(points).mean() * np.prod(high - low)
    assert volumes.sum() == pytest.approx(analytic, rel=0.01)


def test_mesh_has_no_inverted_cells(case: Phantom) -> None:
    points = case.mesh.points
    connectivity, offsets, _ = case.mesh.cells()
    sizes = np.diff(offsets)
    hexahedra = connectivity[np.repeat(sizes == 8, sizes)].reshape(-1, 8)
    one, two, three = (points[hexahedra[:, n]] - points[hexahedra[:, 0]] for n in (1, 3, 4))
    assert (np.einsum("ij,ij->i", np.cross(one, two), three) > 0).all()


def test_wall_is_thickest_at_the_septum_and_thin_at_the_apex() -> None:
    heart = Ventricle()

    def thickness(start: list[float], direction: list[float]) -> float:
        steps = np.arange(0, 90, 0.01)[:, None]
        return float(heart.wall(heart.to_ras(np.array(start) + steps * np.array(direction))).sum() * 0.01)

    septum, side = thickness([0, 0, 0], [1, 0, 0]), thickness([0, 0, 0], [-1, 0, 0])
    front, apex = thickness([0, 0, 0], [0, 1, 0]), thickness([0, 0, 0], [0, 0, -1])
    assert 6 < front < side < septum < 12
    assert 3 <= apex <= 5


def test_wall_coordinates_invert_the_surface_points() -> None:
    heart = Ventricle()
    rng = np.random.default_rng(4)
    depth, angle, polar = rng.uniform(0, 1, 500), rng.uniform(-np.pi, np.pi, 500), rng.uniform(0.05, 1.7, 500)
    points = heart.surface_point(depth, angle, polar)
    found_depth, found_angle, height = heart.wall_coordinates(points)
    assert found_depth == pytest.approx(depth, abs=1e-6)
    assert found_angle == pytest.approx(angle, abs=1e-9)
    assert height == pytest.approx(heart.to_local(points)[:, 2])


def test_insertions_lie_where_wall_right_blood_and_outside_meet() -> None:
    heart = Ventricle()
    for name in ("anterior insertion", "inferior insertion"):
        mark = heart.landmarks()[name]
        around = mark + np.random.default_rng(5).normal(0, 1.5, (4000, 3))
        assert {Tissue.WALL, Tissue.RIGHT_BLOOD, Tissue.RIGHT_WALL} <= set(heart.tissue(around).tolist())
    near_septum = heart.to_ras(np.array([[36.0, 0.0, 0.0], [33.0, 0.0, -30.0]]))
    assert (heart.tissue(near_septum) == Tissue.RIGHT_BLOOD).all()


def test_tissues_exclude_each_other_and_end_at_the_valves() -> None:
    heart = Ventricle()
    points = heart.to_ras(np.random.default_rng(6).uniform(-90, 90, (50_000, 3)))
    kinds = heart.tissue(points)
    assert set(kinds.tolist()) == set(Tissue)
    assert np.array_equal(heart.wall(points), kinds == Tissue.WALL)
    assert (kinds[heart.to_local(points)[:, 2] > heart.base_height] == Tissue.OUTSIDE).all()


# The scars


def test_sample_scar_is_plausible(case: Phantom) -> None:
    volumes = node_volumes(case.mesh)
    assert 0.10 < volumes[case.truth].sum() / volumes.sum() < 0.25
    pieces = connected_pieces(mesh_edges(case.mesh), case.truth)
    assert pieces.max() == 1  # a large one and a small one
    sizes = np.sort(np.bincount(pieces[case.truth], weights=volumes[case.truth]))
    assert sizes[0] < 0.2 * sizes[1]


def test_sample_scar_is_transmural_in_the_middle_and_subendocardial_at_its_border(case: Phantom) -> None:
    depth = Ventricle().wall_coordinates(case.mesh.points)[0]
    volumes = node_volumes(case.mesh)

    def share(where: np.ndarray) -> float:
        return float(volumes[case.truth & where].sum() / volumes[where].sum())

    inner, outer = share(depth < 0.2), share(depth > 0.8)
    assert 0 < outer < inner


@pytest.mark.parametrize("name", sorted(set(LESIONS) - {"none"}))
def test_every_lesion_marks_some_of_the_wall(name: str, case: Phantom) -> None:
    volumes = node_volumes(case.mesh) / 1000
    scarred = LESIONS[name](Ventricle())(case.mesh.points)
    assert (0.4 if name == "tiny" else 3) < volumes[scarred].sum() < 30


def test_lesions_have_the_shape_of_their_name(case: Phantom) -> None:
    heart, points = Ventricle(), case.mesh.points
    depth = heart.wall_coordinates(points)[0]
    assert depth[LESIONS["subendocardial"](heart)(points)].max() < 0.9
    middle = depth[LESIONS["midwall"](heart)(points)]
    assert middle.min() > 0.1
    assert middle.max() < 0.9
    assert connected_pieces(mesh_edges(case.mesh), LESIONS["isthmus"](heart)(points)).max() == 1
    through = depth[LESIONS["wedge"](heart)(points)]
    assert through.min() < 0.01
    assert through.max() > 0.99
    assert not LESIONS["none"](heart)(points).any()


def test_truth_and_scar_agree_inside_the_wall(case: Phantom) -> None:
    inside = case.wall(case.mesh.points)
    assert (case.scar(case.mesh.points)[inside] == case.truth[inside]).all()
    assert not case.scar(case.mesh.points + 200).any()


# The images


def test_slices_cover_the_heart_at_their_spacing(case: Phantom) -> None:
    stack = case.stacks[0]
    assert 8 <= len(stack.wall) <= 10
    assert np.linalg.norm(stack.ijk_to_ras[:3, :3], axis=0) == pytest.approx([1.4, 1.4, 10])
    assert np.linalg.det(stack.ijk_to_ras[:3, :3]) > 0
    assert abs(np.dot(stack.ijk_to_ras[:3, 2] / 10, Ventricle().axes[2])) == pytest.approx(1)
    border = np.ones(stack.wall.shape, dtype=bool)
    border[:, 3:-3, 3:-3] = False
    assert stack.wall[border].max() == 0
    assert stack.thickness == 8


def test_fractions_agree_with_a_fine_count(case: Phantom) -> None:
    stack = case.stacks[0]
    assert stack.wall.min() >= 0
    assert stack.wall.max() <= 1
    assert stack.scar.max() <= 1
    k, (rows, columns) = 4, stack.wall.shape[1:]
    low, high = [-0.5, -0.5, k - 0.4], [columns - 0.5, rows - 0.5, k + 0.4]  # 8 mm of the 10 mm to the next slice
    points = np.random.default_rng(7).uniform(low, high, (1_000_000, 3))
    points = points @ stack.ijk_to_ras[:3, :3].T + stack.ijk_to_ras[:3, 3]
    pixels = rows * columns
    assert stack.wall[k].sum() / pixels == pytest.approx(case.wall(points).mean(), rel=0.02)
    assert (stack.wall[k] * stack.scar[k]).sum() / pixels == pytest.approx(case.scar(points).mean(), rel=0.03)


def test_slab_has_its_thickness_and_is_centered_on_the_slice() -> None:
    matrix = np.diag([1.0, 1.0, 10.0, 1.0])
    for height, expected in ((0.0, 0.5), (3.0, 0.125), (-3.0, 0.875), (5.0, 0.0), (-5.0, 1.0)):
        found = scan(everywhere, lambda points, height=height: points[:, 2] > height, matrix, (1, 2, 2), 8.0)
        assert found.scar == pytest.approx(np.full((1, 2, 2), expected))


def test_pixels_are_centered_on_their_index() -> None:
    matrix = np.diag([1.0, 1.0, 10.0, 1.0])
    found = scan(everywhere, lambda points: points[:, 0] > 1.25, matrix, (1, 1, 4), 8.0)
    assert found.scar[0, 0] == pytest.approx([0, 0.25, 1, 1])
    found = scan(everywhere, lambda points: points[:, 1] > 1.25, matrix, (1, 4, 1), 8.0)
    assert found.scar[0, :, 0] == pytest.approx([0, 0.25, 1, 1])


def test_no_scar_is_data_where_there_is_wall(coarse: Phantom) -> None:
    stack = quick(lesion="none").stacks[0]
    assert (stack.scar == 0).all()
    assert np.array_equal(stack.wall, coarse.stacks[0].wall)


def test_a_shift_moves_the_slice_and_nothing_else(coarse: Phantom) -> None:
    old = coarse.scans[0]
    shifts = np.zeros((len(old.scar), 2))
    shifts[3] = 2 * 2.5, -2.5  # whole pixels: 2 along i, 1 back along j
    moved = scan(coarse.tissue, coarse.lesion, old.ijk_to_ras, old.scar.shape, old.thickness, shifts)
    assert np.allclose(moved.scar[3], np.roll(old.scar[3], (-1, 2), axis=(0, 1)), atol=0.02)
    assert np.array_equal(np.delete(moved.scar, 3, axis=0), np.delete(old.scar, 3, axis=0))


def test_shifted_slices_have_the_requested_spread_and_keep_the_truth(coarse: Phantom) -> None:
    shifted = quick(shift=2.0, seed=5)
    rows, columns = np.indices(coarse.stacks[0].wall.shape[1:])

    def middles(phantom: Phantom) -> np.ndarray:
        walls = phantom.stacks[0].wall[1:]
        return np.array([[(wall * columns).sum(), (wall * rows).sum()] / wall.sum() for wall in walls]) * 2.5

    spread = np.sqrt(((middles(shifted) - middles(coarse)) ** 2).mean())
    assert 1.2 < spread < 3.0
    assert (shifted.truth == coarse.truth).all()
    again = quick(shift=2.0, seed=5)
    assert np.array_equal(shifted.lge[0].array, again.lge[0].array)


def test_lge_shows_dark_wall_bright_blood_and_brighter_scar(case: Phantom) -> None:
    image, stack = case.lge[0].array.astype(float), case.stacks[0]
    healthy = image[(stack.wall > 0.99) & (stack.scar == 0)].mean()
    scarred = image[(stack.wall > 0.99) & (stack.scar == 1)].mean()
    blood = image[case.scans[0].fractions[Tissue.LEFT_BLOOD] == 1].mean()
    assert healthy < 0.5 * blood < blood < scarred
    assert image.min() >= 0
    assert case.lge[0].slice_thickness == 8


def test_noise_is_seeded_and_rician(coarse: Phantom) -> None:
    one, same, other = coarse, quick(seed=1), quick(seed=2)
    assert np.array_equal(one.lge[0].array, same.lge[0].array)
    assert not np.array_equal(one.lge[0].array, other.lge[0].array)
    assert np.array_equal(one.scans[0].scar, other.scans[0].scar)
    noise = one.scans[0].lge(np.random.default_rng(0), 30.0, "LGE").array
    dark = noise[(one.stacks[0].wall > 0.999) & (one.stacks[0].scar == 0)]
    assert dark.mean() == pytest.approx(60 + 30**2 / (2 * 60), abs=2)  # Rician noise lifts a weak signal


def test_other_hearts_scale() -> None:
    small = Ventricle(cavity_radius=18, cavity_length=55, wall_thickness=6.5, apex_thickness=3, base_height=14)
    case = quick(ventricle=small)
    assert 35 < node_volumes(case.mesh).sum() / 1000 < 70
    assert case.truth.any()


def test_grid_of_slices_counts_along_its_normal() -> None:
    points = np.random.default_rng(8).uniform(-20, 20, (100, 3))
    matrix, shape = slices(points, np.array([0, 0, -2.0]), np.array([0, -1.0, 0.3]), spacing=10, pixel=2)
    assert matrix[:3, 2] == pytest.approx([0, 0, -10])
    assert matrix[:3, 1] == pytest.approx([0, -2, 0])
    center = matrix @ [(shape[2] - 1) / 2, (shape[1] - 1) / 2, (shape[0] - 1) / 2, 1]
    assert center[:3] == pytest.approx((points.min(axis=0) + points.max(axis=0)) / 2)


# Long-axis slices


def test_long_axis_slices_hold_the_axis_and_show_the_chambers_of_their_view(coarse: Phantom) -> None:
    heart, found = Ventricle(), quick(seed=1, long_axis=3)
    axis = np.stack([coarse.landmarks["apex"], coarse.landmarks["base"]])
    for stack in found.stacks[1:]:
        assert stack.wall.shape[0] == 1
        assert stack.thickness == 8
        assert np.linalg.norm(stack.ijk_to_ras[:3, :3], axis=0) == pytest.approx([2.5, 2.5, 8])
        assert np.linalg.det(stack.ijk_to_ras[:3, :3]) > 0
        i, j, k = np.linalg.solve(stack.ijk_to_ras, np.vstack([axis.T, [1, 1]]))[:3]
        assert k == pytest.approx(0, abs=1e-9)
        assert (min(i) > 0) & (max(i) < stack.wall.shape[2]) & (min(j) > 0) & (max(j) < stack.wall.shape[1])
        border = np.ones(stack.wall.shape, dtype=bool)
        border[:, 3:-3, 3:-3] = False
        assert stack.wall[border].max() == 0
    two, four, three = (stack.normal for stack in found.stacks[1:])
    assert abs(two @ heart.axes[0]) == pytest.approx(1)  # from front to back, along the septum
    for first, second in ((two, four), (four, three), (two, three)):
        assert abs(first @ second) == pytest.approx(0.5)
    right = [found.scans[n].fractions[Tissue.RIGHT_BLOOD].sum() for n in (1, 2, 3)]
    assert right[0] < 0.5 * min(right[1:])


def test_long_axis_slices_leave_the_stack_as_it_is(coarse: Phantom) -> None:
    found = quick(seed=1, long_axis=1)
    assert len(found.stacks) == len(found.lge) == len(found.shifts) == 2
    assert np.array_equal(found.lge[0].array, coarse.lge[0].array)
    assert np.array_equal(found.truth, coarse.truth)


def test_shifts_are_the_displacement_of_each_slice() -> None:
    found = quick(seed=5, shift=4.0, long_axis=2)
    for stack, shifts in zip(found.stacks, found.shifts, strict=True):
        assert shifts.shape == (len(stack.wall), 2)
        assert shifts.std() > 1
        offsets = shifts @ (stack.ijk_to_ras[:3, :2] / 2.5).T  # mm to RAS
        inverse = np.linalg.inv(stack.ijk_to_ras)
        for k, offset in enumerate(offsets):

            def met(points: np.ndarray, stack=stack, k=k, inverse=inverse) -> float:
                """Share of the nodes in this slice whose pixels show wall."""
                place = points @ inverse[:3, :3].T + inverse[:3, 3]
                i, j, _ = np.rint(place[np.abs(place[:, 2] - k) < 0.2]).astype(int).T
                return float((stack.wall[k, j, i] > 0).mean())

            assert met(found.mesh.points + offset) > 0.97  # a node on the surface may share its pixel with 1 % of wall
            assert np.linalg.norm(offset) < 3 or met(found.mesh.points - offset) < 0.9
