"""Denoising of a diffusion MRI scan; gradients and geometry stay the same."""
# ruff: noqa: PT009, PT027  Slicer's self-tests are unittest tests

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Union

import numpy as np
import slicer
from slicer import (
    vtkMRMLDiffusionWeightedVolumeNode,
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsCurveNode,
    vtkMRMLMarkupsLineNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLSegmentationNode,
    vtkMRMLSequenceNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule

try:
    import deeprecon  # noqa: F401  in a build and in an installed extension
except ImportError:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "Logic"))  # in the source tree

from deeprecon.data.errors import InputError
from deeprecon.dwmri.parameters import EnhanceParameters, Method, TrainParameters
from deeprecon.panels.common.bundle_panel import BundlePanel
from deeprecon.panels.common.image_widget import ImageMethodWidget
from deeprecon.panels.common.method_logic import MethodLogic
from deeprecon.panels.common.module import MethodTest, describeModule, registerSample
from deeprecon.panels.common.run_callbacks import SecondaryRun
from deeprecon.panels.common.training_panel import TrainingPanel
from deeprecon.panels.dwmri.result_panels import DwiResultPanels
from deeprecon.panels.dwmri.widgets import LABELS, TRAINING, GradientCheck
from deeprecon.panels.screen.result_views import showInViews
from deeprecon.panels.screen.stepper import ButtonWork
from deeprecon.scene.common.folder_summary import SCANS
from deeprecon.scene.display.segment_editor import set_segment_editor_input
from deeprecon.scene.dwmri.inputs import nodes_of, restore_inputs
from deeprecon.scene.dwmri.job import PIPELINE, DwiNodes, write_folder_job, write_job
from deeprecon.scene.dwmri.mask import mask_to_edit
from deeprecon.scene.dwmri.result import load_outputs
from deeprecon.scene.dwmri.sample import load_sample_scan
from deeprecon.scene.dwmri.scan import count_values, gradients_of, open_scan
from deeprecon.scene.dwmri.views import show_scan
from deeprecon.scene.nodes.parameters import parameter_pack, to_dataclass

Settings = parameter_pack(EnhanceParameters)
TrainingSettings = parameter_pack(TrainParameters)
FIRST_STEP = _("Choose a diffusion scan, open a file, or load the sample.")
# Slicer writes the default None at once, and a union takes it only with None among its members; its links to node
# selectors do not support X | Y.
Scan = Union[vtkMRMLDiffusionWeightedVolumeNode, vtkMRMLSequenceNode, None]  # noqa: UP007
Mask = Union[vtkMRMLLabelMapVolumeNode, vtkMRMLSegmentationNode, None]  # noqa: UP007
Region = Union[vtkMRMLMarkupsROINode, vtkMRMLSegmentationNode, None]  # noqa: UP007
Line = Union[vtkMRMLMarkupsLineNode, vtkMRMLMarkupsCurveNode, None]  # noqa: UP007


class DWMRIEnhance(ScriptedLoadableModule):
    """Description of the module in Slicer."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        text = _(
            "Denoises a diffusion MRI scan, without training data and without changing its gradients or geometry, and "
            "shows the residual and the effect on FA."
        )
        describeModule(self.parent, _("DWI Enhance"), "Diffusion", text)
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer the sample scan in the Sample Data module."""
    registerSample(__file__, "Synthetic diffusion scan", "Sample DWI", lambda: [load_sample_scan()])


@parameterNodeWrapper
class DWMRIEnhanceParameterNode:
    """What the user chose; saved with the scene.

    inputScan - diffusion weighted volume, or sequence of volumes.
    mask - where the brain is; found if none.
    useModel, modelFolder - use a trained model in place of the method, and where it is.
    settings - of the method, see EnhanceParameters.
    training - settings of a training, see TrainParameters.
    seed - of every random number.
    outputScan - the result, used again by the next run.
    outputSummary - table of the last run over a folder.
    region, line - where the result is measured.
    regionTable - figures of the region.
    """

    inputScan: Scan
    mask: Mask
    useModel: bool = False
    modelFolder: str = ""
    settings: Settings
    training: TrainingSettings
    seed: Annotated[int, WithinRange(0, 2**31 - 1)] = 0
    outputScan: Scan
    outputSummary: vtkMRMLTableNode
    region: Region
    line: Line
    regionTable: vtkMRMLTableNode


