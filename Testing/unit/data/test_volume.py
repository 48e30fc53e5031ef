"""Geometry of volumes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume, axis_along, canonical, check_finite, check_geometry, slice_axis

from .orientations import KINDS, image, orders


@pytest.mark.parametrize("kind", KINDS)
def test_all_48_axis_orders_become_the_identical_volume(kind):
    original = image(**KINDS[kind])
    variants = orders(original)
    assert len(variants) == 48
    assert sum(np.linalg.det(v.ijk_to_ras[:3, :3]) < 0 for v in variants) == 24
    first = canonical(variants[0])
    for variant in variants:
        result = canonical(variant)
        assert np.array_equal(result.array, first.array)
        assert result.ijk_to_ras.tobytes() == first.ijk_to_ras.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_canonical_volume_is_the_same_image_in_space(kind):
    original = image(**KINDS[kind])
    places = {int(value): original.to_ras(np.array(at[::-1])) for at, value in np.ndenumerate(original.array)}
    result = canonical(orders(original)[29])
    assert np.linalg.det(result.ijk_to_ras[:3, :3]) > 0
    for at, value in np.ndenumerate(result.array):
        assert np.abs(result.to_ras(np.array(at[::-1])) - places[int(value)]).max() < 1e-3


def test_the_slice_axis_is_the_thickest_and_becomes_axis_0():
    for variant in orders(image()):
        axis = slice_axis(variant)
        assert variant.spacing[2 - axis] == pytest.approx(8)
        assert canonical(variant).spacing == pytest.approx((1.25, 1.25, 8))
        assert canonical(variant).array.shape == (4, 6, 5)


def test_a_single_thin_slice_is_the_slice_axis():
    for variant in orders(image(spacing=(2, 2, 1), shape=(1, 6, 5))):
        assert variant.array.shape[slice_axis(variant)] == 1


@pytest.mark.parametrize(("spacing", "across"), [((1.5, 1.5, 1.25), 0), ((2, 2, 0.6), 0), ((1, 2, 2), 2)])
def test_slices_may_lie_closer_than_square_pixels(spacing, across):
    for variant in orders(image(spacing=spacing)):
        assert variant.spacing[2 - slice_axis(variant)] == pytest.approx(spacing[2 - across])


def test_the_slice_axis_that_a_file_states_counts():
    stated = replace(image(spacing=(8, 2, 2)), across=1)
    assert slice_axis(stated) == 1
    assert (canonical(stated).spacing[2], canonical(stated).across) == (2, 0)


def test_the_axis_nearest_to_a_line():
    for variant in orders(image(angles=(25, -40, 65))):
        for axis in range(3):
            assert axis_along(variant, -variant.ijk_to_ras[:3, 2 - axis]) == axis


def test_a_given_axis_is_used():
    result = canonical(image(), axis=2)
    assert result.spacing[2] == pytest.approx(1.25)
    assert result.array.shape[0] == 5


def test_indices_and_positions_are_inverse():
    volume = image(angles=(25, -40, 65))
    ijk = np.random.default_rng(0).uniform(-3, 9, (7, 2, 3))
    assert np.allclose(volume.to_ijk(volume.to_ras(ijk)), ijk)
    assert np.allclose(volume.to_ras([0, 0, 0]), volume.ijk_to_ras[:3, 3])
    assert volume.n == (5, 6, 4)


def sheared(amount: float) -> np.ndarray:
    affine = np.diag([1.0, 1.0, 8.0, 1.0])
    affine[0, 2] = 8 * np.tan(np.radians(amount))
    return affine


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.diag([1, 1, np.nan, 1.0]), "not finite"),
        (np.diag([1, np.inf, 1, 1.0]), "not finite"),
        (np.diag([1, 1, 0, 1.0]), "singular"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "90.00 degrees"),
        (sheared(5), "i and k miss the right angle by 5.00 degrees"),
    ],
)
def test_a_broken_affine_is_refused_in_words(affine, words):
    with pytest.raises(InputError, match=words) as error:
        check_geometry(Volume(np.zeros((2, 2, 2)), affine, "patient.nrrd"))
    assert "patient.nrrd" in str(error.value)
    assert error.value.hint


def test_a_rounding_error_of_a_header_is_no_shear():
    check_geometry(Volume(np.zeros((2, 2, 2)), sheared(0.05)))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2)),
        np.zeros((2, 2, 2, 2)),
        np.zeros((0, 2, 2)),
        np.zeros((2, 2, 2), complex),
        np.full((2, 2, 2), "a"),
    ],
)
def test_an_array_that_is_no_3d_image_is_refused(array):
    with pytest.raises(InputError):
        check_geometry(Volume(array, np.eye(4)))


def test_nan_voxels_are_counted():
    array = np.ones((2, 3, 4), np.float32)
    check_finite(Volume(array, np.eye(4)))
    check_finite(Volume(array.astype(np.int16), np.eye(4)))
    array[0, 0, :2] = np.nan, np.inf
    with pytest.raises(InputError, match="2 of 24 voxels"):
        check_finite(Volume(array, np.eye(4)))
