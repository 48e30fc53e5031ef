"""Stand-ins of the widgets that Slicer's parameter node can be linked with and no module here uses yet."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .ctkwidgets import ctkDoubleSpinBox, ctkSliderWidget, stored
from .pythonqt import customWidget

Signal = QtCore.Signal


@customWidget()
class ctkCheckBox(QtWidgets.QCheckBox):
    pass


@customWidget()
class ctkCheckablePushButton(QtWidgets.QPushButton):
    checkBoxControlsButton = stored("checkBoxControlsButton", True, bool)
    checkBoxControlsButtonToggleState = stored("checkBoxControlsButtonToggleState", True, bool)


@customWidget(colorChanged="QColor")
class ctkColorPickerButton(QtWidgets.QPushButton):
    colorChanged = Signal(QtGui.QColor)

    def setColor(self, color: QtGui.QColor) -> None:
        self.__dict__["_h_color"] = QtGui.QColor(color)
        self.colorChanged.emit(self.color)

    color = property(lambda self: self.__dict__.get("_h_color", QtGui.QColor("black")), setColor)


@customWidget(valueChanged="double")
class ctkDoubleSlider(QtWidgets.QWidget):
    """A slider without a spin box."""

    valueChanged = Signal(float)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_value, self._h_range = 0.0, (0.0, 100.0)

    def setValue(self, value: float) -> None:
        value = min(max(float(value), self.minimum), self.maximum)
        changed, self._h_value = value != self._h_value, value
        if changed:
            self.valueChanged.emit(value)

    def _h_setRange(self, low: float, high: float) -> None:
        self._h_range = float(low), float(high)
        self.setValue(self._h_value)

    value = property(lambda self: self._h_value, setValue)
    minimum = property(lambda self: self._h_range[0], lambda self, v: self._h_setRange(v, max(v, self.maximum)))
    maximum = property(lambda self: self._h_range[1], lambda self, v: self._h_setRange(min(v, self.minimum), v))
    singleStep = stored("singleStep", 1.0, float)


class _TwoValues(QtWidgets.QWidget):
    """Two values within a range."""

    valuesChanged = Signal(float, float)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_range = self._h_values = 0.0, 99.0

    def setValues(self, low: float, high: float) -> None:
        low, high = (min(max(float(value), self.minimum), self.maximum) for value in sorted((low, high)))
        changed, self._h_values = (low, high) != self._h_values, (low, high)
        if changed:
            self.valuesChanged.emit(low, high)

    def setRange(self, low: float, high: float) -> None:
        self._h_range = float(low), float(high)
        self.setValues(*self._h_values)

    minimum = property(lambda self: self._h_range[0], lambda self, v: self.setRange(v, max(v, self.maximum)))
    maximum = property(lambda self: self._h_range[1], lambda self, v: self.setRange(min(v, self.minimum), v))
    minimumValue = property(
        lambda self: self._h_values[0], lambda self, v: self.setValues(v, max(v, self.maximumValue))
    )
    maximumValue = property(
        lambda self: self._h_values[1], lambda self, v: self.setValues(min(v, self.minimumValue), v)
    )
    singleStep = stored("singleStep", 1.0, float)


@customWidget(valuesChanged="double,double")
class ctkDoubleRangeSlider(_TwoValues):
    pass


@customWidget(valuesChanged="double,double")
class ctkRangeWidget(_TwoValues):
    decimals = stored("decimals", 2, int)


@customWidget()
class qMRMLRangeWidget(ctkRangeWidget):
    pass


@customWidget()
class qMRMLSliderWidget(ctkSliderWidget):
    pass


@customWidget()
class qMRMLSpinBox(ctkDoubleSpinBox):
    pass
