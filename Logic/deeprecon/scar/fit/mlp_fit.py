"""Training of the mlp on groups of nodes, by the shared training loop."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deeprecon.jobs.run import Run
from deeprecon.scar.fit.mlp import Mlp, group_error
from deeprecon.scar.parameters import MlpSize
from deeprecon.scar.read.training_data import NodeGroups
from deeprecon.training import estimate
from deeprecon.training.batches import Batches, Indices
from deeprecon.training.devices import seed_generators
from deeprecon.training.fabric import SingleDevice, make_fabric
from deeprecon.training.fit import FitSettings, fit
from deeprecon.training.schedules import ScheduleName

Batch = tuple[Tensor, Tensor, Tensor]
"""(n, 3) coordinates sorted by group, (G + 1,) offsets of the groups, (G,) values."""

_MIN_HELD_OUT_SCAR = 3
"""Held-out groups with scar below which nothing is held out."""


@dataclass(frozen=True)
class MlpSettings:
    """How the mlp is trained.

    Attributes:
        dropout: share of the units that are left out.
        passes: with dropout, whose mean is compared with a pixel in training.
        batch: nodes per step, approximately; groups are not split.
        learning_rate: maximum with 128 units per layer; it falls in proportion to the width, or scar is lost.
        held_out: share of the groups that is not trained on.
    """

    dropout: float = 0.1
    passes: int = 3
    batch: int = 10_000
    learning_rate: float = 1e-3
    held_out: float = 0.05


@dataclass(frozen=True, eq=False)
class MlpFit:
    """A trained mlp.

    Attributes:
        network: with the weights of the least error on the held-out groups.
        history: step, training_loss and held_out_loss (squared error of the group means) after each epoch.
        epochs, steps: that were done.
        best_epoch: of the weights that were kept, counted from 0.
        held_out_error: root mean square of group mean minus observation over the held-out groups, see `split_groups`.
        finished: False if the run was asked to stop early.
    """

    network: Mlp
    history: tuple[dict[str, float], ...]
    epochs: int
    steps: int
    best_epoch: int
    held_out_error: float
    finished: bool

    @property
    def figures(self) -> dict[str, float]:
        """About the training, for the result."""
        return {
            "network_parameters": sum(weights.numel() for weights in self.network.parameters()),
            "epochs": self.epochs,
            "steps": self.steps,
            "best_epoch": self.best_epoch,
            "held_out_error": self.held_out_error,
        }


class _DeviceData:
    """Groups on the device, as batches."""

    def __init__(self, groups: NodeGroups, network: Mlp) -> None:
        self.coordinates = network.coordinates(groups.points)
        self.values = torch.from_numpy(groups.values).to(self.coordinates.device)
        self.starts, self.sizes = groups.offsets[:-1], groups.sizes

    def load(self, chosen: Indices) -> Batch:
        """The chosen groups. The indices are computed on the CPU, which avoids waiting for the GPU."""
        sizes = self.sizes[chosen]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        nodes = np.arange(offsets[-1]) + np.repeat(self.starts[chosen] - offsets[:-1], sizes)
        device = self.coordinates.device
        index, bounds, numbers = (torch.from_numpy(part).to(device) for part in (nodes, offsets, chosen))
        return self.coordinates[index], bounds, self.values[numbers]


def fit_mlp(
    groups: NodeGroups,
    size: MlpSize,
    steps: int,
    patience: int,
    run: Run,
    settings: MlpSettings | None = None,
    name: str = "mlp",
) -> MlpFit:
    """Train the mlp until the means over its groups agree with their values.

    A twentieth of the groups is held out (see `split_groups`). The weights with the least error on them are kept, and
    the training ends once that has not improved for `patience` epochs. A resumed run gives the same numbers.

    Args:
        groups: at least one.
        size: hidden layers and their width.
        steps: optimizer steps, rounded up to whole epochs.
        patience: epochs.
        run: device, precision, seed, reporter and checkpoint folder.
        settings: see there.
        name: of the checkpoint, where a run makes several fits.

    Raises:
        InputError: the checkpoint is damaged or of another run.
    """
    settings = settings or MlpSettings()
    fabric = make_fabric(run.device, run.precision)
    seed_generators(run.seed)
    network = new_mlp(size, groups, settings, run.seed).to(fabric.device)
    data = _DeviceData(groups, network)
    training, held_out = split_groups(groups, settings.held_out, run.seed)
    batches = _batches(groups, data, training, settings.batch, run.seed)
    parts = [data.load(part) for part in np.array_split(held_out, math.ceil(len(held_out) / batches.size))]
    masks = network.draw_masks(settings.passes, run.seed)

    def loss(model: Mlp, batch: Batch) -> Tensor:
        return group_error(model(batch[0], settings.passes), *batch[1:])

    def validate(model: Mlp) -> float:
        # The same masks at every epoch, so that epochs are comparable.
        errors = [group_error(model(part[0], settings.passes, masks), *part[1:]) * len(part[2]) for part in parts]
        return float(torch.stack(errors).sum()) / len(held_out)

    per_epoch = len(batches(0))
    schedule = _schedule(math.ceil(steps / per_epoch), patience, network.width, settings)
    result = fit(network, loss, batches, validate, schedule, run, fabric, name)
    if _scar_is_lost(network, data, groups):
        run.reporter.warning(
            "The network has found none of the scar that the slices show: give it more steps, or use the field."
        )
    names = {"loss": "training_loss", "validation": "held_out_loss"}
    history = tuple(
        {"step": (entry["epoch"] + 1) * per_epoch} | {name: entry[key] for key, name in names.items()}
        for entry in result.history
    )
    steps_done, error = result.epochs * per_epoch, math.sqrt(result.best)
    return MlpFit(network, history, result.epochs, steps_done, result.best_epoch, error, not result.interrupted)


def _batches(groups: NodeGroups, data: _DeviceData, training: Indices, nodes: int, seed: int) -> Batches:
    """Batches of about `nodes` nodes, with equally many groups in each, so that each group has the same weight."""
    count = max(1, round(groups.sizes[training].sum() / nodes))
    return Batches(len(training), math.ceil(len(training) / count), lambda chosen: data.load(training[chosen]), seed)


def _schedule(epochs: int, patience: int, width: int, settings: MlpSettings) -> FitSettings:
    """One warm-up and one fall of the learning rate to 0.

    The number of steps is known, so that no cycles are needed, which would end at an arbitrary rate. The warm-up keeps
    the first steps from driving every probability to 0.
    """
    return FitSettings(
        epochs=epochs,
        learning_rate=settings.learning_rate * 128 / width,
        schedule=ScheduleName.COSINE,
        warmup=0.1,
        patience=patience,
        checkpoint_every=max(1, epochs // 40),
    )


def _scar_is_lost(network: Mlp, data: _DeviceData, groups: NodeGroups) -> bool:
    """Whether there are groups that are mostly scar, and the network predicts scar at no node of them."""
    scar = np.flatnonzero(groups.values > 0.5)
    some = scar[:: len(scar) // 1000 + 1]
    with torch.no_grad():
        return len(some) > 0 and float(network(data.load(some)[0]).max()) < 0.5


def split_groups(groups: NodeGroups, held_out: float, seed: int) -> tuple[Indices, Indices]:
    """Numbers of the groups to train on and of those to hold out.

    Every twentieth in the order of their values is held out: in a random draw all pixels of a small scar might be
    trained on. Where fewer than `_MIN_HELD_OUT_SCAR` of those held out would show scar although there is some, all
    groups are used for both: otherwise a heart without scar would have the least error on them.
    """
    ranked = np.lexsort((np.random.default_rng(seed).permutation(len(groups)), groups.values))
    every = round(1 / held_out)
    apart = np.zeros(len(groups), bool)
    apart[ranked[every // 2 :: every]] = True
    scar = groups.values > 0
    if not apart.any() or (scar.any() and scar[apart].sum() < _MIN_HELD_OUT_SCAR):
        everything = np.arange(len(groups))
        return everything, everything
    return np.flatnonzero(~apart), np.flatnonzero(apart)


def new_mlp(size: MlpSize, groups: NodeGroups, settings: MlpSettings, seed: int) -> Mlp:
    """An untrained network for these groups."""
    layers, width = map(int, size.value.split("x"))
    network = Mlp(width, layers, settings.dropout, groups.box)
    network.initialize(float(groups.values.mean()), seed)
    return network


def mlp_steps_for_budget(seconds: float, size: MlpSize, device: str, precision: str, seed: int = 0) -> int:
    """How many steps fit into `seconds` on this machine with the present number of threads, from a short timing.

    A batch has about as many nodes for every patient, so that the timing needs no patient's data.
    """
    settings = MlpSettings()
    rng = np.random.default_rng(seed)
    offsets = np.arange(0, settings.batch + 1, 20)
    values = rng.random(len(offsets) - 1, np.float32)
    synthetic = NodeGroups(rng.random((offsets[-1], 3)), values, offsets, np.array([[0.0] * 3, [1.0] * 3]))
    fabric = SingleDevice(device, precision)
    network = new_mlp(size, synthetic, settings, seed).to(device)
    data = _DeviceData(synthetic, network)
    model, optimizer = fabric.setup(network, torch.optim.AdamW(network.parameters()))
    numbers = np.arange(len(synthetic))

    def step() -> None:
        coordinates, bounds, observed = data.load(numbers)
        fabric.backward(group_error(model(coordinates, settings.passes), bounds, observed))
        optimizer.step()
        optimizer.zero_grad()

    return estimate.steps_for_budget(step, seconds, device)
