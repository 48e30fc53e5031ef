"""Stand-ins for the CTK widgets that the modules use.

A name without leading underscore must be a Q_PROPERTY, slot, signal or Q_INVOKABLE of the real class: the drift test
compares them with `slicer_api_names.json`. Private state has the prefix `_h_`.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import customWidget, customWidgets

Signal = QtCore.Signal


def stored(name: str, default: Any, convert: Callable[[Any], Any], after: Callable[[Any], None] | None = None) -> Any:
    """A property that is kept and, where `after` is given, followed by that call."""
    key = "_h_" + name

    def setter(self: Any, value: Any) -> None:
        self.__dict__[key] = convert(value)
        if after is not None:
            after(self)

    return property(lambda self: self.__dict__.get(key, default), setter)


def forwarded(child: str, name: str, convert: Callable[[Any], Any]) -> Any:
    """A property that is stored in a child widget."""
    return property(
        lambda self: getattr(getattr(self, child), name),
        lambda self, value: setattr(getattr(self, child), name, convert(value)),
    )


def row(parent: Any, *widgets: Any) -> None:
    """Puts the widgets side by side into the parent, without margins."""
    layout = QtWidgets.QHBoxLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)


@customWidget(contentsCollapsed="bool")
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A section of a panel: a title bar that hides and shows its children."""

    contentsCollapsed = Signal(bool)
    _HEAD = 26  # height of the title bar in pixels

    def __init__(self, *args: Any) -> None:
        super().__init__(next((a for a in args if isinstance(a, QtWidgets.QWidget)), None))
        self._h_collapsed = False
        self._h_forcing = False
        self.text = next((a for a in args if isinstance(a, str)), "")
        self.checkable = True
        self.checked = True
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._HEAD, 0, 0)
        self.toggled.connect(lambda checked: self._h_apply(not checked))

    flat = stored("flat", False, bool)
    collapsedHeight = stored("collapsedHeight", 10, int)
    contentsFrameShape = stored("contentsFrameShape", "NoFrame", str)
    contentsFrameShadow = stored("contentsFrameShadow", "Plain", str)
    contentsLineWidth = stored("contentsLineWidth", 1, int)

    def _h_setCollapsed(self, collapsed: bool) -> None:
        self.checked = not collapsed

    collapsed = property(lambda self: self._h_collapsed, _h_setCollapsed)

    def _h_apply(self, collapsed: bool) -> None:
        if collapsed == self._h_collapsed:
            return
        self._h_collapsed = collapsed
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                self._h_showChild(child)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def _h_showChild(self, child: Any) -> None:
        """Show a child unless the section is collapsed or the child was hidden by itself, also while collapsed."""
        self._h_forcing = True
        child.setVisible(not self._h_collapsed and child.property("visibilityToParent") is not False)
        if child.property("visibilityToParent") is not False:
            child.setAttribute(QtCore.Qt.WidgetAttribute.WA_WState_ExplicitShowHide, False)
        self._h_forcing = False

    def childEvent(self, event: Any) -> None:
        if event.added() and isinstance(event.child(), QtWidgets.QWidget):
            event.child().installEventFilter(self)
            if self._h_collapsed:
                self._h_showChild(event.child())
        super().childEvent(event)

    def eventFilter(self, child: Any, event: Any) -> bool:
        kind = event.type()
        if kind in (QtCore.QEvent.Type.ShowToParent, QtCore.QEvent.Type.HideToParent) and not self._h_forcing:
            child.setProperty("visibilityToParent", kind == QtCore.QEvent.Type.ShowToParent)
            self._h_showChild(child)
        return False

    def _h_size(self, contents: QtCore.QSize | None) -> QtCore.QSize:
        if contents is None or self._h_collapsed:
            return QtCore.QSize(120, self._HEAD)
        return QtCore.QSize(max(120, contents.width()), self._HEAD + contents.height())

    def sizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        return self._h_size(layout.sizeHint() if layout else None)

    def minimumSizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        return self._h_size(layout.minimumSize() if layout else None)

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self._HEAD

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        palette = self.palette
        bar = QtCore.QRectF(0.5, 0.5, self.width - 1, self._HEAD - 3)
        painter.setPen(QtGui.QPen(palette.color(QtGui.QPalette.ColorRole.Mid)))
        painter.setBrush(palette.color(QtGui.QPalette.ColorRole.Button))
        painter.drawRoundedRect(bar, 3, 3)
        middle = bar.center().y()
        arrow = [(7, -3), (15, -3), (11, 4)] if not self._h_collapsed else [(8, -5), (8, 4), (14, -0.5)]
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(palette.color(QtGui.QPalette.ColorRole.ButtonText))
        painter.drawPolygon(QtGui.QPolygonF([QtCore.QPointF(x, middle + y) for x, y in arrow]))
        painter.setPen(palette.color(QtGui.QPalette.ColorRole.ButtonText))
        left = QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.AlignmentFlag.AlignLeft
        painter.drawText(bar.adjusted(22, 0, 0, 0), left | QtCore.Qt.TextFlag.TextShowMnemonic, self.text)
        painter.end()


