"""`slicer.app`, its managers, and the C++ side of scripted modules."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

import qt
import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .core import Core
from .ctkwidgets import stored
from .iomanager import qSlicerCoreIOManager
from .layout import qSlicerLayoutManager
from .mrmlwidgets import qMRMLWidget
from .pythonqt import cppClass

VERSION = (5, 12, 0)  # the Slicer that the host answers as; slicer-core is built from the same sources


@cppClass()
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """`slicer.modules.<name>` of a scripted module, and the `parent` of its Python class."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__()
        self._h_name, self._h_path = name, path
        self._h_widget: Any = None

    name = property(lambda self: self._h_name)
    path = property(lambda self: self._h_path)
    title = stored("title", "", str)
    categories = stored("categories", (), tuple)
    dependencies = stored("dependencies", (), tuple)
    contributors = stored("contributors", (), tuple)
    helpText = stored("helpText", "", str)
    acknowledgementText = stored("acknowledgementText", "", str)
    icon = stored("icon", None, QtGui.QIcon)
    hidden = stored("hidden", False, bool)
    index = stored("index", -1, int)

    def widgetRepresentation(self) -> Any:
        if self._h_widget is None:
            self._h_widget = self.createNewWidgetRepresentation()
            setattr(slicer.modules, self.name + "Widget", self._h_widget.self())
        return self._h_widget

    def createNewWidgetRepresentation(self) -> Any:
        return qSlicerScriptedLoadableModuleWidget(self)

    def logic(self) -> None:
        """A scripted module has no C++ logic; slicer.util.getModuleLogic returns its Python logic."""


@cppClass()
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The panel: makes `<name>Widget(self)` and forwards setup, enter and exit. Exceptions reach the caller."""

    def __init__(self, module: qSlicerScriptedLoadableModule) -> None:
        super().__init__()
        self._h_module = module
        self._h_entered = False
        self.setLayout(qt.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)
        self._h_make()

    def _h_make(self) -> None:
        name = self._h_module.name
        self._h_self = getattr(sys.modules[name], name + "Widget")(self)
        self._h_self.setup()

    isEntered = property(lambda self: self._h_entered)
    moduleName = property(lambda self: self._h_module.name)

    def self(self) -> Any:
        return self._h_self

    def enter(self) -> None:
        self._h_entered = True
        if hasattr(self._h_self, "enter"):
            self._h_self.enter()

    def exit(self) -> None:
        self._h_entered = False
        if hasattr(self._h_self, "exit"):
            self._h_self.exit()

    def reload(self) -> None:
        self._h_make()
        setattr(slicer.modules, self.moduleName + "Widget", self._h_self)


@cppClass()
class qSlicerModuleFactoryManager(QtCore.QObject):
    def __init__(self, manager: qSlicerModuleManager) -> None:
        super().__init__()
        self._h_manager = manager

    def loadedModuleNames(self) -> tuple[str, ...]:
        return self._h_manager.modulesNames()

    def isLoaded(self, name: str) -> bool:
        return name in self._h_manager.modulesNames()


@cppClass(moduleAboutToBeUnloaded="QString", moduleLoaded="QString")
class qSlicerModuleManager(QtCore.QObject):
    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleLoaded = QtCore.Signal(str)

    def __init__(self, modules: dict[str, Any]) -> None:
        super().__init__()
        self._h_modules = dict(modules)
        self._h_factory = qSlicerModuleFactoryManager(self)

    def module(self, name: str) -> Any:
        return self._h_modules.get(name)

    def modulesNames(self) -> tuple[str, ...]:
        return tuple(self._h_modules)

    def factoryManager(self) -> Any:
        return self._h_factory

    def _h_add(self, module: qSlicerScriptedLoadableModule) -> None:
        self._h_modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)
        setattr(slicer.moduleNames, module.name, module.name)

    def _h_remove(self, name: str) -> None:
        del self._h_modules[name]
        delattr(slicer.moduleNames, name)
        for attribute in (name.lower(), name + "Instance", name + "Widget"):
            if hasattr(slicer.modules, attribute):
                delattr(slicer.modules, attribute)


@cppClass()
class qSlicerCommandOptions(QtCore.QObject):
    runPythonAndExit = stored("runPythonAndExit", False, bool)
    noMainWindow = stored("noMainWindow", False, bool)


@cppClass(startupCompleted="", mrmlSceneChanged="vtkMRMLScene*")
class qSlicerApplication(QtWidgets.QApplication):
    """`slicer.app`: a QApplication, so aboutToQuit, lastWindowClosed, clipboard() and the like are Qt's own."""

    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, core: Core) -> None:
        super().__init__(["Slicer"])
        self.organizationName, self.applicationName = "NA-MIC", "Slicer"
        self.applicationVersion = ".".join(map(str, VERSION))
        self.temporaryPath = core.temporaryPath
        self._h_core = core
        self._h_home = tempfile.mkdtemp(prefix="home-", dir=core.temporaryPath)
        self._h_modules = qSlicerModuleManager(core.modules)
        self._h_io = qSlicerCoreIOManager()
        self._h_options = qSlicerCommandOptions()
        self._h_layout: qSlicerLayoutManager | None = None
        self._h_testing = True
        self._h_paused = 0
        self._h_exitCode: int | None = None  # requested by slicer.util.exit
        self._h_started: dict[str, str] | None = None  # the environment before the launcher, while that is played

    slicerHome = property(lambda self: self._h_home)
    extensionsInstallPath = property(lambda self: os.path.join(self._h_home, "Extensions"))
    temporaryPath = stored("temporaryPath", "", str)
    documentationBaseUrl = property(lambda self: "https://slicer.readthedocs.io/en/latest/")
    majorVersion = property(lambda self: VERSION[0])
    minorVersion = property(lambda self: VERSION[1])
    revision = property(lambda self: "host")
    platform = property(lambda self: sys.platform)

    def mrmlScene(self) -> Any:
        return self._h_core.scene

    def applicationLogic(self) -> Any:
        return self._h_core.appLogic

    def moduleLogic(self, name: str) -> Any:
        return self._h_core.modules[name].logic()

    def moduleManager(self) -> qSlicerModuleManager:
        return self._h_modules

    def coreIOManager(self) -> qSlicerCoreIOManager:
        return self._h_io

    ioManager = coreIOManager

    def layoutManager(self) -> qSlicerLayoutManager | None:
        """None without a main window, as in Slicer."""
        return self._h_layout

    def commandOptions(self) -> qSlicerCommandOptions:
        return self._h_options

    def testingEnabled(self) -> bool:
        return self._h_testing

    def settings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    userSettings = revisionUserSettings = settings

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        environment = QtCore.QProcessEnvironment()
        for name, value in (os.environ if self._h_started is None else self._h_started).items():
            environment.insert(name, value)
        return environment

    def moduleDocumentationUrl(self, name: str) -> str:
        return self.documentationBaseUrl + name

    def setOverrideCursor(self, cursor: Any) -> None:
        QtGui.QGuiApplication.setOverrideCursor(QtGui.QCursor(cursor))

    def pauseRender(self) -> None:
        self._h_paused += 1

    def resumeRender(self) -> None:
        self._h_paused -= 1

    def setRenderPaused(self, paused: bool) -> None:
        self._h_paused += 1 if paused else -1

    def renderPaused(self) -> bool:
        return self._h_paused > 0

    def exit(self, code: int = 0) -> None:
        """Stores the code and leaves the event loop, if one runs."""
        self._h_exitCode = int(code)
        QtWidgets.QApplication.exit(int(code))

    def restart(self) -> None:
        raise RuntimeError("slicer.app.restart() was called")
