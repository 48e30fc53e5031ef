"""The 17 segments, transmurality, and their tables."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.scar.anatomy.axes import Axes, axes_from_landmarks
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates, WallPlace
from deeprecon.scar.measure.aha import SEGMENTS, Columns, aha_rows, aha_segments, transmurality_rows, wall_columns
from deeprecon.scar.measure.sizes import node_sizes
from deeprecon.scar.simulate.ventricle import Ventricle

HEART = Ventricle()
AXES = axes_from_landmarks(HEART.landmarks())
MESH = HEART.mesh(1.6)
WALL = WallCoordinates(AXES, HEART.wall, MESH.points)
PLACE = WALL(MESH.points)
SIZES = node_sizes(MESH)
DEPTH = HEART.wall_coordinates(MESH.points)[0]


def at(angle: float, height: float) -> np.ndarray:
    """(1, 3) RAS mm in the middle of the wall, degrees from the septum over the front and mm along the heart's z."""
    polar = np.arccos(-height / (HEART.cavity_length + HEART.apex_thickness / 2))
    return HEART.surface_point(np.array([0.5]), np.array([np.radians(angle)]), np.array([polar]))


# The insertions lie at 59 and -71 degrees, and the thirds end at -11 and -41 mm.
BASE, MIDDLE, APICAL = (12, -8), (-15, -38), (-44, -68)
SIXTHS = {1: (62, 90, 114), 2: (2, 30, 56), 3: (-12, -40, -68), 4: (-74, -100, -125), 5: (178, 205, 229), 6: (120, 172)}
FOURTHS = {13: (43, 85, 126), 14: (-47, 0, 36), 15: (-54, -96, -137), 16: (133, 175, 219)}


@pytest.mark.parametrize(("shift", "heights", "angles"), [(0, BASE, SIXTHS), (6, MIDDLE, SIXTHS), (0, APICAL, FOURTHS)])
def test_known_points_lie_in_their_segments(shift, heights, angles):
    for segment, places in angles.items():
        for height in heights:
            for angle in places:
                found = aha_segments(WALL(at(angle, height)), AXES)
                assert found.tolist() == [segment + shift], (angle, height, SEGMENTS[segment + shift - 1])


def test_the_wall_beyond_the_cavity_is_the_apex():
    tip = HEART.to_ras(np.array([[0.0, 0, -73], [3, 2, -72]]))
    assert aha_segments(WALL(tip), AXES).tolist() == [17, 17]


def test_with_120_degrees_between_the_insertions_all_six_are_equal():
    angle = np.radians(np.arange(-180, 180) + 0.5)
    one = np.ones(360)
    place = WallPlace(0.5 * one, angle, 0.9 * one, one > 0, 30 * one, 9 * one, 90.0)
    anterior, inferior = (np.array([np.cos(a), np.sin(a), 0.5]) * 30 for a in np.radians([60, -60]))
    axes = Axes(np.zeros(3), np.array([0, 0, 90.0]), anterior, inferior)
    found = aha_segments(place, axes)
    assert np.bincount(found).tolist() == [0, 60, 60, 60, 60, 60, 60]
    named = {SEGMENTS[segment - 1]: np.degrees(angle[found == segment]).mean() for segment in (1, 2, 3, 4)}
    expected = {"basal anterior": 90, "basal anteroseptal": 30, "basal inferoseptal": -30, "basal inferior": -90}
    assert named == pytest.approx(expected)


def test_there_are_no_segments_without_insertions_or_outside_the_left_wall():
    assert not aha_segments(PLACE, Axes(AXES.apex, AXES.base)).any()
    right = PLACE._replace(left=np.zeros(len(DEPTH), bool))
    assert not aha_segments(right, AXES).any()
    assert set(aha_segments(PLACE, AXES)) == set(range(1, 18))


# ---- transmurality


@pytest.mark.parametrize("layers", range(8))
def test_scar_up_to_a_depth_has_that_transmurality_everywhere(layers):
    """The mesh has nodes at seven depths; by volume, inner layers of a bowl are somewhat less than by thickness."""
    columns = wall_columns(PLACE, SIZES, (layers - 0.5 > DEPTH * 6).astype(float))
    truth = np.clip((layers - 0.5) / 6, 0, 1)
    assert columns.transmurality.mean() == pytest.approx(truth, abs=0.06)
    assert columns.transmurality.std() < 0.08


