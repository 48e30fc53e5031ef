"""The left ventricle's axes out of landmarks and out of cavities, and places in its wall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import place, read_mesh
from deeprecon.data.mesh.mesh import Inside
from deeprecon.data.volume import Volume
from deeprecon.scar.anatomy.axes import Axes, axes_from_cavities, axes_from_landmarks
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.simulate.hearts import Phantom
from deeprecon.scar.simulate.surface_heart import SurfaceHeart
from deeprecon.scar.simulate.ventricle import Tissue, Ventricle

HEART = Ventricle()
LANDMARKS = HEART.landmarks()
AXES = axes_from_landmarks(LANDMARKS)


def degrees_between(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))


def volumes(phantom: Phantom, binary: bool = False) -> tuple[Volume, Volume, Volume]:
    """Left blood, right blood and wall on the slices."""
    scan = phantom.scans[0]
    shares = (
        scan.fractions[Tissue.LEFT_BLOOD],
        scan.fractions[Tissue.RIGHT_BLOOD],
        phantom.stacks[0].wall,
    )
    if binary:
        shares = tuple((share > 0.5).astype(np.uint8) for share in shares)
    left, right, wall = (Volume(share, scan.ijk_to_ras, "blood") for share in shares)
    return left, right, wall


def box(heart: Ventricle, halves: tuple[float, float, float]) -> np.ndarray:
    """Corners of a box around a ventricle."""
    return heart.to_ras(np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.array(halves))


def wall_points(heart: Ventricle, seed: int = 0, count: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points spread through the wall with their depth and their angle from the septum in the heart's own axes."""
    rng = np.random.default_rng(seed)
    depth, angle = rng.random(count), rng.uniform(-np.pi, np.pi, count)
    top = np.arccos(-heart.base_height / (heart.cavity_length + depth * heart.apex_thickness))
    return heart.surface_point(depth, angle, rng.uniform(0, 1, count) * top), depth, angle


# ---- axes


def test_landmarks_of_the_ventricle_give_its_own_axes():
    assert AXES.length == pytest.approx(HEART.length)
    np.testing.assert_allclose(AXES.frame @ AXES.frame.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(AXES.direction, HEART.axes[2], atol=1e-12)
    x, y = HEART.to_local(np.stack([LANDMARKS["anterior insertion"], LANDMARKS["inferior insertion"]]))[:, :2].T
    anterior, inferior = np.arctan2(y, x)
    assert anterior > 0 > inferior
    assert AXES.septum == pytest.approx(anterior - inferior)
    middle = (anterior + inferior) / 2
    np.testing.assert_allclose(AXES.frame[0], np.cos(middle) * HEART.axes[0] + np.sin(middle) * HEART.axes[1])
    assert AXES.frame[1] @ HEART.axes[1] > 0.99
    np.testing.assert_allclose(AXES.to_ras(AXES.to_local(LANDMARKS["base"][None]))[0], LANDMARKS["base"])


def test_names_are_read_by_their_words():
    names = ("LV Apex", "BASE_1", "RV insertion anterior", "PosteriorInsertion", "RV apex", "left atrium")
    points = dict(zip(names, [*list(LANDMARKS.values())[:4], [0, 0, 0], [1, 1, 1]], strict=True))
    found = axes_from_landmarks(points)
    np.testing.assert_array_equal(found.frame, AXES.frame)
    np.testing.assert_array_equal(found.apex, LANDMARKS["apex"])


def test_without_an_insertion_the_rotation_is_unknown():
    some = {name: LANDMARKS[name] for name in ("apex", "base", "anterior insertion")}
    found = axes_from_landmarks(some)
    assert found.septum is None
    np.testing.assert_allclose(found.frame @ found.frame.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(found.frame[2], HEART.axes[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"apex": None}, "where the apex is"),
        ({"apex": None, "base": None}, "where the apex and the base is"),
        ({"LV base": LANDMARKS["base"]}, "Several landmarks are named base"),
        ({"apex": LANDMARKS["base"]}, "same place"),
        ({"apex": [0, np.nan, 0]}, "'apex' has no place"),
        ({"anterior insertion": LANDMARKS["left ventricle"]}, "anterior insertion lies on the line"),
        (
            {
                "anterior insertion": LANDMARKS["inferior insertion"],
                "inferior insertion": LANDMARKS["anterior insertion"],
            },
            "230 degrees",
        ),
        ({"apex": LANDMARKS["base"], "base": LANDMARKS["apex"]}, "230 degrees"),
    ],
)
def test_landmarks_that_fit_no_heart_are_refused(change, message):
    points = {name: point for name, point in (LANDMARKS | change).items() if point is not None}
    with pytest.raises(InputError, match=message):
        axes_from_landmarks(points)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("with_wall", [False, True])
