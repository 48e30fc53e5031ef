"""The findings panel: what a scar reconstruction found beside the burden, in sections that open where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import qt
import slicer

from deeprecon.resources import resource_path


class ScarTablesPanel:
    """Shows the 17 segments with their bullseye, transmurality, channels, slices, unmet pixels and cross-validation.

    Args:
        layout: where the panel is put.
        discardCrossValidation: called when the user does not want the cross-validation any more.
    """

    def __init__(self, layout: Any, discardCrossValidation: Callable[[], None]) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "ScarTablesPanel.ui")))
        self.ui = ui = slicer.util.childWidgetVariables(self.widget)
        layout.addWidget(self.widget)
        self._sections = {
            "aha": (ui.segmentsCollapsibleButton, ui.segmentsTable),
            "transmurality": (ui.transmuralityCollapsibleButton, ui.transmuralityTable),
            "channels": (ui.channelsCollapsibleButton, ui.channelsTable),
            "slices": (ui.slicesCollapsibleButton, ui.slicesTable),
            "unmet": (ui.unmetCollapsibleButton, ui.unmetTable),
        }
        self._discardCrossValidation = discardCrossValidation
        ui.discardCrossValidationButton.connect("clicked(bool)", self._onDiscardCrossValidation)
        self.setResult({})
        self.setCrossValidation({}, "")

    def setScene(self, scene: Any) -> None:
        """Show tables of this scene."""
        self.widget.setMRMLScene(scene)

    def setResult(self, nodes: Mapping[str, Any], bullseye: Path | None = None) -> None:
        """Show the tables of a run.

        Args:
            nodes: of one run by role, empty where there is none.
            bullseye: picture of the segments, where the run has one and it is still there.
        """
        for role, (section, table) in self._sections.items():
            section.visible = role in nodes
            table.setMRMLTableNode(nodes.get(role))
        shown = bullseye is not None and bullseye.exists()
        self.ui.bullseyeLabel.setPixmap(qt.QPixmap(str(bullseye)) if shown else qt.QPixmap())
        self.ui.bullseyeLabel.visible = shown

    def setCrossValidation(self, nodes: Mapping[str, Any], sentence: str) -> None:
        """Show the tables "summary" and "slices" of a cross-validation, and what they say; none where it is empty."""
        self.ui.crossValidationCollapsibleButton.visible = bool(nodes)
        self.ui.crossValidationLabel.text = sentence
        self.ui.crossValidationTable.setMRMLTableNode(nodes.get("summary"))
        self.ui.crossValidationSlicesTable.setMRMLTableNode(nodes.get("slices"))

    def expandCrossValidation(self) -> None:
        """Unfold the cross-validation."""
        self.ui.crossValidationCollapsibleButton.collapsed = False

    def _onDiscardCrossValidation(self) -> None:
        self._discardCrossValidation()
