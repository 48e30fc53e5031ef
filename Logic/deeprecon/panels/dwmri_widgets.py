"""Words of the diffusion panel, what it trains, and its gradient check."""

from __future__ import annotations

import html
from typing import Any

from slicer.i18n import tr as _

from deeprecon.dwmri.parameters import TrainInputs, TrainParameters
from deeprecon.panels.training_panel import Training
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

TRAINING = Training(
    "dwmri",
    "train",
    TrainInputs,
    TrainParameters,
    pack="training",
    title=_("Training of a denoising network"),
    intro=_(
        "A network learns from pairs of scans: noisy and clean ones, or coarse ones and the same with voxels of half "
        "the size. Each with .bval and .bvec beside it, or as DWI NRRD."
    ),
    words={
        "noisy": _("Noisy or coarse scan"),
        "clean": _("Clean or fine scan"),
        "mask": _("Brain mask (optional)"),
        "accumulate": _("Batches a step"),
        "edge_weight": _("Weight of edges"),
        "in_stages": _("Train in stages (progressive only)"),
        "compile": _("Compile on a GPU"),
    },
    needed=("noisy", "clean"),
    endings=(".nii.gz", ".nii", ".nrrd", ".nhdr"),
)

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
