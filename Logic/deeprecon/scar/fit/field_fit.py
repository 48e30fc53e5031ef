"""Training of the field on the observations, with a training loop of little overhead for small networks."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run
from deeprecon.scar.fit.field import Field, ambiguity, group_loss, group_means, likelihood_loss, soft_round
from deeprecon.scar.observe.observations import Observations, Plane, Quadrature, quadrature
from deeprecon.scar.parameters import FIELD_STEPS
from deeprecon.training import estimate
from deeprecon.training.checkpoint import load_checkpoint, save_checkpoint


@dataclass(frozen=True)
class FieldSettings:
    """Shape and schedule of the field; the defaults were chosen on phantoms.

    Attributes:
        members: networks of the ensemble.
        features, scale, width, depth: see `Field`.
        batch: groups a step.
        learning_rate: maximum; it warms up over the first 3 % of the steps and falls to 0 along a cosine.
        weight_decay: of AdamW on the weight matrices.
        ambiguity_weight: of `ambiguity` at the end of a fit to masks; it rises from 0 over the second half, since a
            field that has not found the scar yet would converge to none.
        by_shares: of the steps, the first ones, that fit the expected shares where there are likelihoods, too: their
            gradient vanishes where a small scar has not been found yet.
        min_scar_share: of the training pixels; where fewer are mostly scar, these are repeated within an epoch, since
            the few pixels of a small scar would have too little weight.
        held_out: share of the groups that is not trained on.
        checks: evaluations of the held-out groups during a run.
    """

    members: int = 4
    features: int = 32
    scale: float = 2.0
    width: int = 32
    depth: int = 3
    batch: int = 128
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    ambiguity_weight: float = 0.03
    by_shares: float = 0.4
    min_scar_share: float = 0.05
    held_out: float = 0.05
    checks: int = 40


MASKS = FieldSettings(members=8, scale=1.5, width=16)
"""For masks, which hold less information than shares: more members, and smoother ones that cannot follow the pixel
steps of a contour."""


@dataclass(frozen=True, eq=False)
class FieldFit:
    """A fitted field.

    Attributes:
        field: with the weights that did best on the held-out groups.
        history: one entry per check: step, training_loss, held_out_loss (cross-entropy per group and member).
        best_step: of the weights that were kept.
        held_out_error: root mean square of ensemble mean minus observation over the held-out groups.
        spread: RMS distance of the held-out observations from the ensemble's mean over that of its members, 1 to 10:
            the factor by which the members' standard deviation is calibrated to the error of held-out pixels.
        finished: False if the run was asked to stop early.
    """

    field: Field
    history: tuple[dict[str, float], ...]
    best_step: int
    held_out_error: float
    spread: float
    finished: bool


class _Fitting:
    """State of the training: data on the device, optimizer, and the order of the groups."""

    def __init__(
        self, observations: Observations, points: Quadrature, device: str, seed: int, settings: FieldSettings
    ) -> None:
        met = points.met
        if not met.any():
            raise InputError(
                "No pixel of the wall meets the mesh.", "Check that they belong together, and the mesh's unit."
            )
        y = observations.y[met]
        self.settings, self.seed = settings, seed
        self.binary = bool(np.isin(y, (0, 1)).all())
        share = observations.wall[met]
        mean = float(np.clip(np.average(y, weights=share), 1e-3, 1 - 1e-3))
        self.field = Field(
            observations.centers[met].mean(axis=0),
            mean,
            settings.members,
            settings.features,
            settings.scale,
            settings.width,
            settings.depth,
            seed,
        ).to(device)
        self.x = self.field.coordinates(points.points[met])
        self.weights, self.y, self.share = (
            torch.as_tensor(values).to(device) for values in (points.weights[met], y, share)
        )
        likelihood = observations.likelihood
        self.likelihood = None if likelihood is None else torch.as_tensor(likelihood[met]).to(device)
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed)).to(device)
        held_out = int(settings.held_out * len(y))
        self.held_out, self.training = order[:held_out], self._repeat_scar(order[held_out:])
        self.batch = min(settings.batch, len(self.training))
        self.epoch, self.order = -1, self.training
        self.optimizer = torch.optim.AdamW(
            [
                {"params": list(self.field.weights), "weight_decay": settings.weight_decay},
                {"params": list(self.field.biases), "weight_decay": 0.0},
            ],
            betas=(0.9, 0.99),
        )

    def _repeat_scar(self, groups: Tensor) -> Tensor:
        """The groups, with those of scar repeated up to `FieldSettings.min_scar_share`."""
        scar = groups[self.y[groups] > 0.5]
        times = int(self.settings.min_scar_share * len(groups) / len(scar)) if len(scar) else 1
        return torch.cat([groups, scar.repeat(max(times - 1, 0))])

    def step(self, number: int, total: int) -> Tensor:
        """One optimizer step on the next groups, determined by `number` and `total` alone."""
        warm = max(1, round(0.03 * total))
        rate = self.settings.learning_rate * min((number + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * number / total))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        epoch, place = divmod(number, len(self.training) // self.batch)
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed(self.seed + 1 + epoch)
            shuffled = torch.randperm(len(self.training), generator=generator)
            self.epoch, self.order = epoch, self.training[shuffled.to(self.training.device)]
        self.optimizer.zero_grad(set_to_none=True)
        groups = self.order[place * self.batch : (place + 1) * self.batch]
        logits = self.field(self.x[groups].reshape(-1, 3))
        loss = self._loss(logits, groups, by_shares=number < self.settings.by_shares * total)
        if self.binary and (risen := max(0.0, 2 * number / total - 1)):
            loss = loss + self.settings.ambiguity_weight * risen * ambiguity(
                logits, self.weights[groups], self.share[groups]
            )
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def means(self, groups: Tensor) -> Tensor:
        """(M, G) mean probability over the prisms of the groups."""
        return group_means(self.field(self.x[groups].reshape(-1, 3)), self.weights[groups])

    def loss(self, groups: Tensor) -> Tensor:
        """() loss over the groups, summed over members."""
        return self._loss(self.field(self.x[groups].reshape(-1, 3)), groups)

    def _loss(self, logits: Tensor, groups: Tensor, by_shares: bool = False) -> Tensor:
        means = group_means(logits, self.weights[groups])
        if self.likelihood is not None and not by_shares:
            return likelihood_loss(means, self.likelihood[groups], self.share[groups])
        return group_loss(soft_round(means) if self.binary else means, self.y[groups], self.share[groups])

    def check(self, loss: float) -> dict[str, float]:
        """Losses per member: the last step's, and that of the held-out groups (of a step where none are held out)."""
        if len(self.held_out) == 0:
            return {"training_loss": loss, "held_out_loss": loss}
        with torch.no_grad():
            held_out = float(self.loss(self.held_out)) / self.settings.members
        return {"training_loss": loss, "held_out_loss": held_out}

    def held_out_means(self) -> tuple[Tensor, Tensor]:
        """(M, G) means of the held-out groups, as they are observed, and (G,) y; of all where none are held out."""
        groups = self.held_out if len(self.held_out) else self.training
        with torch.no_grad():
            means = torch.cat([self.means(part) for part in torch.split(groups, 4096)], dim=1)
        return means, self.y[groups]

    def held_out_error(self) -> float:
        """Root mean square of ensemble mean minus observation over the held-out groups."""
        means, y = self.held_out_means()
        return float((means.mean(dim=0) - y).square().mean().sqrt())

    def spread(self) -> float:
        """See `FieldFit.spread`."""
        means, y = self.held_out_means()
        means = soft_round(means) if self.binary else means
        within = float(means.var(dim=0, correction=1).mean()) if len(means) > 1 else 0.0
        error = float((means.mean(dim=0) - y).square().mean())
        return min(max(math.sqrt(error / within), 1.0), 10.0) if within > 0 else 1.0

    def weights_now(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.field.state_dict().items()}


