"""One chest X-ray to a synthetic CT pulmonary angiogram, with its spread and checks that say how far to trust it."""
# ruff: noqa: PT009, PT027  Slicer's self-tests are unittest tests

import logging
import sys
import unittest
from pathlib import Path
from typing import Annotated

import numpy as np
import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLTableNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

try:
    import deeprecon  # noqa: F401  beside this file in a build and in an installed extension
except ImportError:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "Logic"))  # in the source tree

from deeprecon.ctpa.memory import describe_estimate, estimate_resources
from deeprecon.ctpa.parameters import SynthesizeParameters, TrainAutoencoderParameters, TrainDiffusionParameters
from deeprecon.data.errors import InputError
from deeprecon.panels.common.bundle_panel import BundlePanel
from deeprecon.panels.common.method_logic import MethodLogic
from deeprecon.panels.common.method_widget import MethodWidget
from deeprecon.panels.common.result_panel import ResultPanel
from deeprecon.panels.common.run_panel import OtherRun
from deeprecon.panels.common.run_times import RunRates
from deeprecon.panels.common.training_panel import TrainingPanel
from deeprecon.panels.computer.device_panel import userOverlay
from deeprecon.panels.computer.installation import torchVersion
from deeprecon.panels.ctpa.findings import CtpaFindings
from deeprecon.panels.ctpa.widgets import AUTOENCODER, DIFFUSION, LABELS, XrayPreview, readDemonstrator
from deeprecon.scene.common.folder_summary import XRAYS, load_summary
from deeprecon.scene.common.results import run_of
from deeprecon.scene.ctpa.job import CtpaNodes, write_folder_job, write_job
from deeprecon.scene.ctpa.mark import SyntheticMark
from deeprecon.scene.ctpa.result import is_result, load_outputs, restore, verdict_of
from deeprecon.scene.ctpa.sample import load_sample_xray
from deeprecon.scene.ctpa.views import PICTURES, offered, show_picture, show_xray
from deeprecon.scene.ctpa.xray import open_xray
from deeprecon.scene.nodes.parameters import parameter_pack, to_dataclass

Settings = parameter_pack(SynthesizeParameters)
AutoencoderSettings = parameter_pack(TrainAutoencoderParameters)
DiffusionSettings = parameter_pack(TrainDiffusionParameters)


class CTPASynthesis(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CTPA Synthesis")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["DeepRecon contributors"]
        self.parent.helpText = _(
            "Makes synthetic CT pulmonary angiograms that fit one frontal chest X-ray, shows how much they differ from "
            "each other, and holds their projection against the X-ray. What they show is made up by a model. <b>For "
            "research use only, not for diagnosis.</b> "
            'See the <a href="https://github.com/DeepRecon/DeepRecon">documentation</a>.'
        )
        self.parent.acknowledgementText = _("Part of the DeepRecon extension, licensed under Apache 2.0.")
        slicer.app.connect("startupCompleted()", onStartupCompleted)


def onStartupCompleted():
    """Mark synthetic volumes also where the module is never opened, and offer the sample X-ray in Sample Data."""
    import SampleData

    SyntheticMark.start()
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="DeepRecon",
        sampleName="Synthetic chest X-ray",
        uris=["generated"],
        fileNames=["sample"],
        nodeNames=["Sample chest X-ray"],
        thumbnailFileName=str(Path(__file__).parent / "Resources" / "Icons" / "CTPASynthesis.png"),
        customDownloader=lambda source=None: [load_sample_xray()],
    )


@parameterNodeWrapper
class CTPASynthesisParameterNode:
    """What the user chose.

    xray - frontal chest X-ray, a volume of a single slice.
    useModel, modelFolder - use a model of the user's in place of the demonstrator, and where it is.
    settings - of the synthesis, see SynthesizeParameters.
    autoencoderTraining, diffusionTraining - settings of the trainings.
    seed - of every random number.
    outputCt - the result, used again by the next run.
    outputSummary - table of the last run over a folder.
    """

    xray: vtkMRMLScalarVolumeNode
    useModel: bool = False
    modelFolder: str = ""
    settings: Settings
    autoencoderTraining: AutoencoderSettings
    diffusionTraining: DiffusionSettings
    seed: Annotated[int, WithinRange(0, 2**31 - 1)] = 0
    outputCt: vtkMRMLScalarVolumeNode
    outputSummary: vtkMRMLTableNode


