"""Gradient tables: conventions, checks, files."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.data.diffusion.gradients import (
    from_fsl,
    fsl_to_ras,
    gradient_table,
    read_fsl,
    table_warnings,
    to_fsl,
    write_fsl,
)
from deeprecon.data.errors import InputError

from .orientations import rotation

SQUARE = np.diag([2.0, 2.0, 2.0, 1.0])


def unit(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_fsl_negates_the_first_component_of_a_right_handed_image():
    table = from_fsl([1000.0], [[1.0, 0.0, 0.0]], SQUARE)
    np.testing.assert_allclose(table.directions, [[-1, 0, 0]], atol=1e-12)


def test_fsl_takes_a_left_handed_image_as_it_is():
    """Of the usual axial NIfTI file, whose i runs to the left, the first component is along i."""
    table = from_fsl([1000.0], [[1.0, 0.0, 0.0]], np.diag([-2.0, 2.0, 2.0, 1.0]))
    np.testing.assert_allclose(table.directions, [[-1, 0, 0]], atol=1e-12)


def test_fsl_directions_turn_with_an_oblique_image():
    affine = np.eye(4)
    affine[:3, :3] = rotation((0, 0, 90)) * (-1.5, 2.0, 3.0)  # columns: -i points to A, j to -R, k up; left-handed
    table = from_fsl([1000.0], [[0.0, 1.0, 0.0]], affine)
    np.testing.assert_allclose(table.directions, (affine[:3, 1] / 2.0)[None], atol=1e-12)


@pytest.mark.parametrize("angles", [(0, 0, 0), (25, -40, 65), (90, 0, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1)])
def test_directions_survive_the_way_to_fsl_and_back(angles, signs):
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) * np.array(signs) * (1.5, 2.0, 3.0)
    table = gradient_table(np.full(9, 1000.0), unit(9))
    back = from_fsl(table.bvals, to_fsl(table, affine), affine)
    np.testing.assert_allclose(back.directions, table.directions, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(fsl_to_ras(affine)), -1, atol=1e-12)


def test_a_slightly_sheared_affine_gives_a_rotation():
    affine = np.eye(4)
    affine[0, 1] = 0.001
    matrix = fsl_to_ras(affine)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)


def test_shells_are_found_in_spite_of_jitter_and_b0_anywhere():
    bvals = [1005, 0, 995, 2500, 4, 1000, 2490]
    table = gradient_table(bvals, unit(7))
    np.testing.assert_array_equal(np.flatnonzero(table.b0), [1, 4])
    assert [(round(b), list(volumes)) for b, volumes in table.shells] == [(1000, [0, 2, 5]), (2495, [3, 6])]


def test_b_values_in_small_steps_do_not_chain_into_one_shell():
    table = gradient_table([1000, 1080, 1160, 1240, 1300], unit(5))
    assert [(round(b), list(volumes)) for b, volumes in table.shells] == [(1040, [0, 1]), (1200, [2, 3]), (1300, [4])]


def test_directions_of_b0_are_kept_but_count_for_nothing():
    vectors = [[np.nan] * 3, [0.577, 0.577, 0.577], [0, -1, 0], [0, 0, 1]]
    table = gradient_table([0, 0.004, 20, 1000], vectors)
    np.testing.assert_allclose(table.directions, [[0, 0, 0], [3**-0.5] * 3, [0, -1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(table.weighted_directions, [[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]])
    assert table.b0.sum() == 3
    assert table.distinct_directions == 1


def test_lengths_near_one_are_made_one():
    table = gradient_table([1000], [[0, 0, 0.99]])
    np.testing.assert_allclose(np.linalg.norm(table.directions), 1)


@pytest.mark.parametrize(
    ("bvals", "vectors", "message"),
    [
        ([1000], [[0, 0, 0]], "no direction"),
        ([1000], [[0, 0, 0.5]], "length 0.500"),
        ([1000], [[0, 0, np.nan]], "no direction"),
        ([-5], [[0, 0, 1]], "not negative"),
        ([np.nan], [[0, 0, 1]], "finite"),
        ([1000, 1000], [[0, 0, 1]], "2 b-values"),
    ],
)
def test_a_table_that_cannot_be_is_refused(bvals, vectors, message):
    with pytest.raises(InputError, match=message):
        gradient_table(bvals, vectors)


def test_opposite_and_repeated_directions_count_once():
    table = gradient_table([1000] * 3, [[0, 0, 1], [0, 0, -1], [1, 0, 0]])
    assert table.distinct_directions == 2
    assert any("repeat" in text for text in table_warnings(table))


def test_few_directions_and_no_b0_are_told():
    text = " ".join(table_warnings(gradient_table([1000] * 8, unit(8))))
    assert "b = 0" in text
    assert "few" in text


# files


def write(folder, bval, bvec):
    (folder / "a.bval").write_text(bval, encoding="utf-8")
    (folder / "a.bvec").write_text(bvec, encoding="utf-8")
    return folder / "a.bval", folder / "a.bvec"


@pytest.mark.parametrize(
    "text",
    ["1 0 0 0.6\n0 1 0 0.8\n0 0 1 0\n", "1,0,0\n0,1,0\n0,0,1\n0.6,0.8,0\n", "1\t0\t0\t.6\n0\t1\t0\t.8\n0\t0\t1\t0"],
)
def test_vectors_are_read_in_rows_and_in_columns(tmp_path, text):
    b, vectors = read_fsl(*write(tmp_path, "0 1000\n1000 1000\n", text), 4)
    np.testing.assert_allclose(b, [0, 1000, 1000, 1000])
    np.testing.assert_allclose(vectors, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0]])


@pytest.mark.parametrize(
    ("bval", "bvec", "message"),
    [
        ("0 1000", "0 1\n0 0\n0 0", "2 b-values for 4 volumes"),
        ("0 1 2 3", "0 1 2\n0 0 0\n0 0 0", "3 x 3 numbers"),
        ("0 1 2 3", "0 1 2 3\n0 0 0 0", "2 x 4 numbers"),
        ("0 1 2 x", "0", "no table of numbers"),
        ("0 1 2 3", "0 1 2 3\n0 0 0\n0 0 0 0", "differ in length"),
        ("", "0", "no table"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, bval, bvec, message):
    with pytest.raises(InputError, match=message):
        read_fsl(*write(tmp_path, bval, bvec), 4)


def test_written_files_are_read_back(tmp_path):
    table = gradient_table([0, 1000, 2500.5], np.vstack([np.zeros(3), unit(2)]))
    paths = tmp_path / "b.bval", tmp_path / "b.bvec"
    write_fsl(*paths, table, SQUARE)
    back = from_fsl(*read_fsl(*paths, 3), SQUARE)
    np.testing.assert_allclose(back.bvals, table.bvals)
    np.testing.assert_allclose(back.directions, table.directions, atol=1e-7)
