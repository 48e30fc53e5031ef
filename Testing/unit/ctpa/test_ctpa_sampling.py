"""Drawing latents: windows that are one draw, guidance, and what happens when memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from deeprecon.ctpa.diffusion import sampling
from deeprecon.ctpa.diffusion.denoiser import Denoiser, DenoiserShape
from deeprecon.ctpa.diffusion.processes import PROCESSES
from deeprecon.ctpa.diffusion.sampling import SamplingPlan, compute_setups, denoise_latent, denoising_bytes
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.patches import Blending
from deeprecon.jobs.run import Run, Stopped

GRID = Grid((32, 24, 24))
XRAY = np.random.default_rng(0).normal(size=(32, 24)).astype(np.float32)
FLOW = PROCESSES["rectified-flow"]
KINDS = (Blending.HANN, Blending.GAUSSIAN)


class RecordingReporter:
    def __init__(self):
        self.warnings, self.statuses = [], []

    def status(self, text):
        self.statuses.append(text)

    def warning(self, message):
        self.warnings.append(message)


class StandIn(nn.Module):
    """Predicts each voxel from itself and the X-ray there; fails as configured."""

    def __init__(self, error=None, limit=10**9, needs=None):
        super().__init__()
        self.shape = DenoiserShape(1, (8, 16), 1, 1)
        self.weight = nn.Parameter(torch.tensor([0.5]))
        self.error, self.limit, self.needs = error, limit, needs
        self.seen = []

    def features(self, xray):
        return xray

    def null_features(self, features):
        return torch.zeros_like(features)

    def denoise(self, x, t, features, rays):
        self.seen.append((tuple(x.shape), float(rays.position[0, 0, 0, 0])))
        if self.error is not None and (x.numel() > self.limit or (self.needs and x.dtype != self.needs)):
            raise self.error
        return self.weight * x + rays.lift(features)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, tmp_path / "out", "cpu", 1, "fp32", 0, RecordingReporter())


def drawn(model, run, plan, seed=5, **more):
    return denoise_latent(model, FLOW, XRAY, GRID, Geometry(), plan, seed, run, **more)


@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver++", "ddpm"])
def test_fused_windows_of_a_local_network_equal_the_whole_latent(run, sampler):
    """One shared noise, weights that sum to 1 at each step: only what a window does not see may differ."""
    whole = drawn(StandIn(), run, SamplingPlan(4, sampler, window=0))
    fused = drawn(StandIn(), run, SamplingPlan(4, sampler, window=16))
    torch.testing.assert_close(fused.latent, whole.latent, atol=1e-5, rtol=1e-5)
    assert "whole" in whole.setup
    assert "windows of 16" in fused.setup
    assert any("windows of 16" in text for text in run.reporter.statuses)


def test_stride_and_blending_are_settings_and_change_nothing_of_a_local_network(run):
    """More windows overlap more; weights sum to 1 at each voxel whatever their profile."""
    whole = drawn(StandIn(), run, SamplingPlan(2, window=0)).latent
    counts = []
    for stride in (16, 8, 4):
        model = StandIn()
        found = drawn(model, run, SamplingPlan(2, window=16, stride=stride, blending=Blending.GAUSSIAN))
        torch.testing.assert_close(found.latent, whole, atol=1e-5, rtol=1e-5)
        assert found.windows.stride == (stride,) * 3
        counts.append(len(model.seen))
    assert counts == sorted(set(counts))


def test_blending_counts_where_windows_differ(run):
    model = Denoiser(DenoiserShape(2, (8, 16), 1, 4), 1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    hann, gaussian = (drawn(model, run, SamplingPlan(2, window=16, blending=kind)).latent for kind in KINDS)
    assert not torch.equal(hann, gaussian)


def test_a_stride_of_large_windows_leaves_no_gaps_between_smaller_ones(run):
    model = StandIn(MemoryError(), limit=16**3)
    found = drawn(model, run, SamplingPlan(2, window=32, stride=24))
    assert "windows of 16" in found.setup
    torch.testing.assert_close(found.latent, drawn(StandIn(), run, SamplingPlan(2)).latent, atol=1e-5, rtol=1e-5)


def test_windows_move_from_step_to_step_in_step_with_the_pooling(run):
    model = StandIn()
    drawn(model, run, SamplingPlan(6, window=16))
    z, _, _ = GRID.axes()
    marks = [float(np.float32(np.sin(0.5 * np.pi * 2 * value / GRID.field[2]))) for value in z]
    starts = [int(np.argmin(np.abs(np.array(marks) - place))) for _, place in model.seen]
    assert len(set(starts)) > 3
    assert all(start % model.shape.divisor == 0 for start in starts)


def test_a_sample_depends_on_its_seed_alone(run):
    plan = SamplingPlan(3, window=16)
    first, again, other = (drawn(StandIn(), run, plan, seed).latent for seed in (1, 1, 2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.allclose(first, other)


def test_guidance_leads_away_from_what_comes_without_the_xray(run):
    """One step of rectified flow: x - v, with v = 0.5 x + guidance times what the X-ray adds here."""
    found = {scale: drawn(StandIn(), run, SamplingPlan(1, guidance=scale)).latent for scale in (0.0, 1.0, 3.0)}
    added = found[1.0] - found[0.0]
    assert added.abs().max() > 0.5
    torch.testing.assert_close(found[3.0] - found[0.0], 3 * added, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_windows_become_smaller_when_memory_runs_out_with_a_warning(run, error):
    model = StandIn(error, limit=16**3)
    found = drawn(model, run, SamplingPlan(3))
    torch.testing.assert_close(found.latent, drawn(StandIn(), run, SamplingPlan(3)).latent, atol=1e-5, rtol=1e-5)
    assert "windows of 16" in found.setup
    assert run.reporter.warnings
    assert all("Memory ran out" in text for text in run.reporter.warnings)


def test_shorter_numbers_come_after_the_smallest_windows(run):
    model = StandIn(MemoryError(), limit=0, needs=torch.bfloat16)
    model.limit = 10**9
    found = drawn(model, run, SamplingPlan(2))
    assert "bf16" in found.setup
    assert model.weight.dtype == torch.float32  # the caller's model is left as it was
    assert "bf16" in run.reporter.warnings[-1]


def test_the_cpu_comes_last(run, monkeypatch):
    monkeypatch.setattr(sampling, "total_bytes", lambda device: None)
    gpu = Run(run.folder, run.output, "cuda:0", 1, "fp32", 0, run.reporter)
    found = [str(place) for place in compute_setups(StandIn().shape, GRID, SamplingPlan(2), gpu)]
    assert found[0] == "the whole latent at once, fp32, on cuda:0"
    assert found[-1].endswith("on cpu")
    kinds = [("bf16" in text, "cpu" in text) for text in found]
    assert kinds == sorted(kinds, key=lambda kind: (kind[1], kind[0]))


def test_where_nothing_helps_the_error_is_the_callers(run):
    with pytest.raises(MemoryError):
        drawn(StandIn(MemoryError(), limit=0), run, SamplingPlan(2))


def test_other_errors_are_not_taken_for_want_of_memory(run):
    with pytest.raises(RuntimeError, match="shape mismatch"):
        drawn(StandIn(RuntimeError("shape mismatch"), limit=0), run, SamplingPlan(2))
    assert run.reporter.warnings == []


def test_what_is_free_at_the_moment_does_not_decide(run, monkeypatch):
    """Windows give other bits than the whole latent: a busy neighbor must not change them."""
    hardware = "deeprecon.training.estimate.memory"
    setups = []
    for free in (1e5, 8e9):
        monkeypatch.setattr(hardware, lambda free=free: (16_000_000_000, int(free)))
        setups.append(
            [str(setup) for setup in compute_setups(DenoiserShape(8, (32, 64), 1, 32), GRID, SamplingPlan(2), run)]
        )
    assert setups[0] == setups[1]
    assert setups[0][0] == "the whole latent at once, fp32, on cpu"


def test_what_does_not_fit_the_device_is_not_tried(run, monkeypatch):
    shape = DenoiserShape(8, (32, 64), 1, 32)
    grid = Grid((76, 64, 64))
    need = [denoising_bytes(shape, grid, window, 1, "fp32") for window in (0, 48, 16)]
    assert need == sorted(need, reverse=True)
    assert denoising_bytes(shape, grid, 0, 2, "bf16") == need[0]
    monkeypatch.setattr(sampling, "total_bytes", lambda device: need[1] / sampling.MEMORY_SHARE * 1.01)
    assert next(compute_setups(shape, grid, SamplingPlan(2), run)).window == 48
    monkeypatch.setattr(sampling, "total_bytes", lambda device: need[0] / sampling.MEMORY_SHARE * 1.01)
    assert next(compute_setups(shape, grid, SamplingPlan(2, guidance=1), run)).window == 0
    assert next(compute_setups(shape, grid, SamplingPlan(2, guidance=2), run)).window > 0  # with and without the X-ray
    monkeypatch.setattr(sampling, "total_bytes", lambda device: 10 * need[0])
    assert next(compute_setups(shape, grid, SamplingPlan(2), run)).window == 0


def test_a_run_that_is_asked_to_stop_stops_at_the_next_step(run):
    steps = []

    def after(done):
        steps.append(done)
        (run.folder / "stop").touch()

    with pytest.raises(Stopped):
        drawn(StandIn(), run, SamplingPlan(5), after_step=after)
    assert steps == [1]


def test_a_real_denoiser_is_drawn_from_with_windows_and_guidance(run):
    model = Denoiser(DenoiserShape(2, (8, 16), 1, 4), 1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    whole = drawn(model, run, SamplingPlan(3, guidance=2.0, window=0)).latent
    fused = drawn(model, run, SamplingPlan(3, guidance=2.0, window=16)).latent
    assert whole.shape == (2, *GRID.shape)
    assert float((whole - fused).square().mean()) < 0.05 * float(whole.var())
