"""Labels of the CTPA panel, its X-ray preview, its quality rating, and the descriptions of its trainings."""

from __future__ import annotations

import html
import os
import tempfile
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from deeprecon.ctpa import demonstrator as shipped
from deeprecon.ctpa.parameters import (
    MethodName,
    SynthesizeParameters,
    TrainAutoencoderInputs,
    TrainAutoencoderParameters,
    TrainDiffusionInputs,
    TrainDiffusionParameters,
)
from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import Radiograph
from deeprecon.panels.common.training_panel import Training
from deeprecon.panels.screen.status_colors import BAD, CAUTION, GOOD, statusColor
from deeprecon.scene.ctpa.result import Quality
from deeprecon.scene.ctpa.xray import description, preview, radiograph_of
from deeprecon.scene.display.pictures import Pixels, write_png
from deeprecon.training.bundle import Bundle, read_bundle

LABELS = {
    "methodCombo": {"NETWORK": _("Network"), "ATLAS": _("Atlas fitted to the X-ray")},
    "turnCombo": {
        "NONE": _("Not at all"),
        "QUARTER": _("90° clockwise"),
        "HALF": _("180°"),
        "THREE_QUARTERS": _("90° counterclockwise"),
    },
    "viewCombo": {"AUTO": _("As the file says, else PA"), "PA": _("PA: tube behind"), "AP": _("AP: tube in front")},
    "beamCombo": {"CONE": _("Cone"), "PARALLEL": _("Parallel")},
    "presetCombo": {"PREVIEW": _("Preview: 256 x 256 x 304 voxels"), "FULL": _("Full: 512 x 512 x 608 voxels")},
    "blendingCombo": {"HANN": _("Hann"), "GAUSSIAN": _("Gaussian")},
    "samplerCombo": {"DDIM": _("DDIM"), "DPM_SOLVER": _("DPM-Solver++ (2M)"), "DDPM": _("Ancestral (DDPM)")},
}
"""Combo box -> name of its enum's member -> text."""

METHODS = {
    MethodName.NETWORK: _("A trained network draws CTs that may belong to the X-ray."),
    MethodName.ATLAS: _("The CT of another chest is deformed until its projection fits the X-ray."),
}
"""What each method does, in one line."""

_LABELS = {
    "store": _("Store"),
    "width": _("Channels of the first level"),
    "steps": _("Optimizer steps"),
    "accumulate": _("Batches a step"),
    "checkpointing": _("Save memory by recomputing activations"),
}
AUTOENCODER = Training(
    "ctpa",
    "train-autoencoder",
    TrainAutoencoderInputs,
    TrainAutoencoderParameters,
    pack="autoencoderTraining",
    title=_("Training of the autoencoder"),
    intro=_("Learns to encode a CT as a latent and to decode it. Without a store it is trained on phantoms."),
    labels={
        **_LABELS,
        "perceptual": _("ResNet-50 weights"),
        "patch": _("Patch [voxels]"),
        "slice_weight": _("Weight of the 2D discriminator"),
        "volume_weight": _("Weight of the 3D discriminator"),
        "adversarial_start": _("Discriminators start [share of steps]"),
    },
    folders=("store",),
)
DIFFUSION = Training(
    "ctpa",
    "train-diffusion",
    TrainDiffusionInputs,
    TrainDiffusionParameters,
    pack="diffusionTraining",
    title=_("Training of the diffusion"),
    intro=_("Learns the latents that are consistent with an X-ray. The trained model makes CTs."),
    labels={
        **_LABELS,
        "bundle": _("Autoencoder"),
        "encoder": _("X-ray encoder weights"),
        "xray_encoder": _("X-ray encoder"),
        "patch": _("Patch [latent voxels], 0 for all"),
        "withheld": _("Fraction without X-ray"),
    },
    folders=("store", "bundle"),
)

_RATINGS = {
    "green": (GOOD, _("All checks passed")),
    "amber": (CAUTION, _("Use this result with caution")),
    "red": (BAD, _("Do not use this result")),
}


def readDemonstrator() -> tuple[Bundle | None, str]:
    """The shipped bundle, or None and why it cannot be read."""
    try:
        return read_bundle(shipped.demonstrator_folder(), "ctpa"), ""
    except InputError as error:
        return None, str(error)


def showPixels(label: Any, pixels: Pixels | None) -> None:
    """Show a picture in a label, or none."""
    label.visible = pixels is not None
    if pixels is None:
        label.setPixmap(qt.QPixmap())
        return
    handle, name = tempfile.mkstemp(suffix=".png", dir=slicer.app.temporaryPath)
    os.close(handle)
    write_png(Path(name), pixels)
    label.setPixmap(qt.QPixmap(name))
    os.unlink(name)


class XrayPreview:
    """Preview of the chosen X-ray in the orientation of the computation; read again only if it changed.

    Args:
        picture: QLabel of the picture.
        text: QLabel of the description of the X-ray, or of the problem with it.
        sides: labels R and L, shown with a picture.
    """

    def __init__(self, picture: Any, text: Any, sides: list[Any]) -> None:
        self._picture, self._text, self._sides = picture, text, sides
        self._key: Any = None
        self._radiograph: Radiograph | None = None
        self._turned: Any = None
        self._problem = ""

    def show(self, node: Any, parameters: SynthesizeParameters) -> str:
        """Show an X-ray node, or none; returns why it cannot be used, empty if it can."""
        key = None if node is None else (node.GetID(), node.GetMTime())
        if key != self._key:
            self._key, self._radiograph, self._problem, self._turned = key, None, "", None
            try:
                self._radiograph = None if node is None else radiograph_of(node)
            except InputError as error:
                self._problem = str(error)
        turned = (
            parameters.turn, parameters.flip, parameters.invert, parameters.view, parameters.pixel_spacing,
            parameters.patient_age,
        )  # fmt: skip
        if turned != self._turned or node is None:
            self._turned = turned
            radiograph = self._radiograph
            showPixels(self._picture, None if radiograph is None else preview(radiograph, parameters))
            self._text.text = self._problem if radiograph is None else description(radiograph, parameters)
            self._text.styleSheet = f"color: {statusColor(self._text.parent(), BAD)};" if self._problem else ""
            self._text.visible = bool(self._text.text)
            for side in self._sides:
                side.visible = radiograph is not None
        return self._problem


def qualityHtml(quality: Quality | None, widget: Any) -> str:
    """A quality rating and its reasons as HTML for a widget; empty for None."""
    if quality is None:
        return ""
    level, text = _RATINGS[quality.level]
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in quality.reasons)
    items = f'<ul style="margin-top: 2px; margin-left: -20px;">{reasons}</ul>' if reasons else ""
    return f'<span style="color: {statusColor(widget, level)}; font-size: large;">●</span> <b>{text}.</b>{items}'
