"""Hardware of this computer, found without PyTorch: processor cores, memory, NVIDIA cards."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path


def cpu_cores() -> int:
    """Logical cores that this process may use: its affinity mask and its container's quota respected."""
    return min(len(_usable()), _quota())


def physical_cores() -> int:
    """Physical cores that this process may use: threads of one core count once, where the system lists them (Linux)."""
    usable, core_of = _usable(), {}
    for number in usable:
        topology = Path(f"/sys/devices/system/cpu/cpu{number}/topology")
        core_of[number] = _first_line(topology / "physical_package_id"), _first_line(topology / "core_id")
    known = all(all(names) for names in core_of.values())
    return min(len(set(core_of.values())) if known else len(usable), _quota())


def _usable() -> list[int]:
    """Numbers of the logical cores in the process's affinity mask."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _quota() -> int:
    """Whole cores of the container's quota (cgroup version 2, else 1), at least 1; `sys.maxsize` without one."""
    quota, period = (*_first_line("/sys/fs/cgroup/cpu.max").split(), "", "")[:2]
    if not quota:
        quota, period = (_first_line(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))
    return max(1, int(quota) // int(period)) if quota.isdigit() and period.isdigit() else sys.maxsize


def cpu_name() -> str:
    """Model of the processor, or its architecture where the system has no name for it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "CPU"


def memory() -> tuple[int | None, int | None]:
    """Total and available main memory in bytes, a container's limit respected; None where it is unknown."""
    if sys.platform == "win32":
        return _windows_memory()
    total: int | None = None
    if "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = _meminfo("MemAvailable")
    limit, used = _first_line("/sys/fs/cgroup/memory.max"), _first_line("/sys/fs/cgroup/memory.current")
    if limit.isdigit() and used.isdigit():
        total = int(limit) if total is None else min(total, int(limit))
        left = max(0, int(limit) - int(used))
        free = left if free is None else min(free, left)
    return total, free


def nvidia_cards() -> tuple[list[str], bool]:
    """Names of the NVIDIA cards in this computer, and whether their driver answers.

    On Linux a card is also found on the PCI bus where no driver is loaded; elsewhere only through the driver.
    """
    tool = shutil.which("nvidia-smi")
    if tool is not None:
        try:
            command = [tool, "--query-gpu=name", "--format=csv,noheader"]
            answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            pass
        else:
            names = [line.strip() for line in answer.stdout.splitlines() if line.strip()]
            if names:
                return names, True
    cards = [
        "NVIDIA graphics card"
        for device in sorted(Path("/sys/bus/pci/devices").glob("*"))
        if _first_line(device / "vendor") == "0x10de" and _first_line(device / "class").startswith("0x03")
    ]
    return cards, bool(cards) and Path("/proc/driver/nvidia/version").exists()


def _first_line(path: str | Path) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _meminfo(name: str) -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        ("total", ctypes.c_ulonglong),
        ("available", ctypes.c_ulonglong),
        *((f"unused{i}", ctypes.c_ulonglong) for i in range(5)),
    )


def _windows_memory() -> tuple[int | None, int | None]:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    if not ctypes.CDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return int(status.total), int(status.available)
