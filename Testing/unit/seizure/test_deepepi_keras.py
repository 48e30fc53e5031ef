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
from deeprecon.seizure.config import read_config
from deeprecon.seizure.networks.architecture import CODE_STRIDES
from deeprecon.seizure.networks.deepepi import DeepEpi, new_network
from deeprecon.seizure.read.dataset import split_users

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("keras")

from deeprecon.seizure.networks.deepepi_keras import keras_model, set_weights, weights_of
from deeprecon.seizure.training.examples import TrainingData
from deeprecon.seizure.training.keras_ensemble import fit_keras, train_in_child

SEED_STRIDES = (1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 2)


def windows(count: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    strength = np.linspace(0, 1.5, count)[:, None]
    return np.abs(1 + strength * rng.normal(size=(count, 750))).astype(np.float32)


def probability(network: DeepEpi, signal: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return torch.softmax(network(torch.from_numpy(signal)), dim=1).numpy()


def trained_like(strides=CODE_STRIDES) -> DeepEpi:
    """A network whose running statistics and other weights are not what they are at first."""
    network = new_network(4, strides)
    with torch.no_grad():
        for _ in range(10):
            network(torch.from_numpy(windows(16)))
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return network.eval()


@pytest.mark.parametrize("strides", [CODE_STRIDES, SEED_STRIDES])
def test_both_frameworks_compute_the_same_from_the_same_weights(strides):
    network = trained_like(strides)
    model = keras_model(750, strides)
    set_weights(model, {name: value.numpy() for name, value in network.state_dict().items()})
    expected = probability(network, windows())
    assert np.ptp(expected[:, 1]) > 1e-3
    np.testing.assert_allclose(model.predict_on_batch(windows()[..., None]), expected, atol=1e-6)


def test_weights_come_back_from_keras_as_they_went():
    model = keras_model(750)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1, value.shape) * 0.1 for value in model.get_weights()])
    network = DeepEpi()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights_of(model).items()})
    found = probability(network.eval(), windows())
    np.testing.assert_allclose(found, np.asarray(model.predict_on_batch(windows()[..., None])), atol=1e-6)
    again = keras_model(750)
    set_weights(again, weights_of(model))
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


def test_training_in_a_child_gives_weights_of_the_same_names_and_goes_on_after_a_stop(people, configuration, make_run):
    config = read_config(configuration(modelConfig={"framework": "tensorflow"}))
    split = split_users(people, 2, 0.25, 0.5, 0)
    with pytest.raises(Stopped):
        train_in_child(people, split, config, make_run("a", stop_after=4), backend="torch")
    run = make_run("a")
    made = train_in_child(people, split, config, run, backend="torch")
    assert [len(history) for history in made.histories] == [3, 3]
    assert len(run.reporter.metrics) <= 3  # the first network was finished before the stop
    for weights in made.weights:
        network = DeepEpi()
        network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        start = new_network(0).state_dict()["convolutions.3.linear.weight"]
        assert not torch.equal(network.state_dict()["convolutions.3.linear.weight"], start)
        assert np.isfinite(probability(network.eval(), windows())).all()


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupted_network_goes_on_from_its_last_validation_to_the_same_bits(
    after, people, configuration, tmp_path
):
    config = read_config(configuration(modelConfig={"framework": "tensorflow", "denseDropout": 0.3}))
    split = split_users(people, 1, 0.25, 0.5, 0)
    data = TrainingData.make(people, split.training[0], split.validation[0], config, 0)
    heard: list[dict[str, float]] = []

    def metric(values: dict[str, float], share: float) -> None:
        heard.append(values)
        if len(heard) == after + 1:
            raise KeyboardInterrupt

    whole, history = fit_keras(data, config.modelConfig, 0, lambda values, share: None)
    if after < len(history):
        with pytest.raises(KeyboardInterrupt):
            fit_keras(data, config.modelConfig, 0, metric, tmp_path / "last.npz")
    else:
        fit_keras(data, config.modelConfig, 0, metric, tmp_path / "last.npz")
    trained_again: list[dict[str, float]] = []
    resumed, found = fit_keras(
        data, config.modelConfig, 0, lambda values, share: trained_again.append(values), tmp_path / "last.npz"
    )
    assert found == history
    assert len(trained_again) == len(history) - after
    for name, values in whole.items():
        np.testing.assert_array_equal(resumed[name], values)


def test_a_fault_of_the_data_comes_back_from_the_child_in_words(people, configuration, make_run):
    config = read_config(configuration(modelConfig={"framework": "tensorflow"}))
    split = split_users(people, 1, 0.25, 0.5, 0)
    calm = [one for one in people if not one.seizures]
    with pytest.raises(InputError, match="no window of 5 s in a seizure"):
        train_in_child(calm, split, config, make_run(), backend="torch")


def test_a_missing_backend_is_said_with_what_to_install(people, configuration, make_run):
    probe = [sys.executable, "-c", "import tensorflow"]
    if subprocess.run(probe, env=child_environment(), capture_output=True, check=False).returncode == 0:
        pytest.skip("TensorFlow is installed")
    config = read_config(configuration(modelConfig={"framework": "tensorflow"}))
    with pytest.raises(InputError, match=r"pip install './Logic\[tensorflow\]'"):
        train_in_child(people, split_users(people, 1, 0.25, 0.5, 0), config, make_run(), backend="tensorflow")


def test_the_keras_side_knows_no_torch():
    """So that a process with TensorFlow does not load both."""
    code = (
        "import sys, json, deeprecon.seizure.training.keras_ensemble;"
        "print(json.dumps(sorted(name for name in ('torch', 'keras') if name in sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
