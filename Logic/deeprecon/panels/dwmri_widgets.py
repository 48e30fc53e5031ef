"""Words of the diffusion panel, its gradient check, and how long its runs take."""

from __future__ import annotations

import html
from typing import Any

import qt
import slicer

from deeprecon.panels.run_times import inWords
from deeprecon.scene.dwmri_gradients import BAD, FAIR, GOOD, Check, check_gradients

LABELS = {
    "methodCombo": {
        "NETWORK": "Best: network trained on the scan itself",
        "PCA": "Fast: local PCA",
        "MPPCA": "For comparison: MP-PCA (dipy)",
        "LOCAL_PCA": "For comparison: local PCA (dipy)",
        "NLMEANS": "For comparison: non-local means (dipy)",
        "PATCH2SELF": "For comparison: patch2self, repaired",
        "PATCH2SELF_DIPY_1": "For comparison: patch2self 1 (dipy)",
        "PATCH2SELF_DIPY_3": "For comparison: patch2self 3 (dipy)",
    },
    "backgroundCombo": {"KEEP": "Keep it as it is", "ZERO": "Set it to zero"},
    "storedCombo": {"FLOAT": "Floating point", "INPUT": "As the input (rounds integers)"},
}
"""Combo box -> name of its enum's member -> text."""

_MARKS = {GOOD: ("✓", "#2e7d32"), FAIR: ("⚠", "#b26a00"), BAD: ("✗", "#c62828")}


class GradientCheck:
    """The sanity check of a scan's gradients in a label; it is made anew only when the scan changed.

    Args:
        label: QLabel that shows it.
    """

    def __init__(self, label: Any) -> None:
        self._label = label
        self._key: tuple[str, int] | None = None
        self._problem = ""

    def show(self, node: Any) -> str:
        """Show the check of a scan node, or none; returns why it cannot be used, empty if it can."""
        key = None if node is None else (node.GetID(), node.GetMTime())
        if key != self._key or key is None:
            self._key = key
            checks = [] if node is None else check_gradients(node)
            self._label.text = table(checks)
            self._label.visible = bool(checks)
            self._problem = next((f"{check.what}: {check.found}" for check in checks if check.level == BAD), "")
        return self._problem


def table(checks: list[Check]) -> str:
    """Checks as an HTML table with a mark for each."""
    rows = "".join(
        f'<tr><td style="color: {_MARKS[check.level][1]};">{_MARKS[check.level][0]}&nbsp;</td>'
        f"<td>{html.escape(check.what)}&nbsp;&nbsp;</td><td>{html.escape(check.found)}</td></tr>"
        for check in checks
    )
    return f"<table>{rows}</table>" if rows else ""


class RunRates:
    """Remembers, in the application's settings, how many values (voxels times volumes) a run gets through in a second.

    Args:
        module: name of the module.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def sentence(self, method: str, device: str, values: int) -> str:
        """How long a run will take, in words; before the first run of a method nothing is known."""
        rate = float(slicer.util.settingsValue(self._key(method, device), 0.0))
        if not values:
            return ""
        if rate <= 0:
            return "The time left is shown as soon as the run tells it."
        return f"A run takes about {inWords(values / rate)} on this computer."

    def learn(self, method: str, device: str, values: int, seconds: float) -> None:
        """A run of `seconds` is over."""
        if values and seconds > 0:
            qt.QSettings().setValue(self._key(method, device), values / seconds)

    def _key(self, method: str, device: str) -> str:
        return f"DeepRecon/{self._module}/Rate-{method}-{device}"
