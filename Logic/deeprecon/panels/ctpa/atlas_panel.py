"""The atlases and the lateral film of a fit: their choices, pictures and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from deeprecon.data.errors import InputError
from deeprecon.panels.ctpa.widgets import showPixels
from deeprecon.panels.screen.stepper import ButtonWork
from deeprecon.scene.ctpa.inputs import nodes_of
from deeprecon.scene.ctpa.views import atlas_pictures
from deeprecon.scene.ctpa.xray import open_xray
from deeprecon.steps import Steps


class AtlasPanel:
    """Keeps the parameter node's folder of atlases, shows a picture of each atlas, and opens lateral films.

    Args:
        ui: widgets of the module.
        changed: called when the folder changed.

    Attributes:
        work: of the button that opens a lateral film.
    """

    def __init__(self, ui: Any, changed: Callable[[], None]) -> None:
        self.ui, self._changed = ui, changed
        self._node: Any = None
        self._pictured: Any = None
        self.work = ButtonWork(ui.lateralOpenButton, _("The film could not be loaded."))
        ui.atlasFolderEdit.connect("currentPathChanged(QString)", self._onFolder)
        ui.lateralOpenButton.connect("clicked(bool)", self._onOpen)

    def setParameterNode(self, node: Any) -> None:
        """Show the folder of a parameter node, or of none."""
        self._node = node
        self.ui.atlasFolderEdit.currentPath = node.atlasFolder if node else ""

    def update(self) -> None:
        """Show a picture of each atlas that is a volume of the scene."""
        atlases = nodes_of(self._node).atlases
        pictured = [(atlas.GetID(), atlas.GetMTime()) for atlas in atlases]
        if pictured != self._pictured:
            self._pictured = pictured
            showPixels(self.ui.atlasPicturesLabel, atlas_pictures(atlases))

    def _onFolder(self, path: str) -> None:
        if self._node:
            self._node.atlasFolder = path
            self._changed()

    def _onOpen(self) -> None:
        self.work.start(self._opened(), self._choose)

    def _opened(self) -> Steps[Any]:
        path = self.ui.lateralFileEdit.currentPath
        if not path:
            raise InputError(_("No file is chosen."), _("Choose one next to the button."))
        return (yield from open_xray.steps(Path(path)))

    def _choose(self, film: Any) -> None:
        if self._node:
            self._node.lateral = film
