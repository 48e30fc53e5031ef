"""Alignment of displaced slices by the wall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.data.mesh.mesh import Inside
from deeprecon.scar.fit.interpolation import interpolate
from deeprecon.scar.observe.alignment import MAX_SHIFT, align
from deeprecon.scar.observe.observations import observe
from deeprecon.scar.parameters import Interpolation
from deeprecon.scar.simulate.hearts import Phantom, sample_case

SHIFT = 2.5


@pytest.fixture(scope="module")
def moved() -> Phantom:
    return sample_case(3, pixel=1.8, node_spacing=2.0, shift=SHIFT)


@pytest.fixture(scope="module")
def true_shifts(moved: Phantom) -> np.ndarray:
    return np.random.default_rng(3).normal(0, SHIFT, size=(len(moved.stacks[0].wall), 2))


@pytest.mark.parametrize(("drawn", "error"), [("fractions", 0.15), ("masks", 0.4)])
def test_every_slice_is_moved_back_by_its_shift(moved, true_shifts, drawn, error):
    stacks = moved.stacks
    if drawn == "masks":
        stacks = tuple(replace(stack, wall=(stack.wall >= 0.5).astype(np.float32)) for stack in stacks)
    (stack,) = align(stacks, Inside(moved.mesh))
    assert np.abs(true_shifts).max() > 3
    np.testing.assert_allclose(stack.shifts, -true_shifts, atol=error)


def test_slices_that_lie_right_stay(moved):
    still = sample_case(3, pixel=1.8, node_spacing=2.0)
    (stack,) = align(still.stacks, Inside(still.mesh))
    np.testing.assert_allclose(stack.shifts, 0, atol=0.1)


def test_scar_does_not_influence_the_alignment(moved):
    inside = Inside(moved.mesh)
    without = tuple(replace(stack, scar=np.zeros_like(stack.scar)) for stack in moved.stacks)
    np.testing.assert_array_equal(align(without, inside)[0].shifts, align(moved.stacks, inside)[0].shifts)


def test_a_slice_without_wall_or_far_from_the_mesh_stays(moved):
    (stack,) = moved.stacks
    wall = stack.wall.copy()
    wall[2] = 0
    away = stack.ijk_to_ras.copy()
    away[:3, 3] += 300
    for other in (replace(stack, wall=wall), replace(stack, ijk_to_ras=away)):
        (found,) = align([other], Inside(moved.mesh))
        assert not found.shifts[2].any()
    assert not found.shifts.any()
    assert np.abs(align(moved.stacks, Inside(moved.mesh))[0].shifts).max() <= MAX_SHIFT


def test_groups_and_interpolations_follow_the_shift(moved):
    (stack,) = align(moved.stacks, Inside(moved.mesh))
    before, after = observe(moved.stacks), observe([stack])
    np.testing.assert_allclose(after.centers - before.centers, stack.offsets[after.slice_id], atol=1e-9)
    np.testing.assert_allclose(after.planes[4].origin - before.planes[4].origin, stack.offsets[4], atol=1e-9)

    def right(stacks) -> float:
        found = interpolate(stacks, moved.mesh.points, Interpolation.LINEAR)[0] > 0.5
        return float((found == moved.truth).mean())

    assert right([stack]) > right(moved.stacks) + 0.02
