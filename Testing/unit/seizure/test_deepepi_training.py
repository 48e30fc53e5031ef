"""Training: reproducibility, resuming, the users that are used, and the accuracy reached."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import Config
from deeprecon.seizure.read.configuration import read_configuration
from deeprecon.seizure.read.recording import Recording
from deeprecon.seizure.simulate.activities import Wearer
from deeprecon.seizure.simulate.recordings import Period, simulate_periods, simulate_recordings
from deeprecon.seizure.training.ensemble import train_ensemble
from deeprecon.seizure.training.pytorch_ensemble import train_network, train_pytorch_ensemble
from deeprecon.seizure.training.split import split_users
from deeprecon.seizure.training.training_set import TrainingSet, selection_figure


@pytest.fixture
def tiny(configuration) -> Config:
    return read_configuration(configuration())


@pytest.fixture
def split(people):
    return split_users(people, 2, 0.25, 0.5, 0)


def weights(trained) -> list[torch.Tensor]:
    return [value for network in trained.networks for value in network.state_dict().values()]


def test_seed_determines_the_weights(people, split, tiny, make_run):
    first, second = (train_ensemble(people, split, tiny, make_run(name)) for name in ("a", "b"))
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))
    other = train_ensemble(people, split, tiny, make_run("c", seed=1))
    assert not all(torch.equal(a, b) for a, b in zip(weights(first), weights(other), strict=True))


@pytest.mark.parametrize("stop_after", [1, 3, 4, 5])
def test_resumed_training_gives_the_same_bits(stop_after, people, split, tiny, make_run):
    whole = train_ensemble(people, split, tiny, make_run("whole"))
    stopped = train_ensemble(people, split, tiny, make_run("broken", stop_after=stop_after))
    assert not stopped.finished
    assert len(stopped.networks) == (1 if stop_after < 3 else 2)
    resumed = train_ensemble(people, split, tiny, make_run("broken"))
    assert resumed.finished
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))
    assert resumed.histories == whole.histories


def test_networks_differ_and_are_in_evaluation_mode(people, split, tiny, make_run):
    trained = train_ensemble(people, split, tiny, make_run())
    assert not any(network.training for network in trained.networks)
    one, other = (network.state_dict()["convolutions.0.linear.weight"] for network in trained.networks)
    assert not torch.equal(one, other)


def test_learning_rate_follows_the_configuration(people, split, tiny, make_run):
    _, results = train_pytorch_ensemble(people, split, tiny, make_run())
    model = tiny.modelConfig
    found = [entry["learning_rate"] for entry in results[0].history]
    assert found == pytest.approx([model.learning_rate(step) for step in (2, 4, 6)])
    assert found[-1] == 0


def test_training_does_not_use_recordings_of_test_users(people, split, tiny, make_run):
    """A change in the recordings of a test user changes nothing."""
    changed = [
        replace(one, magnitude=np.flip(one.magnitude).copy()) if one.user in split.test else one for one in people
    ]
    before, after = (
        train_ensemble(data, split, tiny, make_run(name)) for name, data in (("a", people), ("b", changed))
    )
    assert all(torch.equal(a, b) for a, b in zip(weights(before), weights(after), strict=True))


def test_weights_with_the_best_validation_figure_are_kept(people, split, tiny, make_run):
    model = tiny.modelConfig
    data = TrainingSet.make(people, split.training[0], split.validation[0], tiny, 0)
    network, result = train_network(data, model, make_run(), 0, "n")
    with torch.no_grad():
        probability = torch.softmax(network(torch.from_numpy(data.validation)), 1)[:, 1].numpy()
    assert selection_figure(probability, data.validation_label, model) == pytest.approx(result.best, rel=1e-5)
    assert result.best == min(entry["validation"] for entry in result.history)


def test_checkpoint_of_other_settings_is_refused(people, split, tiny, make_run):
    train_ensemble(people, split, tiny, make_run("a", stop_after=1))
    other = Config(replace(tiny.modelConfig, weightDecay=0.1), tiny.dataProcessing)
    with pytest.raises(InputError, match="weight_decay"):
        train_ensemble(people, split, other, make_run("a"))


def test_training_without_seizures_is_refused(split, tiny, make_run):
    calm = simulate_recordings(8, 0, 2.0, 0)
    with pytest.raises(InputError, match="too few"):
        split_users(calm, 2, 0.25, 0.5, 0)
    with pytest.raises(InputError, match="no window of 5 s in a seizure"):
        train_ensemble(calm, split, tiny, make_run())


def test_network_separates_seizures_from_rest_and_walking(make_run, tiny):
    """160 steps suffice for classes that are easy to separate, on users of the test."""
    plan = [
        Period("rest", 80),
        Period("walking", 80),
        Period("rest", 40),
        Period("seizure", 80),
        Period("rest", 40),
    ]
    people = []
    for number in range(20):
        wearer = replace(Wearer.draw(number, 3), strength=1.0)
        axes, times = simulate_periods(wearer, plan, np.random.default_rng(number))
        magnitude = np.linalg.norm(axes, axis=1).astype(np.float32)
        people.append(Recording(str(number), str(number), magnitude, np.ones(len(magnitude), bool), None, times))
    split = split_users(people, 1, 0.25, 0.25, 0)
    model = replace(tiny.modelConfig, batchSize=16, warmupSteps=8, mainSteps=144, cooldownSteps=8, evalEverySteps=40)
    config = Config(replace(model, bufferSeconds=15.0), tiny.dataProcessing)
    trained = train_ensemble(people, split, config, make_run())
    data = TrainingSet.make(people, split.training[0], split.test, config, 0)
    with torch.no_grad():
        predicted = trained.networks[0](torch.from_numpy(data.validation)).argmax(dim=1).numpy()
    assert (predicted[data.validation_label == 1] == 1).mean() > 0.85
    assert (predicted[data.validation_label == 0] == 0).mean() > 0.9