def test_half_a_probability_through_the_wall_is_half_of_it():
    columns = wall_columns(PLACE, SIZES, np.full(len(DEPTH), 0.6))
    np.testing.assert_allclose(columns.transmurality, 0.6)
    assert not wall_columns(PLACE, SIZES, np.full(len(DEPTH), 0.4)).transmurality.any()


def test_columns_do_not_see_their_neighbors():
    """A transmural scar with an edge: outside it there is none, within it all, in a rim of a column's width a part."""
    along = HEART.to_local(MESH.points)
    columns = wall_columns(PLACE, SIZES, (along[:, 1] > 0).astype(float))
    assert columns.transmurality[along[:, 1] > 4].min() == 1
    assert columns.transmurality[along[:, 1] < -4].max() == 0


def test_the_columns_areas_are_that_of_the_walls_middle_surface():
    polar, angle = np.meshgrid(np.linspace(1e-4, np.arccos(-18 / 72), 600), np.linspace(0, 2 * np.pi, 600))
    surface = HEART.surface_point(np.full(polar.shape, 0.5), angle, polar)
    sides = np.diff(surface, axis=0)[:, :-1], np.diff(surface, axis=1)[:-1]
    truth = np.linalg.norm(np.cross(*sides), axis=-1).sum()
    assert wall_columns(PLACE, SIZES, np.zeros(len(DEPTH))).area.sum() == pytest.approx(truth, rel=0.03)


def test_the_right_ventricle_does_not_count():
    half = PLACE.angle > 0
    columns = wall_columns(PLACE._replace(left=half), SIZES, np.ones(len(DEPTH)))
    assert not columns.area[~half].any()
    assert not columns.transmurality[~half].any()
    assert (columns.transmurality[half] == 1).all()
    none = wall_columns(PLACE._replace(left=np.zeros_like(half)), SIZES, np.ones(len(DEPTH)))
    assert not none.area.any()


# ---- tables


def test_rows_give_the_scar_of_each_segment():
    segments = np.array([1, 1, 1, 1, 8, 8, 0])
    sizes = np.array([100.0, 100, 200, 100, 300, 100, 999])
    probability = np.array([0.9, 0.55, 0.1, 0.45, 0.2, 0.3, 1.0])
    columns = Columns(np.array([0.8, 0.8, 0, 0.4, 0, 0, 1]), np.array([10.0, 10, 20, 10, 30, 10, 0]))
    rows = aha_rows(segments, sizes, probability, np.full(7, 0.05), columns, density=1.1)
    assert [row["segment"] for row in rows] == list(range(1, 18))
    assert rows[0] == {
        "segment": 1,
        "name": "basal anterior",
        "wall_ml": 0.5,
        "scar_ml": 0.2,
        "low_ml": 0.1,
        "high_ml": 0.3,
        "scar_g": 0.22,
        "scar_percent": 40,
        "mean_transmurality_percent": 66.667,
        "transmural_share_percent": 40,
    }
    assert rows[7]["wall_ml"] == 0.4
    assert rows[7]["scar_ml"] == rows[7]["mean_transmurality_percent"] == 0
    assert rows[16]["wall_ml"] == rows[16]["scar_percent"] == 0


def test_segments_add_up_to_the_wall():
    segments = aha_segments(PLACE, AXES)
    scar = (DEPTH < 0.5).astype(float)
    rows = aha_rows(segments, SIZES, scar, 0 * scar, wall_columns(PLACE, SIZES, scar))
    assert sum(row["wall_ml"] for row in rows) == pytest.approx(SIZES.sum() / 1000, abs=0.01)
    assert sum(row["scar_ml"] for row in rows) == pytest.approx((SIZES * scar).sum() / 1000, abs=0.01)


def test_the_histogram_has_every_class_and_the_whole_wall():
    columns = Columns(np.array([0, 0.01, 0.25, 0.26, 0.5, 0.6, 0.75, 0.76, 1.0, 1.0 + 1e-9]), np.full(10, 50.0))
    rows = transmurality_rows(columns)
    assert [row["transmurality_percent"] for row in rows] == ["0", "1-25", "26-50", "51-75", "76-100"]
    assert [row["area_cm2"] for row in rows] == [0.5, 1, 1, 1, 1.5]
    assert [row["percent_of_wall"] for row in rows] == [10, 20, 20, 20, 30]
