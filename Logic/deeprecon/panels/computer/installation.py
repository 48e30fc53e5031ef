"""PyTorch inside Slicer: detection, and installation on consent. The GUI process does not import it."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.panels.computer.overlay import Overlay

TORCH_REQUIREMENT = ">=2.4"


@dataclass(frozen=True)
class Problem:
    """A problem of the installation, and the action that solves it.

    Attributes:
        text: description for the user.
        action: label of the button that solves it, or an instruction if there is no button.
        run: called by the button; None if there is none.
    """

    text: str
    action: str
    run: Callable[[], None] | None = None


def torchVersion(overlayFolder: Path | None = None) -> str | None:
    """Version of PyTorch that the child process will find, from its metadata alone; None if there is none."""
    path = [*([str(overlayFolder)] if overlayFolder else []), *sys.path]
    for distribution in importlib.metadata.distributions(name="torch", path=path):
        version = distribution.metadata["Version"]
        if version:  # a half-removed package leaves metadata without a version
            return str(version)
    return None


def installTorch(module: Any = None) -> None:
    """Install PyTorch through the PyTorch extension. To be called on the user's consent only.

    Newer versions of the extension accept more arguments, so the signature is inspected first.

    Args:
        module: replaces `PyTorchUtils` in tests.

    Raises:
        InputError: the extension is missing, or the installation did not succeed.
    """
    if module is None:
        try:
            module = importlib.import_module("PyTorchUtils")
        except ImportError as error:
            raise InputError(
                "The PyTorch extension of Slicer is not installed.",
                "Install it in View > Extensions Manager, restart Slicer, then press the button again.",
            ) from error
    install = module.PyTorchUtilsLogic().installTorch
    wanted = {"askConfirmation": False, "torchVersionRequirement": TORCH_REQUIREMENT}
    accepted = inspect.signature(install).parameters
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in accepted.values())
    try:
        result = install(**{name: value for name, value in wanted.items() if anything or name in accepted})
    except Exception as error:
        raise InputError(
            f"PyTorch could not be installed: {error}.",
            "See the application's log. Behind a firewall, import the packages from a file made on another computer.",
        ) from error
    importlib.invalidate_caches()
    if result is None and torchVersion() is None:
        raise InputError("PyTorch was not installed.", "See the application's log, then try again.")


def problems(
    overlay: Overlay, onInstallTorch: Callable[[], None], onInstallPackages: Callable[[], None]
) -> list[Problem]:
    """Missing installations, the most important first."""
    found = []
    if torchVersion(overlay.folder) is None:
        found.append(Problem("PyTorch is not installed.", "Install PyTorch", onInstallTorch))
    missing = overlay.missing()
    if missing:
        found.append(
            Problem(f"Python packages are missing: {', '.join(missing)}.", "Install packages", onInstallPackages)
        )
    return found
