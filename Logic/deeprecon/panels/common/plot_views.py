"""Plot views of the panels: a chart, and the live curves of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import slicer

from deeprecon.scene.display.plots import CurvePlot

NOT_DRAWN = {"type", "time", "step", "learning_rate"}
"""Entries of a metric event that are no losses; a learning rate is too small for their axis."""
_LABELS = {
    "loss": "training loss",
    "training_loss": "training loss",
    "validation": "held-out loss",
    "held_out_loss": "held-out loss",
}


class ChartView:
    """A plot view in a panel, not in the layout.

    Args:
        layout: where the view is put.
        title: of its view node.
        height: of the view in pixels.
    """

    def __init__(self, layout: Any, title: str, height: int = 240) -> None:
        self.widget = slicer.qMRMLPlotView()  # .ui files cannot hold one: Slicer has no designer plugin for it
        self.widget.setMinimumHeight(height)
        self.widget.setMRMLScene(slicer.mrmlScene)  # it finds the chart there
        layout.addWidget(self.widget)
        self._title = title
        self._viewNode: Any = None

    def show(self, chart: Any) -> None:
        """Show a vtkMRMLPlotChartNode."""
        if self._viewNode is None or self._viewNode.GetScene() is None:
            self._viewNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotViewNode", f"{self._title} view")
            self._viewNode.SetLayoutName(f"{self._title} view")
            self._viewNode.SetHideFromEditors(True)
            self._viewNode.SetSaveWithScene(False)
            self.widget.setMRMLPlotViewNode(self._viewNode)
        self._viewNode.SetPlotChartNodeID(chart.GetID())


class CurveView(ChartView):
    """The curves of a run, extended by its events; arguments as for `ChartView`. Charts of the same title share nodes.

    Attributes:
        plot: the chart and its table; None before the first point.
    """

    def __init__(self, layout: Any, title: str, height: int = 240) -> None:
        super().__init__(layout, title, height)
        self.plot: CurvePlot | None = None
        self._before = self._last = 0

    def clear(self) -> None:
        """Start new curves with the next point. To be called when a run starts and when a scene closes."""
        self.plot = None
        self._before = self._last = 0

    def add(self, event: Mapping[str, Any]) -> bool:
        """Draw one metric event; returns whether it had anything to draw."""
        values = {
            _LABELS.get(name, name.replace("_", " ")): float(value)
            for name, value in event.items()
            if name not in NOT_DRAWN and isinstance(value, int | float)
        }
        if not values or slicer.mrmlScene.IsClosing():
            return False
        if self.plot is None:
            self.plot = CurvePlot(self._title)
            self.show(self.plot.chart)
        step = int(event.get("step") or 0)
        if step < self._last:  # the next network of the run counts from 0
            self._before += self._last
        self._last = step
        self.plot.add(self._before + step, **values)
        self.plot.fit_range()
        return True
