"""The field: network, loss, fitting and reading it at nodes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run
from deeprecon.scar.fit.field import Field, group_loss, group_means, members, predict, soft_round
from deeprecon.scar.fit.field_fit import FieldSettings, fit_field, steps_for_budget
from deeprecon.scar.fit.interpolation import SPATIAL, interpolate
from deeprecon.scar.observe.observations import Observations, Quadrature, observe, quadrature
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import FIELD_STEPS, Interpolation

SMALL = FieldSettings(members=2, features=16, width=32, batch=64, checks=10)


@dataclass
class Notes:
    """A reporter that remembers; asks for a stop once it has heard `stop_after` checks."""

    folder: Path
    stop_after: int = 10**9
    metrics: list[dict[str, float]] = field(default_factory=list)
    fractions: list[float] = field(default_factory=list)

    def status(self, text: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def progress(self, fraction: float, seconds_left: float | None = None) -> None:
        self.fractions.append(fraction)

    def metric(self, step: int, **values: float) -> None:
        self.metrics.append({"step": step, **values})
        if len(self.metrics) >= self.stop_after:
            (self.folder / "stop").touch()


def make_run(folder: Path, seed: int = 0, stop_after: int = 10**9) -> Run:
    folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    return Run(folder, folder, "cpu", 1, "fp32", seed, Notes(folder, stop_after))


def truth(points: np.ndarray) -> np.ndarray:
    """A slanted slab: scar ends on planes that are oblique to the slices."""
    return np.abs(points @ [0.6, 0.0, 0.8] - 20) < 9


def slab_stack(binary: bool = False) -> Stack:
    """A block of wall of 42 x 15 x 48 mm in slices of 8 mm with gaps of 2 mm, supersampled from `truth`."""
    matrix = np.diag([1.5, 1.5, 10.0, 1.0])
    k, j, i = np.meshgrid(np.arange(5), np.arange(10), np.arange(28), indexing="ij")
    scar = np.zeros(k.shape)
    offsets = [(np.arange(count) + 0.5) / count - 0.5 for count in (8, 3, 5)]
    for dk in offsets[0]:
        for dj in offsets[1]:
            for di in offsets[2]:
                scar += truth(np.stack([(i + di) * 1.5, (j + dj) * 1.5, k * 10 + dk * 8], axis=-1)) / 120
    scar = (scar >= 0.5) if binary else scar
    return Stack(np.ones(k.shape, np.float32), scar.astype(np.float32), matrix, 8.0, "slab")


def slab_nodes() -> np.ndarray:
    return np.random.default_rng(0).uniform([0, 0, -4], [40.5, 13.5, 44], (20_000, 3))


def dice(probability: np.ndarray, scar: np.ndarray) -> float:
    marked = probability > 0.5
    return float(2 * (marked & scar).sum() / (marked.sum() + scar.sum()))


def few_groups() -> tuple[Observations, Quadrature]:
    stack = slab_stack()
    observed = observe([replace(stack, wall=stack.wall[:2], scar=stack.scar[:2])])
    return observed, quadrature(observed)


def small_field(**change) -> Field:
    arguments = {"center": [1.0, 2.0, 3.0], "mean": 0.2, "members": 3, "features": 8, "scale": 2.0, "width": 16}
    return Field(**(arguments | {"depth": 2, "seed": 0} | change))


# ---- loss


def test_the_loss_is_least_where_the_mean_of_the_prism_equals_the_observation():
    y = torch.tensor([0.0, 0.3, 1.0])
    share = torch.ones(3)
    steps = torch.linspace(0, 1, 101)
    for group, best in enumerate([0.0, 0.3, 1.0]):
        means = y.clone().repeat(101, 1)
        means[:, group] = steps
        losses = torch.stack([group_loss(row[None], y, share) for row in means])
        assert steps[losses.argmin()] == pytest.approx(best, abs=0.011)


def test_only_the_mean_counts_not_how_scar_is_spread_within_a_prism():
    sharp = torch.tensor([[20.0, 20.0, -20.0, -20.0]])
    even = torch.zeros(1, 4)
    weights = torch.full((1, 4), 0.25)
    torch.testing.assert_close(group_means(sharp, weights), group_means(even, weights))


def test_points_without_wall_and_groups_with_little_wall_count_little():
    weights = torch.tensor([[0.5, 0.5, 0.0]])
    one, other = (group_means(torch.tensor([[1.0, -1.0, last]]), weights) for last in (-9.0, 9.0))
    torch.testing.assert_close(one, other)
    means, y = torch.tensor([[0.2, 0.9]]), torch.tensor([0.2, 0.1])
    assert group_loss(means, y, torch.tensor([1.0, 0.01])) < 0.5 * group_loss(means, y, torch.tensor([1.0, 1.0]))


def test_a_confident_error_still_pulls():
    logit = torch.tensor([[-8.0]], requires_grad=True)
    group_loss(group_means(logit, torch.ones(1, 1)), torch.ones(1), torch.ones(1)).backward()
    assert logit.grad.item() < -0.1


def test_a_rounded_observation_asks_only_for_the_side():
    means = torch.tensor([[0.85]], requires_grad=True)
    group_loss(soft_round(means), torch.ones(1), torch.ones(1)).backward()
    free = torch.tensor([[0.85]], requires_grad=True)
    group_loss(free, torch.ones(1), torch.ones(1)).backward()
    assert abs(means.grad.item()) < 0.3 * abs(free.grad.item())


# ---- network


def test_members_start_at_the_mean_and_differ():
    network = small_field(mean=0.07)
    points = network.coordinates(np.random.default_rng(0).normal(0, 40, (500, 3)))
    probability = torch.sigmoid(network(points))
    assert probability.shape == (3, 500)
    assert probability.mean().item() == pytest.approx(0.07, abs=0.05)
    assert probability.std(dim=0).mean() > 0


def test_members_do_not_see_each_other():
    network = small_field()
    points = network.coordinates(np.random.default_rng(0).normal(0, 40, (50, 3)))
    network(points)[1].sum().backward()
    for weight in network.weights:
        assert weight.grad[1].abs().sum() > 0
        assert weight.grad[[0, 2]].abs().sum() == 0


def test_coordinates_far_from_the_origin_keep_their_precision():
    near, far = small_field(center=[0.0, 0, 0]), small_field(center=[2000.0, -3000, 900])
    points = np.random.default_rng(0).normal(0, 40, (50, 3))
    shifted = points + np.array([2000, -3000, 900])
    torch.testing.assert_close(near(near.coordinates(points)), far(far.coordinates(shifted)), atol=1e-5, rtol=1e-5)


def test_reading_in_parts_gives_the_same():
    network = small_field()
    nodes = np.random.default_rng(0).normal(0, 40, (1000, 3))
    whole, parts = members(network, nodes), members(network, nodes, batch=77)
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    with torch.no_grad():
        each = torch.sigmoid(network(network.coordinates(nodes))).numpy()
    np.testing.assert_allclose(whole, each, atol=1e-6)
    mean, spread = predict(network, 1.0, nodes)
    assert mean.dtype == spread.dtype == np.float32
    np.testing.assert_allclose(mean, each.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(spread, each.std(axis=0), atol=1e-6)


# ---- fitting


def test_the_field_finds_slanted_edges_that_interpolation_cannot(tmp_path):
    stack = slab_stack()
    observed = observe([stack])
    run = make_run(tmp_path / "job")
    fit = fit_field(observed, quadrature(observed), 300, run, replace(SMALL, batch=128))
    nodes = slab_nodes()
    probability, uncertainty = predict(fit.field, fit.spread, nodes)
    rival = max(dice(interpolate([stack], nodes, kind)[0], truth(nodes)) for kind in SPATIAL)
    assert dice(probability, truth(nodes)) > max(rival, 0.97)
    assert fit.finished
    assert fit.held_out_error < 0.06
    assert 0 <= uncertainty.min() <= uncertainty.max() <= 0.5


def test_rounded_observations_are_fitted_as_such(tmp_path):
    stack = slab_stack(binary=True)
    observed = observe([stack])
    fit = fit_field(observed, quadrature(observed), 300, make_run(tmp_path / "job"), replace(SMALL, batch=128))
    nodes = slab_nodes()
    rival = dice(interpolate([stack], nodes, Interpolation.LINEAR)[0], truth(nodes))
    assert dice(predict(fit.field, fit.spread, nodes)[0], truth(nodes)) > max(rival, 0.95)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path):
    observed, points = few_groups()
    runs = [make_run(tmp_path / str(number), seed) for number, seed in enumerate((0, 0, 1))]
    states = [fit_field(observed, points, 20, run, SMALL).field.state_dict() for run in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["weights.0"], states[2]["weights.0"])


def test_a_stopped_run_goes_on_to_the_same_numbers(tmp_path):
    observed, points = few_groups()
    whole = fit_field(observed, points, 40, make_run(tmp_path / "whole"), SMALL)
    folder = tmp_path / "stopped"
    first = fit_field(observed, points, 40, make_run(folder, stop_after=4), SMALL)
    assert not first.finished
    (folder / "stop").unlink()
    run = make_run(folder)
    second = fit_field(observed, points, 40, run, SMALL)
    assert second.finished
    assert run.reporter.metrics[0]["step"] > 4
    assert second.history == whole.history
    assert second.held_out_error == whole.held_out_error
    for name, value in whole.field.state_dict().items():
        assert torch.equal(value, second.field.state_dict()[name])


def test_the_best_weights_are_kept(tmp_path):
    observed, points = few_groups()
    run = make_run(tmp_path / "job")
    fit = fit_field(observed, points, 60, run, replace(SMALL, learning_rate=0.3))  # so high that it gets worse again
    losses = {entry["step"]: entry["held_out_loss"] for entry in fit.history}
    assert fit.best_step == min(losses, key=losses.get)
    assert len(run.reporter.metrics) == len(fit.history) == 10
    assert run.reporter.fractions[-1] == 1


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path):
    observed, points = few_groups()
    run = make_run(tmp_path / "job")
    fit_field(observed, points, 20, run, SMALL)
    with pytest.raises(InputError, match="belongs to another run"):
        fit_field(observed, points, 30, run, SMALL)
    path = run.checkpoint / "field.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="checkpoint"):
        fit_field(observed, points, 20, run, SMALL)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_no_scar_and_nothing_but_scar_are_answers(tmp_path, value):
    stack = slab_stack()
    stack.scar[:] = value
    observed = observe([stack])
    fit = fit_field(observed, quadrature(observed), 60, make_run(tmp_path / "job"), SMALL)
    probability, _ = predict(fit.field, fit.spread, slab_nodes())
    assert np.abs(probability - value).max() < 0.2


def test_fewer_groups_than_a_batch_are_enough(tmp_path):
    stack = slab_stack()
    stack.wall[1:] = 0
    stack.wall[0, 2:] = 0
    stack.wall[0, :, 5:] = 0
    observed = observe([stack])
    assert len(observed) == 10
    fit = fit_field(observed, quadrature(observed), 12, make_run(tmp_path / "job"), SMALL)
    assert np.isfinite(predict(fit.field, fit.spread, slab_nodes())[0]).all()


def test_a_mesh_elsewhere_is_refused(tmp_path):
    observed = observe([slab_stack()])
    nowhere = quadrature(observed, lambda points: np.zeros(len(points), bool))
    with pytest.raises(InputError, match="meets the mesh"):
        fit_field(observed, nowhere, 10, make_run(tmp_path / "job"), SMALL)


def test_a_budget_becomes_steps():
    torch.set_num_threads(1)
    few, many = (steps_for_budget(seconds, "cpu", settings=SMALL) for seconds in (0.5, 3.0))
    assert 100 <= few < many <= FIELD_STEPS
    assert steps_for_budget(3600.0, "cpu", settings=SMALL) == FIELD_STEPS


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_finds_the_same_field(tmp_path):
    observed = observe([slab_stack()])
    run = replace(make_run(tmp_path / "job"), device="cuda:0")
    fit = fit_field(observed, quadrature(observed), 300, run, replace(SMALL, batch=128))
    assert dice(predict(fit.field, fit.spread, slab_nodes())[0], truth(slab_nodes())) > 0.97
