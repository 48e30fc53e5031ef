"""slicer.app and its managers, slicer.modules, SampleData, cli."""
import fnmatch
import importlib.util
import os
import sys
import tempfile
import types

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

READERS = {
    ("nrrd", "nhdr", "nii", "nii.gz", "mha", "mhd", "dcm"): ("VolumeFile", "vtkMRMLScalarVolumeNode", "vtkMRMLVolumeArchetypeStorageNode"),
    ("vtk", "vtp", "vtu", "stl", "ply", "obj"): ("ModelFile", "vtkMRMLModelNode", "vtkMRMLModelStorageNode"),
    ("seg.nrrd",): ("SegmentationFile", "vtkMRMLSegmentationNode", "vtkMRMLSegmentationStorageNode"),
    ("csv", "tsv"): ("TableFile", "vtkMRMLTableNode", "vtkMRMLTableStorageNode"),
    ("txt", "json", "xml"): ("TextFile", "vtkMRMLTextNode", "vtkMRMLTextStorageNode"),
}


class ModuleManager(QtCore.QObject):
    moduleAboutToBeUnloaded = QtCore.Signal(str)
    _hostSignals = {"moduleAboutToBeUnloaded": ["QString"]}

    def __init__(self):
        super().__init__()
        self.table = {}

    def module(self, name):
        return self.table.get(name)

    def modulesNames(self):
        return list(self.table)

    def factoryManager(self):
        return self

    def loadedModuleNames(self):
        return list(self.table)


class CoreModule:
    """slicer.modules.<name> of a C++ module that exists in slicer-core as a logic only."""

    def __init__(self, name, logic):
        self.name, self._logic = name, logic

    def logic(self):
        return self._logic

    def widgetRepresentation(self):
        return None


class ScriptedModule:
    """slicer.modules.<name> of a scripted module (qSlicerScriptedLoadableModule)."""

    def __init__(self, name, path):
        self.name, self.path = name, path
        self.title, self.icon, self.hidden = name, None, False
        self._widget = None

    def widgetRepresentation(self):
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
            setattr(slicer.modules, self.name + "Widget", self._widget.self())
        return self._widget

    def createNewWidgetRepresentation(self):
        return slicer.qSlicerScriptedLoadableModuleWidget(self)

    def logic(self):
        return None