def test_cavities_give_the_axes(patient, binary, turned, with_wall):
    left, right, wall = volumes(patient, binary)
    if turned:  # the same slices, stored from base to apex
        matrix = left.ijk_to_ras @ np.diag([1.0, 1, -1, 1])
        matrix[:3, 3] = left.to_ras([0, 0, left.array.shape[0] - 1])
        left, right, wall = (Volume(volume.array[::-1], matrix, "blood") for volume in (left, right, wall))
    found = axes_from_cavities(left, right, wall if with_wall else None)
    assert degrees_between(found.direction, AXES.direction) < 1.5
    assert degrees_between(found.frame[0], AXES.frame[0]) < 4
    assert 85 < np.degrees(found.septum) < 130
    assert np.linalg.norm(found.base - AXES.base) < 10  # slices are 14 mm apart
    assert np.linalg.norm(found.apex - AXES.apex) < 10


def test_slices_that_are_moved_move_the_axes_with_them(patient):
    left, right, wall = volumes(patient)
    steps = 3.0 * np.random.default_rng(0).normal(size=(len(left.array), 3))
    still = axes_from_cavities(left, right, wall)
    motions = np.tile(np.eye(4), (len(steps), 1, 1))
    motions[:, :3, 3] = [4.0, -3.0, 1.0]
    moved = axes_from_cavities(left, right, wall, motions)
    for name in ("apex", "base", "anterior", "inferior"):
        np.testing.assert_allclose(getattr(moved, name) - getattr(still, name), [4, -3, 1], atol=1e-6)
    motions[:, :3, 3] = steps
    assert degrees_between(axes_from_cavities(left, right, wall, motions).direction, still.direction) > 1


def test_without_the_right_cavity_the_rotation_is_unknown(patient):
    left, right, wall = volumes(patient)
    assert axes_from_cavities(left).septum is None
    nothing = Volume(np.zeros_like(right.array), right.ijk_to_ras)
    assert axes_from_cavities(left, nothing, wall).septum is None


def test_slices_that_do_not_cut_across_the_cavity_are_refused(patient):
    left = volumes(patient)[0]
    alone = np.zeros_like(left.array)
    alone[2] = left.array[2]
    with pytest.raises(InputError, match="on 1 slices"):
        axes_from_cavities(Volume(alone, left.ijk_to_ras, "blood"))
    along = np.zeros((3, 60, 60), np.uint8)
    along[:, 10:50, 25:35] = 1
    with pytest.raises(InputError, match="do not cut across"):
        axes_from_cavities(Volume(along, np.diag([2.0, 2, 8, 1]), "blood"))


# ---- places in the wall


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_places_in_the_wall_are_those_of_the_formulas(scale):
    heart = Ventricle(*(scale * np.array([24.0, 70, 18, 8.5, 4])))
    axes = axes_from_landmarks(heart.landmarks())
    wall = WallCoordinates(axes, heart.wall, box(heart, tuple(scale * np.array([40.0, 40, 80]))))
    points, depth, angle = wall_points(heart)
    found = wall(points)
    assert np.abs(found.depth - depth).mean() < 0.02
    assert np.abs(found.depth - depth).max() < 0.15
    assert np.abs((found.depth - depth).mean()) < 0.005
    x, y, z = heart.to_local(points).T
    np.testing.assert_allclose(found.radius, np.hypot(x, y), atol=1e-9)
    inferior, anterior = heart.to_local(np.stack([axes.inferior, axes.anterior]))
    middle = (np.arctan2(inferior[1], inferior[0]) + np.arctan2(anterior[1], anterior[0])) / 2
    turned = np.angle(np.exp(1j * (found.angle - angle + middle)))
    assert np.abs(turned[found.radius > 1]).max() < 1e-6
    np.testing.assert_allclose(found.height, (z + scale * 70) / (scale * 88), atol=0.01)
    assert found.length == pytest.approx(scale * 88, abs=scale)
    assert found.left.all()
    widest = np.abs(z) < scale * 5
    assert found.thickness[widest].mean() == pytest.approx(scale * 8.5, abs=scale * 0.4)


