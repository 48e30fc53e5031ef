"""Training of a network for measured fields: from images of the Born approximation to contrast, in 2D and 3D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run
from deeprecon.scattering.fit.field_network import FieldArchitecture, FieldNetwork
from deeprecon.scattering.parameters import TrainParameters
from deeprecon.scattering.training.dataset import split_objects
from deeprecon.training.batches import Batches, Indices
from deeprecon.training.devices import seed_generators
from deeprecon.training.fit import FitSettings, fit
from deeprecon.training.schedules import ScheduleName

_ERROR_FLOOR = 0.05
"""Of the root mean square contrast: nearly empty objects do not dominate the loss."""


@dataclass(frozen=True, eq=False)
class TrainedFieldNetwork:
    """A trained network and its scores.

    Attributes:
        network: on the CPU, with the weights of the best epoch on the validation objects.
        scale: contrast that is 1 for the network.
        history: a row for each epoch.
        test: indices of the test objects.
        error, linear_error: mean relative L2 error of the test objects, by network and by the Born approximation.
    """

    network: FieldNetwork
    scale: float
    history: list[dict[str, float]]
    test: Indices
    error: float
    linear_error: float


def train_field_network(
    linear: npt.NDArray[np.float32], truth: npt.NDArray[np.float32], parameters: TrainParameters, run: Run
) -> TrainedFieldNetwork:
    """Train on most of the objects, select the epoch on some, and test on the rest.

    Args:
        linear: (S, n, ...) images of the Born approximation.
        truth: (S, n, ...) contrast.
        parameters: of network and training.
        run: device, precision, seed, reporter and checkpoint folder.

    Raises:
        InputError: too few objects, or an impossible network.
    """
    sets = split_objects(len(truth), parameters.train_share, run.seed)
    scale = float(np.abs(truth[sets["train"]]).max())
    inputs, known = (torch.from_numpy(values / np.float32(scale)).to(run.device) for values in (linear, truth))
    seed_generators(run.seed)
    try:
        network = FieldNetwork(
            FieldArchitecture(truth.ndim - 1, truth.shape[1], parameters.levels, parameters.rank, parameters.kernels)
        )
    except ValueError as error:
        raise InputError(
            f"There is no network like that: {error}.", "Give fewer --levels or another --grid."
        ) from error
    floor = _ERROR_FLOOR * float(known.square().mean().sqrt())

    def load(chosen: Indices) -> tuple[Tensor, Tensor]:
        index = torch.from_numpy(sets["train"][chosen]).to(run.device)
        return inputs[index], known[index]

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return _relative_error(model(batch[0]), batch[1], floor).mean()

    def score(model: nn.Module, chosen: Indices) -> float:
        parts = torch.split(torch.from_numpy(chosen).to(run.device), parameters.batch)
        return float(torch.cat([_relative_error(model(inputs[part]), known[part], floor) for part in parts]).mean())

    found = fit(
        network,
        loss,
        Batches(len(sets["train"]), parameters.batch, load, run.seed),
        lambda model: score(model, sets["validation"]),
        FitSettings(
            epochs=parameters.epochs,
            learning_rate=parameters.learning_rate,
            weight_decay=parameters.weight_decay,
            clip_norm=parameters.clip_norm,
            schedule=ScheduleName.COSINE,
            warmup=0.05,
            patience=parameters.patience,
        ),
        run,
    )
    with torch.no_grad():
        tested = score(network, sets["test"])
    chosen = torch.from_numpy(sets["test"]).to(run.device)
    linear_error = float(_relative_error(inputs[chosen], known[chosen], floor).mean())
    return TrainedFieldNetwork(network.cpu(), scale, found.history, sets["test"], tested, linear_error)


def _relative_error(found: Tensor, truth: Tensor, floor: float) -> Tensor:
    """(B,) |found - truth| / |truth| of (B, n, ...) images; `floor` bounds the root mean square of the truth."""
    axes: Any = tuple(range(1, truth.ndim))
    size = truth.square().mean(dim=axes).clamp_min(floor**2)
    return ((found - truth).square().mean(dim=axes) / size + 1e-12).sqrt()
