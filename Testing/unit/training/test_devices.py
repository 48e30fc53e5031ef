"""Devices, threads and precision. Hardware that is not here is played by PyTorch functions that are replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import deeprecon
from deeprecon.data.errors import InputError
from deeprecon.training import devices, estimate, hardware
from deeprecon.training.estimate import seconds_per_step, steps_for_budget

LIBRARY = Path(next(iter(deeprecon.__path__))).parent


def output_of(program: str) -> str:
    """What a Python program prints in a process of its own."""
    command, environment = [sys.executable, "-c", program], {**os.environ, "PYTHONPATH": str(LIBRARY)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: False)
    monkeypatch.setattr(devices, "nvidia_cards", lambda: ([], False))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A CUDA device of a given age whose kernels fail, since there is none behind it."""

    def make(capability: tuple[int, int], architectures: list[str]) -> None:
        monkeypatch.setattr(torch.version, "cuda", "12.8")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GeForce Test")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: architectures)

        def fail(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError("CUDA error: no kernel image is available\nmore")

        monkeypatch.setattr(torch, "ones", fail)

    return make


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_auto_is_the_cpu_without_complaint() -> None:
    assert devices.resolve_device("auto") == "cpu"
    assert devices.fallback_reason("cpu") == ""


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7", "mps"])
def test_a_device_that_is_not_there_is_refused_and_never_replaced(device: str) -> None:
    with pytest.raises(InputError, match="cannot be used") as raised:
        devices.resolve_device(device)
    assert 'choose "cpu"' in raised.value.hint


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "", "tpu"])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(InputError, match="Unknown device"):
        devices.resolve_device(device)


@pytest.mark.parametrize(
    ("cards", "cuda", "why"),
    [
        ((["RTX 4090"], False), "12.8", "driver is missing"),
        ((["RTX 4090"], True), None, "build for the CPU only"),
        ((["RTX 4090"], True), "12.8", "driver is too old"),
    ],
)
@pytest.mark.usefixtures("no_gpu")
def test_a_card_that_pytorch_does_not_see_is_explained(
    monkeypatch: pytest.MonkeyPatch, cards: Any, cuda: str | None, why: str
) -> None:
    monkeypatch.setattr(devices, "nvidia_cards", lambda: cards)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(InputError, match=why):
        devices.resolve_device("cuda")
    assert devices.resolve_device("auto") == "cpu"
    assert why in devices.fallback_reason("cpu")
    report = devices.probe()
    assert report["devices"][0]["name"] == "RTX 4090"
    assert not report["devices"][0]["usable"]
    assert why in report["devices"][0]["why"]
    assert report["devices"][0]["action"]
    assert report["suggested"] == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    if cuda and cards[1]:
        assert "CUDA_VISIBLE_DEVICES" in devices.fallback_reason("cpu")


def test_a_card_too_new_for_this_pytorch_is_explained(card: Any) -> None:
    card((12, 0), ["sm_80", "sm_90a"])
    with pytest.raises(InputError, match=r"no code for GeForce Test \(compute capability 12.0\)") as raised:
        devices.resolve_device("cuda:0")
    assert "newer PyTorch" in raised.value.hint
    assert devices.resolve_device("auto") == "cpu"


def test_a_card_too_old_for_this_pytorch_is_explained(card: Any) -> None:
    card((5, 2), ["sm_75", "sm_80", "compute_90"])
    with pytest.raises(InputError, match="no code for GeForce Test") as raised:
        devices.resolve_device("cuda:0")
    assert "older PyTorch" in raised.value.hint


@pytest.mark.parametrize("architectures", [["sm_80"], ["compute_75"], []])
def test_a_card_whose_kernel_fails_is_explained(card: Any, architectures: list[str]) -> None:
    card((8, 6), architectures)
    with pytest.raises(InputError, match=r"test computation failed \(CUDA error: no kernel image is available\)"):
        devices.resolve_device("cuda")
    with pytest.raises(InputError, match="only 1 CUDA device"):
        devices.resolve_device("cuda:1")


def test_the_probe_is_json_and_names_the_cpu() -> None:
    report = json.loads(json.dumps(devices.probe(), allow_nan=False))
    cpu = report["devices"][-1]
    assert (cpu["device"], cpu["usable"], cpu["why"]) == ("cpu", True, "")
    assert cpu["gflops"] > 0
    assert 0 < report["ram_free"] < report["ram_total"]
    assert report["torch"]["version"] == torch.__version__


