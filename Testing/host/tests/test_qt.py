"""PySide6 behaves as PythonQt: properties, connections, arity, errors."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
from queue import Empty, Queue
from typing import Any

import pytest


def test_properties_are_attributes_and_setters_are_methods(host: Any) -> None:
    import qt

    label = qt.QLabel("a")
    assert label.text == "a"
    label.text = "b"
    assert label.text == "b"
    label.setText("c")
    assert (label.text, label.enabled, label.isEnabled()) == ("c", True, True)
    label.name = "myLabel"
    assert label.objectName == "myLabel"
    with pytest.raises(TypeError):
        label.text()


def test_attributes_cannot_be_invented_on_cpp_objects_but_on_python_subclasses(host: Any) -> None:
    import ctk
    import qt

    for widget in (qt.QPushButton(), ctk.ctkSliderWidget(), qt.QTimer()):
        with pytest.raises(AttributeError, match="creating new attributes on C\\+\\+ objects is not allowed"):
            widget.invented = 1
        with pytest.raises(AttributeError, match="invented"):
            widget.invented  # noqa: B018
    own = type("Own", (qt.QWidget,), {})()
    own.invented = 1
    assert own.invented == 1


def test_dynamic_properties_and_children_are_found_by_name(host: Any) -> None:
    import qt

    parent = qt.QWidget()
    child = qt.QLabel(parent)
    child.objectName = "child"
    parent.setProperty("SlicerParameterName", "level")
    assert parent.property("SlicerParameterName") == "level"
    assert parent.child is child
    assert parent.findChildren("QLabel", "child") == [child]
    assert parent.findChild("QPushButton") is None
    assert child.className() == "QLabel"


@pytest.mark.parametrize("signature", ["clicked", "click(bool)", "clicked(int)", "()"])
def test_a_bad_signature_raises(host: Any, signature: str) -> None:
    import qt

    with pytest.raises(ValueError, match="signal"):
        qt.QPushButton().connect(signature, lambda: None)


def test_a_bad_signature_of_a_stand_in_raises(host: Any) -> None:
    import slicer

    with pytest.raises(ValueError, match="vtkMRMLNode"):
        slicer.qMRMLNodeComboBox().connect("currentNodeChanged(vtkMRMLVolumeNode*)", lambda node: None)


def test_a_slot_receives_as_many_arguments_as_it_accepts(host: Any) -> None:
    import qt

    got: list[Any] = []
    button = qt.QPushButton()
    button.checkable = True
    button.connect("clicked(bool)", lambda: got.append(()))
    button.connect("clicked(bool)", lambda checked: got.append((checked,)))
    button.connect("clicked(bool)", lambda *arguments: got.append(arguments))
    button.connect("clicked(bool)", lambda checked="default": got.append((checked,)))
    button.click()
    assert got == [(), (True,), (True,), (True,)]


def test_disconnect_removes_the_same_slot(host: Any) -> None:
    import qt

    class Receiver:
        count = 0

        def onClicked(self) -> None:
            self.count += 1

    receiver, button = Receiver(), qt.QPushButton()
    assert button.connect("clicked(bool)", receiver.onClicked) is True
    button.click()
    assert button.disconnect("clicked(bool)", receiver.onClicked) is True
    button.click()
    assert receiver.count == 1
    assert button.disconnect("clicked(bool)", receiver.onClicked) is False


def test_connections_of_a_deleted_sender_are_removed(host: Any) -> None:
    import qt
    from slicerhost import pythonqt

    before = len(pythonqt._connections)
    for _ in range(50):
        timer = qt.QTimer()
        timer.connect("timeout()", lambda: None)
        assert timer.disconnect("timeout()", lambda: None) is False  # another slot, even at a reused address
        timer.delete()
    del timer
    gc.collect()
    assert len(pythonqt._connections) == before


def test_widget_classes_of_a_deleted_panel_stay_usable(host: Any) -> None:
    import qt

    panel = qt.QWidget()
    button = qt.QPushButton(panel)
    button.connect("clicked(bool)", lambda: None)
    assert button.className() == "QPushButton"
    panel.delete()
    assert qt.QPushButton.staticMetaObject.indexOfProperty("text") >= 0


def test_an_exception_in_a_slot_is_recorded(host: Any) -> None:
    import qt

    def slot() -> None:
        raise KeyError("from the slot")

    button = qt.QPushButton()
    button.connect("clicked(bool)", slot)
    button.click()
    assert [kind for kind, _, _ in host.slotErrors()] == [KeyError]
    host.reset()
    assert host.slotErrors() == []


def test_an_exception_in_an_observer_is_recorded(host: Any) -> None:
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: 1 / 0)
    node.Modified()
    assert [kind for kind, _, _ in host.slotErrors()] == [ZeroDivisionError]
    host.reset()


def test_a_string_list_property_is_a_tuple(host: Any) -> None:
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLModelNode"]
    assert selector.nodeTypes == ("vtkMRMLModelNode",)
    with pytest.raises(AttributeError, match="list of strings"):
        selector.nodeTypes = "vtkMRMLModelNode"


def test_sliders_clamp_round_and_signal_changes_only(host: Any) -> None:
    import ctk

    got: list[float] = []
    slider = ctk.ctkSliderWidget()
    slider.decimals = 1
    slider.minimum, slider.maximum = -1, 5
    slider.connect("valueChanged(double)", got.append)
    for value in (2.04, 2.0, 9, -9):
        slider.value = value
    assert got == [2.0, 5.0, -1.0]
    slider.maximum = -2
    assert slider.value == -2


def test_a_collapsed_section_hides_its_contents_and_shows_only_what_it_has_hidden(host: Any) -> None:
    import ctk
    import qt

    button = ctk.ctkCollapsibleButton("Advanced")
    layout = qt.QVBoxLayout(button)
    shown, hidden = qt.QLabel("a"), qt.QLabel("b")
    layout.addWidget(shown)
    layout.addWidget(hidden)
    hidden.hide()
    button.collapsed = True
    assert shown.isHidden()
    button.collapsed = False
    assert not shown.isHidden()
    assert hidden.isHidden()
    button.collapsed = True
    shown.visible, hidden.visible = False, True  # by the module, while the section is closed
    assert shown.isHidden()
    assert hidden.isHidden()
    button.collapsed = False
    assert shown.isHidden()
    assert not hidden.isHidden()


def test_a_timer_follows_a_child_process_without_blocking(host: Any) -> None:
    """The way a panel watches a job: reader thread, queue, QTimer."""
    import qt

    script = "import json, time\nfor i in range(5):\n    print(json.dumps({'i': i}), flush=True); time.sleep(0.02)"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, encoding="utf-8")
    lines: Queue[str | int] = Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(process.wait())

    threading.Thread(target=read, daemon=True).start()
    messages: list[int] = []
    codes: list[int] = []
    ticks: list[int] = []

    def poll() -> None:
        ticks.append(1)
        try:
            while not codes:
                item = lines.get_nowait()
                if isinstance(item, int):
                    codes.append(item)
                    timer.stop()
                else:
                    messages.append(json.loads(item)["i"])
        except Empty:
            pass

    timer = qt.QTimer()
    timer.setInterval(10)
    timer.connect("timeout()", poll)
    timer.start()
    host.waitFor(lambda: codes, 120)
    assert (messages, codes, timer.active) == ([0, 1, 2, 3, 4], [0], False)
    assert len(ticks) > 3


def test_single_shot_timers_work(host: Any) -> None:
    import qt

    fired: list[int] = []
    qt.QTimer.singleShot(0, lambda: fired.append(1))
    host.waitFor(lambda: fired, 120)
