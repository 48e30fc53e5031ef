"""A diffusion MRI scan without its noise: the same scan, the same gradients, the same geometry."""
# ruff: noqa: PT009, PT027  Slicer's self-tests are unittest tests

import logging
import sys
import unittest
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
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

try:
    import deeprecon  # noqa: F401  beside this file in a build and in an installed extension
except ImportError:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "Logic"))  # in the source tree

from deeprecon.data.errors import InputError
from deeprecon.dwmri.parameters import EnhanceParameters, Method, TrainParameters
from deeprecon.panels.common.bundle_panel import BundlePanel
from deeprecon.panels.common.method_logic import MethodLogic
from deeprecon.panels.common.method_widget import MethodWidget
from deeprecon.panels.common.run_panel import OtherRun
from deeprecon.panels.common.run_times import RunRates
from deeprecon.panels.common.training_panel import TrainingPanel
from deeprecon.panels.computer.device_panel import userOverlay
from deeprecon.panels.computer.installation import torchVersion
from deeprecon.panels.dwmri.results import DwiResults
from deeprecon.panels.dwmri.widgets import LABELS, TRAINING, GradientCheck
from deeprecon.scene.common.folder_summary import SCANS, load_summary
from deeprecon.scene.display.segment_editor import hand_to_segment_editor
from deeprecon.scene.dwmri.job import PIPELINE, DwiNodes, write_folder_job, write_job
from deeprecon.scene.dwmri.mask import mask_to_edit
from deeprecon.scene.dwmri.nodes import count_values, gradients_of, open_scan
from deeprecon.scene.dwmri.result import load_outputs, restore
from deeprecon.scene.dwmri.sample import load_sample_scan
from deeprecon.scene.dwmri.views import show_scan
from deeprecon.scene.nodes.parameters import parameter_pack, to_dataclass

Settings = parameter_pack(EnhanceParameters)
TrainingSettings = parameter_pack(TrainParameters)
# Slicer writes the default None at once, and a union takes it only with None among its members; its links to node
# selectors do not know the X | Y form.
Scan = Union[vtkMRMLDiffusionWeightedVolumeNode, vtkMRMLSequenceNode, None]  # noqa: UP007
Mask = Union[vtkMRMLLabelMapVolumeNode, vtkMRMLSegmentationNode, None]  # noqa: UP007
Region = Union[vtkMRMLMarkupsROINode, vtkMRMLSegmentationNode, None]  # noqa: UP007
Line = Union[vtkMRMLMarkupsLineNode, vtkMRMLMarkupsCurveNode, None]  # noqa: UP007


class DWMRIEnhance(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("DWI Enhance")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Diffusion")]
        self.parent.dependencies = []
        self.parent.contributors = ["DeepRecon contributors"]
        self.parent.helpText = _(
            "Takes the noise off a diffusion MRI scan, without training data and without changing its gradients or "
            "geometry, and shows the residual and the effect on FA beside it. <b>For research use only, not for "
            "diagnosis.</b> "
            'See the <a href="https://github.com/DeepRecon/DeepRecon">documentation</a>.'
        )
        self.parent.acknowledgementText = _("Part of the DeepRecon extension, licensed under Apache 2.0.")
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer the sample scan in the Sample Data module; it is made by code and needs no network."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="DeepRecon",
        sampleName="Synthetic diffusion scan",
        uris=["generated"],
        fileNames=["sample"],
        nodeNames=["Sample DWI"],
        thumbnailFileName=str(Path(__file__).parent / "Resources" / "Icons" / "DWMRIEnhance.png"),
        customDownloader=lambda source=None: [load_sample_scan()],
    )