class CTPASynthesisWidget(MethodWidget):
    """The panel: X-ray, model, volume, device, run, results, folder, training."""

    title = "CT synthesis"

    def __init__(self, parent=None):
        self.preview = None
        self.bundlePanel = None
        self.demonstrator, self.whyNotDemonstrator = None, ""
        self.resultPanel = None
        self.findings = None
        self.rates = RunRates("CTPASynthesis")
        self.job = None  # nodes and kind of the last run; others may be chosen while it runs
        self.target = None  # folder of the last run over one
        self.reported = None, None  # result and report of the last run
        self.labels = LABELS
        self.logicClass = CTPASynthesisLogic
        MethodWidget.__init__(self, parent)

    def connectWidgets(self):
        """Buttons, and choices that no parameter link covers."""
        ui = self.ui
        SyntheticMark.start()
        self.demonstrator, self.whyNotDemonstrator = readDemonstrator()
        self.preview = XrayPreview(ui.previewLabel, ui.xrayLabel, [ui.rightLabel, ui.leftLabel])
        self.bundlePanel = BundlePanel(ui.modelFrame.layout(), "ctpa", self.onModel)
        self.findings = CtpaFindings(ui.resultFrame.layout(), self.onChanged, self.onExport)
        self.resultPanel = ResultPanel(ui.resultFrame.layout(), PICTURES, self.showResult, self.onChanged)
        self.resultPanel.setWords(_("Show:"), _("What the slice views show."))
        self.resultPanel.setScene(slicer.mrmlScene)
        self.runPanel.ui.curvesCollapsibleButton.visible = False  # a synthesis learns nothing
        self.trainingPanels = [
            TrainingPanel(ui.autoencoderCollapsibleButton.layout(), AUTOENCODER, self.devicePanel, self.useAutoencoder),
            TrainingPanel(ui.diffusionCollapsibleButton.layout(), DIFFUSION, self.devicePanel, self.useModel),
        ]
        ui.sampleButton.connect("clicked(bool)", self.onSampleButton)
        ui.openButton.connect("clicked(bool)", self.onOpenButton)
        for edit in (ui.folderEdit, ui.targetEdit):
            edit.connect("currentPathChanged(QString)", self.onChanged)

    def cleanup(self):
        """The module is closed or reloaded."""
        SyntheticMark.stop()
        MethodWidget.cleanup(self)

    # -- bringing the panel up to date

    def update(self, node):
        """Preview, model, estimate, results; why a run cannot start."""
        ui, settings = self.ui, to_dataclass(node.settings)
        ui.modelFrame.visible = node.useModel
        ui.modelLabel.text = self.modelWords(node)
        ui.folderTable.setMRMLTableNode(node.outputSummary)
        ui.folderTable.visible = node.outputSummary is not None
        ui.folderLabel.text = self.whyNotFolder() or _("Press “All of the folder” under Run.")
        problem = self.preview.show(node.xray, settings)
        self._updateEstimate(node, settings)
        reasons = (self._updateResult(node), self.nodes().missing(), problem, *settings.validate(), self.whyNotModel())
        return next((reason for reason in reasons if reason), "")

    def _updateEstimate(self, node, settings):
        """Time and memory, before the run."""
        bundle = self.bundlePanel.bundle if node.useModel else self.demonstrator
        memory = (
            ""
            if bundle is None
            else _("It takes {need}.").format(need=describe_estimate(estimate_resources(settings, bundle.parameters)))
        )
        self.runPanel.setEstimate(f"{self.rates.sentence(*self.kind(settings), self.work(settings))} {memory}".strip())

    def _updateResult(self, node):
        """Pictures and table go with the chosen CT; returns why that cannot be the result."""
        ct = node.outputCt
        made = run_of(ct) if ct is not None and is_result(ct) else {}
        reportedCt, report = self.reported
        self.resultPanel.setResult(list(made.values()), made.get("figures"), report if ct is reportedCt else None)
        if made:
            self.resultPanel.offer(offered(ct))
        self.findings.setResult(ct if made else None)
        if ct is not None and not made:
            words = _("{name} is no result and would be overwritten: choose another one, or create one.")
            return words.format(name=ct.GetName())
        return ""

    def nodes(self):
        """The X-ray and the model that were chosen."""
        node = self._parameterNode
        return CtpaNodes(node.xray, Path(node.modelFolder) if node.useModel else None)

    def kind(self, settings):
        """What decides how fast a run is."""
        model = "model" if self._parameterNode.useModel else "demonstrator"
        return f"{model}-{settings.preset.value}", self.devicePanel.device

    def work(self, settings):
        """A measure of how much a run of one kind computes."""
        return settings.samples * (10 + settings.steps)  # decoding takes as long as some steps

    def modelWords(self, node):
        """The model that will be used, in words."""
        if node.useModel:
            return _("The model below is used; its card says what it is for.")
        return self.whyNotDemonstrator or self.demonstrator.metadata["description"]

    def whyNotModel(self):
        """Why the chosen model cannot be used."""
        node = self._parameterNode
        if not node.useModel:
            return self.whyNotDemonstrator
        if self.bundlePanel.bundle is None:
            return _("Choose the folder of a model of your own, or use the demonstrator.")
        node.modelFolder = self.bundlePanel.ui.folderEdit.currentPath
        return ""

    def whyNotFolder(self):
        """Why no folder can be worked through."""
        if self.ui is None:
            return _("Not ready.")
        xrays, target = self.ui.folderEdit.currentPath, self.ui.targetEdit.currentPath
        if not xrays or not Path(xrays).is_dir():
            return _("Choose the folder of the X-rays under Many X-rays.")
        return self.whyNotModel() if target else _("Choose the folder of the results under Many X-rays.")

    # -- what the run panel asks for

    def prepare(self):
        """Write the job folder."""
        node, folder = self._parameterNode, self.logic.newJobFolder()
        nodes, settings = self.nodes(), to_dataclass(node.settings)
        self.job = nodes, self.kind(settings), self.work(settings)
        self.runPanel.fileNames = write_job(folder, nodes, settings, self.devicePanel.device, node.seed)
        return folder

    def load(self, folder):
        """Load the results of a job."""
        node, (nodes, kind, work) = self._parameterNode, self.job
        loaded = load_outputs(folder, nodes, {"ct": node.outputCt})
        self.reported = loaded.nodes["ct"], loaded.report
        node.outputCt = loaded.nodes["ct"]
        self.rates.learn(*kind, work, self.runPanel.seconds)
        told = verdict_of(node.outputCt).reasons  # they stand under Results
        self.runPanel.warnings = [each for each in self.runPanel.warnings if each not in told]
        self.onChanged()
        self.showResult(self.resultPanel.shown)
        self.ui.resultsCollapsibleButton.collapsed = False
        return loaded.sentence

    def otherRun(self):
        """All X-rays of a folder."""
        tip = _("Make a CT of every X-ray in the folder under Many X-rays; one that fails does not stop the others.")
        return OtherRun(_("All of the folder"), tip, self.prepareFolder, self.loadFolder, self.whyNotFolder)

    def prepareFolder(self):
        """Write the job over a folder."""
        node, folder, ui = self._parameterNode, self.logic.newJobFolder(), self.ui
        xrays, self.target = Path(ui.folderEdit.currentPath), Path(ui.targetEdit.currentPath)
        settings, device = to_dataclass(node.settings), self.devicePanel.device
        write_folder_job(folder, xrays, self.target, self.nodes().bundle, settings, device, node.seed)
        return folder

    def loadFolder(self, folder):
        """Show the summary of a folder."""
        loaded = load_summary(self.target, XRAYS, self._parameterNode.outputSummary)
        self._parameterNode.outputSummary = loaded.summary
        self.ui.folderCollapsibleButton.collapsed = False
        return loaded.sentence

    def onExport(self):
        """Write the result as a DICOM series."""

        def prepare():
            folder = self.logic.newJobFolder()
            self.findings.prepareExport(folder)
            return folder

        self.runPanel.start(
            OtherRun("", "", prepare, lambda folder: self.findings.exported(), self.findings.whyNotExport)
        )

    def repeat(self):
        """Restore what the selected result was made from and with."""
        node = self._parameterNode
        with slicer.util.NodeModify(node):
            restore(node, node.outputCt)
        if node.useModel:
            self.bundlePanel.ui.folderEdit.currentPath = node.modelFolder

    # -- buttons and choices that no parameter link covers

    def useModel(self, folder):
        """Use a model that was trained here for the next run."""
        self.bundlePanel.ui.folderEdit.currentPath = str(folder)
        self._parameterNode.useModel = True

    def useAutoencoder(self, folder):
        """Train the diffusion with an autoencoder that was trained here."""
        self.trainingPanels[1].inputs["bundle"].currentPath = str(folder)
        self.ui.diffusionCollapsibleButton.collapsed = False

    def onModel(self):
        """Another model was chosen."""
        if self._parameterNode:
            self.onChanged()

    def onSampleButton(self):
        """Make and load the sample X-ray, and choose it."""
        with slicer.util.tryWithErrorDisplay(_("The sample X-ray could not be made."), waitCursor=True):
            self._choose(load_sample_xray())

    def onOpenButton(self):
        """Load the file, and choose it."""
        with slicer.util.tryWithErrorDisplay(_("The X-ray could not be loaded."), waitCursor=True):
            if not self.ui.fileEdit.currentPath:
                raise InputError("No file is chosen.", "Choose one beside the button.")
            self._choose(open_xray(Path(self.ui.fileEdit.currentPath)))

    def _choose(self, xray):
        self._parameterNode.xray = xray
        show_xray(xray)

    def showResult(self, name):
        """The mean, a sample or the spread in the slice views."""
        node = self._parameterNode
        if node and node.outputCt is not None and is_result(node.outputCt):
            show_picture(node.outputCt, name, self.findings.window)


