"""Base of the panels of methods for single images: files, samples, a model of the user, and folders of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import slicer
from slicer.i18n import tr as _

from deeprecon.data.errors import InputError
from deeprecon.panels.common.bundle_panel import BundlePanel
from deeprecon.panels.common.method_widget import MethodWidget
from deeprecon.panels.common.time_estimates import ThroughputEstimate
from deeprecon.panels.screen.result_views import showInViews
from deeprecon.panels.screen.stepper import ButtonWork
from deeprecon.scene.common.folder_summary import CaseKind, load_summary
from deeprecon.scene.nodes.parameters import to_dataclass
from deeprecon.steps import Steps, steps_of


class ImageMethodWidget(MethodWidget):
    """Base of the Widget of a method that takes one image, and in a second kind of run a folder of images.

    The parameter node has the fields `useModel`, `modelFolder`, `settings`, `seed` and `outputSummary`; the .ui file
    has the widgets `sampleButton`, `fileEdit`, `openButton`, `folderEdit`, `folderLabel`, `folderTable` and
    `folderCollapsibleButton`. A module adds the methods that raise NotImplementedError here.

    Attributes:
        caseKind: kind of the images in a folder.
        chooseModelText: asks for a model.
        bundlePanel: made by the module in `connectWidgets`.
        job: nodes and kind of the last run, and outputs that it replaces; the choices may change while it runs.
        summary: table of an earlier run over a folder that the last one replaces; None for a new one.
    """

    caseKind: ClassVar[CaseKind]
    chooseModelText: ClassVar[str]

    def __init__(self, parent: Any = None) -> None:
        self.bundlePanel: BundlePanel | None = None
        self.estimate = ThroughputEstimate(type(self).__name__.removesuffix("Widget"))
        self.job: tuple[Any, ...] | None = None
        self.summary: Any = None
        self.sampleWork: ButtonWork
        self.openWork: ButtonWork
        MethodWidget.__init__(self, parent)

    def connectWidgets(self) -> None:
        """Connect the buttons and paths that all of these panels have."""
        ui = self.ui
        ui.sampleButton.connect("clicked(bool)", self.onSampleButton)
        ui.openButton.connect("clicked(bool)", self.onOpenButton)
        ui.folderEdit.connect("currentPathChanged(QString)", self.onChanged)
        self.sampleWork = ButtonWork(ui.sampleButton, _("The sample could not be loaded."))
        self.openWork = ButtonWork(ui.openButton, _("The file could not be loaded."))
        self.works = [self.sampleWork, self.openWork]

    # -- defined by the module

    def loadSample(self) -> Steps[Any]:
        """Generate the sample and load it; gives its node."""
        raise NotImplementedError

    def loadFile(self, path: Path) -> Steps[Any]:
        """Load an image file; gives its node."""
        raise NotImplementedError

    def chooseImage(self, node: Any) -> None:
        """Make a node the input, and show it."""
        raise NotImplementedError

    def folderProblem(self) -> str:
        """Why the images of a folder cannot be processed; empty if they can."""
        raise NotImplementedError

    def writeFolderJob(self, folder: Path, settings: Any, device: str, seed: int) -> Steps[None] | None:
        """Write the job over a folder of images, at once or in steps."""
        raise NotImplementedError

    def restoreInputs(self) -> None:
        """Set the parameter node to inputs and settings of the selected result."""
        raise NotImplementedError

    def defaultModelProblem(self) -> str:
        """Why the method cannot be used without a model of the user's; empty if it can."""
        return ""

    # -- models

    def modelProblem(self) -> str:
        """Why the chosen model cannot be used; empty if it can."""
        node, panel = self._parameterNode, self.bundlePanel
        if not node.useModel:
            return self.defaultModelProblem()
        if panel is None or panel.bundle is None:
            return self.chooseModelText
        node.modelFolder = panel.ui.folderEdit.currentPath
        return ""

    def useModel(self, folder: Path) -> None:
        """Use a model that was trained here for the next run."""
        self._showModelFolder(str(folder))
        self._parameterNode.useModel = True

    def _showModelFolder(self, folder: str) -> None:
        if self.bundlePanel is not None:
            self.bundlePanel.ui.folderEdit.currentPath = folder

    def onModel(self) -> None:
        """Another model was chosen."""
        self.onChanged()

    def repeat(self) -> None:
        """Restore inputs and settings of the selected result."""
        with slicer.util.NodeModify(self._parameterNode):
            self.restoreInputs()
        if self._parameterNode.useModel:
            self._showModelFolder(self._parameterNode.modelFolder)

    # -- folders

    def updateFolder(self, node: Any, ready: str) -> None:
        """Show the summary of the last run over a folder, and why the next one cannot start, else `ready`."""
        self.ui.folderTable.setMRMLTableNode(node.outputSummary)
        self.ui.folderTable.visible = node.outputSummary is not None
        self.ui.folderLabel.text = self.folderProblem() or ready

    def prepareFolder(self) -> Steps[Path]:
        """Write the job over a folder of images."""
        node, folder = self._parameterNode, self.logic.newJobFolder()
        assert self.devicePanel is not None
        self.summary = node.outputSummary
        yield from steps_of(
            self.writeFolderJob, folder, to_dataclass(node.settings), self.devicePanel.device, node.seed
        )
        return Path(folder)

    def loadFolder(self, folder: Path) -> str:
        """Show the summary of a run over a folder."""
        assert self.runPanel is not None
        loaded = load_summary(folder, self.caseKind, self.summary, self.runPanel.words)
        self._parameterNode.outputSummary = loaded.nodes["summary"]
        self.ui.folderCollapsibleButton.collapsed = False
        return loaded.sentence

    # -- buttons

    def onSampleButton(self) -> None:
        """Generate and load the sample, and choose it."""
        self.sampleWork.start(self.loadSample(), self._showChosen)

    def onOpenButton(self) -> None:
        """Load the file, and choose it."""
        self.openWork.start(self._openFile(), self._showChosen)

    def _openFile(self) -> Steps[Any]:
        if not self.ui.fileEdit.currentPath:
            raise InputError(_("No file is chosen."), _("Choose one next to the button."))
        return (yield from self.loadFile(Path(self.ui.fileEdit.currentPath)))

    def _showChosen(self, image: Any) -> None:
        showInViews(lambda: self.chooseImage(image))
