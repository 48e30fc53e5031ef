"""Packages that only this method needs, imported when they are."""

from __future__ import annotations

import importlib
from typing import Any

from deeprecon.data.errors import InputError


def optional(module: str) -> Any:
    """A module of scipy or h5py.

    Raises:
        InputError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(
            f"Wave scattering needs {package}, which is not installed.", "Install it: pip install './Logic[scattering]'"
        ) from error