class CTPASynthesisLogic(MethodLogic):
    """Nodes in, nodes out."""

    parameterNodeClass = CTPASynthesisParameterNode

    def synthesize(self, nodes, parameters=None, *, device="auto", seed=0, outputs=None, wait=True, onEvent=None):
        """Make a synthetic CT of an X-ray.

        Args:
            nodes: CtpaNodes, the inputs.
            parameters: SynthesizeParameters.
            device: "auto", "cpu", "cuda:0", ...
            seed: of every random number.
            outputs: role ("ct") -> node of an earlier run to write into.
            wait: False returns the started JobRunner at once; poll it, then call `load_outputs` with its folder.
            onEvent: called with each event of the job while waiting.

        Returns:
            CtpaResult, or the JobRunner.

        Raises:
            InputError: bad input. RuntimeError: the computation failed; the text says why and what to do.
        """
        folder = self.newJobFolder()
        write_job(folder, nodes, parameters or SynthesizeParameters(), device, seed)
        runner = self.run(folder, wait, onEvent)
        return load_outputs(folder, nodes, outputs) if wait else runner


class CTPASynthesisTest(ScriptedLoadableModuleTest):
    """Runs in Slicer and in its stand-in; needs no network."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests; those that need PyTorch are skipped without it."""
        for test in (self.test_nothingChosenIsRefused, self.test_sampleXrayBecomesCt):
            self.setUp()
            try:
                test()
            except unittest.SkipTest as reason:
                logging.warning("%s skipped: %s", test.__name__, reason)

    def test_nothingChosenIsRefused(self):
        """Without an X-ray nothing starts, and the reason is said."""
        with self.assertRaises(InputError):
            CTPASynthesisLogic().synthesize(CtpaNodes(None))

    def test_sampleXrayBecomesCt(self):
        """The demonstrator makes a volume in HU that is named as synthetic."""
        if torchVersion(userOverlay().folder) is None:
            self.skipTest("PyTorch is not installed")
        settings = SynthesizeParameters(samples=1, steps=4)
        result = CTPASynthesisLogic().synthesize(CtpaNodes(load_sample_xray()), settings, device="cpu")
        ct = result.nodes["ct"]
        self.assertIn("(SYNTHETIC)", ct.GetName())
        values = slicer.util.arrayFromVolume(ct)
        self.assertEqual(values.dtype, np.int16)
        self.assertLess(values.min(), -800)
        self.assertGreater(values.max(), 100)
