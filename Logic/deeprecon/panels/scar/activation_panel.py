"""The section of the scar panel that shows the heart's activation from a pacing site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from deeprecon.panels.common.run_callbacks import SecondaryRun
from deeprecon.panels.common.run_panel import RunPanel
from deeprecon.scar.electrophysiology.parameters import ActivationParameters
from deeprecon.scene.nodes.removal import in_scene
from deeprecon.scene.scar.activation import (
    ActivationNodes,
    activation_sentence,
    load_activation,
    show_activation,
    write_activation_job,
)
from deeprecon.steps import Steps


class ScarActivationPanel:
    """Starts an activation map of the chosen result, and shows its isochrones.

    Args:
        ui: widgets of the module's panel.
        widget: of the module; its run panel makes the run.
    """

    def __init__(self, ui: Any, widget: Any) -> None:
        self.ui = ui
        self._widget = widget
        self._kind = SecondaryRun("", "", self._prepare, self._load, self._problem)
        self._nodes = ActivationNodes(None, None)
        ui.activationButton.connect("clicked(bool)", self._onButton)

    def update(self, node: Any) -> None:
        """Show what can be started, and what the last map says."""
        problem, run = self._problem(), self._run
        self.ui.activationButton.enabled = not problem and run is not None and not run.busy
        self.ui.activationButton.toolTip = problem or _(
            "Compute when each place of the wall is activated from the pacing site, with scar core as an obstacle and "
            "slow border zone, and color it by that."
        )
        made = in_scene(node.outputActivation)
        self.ui.activationLabel.text = problem or ("" if made is None else activation_sentence(made))

    @property
    def _run(self) -> RunPanel | None:
        panel: RunPanel | None = self._widget.runPanel
        return panel

    def _chosen(self) -> ActivationNodes:
        node = self._widget._parameterNode
        return ActivationNodes(node.outputMesh, node.pacingSite)

    def _problem(self) -> str:
        return self._chosen().missing()

    def _onButton(self) -> None:
        if self._run is not None:
            self._run.start(self._kind)

    def _prepare(self) -> Steps[Path]:
        run, node = self._run, self._widget._parameterNode
        assert run is not None
        self._nodes = self._chosen()
        folder: Path = self._widget.logic.newJobFolder()
        run.folder = folder
        settings = ActivationParameters(report_values=node.settings.report_values)
        run.fileNames = yield from write_activation_job.steps(folder, self._nodes, settings)
        return folder

    def _load(self, folder: Path) -> Steps[str]:
        node = self._widget._parameterNode
        loaded = yield from load_activation.steps(folder, self._nodes, node.outputActivation)
        node.outputActivation = mesh = loaded.nodes["mesh"]
        covered = self._nodes.mesh
        self._widget.showResults(lambda: show_activation(mesh, covered))
        self.ui.activationCollapsibleButton.collapsed = False
        return loaded.sentence
