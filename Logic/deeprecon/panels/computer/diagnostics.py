"""The diagnostic report for developers, without names of patients or users."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import slicer

LOG_LINES = 60


def scrub(text: str, names: Iterable[str] = ()) -> str:
    """Text without folders, the user's name, and the given names (of nodes, which often are names of patients)."""
    text = text.replace(str(Path.home()), "~")
    text = re.sub(r"(?:[A-Za-z]:)?(?:[\\/][^\\/\s'\":,]+)+[\\/]", "…/", text)
    private = {_user(), platform.node(), *names}
    for name in sorted((name for name in private if len(name) > 2), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", text)
    return text


def _user() -> str:
    """The user's name; empty if the system does not provide it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def diagnosticReport(torch: str | None, probe: dict[str, Any] | None, log: Iterable[str], failure: str = "") -> str:
    """Versions, devices and the last lines of the log as text to paste into a question.

    Args:
        torch: version of PyTorch, None if it is not installed.
        probe: result of the check of this computer; None before it.
        log: lines of the last run.
        failure: message of the last error.
    """
    nodes = slicer.util.getNodesByClass("vtkMRMLStorableNode")
    lines = [
        "DeepRecon diagnostic report",
        f"Slicer: {slicer.app.applicationVersion}   Python: {sys.version.split()[0]}   {platform.platform()}",
        "   ".join(f"{name}: {_version(name)}" for name in ("numpy", "vtk", "nibabel", "SimpleITK", "safetensors")),
        f"PyTorch: {torch or 'not installed'}",
        f"Devices: {json.dumps(probe, ensure_ascii=False, indent=1) if probe else 'not checked'}",
    ]
    if failure:
        lines.append(f"Error: {failure}")
    lines += ["Log:", *list(log)[-LOG_LINES:]]
    return scrub("\n".join(lines), [node.GetName() or "" for node in nodes if not node.GetHideFromEditors()])
