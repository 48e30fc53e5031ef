"""Activation of a wall with scar, from files to files, and what is read off it."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.data.markups import write_markups
from deeprecon.data.mesh.files import place, read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.mesh.parts import with_cell_arrays
from deeprecon.data.mesh.tetrahedra import tetrahedra_of
from deeprecon.data.tables import read_table
from deeprecon.scar.anatomy.axes import axes_from_landmarks
from deeprecon.scar.anatomy.surfaces import find_surfaces
from deeprecon.scar.anatomy.ventricular_coordinates import ventricular_coordinates
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.electrophysiology.parameters import ActivationParameters
from deeprecon.scar.measure.activation_map import (
    channel_transits,
    endocardial_sites,
    late_zones,
    reentry_vulnerability,
    segments_of,
)
from deeprecon.scar.measure.aha import aha_segments
from deeprecon.scar.simulate.ventricle import Tissue, Ventricle

from .ventricle_meshes import both_ventricles, ellipsoid

APEX, BASE = np.array([0, 0, -53.0]), np.array([0, 0, 17.0])
SITE = [0.0, 25.0, 0.0]


@pytest.fixture
def wall(tmp_path):
    """Writes the shell with a scar of some arrays; its fibers run around the axis."""

    def write(name: str = "wall.vtu", **arrays: np.ndarray):
        shell = ellipsoid(4, 12, 24)
        connectivity, offsets, _ = shell.cells()
        middle = np.add.reduceat(shell.points[connectivity], offsets[:-1]) / np.diff(offsets)[:, None]
        around = np.cross([0, 0, 1.0], middle)
        around /= np.linalg.norm(around, axis=1)[:, None]
        mesh = with_cell_arrays(shell, {"fiber": around})
        write_mesh(tmp_path / name, mesh.with_point_arrays(arrays) if arrays else mesh, "mm", "ras")
        return tmp_path / name

    return write


def mesh_of(output) -> Mesh:
    return place(read_mesh(output / "mesh.vtu"), "mm", "ras")


def beside(points: np.ndarray) -> np.ndarray:
    """(N,) scar in a block a quarter of the way around from the site."""
    return np.where((points[:, 0] > 12) & (np.abs(points[:, 2] + 10) < 18), 1.0, 0.0)


def well_within(points: np.ndarray) -> np.ndarray:
    """(N,) places where all neighbors have this scar too."""
    return (points[:, 0] > 20) & (np.abs(points[:, 2] + 10) < 8)


def test_activation_from_a_site_goes_around_the_core(wall, done, result_of):
    points = ellipsoid(4, 12, 24).points
    scar = beside(points)
    output = done("activation", inputs={"mesh": wall(scar_probability=scar, core_probability=scar)}, site=SITE)
    mesh = mesh_of(output)
    times, delay = mesh.point_array("activation_time"), mesh.point_array("activation_delay")
    assert np.nanmin(times) == 0
    assert np.linalg.norm(points[np.nanargmin(times)] - SITE) < 4
    assert np.isnan(times[well_within(points)]).all(), "core does not conduct"
    behind = np.isfinite(times) & (points[:, 0] > 0) & (points[:, 1] < 0)
    assert np.nanmax(delay[behind]) > 5
    assert np.nanmax(delay[(points[:, 0] < 0) & (points[:, 1] > 5)]) < 1, "what lies before the scar is not delayed"
    figures = result_of(output)["metrics"]
    assert figures["sites"] == 1
    assert figures["activated_percent"] < 100
    assert figures["last_activation_ms"] == pytest.approx(np.nanmax(times), abs=0.1)


def test_speeds_scale_the_times_and_border_zone_is_slower(wall, done):
    points = ellipsoid(4, 12, 24).points
    scar, core = beside(points), np.zeros(len(points))
    path = wall(scar_probability=scar, core_probability=core)
    usual = mesh_of(done("activation", "usual", inputs={"mesh": path}, site=SITE))
    double = mesh_of(done("activation", "double", inputs={"mesh": path}, site=SITE, along=1.2, across=0.6))
    times = usual.point_array("activation_time")
    np.testing.assert_allclose(2 * double.point_array("activation_time"), times, rtol=1e-3, atol=1e-3)
    assert np.isfinite(times).all(), "border zone conducts"
    even = mesh_of(done("activation", "even", inputs={"mesh": path}, site=SITE, border=1.0))
    later = times - even.point_array("activation_time")
    assert later[well_within(points)].mean() > 3
    delay = usual.point_array("activation_delay")[well_within(points)]
    np.testing.assert_allclose(delay, later[well_within(points)], rtol=0.2)


def test_each_of_the_segments_is_a_site(tmp_path, done, warnings_of):
    heart = Ventricle()
    write_markups(tmp_path / "points.mrk.json", {n: p for n, p in heart.landmarks().items() if "ventricle" not in n})
    mesh = heart.mesh(5.0)
    write_mesh(tmp_path / "wall.vtu", mesh, "mm", "ras")
    inputs = {"mesh": tmp_path / "wall.vtu", "landmarks": tmp_path / "points.mrk.json"}
    output = done("activation", inputs=inputs)
    rows = read_table(output / "sites.csv")
    assert [int(row["site"]) for row in rows] == list(range(1, 18))
    places = np.array([[float(row[f"{axis}_mm"]) for axis in "ras"] for row in rows])
    coordinates = WallCoordinates(axes_from_landmarks(heart.landmarks()), heart.wall, mesh.points)
    found = coordinates(places)
    assert (aha_segments(found, coordinates.axes) == np.arange(1, 18)).sum() >= 15
    assert (found.depth[:16] < 0.35).all()
    names = set(mesh_of(output).array_names)
    assert {f"activation_time_{number:02d}" for number in range(1, 18)} <= names
    assert any("made by rule" in text for text in warnings_of(output))
    assert any("counts as healthy" in text for text in warnings_of(output))


def test_segments_from_coordinates_are_those_of_the_phantom():
    mesh, heart = both_ventricles(), Ventricle()
    tetrahedra, _ = tetrahedra_of(mesh)
    found = ventricular_coordinates(tetrahedra, find_surfaces(tetrahedra, heart.axes[2], "both"))
    coordinates = WallCoordinates(axes_from_landmarks(heart.landmarks()), heart.wall, mesh.points)
    expected, own = aha_segments(coordinates(mesh.points), coordinates.axes), segments_of(found)
    wall = heart.tissue(mesh.points) == Tissue.WALL
    assert (own[wall] == expected[wall]).mean() > 0.75
    assert not own[~found.left].any()


def test_a_site_of_a_segment_lies_where_it_conducts():
    points = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0), [0.0, 1, 2], indexing="ij"), axis=-1).reshape(-1, 3)
    conducts = points[:, 0] > 1
    (site,) = endocardial_sites(points, np.full(len(points), 4), points[:, 2] / 2, conducts)
    assert (site.segment, site.name) == (4, "basal inferior")
    np.testing.assert_array_equal(points[site.node], [2, 2, 0])


def test_the_vulnerability_index_is_repolarization_less_the_latest_activation_nearby():
    line = np.stack([np.arange(0, 60, 0.5), np.zeros(120), np.zeros(120)], axis=1)
    times = np.where(line[:, 0] < 30, line[:, 0], line[:, 0] + 150)
    found = reentry_vulnerability(line, times, 250, 8)
    at = {place: int(np.flatnonzero(line[:, 0] == place)[0]) for place in (10, 27, 50)}
    assert found[at[10]] == pytest.approx(250 - 8, abs=2)
    assert found[at[27]] == pytest.approx(250 - 158, abs=2), "before the block"
    assert found[at[50]] == pytest.approx(250 - 8, abs=2)
    assert np.isnan(reentry_vulnerability(line, np.where(line[:, 0] < 5, np.nan, times), 250, 8)[:10]).all()


def test_late_zones_are_apart_and_sorted():
    mesh, _ = tetrahedra_of(ellipsoid(3, 12, 24))
    up, down = mesh.points[:, 0] > 15, mesh.points[:, 0] < -22
    rows = late_zones(mesh, np.where(up, 40.0, np.where(down, 60.0, 0)), 20)
    assert [row["largest_delay_ms"] for row in rows] == [40, 60]
    assert rows[0]["volume_ml"] > rows[1]["volume_ml"]
    assert rows[0]["r_mm"] > 15
    assert late_zones(mesh, np.full(len(mesh.points), np.nan), 20) == []


def test_channels_that_are_passed_have_a_transit_and_others_meet_in_the_middle():
    points = np.stack([np.arange(0, 31.0), np.zeros(31), np.zeros(31)], axis=1)
    path = points[5:26]
    (row,) = channel_transits(points, 2 * points[:, 0], [path[::-1]])
    assert (row["passed"], row["entrance_r_mm"], row["exit_r_mm"]) == ("yes", 5, 25)
    assert row["exit_ms"] - row["entrance_ms"] == 40
    assert row["speed_m_s"] == 0.5
    (row,) = channel_transits(points, 40 - 2 * np.abs(points[:, 0] - 15), [path])
    assert (row["passed"], row["speed_m_s"]) == ("no", "")
    assert channel_transits(points, np.full(31, np.nan), [path]) == []
    assert channel_transits(points, points[:, 0], [path + 10]) == []


# ---- bad input


def test_a_site_outside_of_the_wall_or_in_core_is_refused(wall, error_of):
    points = ellipsoid(4, 12, 24).points
    scar = beside(points)
    inputs = {"mesh": wall(scar_probability=scar, core_probability=scar)}
    message = error_of("activation", inputs=inputs, site=[0.0, 0.0, 0.0])
    assert "outside of the wall" in message
    assert "the nearest place of the wall is" in message
    message = error_of("activation", name="core", inputs=inputs, site=[27.0, 0.0, -10.0])
    assert "in scar core" in message
    everywhere = {"mesh": wall("core.vtu", scar_probability=scar * 0 + 1, core_probability=scar * 0 + 1)}
    assert "scar core everywhere" in error_of("activation", name="all", inputs=everywhere, site=SITE)


def test_without_known_segments_a_site_is_asked_for(wall, tmp_path, error_of):
    write_markups(tmp_path / "axis.mrk.json", {"apex": APEX, "base": BASE})
    message = error_of("activation", inputs={"mesh": wall(), "landmarks": tmp_path / "axis.mrk.json"})
    assert "17 segments of wall.vtu are not known" in message
    assert "--site" in message


@pytest.mark.parametrize(
    "settings",
    [{"site": (1.0, 2.0)}, {"along": 0.2}, {"border": 2.0}, {"endo": 100.0}],
    ids=lambda each: next(iter(each)),
)
def test_settings_that_cannot_be_are_refused(settings):
    assert ActivationParameters(**settings).validate() != []
