"""The live curves of a run: losses as they are reported, drawn where they can be told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import slicer

from deeprecon.scene.plots import CurvePlot

NOT_DRAWN = {"type", "time", "step", "learning_rate"}
"""Entries of a metric event that are no losses; beside them a learning rate would lie flat on the axis."""
_WORDS = {
    "loss": "training loss",
    "training_loss": "training loss",
    "validation": "held-out loss",
    "held_out_loss": "held-out loss",
}


class CurveView:
    """A plot view with one chart, filled while a run goes on.

    Args:
        layout: where the view is put.
        title: of the chart; charts of one title share their nodes.
        height: of the view in pixels.

    Attributes:
        plot: the chart and its table; None before the first point.
    """

    def __init__(self, layout: Any, title: str, height: int = 240) -> None:
        self.widget = slicer.qMRMLPlotView()  # .ui files cannot hold one: Slicer has no designer plugin for it
        self.widget.setMinimumHeight(height)
        layout.addWidget(self.widget)
        self.plot: CurvePlot | None = None
        self._title = title
        self._viewNode: Any = None
        self._before = self._last = 0

    def setScene(self, scene: Any) -> None:
        """Show curves of this scene."""
        self.widget.setMRMLScene(scene)

    def clear(self) -> None:
        """Forget the curves; the next point begins new ones. To be called when a run starts and when a scene closes."""
        self.plot = None
        self._before = self._last = 0

    def add(self, event: Mapping[str, Any]) -> bool:
        """Draw one metric event; False where there was nothing to draw."""
        values = {
            _WORDS.get(name, name.replace("_", " ")): float(value)
            for name, value in event.items()
            if name not in NOT_DRAWN and isinstance(value, int | float)
        }
        if not values or slicer.mrmlScene.IsClosing():
            return False
        if self.plot is None:
            self.show(CurvePlot(self._title))
        assert self.plot is not None
        step = int(event.get("step") or 0)
        if step < self._last:  # the run's next network counts anew
            self._before += self._last
        self._last = step
        self.plot.add(self._before + step, **values)
        self.plot.fit_range()
        return True

    def show(self, plot: CurvePlot) -> None:
        """Show this chart."""
        self.plot = plot
        if self._viewNode is None or self._viewNode.GetScene() is None:
            self._viewNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotViewNode", f"{self._title} view")
            self._viewNode.SetLayoutName(f"{self._title} view")
            self._viewNode.SetHideFromEditors(True)
            self._viewNode.SetSaveWithScene(False)
            self.widget.setMRMLPlotViewNode(self._viewNode)
        self._viewNode.SetPlotChartNodeID(plot.chart.GetID())
