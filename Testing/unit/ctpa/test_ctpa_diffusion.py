"""Processes and samplers against distributions whose best predictor is known."""

from __future__ import annotations

import math

import pytest
import torch
from benchmarks.ctpa_baselines import training_pair

from deeprecon.ctpa.diffusion.processes import PROCESSES, SAMPLERS, Epsilon, sample
from deeprecon.ctpa.parameters import ProcessName, SamplerName


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def best(process, mean, spread):
    """The best predictor for data N(mean, spread^2)."""

    def predict(x, now):
        t = torch.tensor(now, dtype=x.dtype)
        a, s = process.scales(t)
        total = (a * spread) ** 2 + s**2
        data = mean + a * spread**2 / total * (x - a * mean)
        noise = s / total * (x - a * mean)
        return process.target(data, noise, t)

    return predict


def test_every_name_is_there():
    assert set(PROCESSES) == {name.value for name in ProcessName}
    assert set(SAMPLERS) == {name.value for name in SamplerName}
    with pytest.raises(ValueError, match="none of"):
        sample(PROCESSES["v-prediction"], lambda x, t: x, torch.zeros(1), 1, "euler")


@pytest.mark.parametrize("name", PROCESSES)
def test_a_schedule_ends_at_pure_noise(name):
    """The published linear schedules keep 1.2 % of the data, which shifts the mean HU when steps are few."""
    process = PROCESSES[name]
    a, s = process.scales(torch.tensor([0.0, process.start]))
    torch.testing.assert_close(torch.stack([a[0], s[0]]), torch.tensor([1.0, 0.0]))
    if name == "epsilon":
        assert 0 < a[1] < 0.01  # noise alone would say nothing about the data
    else:
        torch.testing.assert_close(torch.stack([a[1], s[1]]), torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_splits_what_it_mixed(name):
    process = PROCESSES[name]
    data, noise, t = torch.randn(5), torch.randn(5), torch.tensor(0.3)
    a, s = process.scales(t)
    found = process.data_and_noise(a * data + s * noise, process.target(data, noise, t), t)
    torch.testing.assert_close(torch.stack(found), torch.stack([data, noise]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", PROCESSES)
def test_sampling_with_the_best_predictor_gives_the_data_distribution(name, sampler):
    process, mean, spread = PROCESSES[name], 3.0, 0.5
    noise = torch.randn(4000, dtype=torch.float64)
    found = [
        sample(process, best(process, mean, spread), noise, 60, sampler, generator=torch.Generator().manual_seed(1))
        for _ in range(2)
    ]
    assert float(found[0].mean()) == pytest.approx(mean, abs=0.05)
    assert float(found[0].std()) == pytest.approx(spread, rel=0.12)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)  # the same seed, the same sample


@pytest.mark.parametrize("name", ["rectified-flow", "v-prediction"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_mean_is_not_biased_with_few_steps(name, sampler):
    process = PROCESSES[name]
    noise = torch.randn(4000, dtype=torch.float64)
    found = sample(process, best(process, -0.6, 0.5), noise, 4, sampler)
    assert float(found.mean()) == pytest.approx(-0.6, abs=0.03)


def test_a_schedule_that_keeps_data_in_its_noise_would_bias_the_mean():
    """What the test above is for: a schedule that is cut at a = 0.2 is sampled as if it ended at pure noise."""

    class Cut(Epsilon):
        start = 1 - 2 * math.asin(0.2) / math.pi

    found = sample(Cut(), best(Cut(), -0.6, 0.5), torch.randn(4000, dtype=torch.float64), 4)
    assert abs(float(found.mean()) + 0.6) > 0.03


def test_the_second_order_solver_is_nearer_with_few_steps():
    """For one Gaussian the exact map from noise to data is linear: z to mean + spread z, with v-prediction."""
    process, mean, spread = PROCESSES["v-prediction"], 0.5, 0.4
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)
    error = {
        sampler: float(
            (sample(process, best(process, mean, spread), noise, 12, sampler) - mean - spread * noise).abs().max()
        )
        for sampler in ("ddim", "dpm-solver++")
    }
    assert error["dpm-solver++"] < 0.5 * error["ddim"]


def test_the_second_order_solver_extrapolates_to_the_middle_of_a_step_of_any_length():
    """Of data that are linear in log(a / s), whatever the length of the step before."""
    ratios = torch.tensor([-1.0, -0.4, 0.8, 1.1], dtype=torch.float64)
    scales = torch.stack([torch.sigmoid(2 * ratios), torch.sigmoid(-2 * ratios)], dim=1).sqrt().tolist()
    step, x = SAMPLERS["dpm-solver++"](None), torch.zeros(1, dtype=torch.float64)
    used = []
    for number in range(3):
        found = step(x, ratios[number : number + 1], x, scales[number], scales[number + 1])
        used.append(float(found) / scales[number + 1][0] / (1 - math.exp(ratios[number] - ratios[number + 1])))
    assert used == pytest.approx([-1.0, 0.2, 0.95])  # the first step has nothing to extrapolate from


def test_data_beyond_one_are_not_clamped():
    """Latents are not images: clamping them to -1 .. 1, as schedulers do by default, destroys them."""
    process = PROCESSES["v-prediction"]
    found = sample(process, best(process, 7.0, 0.01), torch.randn(100, dtype=torch.float64), 10)
    assert float(found.min()) > 6.5


def test_corrections_reach_the_sample():
    process, seen = PROCESSES["rectified-flow"], []

    def correct(data, t):
        seen.append(t)
        return torch.full_like(data, 2.0)

    found = sample(process, best(process, 0.0, 1.0), torch.randn(10), 5, correct=correct)
    torch.testing.assert_close(found, torch.full_like(found, 2.0))
    assert seen == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])


@pytest.mark.parametrize("name", PROCESSES)
def test_training_pairs_have_evenly_spread_times_and_unit_variance(name):
    process = PROCESSES[name]
    data = torch.randn(64, 2, 6, 6, 6)
    x, t, target = training_pair(process, data, torch.Generator().manual_seed(5))
    assert sorted((t / process.start * 64).int().tolist()) == list(range(64))
    wide = t.view(-1, 1, 1, 1, 1)
    found, noise = process.data_and_noise(x, target, wide)
    torch.testing.assert_close(found[t < 0.9], data[t < 0.9], atol=1e-4, rtol=1e-3)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    if name != "rectified-flow":
        assert float(x.std()) == pytest.approx(1, abs=0.02)
        assert float(target.std()) == pytest.approx(1, abs=0.02)
    again = training_pair(process, data, torch.Generator().manual_seed(5))
    torch.testing.assert_close(x, again[0], rtol=0, atol=0)
