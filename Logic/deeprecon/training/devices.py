"""Which device, how many threads and which precision: resolved once, before a job starts.

PyTorch is imported inside the functions, so that importing this file is cheap.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.jobs.job import PRECISIONS
from deeprecon.training.hardware import cpu_cores, cpu_name, memory, nvidia_cards, physical_cores

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MAX_THREADS = 16
"""More threads wait for each other in layers as small as ours."""

MISSING_OPERATION = re.compile(r"operator '(?:aten::)?([\w.]+)' is not currently supported on the MPS backend")
"""In the warning of PyTorch that it falls back to the CPU, which `_torch` asks it to do."""
UPDATE_DRIVER = "Update the graphics driver and restart the computer."


# ---- choosing


def resolve_device(requested: str = "auto") -> str:
    """The device to compute on, as "cpu", "cuda:N" or "mps".

    "auto" takes the first NVIDIA card on which a kernel really runs, then Apple's GPU, then the CPU;
    `fallback_reason` says why it was not a GPU. Anything else is used as given.

    Raises:
        InputError: the requested device is unknown or does not work; never a silent change to the CPU.
    """
    torch = _torch()
    if requested == "auto":
        candidates = [f"cuda:{index}" for index in range(_cuda_count(torch))] + ["mps"]
        return next((device for device in candidates if _device_problem(torch, device) is None), "cpu")
    device = "cuda:0" if requested == "cuda" else requested
    if device != "cpu" and device != "mps" and not re.fullmatch(r"cuda:\d+", device):
        raise InputError(f"Unknown device {requested!r}.", 'Use "auto", "cpu", "cuda:0" (or another number) or "mps".')
    trouble = _device_problem(torch, device)
    if trouble is not None:
        why, action = trouble
        raise InputError(f"The device {requested} cannot be used: {why}", f'{action} Or choose "cpu".')
    return device


def fallback_reason(device: str) -> str:
    """Why "auto" ended on the CPU although a GPU is there, with what to do; empty where nothing is wrong."""
    if device != "cpu":
        return ""
    problems = [entry for entry in _gpus(_torch()) if not entry["usable"]]
    return " ".join(f"{entry['name']} is not used: {entry['why']} {entry['action']}" for entry in problems)


def resolve_threads(device: str) -> int:
    """CPU threads: the physical cores that the process may use, shared among the processes of torchrun.

    At most `MAX_THREADS`, and at most four where a GPU computes and the CPU only prepares data. Nothing is timed, so
    that a busy neighbor does not change the number, and with it the bits of the result.
    """
    cores = physical_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) or 1
    return min(cores, MAX_THREADS if device == "cpu" else 4)


def resolve_precision(device: str, requested: str = "auto") -> str:
    """The number format, "fp32", "bf16" or "fp16" for the network's layers (weights stay fp32).

    "auto" takes bf16 where the processor or the card has instructions for it, else fp32. Nothing is timed.

    Raises:
        InputError: an unknown precision, or one in which the device cannot compute.
    """
    torch = _torch()
    if requested == "auto":
        return "bf16" if _has_bf16(torch, device) else "fp32"
    if requested not in PRECISIONS:
        raise InputError(f"Unknown precision {requested!r}.", f"Use auto, {', '.join(PRECISIONS)}.")
    if requested == "bf16" and device.startswith("cuda") and torch.cuda.get_device_capability(device)[0] < 8:
        raise InputError(f"{torch.cuda.get_device_name(device)} has no bf16 arithmetic.", "Choose fp32 or fp16.")
    if requested != "fp32":
        try:
            _small_network(torch, device, width=16, rows=16, dtype=_dtype(torch, requested))()
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{device} cannot compute in {requested}: {_first_line(error)}.", "Choose fp32."
            ) from error
    return requested


def set_up(device: str, threads: int, seed: int) -> None:
    """Threads, seeds of every random generator, and algorithms that give the same bits again."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to be deterministic
    torch = _torch()
    torch.set_num_threads(threads)
    seed_generators(seed)
    # The same as use_deterministic_algorithms(True, warn_only=True), which imports the compiler, for some seconds.
    torch.set_deterministic_debug_mode("warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # only serves debugging, and costs time
    torch.backends.cudnn.benchmark = False
    if device.startswith("cuda"):
        torch.cuda.set_device(device)


def seed_generators(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global generators, on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    _torch().manual_seed(seed)


def to_float64(values: Tensor) -> Tensor:
    """`values` in double precision: where they lie or, as Apple's GPUs have none, on the CPU."""
    return (values.cpu() if values.device.type == "mps" else values).double()


@contextmanager
def tell_of_missing_operations(tell: Callable[[str], None]) -> Iterator[None]:
    """Within, `tell` gets a sentence for each operation that runs on the CPU since PyTorch lacks it on the device."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def showwarning(message: Warning | str, *details: Any) -> None:
            if (found := MISSING_OPERATION.search(str(message))) is not None:
                tell(f"PyTorch has no {found[1]} on this device: it runs on the CPU, which takes longer.")
            else:
                show(message, *details)

        warnings.showwarning = showwarning  # type: ignore[assignment]
        yield


# ---- telling


def probe() -> dict[str, Any]:
    """What this computer can compute with, as JSON values; never raises for a broken installation.

    Returns:
        python, platform, cores, ram_total, ram_free (bytes or None), torch (None, or version, cuda, architectures),
        suggested (a device, or None without PyTorch), problem (of PyTorch itself: None, or why and action), and
        devices: a list of {device (None for a card that PyTorch does not see), name, usable, why, action,
        memory_total, memory_free, gflops (fp32, measured; None where unusable)}. `why` and `action` are empty where
        all is well.
    """
    total, free = memory()
    result: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": cpu_cores(),
        "ram_total": total,
        "ram_free": free,
        "torch": None,
        "suggested": None,
        "problem": None,
        "devices": [],
    }
    try:
        torch = _torch()
    except InputError as error:
        result["problem"] = {"why": error.message, "action": error.hint}
        return result
    result["torch"] = {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "architectures": list(torch.cuda.get_arch_list()),
    }
    result["devices"] = [*_gpus(torch), _entry("cpu", cpu_name(), None, total, free)]
    for entry in result["devices"]:
        entry["gflops"] = _gflops(torch, entry["device"]) if entry["usable"] else None
    result["suggested"] = next(entry["device"] for entry in result["devices"] if entry["usable"])
    return result


def _torch() -> Any:
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # read when PyTorch is imported
    try:
        import torch
    except ImportError as error:
        try:
            importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            raise InputError("PyTorch is not installed.", "Install it with the button of the device panel.") from error
        raise InputError(
            f"PyTorch is installed but does not start: {_first_line(error)}.", "Reinstall PyTorch."
        ) from error
    except OSError as error:
        raise InputError(
            f"PyTorch is installed but does not start: {_first_line(error)}.", "Reinstall PyTorch."
        ) from error
    return torch


def _gpus(torch: Any) -> list[dict[str, Any]]:
    """Entries of `probe` for every GPU, those that PyTorch does not see included."""
    devices = [f"cuda:{index}" for index in range(_cuda_count(torch))]
    if torch.backends.mps.is_built():
        devices.append("mps")
    entries = []
    for device in devices:
        trouble = _device_problem(torch, device)
        total, free = (None, None) if trouble else _device_memory(torch, device)
        name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "Apple GPU"
        entries.append(_entry(device, name, trouble, total, free))
    if not any(device.startswith("cuda") for device in devices):
        cards, driver = nvidia_cards()
        trouble = _no_cuda_reason(torch, bool(cards), driver)
        entries += [_entry(None, name, trouble, None, None) for name in cards]
    return entries


def _entry(
    device: str | None, name: str, trouble: tuple[str, str] | None, total: int | None, free: int | None
) -> dict[str, Any]:
    why, action = trouble or ("", "")
    usable = trouble is None
    return {"device": device, "name": name, "usable": usable, "why": why, "action": action,
            "memory_total": total, "memory_free": free}  # fmt: skip


def _cuda_count(torch: Any) -> int:
    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def _device_problem(torch: Any, device: str) -> tuple[str, str] | None:
    """Why the device does not work and what to do, None when a kernel ran on it and gave the right answer."""
    if device == "mps" and not torch.backends.mps.is_available():
        return "there is no Apple GPU, or macOS or PyTorch is too old for it.", "Update macOS and PyTorch."
    if device.startswith("cuda"):
        if _cuda_count(torch) == 0:
            cards, driver = nvidia_cards()
            return _no_cuda_reason(torch, bool(cards), driver)
        if int(device[5:]) >= _cuda_count(torch):
            return f"this computer has only {_cuda_count(torch)} CUDA device(s).", "Choose a lower number."
        major, minor = torch.cuda.get_device_capability(device)
        known = torch.cuda.get_arch_list() if torch.version.cuda is not None else []
        if known and not any(_is_supported(architecture, major, minor) for architecture in known):
            name = f"{torch.cuda.get_device_name(device)} (compute capability {major}.{minor})"
            newer = (major, minor) > max(_built_for(architecture) for architecture in known)
            action = "Reinstall a newer PyTorch." if newer else "Reinstall an older PyTorch, or use the CPU."
            return f"this PyTorch has no code for {name}; it was built for {', '.join(known)}.", action
    try:
        ones = torch.ones(64, 64, device=device)
        if float((ones @ ones).sum()) != 64.0**3:
            return "a small test computation gave a wrong result.", UPDATE_DRIVER
    except (RuntimeError, AssertionError) as error:
        return f"a small test computation failed ({_first_line(error)}).", UPDATE_DRIVER
    return None


def _is_supported(architecture: str, major: int, minor: int) -> bool:
    """Whether code built for `architecture` runs on a card of this compute capability.

    Code for 8.0 runs on 8.6 but not on 9.0; PTX ("compute_80") is compiled for any newer card when it is loaded.
    """
    built = _built_for(architecture)
    return built <= (major, minor) and (architecture.startswith("compute_") or built[0] == major)


def _built_for(architecture: str) -> tuple[int, int]:
    """Compute capability of a name such as "sm_90a": (9, 0)."""
    match = re.fullmatch(r"(?:sm|compute)_(\d+)(\d)[a-z]?", architecture)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _no_cuda_reason(torch: Any, card: bool, driver: bool) -> tuple[str, str]:
    if not card:
        return "no NVIDIA card was found in this computer.", "Use the CPU."
    if not driver:
        return "its NVIDIA driver is missing or does not answer.", "Install the current NVIDIA driver and restart."
    if torch.version.cuda is None:
        return "the installed PyTorch is a build for the CPU only.", "Reinstall PyTorch with CUDA."
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides it.", "Remove that environment variable."
    return f"the driver is too old for PyTorch's CUDA {torch.version.cuda}.", "Update the NVIDIA driver."


def _device_memory(torch: Any, device: str) -> tuple[int | None, int | None]:
    if device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(device)
        return int(total), int(free)
    total = int(torch.mps.recommended_max_memory())
    return total, max(0, total - int(torch.mps.driver_allocated_memory()))


# ---- timing


def synchronize(device: str) -> None:
    """Wait until the device has done all it was given, so that a clock reading means something."""
    if device.startswith("cuda"):
        _torch().cuda.synchronize(device)
    elif device == "mps":
        _torch().mps.synchronize()


def _fastest(*steps: Callable[[], None], budget: float) -> list[float]:
    """Seconds of the fastest call of each step, after one to warm up; in turn, so that other load meets all alike."""
    for step in steps:
        step()
    fastest, start = [float("inf")] * len(steps), time.perf_counter()
    while time.perf_counter() - start < budget:
        for index, step in enumerate(steps):
            begin = time.perf_counter()
            step()
            fastest[index] = min(fastest[index], time.perf_counter() - begin)
    return fastest


def _small_network(
    torch: Any, device: str, width: int, rows: int, dtype: torch.dtype | None = None
) -> Callable[[], None]:
    """One training step of four dense layers; with `dtype` under autocast."""
    weights = [torch.ones(width, width, device=device).div_(width).requires_grad_() for _ in range(4)]
    data = torch.ones(rows, width, device=device)

    def step() -> None:
        with torch.autocast(device.partition(":")[0], dtype=dtype, enabled=dtype is not None):
            values = data
            for weight in weights:
                values = torch.relu(values @ weight)
        torch.autograd.grad(values.float().sum(), weights)
        synchronize(device)

    return step


def _has_bf16(torch: Any, device: str) -> bool:
    """Whether the device multiplies bf16 in hardware: AMX or AVX-512 BF16 of a CPU, NVIDIA cards from Ampere on."""
    if device.startswith("cuda"):
        return bool(torch.cuda.get_device_capability(device)[0] >= 8)
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # torch has no public name for them
    return device == "cpu" and any(getattr(torch.cpu, name, bool)() for name in checks)


def _gflops(torch: Any, device: str) -> float:
    size = 512 if device == "cpu" else 4096
    matrix = torch.ones(size, size, device=device)

    def multiply() -> None:
        torch.mm(matrix, matrix)
        synchronize(device)

    return round(2e-9 * size**3 / _fastest(multiply, budget=0.2)[0], 1)


def _dtype(torch: Any, precision: str) -> torch.dtype:
    return {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]  # type: ignore[no-any-return]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
