"""The compare panel: two images blended, flickering or side by side, and the shown volume of a series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer

from deeprecon.resources import resource_path

FLICKER_MS = 600


class ComparePanel:
    """Selects how two images are compared. It has no access to nodes: the module shows them.

    Args:
        layout: where the panel is put.
        fade: called with 0 (before) to 1 (after) when only that changed.
        volume: called with the number of the volume when only that changed.
        layoutChanged: called when the layout of the views has to change.
        describe: gives a description of the volume with this number, or of an image that is no series.
    """

    def __init__(
        self,
        layout: Any,
        fade: Callable[[float], None],
        volume: Callable[[int], None],
        layoutChanged: Callable[[], None],
        describe: Callable[[int], str],
    ) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "ComparePanel.ui")))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        layout.addWidget(self.widget)
        self._onFadeTo, self._onVolumeTo, self._describe = fade, volume, describe
        self._timer = qt.QTimer()
        self._timer.setInterval(FLICKER_MS)
        self._timer.connect("timeout()", self._onTimer)
        self.ui.fadeSlider.connect("valueChanged(double)", self._onFade)
        self.ui.volumeSlider.connect("valueChanged(double)", self._onVolume)
        self.ui.flickerButton.connect("toggled(bool)", self._onFlicker)
        self.ui.sideBySideCheckBox.connect("toggled(bool)", lambda _checked: layoutChanged())

    @property
    def fade(self) -> float:
        """0 shows before, 1 after."""
        return float(self.ui.fadeSlider.value)

    @property
    def sideBySide(self) -> bool:
        """Whether the images are to be side by side."""
        return bool(self.ui.sideBySideCheckBox.checked)

    @property
    def volume(self) -> int:
        """Number of the shown volume."""
        return round(float(self.ui.volumeSlider.value))

    def setImages(self, volumes: int, pair: bool) -> None:
        """Enable what is possible: `volumes` of a series (0 for no series), and whether there are two images."""
        ui = self.ui
        for widget in (ui.volumeSlider, ui.volumeSliderLabel):
            widget.visible = volumes > 1
        if volumes > 1:  # else keep the chosen volume for the next series
            ui.volumeSlider.maximum = volumes - 1
        ui.volumeLabel.text = self._describe(self.volume)
        ui.volumeLabel.visible = bool(ui.volumeLabel.text)
        blended = pair and not self.sideBySide
        for each in (ui.fadeSlider, ui.flickerButton):
            each.enabled = blended
        ui.sideBySideCheckBox.enabled = pair
        if not blended:
            ui.flickerButton.checked = False

    def stop(self) -> None:
        """Stop flickering."""
        self.ui.flickerButton.checked = False
        self._timer.stop()

    def _onFade(self, value: float) -> None:
        self._onFadeTo(value)

    def _onVolume(self, value: float) -> None:
        self.ui.volumeLabel.text = self._describe(round(value))
        self._onVolumeTo(round(value))

    def _onFlicker(self, on: bool) -> None:
        if on:
            self._timer.start()
        else:
            self._timer.stop()

    def _onTimer(self) -> None:
        self.ui.fadeSlider.value = 0.0 if self.fade >= 0.5 else 1.0
