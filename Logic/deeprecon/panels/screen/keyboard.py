"""Panels without a mouse: the order of the Tab key follows the layouts, and every control has a name for a reader."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import qt

LABEL = "Label"
"""The label of a control is named as it, with this behind."""


def prepareKeyboard(root: Any) -> None:
    """Set names and order of all controls of a panel. To be called once all of its parts are made.

    A control gets the text of its label as its accessible name, else its tool tip. Parts that are loaded from other
    files would else come last in the order.
    """
    labels = {label.objectName: label for label in root.findChildren(qt.QLabel)}
    for widget in root.findChildren(qt.QWidget):
        name = widget.objectName
        label = labels.get(f"{name}{LABEL}") if name else None
        if label is not None:
            label.setBuddy(widget)
        if name and not widget.accessibleName:
            widget.accessibleName = label.text.rstrip(":") if label is not None else widget.toolTip.rstrip(".")
    controls = list(_controls(root))
    for first, second in pairwise(controls):
        qt.QWidget.setTabOrder(first, second)


def _controls(widget: Any) -> Iterator[Any]:
    """The widgets that take the focus, in the order of the layouts."""
    if widget.focusPolicy != qt.Qt.NoFocus:
        yield widget
    if widget.layout() is not None:
        yield from _inLayout(widget.layout(), [child for child in widget.children() if child.isWidgetType()])


def _inLayout(layout: Any, widgets: list[Any]) -> Iterator[Any]:
    """The controls among a layout's widgets, and in the layouts inside it.

    Its items are not asked for: an item is deleted with its widget, and a Python object of it would stay behind.
    """
    parts = {layout.indexOf(part): part for part in (*widgets, *layout.children())}
    for place, part in sorted(parts.items()):
        if place >= 0:  # else it lies in another layout
            yield from _controls(part) if part.isWidgetType() else _inLayout(part, widgets)
