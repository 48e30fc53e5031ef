"""The classical interpolations between slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.scar.fit.interpolation import INTERPOLATIONS, SPATIAL, interpolate
from deeprecon.scar.fit.methods import METHODS
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import Interpolation, Method

LINEAR, NEAREST = Interpolation.LINEAR, Interpolation.NEAREST
SHAPES = (Interpolation.SIGNED_DISTANCE, Interpolation.LOG_ODDS)


def pose(turn: np.ndarray | None = None, spacing=(1.5, 1.5, 10.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if turn is None else turn) * np.array(spacing)
    matrix[:3, 3] = [5, -8, 2]
    return matrix


def ras(matrix: np.ndarray, ijk) -> np.ndarray:
    return np.asarray(ijk, float) @ matrix[:3, :3].T + matrix[:3, 3]


def disks(radii, shape=(40, 40), matrix=None) -> Stack:
    """Wall everywhere, scar a disk of `radii` pixels around the middle of each slice, with soft rims."""
    j, i = np.mgrid[: shape[0], : shape[1]]
    distance = np.hypot(j - (shape[0] - 1) / 2, i - (shape[1] - 1) / 2)
    scar = np.stack([np.clip(radius - distance + 0.5, 0, 1) for radius in radii]).astype(np.float32)
    return Stack(np.ones_like(scar), scar, pose() if matrix is None else matrix, 8.0, "disks")


def extent(stack: Stack, k: float, kind: Interpolation) -> float:
    """Radius in pixels of the scar at slice coordinate k, along a row through the middle."""
    i = np.linspace(19.5, 39, 4000)
    line = ras(stack.ijk_to_ras, np.stack([i, np.full_like(i, 19.5), np.full_like(i, k)], axis=1))
    return float((interpolate([stack], line, kind)[0] > 0.5).sum() * (i[1] - i[0]))


@pytest.mark.parametrize("kind", SPATIAL)
def test_scar_everywhere_stays_everywhere(kind):
    """At the wall's edge, in gaps and beyond the last slice there must be no dip: outside the wall is not "no scar"."""
    j, i = np.mgrid[:30, :30]
    ring = (np.abs(np.hypot(j - 14.5, i - 14.5) - 10) < 3).astype(np.float32)
    wall = np.stack([ring] * 3)
    stack = Stack(wall, wall.copy(), pose(), 8.0)
    angle = np.linspace(0, 6.2, 200)
    for radius in (6.6, 10, 13.4):
        for k in (-0.4, 0.0, 0.5, 1.7, 2.4):
            ring_points = np.stack([14.5 + radius * np.cos(angle), 14.5 + radius * np.sin(angle), np.full(200, k)], 1)
            probability, uncertainty = interpolate([stack], ras(stack.ijk_to_ras, ring_points), kind)
            assert probability.min() > 0.99
            assert uncertainty.max() < 1e-3


def test_linear_follows_a_linear_scar_exactly_and_nearest_takes_the_nearer_slice():
    stack = disks([0, 0, 0])
    j, i = np.mgrid[:40, :40]
    stack.scar[:] = (0.2 + 0.2 * np.arange(3)[:, None, None] + 0.005 * j - 0.004 * i).clip(0, 1)
    ijk = np.random.default_rng(0).uniform(0, [39, 39, 2], (500, 3))
    nodes = ras(stack.ijk_to_ras, ijk)
    plain = 0.2 + 0.005 * ijk[:, 1] - 0.004 * ijk[:, 0]
    np.testing.assert_allclose(interpolate([stack], nodes, LINEAR)[0], plain + 0.2 * ijk[:, 2], atol=1e-5)
    np.testing.assert_allclose(interpolate([stack], nodes, NEAREST)[0], plain + 0.2 * np.rint(ijk[:, 2]), atol=1e-5)


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_grow_evenly_between_slices(kind):
    stack = disks([6.3, 12.7])
    assert extent(stack, 0, kind) == pytest.approx(6.3, abs=0.25)
    assert extent(stack, 1, kind) == pytest.approx(12.7, abs=0.25)
    assert extent(stack, 0.5, kind) == pytest.approx(9.5, abs=0.4)


