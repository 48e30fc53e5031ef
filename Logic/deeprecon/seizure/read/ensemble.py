"""Trained ensembles from model bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import SAMPLE_RATE
from deeprecon.seizure.networks.architecture import PUBLISHED_STRIDES
from deeprecon.training.bundle import Bundle, load_weights, read_bundle

if TYPE_CHECKING:
    from deeprecon.seizure.networks.deepepi import DeepEpi

NETWORK = "deepEpi"
"""Name of the network in a bundle."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks whose probabilities are combined.

    Attributes:
        networks: in evaluation mode, on the CPU.
        window: samples in a window.
        threshold: probability above which there is an alarm, chosen on the validation users.
        split: users by role, "trained" and "test"; empty where the bundle does not state them.
        bundle: from which they were read.
    """

    networks: tuple[DeepEpi, ...]
    window: int
    threshold: float
    split: Mapping[str, Sequence[str]]
    bundle: Bundle


def read_ensemble(folder: Path) -> Ensemble:
    """The networks of a bundle.

    Raises:
        InputError: not a bundle of this network, or card and weights do not match.
    """
    from deeprecon.seizure.networks.deepepi import DeepEpi

    bundle = read_bundle(folder, "seizure")
    parameters = bundle.parameters
    if bundle.network != NETWORK:
        raise InputError(f"{folder} contains a network {bundle.network!r}, not {NETWORK!r}.", "Choose another bundle.")
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
        if len(strides) != len(PUBLISHED_STRIDES):
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
        raise InputError(f"{folder}: card and weights do not match: {error}.", "Choose another bundle.") from error
    return Ensemble(tuple(networks), window, threshold, parameters.get("users", {}), bundle)
