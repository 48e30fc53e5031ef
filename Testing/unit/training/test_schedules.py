"""Learning rates against PyTorch's own schedulers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from deeprecon.training.schedules import Schedule, ScheduleName


def optimizer(rate: float = 0.5) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def rates(schedule: Schedule, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(schedule.learning_rate)
        schedule.after_step()
    return found


def reference(scheduler: Any, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def test_one_cycle_is_that_of_pytorch() -> None:
    expected = lr_scheduler.OneCycleLR(optimizer(), max_lr=0.5, total_steps=40, cycle_momentum=False)
    found = rates(Schedule(optimizer(), ScheduleName.ONE_CYCLE, 40), 39)
    assert found == pytest.approx(reference(expected, 39))
    assert found[0] == pytest.approx(0.02)
    assert max(found) == pytest.approx(0.5)


def test_cosine_is_that_of_pytorch() -> None:
    expected = reference(lr_scheduler.CosineAnnealingLR(optimizer(), T_max=40), 40)
    assert rates(Schedule(optimizer(), ScheduleName.COSINE, 40), 40) == pytest.approx(expected)


def test_warmup_climbs_to_the_peak_before_the_cosine() -> None:
    found = rates(Schedule(optimizer(), ScheduleName.COSINE, 100, warmup=0.1), 100)
    assert found[:11] == pytest.approx([0.5 * (step + 1) / 11 for step in range(11)])
    assert found[10:] == sorted(found[10:], reverse=True)
    assert found[-1] < 0.001


def test_plateau_is_that_of_pytorch() -> None:
    figures = [1.0, 0.9, 0.9, 0.9, 0.9, 0.89999, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.1]
    torch_optimizer = optimizer()
    expected = lr_scheduler.ReduceLROnPlateau(torch_optimizer, factor=0.5, patience=2)
    ours = Schedule(optimizer(), ScheduleName.PLATEAU, 100, patience=2, factor=0.5)
    for figure in figures:
        expected.step(figure)
        ours.after_step()
        ours.after_epoch(figure)
        assert ours.learning_rate == torch_optimizer.param_groups[0]["lr"]
    assert ours.learning_rate == 0.5 / 8


def test_plateau_understands_negative_figures() -> None:
    ours = Schedule(optimizer(), ScheduleName.PLATEAU, 100, patience=0, factor=0.5)
    for figure in (-0.5, -0.6):
        ours.after_epoch(figure)
    assert ours.learning_rate == 0.5
    ours.after_epoch(-0.59999)
    assert ours.learning_rate == 0.25


def test_constant_stays() -> None:
    assert set(rates(Schedule(optimizer(), ScheduleName.CONSTANT, 5), 10)) == {0.5}


@pytest.mark.parametrize("name", list(ScheduleName), ids=lambda name: name.value)
def test_every_parameter_group_keeps_its_own_peak(name: ScheduleName) -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.1, 0.2)]
    both = torch.optim.SGD(groups, lr=1.0)
    schedule = Schedule(both, name, 10)
    for _ in range(7):
        schedule.after_step()
        first, second = (group["lr"] for group in both.param_groups)
        assert second == pytest.approx(2 * first)


def test_a_curve_of_ones_own_takes_the_place_of_the_name_and_never_goes_below_zero() -> None:
    found = rates(Schedule(optimizer(), ScheduleName.COSINE, 10, curve=lambda step: 1 - step / 5), 8)
    assert found == pytest.approx([0.5 * max(0.0, 1 - step / 5) for step in range(8)])
