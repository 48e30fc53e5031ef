"""Widgets for the settings of a verb, made from its parameters dataclass, and linked to a parameter node by Slicer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import ctk
import qt

from deeprecon.jobs.parameters import Field, fields_of

MAX_INTEGER = 2**31 - 1
"""Maximum of Qt's spin boxes."""


def settingWidget(form: Any, field: Field, label: str) -> Any:
    """Add a row for one setting to a form layout; returns its widget, of a class that Slicer links to such a field.

    Raises:
        TypeError: a field that no widget can be linked to: optional, or of many values.
    """
    if field.optional or field.many:
        raise TypeError(f"{field.name}: Slicer links no widget to an optional field or to one of many values")
    unit = field.range.unit if field.range is not None else ""
    tip = f"{field.help[:1].upper()}{field.help[1:]}."
    if field.type is bool:
        widget = qt.QCheckBox(label)
        form.addRow(widget)
    else:
        widget = _value_widget(field)
        caption = qt.QLabel(f"{label} [{unit}]:" if unit else f"{label}:")
        caption.toolTip = tip
        form.addRow(caption, widget)
    widget.toolTip, widget.accessibleName = tip, label
    return widget


def showEnumValues(widgets: Mapping[str, Any], parameters: type) -> None:
    """Show the values of enumerations, as on the command line; Slicer shows the names of their members."""
    for field in fields_of(parameters):
        if issubclass(field.type, Enum):
            combo = widgets[field.name]
            for index in range(combo.count):
                member = next((each for each in field.type if each.name == combo.itemText(index)), None)
                if member is not None:
                    combo.setItemText(index, str(member.value).replace("-", " ").capitalize())


def _value_widget(field: Field) -> Any:
    if issubclass(field.type, Enum):
        combo = qt.QComboBox()
        combo.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon
        combo.minimumContentsLength = 12
        combo.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        return combo
    if field.type is int:
        spin = qt.QSpinBox()
        if field.range is None:  # with one, Slicer takes its bounds
            spin.setRange(-MAX_INTEGER, MAX_INTEGER)
        return spin
    if field.type is float:
        spin = qt.QDoubleSpinBox()
        low = field.range.minimum if field.range is not None else 0.0
        spin.decimals = max(2, math.ceil(-math.log10(low))) if 0 < low < 1 else 4
        spin.singleStep = 10.0 ** -min(spin.decimals, 3)
        return spin
    if field.type is Path:
        return ctk.ctkPathLineEdit()
    return qt.QLineEdit()
