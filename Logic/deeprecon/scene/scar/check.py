"""The cross-validation of a scar reconstruction in the scene: its tables, and what they say in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.scar.parameters import Interpolation, Method
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.common.results import load_results
from deeprecon.scene.scar.job import OUTPUT, ScarNodes
from deeprecon.scene.scar.result import name_columns

VERB = "cross-validate"
TRAINED = {Method.FIELD.value: "the neural field", Method.MLP.value: "the coordinate network"}
INTERPOLATIONS = {
    Interpolation.NEAREST.value: "nearest slice",
    Interpolation.LINEAR.value: "linear",
    Interpolation.SIGNED_DISTANCE.value: "signed distance",
    Interpolation.LOG_ODDS.value: "log-odds",
    Interpolation.ANATOMICAL_LINEAR.value: "linear along the wall",
    Interpolation.ANATOMICAL_SIGNED_DISTANCE.value: "signed distance along the wall",
}


@dataclass(frozen=True)
class ScarCheck:
    """What a cross-validation found.

    Attributes:
        nodes: tables by role: "summary", a row for each method, and "slices", a row for each slice and method.
        sentence: the method beside the best of the others.
    """

    nodes: Mapping[str, Any]
    sentence: str


def load_check(folder: Path, nodes: ScarNodes, summary: Any = None) -> ScarCheck:
    """Load what a finished job folder of the verb `VERB` holds: all of it or nothing.

    Args:
        folder: the job folder.
        nodes: what was cross-validated.
        summary: node of an earlier cross-validation, whose content is replaced; None for new nodes.

    Raises:
        InputError: no result, or one that is damaged.
    """
    source = nodes.volume if nodes.volume is not None else nodes.segmentation
    made = load_results(folder / OUTPUT, f"{source.GetName()} cross-validation", source, {"summary": summary})
    name_columns(made)
    return ScarCheck(made, sentence_of(made["summary"]))


def sentence_of(summary: Any) -> str:
    """How well the method foretold hidden slices, and the best of the interpolations beside it.

    Args:
        summary: node that `load_check` made.

    Raises:
        InputError: it was made by something else.
    """
    made = provenance_of(summary)
    settings, figures = made["parameters"], made["metrics"]
    scores = {name.removeprefix("dice_"): value for name, value in figures.items() if name.startswith("dice_")}
    trained = TRAINED.get(settings["method"])
    own = scores.pop(settings["method"] if trained else settings["interpolation"])
    best = max(scores, key=lambda name: scores[name])
    name = trained or f"interpolation ({INTERPOLATIONS[settings['interpolation']]})"
    others = "interpolation" if trained else "other interpolation"
    return (
        f"Each of {figures['slices']} slices was hidden in turn: {name} foretells them with a mean Dice of {own:.2f}, "
        f"the best {others} ({INTERPOLATIONS[best]}) with {scores[best]:.2f}. Slices at the ends do not count."
    )
