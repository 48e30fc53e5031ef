"""The application that runs these tests (Testing/run_in_slicer.py), with the methods of `slicerhost.host.Host`."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

SCREENSHOTS = "DEEPRECON_SCREENSHOTS"
"""Environment variable: folder that gets a picture of the window at the end of every test of a panel."""


class RunningApplication:
    """Slicer as it runs. Its modules are those that it was started with (--additional-module-paths)."""

    def __init__(self) -> None:
        self.app = slicer.app
        self._opened: set[str] = set()
        self._errors: list[Any] = []
        self._hook = sys.excepthook
        sys.excepthook = self._record

    def _record(self, kind: type[BaseException], value: BaseException, tb: Any) -> None:
        self._errors.append((kind, value, "".join(traceback.format_exception(kind, value, tb))))
        self._hook(kind, value, tb)

    def loadModule(self, path: str | Path, show: bool = True) -> Any:
        """Opens the panel of a module; gives its Widget, or the module's Python object when not shown."""
        name = Path(path).stem
        if name not in self.app.moduleManager().modulesNames():
            raise RuntimeError(f"{name} is not loaded: start Slicer with --additional-module-paths {Path(path).parent}")
        if not show:
            return getattr(slicer.modules, name + "Instance")
        self._opened.add(name)
        self.openModule(name)
        return slicer.util.getModuleWidget(name)

    def openModule(self, name: str) -> None:
        """Opens the panel of a module, and leaves the one that is open."""
        if slicer.util.mainWindow() is not None:
            slicer.util.selectModule(name)
        else:
            panels = [self.app.moduleManager().module(each).widgetRepresentation() for each in self._opened]
            for panel in panels:
                if panel.isEntered:
                    panel.exit()
                    panel.hide()
            panel = self.app.moduleManager().module(name).widgetRepresentation()
            panel.show()
            panel.enter()
        self.process()

    def launched(self) -> Any:
        """Nothing: the launcher has set its variables."""
        return contextlib.nullcontext()

    def closeModules(self) -> None:
        """Makes the panels anew, which ends what still runs in them: the application does not unload its modules."""
        if self._opened and SCREENSHOTS in os.environ and slicer.util.mainWindow() is not None:
            test = re.sub(r"\W+", "_", os.environ["PYTEST_CURRENT_TEST"].partition(" (")[0])
            self.desktop(Path(os.environ[SCREENSHOTS]) / f"{test}.png")
        for name in sorted(self._opened):
            slicer.util.reloadScriptedModule(name)
        self._opened.clear()
        self.process()

    def reset(self) -> None:
        """Empty scene, first layout, no settings of ours, no recorded error; other settings are the user's."""
        self.closeModules()
        slicer.mrmlScene.Clear()
        if self.app.layoutManager() is not None:
            self.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        settings = qt.QSettings()
        for key in settings.allKeys():
            if key.startswith("DeepRecon"):
                settings.remove(key)
        self._errors.clear()

    def close(self) -> None:
        """The application goes on; exceptions are its own again."""
        self.closeModules()
        sys.excepthook = self._hook

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
            self.process()
            if value := condition():
                return value
            time.sleep(0.01)
        raise AssertionError(f"waitFor: not met within {timeout} s")

    def startupCompleted(self) -> None:
        """Nothing: the application has emitted it."""

    def clickSample(self, sampleName: str) -> Any:
        """Performs the action of the sample's button in the Sample Data panel."""
        import SampleData

        source = SampleData.SampleDataLogic().sourceForSampleName(sampleName)
        return source.customDownloader(source)

    def runTests(self, name: str) -> None:
        """Runs the module's self-test; failures are raised."""
        slicer.selfTests[name](msec=0)

    def slotErrors(self) -> list[Any]:
        """(type, value, traceback text) of the exceptions raised in slots and observers so far."""
        return list(self._errors)

    def screenshot(self, path: str | Path, widget: Any = None) -> tuple[int, int]:
        """Writes a PNG of the panel that was opened, or of a widget; gives its width and height in pixels."""
        self.process()
        shown = widget or self.app.moduleManager().module(sorted(self._opened)[-1]).widgetRepresentation()
        picture = shown.grab()
        picture.save(str(path))
        return picture.width(), picture.height()

    def desktop(self, path: str | Path, size: tuple[int, int] = (1500, 900)) -> None:
        """Writes a PNG of the whole window."""
        window = slicer.util.mainWindow()
        window.resize(*size)
        self.screenshot(path, window)
