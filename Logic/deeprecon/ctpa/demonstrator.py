"""The shipped bundle, trained on phantoms alone."""

from __future__ import annotations

from pathlib import Path

from deeprecon.data.errors import InputError
from deeprecon.resources import resource_path

NAME = "ctpa-demonstrator"


def demonstrator_folder() -> Path:
    """Folder of the shipped bundle.

    Raises:
        InputError: it is not part of this installation.
    """
    try:
        return resource_path("Bundles", NAME)
    except FileNotFoundError as error:
        raise InputError(
            "The phantom-trained demonstrator is not part of this installation.",
            "Give a model bundle with --bundle, or retrain it: Testing/benchmarks/ctpa_demonstrator.py.",
        ) from error
