"""Alignment: slices are brought to where they were in the heart, and stay where nothing shows that they moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.data.mesh.mesh import Inside
from deeprecon.jobs.parameters import from_json
from deeprecon.scar.fit.interpolation import interpolate
from deeprecon.scar.observe.alignment.motion import frame_of, rotation
from deeprecon.scar.observe.alignment.pose_fit import MAX_SHIFT
from deeprecon.scar.observe.alignment.rows import alignment_warnings, motion_rows
from deeprecon.scar.observe.alignment.to_each_other import align_to_each_other, mesh_of_stack
from deeprecon.scar.observe.alignment.to_mesh import align
from deeprecon.scar.observe.observations import observe
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import Alignment, Interpolation, ReconstructParameters
from deeprecon.scar.simulate.hearts import Phantom, sample_case
from deeprecon.scar.simulate.scan import scan

SHIFT = 2.5


@pytest.fixture(scope="module")
def still() -> Phantom:
    return sample_case(3, pixel=2.0, spacing=12.0, node_spacing=2.5)


@pytest.fixture(scope="module")
def inside(still: Phantom) -> Inside:
    return Inside(still.mesh)


@pytest.fixture(scope="module")
def shifted() -> Phantom:
    return sample_case(3, pixel=2.0, spacing=12.0, node_spacing=2.5, shift=SHIFT)


@pytest.fixture(scope="module")
def turned(still: Phantom) -> tuple[Stack, np.ndarray]:
    """Slices that moved and turned, each in its plane, in a stack that lies 4 mm and 3 degrees off as a whole; and the
    motions (k, 4, 4) that bring them back."""
    rng = np.random.default_rng(1)
    planned = still.scans[0]
    normal = still.stacks[0].normal
    middle = still.mesh.points.mean(axis=0)
    motions, walls, scars = [], [], []
    for k in range(len(planned.scar)):
        step = rng.normal(0, 2.0, 2) @ (planned.ijk_to_ras[:3, :2] / 2.0).T
        turn = rotation(np.radians([0, 3.0, 0])) @ rotation(np.radians(rng.normal(0, 6)) * normal)
        motion = np.eye(4)
        motion[:3, :3], motion[:3, 3] = turn, middle + step + [4.0, 0, 0] - turn @ middle
        plane = motion @ planned.ijk_to_ras
        plane[:3, 3] += k * plane[:3, 2]
        one = scan(still.tissue, still.lesion, plane, (1, *planned.scar.shape[1:]), planned.thickness).stack("s")
        motions.append(motion)
        walls.append(one.wall)
        scars.append(one.scar)
    stack = Stack(np.concatenate(walls), np.concatenate(scars), planned.ijk_to_ras, planned.thickness, "moved")
    return stack, np.stack(motions)


def distance(stack: Stack, motions: np.ndarray) -> float:
    """RMS mm between where the pixels of the wall lie and where they were."""
    k, j, i = np.nonzero(stack.wall > 0.5)
    index = np.stack([i, j, k, np.ones(len(i))], axis=1)
    apart = np.einsum("nab,nb->na", (motions @ stack.ijk_to_ras - stack.placed)[k], index)[:, :3]
    return float(np.sqrt((apart**2).sum(axis=1).mean()))


@pytest.mark.parametrize(("drawn", "error"), [("fractions", 0.15), ("masks", 0.4)])
def test_every_slice_is_moved_back_by_its_shift(shifted, inside, drawn, error):
    stacks = shifted.stacks
    if drawn == "masks":
        stacks = tuple(replace(stack, wall=(stack.wall >= 0.5).astype(np.float32)) for stack in stacks)
    (stack,) = align(stacks, inside, rigid=False)
    true = shifted.shifts[0]
    assert np.abs(true).max() > 3
    shown = stack.wall.any(axis=(1, 2))
    np.testing.assert_allclose(stack.motion.moved[shown, :2], -true[shown], atol=error)
    assert not stack.motion.moved[:, 2:].any()
    assert not stack.motion.tilt.any()


def test_turned_slices_of_a_tilted_stack_come_back(turned, inside):
    stack, motions = turned
    (found,) = align([stack], inside)
    assert distance(stack, motions) > 4
    assert distance(found, motions) < 1.3
    assert np.hypot(*found.motion.tilt) > 1.5
    rows = motion_rows([found])
    assert len(rows) == stack.wall.any(axis=(1, 2)).sum()
    assert all(row["overlap after %"] > row["overlap before %"] for row in rows)
    assert all(row["along rows mm SD"] < 1 for row in rows)
    (warning,) = alignment_warnings([found])
    assert "were moved" in warning


@pytest.mark.parametrize("drawn", ["fractions", "masks"])
def test_slices_that_lie_right_stay(still, inside, drawn):
    (stack,) = still.stacks
    if drawn == "masks":
        stack = replace(stack, wall=(stack.wall >= 0.5).astype(np.float32))
    (found,) = align([stack], inside)
    assert np.linalg.norm(found.motion.moved[:, :3], axis=1).max() <= 0.5
    assert max(np.abs(found.motion.moved[:, 3]).max(), np.hypot(*found.motion.tilt)) <= 1
    (alone,) = align_to_each_other([stack])
    assert not alone.moved.any()


def test_scar_does_not_influence_the_alignment(shifted, inside):
    without = tuple(replace(stack, scar=np.zeros_like(stack.scar)) for stack in shifted.stacks)
    found, other = (align(stacks, inside, rigid=False)[0] for stacks in (without, shifted.stacks))
    np.testing.assert_array_equal(found.matrices, other.matrices)


def test_a_slice_without_wall_or_far_from_the_mesh_stays(shifted, inside):
    (stack,) = shifted.stacks
    wall = stack.wall.copy()
    wall[2] = 0
    away = stack.ijk_to_ras.copy()
    away[:3, 3] += 300
    (found,) = align([replace(stack, wall=wall)], inside, rigid=False)
    assert not found.motion.moved[2].any()
    assert found.moved.any()
    (found,) = align([replace(stack, ijk_to_ras=away)], inside)
    assert not found.moved.any()
    assert "hardly meets the mesh" in alignment_warnings([found])[0]
    (nearer,) = align(shifted.stacks, inside, rigid=False)
    assert np.abs(nearer.motion.moved[:, :2]).max() <= MAX_SHIFT


def test_groups_planes_and_interpolations_follow_the_motion(turned, still, inside):
    stack, motions = turned
    exact = replace(stack, motion=replace(align([stack], inside)[0].motion, matrices=motions))
    after = observe([exact])
    for number, plane in enumerate(after.planes):
        first = motions[number] @ stack.ijk_to_ras @ [0, 0, number, 1]
        np.testing.assert_allclose(plane.origin, first[:3], atol=1e-9)
        np.testing.assert_allclose(plane.normal @ plane.u, 0, atol=1e-9)
        np.testing.assert_allclose(plane.normal, exact.normal, atol=1e-6)
    k, j, i = np.nonzero(stack.wall > 0)
    place = motions[k[7]] @ stack.ijk_to_ras @ [i[7], j[7], k[7], 1]
    np.testing.assert_allclose(after.centers[7], place[:3], atol=1e-9)

    def right(one: Stack) -> float:
        found = interpolate([one], still.mesh.points, Interpolation.LINEAR)[0] > 0.5
        return float((found == still.truth).mean())

    assert right(exact) > right(stack) + 0.03


def test_without_a_mesh_slices_are_brought_onto_a_smooth_heart(shifted, still):
    (stack,) = shifted.stacks
    (found,) = align_to_each_other([stack])
    moved, true = found.motion.moved[:, :2], -shifted.shifts[0]
    height = np.arange(len(true)) - len(true) / 2
    shown = stack.wall.any(axis=(1, 2))

    def uneven(values: np.ndarray) -> float:
        """RMS of what differs from an even growth from slice to slice, which slices alone cannot show."""
        line = np.polynomial.polynomial.polyfit(height[shown], values[shown], 1)
        return float(np.sqrt(((values[shown] - np.polynomial.polynomial.polyval(height[shown], line).T) ** 2).mean()))

    assert uneven(true) > 2
    assert uneven(moved - true) < 0.5 * uneven(true)
    mesh = Inside(mesh_of_stack(found, 2.0))
    assert mesh(still.mesh.points).mean() > 0.5


def test_a_long_axis_slice_is_brought_onto_the_others(still):
    pair = sample_case(3, pixel=2.0, spacing=12.0, node_spacing=2.5, long_axis=1)
    short, long = pair.stacks
    away = long.ijk_to_ras.copy()
    away[:3, 3] += 4 * away[:3, 0] / np.linalg.norm(away[:3, 0])
    found = align_to_each_other([short, replace(long, ijk_to_ras=away)])
    assert not found[0].moved.any()
    assert found[1].motion.moved[0, 0] == pytest.approx(-4, abs=1.5)


def test_wall_is_another_word_for_shift():
    assert from_json(ReconstructParameters, {"alignment": "wall"}).alignment is Alignment.SHIFT
    assert ReconstructParameters().alignment is Alignment.SHIFT
    assert [kind.value for kind in Alignment] == ["rigid", "shift", "off"]


def test_a_motion_is_the_same_in_the_frame_of_the_stack_and_in_ras(still):
    (stack,) = still.stacks
    frame = frame_of(stack.ijk_to_ras, stack.normal)
    turn, step = rotation(np.array([0.1, -0.2, 0.3])), np.array([1.0, 2.0, 3.0])
    points = still.mesh.points[:5]
    matrix = frame.motion_in_ras(turn, step)
    expected = frame.to_ras(frame.to_local(points) @ turn.T + step)
    np.testing.assert_allclose(points @ matrix[:3, :3].T + matrix[:3, 3], expected, atol=1e-9)
