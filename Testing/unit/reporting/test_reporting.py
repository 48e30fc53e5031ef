"""The report page and its pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from deeprecon.reporting.figures import Slice, _render, curves, montage, surface_views, views_along
from deeprecon.reporting.html import RESEARCH_ONLY, Report


def pixels(png: bytes) -> np.ndarray:
    import matplotlib.image

    return matplotlib.image.imread(io.BytesIO(png))[..., :3]


def tetrahedron() -> tuple[np.ndarray, np.ndarray]:
    points = np.array([[0, 0, 0], [40, 0, 0], [0, 40, 0], [0, 0, 40.0]])
    return points, np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])


def test_report_is_one_file_that_fetches_nothing(tmp_path: Path) -> None:
    report = Report("Scar <reconstruction>", "3.2 ml & more")
    report.heading("Burden")
    report.table([{"region": "scar", "ml": 3.25}, {"region": "wall", "ml": 120.0}])
    report.picture(montage([Slice("slice 1", np.eye(8), {"wall": np.eye(8)})]), "A slice")
    report.warning("Mesh and images overlap by 70 %.")
    report.write(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Scar &lt;reconstruction&gt;" in text
    assert "3.2 ml &amp; more" in text
    assert RESEARCH_ONLY in text
    assert "<td class='number'>3.25</td>" in text
    assert "http" not in text
    assert "src='data:image/png;base64," in text


def test_surface_picture_shows_high_values_in_red_and_low_values_light() -> None:
    points, triangles = tetrahedron()
    view = views_along(np.array([0.0, 0.0, 1.0]))[:1]
    healthy = pixels(surface_views(points, triangles, np.zeros(4), view, "scar"))
    scarred = pixels(surface_views(points, triangles, np.ones(4), view, "scar"))
    redness = [(image[..., 0] - image[..., 1]).mean() for image in (healthy, scarred)]
    assert redness[1] > redness[0] + 0.02


def test_nearer_triangles_hide_farther_ones() -> None:
    square = np.array([[-10, 0, -10], [10, 0, -10], [10, 0, 10], [-10, 0, 10.0]])
    points = np.concatenate([np.add(square, [0, 5, 0]), np.subtract(square, [0, 5, 0])])
    triangles = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    values = np.array([1.0] * 4 + [0.0] * 4)
    views = {view.name: view for view in views_along(np.array([0.0, 0.0, 1.0]))}
    front = pixels(surface_views(points, triangles, values, [views["from anterior"]], "scar"))
    back = pixels(surface_views(points, triangles, values, [views["from posterior"]], "scar"))
    middle = [image[image.shape[0] // 2, int(image.shape[1] * 0.4)] for image in (front, back)]
    assert middle[0][0] - middle[0][1] > 0.3
    assert abs(middle[1][0] - middle[1][1]) < 0.2


def test_axis_along_a_patient_direction_leaves_out_the_views_it_would_hide() -> None:
    names = [view.name for view in views_along(np.array([0.0, 1.0, 0.05]))]
    assert "from anterior" not in names
    assert "along the axis" in names


@pytest.mark.parametrize("count", [1, 4, 7])
def test_montage_draws_any_number_of_slices(count: int) -> None:
    image = np.linspace(0, 1, 256).reshape(16, 16)
    assert pixels(montage([Slice(f"slice {n}", image, {"scar": image}) for n in range(count)])).std() > 0


def test_curves_have_one_line_a_series() -> None:
    picture = pixels(curves({"training": [1.0, 0.1], "held out": [1.0, 0.2]}, [0, 10], "loss"))
    assert len(np.unique(picture.reshape(-1, 3).round(2), axis=0)) > 10


def sphere(rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and triangles of a heart-sized ellipsoid, about 2 x rings^2 triangles."""
    turn, height = np.meshgrid(
        np.linspace(0, 2 * np.pi, rings, endpoint=False), np.linspace(0.01, np.pi - 0.01, rings), indexing="ij"
    )
    points = np.stack([40 * np.cos(turn) * np.sin(height), 40 * np.sin(turn) * np.sin(height), 60 * np.cos(height)], -1)
    i, j = (index.ravel() for index in np.indices((rings, rings - 1)))
    first, next_ = i * rings + j, (i + 1) % rings * rings + j
    triangles = [np.stack([first, next_, next_ + 1], -1), np.stack([first, next_ + 1, first + 1], -1)]
    return points.reshape(-1, 3), np.concatenate(triangles)


def test_surface_pictures_have_no_holes_whatever_the_size_of_the_triangles() -> None:
    view = views_along(np.array([0.0, 0.0, 1.0]))[:1]
    for rings in (6, 60, 240):
        points, triangles = sphere(rings)
        image = pixels(surface_views(points, triangles, np.ones(len(points)), view, "scar"))
        row = image[image.shape[0] // 2, : image.shape[1] // 2]
        surface = np.flatnonzero(row.min(axis=-1) < 0.5)
        assert len(surface) > 60
        assert len(surface) == surface[-1] - surface[0] + 1


@pytest.mark.timeout(240)
def test_surface_pictures_of_a_fine_mesh() -> None:
    points, triangles = sphere(390)
    assert len(triangles) > 300_000
    surface_views(points, triangles, np.zeros(len(points)), views_along(np.array([0.0, 0.0, 1.0])), "scar")


def test_corners_a_rounding_error_below_the_next_pixel_stay_in_the_picture() -> None:
    for edge in range(2, 60):
        last = np.nextafter(edge, 0)
        corners = np.array([[[0, 0, 0], [last, last, 1], [last, last, 2]], [[last, last, 0]] * 3])
        nearest, _ = _render(corners, np.ones((2, 3)))
        assert (nearest >= 0).any(axis=1).sum() >= edge - 1