def test_blood_has_depth_0_and_the_outside_depth_1():
    wall = WallCoordinates(AXES, HEART.wall, box(HEART, (40, 40, 80)))
    cavity = HEART.to_ras(np.array([[0.0, 0, 0], [10, 5, -20], [0, 0, -60]]))
    outside = HEART.to_ras(np.array([[-40.0, 0, 0], [0, 39, -20], [0, 0, -79], [200, 0, 0]]))
    assert not wall(cavity).depth.any()
    assert (wall(outside).depth == 1).all()


def test_a_slanted_base_is_neither_inside_nor_outside():
    """Where a plane across the axis cuts an open ring, the wall keeps its depth."""

    def inside(points: np.ndarray) -> np.ndarray:
        local = HEART.to_local(points)
        return HEART.wall(points) & (local[:, 2] + 0.3 * local[:, 0] < 8)

    wall = WallCoordinates(AXES, inside, box(HEART, (40, 40, 80)))
    points, depth, _ = wall_points(HEART)
    kept = inside(points)
    high = kept & (HEART.to_local(points)[:, 2] > 2)
    assert high.sum() > 500
    assert np.abs(wall(points[kept]).depth - depth[kept]).mean() < 0.02
    assert np.abs(wall(points[high]).depth - depth[high]).mean() < 0.04


def test_the_right_ventricles_wall_is_separated():
    def inside(points: np.ndarray) -> np.ndarray:
        return np.isin(HEART.tissue(points), [Tissue.WALL, Tissue.RIGHT_WALL])

    wall = WallCoordinates(AXES, inside, box(HEART, (70, 45, 80)))
    points = HEART.to_ras(np.random.default_rng(0).uniform([-45, -45, -80], [70, 45, 18], (300_000, 3)))
    tissue = HEART.tissue(points)
    left, right = wall(points[tissue == Tissue.WALL]), wall(points[tissue == Tissue.RIGHT_WALL])
    assert left.left.mean() > 0.995
    assert right.left.mean() < 0.1  # where it meets the left wall, in a rim of a millimeter
    depth = HEART.wall_coordinates(points[tissue == Tissue.WALL])[0]
    assert np.abs(left.depth - depth).mean() < 0.03


def test_an_axis_outside_the_cavity_is_refused():
    for way in ([60.0, 0, 0], [300.0, 0, 0], [0, 0, 300]):
        aside = Axes(AXES.apex + way, AXES.base + way)
        with pytest.raises(InputError, match="encloses no cavity"):
            WallCoordinates(aside, HEART.wall, box(HEART, (40, 40, 80)))


def test_a_real_heart_of_two_ventricles(shared_data: Path):
    """Cobiveco's heart marks its surfaces: 2 right endocardium and epicardium, 3 left endocardium."""
    surface = place(read_mesh(shared_data / "scar" / "cobiveco_geo1" / "heart.vtp"), "mm", "ras")
    heart = SurfaceHeart(surface)
    wall = WallCoordinates(axes_from_landmarks(heart.landmarks()), Inside(surface), surface.points)
    kind = np.asarray(surface.point_array("class")).ravel()
    found = wall(surface.points)
    assert np.quantile(found.depth[kind == 3], 0.95) < 0.1
    assert found.left[kind == 3].mean() > 0.999
    for other in (2, 4):
        assert np.quantile(found.depth[kind == other], 0.02) > 0.9
    across = (surface.points - heart.center) @ heart.axes[0]
    assert found.left[across > 60].mean() < 0.01  # the right ventricle's free wall
    assert found.left[across < 0].mean() > 0.995