def test_shapes_keep_what_linear_loses_of_a_rounded_scar():
    """Half-way between two rounded disks linear interpolation sits at 0.5 all over the ring between them."""
    stack = disks([6.3, 12.7])
    stack = replace(stack, scar=(stack.scar >= 0.5).astype(np.float32))
    assert extent(stack, 0.4, LINEAR) == pytest.approx(6.3, abs=0.5)
    assert extent(stack, 0.4, Interpolation.SIGNED_DISTANCE) == pytest.approx(6.3 + 0.4 * 6.4, abs=0.5)


@pytest.mark.parametrize("kind", SPATIAL)
def test_scar_ends_between_its_last_slice_and_an_empty_one(kind):
    stack = disks([8, 0])
    assert extent(stack, 0.25, kind) > 3
    assert extent(stack, 0.75, kind) == 0


@pytest.mark.parametrize("kind", SPATIAL)
def test_without_any_scar_there_is_none(kind):
    stack = disks([0, 0, 0])
    nodes = ras(stack.ijk_to_ras, np.random.default_rng(0).uniform(-1, [40, 40, 3], (200, 3)))
    assert interpolate([stack], nodes, kind)[0].max() < 0.5


@pytest.mark.parametrize("kind", SPATIAL)
def test_pose_does_not_matter(kind):
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    ijk = np.random.default_rng(0).uniform(-1, [40, 40, 3], (300, 3))
    straight, oblique = disks([5, 9, 3]), disks([5, 9, 3], matrix=pose(turn))
    results = [interpolate([stack], ras(stack.ijk_to_ras, ijk), kind) for stack in (straight, oblique)]
    np.testing.assert_allclose(results[0], results[1], atol=1e-4)


def test_slices_without_wall_are_skipped():
    full = disks([6, 0, 10])
    full.wall[1] = 0
    nodes = ras(full.ijk_to_ras, [[28, 19.5, 1.0], [25, 19.5, 1.0], [19.5, 19.5, 1.0]])
    two = disks([6, 10], matrix=pose(spacing=(1.5, 1.5, 20.0)))
    np.testing.assert_allclose(interpolate([full], nodes, LINEAR), interpolate([two], nodes, LINEAR), atol=1e-6)


@pytest.mark.parametrize("kind", SPATIAL)
def test_one_slice_is_enough(kind):
    stack = disks([6])
    nodes = ras(stack.ijk_to_ras, [[19.5, 19.5, 3.0], [39, 39, -3.0]])
    probability, uncertainty = interpolate([stack], nodes, kind)
    assert probability[0] > 0.9
    assert probability[1] < 0.1
    assert not uncertainty.any()


def test_a_second_stack_counts_most_where_it_passes():
    short = disks([0, 0, 0])
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    across = replace(disks([19], matrix=pose(turn, (1.5, 1.5, 6.0))), scar=np.ones((1, 40, 40), np.float32))
    across.ijk_to_ras[:3, 3] = [5, 20, -20]
    on_the_plane, far_away = [30.0, 20.0, 7.0], [30.0, 45.0, 7.0]
    probability, uncertainty = interpolate([short, across], np.array([on_the_plane, far_away]), LINEAR)
    assert probability[0] > 0.9
    assert probability[1] < 0.1
    alone = interpolate([short], np.array([on_the_plane]), LINEAR)[1]
    assert uncertainty[0] > alone[0]  # the stacks contradict each other


def test_uncertainty_is_largest_between_slices_that_differ():
    stack = disks([4, 12])
    nodes = ras(stack.ijk_to_ras, [[27, 19.5, k] for k in (0.0, 0.5, 1.0, 1.4)] + [[39, 19.5, 0.5]])
    uncertainty = interpolate([stack], nodes, LINEAR)[1]
    np.testing.assert_allclose(uncertainty, [0, 0.5, 0, 0, 0], atol=1e-3)


def test_kinds_along_the_wall_need_its_coordinates():
    with pytest.raises(ValueError, match="anatomical-linear needs the coordinates of the wall"):
        interpolate([disks([6])], np.zeros((1, 3)), Interpolation.ANATOMICAL_LINEAR)


def test_bad_stacks_are_refused():
    with pytest.raises(InputError, match="no slices"):
        interpolate([], np.zeros((1, 3)), LINEAR)


def test_every_choice_of_the_parameters_is_implemented():
    assert set(INTERPOLATIONS) == set(Interpolation)
    assert set(METHODS) == set(Method)