class IOManager(QtCore.QObject):
    newFileLoaded = QtCore.Signal(object)
    _hostSignals = {"newFileLoaded": ["qSlicerIO::IOProperties"]}

    def __init__(self, app):
        super().__init__()
        self._app = app

    def _entry(self, filename):
        f = str(filename).lower()
        best = None
        for exts, entry in READERS.items():
            for e in exts:
                if f.endswith("." + e) and (best is None or len(e) > len(best[0])):
                    best = (e, entry)
        return best[1] if best else None

    def fileType(self, filename):
        if str(filename).lower().endswith((".mrml", ".mrb")):
            return "SceneFile"
        e = self._entry(filename)
        return e[0] if e else "NoFile"

    def loadNodes(self, filetype, properties, nodes=None, messages=None):
        path = str(properties["fileName"])
        if filetype == "SceneFile":
            return self.loadScene(path, not properties.get("clear", False) is False)
        nodeClass = storage = None
        for t, n, s in READERS.values():
            if t == filetype:
                nodeClass, storage = n, s
        if nodeClass is None or not os.path.isfile(path):
            return False
        if filetype == "VolumeFile" and properties.get("labelmap"):
            nodeClass = "vtkMRMLLabelMapVolumeNode"
        scene = self._app.mrmlScene()
        node = scene.AddNewNodeByClass(nodeClass)
        st = scene.AddNewNodeByClass(storage)
        st.SetFileName(path)
        if not st.ReadData(node):
            scene.RemoveNode(st)
            scene.RemoveNode(node)
            return False
        node.SetAndObserveStorageNodeID(st.GetID())
        base = os.path.basename(path)
        node.SetName(scene.GenerateUniqueName(properties.get("name") or base[:base.find(".")]))
        if hasattr(node, "CreateDefaultDisplayNodes"):
            node.CreateDefaultDisplayNodes()
        if nodes is not None:
            nodes.AddItem(node)
        return True

    def loadScene(self, path, clear=True):
        scene = self._app.mrmlScene()
        if str(path).endswith(".mrb"):
            return bool(scene.ReadFromMRB(str(path), clear))
        scene.SetURL(str(path))
        return bool(scene.Connect() if clear else scene.Import())

    def fileWriterFileType(self, node):
        return node.GetClassName()

    def saveNodes(self, filetype, properties, messages=None):
        scene = self._app.mrmlScene()
        path = str(properties["fileName"])
        if filetype == "SceneFile":
            scene.SetRootDirectory(os.path.dirname(path))
            if path.endswith(".mrb"):
                return bool(scene.WriteToMRB(path))
            scene.SetURL(path)
            return bool(scene.Commit(path))
        node = scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        st = node.GetStorageNode()
        st.SetFileName(path)
        return bool(st.WriteData(node))

    def extractKnownExtension(self, filename, node):
        f = str(filename).lower()
        for ext in (".nii.gz", ".seg.nrrd", ".mrk.json"):
            if f.endswith(ext):
                return ext
        return os.path.splitext(f)[1]

    def fileWriterExtensions(self, node):
        st = node.CreateDefaultStorageNode()
        st.UnRegister(None)
        types_ = st.GetSupportedWriteFileTypes()
        found = [types_.GetValue(i) for i in range(types_.GetNumberOfValues())]
        if not found and node.IsA("vtkMRMLVolumeNode"):      # slicer-core reports none for volumes
            found = ["NRRD (.nrrd)", "NIfTI (.nii.gz)", "NIfTI (.nii)", "MetaImage (.mha)"]
        return found

    def exportNodes(self, ids, files, properties, harden=False, messages=None):
        for i, f in zip(ids, files):
            node = self._app.mrmlScene().GetNodeByID(i)
            st = node.CreateDefaultStorageNode()
            st.UnRegister(None)
            st.SetFileName(str(f))
            if not st.WriteData(node):
                return False
        return True


class SliceWidget:
    def __init__(self, view):
        self._view = view

    def mrmlSliceNode(self):
        return self._view.node

    def mrmlSliceCompositeNode(self):
        return self._view.compositeNode

    def sliceLogic(self):
        return self._view.logic

    def fitSliceToBackground(self):
        self._view.fit()


class ThreeDWidget:
    def __init__(self, view):
        self._view = view

    def threeDView(self):
        return self

    def mrmlViewNode(self):
        return self._view.node

    def resetFocalPoint(self):
        self._view.reset()

    def resetCamera(self):
        self._view.reset()

    def renderWindow(self):
        return self._view.window

    def forceRender(self):
        self._view.window.Render()


class LayoutManager(QtCore.QObject):
    layoutChanged = QtCore.Signal(int)
    _hostSignals = {"layoutChanged": ["int"]}

    def __init__(self, core, views=True):
        super().__init__()
        self.layoutNode = None
        self._core = core
        self.slices, self.threeDs = {}, []
        self._layout = 3
        if views:
            self._createViews()

    def _createViews(self):
        from .views import SliceView, ThreeDView
        for n in ("Red", "Yellow", "Green"):
            self.slices[n] = SliceView(self._core, n)
        self.threeDs = [ThreeDView(self._core, "1")]

    def sliceViewNames(self):
        return list(self.slices)

    def sliceWidget(self, name):
        return SliceWidget(self.slices[name]) if name in self.slices else None

    @property
    def threeDViewCount(self):
        return len(self.threeDs)

    def threeDWidget(self, i):
        return ThreeDWidget(self.threeDs[i])

    def mrmlSliceLogics(self):
        return self._core.appLogic.GetSliceLogics()

    def resetThreeDViews(self):
        for v in self.threeDs:
            v.reset()

    def resetSliceViews(self):
        for v in self.slices.values():
            v.fit()

    @property
    def layout(self):
        return self._layout

    def setLayout(self, n):
        self._layout = n
        self.layoutChanged.emit(n)


