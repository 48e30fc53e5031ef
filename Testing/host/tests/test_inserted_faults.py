"""A module with an inserted fault must fail on the host; the same module without it must pass."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TEMPLATE = Path(__file__).parent / "template"
UI = "Resources/UI/Threshold.ui"


def checkSlots(host: Any) -> None:
    host.process()
    assert not host.slotErrors(), host.slotErrors()[0][2]


def exercise(host: Any, path: Path) -> None:
    """Operate the module as its own test would; raises on any error."""
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
    checkSlots(host)
    assert ui.applyButton.enabled
    ui.applyButton.click()
    checkSlots(host)
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
    checkSlots(host)


PY = "Threshold.py"
FAULTS = {  # name: (file, text, faulty text, pattern of the error message)
    "attribute typo": (
        PY,
        "self.ui.applyButton.toolTip =",
        "self.ui.applyButton.toolTipp =",
        "'toolTipp' does not exist",
    ),
    "signal typo": (PY, '"clicked(bool)"', '"click(bool)"', "no signal click"),
    "signal with wrong arguments": (PY, '"clicked(bool)"', '"clicked(int)"', r"no signal clicked\(int\)"),
    "getter called as a method": (PY, "self.ui.levelSlider.value,", "self.ui.levelSlider.value(),", "not callable"),
    "slot typo in the .ui file": (UI, "<slot>setMRMLScene(vtkMRMLScene*)", "<slot>setMrmlScene()", "no slot"),
    "parameter name typo in the .ui file": (UI, "<string>invert</string>", "<string>inverted</string>", "inverted"),
    "property typo in the .ui file": (UI, 'name="noneEnabled"', 'name="noneIsEnabled"', "no property 'noneIsEnabled'"),
    "unknown class in the .ui file": (UI, "ctkSliderWidget", "ctkSlidingWidget", "ctkSlidingWidget"),
    "wrong method name in a slot": (PY, "self.logic.process(node", "self.logic.compute(node", "compute"),
    "scene close not handled": (PY, "if self.parent.isEntered:", "if False:", "inputVolume"),
    "default outside the range": (PY, "200)] = 100", "200)] = 300", "within.* 200.* 300|300 is not within"),
    "method that CTK does not expose to Python": (
        PY,
        "sections.collapsed = False",
        "sections.setCollapsed(False)",
        "setCollapsed",
    ),
    "slot with too many parameters": (PY, "def onApply(self):", "def onApply(self, checked, twice):", "twice"),
    "observer that raises": (
        PY,
        "checkCanApply(self, caller=None, event=None)",
        "checkCanApply(self)",
        "checkCanApply",
    ),
    "exception in cleanup": (PY, "        self.removeObservers()", "        self.removeAllObservers()", "removeAll"),
    "observers left by cleanup": (PY, "        self.removeObservers()", "        pass", "has left observers"),
}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TEMPLATE, tmp_path / "module"))


def test_the_module_without_faults_passes(host: Any, template: Path) -> None:
    exercise(host, template / "Threshold.py")


@pytest.mark.parametrize("fault", FAULTS)
def test_an_inserted_fault_is_detected(host: Any, template: Path, fault: str) -> None:
    name, old, new, message = FAULTS[fault]
    text = (template / name).read_text(encoding="utf-8")
    assert old in text
    (template / name).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises((AssertionError, AttributeError, RuntimeError, ValueError), match=message):
        exercise(host, template / "Threshold.py")
    host.reset()  # errors left by the fault must not fail this test
