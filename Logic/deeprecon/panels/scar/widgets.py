"""Labels of the scar panel, and its widgets without a parameter link: segments, threshold and region tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slicer.i18n import tr as _

from deeprecon.scar.parameters import INTERPOLATION_LABELS, Method, ReconstructParameters
from deeprecon.scar.thresholds import RULES
from deeprecon.scene.scar.inputs import ScarSource

LABELS = {
    "methodCombo": {
        "FIELD": "Neural field (smooth, with uncertainty)",
        "MLP": "Coordinate network (dropout uncertainty)",
        "INTERPOLATION": "Interpolation (instant)",
    },
    "interpolationCombo": {kind.name: label for kind, label in INTERPOLATION_LABELS.items()},
    "networkCombo": {"SMALL": "4 layers of 128", "LARGE": "6 layers of 256"},
    "observationCombo": {"SOFT": "Keep partial pixels", "BINARY": "Round to scar or healthy"},
    "alignmentCombo": {
        "RIGID": "Move and turn them to where they were",
        "SHIFT": "Move them in their plane",
        "OFF": "Leave them",
    },
    "projectionCombo": {
        "AUTO": "Automatic: as far as pixels are exact",
        "EXACT": "Make the nodes agree with every pixel",
        "OFF": "No agreed values",
    },
    "reportValuesCombo": {"ESTIMATE": "The estimate", "AGREED": "The values that agree with the pixels"},
    "scarSourceCombo": {
        "SEGMENT": "The scar segment",
        "INTENSITIES": "Intensities of the LGE volume",
        "NONE": "There is no scar (healthy heart)",
    },
    "meshUnitCombo": {
        "AUTO": "As the scene: millimeters",
        "MM": "Millimeters",
        "CM": "Centimeters",
        "M": "Meters",
        "UM": "Micrometers",
    },
    "meshFrameCombo": {
        "AUTO": "As the scene: RAS",
        "RAS": "Right, anterior, superior (RAS)",
        "LPS": "Left, posterior, superior (LPS)",
    },
    "shellCombo": {
        "AUTO": "Automatic: the maximum, if it is open",
        "MAX": "The maximum through the wall (max)",
        "MEAN": "The mean through the wall (mean)",
    },
}
"""Combo box -> name of its enum's member -> text."""

CONTROLS = {
    "core-threshold": "coreThresholdEdit",
    "labels": "scarCombo",
    "lge": "inputVolumeSelector",
    "mesh-region": "meshRegionEdit",
    "myocardium": "myocardiumCombo",
    "no-scar": "scarSourceCombo",
    "observed-within": "observedWithinSpinBox",
    "remote": "remoteCombo",
    "scar": "scarCombo",
    "slice-thickness": "thicknessSpinBox",
    "threshold": "thresholdFrame",
}
"""Option of the command line -> the control that does the same, where no parameter link tells."""

NONE = "None"
_CHOICES = ("", *RULES)
"""What the combo box of thresholds offers: the mixture, then the rules."""


class SegmentSelector:
    """Combo boxes that choose a segment each.

    Args:
        combos: role -> combo box.
        changed: called with role -> segment ID, empty for none, after the user chose.
    """

    def __init__(self, combos: Mapping[str, Any], changed: Callable[[dict[str, str]], None]) -> None:
        self._combos = combos
        self._changed = changed
        for combo in combos.values():
            combo.connect("currentIndexChanged(int)", self._onChosen)

    def show(self, names: Mapping[str, str], chosen: Mapping[str, str]) -> None:
        """Offer segments, as ID -> name, and show the ones chosen, as role -> ID."""
        for role, combo in self._combos.items():
            wasBlocked = combo.blockSignals(True)
            combo.clear()
            for key, text in {"": NONE, **names}.items():
                combo.addItem(text, key)
            combo.currentIndex = combo.findData(chosen.get(role, ""))
            combo.blockSignals(wasBlocked)

    def _onChosen(self, *_arguments: Any) -> None:
        self._changed({role: combo.currentData or "" for role, combo in self._combos.items()})


