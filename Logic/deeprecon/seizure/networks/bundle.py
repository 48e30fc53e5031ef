"""Trained ensembles as model bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeprecon.data.errors import InputError
from deeprecon.seizure.config import SAMPLE_RATE, Config
from deeprecon.seizure.networks.architecture import CODE_STRIDES
from deeprecon.training.bundle import Bundle, Card, load_weights, read_bundle, write_bundle

if TYPE_CHECKING:
    from torch import Tensor

    from deeprecon.seizure.networks.deepepi import DeepEpi

NETWORK = "deepEpi"

_README = """# DeepEpi, an ensemble for convulsive seizures

Seizure probability of 30 s of a wrist's acceleration, by the network of Spahr et al. 2025 (doi 10.1111/epi.18406).
Input: length of the acceleration in g, {rate} samples a second, neither filtered nor scaled.

Research only. This is not an alarm device and must not be used as one.

{data}
"""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks that work together.

    Attributes:
        networks: in evaluation mode, on the CPU.
        window: samples in a window.
        threshold: probability above which there is an alarm, chosen on the validation users.
        split: "trained" and "test": users by role; empty where the bundle does not tell.
        bundle: where they came from.
    """

    networks: tuple[DeepEpi, ...]
    window: int
    threshold: float
    split: Mapping[str, Sequence[str]]
    bundle: Bundle


def write_ensemble(
    folder: Path,
    states: Sequence[Mapping[str, Tensor]],
    config: Config,
    threshold: float,
    trained: Sequence[str],
    test: Sequence[str],
    data: str,
) -> Bundle:
    """Write the weights of an ensemble as a model bundle.

    Args:
        folder: to be made.
        states: state_dict of each network, in the names of `DeepEpi`.
        config: they were trained with.
        threshold: probability above which there is an alarm.
        trained, test: users that training or validation saw, and those that neither did.
        data: what they were trained on, in words.
    """
    model = config.modelConfig
    parameters = {
        "strides": list(model.strides),
        "window": model.window,
        "sample_rate": SAMPLE_RATE,
        "unit": "g",
        "framework": model.framework.value,
        "threshold": threshold,
        "users": {"trained": sorted(trained), "test": sorted(test)},
    }
    signal = {"type": "signal", "format": "magnitude", "num_channels": 1, "spatial_shape": [model.window]}
    return write_bundle(
        folder,
        Card(
            name="DeepEpi seizure detection",
            version="0.1.0",
            description="Probability of a convulsive seizure in a window of a wrist's acceleration.",
            valid_for=f"Acceleration of a wrist in g at {SAMPLE_RATE} Hz, windows of {model.bufferSeconds:g} s. "
            "Convulsive seizures only. Research only: never as an alarm device.",
            training_data=data,
            license="Apache-2.0",
            authorship="DeepRecon contributors",
            task="Detection of convulsive seizures",
            inputs={"magnitude": {**signal, "value_range": [0, 16], "dtype": "float32"}},
            outputs={"logits": {"type": "logits", "num_channels": 2, "channel_def": {"0": "no", "1": "seizure"}}},
        ),
        "seizure",
        NETWORK,
        parameters,
        states,
        _README.format(rate=SAMPLE_RATE, data=data),
    )


def read_ensemble(folder: Path) -> Ensemble:
    """The networks of a bundle.

    Raises:
        InputError: no bundle of this network, or card and weights do not fit.
    """
    from deeprecon.seizure.networks.deepepi import DeepEpi

    bundle = read_bundle(folder, "seizure")
    parameters = bundle.parameters
    if bundle.network != NETWORK:
        raise InputError(f"{folder} holds a network {bundle.network!r}, not {NETWORK!r}.", "Choose another bundle.")
    expected: dict[str, Any] = {"sample_rate": SAMPLE_RATE, "unit": "g"}
    for name, value in expected.items():
        if parameters.get(name) != value:
            raise InputError(
                f"The model in {folder} is for {name} {parameters.get(name)!r}, not {value!r}.",
                "Choose another bundle.",
            )
    networks = []
    try:
        strides, window = tuple(parameters["strides"]), int(parameters["window"])
        if len(strides) != len(CODE_STRIDES):
            raise ValueError(f"{len(strides)} strides")
        threshold = float(parameters["threshold"])
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold {threshold:g}")
        for state in load_weights(bundle):
            network = DeepEpi(strides)
            network.load_state_dict(state)
            networks.append(network.eval())
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{folder}: the card states no {error.args[0]}.", "Choose another bundle.") from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: card and weights do not fit: {error}.", "Choose another bundle.") from error
    return Ensemble(tuple(networks), window, threshold, parameters.get("users", {}), bundle)
