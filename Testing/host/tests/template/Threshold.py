"""A small scripted module in the order of Slicer's template, which the host's tests load and break on purpose."""

from typing import Annotated

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class Threshold(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Threshold")
        self.parent.categories = ["Examples"]


@parameterNodeWrapper
class ThresholdParameterNode:
    inputVolume: slicer.vtkMRMLScalarVolumeNode
    outputVolume: slicer.vtkMRMLScalarVolumeNode
    level: Annotated[float, WithinRange(0, 200)] = 100
    invert: bool = False


class ThresholdWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/Threshold.ui"))
        self.layout.addWidget(uiWidget)
        self.layout.addStretch(1)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = ThresholdLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.ui.sections.collapsed = False
        self.initializeParameterNode()

    def cleanup(self):
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event):
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, node):
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.checkCanApply)
        self._parameterNode = node
        if node is not None:
            self._parameterNodeGuiTag = node.connectGui(self.ui)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.checkCanApply)
            self.checkCanApply()

    def checkCanApply(self, caller=None, event=None):
        self.ui.applyButton.enabled = bool(self._parameterNode.inputVolume and self._parameterNode.outputVolume)
        self.ui.applyButton.toolTip = _("Compute") if self.ui.applyButton.enabled else _("Select both volumes")

    def onApply(self):
        with slicer.util.tryWithErrorDisplay(_("Failed to compute.")):
            node = self._parameterNode
            self.logic.process(node.inputVolume, node.outputVolume, self.ui.levelSlider.value, node.invert)
            self.ui.statusLabel.text = _("Done")


class ThresholdLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return ThresholdParameterNode(super().getParameterNode())

    def process(self, inputVolume, outputVolume, level, invert=False):
        array = slicer.util.arrayFromVolume(inputVolume)
        result = (array < level) if invert else (array >= level)
        slicer.util.updateVolumeFromArray(outputVolume, result.astype("uint8"))


class ThresholdTest(ScriptedLoadableModuleTest):
    def runTest(self):
        self.test_process()

    def test_process(self):
        import numpy as np

        volume = slicer.util.addVolumeFromArray(np.arange(24.0).reshape(2, 3, 4))
        output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        ThresholdLogic().process(volume, output, 20)
        self.assertEqual(slicer.util.arrayFromVolume(output).sum(), 4)  # noqa: PT009 - runs in unittest
        self.delayDisplay("Test passed")
