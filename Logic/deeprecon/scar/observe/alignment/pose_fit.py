"""The pose of a stack and of each of its slices, fitted to a wall with a prior that slices lie right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.scar.observe.alignment.contours import LEVELS, Reduced, contour_changes, without_contours
from deeprecon.scar.observe.alignment.pixels import Pixels
from deeprecon.scar.observe.alignment.pose import Pose
from deeprecon.scar.observe.alignment.wall_volume import WallVolume

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MAX_SHIFT = 10.0
"""Largest shift in mm along each axis that is searched; a breath-hold rarely moves the heart farther."""
_COARSE = 2.0, 2.5
"""Steps in mm of the search in the plane and across it."""
_SPARSE = 4
"""One of so many pixels is compared in that search."""
_LEAST_WAVE = 0.01
"""Standard deviation in mm of errors of the contours that is assumed at first."""
_SETTLED = 2e-3
"""Share of the largest step below which the fit has converged."""
_ROUNDS = 20
"""Gauss-Newton steps; they converge in about ten."""
_STACK_PRIOR = np.array([5.0, 5.0, 5.0, *np.radians([4.0, 4.0, 4.0])])
"""Standard deviations of the pose of a stack in mm and radians."""
_CONTOUR_PRIOR = np.array([1.0, 1.0])
"""Standard deviations in mm of how far outwards the inner and the outer contour are drawn in all slices."""
_FIRST_SPREAD = np.array([3.0, 3.0, 1.0, np.radians(5.0)])
_SPREAD_LIMITS = np.array([[0.02, 0.02, 1.0, 2e-4], [6.0, 6.0, 1.0, 0.105]])
"""First guess of the spread of the slices' motions and its bounds, in mm and radians."""
_MIN_NOISE = 0.02
"""Least standard deviation of a pixel's share: the mesh is sampled in steps."""
_SYSTEMATIC = 3.0
"""Factor on the variance: what remains differs in the same way in many slices."""
_MAX_STEP = np.array([3.0, 3.0, 3.0, 0.1, 0.1, 0.1])
_LEAST = 0.1, 0.75, np.radians(1.0)
"""Motions in the plane and through it in mm, and turns in radians, below which contours that are drawn a little wider
all around, or a little out of round, explain the same; they stay 0."""
_PARTS = tuple(zip((np.array([0, 1]), np.array([2]), np.array([3])), _LEAST, strict=True))
_STACK_PARTS = (
    (np.array([0, 1]), _LEAST[0]),
    (np.array([2]), 2 * _LEAST[1]),  # what all slices show in the same way is more often the contours'
    (np.array([5]), _LEAST[2]),
    (np.array([3, 4]), _LEAST[2]),
)
"""What is believed or not by itself: in the plane, through the plane, the turn; of the stack, the tilt, too."""
_CONVINCING = np.log(19.0)
"""Log odds above which a motion is believed, a probability of 95 %."""
_MIN_OVERLAP = 0.5
"""Overlap with the reference, below which a slice says nothing about its place."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted pose.

    Attributes:
        pose: of the stack and the slices; 0 where the evidence is weak.
        covariance: (6 + 4 S, 6 + 4 S) of the numbers of `Pose`, the stack's first, before any was set to 0.
        met: (S,) whether the wall of each slice meets the reference.
    """

    pose: Pose
    covariance: Floats
    met: Bools