@parameterNodeWrapper
class DWMRIEnhanceParameterNode:
    """What the user chose.

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


class DWMRIEnhanceWidget(MethodWidget):
    """The panel: scan, gradient check, method, device, run, results, folder."""

    title = "DWI enhancement"

    def __init__(self, parent=None):
        self.results = None
        self.bundlePanel = None
        self.gradients = None
        self.rates = RunRates("DWMRIEnhance")
        self.job = None  # nodes, settings and device of the last run; others may be chosen while it runs
        self.target = None  # folder of the results of the last run over a dataset
        self.labels = LABELS
        self.logicClass = DWMRIEnhanceLogic
        MethodWidget.__init__(self, parent)

    def connectWidgets(self):
        """Buttons, and choices that no parameter link covers."""
        ui = self.ui
        self.gradients = GradientCheck(ui, lambda: self._parameterNode and self._parameterNode.inputScan)
        self.bundlePanel = BundlePanel(ui.modelCollapsibleButton.layout(), "dwmri", self.onModel)
        self.trainingPanels = [
            TrainingPanel(ui.trainingCollapsibleButton.layout(), TRAINING, self.devicePanel, self.useModel)
        ]
        self.results = DwiResults(ui, lambda: self._parameterNode, self.onChanged)
        ui.editMaskButton.connect("clicked(bool)", self.onEditMask)
        ui.sampleButton.connect("clicked(bool)", self.onSampleButton)
        ui.openButton.connect("clicked(bool)", self.onOpenButton)
        ui.folderEdit.connect("currentPathChanged(QString)", self.onChanged)

    def cleanup(self):
        """Nothing goes on when the module is closed."""
        if self.results is not None:
            self.results.cleanup()
        MethodWidget.cleanup(self)

    def onSceneStartClose(self, caller, event):
        """Nothing of the scene is held."""
        self.results.cleanup()
        MethodWidget.onSceneStartClose(self, caller, event)

    # -- bringing the panel up to date

    def update(self, node):
        """Gradient check, settings, results; why a run cannot start."""
        ui, settings = self.ui, to_dataclass(node.settings)
        trains = settings.method is Method.NETWORK and not node.useModel
        ui.stepsSpinBox.visible = ui.stepsSpinBoxLabel.visible = trains
        ui.methodCombo.enabled = not node.useModel
        ui.folderTable.setMRMLTableNode(node.outputSummary)
        ui.folderTable.visible = node.outputSummary is not None
        ui.folderLabel.text = self.whyNotFolder() or _("Press “Enhance the folder” under Run.")
        problem = self.gradients.show(node.inputScan)
        values = 0 if node.inputScan is None else count_values(node.inputScan)
        self.runPanel.setEstimate(self.rates.sentence(*self.kind(node, settings), values))
        ui.editMaskButton.enabled = node.inputScan is not None and not problem
        reasons = (
            self.results.update(node.outputScan),
            self.nodes().missing(),
            problem,
            *settings.validate(),
            self.whyNotModel(),
        )
        return next((reason for reason in reasons if reason), "")

    def nodes(self):
        """The nodes and the model that were chosen."""
        node = self._parameterNode
        return DwiNodes(node.inputScan, node.mask, Path(node.modelFolder) if node.useModel else None)

    def kind(self, node, settings):
        """What decides how fast a run is."""
        return "model" if node.useModel else settings.method.value, self.devicePanel.device

    def whyNotModel(self):
        """Why the chosen model cannot be used."""
        node = self._parameterNode
        if not node.useModel:
            return ""
        if self.bundlePanel.bundle is None:
            return _("Choose the folder of a trained model, or do not use one.")
        node.modelFolder = self.bundlePanel.ui.folderEdit.currentPath
        return ""

    def whyNotFolder(self):
        """Why no folder can be enhanced."""
        if self._parameterNode is None:
            return _("Not ready.")
        path = self.ui.folderEdit.currentPath
        if not path or not Path(path).is_dir():
            return _("Choose the folder of a BIDS dataset under Many scans.")
        return self.whyNotModel()

    # -- what the run panel asks for

    def prepare(self):
        """Write the job folder."""
        node, folder = self._parameterNode, self.logic.newJobFolder()
        nodes, settings = self.nodes(), to_dataclass(node.settings)
        self.job = nodes, self.kind(node, settings)
        self.runPanel.fileNames = write_job(folder, nodes, settings, self.devicePanel.device, node.seed)
        return folder

    def load(self, folder):
        """Load the results of a job."""
        node, (nodes, kind) = self._parameterNode, self.job
        loaded = load_outputs(folder, nodes, {"dwi": node.outputScan})
        self.results.loaded(loaded.nodes["dwi"], loaded.report)
        node.outputScan = loaded.nodes["dwi"]
        self.rates.learn(*kind, count_values(loaded.nodes["dwi"]), self.runPanel.seconds)
        self.onChanged()
        self.results.show()
        self.ui.resultsCollapsibleButton.collapsed = False
        return loaded.sentence

    def otherRun(self):
        """All scans of a BIDS dataset."""
        tip = _("Enhance every scan of the BIDS dataset under Many scans; one that fails does not stop the others.")
        return OtherRun(_("Enhance the folder"), tip, self.prepareFolder, self.loadFolder, self.whyNotFolder)

    def prepareFolder(self):
        """Write the job over a dataset."""
        node, folder = self._parameterNode, self.logic.newJobFolder()
        dataset, settings = Path(self.ui.folderEdit.currentPath), to_dataclass(node.settings)
        self.target, device = dataset / PIPELINE, self.devicePanel.device
        write_folder_job(folder, dataset, self.target, self.nodes().bundle, settings, device, node.seed)
        return folder

    def loadFolder(self, folder):
        """Show the summary of a dataset."""
        loaded = load_summary(self.target, SCANS, self._parameterNode.outputSummary)
        self._parameterNode.outputSummary = loaded.summary
        self.ui.folderCollapsibleButton.collapsed = False
        return loaded.sentence

    def repeat(self):
        """Restore what the selected result was made from and with."""
        node = self._parameterNode
        with slicer.util.NodeModify(node):
            restore(node, node.outputScan)
        if node.useModel:
            self.bundlePanel.ui.folderEdit.currentPath = node.modelFolder

    # -- buttons and choices that no parameter link covers

    def useModel(self, folder):
        """Use a model that was trained here for the next run."""
        self.bundlePanel.ui.folderEdit.currentPath = str(folder)
        self._parameterNode.useModel = True
        self.ui.modelCollapsibleButton.collapsed = False

    def onModel(self):
        """Another model was chosen."""
        if self._parameterNode:
            self.onChanged()

    def onSampleButton(self):
        """Make and load the sample scan, and choose it."""
        with slicer.util.tryWithErrorDisplay(_("The sample scan could not be made."), waitCursor=True):
            self._choose(load_sample_scan())

    def onOpenButton(self):
        """Load the file, and choose it."""
        with slicer.util.tryWithErrorDisplay(_("The scan could not be loaded."), waitCursor=True):
            if not self.ui.fileEdit.currentPath:
                raise InputError("No file is chosen.", "Choose one beside the button.")
            self._choose(open_scan(Path(self.ui.fileEdit.currentPath)))

    def _choose(self, scan):
        self._parameterNode.inputScan = scan
        show_scan(scan)

    def onEditMask(self):
        """Hand the mask to the Segment Editor, and use what is drawn there."""
        node = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("The mask could not be edited."), waitCursor=True):
            node.mask, image = mask_to_edit(node.inputScan, node.mask)
            hand_to_segment_editor(node.mask, image)
            show_scan(image)
        if hasattr(slicer.modules, "segmenteditor"):
            slicer.util.selectModule("SegmentEditor")


class DWMRIEnhanceLogic(MethodLogic):
    """Nodes in, nodes out."""

    parameterNodeClass = DWMRIEnhanceParameterNode

    def enhance(self, nodes, parameters=None, *, device="auto", seed=0, outputs=None, wait=True, onEvent=None):
        """Enhance a scan.

        Args:
            nodes: DwiNodes, the inputs.
            parameters: EnhanceParameters.
            device: "auto", "cpu", "cuda:0", ...
            seed: of every random number.
            outputs: role ("dwi") -> node of an earlier run to write into.
            wait: False returns the started JobRunner at once; poll it, then call `load_outputs` with its folder.
            onEvent: called with each event of the job while waiting.

        Returns:
            DwiResult, or the JobRunner.

        Raises:
            InputError: bad input. RuntimeError: the computation failed; the text says why and what to do.
        """
        folder = self.newJobFolder()
        write_job(folder, nodes, parameters or EnhanceParameters(), device, seed)
        runner = self.run(folder, wait, onEvent)
        return load_outputs(folder, nodes, outputs) if wait else runner


class DWMRIEnhanceTest(ScriptedLoadableModuleTest):
    """Runs in Slicer and in its stand-in; needs no network."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests; those that need PyTorch are skipped without it."""
        for test in (self.test_nothingChosenIsRefused, self.test_sampleScanIsEnhanced):
            self.setUp()
            try:
                test()
            except unittest.SkipTest as reason:
                logging.warning("%s skipped: %s", test.__name__, reason)

    def test_nothingChosenIsRefused(self):
        """Without inputs nothing starts, and the reason is said."""
        with self.assertRaises(InputError):
            DWMRIEnhanceLogic().enhance(DwiNodes(None))

    def test_sampleScanIsEnhanced(self):
        """The result has the gradients of the scan and less noise in its b0 volumes."""
        if torchVersion(userOverlay().folder) is None:
            self.skipTest("PyTorch is not installed")
        scan = load_sample_scan()
        result = DWMRIEnhanceLogic().enhance(DwiNodes(scan), EnhanceParameters(method=Method.PCA), device="cpu")
        before, after = gradients_of(scan), gradients_of(result.nodes["dwi"])
        self.assertTrue(np.array_equal(before.directions, after.directions))
        spread = [slicer.util.arrayFromVolume(each)[..., before.b0].std(axis=-1).mean()
                  for each in (scan, result.nodes["dwi"])]  # fmt: skip
        self.assertLess(spread[1], 0.7 * spread[0])