class DWMRIEnhanceWidget(ImageMethodWidget):
    """The panel: scan, gradient check, method, device, run, results, folder, training."""

    title = "DWI enhancement"
    labels = LABELS
    caseKind = SCANS
    chooseModelText = _("Choose the folder of a trained model, or do not use one.")

    def __init__(self, parent=None):
        self.results = None
        self.gradients = None
        self.maskWork = None
        self.logicClass = DWMRIEnhanceLogic
        ImageMethodWidget.__init__(self, parent)

    def connectWidgets(self):
        """Make the panels of this module, and connect the widgets that no parameter link covers."""
        ImageMethodWidget.connectWidgets(self)
        ui = self.ui
        self.gradients = GradientCheck(ui, lambda: self._parameterNode and self._parameterNode.inputScan)
        self.bundlePanel = BundlePanel(ui.modelCollapsibleButton.layout(), "dwmri", self.onModel)
        self.trainingPanels = [
            TrainingPanel(ui.trainingCollapsibleButton.layout(), TRAINING, self.devicePanel, self.useModel)
        ]
        self.results = DwiResultPanels(ui, lambda: self._parameterNode, self.onChanged)
        self.maskWork = ButtonWork(ui.editMaskButton, _("The mask could not be edited."))
        self.works += [self.maskWork, self.gradients.work]
        ui.editMaskButton.connect("clicked(bool)", self.onEditMask)

    def cleanup(self):
        """The module is closed or reloaded."""
        if self.results is not None:
            self.results.cleanup()
        ImageMethodWidget.cleanup(self)

    def exit(self):
        """The user left the module: nothing flickers in others."""
        self.results.comparePanel.stop()
        ImageMethodWidget.exit(self)

    def onSceneStartClose(self, caller, event):
        """Release all nodes of the scene."""
        self.results.cleanup()
        ImageMethodWidget.onSceneStartClose(self, caller, event)

    # -- updating the panel

    def update(self, node):
        """Update gradient check, settings and results; return why a run cannot start."""
        ui, settings = self.ui, to_dataclass(node.settings)
        trains = settings.method is Method.NETWORK and not node.useModel
        ui.stepsSpinBox.visible = ui.stepsSpinBoxLabel.visible = trains
        ui.methodCombo.enabled = not node.useModel
        self.updateFolder(node, _("Press “Enhance the folder” under Run."))
        problem = self.gradients.show(node.inputScan)
        values = 0 if node.inputScan is None else count_values(node.inputScan)
        self.runPanel.setEstimate(self.estimate.sentence(*self.runKind(node, settings), values))
        ui.editMaskButton.enabled = node.inputScan is not None and not problem
        reasons = (
            self.results.update(node.outputScan),
            "" if node.inputScan is not None else FIRST_STEP,
            nodes_of(node).missing(),
            problem,
            *settings.validate(),
            self.modelProblem(),
        )
        return next((reason for reason in reasons if reason), "")

    def runKind(self, node, settings):
        """What determines the speed of a run: method and device."""
        return "model" if node.useModel else settings.method.value, self.devicePanel.device

    def folderProblem(self):
        """Why the scans of a folder cannot be processed; empty if they can."""
        if self._parameterNode is None:
            return _("Not ready.")
        path = self.ui.folderEdit.currentPath
        if not path or not Path(path).is_dir():
            return _("Choose the folder of a BIDS dataset under Many scans.")
        return self.modelProblem()

    # -- callbacks of the run panel

    def prepare(self):
        """Write the job folder."""
        node = self._parameterNode
        self.runPanel.folder = folder = self.logic.newJobFolder()
        nodes, settings = nodes_of(node), to_dataclass(node.settings)
        self.job = nodes, {"dwi": node.outputScan}, self.runKind(node, settings)
        job = write_job.steps(folder, nodes, settings, self.devicePanel.device, node.seed)
        self.runPanel.fileNames = yield from job
        return folder

    def load(self, folder):
        """Load the results of a job."""
        nodes, outputs, kind = self.job
        loaded = yield from load_outputs.steps(folder, nodes, outputs)
        node = self._parameterNode
        self.results.loaded(loaded.nodes["dwi"], loaded.report)
        node.outputScan = loaded.nodes["dwi"]
        if not self.runPanel.shortened:
            self.estimate.learn(*kind, count_values(loaded.nodes["dwi"]), self.runPanel.seconds)
        self.onChanged()
        yield _("Showing the result…")
        self.showResults(self.results.show)
        self.ui.resultsCollapsibleButton.collapsed = False
        return loaded.sentence

    def secondaryRun(self):
        """All scans of a BIDS dataset."""
        tip = _("Enhance every scan of the BIDS dataset under Many scans; one that fails does not stop the others.")
        return SecondaryRun(_("Enhance the folder"), tip, self.prepareFolder, self.loadFolder, self.folderProblem)

    def writeFolderJob(self, folder, settings, device, seed):
        """Write the job over a dataset."""
        dataset = Path(self.ui.folderEdit.currentPath)
        bundle = nodes_of(self._parameterNode).bundle
        write_folder_job(folder, dataset, dataset / PIPELINE, bundle, settings, device, seed)

    def restoreInputs(self):
        """Set the parameter node to inputs and settings of the selected result."""
        restore_inputs(self._parameterNode, self._parameterNode.outputScan)

    # -- buttons and choices that no parameter link covers

    def useModel(self, folder):
        """Use a model that was trained here for the next run."""
        ImageMethodWidget.useModel(self, folder)
        self.ui.modelCollapsibleButton.collapsed = False

    def loadSample(self):
        """Generate the sample scan and load it."""
        return load_sample_scan.steps()

    def loadFile(self, path):
        """Load a scan file."""
        return open_scan.steps(path)

    def chooseImage(self, node):
        """Make a scan the input, and show it."""
        self._parameterNode.inputScan = node
        show_scan(node)

    def onEditMask(self):
        """Open the mask in the Segment Editor, and use it for the next run."""
        node = self._parameterNode
        self.maskWork.start(mask_to_edit.steps(node.inputScan, node.mask), partial(self.editMask, node.inputScan))

    def editMask(self, scan, made):
        """Edit a mask on an image, and choose it, unless another scan was chosen meanwhile."""
        if self._parameterNode.inputScan is not scan:
            return
        self._parameterNode.mask, image = made
        set_segment_editor_input(self._parameterNode.mask, image)
        showInViews(lambda: show_scan(image))
        if hasattr(slicer.modules, "segmenteditor"):
            slicer.util.selectModule("SegmentEditor")


