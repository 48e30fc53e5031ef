"""Scar at every node of a heart mesh from a few thick late gadolinium enhancement slices."""
# ruff: noqa: PT009, PT027  Slicer's self-tests are unittest tests

import sys
from functools import partial
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
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule

try:
    import deeprecon  # noqa: F401  in a build and in an installed extension
except ImportError:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "Logic"))  # in the source tree

from deeprecon.data.errors import InputError
from deeprecon.panels.common.method_logic import MethodLogic
from deeprecon.panels.common.method_widget import MethodWidget
from deeprecon.panels.common.module import MethodTest, describeModule, registerSample
from deeprecon.panels.common.result_panel import ResultPanel, overwriteProblem
from deeprecon.panels.common.run_callbacks import SecondaryRun
from deeprecon.panels.common.time_estimates import TrainingTimeEstimate
from deeprecon.panels.scar.activation_panel import ScarActivationPanel
from deeprecon.panels.scar.tables_panel import ScarTablesPanel
from deeprecon.panels.scar.widgets import CONTROLS, LABELS, RegionsEdit, SegmentSelector, ThresholdSelector, showNeeded
from deeprecon.panels.screen.result_views import showInViews
from deeprecon.panels.screen.stepper import ButtonWork
from deeprecon.scar.electrophysiology.parameters import ActivationParameters
from deeprecon.scar.parameters import VALUE_ARRAYS, Frame, ReconstructParameters, Unit
from deeprecon.scene.common.results import discard, hide_inputs, nodes_of_run
from deeprecon.scene.display.views import show_in_views
from deeprecon.scene.nodes.parameters import parameter_pack
from deeprecon.scene.scar.activation import ActivationNodes, load_activation, write_activation_job
from deeprecon.scene.scar.cross_validation import VERB as CROSS_VALIDATE
from deeprecon.scene.scar.cross_validation import load_cross_validation, summary_sentence
from deeprecon.scene.scar.inputs import (
    OUTPUTS,
    SEGMENTS,
    ScarSource,
    choose_segments,
    is_result,
    nodes_of,
    outputs_of,
    restore_inputs,
    settings_of,
    training_seconds,
)
from deeprecon.scene.scar.job import ScarNodes, write_job
from deeprecon.scene.scar.mesh_placement import MeshPlacementCheck
from deeprecon.scene.scar.result import load_outputs
from deeprecon.scene.scar.sample import load_sample_case
from deeprecon.scene.scar.segments import find_segments
from deeprecon.scene.scar.views import ARRAYS, color_result, show_result

Settings = parameter_pack(ReconstructParameters)
FIRST_STEP = _("Choose a segmentation of the heart, or load the sample case.")


class ScarReconstruction(ScriptedLoadableModule):
    """Description of the module in Slicer."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        text = _(
            "Reconstructs scar at every node of a heart mesh from a few thick late gadolinium enhancement slices, with "
            "its uncertainty."
        )
        describeModule(self.parent, _("Scar Reconstruction"), "Cardiac", text)
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer the sample case in the Sample Data module."""
    registerSample(__file__, "Synthetic heart with scar", "Sample LGE", load_sample_case)


