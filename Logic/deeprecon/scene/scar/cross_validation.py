"""The cross-validation of a scar reconstruction in the scene: its tables, and a summary in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deeprecon.scar.parameters import INTERPOLATION_LABELS, Interpolation, Method
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.common.results import RunResult, load_results
from deeprecon.scene.scar.job import ScarNodes
from deeprecon.scene.scar.result import name_columns

VERB = "cross-validate"
TRAINED = {Method.FIELD.value: "the neural field", Method.MLP.value: "the coordinate network"}


def load_cross_validation(folder: Path, nodes: ScarNodes, summary: Any = None) -> RunResult:
    """Load the tables "summary" and "slices" of a finished job of the verb `VERB`: all or none.

    Args:
        folder: with result.json.
        nodes: inputs of the job.
        summary: node of an earlier cross-validation, whose content is replaced; None for new nodes.

    Raises:
        InputError: no result, or one that is damaged.
    """
    source = nodes.volume if nodes.volume is not None else nodes.segmentation
    made = load_results(folder, f"{source.GetName()} cross-validation", source, {"summary": summary})
    name_columns(made)
    return RunResult(made, summary_sentence(made["summary"]))


def summary_sentence(summary: Any) -> str:
    """Mean Dice of the method on left-out slices, and that of the best interpolation.

    Args:
        summary: node that `load_cross_validation` made.

    Raises:
        InputError: it was made by something else.
    """
    made = provenance_of(summary)
    settings, metrics = made["parameters"], made["metrics"]
    scores = {name.removeprefix("dice_"): value for name, value in metrics.items() if name.startswith("dice_")}
    trained = TRAINED.get(settings["method"])
    own = scores.pop(settings["method"] if trained else settings["interpolation"])
    best = max(scores, key=lambda name: scores[name])
    name = trained or f"interpolation ({_label(settings['interpolation'])})"
    others = "interpolation" if trained else "other interpolation"
    return (
        f"Each of {metrics['slices']} slices was left out in turn: {name} predicts them with a mean Dice of {own:.2f}, "
        f"the best {others} ({_label(best)}) with {scores[best]:.2f}. "
        "Slices at the ends do not count."
    )


def _label(interpolation: str) -> str:
    """Name of an interpolation within a sentence."""
    label = INTERPOLATION_LABELS[Interpolation(interpolation)]
    return label[0].lower() + label[1:]
