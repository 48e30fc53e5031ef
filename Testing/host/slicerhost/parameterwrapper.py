"""Stand-in for `slicer.parameterNodeWrapper`: typed parameters on a node, and their links to widgets."""

from __future__ import annotations

import dataclasses
import enum
import pathlib
import types
from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer
import slicer.util
import vtk

from . import parametertypes
from .parametertypes import Choice, Maximum, Minimum, Parameter, UnionKind, WithinRange, classParameters, isNodeType

SlicerParameterNamePropertyName = "SlicerParameterName"


@dataclasses.dataclass
class Decimals:
    """Annotation: decimals of the linked slider or spin box."""

    value: int


@dataclasses.dataclass
class SingleStep:
    """Annotation: step of the linked slider or spin box."""

    value: float


@dataclasses.dataclass
class Link:
    """How the value of one widget is read, written and watched."""

    signal: Any
    read: Callable[[], Any]
    write: Callable[[Any], None]
    slot: Callable[..., None] | None = None

    def start(self, callback: Callable[[], None]) -> None:
        self.slot = lambda *_: callback()
        self.signal.connect(self.slot)

    def stop(self) -> None:
        self.signal.disconnect(self.slot)


def _property(widget: Any, name: str, signal: str, convert: Callable[[Any], Any], text: Any = None) -> Link:
    """A link to a widget's property."""
    write = (lambda v: setattr(widget, name, v)) if text is None else (lambda v: setattr(widget, name, text(v)))
    return Link(getattr(widget, signal), lambda: convert(getattr(widget, name)), write)


def _nodeTypes(kind: Any) -> list[str]:
    """Class names of a node type or a union of them, else nothing."""
    members = [part.kind.type for part in kind.parts] if isinstance(kind, UnionKind) else [kind.type]
    members = [member for member in members if member is not types.NoneType]
    return [member.__name__ for member in members] if all(map(isNodeType, members)) else []


def _numberLink(widget: Any, parameter: Parameter, convert: Callable[[Any], Any]) -> Link:
    """Slider or spin box with the parameter's range; sliders need both ends."""
    within = parameter.note(WithinRange)
    low = within or parameter.note(Minimum)
    high = within or parameter.note(Maximum)
    if type(widget) in (qt.QSlider, ctk.ctkSliderWidget) and (low is None or high is None):
        raise RuntimeError(f"Cannot connect the unbounded type {parameter.annotated} to a slider")
    for note, name in ((parameter.note(Decimals), "decimals"), (parameter.note(SingleStep), "singleStep")):
        if note is not None:
            setattr(widget, name, note.value)
    limit: Any = 2**31 if convert is int else float("inf")
    widget.minimum = -limit if low is None else low.minimum
    widget.maximum = (limit - 1 if convert is int else limit) if high is None else high.maximum
    return _property(widget, "value", "valueChanged", convert)


def _comboLink(widget: Any, items: list[Any], labels: list[str]) -> Link:
    widget.clear()
    widget.addItems(labels)
    return _property(widget, "currentIndex", "currentIndexChanged", lambda i: items[i], items.index)


