"""Labels of the scar panel, and its widgets without a parameter link: segment and threshold selectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deeprecon.scar.parameters import INTERPOLATION_LABELS
from deeprecon.scar.thresholds import RULES

LABELS = {
    "methodCombo": {
        "FIELD": "Neural field (smooth, with uncertainty)",
        "MLP": "Coordinate network (dropout uncertainty)",
        "INTERPOLATION": "Interpolation (instant)",
    },
    "interpolationCombo": {kind.name: label for kind, label in INTERPOLATION_LABELS.items()},
    "networkCombo": {"SMALL": "4 layers of 128", "LARGE": "6 layers of 256"},
    "observationCombo": {"SOFT": "Keep partial pixels", "BINARY": "Round to scar or healthy"},
    "alignmentCombo": {"WALL": "Bring them onto the mesh", "OFF": "Leave them"},
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
}
"""Combo box -> name of its enum's member -> text."""

NONE = "None"


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
    """The rule and the number of a threshold, which together are a text such as nsd:5.

    Args:
        combo: of the rules.
        spinBox: of the number, shown where the rule needs one.
        changed: called with the text after the user chose.
    """

    def __init__(self, combo: Any, spinBox: Any, changed: Callable[[str], None]) -> None:
        self._combo = combo
        self._spinBox = spinBox
        self._changed = changed
        for rule in RULES.values():
            combo.addItem(rule.label)
        combo.connect("currentIndexChanged(int)", self._onRule)
        spinBox.connect("valueChanged(double)", self._onNumber)

    def show(self, threshold: str) -> None:
        """Show a threshold; an unknown rule, as a script may set, is left to the check of the run."""
        rule, _colon, number = threshold.partition(":")
        blocked = [(widget, widget.blockSignals(True)) for widget in (self._combo, self._spinBox)]
        if rule in RULES:
            self._combo.currentIndex = list(RULES).index(rule)
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
        name, rule = list(RULES.items())[index]
        self._changed(name if rule.bounds is None else f"{name}:{rule.default:g}")

    def _onNumber(self, value: float) -> None:
        self._changed(f"{list(RULES)[self._combo.currentIndex]}:{value:g}")
