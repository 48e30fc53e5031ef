"""The coordinate network with dropout: layers, group loss, prediction and training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run
from deeprecon.scar.fit import mlp_fit
from deeprecon.scar.fit.mlp import Mlp, _index_mean, _segment_csr, group_error, predict, samples, segment_mean
from deeprecon.scar.fit.mlp_fit import MlpFit, MlpSettings, fit_mlp, mlp_steps_for_budget, new_mlp, split_groups
from deeprecon.scar.observe.node_groups import group_nodes
from deeprecon.scar.parameters import MlpSize
from deeprecon.scar.read.training_data import NodeGroups
from deeprecon.scar.simulate.hearts import Phantom

UNIT = np.array([[0.0] * 3, [1.0] * 3])
QUICK = MlpSettings(batch=500)


@dataclass
class Notes:
    """A reporter that remembers; asks for a stop once it has heard `stop_after` epochs."""

    folder: Path
    stop_after: int = 10**9
    metrics: list[dict[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def status(self, text: str) -> None: ...

    def warning(self, message: str) -> None:
        self.warnings.append(message)

    def progress(self, fraction: float, seconds_left: float | None = None) -> None: ...

    def metric(self, step: int, **values: float) -> None:
        self.metrics.append({"step": step, **values})
        if len(self.metrics) >= self.stop_after:
            (self.folder / "stop").touch()


def make_run(folder: Path, seed: int = 0, stop_after: int = 10**9, precision: str = "fp32") -> Run:
    folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    return Run(folder, folder, "cpu", 1, precision, seed, Notes(folder, stop_after))


def few_groups(count: int = 200) -> NodeGroups:
    """Groups of 1 to 9 nodes in a box of 100 mm; half of it is scar."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 10, count)
    centers = rng.uniform(5, 95, (count, 3))
    points = np.repeat(centers, sizes, axis=0) + rng.uniform(-3, 3, (sizes.sum(), 3))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    scar = (points[:, 0] > 50).astype(np.float64)
    values = np.add.reduceat(scar, offsets[:-1]) / sizes
    return NodeGroups(points, values.astype(np.float32), offsets, 100 * UNIT)


def train(folder: Path, steps: int = 40, groups: NodeGroups | None = None, patience: int = 500, **change) -> MlpFit:
    run = make_run(folder, **{name: change.pop(name) for name in ("seed", "stop_after", "precision") if name in change})
    return fit_mlp(groups or few_groups(), MlpSize.SMALL, steps, patience, run, replace(QUICK, **change))


def network(width: int = 16, layers: int = 4, dropout: float = 0.3) -> Mlp:
    made = Mlp(width, layers, dropout, UNIT)
    made.initialize(0.3, 0)
    return made


