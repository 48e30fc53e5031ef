"""Loading of Qt Designer files (.ui) with the stand-in widgets in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from .pythonqt import SIGNATURE, customWidgets, findObject, resolveSignal


def _value(kind: str, element: ET.Element) -> Any:
    """A property's value as Python; enums by their short name, sets as a list of short names."""
    text = element.text or ""
    if kind == "bool":
        return text == "true"
    if kind in ("double", "float"):
        return float(text)
    if kind == "number":
        return int(text)
    if kind == "stringlist":
        return [item.text or "" for item in element.findall("string")]
    if kind == "set":
        return [name.split("::")[-1] for name in text.split("|")]
    if kind == "enum":
        return text.split("::")[-1]
    if kind in ("string", "cstring"):
        return text
    raise RuntimeError(f"loadUI: the host does not read properties of type <{kind}> of its own widgets")


class UiLoader(QtUiTools.QUiLoader):
    """QUiLoader that creates the stand-ins; content of the file that would be ignored raises RuntimeError."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        for cls in customWidgets.values():
            self.registerCustomWidget(cls)

    def load(self, device: Any, parent: Any = None) -> Any:
        root = ET.fromstring(bytes(device.readAll().data()))
        settings = self._takeSettings(root)
        connections = [
            tuple(c.findtext(tag) or "" for tag in ("sender", "signal", "receiver", "slot"))
            for c in root.iter("connection")
        ]
        for element in root.findall("connections"):
            root.remove(element)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(root, encoding="utf-8"))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        if widget is None:
            raise RuntimeError("loadUI: " + self.errorString())
        self._checkClasses(root, widget)
        for objectName, propertyName, value, dynamic in settings:
            target = findObject(widget, objectName)
            if dynamic:
                target.setProperty(propertyName, value)
            elif hasattr(type(target), propertyName):
                setattr(target, propertyName, value)
            else:
                raise RuntimeError(f"loadUI: {type(target).__name__} '{objectName}' has no property '{propertyName}'")
        for connection in connections:
            self._connect(widget, *connection)
        return widget

    @staticmethod
    def _takeSettings(root: ET.Element) -> list[tuple[str, str, Any, bool]]:
        """Takes the properties of stand-ins that Qt cannot set out of the tree: (object, property, value, dynamic)."""
        settings = []
        for widget in root.iter("widget"):
            className = widget.get("class", "")
            if className not in customWidgets:
                if className != "Line" and not hasattr(QtWidgets, className):
                    raise RuntimeError(f"loadUI: no widget class {className} (used by '{widget.get('name')}')")
                continue
            settable = _qtProperties(customWidgets[className])
            for element in widget.findall("property"):
                name, kind = element.get("name", ""), element[0].tag
                if name not in settable:
                    dynamic = element.get("stdset") == "0"
                    settings.append((widget.get("name", ""), name, _value(kind, element[0]), dynamic))
                    widget.remove(element)
        return settings

    @staticmethod
    def _checkClasses(root: ET.Element, widget: Any) -> None:
        """QUiLoader replaces a stand-in whose constructor raises by a plain QWidget without a word."""
        for element in root.iter("widget"):
            cls = customWidgets.get(element.get("class", ""))
            if cls is not None and not isinstance(findObject(widget, element.get("name", "")), cls):
                raise RuntimeError(f"loadUI: {cls.__name__} '{element.get('name')}' could not be made")

    @staticmethod
    def _connect(widget: Any, sender: str, signal: str, receiver: str, slot: str) -> None:
        source, target = findObject(widget, sender), findObject(widget, receiver)
        if source is None or target is None:
            raise RuntimeError(f"loadUI: connection between unknown objects {sender} -> {receiver}")
        match = SIGNATURE.match(slot)
        if match is None or not callable(getattr(type(target), match.group(1), None)):
            raise RuntimeError(f"loadUI: {type(target).__name__} '{receiver}' has no slot {slot}")
        resolveSignal(source, signal).connect(getattr(target, match.group(1)))


def _qtProperties(cls: type) -> set[str]:
    """Properties of a stand-in that QUiLoader can set itself: those of its Qt base class, unless redefined."""
    base = next(c for c in cls.__mro__ if c.__module__.startswith("PySide6."))
    meta = base.staticMetaObject
    redefined = {name for c in cls.__mro__ if not c.__module__.startswith("PySide6.") for name in vars(c)}
    return {meta.property(i).name() for i in range(meta.propertyCount())} - redefined
