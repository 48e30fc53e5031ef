"""The training panel: examples, settings, start, stop, resume, live curves, and use of the trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from deeprecon.jobs.parameters import Field, fields_of
from deeprecon.panels.common.example_table import ExampleTable, pathEdit
from deeprecon.panels.common.run_callbacks import RunCallbacks, SecondaryRun
from deeprecon.panels.common.run_panel import RunPanel
from deeprecon.panels.common.setting_widgets import settingWidget, showEnumValues
from deeprecon.panels.computer.device_panel import DevicePanel
from deeprecon.resources import resource_path
from deeprecon.scene.common.training_job import new_training_problem, resume_problem, trained_model, write_training
from deeprecon.scene.nodes.parameters import to_dataclass


@dataclass(frozen=True)
class Training:
    """Description of a training for its panel.

    Attributes:
        method, verb: see `jobs/verbs.py`; the verb's result has a model bundle in the role "bundle".
        inputs: the verb's inputs dataclass. Its fields of many paths become the columns of a table of examples, its
            single paths a field each.
        parameters: the verb's parameters dataclass.
        pack: field of the module's parameter node with the settings, made by `parameter_pack(parameters)`. The node
            also has a field `seed`.
        title: of the curves.
        intro: sentence about data and model.
        labels: field of inputs or parameters -> label, if it differs from the name.
        needed: inputs of many paths that every example has.
        folders: single inputs that are folders, not files.
        endings: of the files of examples.
    """

    method: str
    verb: str
    inputs: type
    parameters: type
    pack: str
    title: str
    intro: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    needed: Sequence[str] = ()
    folders: Sequence[str] = ()
    endings: Sequence[str] = ()


class TrainingPanel:
    """Drives the trainings of one verb, one at a time, in a folder of the user's.

    Args:
        layout: where the panel is put.
        training: its description.
        devicePanel: the module's.
        use: called with the folder of a bundle that is to be used.

    Attributes:
        settings: name of a setting -> its widget.
        inputs: name of a single input -> its path field.
        examples: table of the inputs of many paths; None where the verb has none.
    """

    def __init__(self, layout: Any, training: Training, devicePanel: DevicePanel, use: Callable[[Path], None]) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "TrainingPanel.ui")))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        layout.addWidget(self.widget)
        self.training = training
        self.examples: ExampleTable | None = None
        self.inputs: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}
        self._device, self._use = devicePanel, use
        self._node: Any = None
        self._guiTag: int | None = None
        self.ui.introLabel.text = training.intro
        self.ui.introLabel.visible = bool(training.intro)
        self.ui.folderEdit.settingKey = f"DeepReconTraining-{training.method}-{training.verb}"
        self._makeInputs()
        form = self.ui.trainingSettingsCollapsibleButton.layout()
        for each in fields_of(training.parameters):
            self.settings[each.name] = settingWidget(form, each, self._label(each))
        resume = SecondaryRun(_("Resume"), _("Go on with the training in the folder, with its own settings."),
                          self._resume, self._load, self.resumeProblem)  # fmt: skip
        callbacks = RunCallbacks(self._prepare, self._load, None, self.update, resume, _("Start training"))
        self.runPanel = RunPanel(self.ui.runFrame.layout(), callbacks, devicePanel, training.title)
        self.runPanel.setEstimate("")
        self.runPanel.ui.finishButton.text = _("Stop now")
        self.runPanel.ui.finishButton.toolTip = _(
            "End the training now and keep the best model so far; Resume can go on with it later."
        )
        self.ui.folderEdit.connect("currentPathChanged(QString)", self.update)
        self.ui.useButton.connect("clicked(bool)", self._onUse)
        self.update()

    def _makeInputs(self) -> None:
        form, training = self.ui.inputsFrame.layout(), self.training
        every = fields_of(training.inputs)
        for each in (each for each in every if not each.many):
            kind = ctk.ctkPathLineEdit.Dirs if each.name in training.folders else ctk.ctkPathLineEdit.Files
            self.inputs[each.name] = pathEdit(self._label(each), each.help, kind)
            self.inputs[each.name].connect("currentPathChanged(QString)", self.update)
            label = self._label(each) if each.required else _("{name} (optional)").format(name=self._label(each))
            form.addRow(qt.QLabel(f"{label}:"), self.inputs[each.name])
        columns = {each.name: (self._label(each), each.help) for each in every if each.many}
        if columns:
            self.examples = ExampleTable(form, columns, training.needed, training.endings, self.update)

    def _label(self, each: Field) -> str:
        return self.training.labels.get(each.name, each.name.replace("_", " ").capitalize())

    # -- module and scene

    def setParameterNode(self, node: Any) -> None:
        """Link the settings with a parameter node, or with none."""
        if self._node is not None and self._guiTag is not None:
            self._node.disconnectGui(self._guiTag)
        self._node, self._guiTag = node, None
        if node is not None:
            links = {f"{self.training.pack}.{name}": widget for name, widget in self.settings.items()}
            self._guiTag = node.connectParametersToGui(links)
            showEnumValues(self.settings, self.training.parameters)
        self.update()

    def cleanup(self) -> None:
        """The module is closed: no child process survives."""
        self.runPanel.cleanup()
        self.setParameterNode(None)

    def sceneClosing(self) -> None:
        """A training continues, since it does not depend on the scene; its curves start again."""
        self.runPanel.curves.clear()
        self.setParameterNode(None)

    # -- possible actions

    @property
    def folder(self) -> Path | None:
        """The training folder, None where none is chosen."""
        path = self.ui.folderEdit.currentPath
        return Path(path) if path else None

    def update(self, *_arguments: Any) -> None:
        """Update the buttons after any change."""
        if not hasattr(self, "runPanel"):
            return
        problem = self.startProblem()
        self.runPanel.setReady(not problem, problem)
        self.ui.useButton.enabled = self.folder is not None and trained_model(self.folder) is not None
        self.ui.inputsFrame.enabled = not self.runPanel.busy
        self.ui.folderEdit.enabled = not self.runPanel.busy

    def startProblem(self) -> str:
        """Why no training can be started, empty if one can."""
        return next((reason for reason in self._problems() if reason), "")

    def _problems(self) -> Iterator[str]:
        if self._node is None:
            yield _("Open the module.")
            return
        for each in fields_of(self.training.inputs):
            if not each.many and each.required and not self.inputs[each.name].currentPath:
                yield _("Choose: {name}.").format(name=self._label(each).lower())
        if self.examples is not None and self.training.needed and not self.examples.rows:
            yield _("Add examples to train on.")
        yield from (f"{reason}." for reason in to_dataclass(getattr(self._node, self.training.pack)).validate())
        yield _("Choose a training folder.") if self.folder is None else new_training_problem(self.folder)

    def resumeProblem(self) -> str:
        """Why the training in the folder cannot go on, empty if it can."""
        none: str = _("Choose a training folder.")
        training = self.training
        return none if self.folder is None else resume_problem(self.folder, training.method, training.verb)

    # -- callbacks of the run panel

    def _prepare(self) -> Path:
        assert self.folder is not None
        training, node = self.training, self._node
        given: dict[str, Any] = {name: Path(e.currentPath) for name, e in self.inputs.items() if e.currentPath}
        given |= self.examples.paths() if self.examples is not None else {}
        parameters = to_dataclass(getattr(node, training.pack))
        inputs = training.inputs(**given)
        write_training(self.folder, training.method, training.verb, inputs, parameters, self._device.device, node.seed)
        self.ui.folderEdit.addCurrentPathToHistory()
        return self.folder

    def _resume(self) -> Path:
        assert self.folder is not None
        return self.folder

    def _load(self, folder: Path) -> str:
        model = trained_model(folder)
        text: str = _("The model is in {folder}.").format(folder=model) if model else _("The training left no model.")
        return text

    def _onUse(self) -> None:
        model = None if self.folder is None else trained_model(self.folder)
        if model is not None:
            self._use(model)
