"""The network in Keras, on its torch backend: size, weights both ways, and training in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from deeprecon.data.errors import InputError
from deeprecon.jobs.process import child_environment
from deeprecon.jobs.run import Stopped
from deeprecon.seizure.networks.architecture import PUBLISHED_STRIDES
from deeprecon.seizure.networks.deepepi import DeepEpi, new_network
from deeprecon.seizure.read.configuration import read_configuration
from deeprecon.seizure.training.split import split_users

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("keras")

from deeprecon.seizure.networks.deepepi_keras import get_weights, keras_model, set_weights
from deeprecon.seizure.training.keras_ensemble import train_keras_ensemble
from deeprecon.seizure.training.keras_network import train_keras_network
from deeprecon.seizure.training.training_set import TrainingSet

SEED_STRIDES = (1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 2)


def windows(count: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    strength = np.linspace(0, 1.5, count)[:, None]
    return np.abs(1 + strength * rng.normal(size=(count, 750))).astype(np.float32)


def probability(network: DeepEpi, signal: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return torch.softmax(network(torch.from_numpy(signal)), dim=1).numpy()


def perturbed_network(strides=PUBLISHED_STRIDES) -> DeepEpi:
    """A network whose running statistics and weights differ from their initial values."""
    network = new_network(4, strides)
    with torch.no_grad():
        for _ in range(10):
            network(torch.from_numpy(windows(16)))
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return network.eval()


@pytest.mark.parametrize("strides", [PUBLISHED_STRIDES, SEED_STRIDES])
def test_same_weights_give_the_same_probabilities_in_both_frameworks(strides):
    network = perturbed_network(strides)
    model = keras_model(750, strides)
    set_weights(model, {name: value.numpy() for name, value in network.state_dict().items()})
    expected = probability(network, windows())
    assert np.ptp(expected[:, 1]) > 1e-3
    np.testing.assert_allclose(model.predict_on_batch(windows()[..., None]), expected, atol=1e-6)


def test_weights_survive_the_round_trip_through_keras():
    model = keras_model(750)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1, value.shape) * 0.1 for value in model.get_weights()])
    network = DeepEpi()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in get_weights(model).items()})
    found = probability(network.eval(), windows())
    np.testing.assert_allclose(found, np.asarray(model.predict_on_batch(windows()[..., None])), atol=1e-6)
    again = keras_model(750)
    set_weights(again, get_weights(model))
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_keras_counts_97362_trainable_parameters_and_1344_statistics():
    model = keras_model(750)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == 97_362
    assert model.count_params() == 98_706


def test_weights_of_another_network_are_refused():
    with pytest.raises(InputError, match="do not fit conv_00"):
        set_weights(keras_model(750), {})
    state = {name: value.numpy() for name, value in new_network(0).state_dict().items()}
    state["dense.0.linear.weight"] = np.zeros((3, 3), np.float32)
    with pytest.raises(InputError, match="do not fit dense_0"):
        set_weights(keras_model(750), state)


def test_training_in_a_child_process_resumes_after_a_stop(people, configuration, make_run):
    config = read_configuration(configuration(modelConfig={"framework": "tensorflow"}))
    split = split_users(people, 2, 0.25, 0.5, 0)
    with pytest.raises(Stopped):
        train_keras_ensemble(people, split, config, make_run("a", stop_after=4), backend="torch")
    run = make_run("a")
    weights_of_networks, histories = train_keras_ensemble(people, split, config, run, backend="torch")
    assert [len(history) for history in histories] == [3, 3]
    assert len(run.reporter.metrics) <= 3  # the first network was finished before the stop
    for weights in weights_of_networks:
        network = DeepEpi()
        network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        start = new_network(0).state_dict()["convolutions.3.linear.weight"]
        assert not torch.equal(network.state_dict()["convolutions.3.linear.weight"], start)
        assert np.isfinite(probability(network.eval(), windows())).all()


@pytest.mark.parametrize("after", [1, 2, 3])
def test_resumed_network_gives_the_same_bits(after, people, configuration, tmp_path):
    config = read_configuration(configuration(modelConfig={"framework": "tensorflow", "denseDropout": 0.3}))
    split = split_users(people, 1, 0.25, 0.5, 0)
    data = TrainingSet.make(people, split.training[0], split.validation[0], config, 0)
    rows: list[dict[str, float]] = []

    def metric(values: dict[str, float], share: float) -> None:
        rows.append(values)
        if len(rows) == after + 1:
            raise KeyboardInterrupt

    whole, history = train_keras_network(data, config.modelConfig, 0, lambda values, share: None)
    if after < len(history):
        with pytest.raises(KeyboardInterrupt):
            train_keras_network(data, config.modelConfig, 0, metric, tmp_path / "last.npz")
    else:
        train_keras_network(data, config.modelConfig, 0, metric, tmp_path / "last.npz")
    trained_again: list[dict[str, float]] = []
    resumed, found = train_keras_network(
        data, config.modelConfig, 0, lambda values, share: trained_again.append(values), tmp_path / "last.npz"
    )
    assert found == history
    assert len(trained_again) == len(history) - after
    for name, values in whole.items():
        np.testing.assert_array_equal(resumed[name], values)


def test_input_error_of_the_child_reaches_the_parent(people, configuration, make_run):
    config = read_configuration(configuration(modelConfig={"framework": "tensorflow"}))
    split = split_users(people, 1, 0.25, 0.5, 0)
    calm = [one for one in people if not one.seizures]
    with pytest.raises(InputError, match="no window of 5 s in a seizure"):
        train_keras_ensemble(calm, split, config, make_run(), backend="torch")


def test_missing_backend_names_the_package_to_install(people, configuration, make_run):
    probe = [sys.executable, "-c", "import tensorflow"]
    if subprocess.run(probe, env=child_environment(), capture_output=True, check=False).returncode == 0:
        pytest.skip("TensorFlow is installed")
    config = read_configuration(configuration(modelConfig={"framework": "tensorflow"}))
    with pytest.raises(InputError, match=r"pip install './Logic\[tensorflow\]'"):
        train_keras_ensemble(people, split_users(people, 1, 0.25, 0.5, 0), config, make_run(), backend="tensorflow")


def test_keras_child_does_not_import_torch():
    """TensorFlow and torch are not loaded into one process."""
    code = (
        "import sys, json, deeprecon.seizure.training.keras_ensemble;"
        "print(json.dumps(sorted(name for name in ('torch', 'keras') if name in sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
