"""Scar at every node of a heart mesh, from a few thick late gadolinium enhancement slices."""
# ruff: noqa: PT009, PT027  Slicer's self-tests are unittest tests

import enum
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
from deeprecon.jobs.parameters import from_json
from deeprecon.panels.device_panel import userOverlay
from deeprecon.panels.installation import torchVersion
from deeprecon.panels.method_logic import MethodLogic
from deeprecon.panels.method_widget import MethodWidget
from deeprecon.panels.result_panel import ResultPanel
from deeprecon.panels.run_times import RunTimes
from deeprecon.scar.parameters import Frame, Method, ReconstructParameters, Unit
from deeprecon.scene.models import show_scalars
from deeprecon.scene.parameters import from_dataclass, parameter_pack, to_dataclass
from deeprecon.scene.provenance import provenance_of
from deeprecon.scene.results import run_of
from deeprecon.scene.scar_job import MeshQuestion, ScarNodes, is_result, load_outputs, recall, tells_core, write_job
from deeprecon.scene.scar_sample import load_sample_case
from deeprecon.scene.segmentations import find_segments, segment_names
from deeprecon.scene.views import show_in_views

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


class ScarSource(enum.Enum):
    """What the slices say about the scar."""

    SEGMENT = "segment"
    INTENSITIES = "intensities"


