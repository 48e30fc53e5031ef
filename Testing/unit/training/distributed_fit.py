"""Trains a little network, in as many processes as started it: `distributed_fit.py FOLDER BATCH ACCUMULATE`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deeprecon.jobs.run import Run
from deeprecon.training.batches import Batches
from deeprecon.training.fabric import make_fabric
from deeprecon.training.fit import FitSettings, fit


class Quiet:
    """A reporter that says nothing."""

    def status(self, text: str) -> None: ...
    def progress(self, fraction: float, seconds_left: float | None = None) -> None: ...
    def metric(self, step: int, **values: float) -> None: ...
    def warning(self, message: str) -> None: ...


def main(folder: Path, size: int, accumulate: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(64, 2)
    y = torch.sin(3 * x.sum(1, keepdim=True))
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    fabric = make_fabric("cpu", "fp32")

    def loss(network: Any, batch: Any) -> torch.Tensor:
        return nn.functional.mse_loss(network(batch[0]), batch[1])

    result = fit(
        model,
        loss,
        Batches(64, size, lambda indices: (x[indices], y[indices])),
        lambda network: float(nn.functional.mse_loss(network(x), y)),
        FitSettings(epochs=5, learning_rate=0.01, accumulate=accumulate, clip_norm=1.0),
        Run(folder, folder, "cpu", 1, "fp32", 0, Quiet()),
        fabric,
    )
    values = {"processes": fabric.world_size, "history": result.history, "weights": model[0].weight.tolist()}
    (folder / f"rank{fabric.global_rank}.json").write_text(json.dumps(values), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)  # gloo's threads now and then abort at the interpreter's end, when all is done and written
