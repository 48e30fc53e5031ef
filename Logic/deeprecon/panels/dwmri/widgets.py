"""Labels of the diffusion panel, the description of its training, and its gradient check."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from deeprecon.data.diffusion.files import SCAN_ENDINGS
from deeprecon.dwmri.parameters import TrainInputs, TrainParameters
from deeprecon.panels.common.plot_views import ChartView
from deeprecon.panels.common.training_panel import Training
from deeprecon.panels.screen import status_colors
from deeprecon.panels.screen.status_colors import statusColor
from deeprecon.panels.screen.stepper import ButtonWork
from deeprecon.scene.dwmri.gradients import (
    BAD,
    FAIR,
    GOOD,
    CheckResult,
    check_flips,
    check_gradients,
    draw_directions,
)
from deeprecon.scene.dwmri.scan import gradients_of

LABELS = {
    "methodCombo": {
        "NETWORK": _("Best: network trained on the scan itself"),
        "PCA": _("Fast: local PCA"),
        "MPPCA": _("For comparison: MP-PCA (dipy)"),
        "LOCAL_PCA": _("For comparison: local PCA (dipy)"),
        "NLMEANS": _("For comparison: non-local means (dipy)"),
        "PATCH2SELF": _("For comparison: patch2self, repaired"),
        "PATCH2SELF_DIPY_1": _("For comparison: patch2self 1 (dipy)"),
        "PATCH2SELF_DIPY_3": _("For comparison: patch2self 3 (dipy)"),
    },
    "backgroundCombo": {"KEEP": _("Keep it as it is"), "ZERO": _("Set it to zero")},
    "storedCombo": {"FLOAT": _("Floating point"), "INPUT": _("As the input (rounds integers)")},
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
        "the size. Each with .bval and .bvec of the same name, or as DWI NRRD."
    ),
    labels={
        "noisy": _("Noisy or coarse scan"),
        "clean": _("Clean or fine scan"),
        "mask": _("Brain mask (optional)"),
        "accumulate": _("Batches a step"),
        "edge_weight": _("Weight of edges"),
        "in_stages": _("Train in stages (progressive networks only)"),
        "compile": _("Compile on a GPU"),
    },
    needed=("noisy", "clean"),
    endings=SCAN_ENDINGS,
)

DIRECTIONS = "Gradient directions"
_MARKS = {GOOD: ("✓", status_colors.GOOD), FAIR: ("⚠", status_colors.CAUTION), BAD: ("✗", status_colors.BAD)}


class GradientCheck:
    """The sanity check of a scan's gradients; repeated only if the scan changed.

    Its `work` is the check of the axes.

    Args:
        ui: of the module: label, button for the flips, and section for the directions.
        node: returns the chosen scan node, or None.
    """

    def __init__(self, ui: Any, node: Callable[[], Any]) -> None:
        self._label, self._section, self._button = ui.gradientsLabel, ui.directionsCollapsibleButton, ui.flipsButton
        self._node = node
        self._key: tuple[str, int] | None = None
        self._checks: list[CheckResult] = []
        self.chartView = ChartView(self._section.layout(), DIRECTIONS, height=270)
        self.work = ButtonWork(self._button, _("The axes could not be checked."))
        self._button.connect("clicked(bool)", self._onFlips)

    def show(self, node: Any) -> str:
        """Show the check of a scan node, or none; returns why it cannot be used, empty if it can."""
        key = None if node is None else (node.GetID(), node.GetMTime())
        if key != self._key or key is None:
            self._key = key
            self.work.stop()  # it is about another scan
            self._checks = [] if node is None else check_gradients(node)
            self._label.text = checksHtml(self._checks, self._section)
            usable = bool(self._checks) and not self._problem
            for widget in (self._section, self._button):
                widget.visible = usable
            self._label.visible = bool(self._checks)
            if usable:
                self.chartView.show(draw_directions(gradients_of(node).used, DIRECTIONS))
        return self._problem

    @property
    def _problem(self) -> str:
        return next((f"{check.subject}: {check.finding}" for check in self._checks if check.level == BAD), "")

    def _onFlips(self) -> None:
        self.work.start(check_flips.steps(self._node()), self._showFlips)

    def _showFlips(self, check: CheckResult) -> None:
        self._checks = [each for each in self._checks if each.subject != "Flips"] + [check]
        self._label.text = checksHtml(self._checks, self._section)


def checksHtml(checks: list[CheckResult], widget: Any) -> str:
    """Checks as an HTML table for a widget, with a mark for each."""
    rows = "".join(
        f'<tr><td style="color: {statusColor(widget, _MARKS[check.level][1])};">{_MARKS[check.level][0]}&nbsp;</td>'
        f"<td>{html.escape(check.subject)}&nbsp;&nbsp;</td><td>{html.escape(check.finding)}</td></tr>"
        for check in checks
    )
    return f"<table>{rows}</table>" if rows else ""