def createLink(widget: Any, parameter: Parameter) -> Link:
    """The link for this widget and type; RuntimeError for a pair that Slicer cannot connect.

    As in Slicer the widget's exact type counts: a class derived from QCheckBox is no QCheckBox.
    """
    cls, kind = type(widget), parameter.kind.type
    isClass = isinstance(kind, type)
    if kind is bool and cls is qt.QCheckBox:
        return _property(widget, "checked", "stateChanged", bool)
    if kind is bool and cls is qt.QPushButton:
        widget.checkable = True
        return _property(widget, "checked", "toggled", bool)
    if kind is int and cls in (qt.QSlider, qt.QSpinBox):
        return _numberLink(widget, parameter, int)
    if kind is float and cls in (qt.QDoubleSpinBox, ctk.ctkSliderWidget):
        return _numberLink(widget, parameter, float)
    if isClass and issubclass(kind, enum.Enum) and cls is qt.QComboBox:
        label = getattr(kind, "label", lambda member: member.name)
        return _comboLink(widget, list(kind), [label(member) for member in kind])
    if kind in (int, float, str, bool) and cls is qt.QComboBox and parameter.note(Choice) is not None:
        choices = parameter.note(Choice).choices
        return _comboLink(widget, choices, [str(choice) for choice in choices])
    if kind is str and cls is qt.QLineEdit:
        return _property(widget, "text", "textChanged", str)
    if kind is str and cls is qt.QTextEdit:
        return Link(widget.textChanged, widget.toPlainText, widget.setPlainText)
    if isClass and issubclass(kind, pathlib.PurePath) and cls is ctk.ctkPathLineEdit:
        return _property(widget, "currentPath", "currentPathChanged", kind, str)
    if isClass and issubclass(kind, pathlib.PurePath) and cls is ctk.ctkDirectoryButton:
        return _property(widget, "directory", "directoryChanged", kind, str)
    if cls is slicer.qMRMLNodeComboBox and _nodeTypes(parameter.kind):
        widget.nodeTypes = _nodeTypes(parameter.kind)
        return Link(widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{parameter.annotated}' to widget type '{cls}'")


class _Wrapper:
    """Members that the decorator adds to a class of parameters."""

    allParameters: dict[str, Parameter]
    _is_parameter_node_wrapper = True

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._prefix = prefix or ""
        self._links: dict[int, tuple[dict[str, Link], int]] = {}  # tag -> (links, observer)
        self._nextTag = 0
        self._updating = False
        for name, parameter in self.allParameters.items():
            if not parameter.kind.isIn(parameterNode, self._prefix + name):
                parameter.write(parameterNode, self._prefix + name, parameter.default)

    @classmethod
    def _find(cls, name: str) -> Parameter:
        """The parameter of a possibly dotted name; ValueError when there is none."""
        parameters = cls.allParameters
        for part in name.split("."):
            if part not in parameters:
                raise ValueError(f"Cannot find a param with the given name: {name}")
            parameter = parameters[part]
            parameters = getattr(parameter.kind.type, "allParameters", {})
        return parameter

    @classmethod
    def dataType(cls, name: str) -> Any:
        return cls._find(name).annotated

    def default(self, name: str) -> Any:
        return parametertypes.Default(self._find(name).default)

    def isCached(self, name: str) -> bool:
        self._find(name)
        return False

    def getValue(self, name: str) -> Any:
        self._find(name)
        first, _, rest = name.partition(".")
        value = getattr(self, first)
        return value.getValue(rest) if rest else value

    def setValue(self, name: str, value: Any) -> None:
        self._find(name)
        first, _, rest = name.partition(".")
        if rest:
            getattr(self, first).setValue(rest, value)
        else:
            setattr(self, first, value)

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        """Links {parameter name: widget}; gives the tag for `disconnectGui`."""
        links = {name: createLink(widget, self._find(name)) for name, widget in mapping.items()}
        tag, self._nextTag = self._nextTag, self._nextTag + 1
        for name, link in links.items():
            link.write(self.getValue(name))
            link.start(lambda name=name, link=link: self._fromWidget(name, link))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._toWidgets())
        self._links[tag] = (links, observer)
        return tag

    def connectGui(self, gui: Any) -> int:
        """Links the widgets that carry the dynamic property SlicerParameterName, below a widget or in a namespace."""
        widgets = gui.findChildren(qt.QWidget) if hasattr(gui, "isWidgetType") else vars(gui).values()
        names = ((widget.property(SlicerParameterNamePropertyName), widget) for widget in widgets)
        return self.connectParametersToGui({name: widget for name, widget in names if name})

    def disconnectGui(self, tag: int) -> None:
        if tag in self._links:
            links, observer = self._links.pop(tag)
            for link in links.values():
                link.stop()
            self.RemoveObserver(observer)

    def _fromWidget(self, name: str, link: Link) -> None:
        if not self._updating:
            with slicer.util.NodeModify(self):
                self.setValue(name, link.read())

    def _toWidgets(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for links, _ in self._links.values():
                for name, link in links.items():
                    link.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: Any) -> Any:
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event: Any, callback: Callable[..., None], priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def _onNode(name: str, parameter: Parameter) -> property:
    return property(
        lambda self: parameter.kind.read(self.parameterNode, self._prefix + name),
        lambda self, value: parameter.write(self.parameterNode, self._prefix + name, value),
    )


def parameterNodeWrapper(cls: Any = None) -> Any:
    """Class decorator: the annotated attributes become parameters on a vtkMRMLScriptedModuleNode."""
    if cls is None:
        return parameterNodeWrapper
    parameters = classParameters(cls)
    members = {name: value for name, value in vars(_Wrapper).items() if not name.startswith("__")}
    for name in members:
        if name in parameters or hasattr(cls, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        setattr(cls, name, members[name])
    cls.allParameters = parameters
    cls.__init__ = _Wrapper.__init__
    for name, parameter in parameters.items():
        setattr(cls, name, _onNode(name, parameter))
    return cls


def isParameterNodeWrapper(kind: Any) -> bool:
    return getattr(kind, "_is_parameter_node_wrapper", False)


def findChildWidgetForParameter(widget: Any, name: str) -> Any:
    children = widget.findChildren(qt.QWidget)
    return next((child for child in children if child.property(SlicerParameterNamePropertyName) == name), None)


def buildParameterNodeWrapperModule() -> types.ModuleType:
    """The module `slicer.parameterNodeWrapper`."""
    module = types.ModuleType("slicer.parameterNodeWrapper")
    here = ("parameterNodeWrapper", "isParameterNodeWrapper", "findChildWidgetForParameter", "Decimals", "SingleStep")
    for name in (*here, "SlicerParameterNamePropertyName"):
        setattr(module, name, globals()[name])
    for name in ("Validator", "NotNone", "WithinRange", "Minimum", "Maximum", "Choice", "Default"):
        setattr(module, name, getattr(parametertypes, name))
    module.parameterPack = parametertypes.parameterPack
    module.isParameterPack = parametertypes.isParameterPack
    return module
