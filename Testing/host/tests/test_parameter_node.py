"""Parameters are stored under Slicer's names, in Slicer's strings, and follow their widgets.

Each test runs on the stand-in and, where it is at hand, on Slicer's own code.
"""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated, Any, Optional, Union

import pytest


class Method(enum.Enum):
    LINEAR = 1
    FIELD = 2

    def label(self) -> str:
        return self.name.capitalize()


STAND_IN, SLICER = "stand-in", "Slicer"


@pytest.fixture(params=[STAND_IN, SLICER], autouse=True)
def wrapper(request: pytest.FixtureRequest, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`slicer.parameterNodeWrapper` is that one."""
    import slicer
    from slicerhost.parameterwrapper import buildParameterNodeWrapperModule

    if request.param == SLICER and host.core.slicerPython is None:
        pytest.skip("Slicer's own Python layer is not at hand")
    if request.param == STAND_IN:
        module = buildParameterNodeWrapperModule()
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(slicer, "parameterNodeWrapper", module)


@pytest.fixture
def node(wrapper: None) -> Any:
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


def stored(node: Any) -> dict[str, str]:
    return {name: node.GetParameter(name) for name in node.GetParameterNames()}


def wrap(annotations: dict[str, Any], **defaults: Any) -> Any:
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    return parameterNodeWrapper(type("Parameters", (), {"__annotations__": annotations, **defaults}))


def test_stored_strings_equal_those_of_slicer(node: Any) -> None:
    import slicer
    from slicer.parameterNodeWrapper import parameterPack

    pack = parameterPack(type("Pack", (), {"__annotations__": {"size": int, "name": str}, "size": 3}))
    kinds = {
        "flag": bool,
        "count": int,
        "level": float,
        "text": str,
        "path": Path,
        "method": Method,
        "volume": slicer.vtkMRMLScalarVolumeNode,
        "maybe": Optional[int],  # noqa: UP045 - the older form has its own type
        "either": int | str | None,
        "pair": tuple[int, str],
        "items": list[str],
        "pack": pack,
    }
    parameters = wrap(kinds)(node)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert parameters.volume is None
    parameters.flag, parameters.count, parameters.level, parameters.text = True, 7, 1.5, "é"
    parameters.path, parameters.method, parameters.volume = Path("a") / "b", Method.FIELD, volume
    parameters.either, parameters.pair, parameters.items = "x", (1, "y"), ["p", "q"]
    assert stored(node) == {
        "flag": "True",
        "count": "7",
        "level": "1.5",
        "text": "é",
        "path": str(Path("a") / "b"),
        "method": "FIELD",
        "volume": "",
        "maybe.1": "True",
        "either.1": "x",
        "pair.0": "1",
        "pair.1": "y",
        "items.len": "2",
        "items.0": "p",
        "items.1": "q",
        "pack.size": "3",
        "pack.name": "",
    }
    again = wrap(kinds)(node)
    assert (again.flag, again.count, again.level, again.text) == (True, 7, 1.5, "é")
    assert (again.path, again.method, again.volume) == (Path("a") / "b", Method.FIELD, volume)
    assert (again.maybe, again.either, again.pair, again.items) == (None, "x", (1, "y"), ["p", "q"])
    again.items.append("r")
    assert parameters.items == ["p", "q", "r"]
    again.items = ["z"]
    assert "items.1" not in stored(node)


def test_a_changed_pack_is_saved_and_rejects_new_attributes(node: Any) -> None:
    from slicer.parameterNodeWrapper import parameterPack

    inner = parameterPack(type("Inner", (), {"__annotations__": {"x": float}, "x": 2.0}))
    outer = parameterPack(type("Outer", (), {"__annotations__": {"inner": inner, "on": bool}}))
    parameters = wrap({"outer": outer})(node)
    parameters.outer.on = True
    parameters.outer.inner.x = 5.0
    parameters.setValue("outer.inner.x", 6.0)
    assert stored(node) == {"outer.inner.x": "6.0", "outer.on": "True"}
    assert parameters.getValue("outer.inner.x") == 6.0
    assert parameters.outer == outer(inner(6.0), on=True)
    assert parameters.outer != outer()
    with pytest.raises(AttributeError, match="typo"):
        parameters.outer.typo = 1
    with pytest.raises(ValueError, match="typo"):
        parameters.setValue("outer.typo", 1)


def test_values_are_checked(node: Any) -> None:
    from slicer.parameterNodeWrapper import Choice, WithinRange, parameterPack

    parameters = wrap(
        {"level": Annotated[float, WithinRange(0, 1)], "word": Annotated[str, Choice(["a", "b"])]}, word="a"
    )(node)
    with pytest.raises(ValueError, match="2"):
        parameters.level = 2
    with pytest.raises(ValueError, match=r"c.*'a', 'b'"):
        parameters.word = "c"
    with pytest.raises(TypeError, match="float"):
        parameters.level = "0.5"
    with pytest.raises(ValueError, match="None"):
        parameters.level = None
    with pytest.raises(ValueError, match="default"):
        parameterPack(type("Pack", (), {"__annotations__": {"x": Annotated[int, WithinRange(1, 2)]}, "x": 3}))
    with pytest.raises(Exception, match="create serializer"):
        wrap({"value": complex})
    with pytest.raises(ValueError, match="reserved"):
        wrap({"default": int})


def test_a_union_takes_none_only_as_a_member(node: Any) -> None:
    import slicer

    scan, line = slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLMarkupsLineNode
    refused = r"Unable to write value 'None' of type '<class 'NoneType'>'"
    for bare in (Union[scan, line], scan | line):  # noqa: UP007 - the older form has its own type
        with pytest.raises(TypeError, match=refused):
            wrap({"either": bare})(node)  # the default
    assert stored(node) == {}
    numbers = wrap({"either": int | str})(node)
    with pytest.raises(TypeError, match=refused):
        numbers.either = None
    assert numbers.either == 0

    parameters = wrap({"node": Union[scan, line, None]})(node)  # noqa: UP007
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert parameters.node is None
    assert stored(node)["node.2"] == "True"
    parameters.node = volume
    assert parameters.node is volume
    assert "node.2" not in stored(node)
    with pytest.raises(TypeError):
        parameters.node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    parameters.node = None
    assert parameters.node is None
    assert node.GetNodeReference("node.0") is None


def test_widgets_and_parameters_are_synchronized(node: Any) -> None:
    import ctk
    import qt
    import slicer
    from slicer.parameterNodeWrapper import Choice, WithinRange

    kinds = {
        "flag": bool,
        "count": Annotated[int, WithinRange(1, 9)],
        "level": Annotated[float, WithinRange(0, 10)],
        "method": Method,
        "word": Annotated[str, Choice(["a", "b"])],
        "text": str,
        "path": Path,
        "model": slicer.vtkMRMLModelNode | None,
    }
    parameters = wrap(kinds, word="b", count=2)(node)
    widgets = {
        "flag": qt.QCheckBox(),
        "count": qt.QSpinBox(),
        "level": ctk.ctkSliderWidget(),
        "method": qt.QComboBox(),
        "word": qt.QComboBox(),
        "text": qt.QLineEdit(),
        "path": ctk.ctkPathLineEdit(),
        "model": slicer.qMRMLNodeComboBox(),
    }
    widgets["model"].setMRMLScene(slicer.mrmlScene)
    tag = parameters.connectParametersToGui(widgets)
    assert (widgets["count"].minimum, widgets["count"].maximum, widgets["word"].currentText) == (1, 9, "b")
    assert widgets["method"].itemText(1) == "Field"
    widgets["flag"].checked = True
    widgets["count"].value = 5
    widgets["level"].value = 2.5
    widgets["method"].currentIndex = 1
    widgets["word"].currentIndex = 0
    widgets["text"].text = "t"
    widgets["path"].currentPath = "p"
    model = widgets["model"].addNode("vtkMRMLModelNode")
    assert (parameters.flag, parameters.count, parameters.level, parameters.method) == (True, 5, 2.5, Method.FIELD)
    assert (parameters.word, parameters.text, parameters.path, parameters.model) == ("a", "t", Path("p"), model)
    parameters.flag, parameters.count, parameters.method, parameters.model = False, 6, Method.LINEAR, None
    assert (widgets["flag"].checked, widgets["count"].value, widgets["method"].currentIndex) == (False, 6, 0)
    assert widgets["model"].currentNode() is None
    parameters.disconnectGui(tag)
    widgets["count"].value = 7
    parameters.level = 1.0
    assert (parameters.count, widgets["level"].value) == (6, 2.5)


def test_a_pair_that_slicer_cannot_connect_raises(node: Any) -> None:
    import ctk
    import qt

    parameters = wrap({"level": float, "count": int, "text": str})(node)
    for name, widget in (
        ("level", ctk.ctkSliderWidget()),  # without a range
        ("count", qt.QLineEdit()),
        ("text", qt.QComboBox()),  # without choices
        ("text", type("Edit", (qt.QLineEdit,), {})()),
    ):
        with pytest.raises(RuntimeError):
            parameters.connectParametersToGui({name: widget})
    with pytest.raises(ValueError, match="levle"):
        parameters.connectParametersToGui({"levle": qt.QDoubleSpinBox()})
