"""Test host: runs 3D Slicer scripted modules on slicer-core + PySide6 without the Slicer application.

    import slicerhost; host = slicerhost.start()
    w = host.loadModule("path/MyModule.py"); host.show(); host.screenshot("x.png")

Set SLICER_PYTHON_DIR=<Slicer checkout>/Base/Python to use Slicer's own pure-Python ScriptedLoadableModule,
parameterNodeWrapper, i18n and packaging instead of the stand-ins (reference mode)."""
import importlib
import importlib.util
import os
import sys
import tempfile
import types

_host = None


def start(views=True, reference=None):
    global _host
    if _host is None:
        _host = Host(views, os.environ.get("SLICER_PYTHON_DIR") if reference is None else reference)
    return _host


class Host:
    def __init__(self, views, reference):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        from PySide6 import QtCore, QtWidgets
        from . import pythonqt
        settings = tempfile.mkdtemp(prefix="slicerhost_settings_")
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, settings)
        self.qapp = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        self.qapp.setOrganizationName("NA-MIC")
        self.qapp.setApplicationName("Slicer")
        self.qapp.setStyle("Fusion")
        self.reference = reference
        self.pythonqt = pythonqt
        qt = sys.modules["qt"] = pythonqt.buildQtModule()
        import slicer
        import slicer.util
        from . import core
        self.core = core.start()
        from . import ctkw, mrmlw, app
        sys.modules["ctk"] = ctkw.buildCtkModule()
        for n, c in pythonqt.customWidgets.items():
            if n.startswith("q"):
                setattr(slicer, n, c)
        slicer.app = self.app = app.Application(self.qapp, self.core, views)
        self.app.moduleManager().table.update(self.core.modules)
        slicer.cli = sys.modules["slicer.cli"] = app.buildCli()
        sys.modules["SampleData"] = self.sampleData = app.buildSampleData()
        import slicer_core.MRMLCore as _mrmlcore
        sys.modules["MRMLCorePython"] = _mrmlcore           # kit names of the real application
        self._moduleClasses(slicer, qt)
        self._pythonLayer(slicer)
        self.widgets = []

    def _register(self, name, module):
        import slicer
        self.app.moduleManager().table[name] = module
        setattr(slicer.modules, name.lower(), module)
        setattr(slicer.moduleNames, name, name)

    def _moduleClasses(self, slicer, qt):
        from . import mrmlw, app

        class qSlicerScriptedLoadableModuleWidget(mrmlw.qMRMLWidget):
            """Panel of one scripted module: makes <Name>Widget(self) and forwards setup/enter/exit."""

            def __init__(self, module):
                super().__init__()
                self._module = module
                self.setLayout(qt.QVBoxLayout())
                self.setMRMLScene(slicer.mrmlScene)
                self.isEntered = False
                self._self = getattr(sys.modules[module.name], module.name + "Widget")(self)
                self._self.setup()

            def self(self):
                return self._self

            def enter(self):
                self.isEntered = True
                if hasattr(self._self, "enter"):
                    self._self.enter()

            def exit(self):
                self.isEntered = False
                if hasattr(self._self, "exit"):
                    self._self.exit()

            def reload(self):
                self._self = getattr(sys.modules[self._module.name], self._module.name + "Widget")(self)
                self._self.setup()
                setattr(slicer.modules, self._module.name + "Widget", self._self)
        slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget
        slicer.qSlicerScriptedLoadableModule = app.ScriptedModule

    def _pythonLayer(self, slicer):
        if self.reference:                                  # Slicer's own pure-Python files
            base = os.path.join(self.reference, "slicer")
            for n in ("i18n", "packaging", "ScriptedLoadableModule", "parameterNodeWrapper"):
                path = os.path.join(base, n, "__init__.py") if os.path.isdir(os.path.join(base, n)) else os.path.join(base, n + ".py")
                if not os.path.exists(path):
                    continue
                spec = importlib.util.spec_from_file_location("slicer." + n, path, submodule_search_locations=[os.path.join(base, n)] if path.endswith("__init__.py") else None)
                mod = importlib.util.module_from_spec(spec)
                sys.modules["slicer." + n] = mod
                setattr(slicer, n, mod)
                spec.loader.exec_module(mod)
        else:
            i18n = types.ModuleType("slicer.i18n")
            i18n.tr = lambda text: text
            i18n.translate = lambda context, text: text
            packaging = types.ModuleType("slicer.packaging")
            for n in ("pip_install", "pip_ensure", "pip_uninstall"):
                setattr(packaging, n, lambda *a, **k: None)
            packaging.pip_check = lambda *a, **k: True
            packaging.load_requirements = lambda p: [s.strip() for s in open(p) if s.strip() and not s.startswith("#")]
            for n, m in (("i18n", i18n), ("packaging", packaging)):
                sys.modules["slicer." + n] = m
                setattr(slicer, n, m)
            from . import slm, pnw
            for n, m in (("ScriptedLoadableModule", slm), ("parameterNodeWrapper", pnw)):
                sys.modules["slicer." + n] = m
                setattr(slicer, n, m)

    # ------------------------------------------------------------------ modules
    def loadModule(self, path, show=True):
        """Import <Name>.py, make its module object and (show) its panel; returns the Python widget object."""
        import slicer
        from . import app
        name = os.path.splitext(os.path.basename(path))[0]
        folder = os.path.dirname(os.path.abspath(path))
        if folder not in sys.path:
            sys.path.insert(0, folder)
        module = app.ScriptedModule(name, os.path.abspath(path))
        self._register(name, module)
        py = importlib.import_module(name)
        instance = getattr(py, name)(module)
        setattr(slicer.modules, name + "Instance", instance)
        if not show:
            return instance
        rep = module.widgetRepresentation()
        rep.resize(420, 720)
        rep.show()
        rep.enter()
        self.widgets.append(rep)
        self.process()
        return rep.self()

    def startupCompleted(self):
        self.app.startupCompleted.emit()

    def process(self, seconds=0.0):
        import time
        end = time.time() + seconds
        while True:
            self.qapp.processEvents()
            if time.time() >= end:
                return
            time.sleep(0.005)

    def waitFor(self, condition, timeout=30.0):
        import time
        end = time.time() + timeout
        while time.time() < end:
            self.qapp.processEvents()
            if condition():
                return True
            time.sleep(0.01)
        raise AssertionError("waitFor: condition not met")

    def screenshot(self, path, widget=None):
        """PNG of a panel (or of the last module's panel)."""
        w = widget or self.widgets[-1]
        self.process()
        pm = w.grab()
        pm.save(str(path))
        return pm.width(), pm.height()

    def desktop(self, path):
        """PNG of panel + the four views, arranged like Slicer's window."""
        from PySide6 import QtGui, QtCore
        import numpy as np
        views = list(self.app.layoutManager().slices.values())
        views = [views[0], self.app.layoutManager().threeDs[0], views[1], views[2]]
        panel = self.widgets[-1].grab()
        w, h = views[0].window.GetSize()
        out = QtGui.QImage(panel.width() + 2 * w + 6, max(panel.height(), 2 * h + 2), QtGui.QImage.Format.Format_RGB888)
        out.fill(QtGui.QColor(60, 60, 60))
        p = QtGui.QPainter(out)
        p.drawPixmap(0, 0, panel)
        for i, v in enumerate(views):
            a = np.ascontiguousarray(v.image())
            q = QtGui.QImage(a.data, a.shape[1], a.shape[0], a.strides[0], QtGui.QImage.Format.Format_RGB888)
            p.drawImage(panel.width() + 4 + (i % 2) * (w + 2), (i // 2) * (h + 2), q)
        p.end()
        out.save(str(path))

    def slotErrors(self):
        return list(self.pythonqt.slotErrors)

    def runTests(self, moduleName):
        import slicer
        slicer.selfTests[moduleName](msec=50)

    def closeModules(self):
        """Unload every panel: cleanup, scene observers off, window away."""
        for rep in self.widgets:
            if hasattr(rep.self(), "cleanup"):
                rep.self().cleanup()
            for c in rep.findChildren():
                if hasattr(c, "_h_observe"):
                    c._h_observe(None, [])
            rep.close()
            rep.deleteLater()
        self.widgets.clear()
        self.process()

    def reset(self):
        """As freshly started: no panel, empty scene, default settings, no recorded slot error."""
        self.closeModules()
        self.core.clear()
        self.app.settings().clear()
        self.pythonqt.slotErrors.clear()

    def close(self):
        """Fixed tear-down order: panels, scene, logics; keeps the process exit quiet."""
        from shiboken6 import Shiboken
        for rep in self.widgets:
            rep.self().cleanup() if hasattr(rep.self(), "cleanup") else None
            for c in rep.findChildren():
                if hasattr(c, "_h_observe"):
                    c._h_observe(None, [])
            rep.close()
        self.widgets.clear()
        self.process()
