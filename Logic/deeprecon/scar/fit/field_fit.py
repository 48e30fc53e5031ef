"""Fitting the field to the slices: a loop as tight as so small a network needs."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run
from deeprecon.scar.fit.field import Field
from deeprecon.scar.fit.field_loss import group_loss, group_means, indecision, rounded
from deeprecon.scar.observe.observations import Observations, Plane, Quadrature, quadrature
from deeprecon.training import estimate
from deeprecon.training.checkpoint import load_checkpoint, save_checkpoint

ENOUGH_STEPS = 2000
"""Beyond these, masks and noisy images of the phantoms are fitted worse, the noise being fitted too."""


@dataclass(frozen=True)
class FieldSettings:
    """Shape and schedule of the field; the defaults were chosen on phantoms.

    Attributes:
        members: networks of the ensemble.
        features, scale, width, depth: see `Field`.
        batch: groups a step.
        learning_rate: at its highest; it warms up over the first 3 % of the steps and falls to 0 along a cosine.
        weight_decay: of AdamW on the weight matrices.
        decision: weight of `indecision` at the end of a fit to masks; it rises from 0 over the second half, since a
            field that has not found the scar yet would decide that there is none.
        rare: least share of the training pixels that are mostly scar; where scar is rarer, its pixels are learned from
            more than once an epoch, or the few of a small scar would drown among the others.
        held_out: share of the groups that is never trained on.
        checks: how often the held-out groups are looked at during a run.
    """

    members: int = 4
    features: int = 32
    scale: float = 2.0
    width: int = 32
    depth: int = 3
    batch: int = 128
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    decision: float = 0.03
    rare: float = 0.05
    held_out: float = 0.05
    checks: int = 40


MASKS = FieldSettings(members=8, scale=1.5, width=16)
"""For masks, which tell less than shares do: smoother networks that cannot follow the steps of a contour, and more."""


@dataclass(frozen=True, eq=False)
class FieldFit:
    """A fitted field.

    Attributes:
        field: with the weights that did best on the held-out groups.
        history: one entry per check: step, training_loss, held_out_loss (cross-entropy per group and member).
        best_step: of the weights that were kept.
        held_out_error: root mean square of ensemble mean minus observation over the held-out groups.
        spread: how much farther the held-out observations are from the ensemble's mean than its members are, 1 to 10:
            the factor that makes the members' standard deviation an honest error of the pixels that nobody trained on.
        finished: False if the run was asked to stop early.
    """

    field: Field
    history: tuple[dict[str, float], ...]
    best_step: int
    held_out_error: float
    spread: float
    finished: bool


class _Fitting:
    """A field on its way: data on the device, optimizer, and the order of the groups."""

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
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed)).to(device)
        held_out = int(settings.held_out * len(y))
        self.held_out, self.training = order[:held_out], self._with_rare(order[held_out:])
        self.batch = min(settings.batch, len(self.training))
        self.epoch, self.order = -1, self.training
        self.optimizer = torch.optim.AdamW(
            [
                {"params": list(self.field.weights), "weight_decay": settings.weight_decay},
                {"params": list(self.field.biases), "weight_decay": 0.0},
            ],
            betas=(0.9, 0.99),
        )

    def _with_rare(self, groups: Tensor) -> Tensor:
        """The groups, those of scar as often as `FieldSettings.rare` asks for."""
        scar = groups[self.y[groups] > 0.5]
        times = int(self.settings.rare * len(groups) / len(scar)) if len(scar) else 1
        return torch.cat([groups, scar.repeat(max(times - 1, 0))])

    def step(self, number: int, total: int) -> Tensor:
        """One optimizer step on the next groups; what it does depends on `number` and `total` alone."""
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
        loss = self._loss(logits, groups)
        if self.binary and (risen := max(0.0, 2 * number / total - 1)):
            loss = loss + self.settings.decision * risen * indecision(logits, self.weights[groups], self.share[groups])
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def means(self, groups: Tensor) -> Tensor:
        """(M, G) mean probability over the prisms of the groups."""
        return group_means(self.field(self.x[groups].reshape(-1, 3)), self.weights[groups])

    def loss(self, groups: Tensor) -> Tensor:
        """() loss over the groups, summed over members."""
        return self._loss(self.field(self.x[groups].reshape(-1, 3)), groups)

    def _loss(self, logits: Tensor, groups: Tensor) -> Tensor:
        means = group_means(logits, self.weights[groups])
        return group_loss(rounded(means) if self.binary else means, self.y[groups], self.share[groups])

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
        means = rounded(means) if self.binary else means
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

    A twentieth of the pixels is held out whole; the weights that do best on them are the ones kept. A checkpoint is
    written at every check, and a run that finds one goes on from it to the same numbers. The arithmetic is fp32
    throughout: layers this small gain nothing from less. The same seed and threads give the same bits.

    Args:
        observations: at least one group.
        points: of the same groups, in any number a group.
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
    history: list[dict[str, float]] = []
    best, best_step, best_weights = math.inf, 0, fitting.weights_now()
    first = 0
    if path.exists():
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
        history, first = state["history"], state["step"]
        best, best_step, best_weights = state["best"], state["best_step"], state["best_weights"]
    every = max(1, steps // settings.checks)
    finished = True
    start = told = time.monotonic()
    for number in range(first, steps):
        loss = fitting.step(number, steps)
        done, now = number + 1, time.monotonic()
        if now > told + 0.5 or done == steps:
            run.reporter.progress(done / steps, (now - start) / (done - first) * (steps - done))
            told = now
        if run.should_stop():
            finished = done == steps
        if done % every and done < steps and finished:
            continue
        losses = fitting.check(float(loss) / settings.members)
        history.append({"step": done, **losses})
        if losses["held_out_loss"] < best:
            best, best_step, best_weights = losses["held_out_loss"], done, fitting.weights_now()
        run.reporter.metric(done, **losses)
        if not finished:
            break
        save_checkpoint(
            path,
            {
                "steps": steps,
                "groups": len(fitting.y),
                "step": done,
                "field": fitting.field.state_dict(),
                "optimizer": fitting.optimizer.state_dict(),
                "history": history,
                "best": best,
                "best_step": best_step,
                "best_weights": best_weights,
            },
        )
    fitting.field.load_state_dict(best_weights)
    return FieldFit(fitting.field, tuple(history), best_step, fitting.held_out_error(), fitting.spread(), finished)


def steps_for_budget(seconds: float, device: str, seed: int = 0, settings: FieldSettings | None = None) -> int:
    """How many steps fit into `seconds` on this machine with the present number of threads, from a short timing.

    A step costs the same for every patient, so that none is needed to tell. There are never more than `ENOUGH_STEPS`.
    """
    settings = settings or FieldSettings()
    groups = 2 * settings.batch
    rng = np.random.default_rng(seed)
    planes = (Plane(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, 1.0]), 8.0, 0, 0),)
    ones = np.ones(groups, np.float32)
    made_up = Observations(
        rng.random(groups, np.float32), ones, np.zeros(groups, np.int64), 80 * rng.random((groups, 3)), planes
    )
    fitting = _Fitting(made_up, quadrature(made_up), device, seed, settings)
    return min(ENOUGH_STEPS, estimate.steps_for_budget(lambda: fitting.step(0, 10**9), seconds, device, minimum=100))