class ThresholdSelector:
    """The rule and the number of a threshold, which together are a text such as nsd:5; empty for the fitted mixture.

    Args:
        combo: of the rules.
        spinBox: of the number, shown where the rule needs one.
        changed: called with the text after the user chose.
    """

    def __init__(self, combo: Any, spinBox: Any, changed: Callable[[str], None]) -> None:
        self._combo = combo
        self._spinBox = spinBox
        self._changed = changed
        for label in (_("fitted mixture (no threshold)"), *(rule.label for rule in RULES.values())):
            combo.addItem(label)
        combo.connect("currentIndexChanged(int)", self._onRule)
        spinBox.connect("valueChanged(double)", self._onNumber)

    def show(self, threshold: str) -> None:
        """Show a threshold; an unknown rule, as a script may set, is left to the check of the run."""
        rule, _colon, number = threshold.partition(":")
        blocked = [(widget, widget.blockSignals(True)) for widget in (self._combo, self._spinBox)]
        if rule in _CHOICES:
            self._combo.currentIndex = _CHOICES.index(rule)
        bounds = RULES[rule].bounds if rule in RULES else None
        self._spinBox.visible = bounds is not None
        if bounds is not None:
            self._spinBox.minimum, self._spinBox.maximum = bounds
        if number.replace(".", "", 1).isdecimal():
            self._spinBox.value = float(number)
        for widget, wasBlocked in blocked:
            widget.blockSignals(wasBlocked)

    def _onRule(self, index: int) -> None:
        """Another rule starts with its default number."""
        rule = RULES.get(name := _CHOICES[index])
        self._changed(name if rule is None or rule.bounds is None else f"{name}:{rule.default:g}")

    def _onNumber(self, value: float) -> None:
        self._changed(f"{_CHOICES[self._combo.currentIndex]}:{value:g}")


class RegionsEdit:
    """A text field with the tags of regions: whole numbers with spaces or commas between them.

    Args:
        edit: the field.
        changed: called with the tags after the user changed them; with the last ones while the text is no such list.
    """

    def __init__(self, edit: Any, changed: Callable[[list[int]], None]) -> None:
        self._edit = edit
        self._changed = changed
        self._tags: list[int] = []
        edit.connect("textChanged(QString)", self._onText)

    def show(self, tags: Sequence[int]) -> None:
        """Show tags; the user's own way of writing them stays."""
        if list(tags) != self._tags:
            self._tags = list(tags)
            wasBlocked = self._edit.blockSignals(True)
            self._edit.text = " ".join(map(str, tags))
            self._edit.blockSignals(wasBlocked)

    def problem(self) -> str:
        """Why the text names no regions; empty if it does, or where there is none."""
        if _tags(self._edit.text) is not None:
            return ""
        text: str = _("Regions of the wall are whole numbers, such as 1 2; {text} is none.")
        return text.format(text=self._edit.text.strip())

    def _onText(self, text: str) -> None:
        tags = _tags(text)
        self._tags = self._tags if tags is None else tags
        self._changed(self._tags)


def _tags(text: str) -> list[int] | None:
    """The whole numbers in a text, None where it holds something else."""
    words = re.split(r"[\s,;]+", text.strip(" ,;\t"))
    return [int(word) for word in words if word] if all(re.fullmatch(r"(-?\d+)?", word) for word in words) else None


def showNeeded(ui: Any, source: ScarSource, settings: ReconstructParameters) -> None:
    """Show the controls that a source of the scar and the settings need, with their labels, and hide the others."""
    trained, network = settings.method is not Method.INTERPOLATION, settings.method is Method.MLP
    needed = {
        ("thresholdFrame", "remoteCombo", "coreThresholdEdit"): source is ScarSource.INTENSITIES,
        ("scarCombo", "noReflowCombo"): source is ScarSource.SEGMENT,
        ("budgetSpinBox", "stepsSpinBox"): trained,
        ("networkCombo", "samplesSpinBox"): network,
        ("interpolationCombo",): not trained,
    }
    for names, visible in needed.items():
        for name in names:
            getattr(ui, name).visible = getattr(ui, f"{name}Label").visible = visible