@customWidget(valueChanged="double", valueIsChanging="double", decimalsChanged="int")
class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box; the value is clamped, rounded to the decimals and announced on change only."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)
    _STEPS = 1000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_min, self._h_max, self._h_value, self._h_decimals = 0.0, 99.0, 0.0, 2
        self._h_syncing = False
        self._h_slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self._h_slider.maximum = self._STEPS
        self._h_spin = QtWidgets.QDoubleSpinBox()
        self._h_spin.keyboardTracking = False
        row(self, self._h_slider, self._h_spin)
        self._h_slider.valueChanged.connect(self._h_fromSlider)
        self._h_spin.valueChanged.connect(self._h_fromSpin)
        self._h_sync()

    def _h_sync(self) -> None:
        self._h_syncing = True
        self._h_spin.decimals = self._h_decimals
        self._h_spin.setRange(self._h_min, self._h_max)
        self._h_spin.value = self._h_value
        span = self._h_max - self._h_min
        position = (self._h_value - self._h_min) / span if 0 < span < math.inf else 0.0
        self._h_slider.value = round(self._STEPS * position)
        self._h_syncing = False

    def _h_fromSlider(self, position: int) -> None:
        if not self._h_syncing:
            self.value = self._h_min + (self._h_max - self._h_min) * position / self._STEPS

    def _h_fromSpin(self, value: float) -> None:
        if not self._h_syncing:
            self.value = value

    def setValue(self, value: float) -> None:
        value = round(min(max(float(value), self._h_min), self._h_max), self._h_decimals)
        changed = value != self._h_value
        self._h_value = value
        self._h_sync()
        if changed:
            if self.tracking:
                self.valueIsChanging.emit(value)
            self.valueChanged.emit(value)

    def _h_setRange(self, low: float, high: float) -> None:
        self._h_min, self._h_max = float(low), float(high)
        self.setValue(self._h_value)

    def setDecimals(self, decimals: int) -> None:
        self._h_decimals = int(decimals)
        self._h_sync()
        self.decimalsChanged.emit(self._h_decimals)

    def reset(self) -> None:
        self.setValue(0.0)

    value = property(lambda self: self._h_value, setValue)
    minimum = property(lambda self: self._h_min, lambda self, v: self._h_setRange(v, max(v, self._h_max)))
    maximum = property(lambda self: self._h_max, lambda self, v: self._h_setRange(min(v, self._h_min), v))
    decimals = property(lambda self: self._h_decimals, setDecimals)
    singleStep = forwarded("_h_spin", "singleStep", float)
    pageStep = stored("pageStep", 10.0, float)
    prefix = forwarded("_h_spin", "prefix", str)
    suffix = forwarded("_h_spin", "suffix", str)
    tracking = stored("tracking", True, bool)


@customWidget(valueChanged="double")
class ctkDoubleSpinBox(QtWidgets.QWidget):
    """A spin box for real numbers; the stand-in of the parameter node refuses it, as older versions of Slicer do."""

    valueChanged = Signal(float)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_spin = QtWidgets.QDoubleSpinBox()
        row(self, self._h_spin)
        self._h_spin.valueChanged.connect(self.valueChanged)

    value = forwarded("_h_spin", "value", float)
    minimum = forwarded("_h_spin", "minimum", float)
    maximum = forwarded("_h_spin", "maximum", float)
    decimals = forwarded("_h_spin", "decimals", int)
    singleStep = forwarded("_h_spin", "singleStep", float)
    prefix = forwarded("_h_spin", "prefix", str)
    suffix = forwarded("_h_spin", "suffix", str)

    def setValue(self, value: float) -> None:
        self._h_spin.value = float(value)


