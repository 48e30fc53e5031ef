"""The bundle panel: selection of a model bundle, and its card."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from deeprecon.data.errors import InputError
from deeprecon.panels.computer.overlay import default_folder
from deeprecon.resources import resource_path
from deeprecon.training.bundle import Bundle, read_bundle
from deeprecon.training.bundle_file import export_bundle, import_bundle


def models_folder() -> Path:
    """Folder of imported models, next to the overlay's packages."""
    return default_folder().parent / "models"


class BundlePanel:
    """Chooses the folder of a model bundle and shows its card. Reading and checking it needs no PyTorch.

    Args:
        layout: where the panel is put.
        method: name of the method that will use the bundle, such as "scar".
        changed: called when another bundle was chosen.
    """

    def __init__(self, layout: Any, method: str, changed: Callable[[], None]) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "BundlePanel.ui")))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        layout.addWidget(self.widget)
        self.bundle: Bundle | None = None
        self._method = method
        self._changed = changed
        self.ui.folderEdit.connect("currentPathChanged(QString)", self._onFolder)
        self.ui.importButton.connect("clicked(bool)", self._onImport)
        self.ui.exportButton.connect("clicked(bool)", self._onExport)
        self._read(self.ui.folderEdit.currentPath)  # the field is initialized with the folder of the last session

    def _onFolder(self, path: str) -> None:
        self._read(path)
        self._changed()

    def _read(self, path: str) -> None:
        self.bundle = None
        if not path:
            self._show("Choose the folder of a model.", "")
        else:
            try:
                bundle = read_bundle(Path(path))
                if bundle.method != self._method:
                    raise InputError(
                        f"This model is for {bundle.method}, not for {self._method}.", "Choose another folder."
                    )
                self.bundle = bundle
                self._show("", _card(bundle))
            except InputError as error:
                self._show(str(error), "")

    def _onImport(self) -> None:
        with slicer.util.tryWithErrorDisplay("The model could not be imported.", waitCursor=True):
            bundle = import_bundle(self._file(), models_folder(), self._method)
            self.ui.folderEdit.currentPath = str(bundle.folder)

    def _onExport(self) -> None:
        with slicer.util.tryWithErrorDisplay("The model could not be exported.", waitCursor=True):
            if self.bundle is not None:
                path = self._file()
                export_bundle(self.bundle, path if path.suffix else path.with_suffix(".zip"))

    def _file(self) -> Path:
        path = self.ui.fileEdit.currentPath
        if not path:
            raise InputError("No model file is chosen.", "Choose one next to the button.")
        return Path(path)

    def _show(self, message: str, card: str) -> None:
        self.ui.messageLabel.text = message
        self.ui.messageLabel.visible = bool(message)
        self.ui.cardText.setHtml(card)
        self.ui.cardText.visible = bool(card)
        self.ui.exportButton.enabled = bool(card)


def _card(bundle: Bundle) -> str:
    rows = [
        (key, bundle.metadata.get(key)) for key in ("description", "valid_for", "training_data", "license", "version")
    ]
    lines = [
        f"<p><b>{key.replace('_', ' ').capitalize()}:</b> {html.escape(str(value))}</p>" for key, value in rows if value
    ]
    name = html.escape(str(bundle.metadata.get("name", "")))
    return f"<h3>{name}</h3>{''.join(lines)}<p>For research, not for diagnosis.</p>"