class _Problem:
    """The least-squares problem: differences between observed and expected shares, and what they depend on.

    Attributes:
        contour: (2,) mm by which the inner and the outer contour are drawn outwards in all slices.
        wave: standard deviation in mm of errors of the contours, see `contour_changes`.
        variance: of the noise of a pixel, times how many neighbors differ together.
    """

    def __init__(self, pixels: Pixels, wall: WallVolume, met: Bools) -> None:
        self.pixels, self.wall = pixels, wall
        self.weight = met[pixels.owner].astype(np.float64)
        self.contour = np.zeros(2)
        self.wave, self.variance = _LEAST_WAVE, 0.01
        self.likely_wave = _LEAST_WAVE

    def normal_equations(self, pose: Pose) -> tuple[Floats, Floats]:
        """The data's precision (C, C) and its product with the way to the best fit, (C,): stack, contour, slices."""
        places, weight = pose.places(self.pixels), self.weight[:, None]
        gradients = self.wall.gradients(places) * weight
        of_stack, of_slice = pose.jacobian(self.pixels, gradients)
        waves = contour_changes(self.pixels, places, gradients)
        contour = waves[:, LEVELS]
        difference = (self.pixels.share - self.wall.shares(places)) * self.weight - contour @ self.contour
        changes = np.concatenate([of_stack, contour, of_slice], axis=1)
        reduced = without_contours(self.pixels, changes, waves, difference, self.variance, self.wave)
        noise = float(reduced.rest @ reduced.rest) / max(self.weight.sum(), 1.0)
        self.variance = _SYSTEMATIC * max(noise, _MIN_NOISE**2) * self.pixels.correlated(reduced.rest)
        self.likely_wave = reduced.spread
        return _assembled(reduced)

    def estimate_wave(self, pose: Pose) -> None:
        """Set `wave` to its most likely value where the slices lie like this."""
        self.wave = 0.3
        for _ in range(10):
            self.normal_equations(pose)
            self.wave = max(self.likely_wave, _LEAST_WAVE)


def _assembled(reduced: Reduced) -> tuple[Floats, Floats]:
    """The products of all slices in one matrix: their first eight numbers are common, the last four their own."""
    count = len(reduced.matrix)
    size = 8 + 4 * count
    matrix, vector = np.zeros((size, size)), np.zeros(size)
    for number, (one, right) in enumerate(zip(reduced.matrix, reduced.vector, strict=True)):
        places = np.concatenate([np.arange(8), 8 + 4 * number + np.arange(4)])
        matrix[np.ix_(places, places)] += one
        vector[places] += right
    return matrix, vector


def fit_poses(pixels: Pixels, wall: WallVolume, free: Bools) -> Fit:
    """The most likely pose of a stack and of each slice.

    The differences between observed share of wall and that of the reference are least, relative to their own noise,
    together with the squares of the motions relative to their spread. Noise, its correlation between neighboring pixels
    and the spread of the slices' motions are estimated along (empirical Bayes), so that slices that lie right stay. A
    wall that is drawn thicker or larger than the mesh's is a part of the model, or it would look like a motion through
    the plane. At the end the stack's and each slice's motion is dropped where it is not at least 19 times as likely as
    none (Laplace's approximation of the evidence; MacKay 2003, Information Theory, Inference and Learning Algorithms,
    chapters 27 and 28).

    Args:
        pixels: of the stack.
        wall: the reference.
        free: (10,) which numbers of the stack's pose (6) and of each slice's (4) may differ from 0.
    """
    pose = _start(pixels, wall, free)
    met = overlap(pixels, wall.shares(pose.places(pixels))) >= _MIN_OVERLAP
    active = np.concatenate([free[:6] & met.any(), (met[:, None] & free[6:]).ravel()])
    problem = _Problem(pixels, wall, met)
    spread = np.where(free[6:], _FIRST_SPREAD, 0.0)
    pose, covariance, evidence, spread = _iterate(problem, pose, active, spread, adapt=True)
    problem.estimate_wave(pose)
    if problem.wave > _LEAST_WAVE:
        pose, covariance, evidence, spread = _iterate(problem, pose, active, spread, adapt=True)
    while not np.array_equal(believed := _believed(pose, evidence, spread, active), active):
        active = believed
        pose = Pose(np.where(active[:6], pose.stack, 0), np.where(active[6:].reshape(-1, 4), pose.slices, 0))
        pose, _, evidence, _ = _iterate(problem, pose, active, spread, adapt=False)
    return Fit(pose, covariance, met)


def _start(pixels: Pixels, wall: WallVolume, free: Bools) -> Pose:
    """The best shift of the whole stack, and of each slice in its plane from there, on a coarse grid."""
    in_plane = np.arange(-MAX_SHIFT, MAX_SHIFT + 1, _COARSE[0])
    across = np.arange(-MAX_SHIFT, MAX_SHIFT + 1, _COARSE[1]) if free[2] else np.zeros(1)
    z, y, x = (grid.ravel() for grid in np.meshgrid(across, in_plane, in_plane, indexing="ij"))
    offsets = np.stack([x, y, z], axis=1)
    few = pixels.every(_SPARSE)
    mismatch = np.stack([few.sums((few.share - wall.shares(few.places + offset)) ** 2) for offset in offsets])
    stack, slices = np.zeros(6), np.zeros((len(pixels.slices), 4))
    if free[:3].any():
        stack[:3] = offsets[np.argmin(mismatch.sum(axis=1))]
    if free[6]:
        same_depth = np.flatnonzero(z == stack[2])
        best = offsets[same_depth[np.argmin(mismatch[same_depth], axis=0)]]
        slices[:, :2] = (best - stack[:3])[:, :2]
    return Pose(stack, slices)