def ragged(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probabilities of three passes, offsets of 50 groups and their values."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 30, (50,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)])
    probability = torch.rand(3, int(offsets[-1]), generator=generator, requires_grad=True)
    return probability, offsets, torch.rand(50, generator=generator)


def looped_error(probability: torch.Tensor, offsets: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The loss by its formula, one group after the other."""
    mean = probability.mean(dim=0)
    errors = [(values[g] - mean[offsets[g] : offsets[g + 1]].mean()) ** 2 for g in range(len(values))]
    return torch.stack(errors).mean()


# ---- network


@pytest.mark.parametrize(("width", "layers", "parameters", "dropouts"), [(128, 4, 50_177, 1), (256, 6, 330_241, 2)])
def test_the_sizes_have_the_parameters_that_counting_gives(width, layers, parameters, dropouts):
    made = Mlp(width, layers, 0.1, UNIT)
    assert sum(weights.numel() for weights in made.parameters()) == parameters
    assert sum(isinstance(layer, nn.Dropout) for layer in made.modules()) == dropouts


def test_without_dropout_it_is_a_plain_chain_of_layers_under_known_names():
    plain = nn.Sequential(
        *(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.Dropout(0.3), nn.ReLU()),
        *(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid()),
    )
    made = network().eval()
    plain.load_state_dict({name.removeprefix("network."): value for name, value in made.state_dict().items()})
    places = torch.rand(40, 3)
    torch.testing.assert_close(made(places), plain.eval()(places).T)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_network_without_any_dropout_is_refused(layers):
    """Fault 12: two hidden layers have no dropout, and an uncertainty of 0 everywhere without a word."""
    with pytest.raises(InputError, match="gives no uncertainty"):
        Mlp(128, layers, 0.1, UNIT)


@pytest.mark.parametrize("size", MlpSize)
@pytest.mark.parametrize("mean", [0.004, 0.2])
def test_it_starts_at_the_mean_and_separates_places(size, mean):
    """Fault 17: rare scar, an even start and a large network end at 0."""
    groups = replace(few_groups(), values=np.full(200, mean, np.float32))
    made = new_mlp(size, groups, QUICK, 0).eval()
    probability = made(torch.rand(2000, 3))
    logits = torch.logit(probability)
    assert logits.mean().item() == pytest.approx(math.log(mean / (1 - mean)), abs=1.5)
    assert logits.std() > 0.3


def test_coordinates_are_not_rounded_in_lower_precision():
    made = network(128).eval()
    step = 1e-3  # 0.1 mm of 100 mm, a fourth of what bf16 can tell from 1
    places = torch.tensor([[0.9, 0.9, 0.9], [0.9 + step, 0.9, 0.9]])
    first = made.network[0]
    seen: list[torch.Tensor] = []
    first.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = made(places)
    assert result.dtype == seen[0].dtype == torch.float32
    torch.testing.assert_close((seen[0][1] - seen[0][0]), first.weight[:, 0] * step, rtol=1e-3, atol=1e-6)


def test_every_pass_and_point_has_dropout_of_its_own_in_training():
    made = network().train()
    same = torch.rand(1, 3).expand(200, -1)
    drawn = made(same, passes=3)
    assert drawn.shape == (3, 200)
    assert (drawn.std(dim=0) > 0).float().mean() > 0.9
    assert (drawn.std(dim=1) > 0).all()


def test_masks_spread_as_dropout_does():
    made = network(layers=6).train()
    place = torch.rand(1, 3)
    with torch.no_grad():
        loose = made(place.expand(4000, -1))[0]
        masked = made.eval()(place, 4000, made.draw_masks(4000, 0))[:, 0]
    assert masked.mean().item() == pytest.approx(loose.mean().item(), abs=0.01)
    assert masked.std().item() == pytest.approx(loose.std().item(), rel=0.08)
    assert loose.std() > 0.02


# ---- loss


def test_the_error_and_its_gradient_are_those_of_a_loop():
    probability, offsets, values = ragged()
    fast, slow = group_error(probability, offsets, values), looped_error(probability, offsets, values)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(*(torch.autograd.grad(value, probability)[0] for value in (fast, slow)))


def test_a_small_group_counts_as_much_as_a_large_one():
    offsets, values = torch.tensor([0, 1, 101]), torch.zeros(2)
    small, large = torch.zeros(2, 101)
    small[0], large[1:] = 1.0, 1.0
    assert group_error(small[None], offsets, values) == group_error(large[None], offsets, values) == 0.5


def test_numbers_of_groups_need_not_follow_on_each_other_in_a_batch():
    """Fault 13: means of groups that a batch lacks, and targets picked from several."""
    groups = few_groups()
    data = mlp_fit._DeviceData(groups, network())
    chosen = np.array([150, 3, 77])
    coordinates, offsets, values = data.load(chosen)
    np.testing.assert_array_equal(values, groups.values[chosen])
    for place, group in enumerate(chosen):
        own = groups.points[groups.offsets[group] : groups.offsets[group + 1]]
        np.testing.assert_array_equal(coordinates[offsets[place] : offsets[place + 1]], own.astype(np.float32))
    first, again = (
        group_error(torch.rand(3, len(coordinates), generator=torch.Generator().manual_seed(0)), offsets, values)
        for _ in "ab"
    )
    assert torch.equal(first, again)


def test_the_loss_does_not_depend_on_group_numbers():
    """Fault 14: a sort and a wait for the GPU in each step. Tensors without content refuse whatever would need it."""
    probability, offsets, values = (tensor.detach().to("meta") for tensor in ragged())
    if _segment_csr() is None:
        assert group_error(probability, offsets, values).device.type == "meta"
    assert _index_mean(probability[0], offsets).device.type == "meta"


def test_both_ways_of_taking_means_agree():
    probability, offsets, _ = ragged()
    values = probability[0]
    torch.testing.assert_close(_index_mean(values, offsets), segment_mean(values, offsets))


def test_torch_scatter_gives_the_same_means(monkeypatch):
    pytest.importorskip("torch_scatter", reason="torch-scatter is not installed; it is an optional extra")
    probability, offsets, _ = ragged()
    with_package = segment_mean(probability[0], offsets)
    weights = torch.rand(50)
    gradient = torch.autograd.grad((with_package * weights).sum(), probability)[0]
    monkeypatch.setattr("deeprecon.scar.fit.mlp._segment_csr", lambda: None)
    without = segment_mean(probability[0], offsets)
    torch.testing.assert_close(with_package, without)
    torch.testing.assert_close(gradient, torch.autograd.grad((without * weights).sum(), probability)[0])


# ---- prediction


def test_prediction_is_mean_and_spread_of_the_samples():
    made = network()
    points, masks = np.random.default_rng(0).random((300, 3)), made.draw_masks(7, 1)
    drawn = samples(made, masks, points)
    mean, spread = predict(made, masks, points)
    assert drawn.shape == (7, 300)
    assert drawn.dtype == mean.dtype == spread.dtype == np.float32
    np.testing.assert_allclose(mean, drawn.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(spread, drawn.std(axis=0), atol=1e-6)  # over the passes, not over one less
    assert 0 < spread.max() <= 0.5


def test_neither_the_order_nor_the_number_of_points_changes_an_answer(monkeypatch):
    made = network()
    points, masks = np.random.default_rng(0).random((300, 3)), made.draw_masks(7, 1)
    whole = samples(made, masks, points)
    monkeypatch.setattr("deeprecon.scar.fit.mlp._ROWS", 7 * 11)
    np.testing.assert_allclose(samples(made, masks, points[::-1]), whole[:, ::-1], atol=1e-6)
    np.testing.assert_array_equal(made.draw_masks(7, 1)[0], masks[0])
    assert not torch.equal(made.draw_masks(7, 2)[0], masks[0])


# ---- training


def test_batches_are_shuffled_complete_groups_of_about_the_requested_size(tmp_path, monkeypatch):
    """Fault 4: steps that see one slab of one slice each, the same ones in the same order."""
    loaded: list[np.ndarray] = []
    load = mlp_fit._DeviceData.load
    monkeypatch.setattr(
        mlp_fit._DeviceData, "load", lambda data, chosen: (loaded.append(chosen), load(data, chosen))[1]
    )
    groups = few_groups()
    train(tmp_path / "job", steps=8, groups=groups, batch=250)
    held_out, first, second = loaded[0], loaded[1:5], loaded[5:9]
    for epoch in (first, second):
        trained = np.concatenate(epoch)
        assert len(np.unique(trained)) == len(trained) == 190
        assert not set(trained) & set(held_out)
        for batch in epoch:
            assert 150 < groups.sizes[batch].sum() < 350
            assert len(np.unique(batch // 40)) >= 4, "a batch has groups from all over"
    assert not np.array_equal(first[0], second[0])


def test_the_best_weights_are_kept_not_the_last(tmp_path):
    """Fault 5."""
    run = make_run(tmp_path / "job")
    done = train(tmp_path / "job", steps=60, learning_rate=0.5)  # so high that it gets worse again
    held_out = [entry["held_out_loss"] for entry in done.history]
    assert done.best_epoch == int(np.argmin(held_out)) < len(held_out) - 1
    assert done.held_out_error == pytest.approx(math.sqrt(min(held_out)))
    groups = few_groups()
    _, apart = split_groups(groups, 0.05, run.seed)
    means = np.add.reduceat(
        predict(done.network, done.network.draw_masks(3, run.seed), groups.points)[0], groups.offsets[:-1]
    )
    error = (means / groups.sizes - groups.values)[apart]
    assert math.sqrt(np.mean(error**2)) == pytest.approx(done.held_out_error, rel=1e-3)


def test_it_ends_when_patience_does(tmp_path):
    done = train(tmp_path / "job", steps=400, learning_rate=0.5, patience=3)
    assert done.epochs == done.best_epoch + 1 + 3 < 400
    assert done.finished


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path):
    states = [train(tmp_path / str(number), 6, seed=seed).network.state_dict() for number, seed in enumerate((0, 0, 1))]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["network.2.weight"], states[2]["network.2.weight"])


def test_a_stopped_run_goes_on_to_the_same_numbers(tmp_path):
    whole = train(tmp_path / "whole", 24)
    first = train(tmp_path / "stopped", 24, stop_after=4)
    assert not first.finished
    assert first.epochs < whole.epochs
    (tmp_path / "stopped" / "stop").unlink()
    second = train(tmp_path / "stopped", 24)
    assert second.finished
    assert second.history == whole.history
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_trains_as_well(tmp_path, precision):
    full, lower = train(tmp_path / "fp32", 40), train(tmp_path / "lower", 40, precision=precision)
    assert lower.held_out_error == pytest.approx(full.held_out_error, abs=0.05)
    assert all(weights.dtype == torch.float32 for weights in lower.network.parameters())


def test_scar_is_held_out_in_proportion():
    groups = replace(few_groups(), values=np.r_[np.ones(80), np.zeros(120)].astype(np.float32))
    for seed in range(20):
        training, apart = split_groups(groups, 0.05, seed)
        assert len(apart) == 10
        assert sorted([*training, *apart]) == list(range(200))
        assert groups.values[apart].sum() == 4


@pytest.mark.parametrize("count", [5, 200])
def test_groups_too_few_or_scar_too_rare_to_be_held_out_serve_for_both(count):
    groups = replace(few_groups(count), values=np.r_[1.0, np.zeros(count - 1)].astype(np.float32))
    assert all(sorted(part) == list(range(count)) for part in split_groups(groups, 0.05, 0))
    healthy = replace(few_groups(), values=np.zeros(200, np.float32))
    assert len(split_groups(healthy, 0.05, 0)[1]) == 10


def test_one_group_is_enough(tmp_path):
    groups = NodeGroups(np.full((1, 3), 50.0), np.array([0.7], np.float32), np.array([0, 1]), 100 * UNIT)
    assert train(tmp_path / "job", 60, groups).held_out_error < 0.1


def dice(case: Phantom, done: MlpFit) -> float:
    marked = predict(done.network, done.network.draw_masks(20, 0), case.mesh.points)[0] > 0.5
    return float(2 * (marked & case.truth).sum() / (marked.sum() + case.truth.sum()))


def test_it_finds_the_scar_of_the_phantom(patient, tmp_path):
    groups = group_nodes(patient.mesh.points, patient.stacks)
    done = train(tmp_path / "job", 200, groups)
    assert dice(patient, done) > 0.85
    assert done.history[-1]["step"] == done.steps


def test_a_small_scar_is_not_lost(tmp_path):
    """Fault 17: scar in a few of a hundred pixels, and every probability ends at 0."""
    groups = few_groups(1000)
    scar = np.linalg.norm(groups.points - 50, axis=1) < 18
    values = (np.add.reduceat(scar.astype(np.float64), groups.offsets[:-1]) / groups.sizes).astype(np.float32)
    assert values.mean() < 0.04
    done = train(tmp_path / "job", 60, replace(groups, values=values), batch=2000)
    probability = predict(done.network, done.network.draw_masks(20, 0), groups.points)[0]
    assert probability[scar].mean() > 0.5
    assert probability[~scar].mean() < 0.03


def test_scar_that_was_not_found_is_reported(tmp_path):
    rare = replace(few_groups(), values=np.r_[np.ones(4), np.zeros(196)].astype(np.float32))
    for groups, words in ((rare, "found none of the scar"), (replace(rare, values=np.zeros(200, np.float32)), "")):
        run = make_run(tmp_path / f"job{len(words)}")
        fit_mlp(groups, MlpSize.SMALL, 1, 500, run, QUICK)
        assert [words in text for text in run.reporter.warnings] == ([True] if words else [])


def test_a_budget_becomes_steps():
    torch.set_num_threads(1)
    few, many = (mlp_steps_for_budget(seconds, MlpSize.SMALL, "cpu", "fp32") for seconds in (1.0, 60.0))
    assert 1 <= few < many