@parameterNodeWrapper
class ScarReconstructionParameterNode:
    """What the user chose; saved with the scene.

    inputVolume - LGE images; needed when the scar comes from intensities.
    segmentation - holds the myocardium and, unless it comes from intensities, the scar.
    myocardiumSegment, scarSegment, noReflowSegment, remoteSegment - segment IDs (several: one a line), empty for none.
    knownSegments - choices of segments for which these were chosen.
    mesh - gets the scar at its nodes; made from the myocardium if none.
    landmarks - named points that define the ventricle's axis and the insertions of the right ventricle.
    segmentation2, inputVolume2, ... - of further stacks, such as long-axis slices.
    scarSource - scar segment, intensities, or none.
    settings - of the method, see ReconstructParameters.
    seed - of every random number.
    outputMesh, outputSegmentation, outputTable, outputSlices - the result, used again by the next run.
    outputCheck - summary of the last cross-validation.
    pacingSite, outputActivation - where activation starts, and the last map, used again by the next one.
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
    pacingSite: vtkMRMLMarkupsFiducialNode
    outputActivation: vtkMRMLModelNode


class ScarReconstructionWidget(MethodWidget):
    """The panel: inputs, observation, settings, device, run, results."""

    title = "Scar reconstruction"
    labels = LABELS
    controls = CONTROLS

    def __init__(self, parent=None):
        self.resultPanel = None
        self.tablesPanel = None
        self.activationPanel = None
        self.segments = self.threshold = self.regions = None
        self.sampleWork = None
        self.estimate = TrainingTimeEstimate("ScarReconstruction")
        self.meshPlacement = MeshPlacementCheck()
        self.job = None  # nodes, settings, device and outputs of the last run; the choices may change while it runs
        self.reported = None, None  # result mesh and report of the last run
        self.logicClass = ScarReconstructionLogic
        MethodWidget.__init__(self, parent)

    def connectWidgets(self):
        """Make the panels of this module, and connect the widgets that no parameter link covers."""
        ui = self.ui
        combos = ui.myocardiumCombo, ui.scarCombo, ui.noReflowCombo, ui.remoteCombo
        self.segments = SegmentSelector(dict(zip(SEGMENTS, combos, strict=True)), self.onSegments)
        self.threshold = ThresholdSelector(ui.thresholdRuleCombo, ui.thresholdSpinBox, self.onThreshold)
        self.regions = RegionsEdit(ui.meshRegionEdit, self.onRegions)
        layout = ui.resultFrame.layout()
        self.resultPanel = ResultPanel(layout, ARRAYS, self.colorResult, self.onChanged, self.showResult)
        self.tablesPanel = ScarTablesPanel(layout, self.onDiscardCrossValidation)
        self.activationPanel = ScarActivationPanel(ui, self)
        self.resultPanel.setScene(slicer.mrmlScene)
        self.tablesPanel.setScene(slicer.mrmlScene)
        self.sampleWork = ButtonWork(ui.sampleButton, _("The sample could not be loaded."))
        self.works = [self.sampleWork]
        ui.sampleButton.connect("clicked(bool)", self.onSampleButton)
        ui.thicknessSpinBox.connect("valueChanged(double)", self.onThickness)
        ui.observedWithinSpinBox.connect("valueChanged(double)", self.onObservedWithin)

    # -- updating the panel

    def update(self, node):
        """Update segments, settings and results; return why a run cannot start."""
        self._updateSegments(node)
        settings = settings_of(node)
        self._updateSettings(node, settings)
        self.activationPanel.update(node)
        reasons = (
            self._updateResult(node),
            "" if node.segmentation is not None else FIRST_STEP,
            nodes_of(node).missing(),
            *settings.validate(),
            "" if node.mesh is None else self.regions.problem(),
            self.ui.meshPlacementLabel.text,
        )
        return next((reason for reason in reasons if reason), "")

    def _updateResult(self, node):
        """Show the tables and the segmentation of the chosen mesh; return why it cannot be the output."""
        mesh = node.outputMesh
        made = nodes_of_run(mesh) if is_result(mesh) else {}
        for name, role in OUTPUTS.items():
            if name != "outputMesh":
                setattr(node, name, made.get(role))
        reportedMesh, report = self.reported
        report = report if mesh is reportedMesh else None
        check = nodes_of_run(node.outputCheck) if node.outputCheck is not None else {}
        tables = [each for each in (*made.values(), *check.values()) if each.IsA("vtkMRMLTableNode")]
        others = [each for each in tables if each is not node.outputTable]
        self.resultPanel.setResult(list(made.values()), node.outputTable, report, others)
        self.tablesPanel.setResult(made, report.with_name("bullseye.png") if report else None)
        self.tablesPanel.setCrossValidation(check, summary_sentence(node.outputCheck) if check else "")
        if made and mesh.GetMesh() is not None:
            arrays = mesh.GetMesh().GetPointData()
            self.resultPanel.setChoices([name for name in ARRAYS if arrays.HasArray(name)])
        return overwriteProblem(mesh, made)

    def _updateSegments(self, node):
        segments = choose_segments(node)
        self.segments.show(segments, {name: getattr(node, name) for name in SEGMENTS})

    def _updateSettings(self, node, settings):
        ui = self.ui
        showNeeded(ui, node.scarSource, settings)
        self.threshold.show(settings.threshold)
        self.regions.show(node.settings.mesh_region)
        ui.thicknessSpinBox.value = settings.slice_thickness or 0.0
        ui.observedWithinSpinBox.value = settings.observed_within or 0.0
        ui.meshCollapsibleButton.visible = node.mesh is not None
        nodes = nodes_of(node)
        problem = self.meshPlacement.problem(nodes)
        ui.meshPlacementLabel.text = problem
        answered = settings.mesh_unit is not Unit.AUTO or settings.mesh_frame is not Frame.AUTO
        ui.meshPlacementFrame.visible = bool(problem) or answered
        kind = settings.method.value, self.devicePanel.device
        self.runPanel.setEstimate(self.estimate.sentence(*kind, training_seconds(settings, nodes)))

    # -- callbacks of the run panel

    def prepare(self):
        """Write the job folder."""
        return self._prepare("reconstruct")

    def _prepare(self, verb):
        node = self._parameterNode
        self.runPanel.folder = folder = self.logic.newJobFolder()
        nodes, settings, device = nodes_of(node), settings_of(node), self.devicePanel.device
        self.job = nodes, settings, device, {**outputs_of(node), "check": node.outputCheck}
        self.runPanel.fileNames = yield from write_job.steps(folder, nodes, settings, device, node.seed, verb)
        return folder

    def load(self, folder):
        """Load the results of a job."""
        nodes, settings, device, outputs = self.job
        loaded = yield from load_outputs.steps(folder, nodes, {role: outputs[role] for role in OUTPUTS.values()})
        node = self._parameterNode
        self.reported = loaded.nodes["mesh"], loaded.report
        with slicer.util.NodeModify(node):
            for name, role in OUTPUTS.items():
                setattr(node, name, loaded.nodes.get(role))
        if not self.runPanel.shortened:
            self.estimate.learn(settings.method.value, device, training_seconds(settings, nodes), self.runPanel.seconds)
        if self.resultPanel.shown in VALUE_ARRAYS.values():
            self.resultPanel.shown = VALUE_ARRAYS[settings.report_values]
        same = nodes.mesh, nodes.segmentation if "segmentation" in loaded.nodes else None
        self.showResults(lambda: self.showResult(same))
        self.ui.resultsCollapsibleButton.collapsed = False
        return loaded.sentence

    def secondaryRun(self):
        """Cross-validation."""
        tip = _("Leave out each slice in turn, predict it from the others with this method and with every "
                "interpolation, and compare. Takes about as long as one run for each slice.")  # fmt: skip
        return SecondaryRun(_("Cross-validate"), tip, lambda: self._prepare(CROSS_VALIDATE), self.loadCrossValidation)

    def loadCrossValidation(self, folder):
        """Load the tables of a cross-validation."""
        nodes, *_others, outputs = self.job
        loaded = load_cross_validation(folder, nodes, outputs["check"])
        self._parameterNode.outputCheck = loaded.nodes["summary"]
        self.tablesPanel.expandCrossValidation()
        self.ui.resultsCollapsibleButton.collapsed = False
        return loaded.sentence

    def repeat(self):
        """Restore inputs and settings of the selected result."""
        with slicer.util.NodeModify(self._parameterNode):
            restore_inputs(self._parameterNode, self._parameterNode.outputMesh)

    # -- buttons and choices that no parameter link covers

    def onSegments(self, chosen):
        """Another segment was chosen."""
        if self._parameterNode and not self._updating:
            with slicer.util.NodeModify(self._parameterNode):
                for name, key in chosen.items():
                    setattr(self._parameterNode, name, key)

    def onThreshold(self, threshold):
        """Another threshold was chosen."""
        self._set("threshold", threshold)

    def onRegions(self, tags):
        """Other regions of the mesh are the wall, or the text names none."""
        self._set("mesh_region", tags)
        self.onChanged()

    def onThickness(self, value):
        """Another slice thickness; 0 leaves it to the images."""
        self._set("slice_thickness", value or None)

    def onObservedWithin(self, value):
        """Another distance up to which the wall is observed; 0 takes one slice spacing."""
        self._set("observed_within", value or None)

    def _set(self, name, value):
        if self._parameterNode and not self._updating:
            setattr(self._parameterNode.settings, name, value)

    def onSampleButton(self):
        """Generate and load the sample case, and choose it."""
        self.sampleWork.start(load_sample_case.steps(), self.chooseCase)

    def chooseCase(self, case):
        """Make a case the input, and show it."""
        volume, segmentation, mesh, landmarks = case
        node = self._parameterNode
        with slicer.util.NodeModify(node):
            node.inputVolume, node.segmentation = volume, segmentation
            node.mesh, node.landmarks = mesh, landmarks
        showInViews(lambda: show_in_views(volume, segmentation))

    def onDiscardCrossValidation(self):
        """Remove the cross-validation from the scene."""
        discard(nodes_of_run(self._parameterNode.outputCheck).values())
        self.onChanged()

    def showResult(self, same=()):
        """Show the mesh in 3D, with a legend, and outlines on the slices; inputs with the same surface are hidden."""
        mesh = self._parameterNode.outputMesh if self._parameterNode else None
        if is_result(mesh):
            hide_inputs(mesh, same)
            showInViews(lambda: show_result(mesh, self.resultPanel.shown))

    def colorResult(self, name):
        """Color the mesh by an array."""
        if self._parameterNode and is_result(self._parameterNode.outputMesh):
            color_result(self._parameterNode.outputMesh, name)


class ScarReconstructionLogic(MethodLogic):
    """Reconstruction on nodes, without a panel."""

    parameterNodeClass = ScarReconstructionParameterNode

    def reconstruct(self, nodes, parameters=None, *, device="auto", seed=0, outputs=None, wait=True, onEvent=None):
        """Reconstruct scar.

        Args:
            nodes: ScarNodes.
            parameters: ReconstructParameters.
            outputs: role ("mesh", "segmentation", "table", "slices") -> node of an earlier run to write into.
            device, seed, wait, onEvent: see `process`, also for errors.

        Returns:
            RunResult with the roles of `load_outputs`; without waiting, the started JobRunner.
        """
        parameters = parameters or ReconstructParameters()
        return self.process(write_job, load_outputs, nodes, parameters, device, seed, outputs, wait, onEvent)

    def crossValidate(self, nodes, parameters=None, *, device="auto", seed=0, summary=None, wait=True, onEvent=None):
        """Predict each slice from the others, with the chosen method and with every interpolation.

        Args, returns and raises as `reconstruct`, with the roles of `load_cross_validation`; `summary` is the table of
        an earlier cross-validation to write into.
        """
        parameters = parameters or ReconstructParameters()
        write = partial(write_job, verb=CROSS_VALIDATE)
        return self.process(write, load_cross_validation, nodes, parameters, device, seed, summary, wait, onEvent)

    def activation(self, mesh, site, parameters=None, *, output=None, wait=True, onEvent=None):
        """When each place of a result mesh is activated from the first point of a markups node, `site`.

        Args, returns and raises as `reconstruct`, with ActivationParameters and the roles of `load_activation`;
        `output` is the model of an earlier map to write into.
        """
        nodes, parameters = ActivationNodes(mesh, site), parameters or ActivationParameters()
        return self.process(write_activation_job, load_activation, nodes, parameters, "cpu", 0, output, wait, onEvent)


class ScarReconstructionTest(MethodTest):
    """The module's self-test."""

    def test_missingInputIsRefused(self):
        """Without inputs no run starts."""
        with self.assertRaises(InputError):
            ScarReconstructionLogic().reconstruct(ScarNodes(None))

    def test_sampleCaseIsReconstructed(self):
        """Every node of the sample mesh gets a probability, and scar is found."""
        self.requireTorch()
        volume, segmentation, mesh, landmarks = load_sample_case()
        nodes = ScarNodes(segmentation, find_segments(segmentation), volume, mesh, landmarks=landmarks)
        result = ScarReconstructionLogic().reconstruct(nodes, ReconstructParameters(steps=50), device="cpu")
        probability = slicer.util.arrayFromModelPointData(result.nodes["mesh"], "scar_probability")
        self.assertEqual(len(probability), mesh.GetMesh().GetNumberOfPoints())
        self.assertTrue(probability.min() >= 0 and 0.5 < probability.max() <= 1)