def test_the_probe_answers_without_pytorch() -> None:
    program = (
        "import sys, json\nsys.modules['torch'] = None\n"
        "from deeprecon.training import devices\nprint(json.dumps(devices.probe()))\n"
    )
    report = json.loads(output_of(program))
    assert report["torch"] is None
    assert report["suggested"] is None
    assert "PyTorch" in report["problem"]["why"]
    assert report["problem"]["action"]


def test_importing_devices_and_bundles_is_cheap() -> None:
    program = (
        "import sys\nimport deeprecon.training.devices, deeprecon.training.bundle, deeprecon.training.hardware\n"
        "print([name for name in ('torch', 'safetensors', 'lightning_fabric', 'scipy') if name in sys.modules])\n"
    )
    assert output_of(program).strip() == "[]"


def test_threads_are_the_physical_cores_whatever_else_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(devices, "physical_cores", lambda: 12)
    assert devices.resolve_threads("cpu") == 12
    assert devices.resolve_threads("cuda:0") == 4
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert devices.resolve_threads("cpu") == 3
    monkeypatch.setattr(devices, "physical_cores", lambda: 192)
    assert devices.resolve_threads("cpu") == devices.MAX_THREADS
    monkeypatch.setattr(devices, "physical_cores", lambda: 2)
    assert devices.resolve_threads("cpu") == 1


def test_threads_of_one_core_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"physical_package_id": lambda core: "0", "core_id": lambda core: str(core % 4)}
    lines = {
        f"/sys/devices/system/cpu/cpu{core}/topology/{name}": of(core)
        for core in range(8)
        for name, of in names.items()
    }
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(hardware, "_first_line", lambda path: lines.get(str(path), ""))
    assert (hardware.cpu_cores(), hardware.physical_cores()) == (8, 4)
    lines["/sys/fs/cgroup/cpu.max"] = "250000 100000"
    assert (hardware.cpu_cores(), hardware.physical_cores()) == (2, 2)
    del lines["/sys/fs/cgroup/cpu.max"]
    lines |= {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}
    assert (hardware.cpu_cores(), hardware.physical_cores()) == (1, 1)
    lines["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "-1"  # no quota
    assert hardware.physical_cores() == 4


@pytest.mark.parametrize(
    ("amx", "avx512", "precision"), [(True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")]
)
def test_precision_follows_the_instructions_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512: bool, precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    assert devices.resolve_precision("cpu") == precision
    assert devices.resolve_precision("mps") == "fp32"


def test_a_new_card_computes_in_bf16(card: Any) -> None:
    card((8, 6), ["sm_86"])
    assert devices.resolve_precision("cuda:0") == "bf16"


def test_precision_is_what_was_asked_for_or_refused() -> None:
    assert devices.resolve_precision("cpu", "auto") in ("fp32", "bf16")
    assert devices.resolve_precision("cpu", "fp32") == "fp32"
    assert devices.resolve_precision("cpu", "bf16") == "bf16"
    with pytest.raises(InputError, match="Unknown precision 'int8'"):
        devices.resolve_precision("cpu", "int8")


def test_bf16_on_an_old_card_is_refused(card: Any) -> None:
    card((7, 5), ["sm_75"])
    with pytest.raises(InputError, match="GeForce Test has no bf16"):
        devices.resolve_precision("cuda:0", "bf16")
    assert devices.resolve_precision("cuda:0", "auto") == "fp32"


def test_a_seed_gives_the_same_numbers_again() -> None:
    import random

    import numpy as np

    def draw() -> tuple[float, ...]:
        return random.random(), np.random.rand(), torch.rand(1).item()

    before = torch.get_deterministic_debug_mode()
    try:
        devices.set_up("cpu", 1, 5)
        first = draw()
        devices.set_up("cpu", 1, 5)
        assert draw() == first
        devices.set_up("cpu", 1, 6)
        assert draw() != first
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_deterministic_debug_mode(before)


def test_a_budget_becomes_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = 0.0, 0

    def step() -> None:
        nonlocal now, calls
        now, calls = now + 1 / 128, calls + 1

    monkeypatch.setattr(estimate, "time", SimpleNamespace(perf_counter=lambda: now))
    assert seconds_per_step(step, "cpu", seconds=0.1) == 1 / 128
    assert steps_for_budget(step, 2.0, "cpu") == 256
    calls = 0
    assert steps_for_budget(step, 0.001, "cpu", minimum=7) == 7
    assert calls == 5
    calls = 0
    assert steps_for_budget(step, 1000.0, "cpu") == 128_000
    assert calls == 2 + 128  # measuring takes a second at most
