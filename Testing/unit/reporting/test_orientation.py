"""Slices in pictures: the same picture whatever the order of a file's axes, with the letters of its sides."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from unit.data.orientations import orders, rotation

from deeprecon.data.volume import Volume, canonical
from deeprecon.numerics.grids import turned
from deeprecon.reporting.figures import Slice, montage
from deeprecon.reporting.orientation import Orientation, direction_letters, orientation

APEX = np.array([-0.6, 0.6, -0.5]) / np.linalg.norm([0.6, 0.6, 0.5])
"""From the base of a heart to its apex: to the left, to the front and down."""
UP = np.array([0.0, 0.0, 1.0]) - APEX[2] * APEX
UP /= np.linalg.norm(UP)
RIGHT = np.cross(APEX, UP)
"""From the left ventricle to the right one."""

PLANES = {  # two directions in the plane, and the letters left, right, top and bottom
    "axial": ((1, 0, 0), (0, 1, 0), "R L A P"),
    "coronal": ((1, 0, 0), (0, 0, 1), "R L S I"),
    "sagittal": ((0, 1, 0), (0, 0, 1), "A P S I"),
    "short axis": (RIGHT, UP, "RA LP SLA IRP"),
    "short axis, turned": (RIGHT + 0.4 * UP, UP - 0.4 * RIGHT, "ARS PLI SL IR"),
    "2 chambers": (APEX, UP, "RPS LAI SLA IRP"),
    "3 chambers": (APEX, UP + RIGHT, "AS PI RPS LAI"),
    "4 chambers": (APEX, RIGHT, "RA LP LAI RPS"),
}


def image(plane: str, spacing: tuple[float, float] = (1.5, 1.5)) -> Volume:
    """A slice of a plane with the mark 1 in its first pixel, 2 and 3 in those at the ends of first row and column."""
    first, second, _ = PLANES[plane]
    i, j = (np.asarray(axis, float) / np.linalg.norm(axis) for axis in (first, second))
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = np.stack([i * spacing[0], j * spacing[1], 8 * np.cross(i, j)], axis=1)
    array = np.zeros((1, 5, 7), np.int16)
    array[0, 0, 0], array[0, 0, -1], array[0, -1, 0] = 1, 2, 3
    return Volume(array, ijk_to_ras)


def shown(volume: Volume) -> tuple[np.ndarray, Orientation]:
    """The picture of a single slice."""
    ordered = canonical(volume)
    view = orientation(ordered.ijk_to_ras[:3, 1], ordered.ijk_to_ras[:3, 0])
    return view.turned(ordered.array[0]), view


def sides(view: Orientation) -> str:
    return f"{view.left} {view.right} {view.top} {view.bottom}"


@pytest.mark.parametrize("plane", PLANES)
def test_every_order_of_the_axes_gives_the_same_picture(plane: str) -> None:
    expected, view = shown(image(plane))
    for variant in orders(image(plane)):
        picture, own = shown(variant)
        assert np.array_equal(picture, expected)
        assert sides(own) == sides(view)


@pytest.mark.parametrize("plane", PLANES)
def test_every_turn_of_a_plane_gives_the_same_picture(plane: str) -> None:
    """Without `canonical`, which already makes all orders one."""
    volume = image(plane)
    expected, view = shown(volume)
    i, j = volume.ijk_to_ras[:3, 0], volume.ijk_to_ras[:3, 1]
    for swap, rows, columns in product((False, True), repeat=3):
        down, right = (i, j) if swap else (j, i)
        own = orientation(-down if rows else down, -right if columns else right)
        assert np.array_equal(own.turned(turned(volume.array[0], swap, rows, columns)), expected)
        assert sides(own) == sides(view)


@pytest.mark.parametrize("plane", PLANES)
def test_the_letters_tell_the_sides(plane: str) -> None:
    volume = image(plane)
    picture, view = shown(volume)
    assert sides(view) == PLANES[plane][2]
    place = {value: np.array(np.nonzero(picture == value)).ravel() for value in (1, 2, 3)}
    steps = {2: volume.ijk_to_ras[:3, 0], 3: volume.ijk_to_ras[:3, 1]}
    for value, step in steps.items():  # the marked corners lie where the letters say
        down, right = np.sign(place[value] - place[1])
        letters = view.right if right > 0 else view.left if right < 0 else view.bottom if down > 0 else view.top
        assert direction_letters(step / np.linalg.norm(step)) == letters
    towards_viewer = np.cross(*(step / np.linalg.norm(step) for step in _directions(volume, picture)))
    nearest = max((2, 1, 0), key=lambda axis: abs(round(float(towards_viewer[axis]), 3)))
    assert np.sign(towards_viewer[nearest]) == (-1, 1, -1)[nearest]  # from the left, from the front, from the feet


def _directions(volume: Volume, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """RAS directions downwards and to the right in a picture."""
    first, row_end, column_end = (np.argwhere(picture == value)[0] for value in (1, 2, 3))
    along, down = np.sign(row_end - first), np.sign(column_end - first)
    i, j = volume.ijk_to_ras[:3, 0], volume.ijk_to_ras[:3, 1]
    return i * along[0] + j * down[0], i * along[1] + j * down[1]


def test_pixels_keep_their_shape() -> None:
    for swap in (False, True):
        i, j = np.array([-1.0, 0, 0]), np.array([0, -3.0, 0])
        view = orientation(i, j) if swap else orientation(j, i)
        assert view.swap is swap
        assert view.aspect == pytest.approx(3)


def test_small_tilts_add_no_letter() -> None:
    turn = rotation((5.0, -8.0, 10.0))
    assert [direction_letters(turn[:, axis]) for axis in range(3)] == ["R", "A", "S"]
    assert direction_letters(-np.array([0.0, 0.6, 0.8])) == "IP"
    assert direction_letters(np.full(3, 3**-0.5)) == "RAS"


def test_colors_are_turned_too() -> None:
    colors = np.arange(24).reshape(2, 4, 3)
    view = Orientation(swap=True, rows=True)
    assert np.array_equal(view.turned(colors)[..., 1], view.turned(colors[..., 1]))
    assert view.turned(colors).shape == (4, 2, 3)


def test_a_montage_shows_the_turned_slice_with_its_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    drawn: list[Any] = []
    monkeypatch.setattr(Axes, "imshow", lambda self, picture, **look: drawn.append((picture, look["aspect"])))
    write = Axes.text
    monkeypatch.setattr(
        Axes, "text", lambda self, x, y, text, **look: drawn.append(text) or write(self, x, y, text, **look)
    )
    volume = image("short axis", (1.0, 2.0))
    view = orientation(volume.ijk_to_ras[:3, 1], volume.ijk_to_ras[:3, 0])
    montage([Slice("slice 1", volume.array[0], {"mark": volume.array[0]}, view)])
    (picture, aspect), *letters = drawn
    assert np.array_equal(picture, view.turned(volume.array[0]))
    assert aspect == pytest.approx(2)
    assert letters == ["RA", "LP", "SLA", "IRP"]
