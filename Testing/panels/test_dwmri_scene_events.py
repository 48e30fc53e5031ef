"""DWMRIEnhance: what happens in the scene while its panel is open, in each state of the panel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .dwmri_case import choose_small_scan
from .scene_events import EVENTS, STATES, Bench, Case, check_event


def choose(node: Any, name: str) -> None:
    import slicer

    choose_small_scan(node, f"{name} DWI")
    inside = np.ones(slicer.util.arrayFromVolume(node.inputScan).shape[:3], np.uint8)
    node.mask = slicer.util.addVolumeFromArray(inside, nodeClassName="vtkMRMLLabelMapVolumeNode", name=f"{name} mask")
    node.mask.CopyOrientation(node.inputScan)


def compare(bench: Bench) -> None:
    """Side by side and flickering, with a region and a line that are measured."""
    ui = bench.widget.results.comparePanel.ui
    ui.sideBySideCheckBox.checked = True
    ui.flickerButton.click()
    bench.widget.ui.boxButton.click()
    bench.widget.ui.lineButton.click()
    bench.host.waitFor(lambda: bench.node.regionTable is not None, 60)


def result_panel(widget: Any) -> Any:
    return widget.results.resultPanel


CASE = Case("DWMRIEnhance", ("inputScan", "mask"), "outputScan", choose, compare, result_panel)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", EVENTS)
def test_choices_after(event: str, state: str, bench: Bench, capfd: Any) -> None:
    check_event(bench, event, state, capfd)
