"""Scar at every node of a heart mesh, from a few thick late gadolinium enhancement slices."""
# ruff: noqa: PT009, PT027  Slicer's self-tests are unittest tests

import logging
import sys
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import slicer
from slicer import (
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLModelNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
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
from deeprecon.panels.common.method_logic import MethodLogic
from deeprecon.panels.common.method_widget import MethodWidget
from deeprecon.panels.common.result_panel import ResultPanel
from deeprecon.panels.common.run_panel import OtherRun
from deeprecon.panels.common.run_times import RunTimes
from deeprecon.panels.computer.device_panel import userOverlay
from deeprecon.panels.computer.installation import torchVersion
from deeprecon.panels.scar.findings import ScarFindings
from deeprecon.panels.scar.widgets import LABELS, SegmentChoice, ThresholdChoice
from deeprecon.scar.parameters import Frame, Method, ReconstructParameters, Unit
from deeprecon.scene.common.results import discard, run_of
from deeprecon.scene.display.views import show_in_views
from deeprecon.scene.nodes.parameters import from_dataclass, parameter_pack, to_dataclass
from deeprecon.scene.nodes.segmentations import find_segments, segment_names
from deeprecon.scene.scar.check import VERB as CHECK
from deeprecon.scene.scar.check import load_check, sentence_of
from deeprecon.scene.scar.choices import (
    OUTPUTS,
    SEGMENTS,
    ScarSource,
    nodes_of,
    outputs_of,
    restore,
    settings_of,
    training_seconds,
)
from deeprecon.scene.scar.job import ScarNodes, write_job
from deeprecon.scene.scar.mesh_question import MeshQuestion
from deeprecon.scene.scar.result import SHOWN, is_result, load_outputs, show_result
from deeprecon.scene.scar.sample import load_sample_case

Settings = parameter_pack(ReconstructParameters)


class ScarReconstruction(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Scar Reconstruction")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Cardiac")]
        self.parent.dependencies = []
        self.parent.contributors = ["DeepRecon contributors"]
        self.parent.helpText = _(
            "Reconstructs scar at every node of a heart mesh from a few thick late gadolinium enhancement slices, with "
            "its uncertainty. <b>For research use only, not for diagnosis.</b> "
            'See the <a href="https://github.com/DeepRecon/DeepRecon">documentation</a>.'
        )
        self.parent.acknowledgementText = _("Part of the DeepRecon extension, licensed under Apache 2.0.")
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer the sample case in the Sample Data module; it is made by code and needs no network."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="DeepRecon",
        sampleName="Synthetic heart with scar",
        uris=["generated"],
        fileNames=["sample"],
        nodeNames=["Sample LGE"],
        thumbnailFileName=str(Path(__file__).parent / "Resources" / "Icons" / "ScarReconstruction.png"),
        customDownloader=lambda source=None: load_sample_case(),
    )


