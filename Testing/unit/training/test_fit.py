"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run
from deeprecon.training.best_files import BestFiles
from deeprecon.training.checkpoint import load_checkpoint
from deeprecon.training.fabric import SingleDevice, make_fabric
from deeprecon.training.fit import FitResult, FitSettings, OptimizerName, fit
from deeprecon.training.schedules import ScheduleName

Make = Callable[..., Run]


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def train(problem: Any, run: Run, settings: FitSettings, **changes: Any) -> tuple[nn.Module, FitResult]:
    model = changes.pop("model", None) or problem.model()
    torch.manual_seed(7)
    parts = {"loss": problem.loss, "train_batches": problem.batches(), "validate": problem.validate, **changes}
    return model, fit(model, settings=settings, run=run, **parts)


class StopsAfter:
    """Asks the run to stop while its n-th batch is computed."""

    def __init__(self, loss: Any, run: Run, batches: int) -> None:
        self.loss, self.run, self.left = loss, run, batches

    def __call__(self, model: Any, batch: Any) -> torch.Tensor:
        self.left -= 1
        if self.left == 0:
            (self.run.folder / "stop").touch()
        value: torch.Tensor = self.loss(model, batch)
        return value


def test_training_learns_and_reports(problem: Any, make_run: Make) -> None:
    run = make_run()
    settings = FitSettings(epochs=60, learning_rate=0.05, schedule=ScheduleName.ONE_CYCLE, patience=0)
    model, result = train(problem, run, settings, model=problem.model(0.0))
    reporter: Any = run.reporter
    assert result.best < 0.2 * result.history[0]["validation"]
    assert not model.training
    assert problem.validate(model) == result.best
    assert [entry["step"] for entry in reporter.metrics] == list(range(4, 241, 4))  # of 4 steps an epoch
    assert set(reporter.metrics[0]) == {"step", "loss", "validation", "learning_rate"}
    assert reporter.fractions == sorted(reporter.fractions)
    assert reporter.fractions[-1] == 1.0
    assert reporter.seconds_left[-1] == 0.0
    assert all(left is not None and left >= 0 for left in reporter.seconds_left)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("batches", [1, 12, 14, 13], ids=["at once", "between epochs", "amid an epoch", "amid a group"])
@pytest.mark.parametrize("schedule", list(ScheduleName), ids=lambda name: name.value)
def test_resuming_gives_the_same_numbers(
    problem: Any, make_run: Make, schedule: ScheduleName, batches: int, precision: str
) -> None:
    settings = FitSettings(
        epochs=6, learning_rate=0.01, schedule=schedule, ema=0.9, clip_norm=1.0, accumulate=2, plateau_patience=0
    )
    straight, expected = train(problem, make_run("straight", precision), settings)
    run = make_run("halted", precision)
    stops = StopsAfter(problem.loss, run, batches)
    _, halted = train(problem, run, settings, loss=stops, fabric=SingleDevice("cpu", precision))
    assert halted.interrupted
    assert halted.epochs == batches // 4
    (run.folder / "stop").unlink()
    torch.manual_seed(12345)  # what came in between must not matter
    other = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))
    result = fit(other, problem.loss, problem.batches(), problem.validate, settings, run)
    assert same_weights(straight, other)
    assert result == expected


def test_a_finished_training_is_not_done_again(problem: Any, make_run: Make) -> None:
    settings = FitSettings(epochs=3)
    first, expected = train(problem, make_run(), settings)
    second, result = train(problem, make_run(), settings, loss=None)
    assert result == expected
    assert same_weights(first, second)


def test_a_checkpoint_of_other_settings_or_another_network_is_refused(problem: Any, make_run: Make) -> None:
    train(problem, make_run(), FitSettings(epochs=2))
    with pytest.raises(InputError, match="other settings: learning_rate"):
        train(problem, make_run(), FitSettings(epochs=2, learning_rate=0.5))
    with pytest.raises(InputError, match="another network"):
        train(problem, make_run(), FitSettings(epochs=2), model=nn.Linear(2, 1))
    with pytest.raises(InputError, match="4 batches an epoch, now there are 8"):
        train(problem, make_run(), FitSettings(epochs=2), train_batches=problem.batches(8))


def test_early_stopping_restores_the_best_weights(problem: Any, make_run: Make) -> None:
    figures = iter([5.0, 3.0, 4.0, 3.5, 3.2, 1.0])
    seen: list[torch.Tensor] = []

    def validate(model: Any) -> float:
        seen.append(next(model.parameters()).detach().clone())
        return next(figures)

    model, result = train(problem, make_run(), FitSettings(epochs=50, patience=3), validate=validate)
    assert result.stopped_early
    assert (result.best, result.best_epoch, result.epochs) == (3.0, 1, 5)
    assert torch.equal(next(model.parameters()), seen[1])
    assert not torch.equal(seen[4], seen[1])