def _filters(value: Any) -> int:
    """Flags of ctkPathLineEdit as a number, from their names in a .ui file."""
    return sum({getattr(ctkPathLineEdit, name) for name in value}) if isinstance(value, list) else int(value)


@customWidget(currentPathChanged="QString", validInputChanged="bool")
class ctkPathLineEdit(QtWidgets.QWidget):
    """A path with a browse button. A test sets `currentPath`; `browse` opens no dialog here."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    Dirs, Files, Drives, Readable, Writable, Executable, Hidden = 1, 2, 4, 0x10, 0x20, 0x40, 0x100
    NoDot, NoDotDot = 0x2000, 0x4000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_combo = QtWidgets.QComboBox()
        self._h_combo.editable = True
        self._h_combo.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        self._h_browse = QtWidgets.QToolButton()
        self._h_browse.text = "..."
        row(self, self._h_combo, self._h_browse)
        self._h_combo.editTextChanged.connect(self.currentPathChanged)
        self._h_browse.clicked.connect(lambda: self.browse())

    def setCurrentPath(self, path: str) -> None:
        if not isinstance(path, str):
            raise AttributeError(f"currentPath expects a string, not {type(path).__name__}")  # PythonQt: no pathlib
        self._h_combo.setEditText(path)

    currentPath = property(lambda self: self._h_combo.currentText, setCurrentPath)
    filters = stored("filters", 3, _filters)
    nameFilters = stored("nameFilters", (), tuple)  # PythonQt converts a QStringList to a tuple
    settingKey = stored("settingKey", "", str)
    label = stored("label", "", str)
    showHistoryButton = stored("showHistoryButton", True, bool)
    sizeAdjustPolicy = stored("sizeAdjustPolicy", "", str)
    showBrowseButton = property(
        lambda self: not self._h_browse.isHidden(), lambda self, on: self._h_browse.setVisible(bool(on))
    )

    def browse(self) -> None:
        raise RuntimeError("ctkPathLineEdit.browse() would open a file dialog; set currentPath instead")

    def addCurrentPathToHistory(self) -> None:
        if self.settingKey:
            key = "ctkPathLineEdit/" + self.settingKey
            old = QtCore.QSettings().value(key) or []
            old = [old] if isinstance(old, str) else list(old)
            QtCore.QSettings().setValue(key, [self.currentPath, *(p for p in old if p != self.currentPath)][:10])


@customWidget(directoryChanged="QString", directorySelected="QString")
class ctkDirectoryButton(QtWidgets.QWidget):
    """A button with a folder, which is "." at first; it keeps absolute paths."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_button = QtWidgets.QPushButton()
        row(self, self._h_button)
        self._h_directory = "."

    def _h_setDirectory(self, path: str) -> None:
        absolute = QtCore.QDir(path).absolutePath()
        if absolute != QtCore.QDir(self._h_directory).absolutePath():
            self._h_directory = absolute
            self._h_button.text = absolute
            self.directoryChanged.emit(absolute)

    directory = property(lambda self: self._h_directory, _h_setDirectory)
    caption = stored("caption", "", str)
    text = stored("text", "", str)

    def browse(self) -> None:
        raise RuntimeError("ctkDirectoryButton.browse() would open a file dialog; set directory instead")


@customWidget()
class ctkComboBox(QtWidgets.QComboBox):
    defaultText = stored("defaultText", "", str)
    forceDefault = stored("forceDefault", False, bool)


@customWidget()
class ctkMessageBox(QtWidgets.QMessageBox):
    dontShowAgainSettingsKey = stored("dontShowAgainSettingsKey", "", str)
    dontShowAgainVisible = stored("dontShowAgainVisible", False, bool)


def buildCtkModule() -> types.ModuleType:
    """The module `ctk` with the stand-ins."""
    ctk = types.ModuleType("ctk")
    for name, cls in customWidgets.items():
        if name.startswith("ctk"):
            setattr(ctk, name, cls)
    return ctk
