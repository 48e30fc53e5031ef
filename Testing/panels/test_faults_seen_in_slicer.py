"""Faults of the panels that Slicer has shown and the stand-in had not; Testing/host/README.md has the table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import MODULE, ROOT
from .dwmri_case import choose_small_scan

DWMRI = ROOT / "DWMRIEnhance" / "DWMRIEnhance.py"
MODULES = [MODULE, ROOT / "CTPASynthesis" / "CTPASynthesis.py", DWMRI]
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)


def colored(view: Any) -> np.ndarray:
    """(columns,) colored pixels in each column of a plot view, which is drawn for it."""
    image = view.grab().toImage()
    colors = [[image.pixelColor(x, y) for y in range(image.height())] for x in range(image.width())]
    return np.array([sum(color.hsvSaturation() > 128 for color in column) for column in colors])


@each_module
def test_a_panel_opens(host: Any, path: Path) -> None:
    widget = host.loadModule(path)
    assert widget.ui is not None
    assert widget.runPanel.ui.applyButton.visible


def test_training_curves_go_on_as_points_are_added(host: Any) -> None:
    curves = host.loadModule(MODULE).runPanel.curves
    curves.widget.resize(320, 200)
    for step in range(30):
        curves.add({"step": 10 * step, "loss": 1.0 / (step + 1)})
        curves.widget.grab()
    drawn = np.flatnonzero(colored(curves.widget)[:240])  # without the legend, on the right
    assert drawn.max() - drawn.min() > 150
    assert host.slotErrors() == []  # such as a line of one point


def test_the_chart_of_gradient_directions_is_drawn(host: Any) -> None:
    widget = host.loadModule(DWMRI)
    choose_small_scan(widget._parameterNode)
    host.process()
    view = widget.gradients.chartView.widget
    view.resize(320, 270)
    image = view.grab().toImage()
    assert image.pixelColor(4, 4).lightness() > 200
    assert colored(view).sum() > 20


@each_module
def test_a_panel_that_is_opened_again_is_not_squeezed(host: Any, path: Path) -> None:
    import ctk
    import qt
    import slicer

    host.loadModule(path)
    panel = slicer.app.moduleManager().module(path.stem).widgetRepresentation()
    sections = {section: section.collapsed for section in panel.findChildren(ctk.ctkCollapsibleButton)}

    def heights() -> dict[Any, int]:
        """Label or section -> its height, after all sections were opened, one after the other."""
        for section in sections:
            section.collapsed = False
            host.process()
        host.process(0.1)
        labels = [label for label in panel.findChildren(qt.QLabel) if label.isVisible()]
        return {widget: widget.height for widget in (*labels, *sections)}

    first = heights()
    for section, collapsed in sections.items():
        section.collapsed = collapsed
    host.process(0.1)
    host.loadModule(next(other for other in MODULES if other != path))
    host.openModule(path.stem)
    assert heights() == first


def test_a_python_of_the_user_computes_without_the_variables_of_slicer(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qt

    qt.QSettings().setValue("DeepRecon/Interpreter", sys.executable)
    device = host.loadModule(MODULE).devicePanel
    monkeypatch.setattr(type(device), "probed", None)
    with host.launched():
        device.check()
        host.waitFor(lambda: not device.working, 300)
    assert device.error == ""
    assert device.probe is not None
