"""Trained ensembles as model bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deeprecon.seizure.configuration import SAMPLE_RATE, Config
from deeprecon.seizure.read.ensemble import NETWORK
from deeprecon.training.bundle import Bundle, Card, write_bundle

if TYPE_CHECKING:
    from torch import Tensor

_README = """# DeepEpi, an ensemble for convulsive seizures

Seizure probability of 30 s of a wrist's acceleration, by the network of Spahr et al. 2025 (doi 10.1111/epi.18406).
Input: length of the acceleration in g, {rate} samples a second, neither filtered nor scaled.

Research only. This is not an alarm device and must not be used as one.

{data}
"""


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
        folder: must not exist.
        states: state_dict of each network, named as in `DeepEpi`.
        config: of the training.
        threshold: probability above which there is an alarm.
        trained, test: users of training and validation, and users of the test.
        data: description of the training data.
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
