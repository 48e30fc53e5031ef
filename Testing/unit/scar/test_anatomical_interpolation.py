"""Interpolation along the wall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.scar.anatomy.axes import axes_from_landmarks
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.fit.interpolation import ANATOMICAL, interpolate
from deeprecon.scar.observe.alignment.pose import still
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import Interpolation
from deeprecon.scar.simulate.hearts import Phantom, sample_case
from deeprecon.scar.simulate.ventricle import Tissue, Ventricle

STRAIGHT = {
    Interpolation.ANATOMICAL_LINEAR: Interpolation.LINEAR,
    Interpolation.ANATOMICAL_SIGNED_DISTANCE: Interpolation.SIGNED_DISTANCE,
}
"""The spatial kind that each anatomical kind equals where the wall does not matter."""
HEART = Ventricle()
LINEAR = Interpolation.ANATOMICAL_LINEAR


def coordinates(mesh_points: np.ndarray) -> WallCoordinates:
    return WallCoordinates(axes_from_landmarks(HEART.landmarks()), HEART.wall, mesh_points)


@pytest.fixture(scope="module")
def wall() -> WallCoordinates:
    return coordinates(HEART.mesh(3.0).points)


@pytest.fixture(scope="module")
def stack(patient: Phantom) -> Stack:
    return patient.stacks[0]


def dice(probability: np.ndarray, truth: np.ndarray) -> float:
    found = probability > 0.5
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


@pytest.mark.parametrize("lesion", ["infarct", "subendocardial", "midwall"])
@pytest.mark.parametrize("binary", [False, True])
def test_scars_that_follow_the_wall_are_found_better_than_in_space(lesion, binary, wall):
    phantom = sample_case(lesion=lesion, node_spacing=2.0)
    stacks = phantom.stacks
    if binary:
        stacks = [replace(only, scar=(only.scar >= 0.5).astype(np.float32)) for only in stacks]
    nodes, truth = phantom.mesh.points, phantom.truth
    along = interpolate(stacks, nodes, LINEAR, wall)[0]
    straight = interpolate(stacks, nodes, Interpolation.LINEAR)[0]
    assert dice(along, truth) > dice(straight, truth)


@pytest.mark.parametrize("kind", ANATOMICAL)
def test_in_the_slices_themselves_nothing_changes(kind, stack, patient, wall):
    to_ijk = np.linalg.inv(stack.ijk_to_ras)
    nodes = patient.mesh.points
    ijk = nodes @ to_ijk[:3, :3].T + to_ijk[:3, 3]
    ijk[:, 2] = np.rint(ijk[:, 2])
    flat = ijk @ stack.ijk_to_ras[:3, :3].T + stack.ijk_to_ras[:3, 3]
    flat = flat[HEART.wall(flat)]
    assert len(flat) > 1000
    along, straight = interpolate([stack], flat, kind, wall), interpolate([stack], flat, STRAIGHT[kind])
    assert np.abs(along[0] - straight[0]).mean() < 0.01
    assert np.abs(along[0] - straight[0]).max() < 0.35  # a contour is moved by a fraction of a pixel
    assert along[1].max() < 1e-4


@pytest.mark.parametrize("kind", ANATOMICAL)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_what_is_the_same_everywhere_stays_so(kind, value, stack, patient, wall):
    same = replace(stack, scar=np.full_like(stack.scar, value))
    probability, uncertainty = interpolate([same], patient.mesh.points, kind, wall)
    np.testing.assert_allclose(probability, value, atol=1e-3)
    assert uncertainty.max() < 1e-3


@pytest.mark.parametrize("kind", ANATOMICAL)
def test_shifts_bring_the_slices_back(kind, stack, patient, wall):
    """Slices drawn displaced by whole pixels, with their shifts given, give the same as undisplaced ones."""
    steps = np.random.default_rng(0).integers(-3, 4, (len(stack.wall), 2))

    def moved(maps: np.ndarray) -> np.ndarray:
        return np.stack([np.roll(one, (-j, -i), (0, 1)) for one, (i, j) in zip(maps, steps, strict=True)])

    motion = still(stack)
    motion.matrices[:, :3, 3] = steps @ stack.ijk_to_ras[:3, :2].T
    displaced = replace(stack, wall=moved(stack.wall), scar=moved(stack.scar), motion=motion)
    expected, found = (interpolate([one], patient.mesh.points, kind, wall)[0] for one in (stack, displaced))
    assert np.abs(found - expected).mean() < 0.002
    off = interpolate([replace(displaced, motion=None)], patient.mesh.points, kind, wall)[0]
    assert np.abs(off - expected).mean() > 0.05


def test_the_order_of_the_slices_does_not_matter(stack, patient, wall):
    turned = stack.ijk_to_ras @ np.diag([1.0, 1, -1, 1])
    turned[:3, 3] = stack.ijk_to_ras[:3, 3] + (len(stack.wall) - 1) * stack.ijk_to_ras[:3, 2]
    back = replace(stack, wall=stack.wall[::-1], scar=stack.scar[::-1], ijk_to_ras=turned)
    both = [interpolate([one], patient.mesh.points, LINEAR, wall)[0] for one in (stack, back)]
    np.testing.assert_allclose(both[0], both[1], atol=1e-5)


def test_slices_along_the_axis_are_read_straight_across(patient, wall):
    matrix = np.eye(4)
    matrix[:3, :3] = (HEART.axes[[0, 2, 1]] * np.array([[2.0], [2], [12]])).T
    matrix[:3, 3] = HEART.to_ras(np.array([[-50.0, -24, -80]]))[0]
    k, j, i = np.indices((5, 60, 50)).reshape(3, -1)
    points = np.stack([i, j, k], axis=1) @ matrix[:3, :3].T + matrix[:3, 3]
    share = HEART.wall(points).reshape(5, 60, 50).astype(np.float32)
    scar = share * patient.scar(points).reshape(share.shape)
    long = Stack(share, scar.astype(np.float32), matrix, 8.0)
    assert scar.any()
    along = interpolate([long], patient.mesh.points, LINEAR, wall)
    np.testing.assert_array_equal(along, interpolate([long], patient.mesh.points, Interpolation.LINEAR))


def test_the_right_ventricles_wall_is_read_straight_across(stack):
    def inside(points: np.ndarray) -> np.ndarray:
        return np.isin(HEART.tissue(points), [Tissue.WALL, Tissue.RIGHT_WALL])

    points = HEART.to_ras(np.random.default_rng(0).uniform([-45, -45, -80], [70, 45, 18], (20_000, 3)))
    wall = WallCoordinates(axes_from_landmarks(HEART.landmarks()), inside, points)
    right = points[(HEART.tissue(points) == Tissue.RIGHT_WALL) & ~wall(points).left]
    assert len(right) > 300
    along = interpolate([stack], right, LINEAR, wall)
    np.testing.assert_allclose(along, interpolate([stack], right, Interpolation.LINEAR), atol=1e-6)


def test_one_slice_gives_the_same_at_every_height(stack, wall):
    """Along the wall, a slice's scar goes on at the depth and the angle it has."""
    alone = replace(stack, wall=np.zeros_like(stack.wall), scar=stack.scar)
    middle = int(stack.scar.sum(axis=(1, 2)).argmax())
    alone.wall[middle] = stack.wall[middle]
    depth, angle = np.full(200, 0.5), np.linspace(-np.pi, np.pi, 200)
    rings = [HEART.surface_point(depth, angle, np.full(200, polar)) for polar in (0.9, 1.2, 1.6)]
    first, *others = (interpolate([alone], ring, LINEAR, wall)[0] for ring in rings)
    assert first.max() > 0.9
    assert first.min() < 0.1
    for other in others:
        assert np.abs(other - first).mean() < 0.03
