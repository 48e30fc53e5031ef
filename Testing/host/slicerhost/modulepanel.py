"""The part of the window that holds the panel of the open module."""

from __future__ import annotations

import ctypes
from typing import Any

from PySide6 import QtCore, QtWidgets

Policy = QtWidgets.QSizePolicy.Policy


class ModulePanel(QtWidgets.QScrollArea):
    """Holds the panel of one module at a time, as qSlicerModulePanel does.

    Slicer takes the panel's layout item out when the module is left, and loses it. Qt goes on telling that item when
    the panel changes; the next one, for the panel that is put in again, keeps heights for widths that hold no longer.
    """

    def __init__(self) -> None:
        super().__init__()
        contents = QtWidgets.QWidget()
        self._layout = QtWidgets.QVBoxLayout(contents)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addItem(QtWidgets.QSpacerItem(0, 0, Policy.Minimum, Policy.MinimumExpanding))
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidgetResizable(True)
        self.setWidget(contents)
        self.resize(480, 800)

    def setModule(self, module: Any) -> None:
        """Leaves the module that is open, and opens this one."""
        panel = module.widgetRepresentation()
        if self._layout.count() == 2:
            if self._layout.itemAt(0).widget() is panel:
                return
            self.removeModule(self._layout.itemAt(0).widget())
        panel.layout().setContentsMargins(0, 0, 0, 0)
        self._layout.insertWidget(0, panel, 1)
        panel.setSizePolicy(Policy.Ignored, panel.sizePolicy.verticalPolicy())
        panel.setVisible(True)
        self.show()
        panel.enter()

    def removeModule(self, panel: Any) -> None:
        """Leaves the module of this panel, if it is the one that is open."""
        if self._layout.indexOf(panel) < 0:
            return
        panel.exit()
        item = self._layout.takeAt(0)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(item))  # nobody deletes it
        panel.setVisible(False)
        panel.setParent(None)