@parameterNodeWrapper
class ScarReconstructionParameterNode:
    """What the user chose.

    inputVolume - LGE images; needed when the scar comes from intensities.
    segmentation - holds the myocardium and, unless it comes from intensities, the scar.
    myocardiumSegment, scarSegment, noReflowSegment, remoteSegment - segment IDs, empty for none.
    knownSegments - segment IDs for which these were chosen.
    mesh - gets the scar at its nodes; made from the myocardium if none.
    landmarks - named points that tell the ventricle's axis and where the right ventricle meets it.
    scarSource - scar segment or intensities.
    settings - of the method, see ReconstructParameters.
    seed - of every random number.
    outputMesh, outputSegmentation, outputTable, outputSlices - the result, used again by the next run.
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
    scarSource: ScarSource = ScarSource.SEGMENT
    settings: Settings
    seed: Annotated[int, WithinRange(0, 2**31 - 1)] = 0
    outputMesh: vtkMRMLModelNode
    outputSegmentation: vtkMRMLSegmentationNode
    outputTable: vtkMRMLTableNode
    outputSlices: vtkMRMLTableNode


THRESHOLD_RULES = {"nsd": ("SD above healthy wall", 5.0), "fwhm": ("half of the maximum (FWHM)", 50.0),
                   "max": ("% of the maximum", 60.0), "otsu": ("automatic (Otsu)", 0.0)}  # fmt: skip
LABELS = {  # in the order of the enums
    "methodCombo": (
        "Neural field (smooth, with uncertainty)",
        "Coordinate network (dropout uncertainty)",
        "Interpolation (instant)",
    ),
    "interpolationCombo": (
        "Nearest slice",
        "Linear",
        "Signed distance (shape-based)",
        "Log-odds",
        "Linear along the wall",
        "Signed distance along the wall",
    ),
    "observationCombo": ("Keep partial pixels", "Round to scar or healthy"),
    "alignmentCombo": ("Bring them onto the mesh", "Leave them"),
    "projectionCombo": ("Make the nodes agree with every pixel", "As the method finds"),
    "scarSourceCombo": ("The scar segment", "Intensities of the LGE volume"),
    "meshUnitCombo": ("As the scene: millimeters", "Millimeters", "Centimeters", "Meters", "Micrometers"),
    "meshFrameCombo": ("As the scene: RAS", "Right, anterior, superior (RAS)", "Left, posterior, superior (LPS)"),
}
SHOWN = {
    "scar_probability": "Scar probability",
    "scar_uncertainty": "Uncertainty",
    "scar_entropy": "Entropy (bits)",
    "scar_binary": "Scar or healthy",
    "scar_transmurality": "Transmurality",
}


class ScarReconstructionWidget(MethodWidget):
    """The panel: inputs, observation, settings, device, run, results."""

    title = "Scar reconstruction"

    def __init__(self, parent=None):
        self.resultPanel = None
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
        for text, _number in THRESHOLD_RULES.values():
            ui.thresholdRuleCombo.addItem(text)
        self.resultPanel = ResultPanel(ui.resultFrame.layout(), SHOWN, self.showResult, self.onChanged)
        self.resultPanel.setScene(slicer.mrmlScene)
        ui.sampleButton.connect("clicked(bool)", self.onSampleButton)
        ui.thresholdRuleCombo.connect("currentIndexChanged(int)", self.onThresholdRule)
        ui.thresholdSpinBox.connect("valueChanged(double)", self.onThresholdNumber)
        ui.thicknessSpinBox.connect("valueChanged(double)", self.onThickness)
        for combo in self._segmentCombos():
            combo.connect("currentIndexChanged(int)", self.onSegment)

    def _segmentCombos(self):
        return self.ui.myocardiumCombo, self.ui.scarCombo, self.ui.noReflowCombo, self.ui.remoteCombo

    # -- bringing the panel up to date

    def update(self, node):
        """Segments, settings, results; why a run cannot start."""
        self._updateSegments(node)
        settings = settingsOf(node)
        self._updateSettings(node, settings)
        reasons = (self._updateResult(node), nodesOf(node).missing(), *settings.validate(), self.ui.questionLabel.text)
        return next((reason for reason in reasons if reason), "")

    def _updateResult(self, node):
        """Table and segmentation go with the chosen mesh; returns why that cannot be the result."""
        mesh = node.outputMesh
        made = run_of(mesh) if mesh is not None and is_result(mesh) else {}
        for name, role in OUTPUTS.items():
            if name != "outputMesh":
                setattr(node, name, made.get(role))
        reportedMesh, report = self.reported
        self.resultPanel.setResult(list(made.values()), node.outputTable, report if mesh is reportedMesh else None)
        if made:
            arrays = mesh.GetMesh().GetPointData()
            self.resultPanel.offer([name for name in SHOWN if arrays.HasArray(name)])
        if mesh is not None and not made:
            return f"{mesh.GetName()} is no result and would be overwritten: choose another result mesh, or create one."
        return ""

    def _updateSegments(self, node):
        segments = segment_names(node.segmentation)
        areNew = list(node.knownSegments) != list(segments)
        if areNew:
            node.knownSegments = list(segments)
        for (name, role), combo in zip(SEGMENTS.items(), self._segmentCombos(), strict=True):
            if areNew and getattr(node, name) not in segments:
                setattr(node, name, find_segments(node.segmentation).get(role, ""))
            wasBlocked = combo.blockSignals(True)
            combo.clear()
            for key, text in {"": _("None"), **segments}.items():
                combo.addItem(text, key)
            combo.currentIndex = combo.findData(getattr(node, name))
            combo.blockSignals(wasBlocked)

    def _updateSettings(self, node, settings):
        ui = self.ui
        byIntensity = node.scarSource is ScarSource.INTENSITIES
        show(byIntensity, ui.thresholdFrame, ui.thresholdFrameLabel, ui.remoteCombo, ui.remoteComboLabel)
        show(byIntensity, ui.coreThresholdEdit, ui.coreThresholdEditLabel)
        show(not byIntensity, ui.scarCombo, ui.scarComboLabel, ui.noReflowCombo, ui.noReflowComboLabel)
        trained = settings.method is not Method.INTERPOLATION
        show(trained, ui.budgetSpinBox, ui.budgetSpinBoxLabel, ui.stepsSpinBox, ui.stepsSpinBoxLabel)
        show(not trained, ui.interpolationCombo, ui.interpolationComboLabel)
        rule, _colon, number = settings.threshold.partition(":")
        if rule in THRESHOLD_RULES:  # else a script set it, and the run says what is wrong
            ui.thresholdRuleCombo.currentIndex = list(THRESHOLD_RULES).index(rule)
        ui.thresholdSpinBox.visible = rule in ("nsd", "max")
        if number.replace(".", "", 1).isdecimal():
            ui.thresholdSpinBox.value = float(number)
        ui.thicknessSpinBox.value = settings.slice_thickness or 0.0
        question = self.question.ask(nodesOf(node))
        ui.questionLabel.text = question
        answered = settings.mesh_unit is not Unit.AUTO or settings.mesh_frame is not Frame.AUTO
        ui.questionFrame.visible = bool(question) or answered
        kind = settings.method.value, self.devicePanel.device
        self.runPanel.setEstimate(self.times.sentence(*kind, trainingSeconds(settings, nodesOf(node))))

    # -- what the run panel asks for

    def prepare(self):
        """Write the job folder."""
        node = self._parameterNode
        folder = self.logic.newJobFolder()
        self.job = nodes, settings, device = nodesOf(node), settingsOf(node), self.devicePanel.device
        self.runPanel.fileNames = write_job(folder, nodes, settings, device, node.seed)
        return folder

    def load(self, folder):
        """Load the results of a job."""
        node, (nodes, settings, device) = self._parameterNode, self.job
        loaded = load_outputs(folder, nodes, outputsOf(node))
        self.reported = loaded.nodes["mesh"], loaded.report
        with slicer.util.NodeModify(node):
            for name, role in OUTPUTS.items():
                setattr(node, name, loaded.nodes.get(role))
        self.times.learn(settings.method.value, device, trainingSeconds(settings, nodes), self.runPanel.seconds)
        for covered in (nodes.mesh, nodes.segmentation if "segmentation" in loaded.nodes else None):
            if covered is not None:
                covered.SetDisplayVisibility(False)  # the result lies exactly on it
        self.showResult(self.resultPanel.shown)
        self.ui.resultsCollapsibleButton.collapsed = False
        return loaded.sentence

    def repeat(self):
        """Restore what the selected result was made from and with."""
        node = self._parameterNode
        if node.outputMesh is None:
            raise InputError("No result is selected.", "Choose one under Results.")
        nodes, provenance = recall(node.outputMesh), provenance_of(node.outputMesh)
        with slicer.util.NodeModify(node):
            node.inputVolume, node.segmentation, node.mesh = nodes.volume, nodes.segmentation, nodes.mesh
            node.landmarks = nodes.landmarks
            for name, role in SEGMENTS.items():
                setattr(node, name, nodes.segments.get(role, ""))
            node.scarSource = ScarSource.INTENSITIES if nodes.from_intensities else ScarSource.SEGMENT
            node.seed = provenance.get("seed", 0)
            settings = from_json(ReconstructParameters, provenance["parameters"])
            settings = replace(settings, mesh_unit=nodes.mesh_unit, mesh_frame=nodes.mesh_frame)
            from_dataclass(node.settings, settings)

    # -- buttons and choices that no parameter link covers

    def onSegment(self, index):
        """Another segment was chosen."""
        if self._parameterNode and not self._updating:
            for combo, name in zip(self._segmentCombos(), SEGMENTS, strict=True):
                setattr(self._parameterNode, name, combo.currentData or "")

    def onThresholdRule(self, index):
        """Another threshold rule was chosen: begin with its usual number."""
        if self._parameterNode and not self._updating:
            rule = list(THRESHOLD_RULES)[index]
            number = THRESHOLD_RULES[rule][1]
            self._parameterNode.settings.threshold = f"{rule}:{number:g}" if rule in ("nsd", "max") else rule

    def onThresholdNumber(self, value):
        """Another number for the threshold rule."""
        if self._parameterNode and not self._updating:
            rule = list(THRESHOLD_RULES)[self.ui.thresholdRuleCombo.currentIndex]
            self._parameterNode.settings.threshold = f"{rule}:{value:g}"

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

    def showResult(self, name):
        """Mesh in 3D colored by an array with its legend, outlines on the slices."""
        node = self._parameterNode
        if node and node.outputMesh is not None:
            ramp = "uncertainty" if name in ("scar_uncertainty", "scar_entropy") else "scar"
            top = 0.5 if name == "scar_uncertainty" else 1.0  # a standard deviation of probabilities: 0.5 at most
            show_scalars(node.outputMesh, name, ramp, (0.0, top), SHOWN[name])
            show_in_views(recall(node.outputMesh).volume, node.outputSegmentation, node.outputMesh)


SEGMENTS = {"myocardiumSegment": "myocardium", "scarSegment": "scar",
            "noReflowSegment": "no-reflow", "remoteSegment": "remote"}  # fmt: skip
OUTPUTS = {"outputMesh": "mesh", "outputSegmentation": "segmentation", "outputTable": "table", "outputSlices": "slices"}


def trainingSeconds(settings, nodes):
    """Seconds that the settings give to training; None where steps are given instead."""
    if settings.method is Method.INTERPOLATION:
        return 0.0
    fits = 2 if tells_core(nodes, settings) else 1
    return None if settings.steps else fits * settings.budget


def show(visible, *widgets):
    """Show or hide widgets."""
    for widget in widgets:
        widget.visible = visible


def nodesOf(node):
    """The nodes that a parameter node names."""
    segments = {role: getattr(node, name) for name, role in SEGMENTS.items() if getattr(node, name)}
    inputs = node.segmentation, segments, node.inputVolume, node.mesh, node.scarSource is ScarSource.INTENSITIES
    return ScarNodes(*inputs, node.settings.mesh_unit, node.settings.mesh_frame, node.landmarks)


def settingsOf(node):
    """The settings that a parameter node names; a scar that was drawn has no intensities for a core threshold."""
    settings = to_dataclass(node.settings)
    return settings if node.scarSource is ScarSource.INTENSITIES else replace(settings, core_threshold="")


def outputsOf(node):
    """The result nodes that a parameter node names, by role in result.json."""
    return {role: getattr(node, name) for name, role in OUTPUTS.items()}


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