class Application(QtCore.QObject):
    """slicer.app.  Names without underscore are names of qSlicerApplication (checked by check_api.py)."""
    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)
    aboutToQuit = QtCore.Signal()
    _hostSignals = {"startupCompleted": [""], "mrmlSceneChanged": ["vtkMRMLScene*"], "aboutToQuit": [""]}

    def __init__(self, qapp, core, views):
        super().__init__()
        self._qapp, self._core = qapp, core
        self._modules = ModuleManager()
        self._io = IOManager(self)
        self._layout = LayoutManager(core, views)
        self.applicationName, self.applicationVersion = "Slicer", "5.12.0-host"
        self.majorVersion, self.minorVersion = 5, 12
        self.temporaryPath = tempfile.mkdtemp(prefix="Slicer-host-")
        self.slicerHome = self.temporaryPath
        self.extensionsInstallPath = self.temporaryPath
        self.documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"
        self._testing = True
        self._pause = 0

    def mrmlScene(self):
        return self._core.scene

    def applicationLogic(self):
        return self._core.appLogic

    def moduleLogic(self, name):
        return self._core.modules[name].logic()

    def moduleManager(self):
        return self._modules

    def coreIOManager(self):
        return self._io

    def ioManager(self):
        return self._io

    def layoutManager(self):
        return self._layout

    def processEvents(self, *a):
        self._qapp.processEvents()

    def testingEnabled(self):
        return self._testing

    def settings(self):
        return QtCore.QSettings()
    userSettings = revisionUserSettings = settings

    def setOverrideCursor(self, c):
        QtGui.QGuiApplication.setOverrideCursor(QtGui.QCursor(c))

    def restoreOverrideCursor(self):
        QtGui.QGuiApplication.restoreOverrideCursor()

    def topLevelWidgets(self):
        return QtWidgets.QApplication.topLevelWidgets()

    def pauseRender(self):
        self._pause += 1

    def resumeRender(self):
        self._pause -= 1

    def setRenderPaused(self, on):
        self._pause += 1 if on else -1

    def startupEnvironment(self):
        return QtCore.QProcessEnvironment.systemEnvironment()

    def translate(self, context, text):
        return text

    def moduleDocumentationUrl(self, name):
        return self.documentationBaseUrl + name

    def mainApplicationName(self):
        return "Slicer"

    def restart(self):
        raise RuntimeError("slicer.app.restart() called in the test host")

    def tr(self, t):
        return t


def buildCli():
    """slicer.cli with Python functions in the place of executables (register in cliFunctions)."""
    m = types.ModuleType("slicer.cli")
    m.functions = {}

    def run(module, node=None, parameters=None, wait_for_completion=False, delete_temporary_files=True, update_display=True, hide_window=True):
        node = node or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCommandLineModuleNode")
        module.function(**(parameters or {}))
        return node

    def runSync(module, node=None, parameters=None, **k):
        return run(module, node, parameters, wait_for_completion=True)
    m.run, m.runSync = run, runSync
    return m


def buildSampleData():
    """SampleData.SampleDataLogic with generated volumes instead of downloads."""
    m = types.ModuleType("SampleData")
    sources = {}
    m.generators = {}

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataCategory(category, title=None, **k):
            pass

        @staticmethod
        def registerCustomSampleDataSource(category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, **k):
            sources[sampleName] = dict(uris=uris, fileNames=fileNames, nodeNames=nodeNames, **k)

        def __getattr__(self, n):
            if n.startswith("download"):
                return lambda *a: downloadSample(n[8:])
            raise AttributeError(n)

    def downloadSample(name):
        return m.generators[name]()
    m.SampleDataLogic, m.downloadSample, m.sources = SampleDataLogic, downloadSample, sources
    return m
