"""The front door of the method: what `python -m deeprecon ctpa VERB` and the panel run."""

from __future__ import annotations

from typing import Any

from deeprecon.ctpa import parameters as settings
from deeprecon.ctpa.evaluate import evaluate
from deeprecon.ctpa.export import export
from deeprecon.ctpa.phantom_files import phantom
from deeprecon.ctpa.prepare import prepare
from deeprecon.jobs.verbs import Verb


def _never(parameters: Any) -> bool:
    return False


VERBS = {
    "phantom": Verb(
        "make chests whose CT is known, with an X-ray of each, and their manifest",
        settings.PhantomInputs,
        settings.PhantomParameters,
        phantom,
        needs_torch=_never,
    ),
    "prepare": Verb(
        "bring pairs of CT and X-ray onto one grid, into a store that training reads from",
        settings.PrepareInputs,
        settings.PrepareParameters,
        prepare,
        precisions=lambda parameters: ("fp32",),
    ),
    "evaluate": Verb(
        "hold a synthetic CT against the true one",
        settings.EvaluateInputs,
        settings.EvaluateParameters,
        evaluate,
        needs_torch=_never,
    ),
    "export": Verb(
        "write a synthetic CT as a DICOM series that says what it is",
        settings.ExportInputs,
        settings.ExportParameters,
        export,
        needs_torch=_never,
    ),
}
