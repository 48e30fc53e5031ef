"""Training of an ensemble with the framework of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from deeprecon.jobs.run import Run
from deeprecon.seizure.configuration import Config, Framework
from deeprecon.seizure.networks.deepepi import DeepEpi
from deeprecon.seizure.read.recording import Recording, select_users
from deeprecon.seizure.training.keras_ensemble import train_keras_ensemble
from deeprecon.seizure.training.pytorch_ensemble import train_pytorch_ensemble
from deeprecon.seizure.training.split import UserSplit


@dataclass(frozen=True, eq=False)
class TrainedEnsemble:
    """An ensemble and its learning curves.

    Attributes:
        networks: with the weights that did best on their validation users, in evaluation mode, on the run's device.
        histories: of each network, a row (step, loss, validation) for each validation.
        finished: False if the run was asked to stop early; there may then be fewer networks.
    """

    networks: tuple[DeepEpi, ...]
    histories: tuple[list[dict[str, Any]], ...]
    finished: bool

    @property
    def best(self) -> list[float]:
        """The validation figure of each network; lower is better."""
        return [min(row["validation"] for row in history) for history in self.histories]

    def history_rows(self) -> list[dict[str, Any]]:
        """All learning curves as one table."""
        return [{"network": number, **row} for number, history in enumerate(self.histories) for row in history]


def train_ensemble(
    recordings: Sequence[Recording], split: UserSplit, config: Config, run: Run, name: str = ""
) -> TrainedEnsemble:
    """Train one network after the other, without the recordings of users of the test.

    Args:
        recordings: of all users.
        split: users of each network.
        config: checked.
        run: device, precision, seed, reporter and checkpoint folder.
        name: prefix of the checkpoints, where a run trains several ensembles.

    Raises:
        InputError: see `train_pytorch_ensemble` and `train_keras_ensemble`.
    """
    used = select_users(recordings, split.trained)
    if config.modelConfig.framework is Framework.TENSORFLOW:
        weights, histories = train_keras_ensemble(used, split, config, run, name=name)
        return TrainedEnsemble(tuple(_network(one, config, run) for one in weights), tuple(histories), True)
    networks, results = train_pytorch_ensemble(used, split, config, run, name)
    every = config.modelConfig.evalEverySteps
    histories = [
        [
            {"step": round((row["epoch"] + 1) * every), "loss": row["loss"], "validation": row["validation"]}
            for row in result.history
        ]
        for result in results
    ]
    return TrainedEnsemble(tuple(networks), tuple(histories), not results[-1].interrupted)


def _network(weights: Any, config: Config, run: Run) -> DeepEpi:
    network = DeepEpi(config.modelConfig.strides)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return network.eval().to(run.device)
