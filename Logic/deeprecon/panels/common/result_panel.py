"""The result panel: selection of the shown array, table, report, and removal of a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from deeprecon.data.errors import InputError
from deeprecon.resources import resource_path
from deeprecon.scene.common.provenance import write_sidecar
from deeprecon.scene.common.results import discard


class ResultPanel:
    """Shows the result nodes of a run.

    Args:
        layout: where the panel is put.
        choices: name of an array -> its label, for "Show".
        show: called with the chosen array name when the views are to be set up.
        arrange: called before that by "Show in views": sets the layout; None where `show` does.
        discarded: called after the result nodes were removed.
    """

    def __init__(
        self,
        layout: Any,
        choices: Mapping[str, str],
        show: Callable[[str], None],
        discarded: Callable[[], None],
        arrange: Callable[[], None] | None = None,
    ) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "ResultPanel.ui")))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        layout.addWidget(self.widget)
        self._report: Path | None = None
        self._nodes: list[Any] = []
        self._tables: list[Any] = []
        self._onShowArray, self._arrange = show, arrange
        self._discarded = discarded
        self._choices = choices
        self.setChoices(choices)
        self.ui.showCombo.connect("currentIndexChanged(int)", self._onShow)
        self.ui.showButton.connect("clicked(bool)", self._onShowButton)
        self.ui.reportButton.connect("clicked(bool)", self._onReport)
        self.ui.discardButton.connect("clicked(bool)", self._onDiscard)
        self.ui.saveTableButton.connect("clicked(bool)", self._onSaveTable)
        self.setResult([], None)

    def setShowTexts(self, label: str, toolTip: str) -> None:
        """Set label and tool tip of the selection."""
        self.ui.showComboLabel.text = label
        for widget in (self.ui.showComboLabel, self.ui.showCombo, self.ui.showButton):
            widget.toolTip = toolTip

    def setScene(self, scene: Any) -> None:
        """Show tables of this scene."""
        self.widget.setMRMLScene(scene)

    def setResult(self, nodes: list[Any], table: Any, report: Path | None = None, others: Sequence[Any] = ()) -> None:
        """Show these nodes; an empty list for no result.

        Args:
            nodes: of one run.
            table: one of them or None.
            report: HTML page of that run; None if unknown.
            others: tables that can be saved too.
        """
        self._nodes, self._report = nodes, report
        self._tables = [each for each in (table, *others) if each is not None]
        ui = self.ui
        ui.messageLabel.text = "" if nodes else "No result yet."
        ui.messageLabel.visible = not nodes
        ui.burdenTable.setMRMLTableNode(table)
        ui.burdenTable.visible = table is not None
        chosen = ui.tableCombo.currentText
        ui.tableCombo.clear()
        for each in self._tables:
            ui.tableCombo.addItem(each.GetName())
        ui.tableCombo.currentIndex = max(0, ui.tableCombo.findText(chosen)) if self._tables else -1
        ui.saveFrame.visible = bool(self._tables)
        for widget in (ui.showCombo, ui.showButton, ui.discardButton):
            widget.enabled = bool(nodes)
        ui.reportButton.enabled = report is not None and report.exists()

    def setChoices(self, names: Iterable[str]) -> None:
        """Set the arrays to choose from, and keep the chosen one if possible."""
        combo, shown = self.ui.showCombo, self.ui.showCombo.currentData
        wasBlocked = combo.blockSignals(True)
        combo.clear()
        for name in names:
            combo.addItem(self._choices[name], name)
        combo.currentIndex = max(0, combo.findData(shown))
        combo.blockSignals(wasBlocked)

    @property
    def shown(self) -> str:
        """Name of the array to be shown."""
        return str(self.ui.showCombo.currentData)

    @shown.setter
    def shown(self, name: str) -> None:
        self.ui.showCombo.currentIndex = self.ui.showCombo.findData(name)

    def _onShow(self, *_arguments: Any) -> None:
        if self._nodes:
            self._onShowArray(self.shown)

    def _onShowButton(self) -> None:
        if self._arrange is not None:
            self._arrange()
        self._onShow()

    def _onReport(self) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._report)))

    def _onDiscard(self) -> None:
        discard(self._nodes)
        self._discarded()

    def _onSaveTable(self) -> None:
        with slicer.util.tryWithErrorDisplay("The table could not be saved."):
            path = self.ui.tablePathEdit.currentPath
            if not path:
                raise InputError("No file is chosen.", "Choose one next to the button.")
            table = self._tables[self.ui.tableCombo.currentIndex]
            if not slicer.util.exportNode(table, path, {}):
                raise InputError(f"{path} cannot be written.", "Choose another folder.")
            write_sidecar(path, table)


def overwriteProblem(node: Any, results: Mapping[str, Any]) -> str:
    """Why a chosen output node cannot be written to: it is no result; empty if it is one, or None.

    Args:
        node: that the user chose for the result.
        results: of the run that the node belongs to; empty if it is no result.
    """
    if node is None or results:
        return ""
    text = _("{name} is no result and would be overwritten: choose another one, or create one.")
    return str(text.format(name=node.GetName()))
