"""The host: starts the stand-in application, loads modules, waits, takes screenshots, closes."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import core


class Host:
    """The running stand-in application. Made once per process, by `slicerhost.start`.

    Args:
        mainWindow: False is Slicer's --no-main-window: `slicer.app.layoutManager()` is None, there are no views.
        testing: Slicer's --testing: no dialog opens, `slicer.util` errors are raised.
    """

    def __init__(self, mainWindow: bool = True, testing: bool = True) -> None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        self.core = core.start()

        from PySide6 import QtCore

        from . import pythonqt

        settings = tempfile.mkdtemp(prefix="settings-", dir=self.core.temporaryPath)
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
        for scope in (QtCore.QSettings.Scope.UserScope, QtCore.QSettings.Scope.SystemScope):
            QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, scope, settings)
        self._slotErrors = pythonqt.slotErrors
        pythonqt.recordSlotErrors()
        self._installModules(pythonqt, self.core.slicerPython)

        import slicer

        from . import app, layout, modulepanel, picture

        self.app = slicer.app = app.qSlicerApplication(self.core)
        self.app._h_testing = testing
        self.app._h_options.noMainWindow = not mainWindow
        picture.setAppearance(self.app)
        if mainWindow:
            self.app._h_layout = layout.qSlicerLayoutManager(self.core)
        self._modulePanel = modulepanel.ModulePanel()
        self._panels: list[Any] = []

    @staticmethod
    def _installModules(pythonqt: types.ModuleType, slicerPython: Path | None) -> None:
        """Puts qt, ctk, SampleData and the Qt half of the package `slicer` where modules import them from."""
        qt = sys.modules["qt"] = pythonqt.buildQtModule()

        import slicer

        # mrmlwidgets, numberwidgets and plots are imported for the widgets that they register
        from . import ctkwidgets, mrmlwidgets, numberwidgets, plots, sampledata, uiloader  # noqa: F401

        qt.QUiLoader = uiloader.UiLoader
        sys.modules["ctk"] = ctkwidgets.buildCtkModule()
        for name, cls in pythonqt.customWidgets.items():
            if name.startswith("q"):
                setattr(slicer, name, cls)
        sys.modules["SampleData"] = sampledata.buildSampleDataModule()

        from . import app, pythonlayer

        pythonlayer.useQtHalf(slicerPython)
        slicer.qSlicerScriptedLoadableModule = app.qSlicerScriptedLoadableModule
        slicer.qSlicerScriptedLoadableModuleWidget = app.qSlicerScriptedLoadableModuleWidget

    def loadModule(self, path: str | Path, show: bool = True) -> Any:
        """Loads a scripted module as the application does at startup, and opens its panel.

        Args:
            path: the module's .py file.
            show: whether to make the panel, show and enter it.

        Returns:
            The `<name>Widget` object, or the `<name>` object when not shown.
        """
        import slicer

        from .app import qSlicerScriptedLoadableModule

        path = os.path.abspath(path)
        name = Path(path).stem
        module = qSlicerScriptedLoadableModule(name, path)
        if os.path.dirname(path) not in sys.path:
            sys.path.insert(0, os.path.dirname(path))
        self.app.moduleManager()._h_add(module)
        instance = getattr(importlib.import_module(name), name)(module)
        setattr(slicer.modules, name + "Instance", instance)
        if not show:
            return instance
        panel = module.widgetRepresentation()
        self._panels.append(panel)
        self.openModule(name)
        return panel.self()

    def openModule(self, name: str) -> None:
        """Opens the panel of a loaded module, as the module selector does: the one that is open is left first."""
        self._modulePanel.setModule(self.app.moduleManager().module(name))
        self.process()

    @contextlib.contextmanager
    def launched(self) -> Iterator[None]:
        """With the variables that Slicer's launcher sets, in which no other Python can start."""
        before = dict(os.environ)
        home = self.app.slicerHome
        for name, folder in (("PYTHONHOME", ""), ("PYTHONPATH", "bin/Python"), ("LD_LIBRARY_PATH", "lib/Slicer")):
            os.environ[name] = os.path.join(home, folder)
        self.app._h_started = before
        try:
            yield
        finally:
            self.app._h_started = None
            os.environ.clear()
            os.environ.update(before)

    def startupCompleted(self) -> None:
        """Emits the application's startupCompleted(), upon which modules register their sample data."""
        self.app.startupCompleted.emit()

    def clickSample(self, sampleName: str) -> Any:
        """Performs the action of the sample's button in the Sample Data panel for a customDownloader."""
        import SampleData

        source = SampleData.SampleDataLogic().sourceForSampleName(sampleName)
        if source is None or source.customDownloader is None:
            raise KeyError(f"no sample '{sampleName}' with a customDownloader is registered")
        return source.customDownloader(source)

    def process(self, seconds: float = 0.0) -> None:
        """Lets the event loop run for that long, at least once."""
        end = time.monotonic() + seconds
        while True:
            self.app.processEvents()
            if time.monotonic() >= end:
                return
            time.sleep(0.005)

    def waitFor(self, condition: Callable[[], Any], timeout: float = 30.0) -> Any:
        """Lets the event loop run until `condition()` is true and gives its value; AssertionError after `timeout` s."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.app.processEvents()
            value = condition()
            if value:
                return value
            time.sleep(0.01)
        raise AssertionError(f"waitFor: not met within {timeout} s")

    def runTests(self, name: str) -> None:
        """Runs the module's self-test (its runTest), as the SelfTests module does; failures are raised."""
        import slicer

        slicer.selfTests[name](msec=0)

    def slotErrors(self) -> list[Any]:
        """(type, value, traceback text) of the exceptions raised in slots and VTK observers so far."""
        return list(self._slotErrors)

    def screenshot(self, path: str | Path, widget: Any = None) -> tuple[int, int]:
        """Writes a PNG of the last module's panel in full, or of a widget; gives its width and height in pixels."""
        from .picture import panelPicture

        self.process()
        picture = panelPicture(self._panels[-1]) if widget is None else widget.grab()
        picture.save(str(path))
        return picture.width(), picture.height()

    def desktop(self, path: str | Path, size: tuple[int, int] = (1500, 900)) -> None:
        """Writes a PNG like Slicer's window: the last module's panel in full and the layout's views.

        Args:
            path: the file.
            size: minimum width and height in pixels; a high panel makes the screenshot higher.
        """
        from .picture import desktopPicture

        if self.app.layoutManager() is None:
            raise RuntimeError("the host was started without a main window: there are no views to photograph")
        self.process()
        panel = self._panels[-1]
        title = panel._h_module.title or panel._h_module.name
        desktopPicture(path, title, panel, self.app.layoutManager(), size)

    def window(
        self, path: str | Path, screen: tuple[int, int] = (1366, 768), scale: float = 1.0, scroll: int = 0
    ) -> None:
        """Writes a PNG of Slicer's window on a screen: what is seen of the last module's panel, and the views.

        Args:
            path: the file.
            screen: width and height in pixels.
            scale: of the desktop: 1.5 for 150 %.
            scroll: how far the panel is scrolled down, in logical pixels.
        """
        from .picture import windowPicture

        self.process()
        panel = self._panels[-1]
        title = panel._h_module.title or panel._h_module.name
        windowPicture(path, title, panel, self.app.layoutManager(), screen, scale, scroll)

    def setStyle(self, dark: bool) -> None:
        """Slicer's light or dark style, for all panels."""
        from .picture import setAppearance

        setAppearance(self.app, dark)
        self.process()

    def closeModules(self) -> None:
        """Unloads all scripted modules as the application does at its end: cleanup() is called, panels are deleted."""
        import slicer

        from .app import qSlicerScriptedLoadableModule

        manager = self.app.moduleManager()
        for name in reversed(manager.modulesNames()):
            module = manager.module(name)
            if not isinstance(module, qSlicerScriptedLoadableModule):
                continue
            manager.moduleAboutToBeUnloaded.emit(name)
            panel = module._h_widget
            if panel is not None:
                self._checkObservers(name, panel.self())
                panel.close()
                self._modulePanel.removeModule(panel)  # else Python keeps the item of its layout that goes with it
                panel.delete()
            manager._h_remove(name)
            slicer.selfTests.pop(name, None)
            sys.modules.pop(name, None)
            sys.path[:] = [folder for folder in sys.path if folder != os.path.dirname(module.path)]
        self._panels.clear()
        manager.disconnect("moduleAboutToBeUnloaded(QString)")  # also of panels whose cleanup() has failed
        self.process()

    def _checkObservers(self, name: str, widget: Any) -> None:
        """Observers that cleanup() has left (of a VTKObservationMixin) would call into a dead panel: an error."""
        left = getattr(widget, "Observations", [])
        if left:
            text = f"{name}Widget.cleanup() has left observers: {[(type(o).__name__, e) for o, e, *_ in left]}"
            self._slotErrors.append((RuntimeError, RuntimeError(text), text))
            widget.removeObservers()

    def reset(self) -> None:
        """As freshly started: no module, empty scene, first layout, no settings, no samples, no recorded error."""
        import slicer

        self.closeModules()
        self.core.clear()
        if self.app.layoutManager() is not None:
            self.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self.app.settings().clear()
        slicer.modules.sampleDataSources = {}
        self.app._h_testing = True
        self.app._h_exitCode = None
        self._slotErrors.clear()

    def close(self) -> None:
        """Takes the application down in a fixed order; `core` stays for its own `close`."""
        from PySide6 import QtCore

        self.closeModules()
        QtCore.QTimer.singleShot(0, QtCore.QCoreApplication.quit)
        self.app.exec()  # emits aboutToQuit
        if self.app.layoutManager() is not None:
            self.app.layoutManager()._h_close()
        self.process()
