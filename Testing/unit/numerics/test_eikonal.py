"""Arrival times in tetrahedra against exact ones: plane fronts, points in anisotropic slabs, obstacles, slow zones."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from deeprecon.numerics.eikonal import Medium
from deeprecon.numerics.tetrahedra import Tetrahedra

ALONG, ACROSS = 0.6, 0.3


def slab(counts: tuple[int, int, int], size: tuple[float, float, float]) -> Tetrahedra:
    """A box of cubes, six tetrahedra each."""
    index = np.arange(np.prod(counts)).reshape(counts)
    places = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
    low = index[:-1, :-1, :-1].ravel()
    steps = np.array([counts[1] * counts[2], counts[2], 1])
    corners = [np.stack([low + sum(steps[list(way[:k])]) for k in range(4)], axis=1) for way in permutations(range(3))]
    return Tetrahedra.of(places * (np.array(size) / (np.array(counts) - 1)), np.concatenate(corners))


def medium(mesh: Tetrahedra, fiber: np.ndarray, speed: np.ndarray | float = 1.0) -> Medium:
    count = len(mesh.corners)
    unit = np.tile(fiber / np.linalg.norm(fiber), (count, 1))
    share = np.broadcast_to(speed, count)
    return Medium(mesh, unit, ALONG * share, ACROSS * share)


def straight(mesh: Tetrahedra, start: np.ndarray, fiber: np.ndarray) -> np.ndarray:
    """(N,) exact times from a point through a medium that is the same everywhere."""
    unit, way = fiber / np.linalg.norm(fiber), mesh.points - start
    along = way @ unit
    return np.sqrt((along / ALONG) ** 2 + np.maximum((way**2).sum(axis=1) - along**2, 0) / ACROSS**2)


@pytest.mark.parametrize("fiber", [(1, 0, 0), (0, 1, 0), (1, 2, 0.5)], ids=["along", "across", "oblique"])
def test_a_plane_front_is_exact(fiber):
    mesh, fiber = slab((21, 6, 6), (20, 5, 5)), np.array(fiber, float)
    normal = np.array([1.0, 0, 0])
    unit = fiber / np.linalg.norm(fiber)
    speed = np.sqrt((ALONG * (unit @ normal)) ** 2 + ACROSS**2 * (1 - (unit @ normal) ** 2))
    times = medium(mesh, fiber).arrival(np.flatnonzero(mesh.points[:, 0] == 0))
    if fiber[1] and fiber[0]:  # the sides of the box shadow an oblique front
        inner = np.abs(mesh.points[:, 1] - 2.5) + np.abs(mesh.points[:, 2] - 2.5) + mesh.points[:, 0] < 2.5
        np.testing.assert_allclose(times[inner], mesh.points[inner, 0] / speed, rtol=0.02, atol=0.1)
    else:
        np.testing.assert_allclose(times, mesh.points[:, 0] / speed, rtol=1e-6, atol=1e-9)


def test_a_point_in_an_anisotropic_slab_converges_to_the_exact_times():
    fiber, errors = np.array([1.0, 2, 0.5]), []
    for count in (16, 31):
        mesh = slab((count, count, count), (20, 20, 20))
        start = int(np.linalg.norm(mesh.points - 10, axis=1).argmin())
        times, exact = medium(mesh, fiber).arrival([start]), straight(mesh, mesh.points[start], fiber)
        errors.append(np.abs(times - exact).max() / exact.max())
    assert errors[1] < 0.023
    assert errors[1] < 0.9 * errors[0]


def test_the_first_of_several_sources_counts():
    mesh, fiber = slab((13, 13, 13), (12, 12, 12)), np.array([0.0, 0, 1])
    flow = medium(mesh, fiber)
    ends = [0, len(mesh.points) - 1]
    both, alone = flow.arrival(ends), [flow.arrival([end]) for end in ends]
    np.testing.assert_allclose(both, np.minimum(*alone), rtol=0.03)
    assert (both <= np.minimum(*alone) + 1e-6).all()


def test_a_front_goes_around_an_obstacle_and_leaves_what_is_cut_off():
    mesh = slab((21, 11, 4), (20, 10, 3))
    centers = mesh.points[mesh.corners].mean(axis=1)
    barrier = (np.abs(centers[:, 0] - 10) < 1) & (centers[:, 1] < 7)
    flow = Medium(mesh, np.tile([1.0, 0, 0], (len(centers), 1)), *np.where(barrier, 0, 0.5) * np.ones((2, 1)))
    start = int(np.linalg.norm(mesh.points - [5, 0, 0], axis=1).argmin())
    end = int(np.linalg.norm(mesh.points - [15, 0, 0], axis=1).argmin())
    around = (2 * np.hypot(4, 7) + 2) / 0.5  # to the barrier's corner at (9, 7), past its end, and back
    assert flow.arrival([start])[end] == pytest.approx(around, rel=0.05)
    closed = Medium(mesh, flow.fibers, *np.where(np.abs(centers[:, 0] - 10) < 1, 0, 0.5) * np.ones((2, 1)))
    times = closed.arrival([start])
    assert np.isinf(times[end])
    assert np.isfinite(times[mesh.points[:, 0] < 9]).all()


def test_a_slow_zone_delays_what_lies_behind_it():
    mesh = slab((31, 9, 5), (30, 8, 4))
    centers = mesh.points[mesh.corners].mean(axis=1)
    slow = (centers[:, 0] > 10) & (centers[:, 0] < 20)
    times = medium(mesh, np.array([1.0, 0, 0]), np.where(slow, 0.25, 1)).arrival(np.flatnonzero(mesh.points[:, 0] == 0))
    expected = (20 / ALONG) + 10 / (0.25 * ALONG)
    np.testing.assert_allclose(times[mesh.points[:, 0] == 30], expected, rtol=1e-6)


def test_a_source_in_an_obstacle_is_refused():
    mesh = slab((5, 5, 5), (4, 4, 4))
    speed = np.where(mesh.points[mesh.corners].mean(axis=1)[:, 0] < 2, 0.0, 1)
    with pytest.raises(ValueError, match="obstacle"):
        medium(mesh, np.array([1.0, 0, 0]), speed).arrival([0])
    with pytest.raises(ValueError, match="nothing conducts"):
        medium(mesh, np.array([1.0, 0, 0]), 0.0)