def overlap(pixels: Pixels, expected: Floats) -> Floats:
    """(S,) twice the common part of observed and expected (N,) shares over their sum."""
    common, total = pixels.sums(np.minimum(pixels.share, expected)), pixels.sums(pixels.share + expected)
    return np.asarray(2 * common / np.maximum(total, 1e-9))


def _iterate(
    problem: _Problem, pose: Pose, active: Bools, spread: Floats, adapt: bool
) -> tuple[Pose, Floats, Floats, Floats]:
    """Gauss-Newton steps; also the covariance of the pose, the data's precision and the spread of the slices."""
    count = len(problem.pixels.slices)
    chosen = np.concatenate([active[:6], [True, True], active[6:]])
    for _ in range(_ROUNDS):
        data, toward = problem.normal_equations(pose)
        prior = np.concatenate([_STACK_PRIOR, _CONTOUR_PRIOR, np.tile(np.maximum(spread, 1e-6), count)]) ** -2.0
        now = np.concatenate([pose.stack, problem.contour, pose.slices.ravel()])
        precision = (data + np.diag(prior))[np.ix_(chosen, chosen)]
        covariance = np.zeros_like(data)
        covariance[np.ix_(chosen, chosen)] = np.linalg.inv(precision)
        step = covariance @ (toward - prior * now)
        limits = np.concatenate([_MAX_STEP, [1.0, 1.0], np.tile(_MAX_STEP[[0, 1, 2, 5]], count)])
        step /= max(1.0, float((np.abs(step) / limits).max()))
        now = now + step
        problem.contour = now[6:8]
        pose = Pose(now[:6], now[8:].reshape(-1, 4))
        if adapt and active[6:].any():
            spread = _adapted(pose, covariance[8:, 8:], active, spread)
        if np.abs(step / limits).max() < _SETTLED:
            break
    keep = np.concatenate([np.arange(6), np.arange(8, 8 + 4 * count)])
    return pose, covariance[np.ix_(keep, keep)], data[np.ix_(keep, keep)], spread


def _adapted(pose: Pose, covariance: Floats, active: Bools, spread: Floats) -> Floats:
    """(4,) the spread under which these motions, each with its uncertainty, are most likely."""
    rows = active[6:].reshape(-1, 4)
    squares = pose.slices**2 + np.diag(covariance).reshape(-1, 4)
    count = rows.sum(axis=0)
    mean = (squares * rows).sum(axis=0) / np.maximum(count, 1)
    return np.where(count > 0, np.clip(np.sqrt(mean), *_SPREAD_LIMITS), spread)


def _believed(pose: Pose, data: Floats, spread: Floats, active: Bools) -> Bools:
    """Which of the active numbers stay: `_STACK_PARTS` and, of each slice, `_PARTS`, each as a whole."""
    believed = active.copy()
    groups = [(part, _STACK_PRIOR[part], least) for part, least in _STACK_PARTS]
    for number in range(len(pose.slices)):
        groups += [(6 + 4 * number + part, spread[part], least) for part, least in _PARTS]
    values = np.concatenate([pose.stack, pose.slices.ravel()])
    for places, prior, least in groups:
        used = active[places]
        places, precision = places[used], np.diag(np.maximum(prior[used], 1e-6) ** -2.0)
        if not len(places):
            continue
        x, from_data = values[places], data[np.ix_(places, places)]
        odds = 0.5 * x @ (from_data + precision) @ x
        odds -= 0.5 * np.linalg.slogdet(np.eye(len(x)) + np.linalg.solve(precision, from_data))[1]
        size = float(np.linalg.norm(x))
        believed[places] = odds > _CONVINCING and least <= size <= 1.5 * MAX_SHIFT
    return believed
