"""After the projection every pixel that can be met is met, and nothing else has changed more than it must."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.scar.fit.agreement import TOLERANCE, agreement, project
from deeprecon.scar.measure.slices import node_residuals, unmet_rows
from deeprecon.scar.observe.alignment.pose import still
from deeprecon.scar.observe.node_groups import group_nodes
from deeprecon.scar.observe.observations import observe
from deeprecon.scar.read.training_data import NodeGroups
from deeprecon.scar.simulate.hearts import Phantom, sample_case


def groups_of(members: list[list[int]], values: list[float]) -> NodeGroups:
    nodes = np.concatenate([np.array(each, np.int64) for each in members])
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in members])])
    return NodeGroups(np.zeros((len(nodes), 3)), np.array(values, np.float32), offsets, np.eye(2, 3), nodes)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return sample_case(0, "isthmus", pixel=2.0, node_spacing=2.0)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_group_of_a_stack_comes_within_the_tolerance(phantom, seed):
    groups = group_nodes(phantom.mesh.points, phantom.stacks)
    rough = np.random.default_rng(seed).random(phantom.mesh.n_points).astype(np.float32)
    done = project(rough, groups, observe(phantom.stacks).slice_id[groups.numbers])
    assert done.before.max() > 0.3
    sums = np.add.reduceat(done.probability[groups.nodes].astype(np.float64), groups.offsets[:-1])
    assert np.abs(sums / groups.sizes - groups.values).max() <= TOLERANCE
    assert not done.unmet.any()
    assert done.probability.min() >= 0
    assert done.probability.max() <= 1


def test_nodes_in_gaps_and_groups_that_agree_are_left_alone():
    probability = np.array([0.2, 0.4, 0.9, 0.7], np.float32)
    done = project(probability, groups_of([[0, 1]], [0.305]), np.array([0]))
    np.testing.assert_array_equal(done.probability[2:], probability[2:])
    np.testing.assert_allclose(done.probability[:2], probability[:2], atol=1e-6)


def test_nodes_keep_their_order_within_a_group():
    probability = np.array([0.1, 0.3, 0.5, 0.7], np.float32)
    done = project(probability, groups_of([[0, 1, 2, 3]], [0.8]), np.array([0]))
    assert (np.diff(done.probability) > 0).all()
    assert done.probability.mean() == pytest.approx(0.8, abs=TOLERANCE)


def test_nodes_stay_scar_or_not_where_the_pixel_allows_it():
    probability = np.array([0.95, 0.9, 0.1, 0.05], np.float32)
    for value in (0.3, 0.7):
        done = project(probability, groups_of([[0, 1, 2, 3]], [value]), np.array([0]))
        assert done.probability.mean() == pytest.approx(value, abs=TOLERANCE)
        np.testing.assert_array_equal(done.probability > 0.5, probability > 0.5)


def test_the_least_sure_nodes_change_sides_and_no_more_than_must():
    probability = np.array([0.95, 0.9, 0.6, 0.05], np.float32)
    done = project(probability, groups_of([[0, 1, 2, 3]], [0.15]), np.array([0]))
    np.testing.assert_array_equal(done.probability > 0.5, [True, False, False, False])
    done = project(probability, groups_of([[0, 1, 2, 3]], [0.95]), np.array([0]))
    assert (done.probability > 0.5).all()


def test_a_lower_cutoff_separates_the_sides_too():
    probability = np.array([0.4, 0.2, 0.2, 0.1], np.float32)
    done = project(probability, groups_of([[0, 1, 2, 3]], [0.12]), np.array([0]), cutoff=0.3)
    np.testing.assert_array_equal(done.probability > 0.3, probability > 0.3)
    assert done.probability.mean() == pytest.approx(0.12, abs=TOLERANCE)


def test_masks_are_met_up_to_their_rounding():
    probability = np.array([0.8, 0.6, 0.7, 0.9, 0.1, 0.2], np.float32)
    groups = groups_of([[0, 1], [2, 3], [4, 5]], [1.0, 0.0, 0.0])
    done = project(probability, groups, np.array([0, 0, 0]), rounded=True)
    np.testing.assert_array_equal(done.probability[[0, 1, 4, 5]], probability[[0, 1, 4, 5]])
    assert done.probability[2:4].mean() == pytest.approx(0.5, abs=1e-3)
    assert done.before[1] == pytest.approx(0.3, abs=1e-6)
    whole = project(probability, groups, np.array([0, 0, 0]))
    assert whole.probability[:2].mean() > 0.99 > 0.01 > whole.probability[2:4].mean()


def test_residuals_at_nodes_are_those_of_their_pixels():
    groups = groups_of([[0, 1], [1, 2]], [0.5, 0.2])
    now = agreement(np.array([0.9, 0.7, 0.1, 0.3], np.float32), groups)
    np.testing.assert_allclose(node_residuals(now, groups), [0.3, (0.3 + 0.2) / 2, 0.2, np.nan], atol=1e-6)


def test_pixels_that_are_not_met_are_listed_with_the_reason():
    phantom = sample_case(0, "isthmus", pixel=2.0, node_spacing=5.0)
    observations = observe(phantom.stacks)
    groups = group_nodes(phantom.mesh.points, phantom.stacks)
    now = agreement(np.zeros(phantom.mesh.n_points, np.float32), groups)
    rows = unmet_rows(now, groups, observations)
    lonely = [row for row in rows if row["nodes"] == 0]
    assert len(lonely) == len(observations) - len(groups) > 0
    assert {row["reason"] for row in lonely} == {"no node of the mesh"}
    others = [row for row in rows if row["nodes"]]
    tolerance = np.maximum(TOLERANCE, 0.5 / groups.sizes)
    assert len(others) == (groups.values > tolerance).sum() > 0
    assert all(row["mean"] == 0 and row["observed"] > max(TOLERANCE, 0.5 / row["nodes"]) for row in others)


def test_a_pixel_counts_as_missed_from_half_a_nodes_share_on():
    values = np.zeros(6, np.float32)
    assert not agreement(values, groups_of([[0, 1], [2, 3, 4, 5]], [0.24, 0.12])).unmet.any()
    assert agreement(values, groups_of([[0, 1], [2, 3, 4, 5]], [0.26, 0.13])).unmet.all()
    many = agreement(np.zeros(100, np.float32), groups_of([list(range(100))], [0.011]))
    assert many.unmet.all(), "0.01 at least"


def test_groups_that_overlap_are_met_together():
    members = [[0, 1, 2], [2, 3, 4], [4, 5, 0]]
    done = project(np.full(6, 0.5, np.float32), groups_of(members, [0.8, 0.2, 0.5]), np.array([0, 1, 2]))
    assert not done.unmet.any()
    for nodes, value in zip(members, [0.8, 0.2, 0.5], strict=True):
        assert done.probability[nodes].mean() == pytest.approx(value, abs=TOLERANCE)


def test_contradictory_groups_are_reported():
    members = [[0, 1], [0, 1], [2, 3]]
    done = project(np.full(4, 0.5, np.float32), groups_of(members, [0.9, 0.1, 0.7]), np.array([0, 1, 2]))
    assert done.unmet[:2].any()
    assert not done.unmet[2]


def test_wholly_scarred_and_wholly_healthy_pixels_are_met():
    done = project(np.full(4, 0.5, np.float32), groups_of([[0, 1], [2, 3]], [0.0, 1.0]), np.array([0, 0]))
    assert done.error.max() <= TOLERANCE


def test_shifted_slices_put_their_nodes_into_other_groups(phantom):
    (stack,) = phantom.stacks
    motion = still(stack)
    motion.matrices[:, :3, 3] = 6 * (stack.ijk_to_ras[:3, :2] / np.linalg.norm(stack.ijk_to_ras[:3, 0])).sum(axis=1)
    here, there = (group_nodes(phantom.mesh.points, [each]) for each in (stack, replace(stack, motion=motion)))
    assert len(here) != len(there)