def fit_field(
    observations: Observations,
    points: Quadrature,
    steps: int,
    run: Run,
    settings: FieldSettings | None = None,
    name: str = "field",
) -> FieldFit:
    """Fit the field until its prism means agree with the observations.

    A twentieth of the pixels is held out; the weights with the least loss on them are kept. A checkpoint is written
    at every check; a resumed run gives the same numbers. The arithmetic is fp32 throughout: such small layers gain
    nothing from less. The same seed and threads give the same bits.

    Args:
        observations: at least one group.
        points: of the same groups, any number per group.
        steps: optimizer steps, above 0.
        run: device, seed, reporter and checkpoint folder.
        settings: of the field; by default those for shares, or `MASKS` where all observations are 0 or 1.
        name: of the checkpoint, where a run fits several.

    Raises:
        InputError: no group meets the mesh, or the checkpoint is damaged or of another run.
    """
    settings = settings or (MASKS if np.isin(observations.y, (0, 1)).all() else FieldSettings())
    fitting = _Fitting(observations, points, run.device, run.seed, settings)
    path = run.checkpoint / f"{name}.safetensors"
    best = _Best(weights=fitting.weights_now())
    first, history = _resume(path, fitting, best, steps) if path.exists() else (0, [])
    every = max(1, steps // settings.checks)
    finished = True
    start = reported = time.monotonic()
    for number in range(first, steps):
        loss = fitting.step(number, steps)
        done, now = number + 1, time.monotonic()
        if now > reported + 0.5 or done == steps:
            run.reporter.progress(done / steps, (now - start) / (done - first) * (steps - done))
            reported = now
        if run.should_stop():
            finished = done == steps
        if done % every and done < steps and finished:
            continue
        losses = fitting.check(float(loss) / settings.members)
        history.append({"step": done, **losses})
        if losses["held_out_loss"] < best.loss:
            best.loss, best.step, best.weights = losses["held_out_loss"], done, fitting.weights_now()
        run.reporter.metric(done, **losses)
        if not finished:
            break
        _save(path, fitting, best, steps, done, history)
    fitting.field.load_state_dict(best.weights)
    return FieldFit(fitting.field, tuple(history), best.step, fitting.held_out_error(), fitting.spread(), finished)


@dataclass
class _Best:
    """The weights of the least held-out loss so far."""

    weights: dict[str, Tensor]
    loss: float = math.inf
    step: int = 0


def _save(
    path: Path, fitting: _Fitting, best: _Best, steps: int, done: int, history: Sequence[dict[str, float]]
) -> None:
    state = {
        "steps": steps,
        "groups": len(fitting.y),
        "step": done,
        "field": fitting.field.state_dict(),
        "optimizer": fitting.optimizer.state_dict(),
        "history": history,
        "best": best.loss,
        "best_step": best.step,
        "best_weights": best.weights,
    }
    save_checkpoint(path, state)


def _resume(path: Path, fitting: _Fitting, best: _Best, steps: int) -> tuple[int, list[dict[str, float]]]:
    """Restore a checkpoint; returns the steps that were done and their history.

    Raises:
        InputError: it is damaged or of another run.
    """
    state = load_checkpoint(path)
    other = InputError(f"The checkpoint {path} belongs to another run.", "Delete it to start anew.")
    if (state.get("steps"), state.get("groups")) != (steps, len(fitting.y)):
        raise other
    try:
        fitting.field.load_state_dict(state["best_weights"])
        fitting.field.load_state_dict(state["field"])
        fitting.optimizer.load_state_dict(state["optimizer"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # of another network
        raise other from error
    best.weights, best.loss, best.step = state["best_weights"], state["best"], state["best_step"]
    return state["step"], state["history"]


def steps_for_budget(seconds: float, device: str, seed: int = 0, settings: FieldSettings | None = None) -> int:
    """How many steps fit into `seconds` on this machine with the present number of threads, from a short timing.

    A step costs the same for every patient, so that the timing needs no patient's data. At most `FIELD_STEPS`.
    """
    settings = settings or FieldSettings()
    groups = 2 * settings.batch
    rng = np.random.default_rng(seed)
    planes = (Plane(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, 1.0]), 8.0, 0, 0),)
    ones = np.ones(groups, np.float32)
    synthetic = Observations(
        rng.random(groups, np.float32), ones, np.zeros(groups, np.int64), 80 * rng.random((groups, 3)), planes
    )
    fitting = _Fitting(synthetic, quadrature(synthetic), device, seed, settings)
    return min(FIELD_STEPS, estimate.steps_for_budget(lambda: fitting.step(0, 10**9), seconds, device, minimum=100))
