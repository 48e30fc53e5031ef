"""A module with a fault must fail on the host, the same module without it must pass."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TEMPLATE = Path(__file__).parent / "template"
UI = "Resources/UI/Threshold.ui"


def exercise(host: Any, path: Path) -> None:
    """Clicks through the module as a test of it would; raises where anything is wrong."""
    import slicer

    widget = host.loadModule(path)
    ui = widget.ui
    assert not ui.applyButton.enabled
    volume = slicer.util.addVolumeFromArray(np.arange(240.0).reshape(4, 6, 10), name="Ramp")
    ui.inputSelector.setCurrentNode(volume)
    output = ui.outputSelector.addNode()
    assert widget._parameterNode.inputVolume is volume
    assert widget._parameterNode.outputVolume is output
    ui.levelSlider.value = 150
    ui.invertCheckBox.checked = True
    parameters = widget.logic.getParameterNode().parameterNode
    assert (parameters.GetParameter("level"), parameters.GetParameter("invert")) == ("150.0", "True")
    parameters.SetParameter("level", "120.0")
    assert ui.levelSlider.value == 120
    assert ui.applyButton.enabled
    ui.applyButton.click()
    host.process()
    assert slicer.util.arrayFromVolume(output).sum() == 120
    assert ui.statusLabel.text == "Done"
    host.runTests("Threshold")
    slicer.mrmlScene.Clear(0)
    host.process()
    assert widget._parameterNode.inputVolume is None
    assert not ui.applyButton.enabled
    ui.levelSlider.value = 20
    assert widget.logic.getParameterNode().level == 20
    host.closeModules()
    assert not host.slotErrors(), host.slotErrors()[0][2]


FAULTS = {
    "attribute typo": ("Threshold.py", "self.ui.applyButton.toolTip =", "self.ui.applyButton.toolTipp ="),
    "signal typo": ("Threshold.py", '"clicked(bool)"', '"click(bool)"'),
    "signal with wrong arguments": ("Threshold.py", '"clicked(bool)"', '"clicked(int)"'),
    "getter called as a method": ("Threshold.py", "self.ui.levelSlider.value,", "self.ui.levelSlider.value(),"),
    "slot typo in the .ui file": (UI, "<slot>setMRMLScene(vtkMRMLScene*)</slot>", "<slot>setMrmlScene()</slot>"),
    "parameter name typo in the .ui file": (UI, "<string>invert</string>", "<string>inverted</string>"),
    "property typo in the .ui file": (UI, 'name="noneEnabled"', 'name="noneIsEnabled"'),
    "unknown class in the .ui file": (UI, "ctkSliderWidget", "ctkSlidingWidget"),
    "wrong method name in a slot": ("Threshold.py", "self.logic.process(node", "self.logic.compute(node"),
    "scene close not handled": ("Threshold.py", "if self.parent.isEntered:", "if False:"),
    "default outside the range": ("Threshold.py", "WithinRange(0, 200)] = 100", "WithinRange(0, 200)] = 300"),
    "method of CTK that Python does not get": (
        "Threshold.py",
        "self.ui.sections.collapsed = False",
        "self.ui.sections.setCollapsed(False)",
    ),
    "slot with too many parameters": ("Threshold.py", "def onApply(self):", "def onApply(self, checked, twice):"),
    "observer that raises": ("Threshold.py", "def checkCanApply(self, caller=None, event=None)", "def checkCanApply(self)"),
    "widget not cleaned up": ("Threshold.py", "        self.removeObservers()", "        self.removeAllObservers()"),
}  # fmt: skip


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TEMPLATE, tmp_path / "module"))


def test_the_clean_module_passes(host: Any, template: Path) -> None:
    exercise(host, template / "Threshold.py")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(host: Any, template: Path, fault: str) -> None:
    name, old, new = FAULTS[fault]
    text = (template / name).read_text(encoding="utf-8")
    assert old in text
    (template / name).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises((AssertionError, AttributeError, NameError, RuntimeError, TypeError, ValueError)):
        exercise(host, template / "Threshold.py")
    host.reset()  # what the fault has left behind is not this test's failure