class DWMRIEnhanceLogic(MethodLogic):
    """Enhancement on nodes, without a panel."""

    parameterNodeClass = DWMRIEnhanceParameterNode

    def enhance(self, nodes, parameters=None, *, device="auto", seed=0, outputs=None, wait=True, onEvent=None):
        """Enhance a scan.

        Args:
            nodes: DwiNodes.
            parameters: EnhanceParameters.
            outputs: role ("dwi") -> node of an earlier run to write into.
            device, seed, wait, onEvent: see `process`, also for errors.

        Returns:
            RunResult with the roles of `load_outputs`; without waiting, the started JobRunner.
        """
        parameters = parameters or EnhanceParameters()
        return self.process(write_job, load_outputs, nodes, parameters, device, seed, outputs, wait, onEvent)


class DWMRIEnhanceTest(MethodTest):
    """The module's self-test."""

    def test_missingInputIsRefused(self):
        """Without a scan no run starts."""
        with self.assertRaises(InputError):
            DWMRIEnhanceLogic().enhance(DwiNodes(None))

    def test_sampleScanIsEnhanced(self):
        """The result has the gradients of the scan and less noise in its b0 volumes."""
        self.requireTorch()
        scan = load_sample_scan()
        result = DWMRIEnhanceLogic().enhance(DwiNodes(scan), EnhanceParameters(method=Method.PCA), device="cpu")
        before, after = gradients_of(scan), gradients_of(result.nodes["dwi"])
        self.assertTrue(np.array_equal(before.directions, after.directions))
        spread = [slicer.util.arrayFromVolume(each)[..., before.b0].std(axis=-1).mean()
                  for each in (scan, result.nodes["dwi"])]  # fmt: skip
        self.assertLess(spread[1], 0.7 * spread[0])