@pytest.mark.parametrize("optimizer", list(OptimizerName), ids=lambda name: name.value)
def test_accumulated_batches_equal_one_large_batch(problem: Any, make_run: Make, optimizer: OptimizerName) -> None:
    settings = {"epochs": 4, "learning_rate": 0.01, "clip_norm": 0.5, "optimizer": optimizer}
    small, _ = train(
        problem, make_run("small"), FitSettings(**settings, accumulate=4), model=problem.model(0.0),
        train_batches=problem.batches(8),
    )  # fmt: skip
    large, _ = train(
        problem, make_run("large"), FitSettings(**settings), model=problem.model(0.0), train_batches=problem.batches(32)
    )
    for a, b in zip(small.parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_clipping_limits_the_step(problem: Any, make_run: Make) -> None:
    settings = FitSettings(
        epochs=1, optimizer=OptimizerName.SGD, learning_rate=1.0, clip_norm=1e-3, schedule=ScheduleName.CONSTANT
    )
    model, _ = train(problem, make_run(), settings, train_batches=problem.batches(64))
    start = problem.model()
    moved = sum(((a - b) ** 2).sum().item() for a, b in zip(model.parameters(), start.parameters(), strict=True))
    assert math.sqrt(moved) == pytest.approx(1e-3, rel=1e-3)


def test_the_gradient_of_what_is_apart_is_clipped_by_itself(problem: Any, make_run: Make) -> None:
    """Discriminators with a large gradient shall not shorten the steps of the autoencoder."""
    settings = FitSettings(
        epochs=1, optimizer=OptimizerName.SGD, learning_rate=1.0, clip_norm=1e-3, schedule=ScheduleName.CONSTANT
    )
    model, start = problem.model(), problem.model()
    *_, adversary = (part for part in model.modules() if list(part.parameters(recurse=False)))
    train(problem, make_run(), settings, model=model, train_batches=problem.batches(64), adversary=adversary)
    moved = [((a - b) ** 2).sum().item() for a, b in zip(model.parameters(), start.parameters(), strict=True)]
    sides = {True: 0.0, False: 0.0}
    for parameter, squared in zip(model.parameters(), moved, strict=True):
        sides[any(parameter is other for other in adversary.parameters())] += squared
    assert [math.sqrt(side) for side in sides.values()] == pytest.approx([1e-3, 1e-3], rel=1e-3)


def test_further_figures_are_reported_and_kept(problem: Any, make_run: Make) -> None:
    run = make_run()
    _, result = train(problem, run, FitSettings(epochs=2), figures=lambda: {"usage": 0.5})
    reporter: Any = run.reporter
    assert [entry["usage"] for entry in reporter.metrics] == [row["usage"] for row in result.history] == [0.5, 0.5]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_stand_in_gives_the_numbers_of_fabric(problem: Any, make_run: Make, precision: str) -> None:
    pytest.importorskip("lightning_fabric")
    settings = FitSettings(epochs=4, learning_rate=0.01, clip_norm=0.5, accumulate=2)
    fabric = make_fabric("cpu", precision)
    assert not isinstance(fabric, SingleDevice)
    first, expected = train(problem, make_run("fabric", precision), settings, fabric=fabric)
    second, result = train(problem, make_run("stand-in", precision), settings, fabric=SingleDevice("cpu", precision))
    assert result == expected
    assert same_weights(first, second)


@pytest.mark.parametrize("stand_in", [False, True], ids=["fabric", "stand-in"])
def test_bf16_computes_layers_in_bf16_and_leaves_inputs_alone(problem: Any, make_run: Make, stand_in: bool) -> None:
    seen: set[tuple[str, torch.dtype]] = set()

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.layer(x)
            seen.update({("input", x.dtype), ("layer", y.dtype)})
            return y

    def loss(model: Any, batch: Any) -> torch.Tensor:
        output = model(batch[0])
        seen.add(("output", output.dtype))
        return nn.functional.mse_loss(output, batch[1])

    fabric = SingleDevice("cpu", "bf16") if stand_in else make_fabric("cpu", "bf16")
    model, result = train(
        problem, make_run("job", "bf16"), FitSettings(epochs=2), model=Watched(), loss=loss, fabric=fabric
    )
    assert seen == {("input", torch.float32), ("layer", torch.bfloat16), ("output", torch.float32)}
    assert next(model.parameters()).dtype is torch.float32
    assert math.isfinite(result.best)


def test_a_stop_at_once_still_leaves_usable_weights(problem: Any, make_run: Make) -> None:
    run = make_run()
    (run.folder / "stop").touch()
    model, result = train(problem, run, FitSettings(epochs=10))
    assert result.interrupted
    assert result.epochs == 0
    assert result.best == problem.validate(model)


def test_a_diverging_training_keeps_the_best_and_reports_it(problem: Any, make_run: Make) -> None:
    run = make_run()
    calls = 0

    def loss(model: Any, batch: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        value: torch.Tensor = problem.loss(model, batch)
        return value * (math.nan if calls > 8 else 1.0)

    model, result = train(problem, run, FitSettings(epochs=10), loss=loss)
    reporter: Any = run.reporter
    assert "no finite number" in reporter.warnings[0]
    assert result.epochs == 2
    assert problem.validate(model) == result.best


def test_a_training_that_diverges_at_once_is_an_error_in_words(problem: Any, make_run: Make) -> None:
    def loss(model: Any, batch: Any) -> torch.Tensor:
        value: torch.Tensor = problem.loss(model, batch)
        return value * math.nan

    with pytest.raises(InputError, match="Lower learning_rate"):
        train(problem, make_run(), FitSettings(epochs=2), loss=loss)


def test_averaged_weights_are_what_is_validated_and_kept(problem: Any, make_run: Make) -> None:
    raw, _ = train(problem, make_run("raw"), FitSettings(epochs=3), model=problem.model(0.0))
    averaged, result = train(problem, make_run("averaged"), FitSettings(epochs=3, ema=0.99), model=problem.model(0.0))
    assert not same_weights(raw, averaged)
    assert problem.validate(averaged) == result.best


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"warmup": 0.1, "schedule": ScheduleName.ONE_CYCLE}, "warmup must be 0"),
    ],
)
def test_unusable_settings_are_refused_with_reasons(
    problem: Any, make_run: Make, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        train(problem, make_run(), FitSettings(**changes))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_resumes_to_the_same_numbers(problem: Any, make_run: Make, precision: str) -> None:
    settings = FitSettings(epochs=4, learning_rate=0.01, ema=0.9, clip_norm=1.0)

    def validate(model: Any) -> float:
        x = torch.linspace(-1, 1, 32, device="cuda:0").reshape(16, 2)
        return model(x).square().mean().item()

    def run_on_gpu(name: str, loss: Any = problem.loss) -> tuple[nn.Module, FitResult]:
        run = replace(make_run(name, precision), device="cuda:0")
        return train(problem, run, settings, loss=loss, validate=validate)

    straight, expected = run_on_gpu("straight")
    halted = make_run("halted", precision)
    assert run_on_gpu("halted", StopsAfter(problem.loss, halted, 7))[1].interrupted
    (halted.folder / "stop").unlink()
    resumed, result = run_on_gpu("halted")
    assert next(resumed.parameters()).is_cuda
    assert result == expected
    assert same_weights(straight, resumed)


def test_the_best_epochs_are_kept_as_files(problem: Any, make_run: Make) -> None:
    run = make_run()
    figures = [5.0, 3.0, 4.0, 3.5, float("nan"), 6.0, 1.0]
    given, seen = iter(figures), []

    def validate(model: Any) -> float:
        seen.append(next(model.parameters()).detach().clone())
        return next(given)

    train(problem, run, FitSettings(epochs=7, keep=3, patience=0, ema=0.9), validate=validate)
    files = BestFiles(run.checkpoint, "fit", 3).files()
    names = ["fit-epoch00006-1.safetensors", "fit-epoch00001-3.safetensors", "fit-epoch00003-3.5.safetensors"]
    assert [path.name for path in files] == names
    assert (run.checkpoint / "fit.safetensors").exists()
    for path, epoch in zip(files, (6, 1, 3), strict=True):
        kept = load_checkpoint(path)
        assert (kept["epoch"], kept["figure"]) == (epoch, figures[epoch])
        assert torch.equal(kept["model"]["0.weight"], seen[epoch])  # the averaged weights that were judged


def test_an_interrupted_epoch_is_kept_once(problem: Any, make_run: Make) -> None:
    run = make_run()
    settings = FitSettings(epochs=4, keep=2)
    train(problem, run, settings, loss=StopsAfter(problem.loss, run, 2))
    (run.folder / "stop").unlink()
    _, result = train(problem, run, settings)
    best = sorted(range(4), key=lambda epoch: result.history[epoch]["validation"])[:2]
    kept = [load_checkpoint(path)["epoch"] for path in BestFiles(run.checkpoint, "fit", 2).files()]
    assert kept == best