@parameterNodeWrapper
class ScarReconstructionParameterNode:
    """What the user chose.

    inputVolume - LGE images; needed when the scar comes from intensities.
    segmentation - holds the myocardium and, unless it comes from intensities, the scar.
    myocardiumSegment, scarSegment, noReflowSegment, remoteSegment - segment IDs, empty for none.
    knownSegments - segment IDs for which these were chosen.
    mesh - gets the scar at its nodes; made from the myocardium if none.
    landmarks - named points that tell the ventricle's axis and where the right ventricle meets it.
    segmentation2, inputVolume2, ... - of further stacks, such as long-axis slices.
    scarSource - scar segment or intensities.
    settings - of the method, see ReconstructParameters.
    seed - of every random number.
    outputMesh, outputSegmentation, outputTable, outputSlices - the result, used again by the next run.
    outputCheck - summary of the last cross-validation.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    myocardiumSegment: str = ""
    scarSegment: str = ""
    noReflowSegment: str = ""
    remoteSegment: str = ""
    knownSegments: list[str]
    mesh: vtkMRMLModelNode
    landmarks: vtkMRMLMarkupsFiducialNode
    segmentation2: vtkMRMLSegmentationNode
    inputVolume2: vtkMRMLScalarVolumeNode
    segmentation3: vtkMRMLSegmentationNode
    inputVolume3: vtkMRMLScalarVolumeNode
    segmentation4: vtkMRMLSegmentationNode
    inputVolume4: vtkMRMLScalarVolumeNode
    scarSource: ScarSource = ScarSource.SEGMENT
    settings: Settings
    seed: Annotated[int, WithinRange(0, 2**31 - 1)] = 0
    outputMesh: vtkMRMLModelNode
    outputSegmentation: vtkMRMLSegmentationNode
    outputTable: vtkMRMLTableNode
    outputSlices: vtkMRMLTableNode
    outputCheck: vtkMRMLTableNode


class ScarReconstructionWidget(MethodWidget):
    """The panel: inputs, observation, settings, device, run, results."""

    title = "Scar reconstruction"

    def __init__(self, parent=None):
        self.resultPanel = None
        self.findings = None
        self.segments = None
        self.threshold = None
        self.times = RunTimes("ScarReconstruction")
        self.question = MeshQuestion()
        self.job = None  # nodes, settings and device of the last run; others may be chosen while it runs
        self.reported = None, None  # result mesh and report of the last run
        self.labels = LABELS
        self.logicClass = ScarReconstructionLogic
        MethodWidget.__init__(self, parent)

    def connectWidgets(self):
        """Buttons, and choices that no parameter link covers."""
        ui = self.ui
        combos = ui.myocardiumCombo, ui.scarCombo, ui.noReflowCombo, ui.remoteCombo
        self.segments = SegmentChoice(dict(zip(SEGMENTS, combos, strict=True)), self.onSegments)
        self.threshold = ThresholdChoice(ui.thresholdRuleCombo, ui.thresholdSpinBox, self.onThreshold)
        layout = ui.resultFrame.layout()
        self.resultPanel = ResultPanel(layout, SHOWN, self.showResult, self.onChanged)
        self.findings = ScarFindings(layout, self.onDiscardCheck)
        self.resultPanel.setScene(slicer.mrmlScene)
        self.findings.setScene(slicer.mrmlScene)
        ui.sampleButton.connect("clicked(bool)", self.onSampleButton)
        ui.thicknessSpinBox.connect("valueChanged(double)", self.onThickness)

    # -- bringing the panel up to date

    def update(self, node):
        """Segments, settings, results; why a run cannot start."""
        self._updateSegments(node)
        settings = settings_of(node)
        self._updateSettings(node, settings)
        reasons = (self._updateResult(node), nodes_of(node).missing(), *settings.validate(), self.ui.questionLabel.text)
        return next((reason for reason in reasons if reason), "")

    def _updateResult(self, node):
        """Tables and segmentation go with the chosen mesh; returns why that cannot be the result."""
        mesh = node.outputMesh
        made = run_of(mesh) if mesh is not None and is_result(mesh) else {}
        for name, role in OUTPUTS.items():
            if name != "outputMesh":
                setattr(node, name, made.get(role))
        reportedMesh, report = self.reported
        report = report if mesh is reportedMesh else None
        check = run_of(node.outputCheck) if node.outputCheck is not None else {}
        tables = [each for each in (*made.values(), *check.values()) if each.IsA("vtkMRMLTableNode")]
        others = [each for each in tables if each is not node.outputTable]
        self.resultPanel.setResult(list(made.values()), node.outputTable, report, others)
        self.findings.setResult(made, report.with_name("bullseye.png") if report else None)
        self.findings.setCheck(check, sentence_of(node.outputCheck) if check else "")
        if made:
            arrays = mesh.GetMesh().GetPointData()
            self.resultPanel.offer([name for name in SHOWN if arrays.HasArray(name)])
        if mesh is not None and not made:
            return f"{mesh.GetName()} is no result and would be overwritten: choose another result mesh, or create one."
        return ""

    def _updateSegments(self, node):
        segments = segment_names(node.segmentation)
        if list(node.knownSegments) != list(segments):
            node.knownSegments = list(segments)
            for name, role in SEGMENTS.items():
                if getattr(node, name) not in segments:
                    setattr(node, name, find_segments(node.segmentation).get(role, ""))
        self.segments.show(segments, {name: getattr(node, name) for name in SEGMENTS})

    def _updateSettings(self, node, settings):
        ui = self.ui
        byIntensity = node.scarSource is ScarSource.INTENSITIES
        show(byIntensity, ui.thresholdFrame, ui.thresholdFrameLabel, ui.remoteCombo, ui.remoteComboLabel)
        show(byIntensity, ui.coreThresholdEdit, ui.coreThresholdEditLabel)
        show(not byIntensity, ui.scarCombo, ui.scarComboLabel, ui.noReflowCombo, ui.noReflowComboLabel)
        trained, isNetwork = settings.method is not Method.INTERPOLATION, settings.method is Method.MLP
        show(trained, ui.budgetSpinBox, ui.budgetSpinBoxLabel, ui.stepsSpinBox, ui.stepsSpinBoxLabel)
        show(isNetwork, ui.networkCombo, ui.networkComboLabel, ui.samplesSpinBox, ui.samplesSpinBoxLabel)
        show(not trained, ui.interpolationCombo, ui.interpolationComboLabel)
        self.threshold.show(settings.threshold)
        ui.thicknessSpinBox.value = settings.slice_thickness or 0.0
        nodes = nodes_of(node)
        question = self.question.ask(nodes)
        ui.questionLabel.text = question
        answered = settings.mesh_unit is not Unit.AUTO or settings.mesh_frame is not Frame.AUTO
        ui.questionFrame.visible = bool(question) or answered
        kind = settings.method.value, self.devicePanel.device
        self.runPanel.setEstimate(self.times.sentence(*kind, training_seconds(settings, nodes)))

    # -- what the run panel asks for

    def prepare(self):
        """Write the job folder."""
        return self._prepare("reconstruct")

    def _prepare(self, verb):
        node = self._parameterNode
        folder = self.logic.newJobFolder()
        self.job = nodes, settings, device = nodes_of(node), settings_of(node), self.devicePanel.device
        self.runPanel.fileNames = write_job(folder, nodes, settings, device, node.seed, verb)
        return folder

    def load(self, folder):
        """Load the results of a job."""
        node, (nodes, settings, device) = self._parameterNode, self.job
        loaded = load_outputs(folder, nodes, outputs_of(node))
        self.reported = loaded.nodes["mesh"], loaded.report
        with slicer.util.NodeModify(node):
            for name, role in OUTPUTS.items():
                setattr(node, name, loaded.nodes.get(role))
        self.times.learn(settings.method.value, device, training_seconds(settings, nodes), self.runPanel.seconds)
        for covered in (nodes.mesh, nodes.segmentation if "segmentation" in loaded.nodes else None):
            if covered is not None:
                covered.SetDisplayVisibility(False)  # the result lies exactly on it
        self.showResult(self.resultPanel.shown)
        self.ui.resultsCollapsibleButton.collapsed = False
        return loaded.sentence

    def otherRun(self):
        """Cross-validation."""
        tip = _("Hide each slice in turn, foretell it from the others with this method and with every interpolation, "
                "and compare. Takes about as long as one run for each slice.")  # fmt: skip
        return OtherRun(_("Cross-validate"), tip, lambda: self._prepare(CHECK), self.loadCheck)

    def loadCheck(self, folder):
        """Load the tables of a cross-validation."""
        node = self._parameterNode
        loaded = load_check(folder, self.job[0], node.outputCheck)
        node.outputCheck = loaded.nodes["summary"]
        self.findings.openCheck()
        self.ui.resultsCollapsibleButton.collapsed = False
        return loaded.sentence

    def repeat(self):
        """Restore what the selected result was made from and with."""
        with slicer.util.NodeModify(self._parameterNode):
            restore(self._parameterNode, self._parameterNode.outputMesh)

    # -- buttons and choices that no parameter link covers

    def onSegments(self, chosen):
        """Another segment was chosen."""
        if self._parameterNode and not self._updating:
            with slicer.util.NodeModify(self._parameterNode):
                for name, key in chosen.items():
                    setattr(self._parameterNode, name, key)

    def onThreshold(self, threshold):
        """Another threshold was chosen."""
        if self._parameterNode and not self._updating:
            self._parameterNode.settings.threshold = threshold

    def onThickness(self, value):
        """Another slice thickness; 0 leaves it to the images."""
        if self._parameterNode and not self._updating:
            settings = replace(to_dataclass(self._parameterNode.settings), slice_thickness=value or None)
            from_dataclass(self._parameterNode.settings, settings)

    def onSampleButton(self):
        """Make and load the sample case, and choose it."""
        with slicer.util.tryWithErrorDisplay(_("The sample case could not be made."), waitCursor=True):
            volume, segmentation, mesh, landmarks = load_sample_case()
            node = self._parameterNode
            with slicer.util.NodeModify(node):
                node.inputVolume, node.segmentation = volume, segmentation
                node.mesh, node.landmarks = mesh, landmarks
            show_in_views(volume, segmentation)

    def onDiscardCheck(self):
        """The cross-validation is not wanted any more."""
        discard(run_of(self._parameterNode.outputCheck).values())
        self.onChanged()

    def showResult(self, name):
        """Mesh in 3D colored by an array with its legend, outlines on the slices."""
        if self._parameterNode and self._parameterNode.outputMesh is not None:
            show_result(self._parameterNode.outputMesh, name)


def show(visible, *widgets):
    """Show or hide widgets."""
    for widget in widgets:
        widget.visible = visible


class ScarReconstructionLogic(MethodLogic):
    """Nodes in, nodes out."""

    parameterNodeClass = ScarReconstructionParameterNode

    def reconstruct(self, nodes, parameters=None, *, device="auto", seed=0, outputs=None, wait=True, onEvent=None):
        """Reconstruct scar.

        Args:
            nodes: ScarNodes, the inputs.
            parameters: ReconstructParameters.
            device: "auto", "cpu", "cuda:0", ...
            seed: of every random number.
            outputs: role ("mesh", "segmentation", "table", "slices") -> node to write into.
            wait: False returns the started JobRunner at once; poll it, then call `load_outputs` with its folder.
            onEvent: called with each event of the job while waiting.

        Returns:
            ScarResult, or the JobRunner.

        Raises:
            InputError: bad input. RuntimeError: the computation failed; the text says why and what to do.
        """
        folder = self.newJobFolder()
        write_job(folder, nodes, parameters or ReconstructParameters(), device, seed)
        runner = self.run(folder, wait, onEvent)
        return load_outputs(folder, nodes, outputs) if wait else runner

    def crossValidate(self, nodes, parameters=None, *, device="auto", seed=0, summary=None, wait=True, onEvent=None):
        """Hide each slice in turn and foretell it from the others; every interpolation beside the chosen method.

        Args, returns and raises as `reconstruct`, with ScarCheck and `load_check` in place of ScarResult and
        `load_outputs`; `summary` is the table of an earlier cross-validation to write into.
        """
        folder = self.newJobFolder()
        write_job(folder, nodes, parameters or ReconstructParameters(), device, seed, CHECK)
        runner = self.run(folder, wait, onEvent)
        return load_check(folder, nodes, summary) if wait else runner


class ScarReconstructionTest(ScriptedLoadableModuleTest):
    """Runs in Slicer and in its stand-in; needs no network."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests; those that need PyTorch are skipped without it."""
        for test in (self.test_nothingChosenIsRefused, self.test_sampleCaseIsReconstructed):
            self.setUp()
            try:
                test()
            except unittest.SkipTest as reason:
                logging.warning("%s skipped: %s", test.__name__, reason)

    def test_nothingChosenIsRefused(self):
        """Without inputs nothing starts, and the reason is said."""
        with self.assertRaises(InputError):
            ScarReconstructionLogic().reconstruct(ScarNodes(None))

    def test_sampleCaseIsReconstructed(self):
        """Every node of the sample mesh gets a probability, and scar is found."""
        if torchVersion(userOverlay().folder) is None:
            self.skipTest("PyTorch is not installed")
        volume, segmentation, mesh, landmarks = load_sample_case()
        nodes = ScarNodes(segmentation, find_segments(segmentation), volume, mesh, landmarks=landmarks)
        result = ScarReconstructionLogic().reconstruct(nodes, ReconstructParameters(steps=50), device="cpu")
        probability = slicer.util.arrayFromModelPointData(result.nodes["mesh"], "scar_probability")
        self.assertEqual(len(probability), mesh.GetMesh().GetNumberOfPoints())
        self.assertTrue(probability.min() >= 0 and 0.5 < probability.max() <= 1)
