"""The result panels of an enhancement: results, comparison and measurements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from deeprecon.panels.common.result_panel import ResultPanel, overwriteProblem
from deeprecon.panels.dwmri.compare_panel import ComparePanel
from deeprecon.panels.dwmri.measurement_panel import MeasurementPanel
from deeprecon.panels.screen.result_views import showInViews
from deeprecon.scene.common.results import nodes_of_run
from deeprecon.scene.dwmri.inputs import is_result
from deeprecon.scene.dwmri.scan import count_volumes
from deeprecon.scene.dwmri.views import (
    COMPARISONS,
    available_comparisons,
    describe,
    is_series,
    select_volume,
    set_foreground_opacity,
    show_comparison,
)


class DwiResultPanels:
    """Shows the run that the chosen result scan belongs to.

    Args:
        ui: of the module.
        node: returns the module's parameter node, or None.
        changed: called after results were removed.

    Attributes:
        resultPanel, comparePanel, measurePanel: its parts.
    """

    def __init__(self, ui: Any, node: Callable[[], Any], changed: Callable[[], None]) -> None:
        layout = ui.resultFrame.layout()
        self._node = node
        self._reported: tuple[Any, Path | None] = (None, None)  # result scan and report of the last run
        texts = {name: comparison.text for name, comparison in COMPARISONS.items()}
        self.resultPanel = ResultPanel(layout, texts, self.show, changed)
        self.resultPanel.setShowTexts(
            _("Show:"), _("What the slice views show, with the same window before and after.")
        )
        self.resultPanel.setScene(slicer.mrmlScene)
        self.comparePanel = ComparePanel(layout, set_foreground_opacity, self._onVolume, self.show, self._describe)
        self.measurePanel = MeasurementPanel(ui, node, lambda: (self.resultPanel.shown, self.comparePanel.volume))

    def cleanup(self) -> None:
        """Stop flickering, and release all nodes."""
        self.comparePanel.stop()
        self.measurePanel.clear()

    def loaded(self, scan: Any, report: Path) -> None:
        """Store the report of the result scan of the last run."""
        self._reported = scan, report

    def update(self, scan: Any) -> str:
        """Show images and tables of the chosen scan; return why it cannot be the output."""
        made = nodes_of_run(scan) if is_result(scan) else {}
        reportedScan, report = self._reported
        regions = [self._node().regionTable] if made else []
        self.resultPanel.setResult(
            list(made.values()), made.get("figures"), report if scan is reportedScan else None, regions
        )
        if made:
            self.resultPanel.setChoices(available_comparisons(scan))
        self._updateParts(scan if made else None)
        return overwriteProblem(scan, made)

    def _updateParts(self, scan: Any) -> None:
        name = self.resultPanel.shown
        self.comparePanel.widget.visible = comparable = scan is not None and name in COMPARISONS
        if not comparable:
            self.comparePanel.stop()
        else:
            self.comparePanel.setImages(count_volumes(scan) if is_series(name) else 0, bool(COMPARISONS[name].before))
        self.measurePanel.update(scan)

    @property
    def _scan(self) -> Any:
        """The chosen result, None where there is none."""
        node = self._node()
        scan = None if node is None else node.outputScan
        return scan if is_result(scan) else None

    def show(self, name: str = "") -> None:
        """Show a comparison in the slice views, the chosen one if left out."""
        scan, compare = self._scan, self.comparePanel
        name = name or self.resultPanel.shown
        if scan is not None and name in COMPARISONS:
            self._updateParts(scan)
            showInViews(lambda: show_comparison(scan, name, compare.fade, compare.sideBySide, compare.volume))

    def _onVolume(self, number: int) -> None:
        if self._scan is not None:
            select_volume(self._scan, number)
            self.measurePanel.update(self._scan)

    def _describe(self, number: int) -> str:
        return "" if self._scan is None else describe(self._scan, self.resultPanel.shown, number)
