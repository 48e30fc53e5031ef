"""The panel of a synthetic CT: quality, window, volume rendering, projection check, and DICOM export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from deeprecon.ctpa.parameters import ExportParameters
from deeprecon.panels.ctpa.widgets import qualityHtml, showPixels
from deeprecon.resources import resource_path
from deeprecon.scene.common.results import nodes_of_run
from deeprecon.scene.ctpa.job import write_export_job
from deeprecon.scene.ctpa.result import limitations, projection_text, quality_of
from deeprecon.scene.ctpa.views import fade_film, presets, projection_check_image, render, rendering, set_window
from deeprecon.steps import Steps

_CAPTION = _("X-ray as used; the synthetic CT projected; projected minus X-ray:")
_OUTLINES = _("Lung fields: yellow of the X-ray, blue of the CT.")
_SERIES = "synthetic-ct"
"""Folder of an exported series, below the one that the user chose."""


class CtPanel:
    """Shows the quality of a synthetic CT, and controls its display and export.

    Args:
        layout: where the panel is put.
        changed: called when the export folder changed.
        export: called when the user starts the export.

    Attributes:
        window: name of the chosen window, one of `views.WINDOWS`.
    """

    def __init__(self, layout: Any, changed: Callable[[], None], export: Callable[[], None]) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "CtPanel.ui")))
        self.ui = ui = slicer.util.childWidgetVariables(self.widget)
        layout.addWidget(self.widget)
        self.window = "ctpa"
        self._ct: Any = None
        self._pictured: Any = None
        self._target = Path()
        self._updating = False
        self._changed, self._export = changed, export
        self._buttons = {
            "ctpa": ui.ctpaButton,
            "lung": ui.lungButton,
            "mediastinum": ui.mediastinumButton,
            "pe": ui.peButton,
        }
        for name, button in self._buttons.items():
            button.checkable = True
            button.connect("clicked(bool)", lambda _checked, name=name: self._onWindow(name))
        ui.renderCombo.addItem(_("Off"), "")
        for name in presets():
            ui.renderCombo.addItem(name, name)
        ui.renderCombo.connect("currentIndexChanged(int)", self._onRender)
        ui.fadeSlider.connect("valueChanged(double)", self._onFade)
        ui.outlinesCheckBox.connect("toggled(bool)", self._onOutlines)
        ui.exportFolderEdit.connect("currentPathChanged(QString)", self._onFolder)
        ui.exportButton.connect("clicked(bool)", self._onExport)
        self.setResult(None)

    def setResult(self, ct: Any) -> None:
        """Show a synthetic CT, or none."""
        ui, self._ct = self.ui, ct
        self.widget.visible = ct is not None
        self._updating = True
        ui.qualityLabel.text = qualityHtml(None if ct is None else quality_of(ct), self.widget)
        ui.limitsLabel.text = "" if ct is None else " ".join(limitations(ct))
        ui.renderCombo.enabled = ui.renderCombo.count > 1
        ui.renderCombo.currentIndex = max(0, ui.renderCombo.findData("" if ct is None else rendering(ct)))
        self._updating = False
        for name, button in self._buttons.items():
            button.checked = name == self.window
        ui.exportButton.enabled = not self.exportProblem()
        ui.exportButton.toolTip = self.exportProblem() or _("Write the synthetic CT as a DICOM series.")
        self._showPicture()

    def _showPicture(self) -> None:
        """Show the picture of the projection check; it is made only if the result changed."""
        figures = None if self._ct is None else nodes_of_run(self._ct).get("figures")
        outlines = self.ui.outlinesCheckBox.checked
        pictured = self._ct and (self._ct.GetID(), self._ct.GetMTime(), figures and figures.GetMTime(), outlines)
        if pictured != self._pictured:
            self._pictured = pictured
            pixels = None if self._ct is None else projection_check_image(self._ct, outlines)
            self.ui.projectionCollapsibleButton.visible = pixels is not None
            showPixels(self.ui.projectionLabel, pixels)
            caption = "" if pixels is None else f"{_CAPTION} {projection_text(self._ct)}."
            self.ui.captionLabel.text = f"{caption} {_OUTLINES}" if caption and outlines else caption

    @property
    def fade(self) -> float:
        """Share of the projection in the view of the X-ray, see `views.fade_film`."""
        return float(self.ui.fadeSlider.value)

    # -- DICOM

    def exportProblem(self) -> str:
        """Why the result cannot be exported, empty if it can."""
        if self._ct is None:
            return str(_("There is no result to export."))
        return "" if self.ui.exportFolderEdit.currentPath else str(_("Choose the folder for the series."))

    def prepareExport(self, folder: Path) -> Steps[None]:
        """Write the job of an export into `folder`; the series gets a new folder of its own."""
        base = Path(self.ui.exportFolderEdit.currentPath)
        names = [_SERIES, *(f"{_SERIES}-{number}" for number in range(2, 10_000))]
        self._target = next(base / name for name in names if not (base / name).exists())
        parameters = ExportParameters(patient_id=self.ui.patientEdit.text)
        yield from write_export_job.steps(folder, self._ct, self._target, parameters)

    def exported(self) -> str:
        """Message about the folder of the series."""
        return str(_("The DICOM series is in {folder}.").format(folder=self._target))

    # -- buttons and choices

    def _onWindow(self, name: str) -> None:
        self.window = name
        if self._ct is not None:
            set_window(self._ct, name)
        for each, button in self._buttons.items():
            button.checked = each == name

    def _onRender(self, index: int) -> None:
        if self._ct is not None and not self._updating:
            render(self._ct, str(self.ui.renderCombo.itemData(index)))

    def _onFade(self, value: float) -> None:
        if self._ct is not None:
            fade_film(self._ct, value)

    def _onOutlines(self, _checked: bool) -> None:
        self._showPicture()

    def _onFolder(self, _path: str) -> None:
        self._changed()

    def _onExport(self) -> None:
        self._export()
