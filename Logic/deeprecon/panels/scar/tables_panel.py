"""The tables of a scar reconstruction besides the burden, in sections that are hidden if there is no table."""

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
        discardCrossValidation: called when the user discards the cross-validation.
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
            nodes: role -> node of one run; empty for none.
            bullseye: picture of the segments, None if the run has none.
        """
        for role, (section, table) in self._sections.items():
            section.visible = role in nodes
            table.setMRMLTableNode(nodes.get(role))
        shown = bullseye is not None and bullseye.exists()
        self.ui.bullseyeLabel.setPixmap(qt.QPixmap(str(bullseye)) if shown else qt.QPixmap())
        self.ui.bullseyeLabel.visible = shown

    def setCrossValidation(self, nodes: Mapping[str, Any], sentence: str) -> None:
        """Show the tables "summary" and "slices" of a cross-validation and its summary sentence, or hide them."""
        self.ui.crossValidationCollapsibleButton.visible = bool(nodes)
        self.ui.crossValidationLabel.text = sentence
        self.ui.crossValidationTable.setMRMLTableNode(nodes.get("summary"))
        self.ui.crossValidationSlicesTable.setMRMLTableNode(nodes.get("slices"))

    def expandCrossValidation(self) -> None:
        """Open the section of the cross-validation."""
        self.ui.crossValidationCollapsibleButton.collapsed = False

    def _onDiscardCrossValidation(self) -> None:
        self._discardCrossValidation()
