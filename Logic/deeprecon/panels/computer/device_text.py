"""Text about the result of the check of the computer, `deeprecon.training.devices.probe`."""

from __future__ import annotations

from typing import Any

from deeprecon.panels.computer.installation import Problem

GIB = 2**30


def deviceStatus(probe: dict[str, Any] | None, torch: str | None) -> str:
    """Sentence about the device in use."""
    if torch is None:
        return "Nothing can be computed yet."
    if probe is None:
        return f"PyTorch {torch} is installed. This computer has not been checked yet."
    chosen = next((entry for entry in probe["devices"] if entry["device"] == probe["suggested"]), None)
    if chosen is None:
        return "Nothing can be computed on this computer yet."
    if chosen["device"] == "cpu":
        return f"Computes on the processor ({probe['cores']} cores), with PyTorch {probe['torch']['version']}."
    return f"Computes on the graphics card: {chosen['name']}, with PyTorch {probe['torch']['version']}."


def deviceProblems(probe: dict[str, Any] | None) -> list[Problem]:
    """Why PyTorch or a graphics card cannot be used, each with an instruction."""
    if probe is None:
        return []
    found = [("PyTorch", probe["problem"])] if probe["problem"] else []
    found += [(entry["name"], entry) for entry in probe["devices"] if not entry["usable"]]
    return [Problem(f"{name}: {entry['why']}", entry["action"]) for name, entry in found]


def deviceChoices(probe: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Devices that can be chosen and their labels."""
    if probe is None:
        return [("cpu", "Processor")]
    return [
        (
            entry["device"],
            "Processor" if entry["device"] == "cpu" else f"Graphics card: {entry['name']} ({entry['device']})",
        )
        for entry in probe["devices"]
        if entry["usable"]
    ]


def memoryText(probe: dict[str, Any] | None) -> str:
    """Free and total memory of each device that can be used; empty before the check."""
    if probe is None:
        return ""
    lines = [
        f"{'Memory' if entry['device'] == 'cpu' else entry['name']}: "
        f"{entry['memory_free'] / GIB:.1f} of {entry['memory_total'] / GIB:.1f} GB free"
        for entry in probe["devices"]
        if entry["usable"] and entry["memory_free"] and entry["memory_total"]
    ]
    return "<br>".join(lines)
