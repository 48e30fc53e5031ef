"""Makes the pictures of CTPASynthesis for the documentation, in Resources/Screenshots:

    cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.ctpa_screenshots [XRAY]

The module runs in the stand-in application on its sample X-ray, or on the file XRAY, with the shipped demonstrator.
Volume rendering needs presets that only Slicer has, and is not in the pictures.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from .make_screenshots import FOLDER, ROOT, collapseSections, finish, report

TRAINING_STEPS = 150


def main(xray: Path | None) -> None:
    import slicerhost

    host = slicerhost.start()  # makes qt importable
    import qt

    from deeprecon.panels.computer.device_panel import DEVICE_SETTING

    FOLDER.mkdir(parents=True, exist_ok=True)
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(ROOT / "CTPASynthesis" / "CTPASynthesis.py")
    if xray is None:
        widget.ui.sampleButton.click()
        host.waitFor(lambda: widget.ui.sampleButton.enabled, 180)
    else:
        widget.ui.fileEdit.currentPath = str(xray)
        widget.ui.openButton.click()
        host.waitFor(lambda: widget.ui.openButton.enabled, 180)
    run = widget.runPanel
    host.process(0.2)
    host.screenshot(path("inputs"))

    run.ui.applyButton.click()
    host.waitFor(lambda: not run.busy or run.ui.progressBar.value > 400, 900)
    host.process(0.3)
    host.screenshot(path("running"))
    finish(host, widget)
    host.screenshot(path("panel"))
    report(run.folder / "output", path("report"))
    collapseSections(widget, "inputs", "model", "settings", "run")
    picture(host, "ctpa")
    widget.ctPanel.ui.lungButton.click()
    picture(host, "lung")
    widget.ctPanel.ui.ctpaButton.click()
    combo = widget.resultPanel.ui.showCombo
    combo.currentIndex = combo.findData("spread")
    picture(host, "spread")

    fit(host, widget)
    collapseSections(widget, "results")
    with tempfile.TemporaryDirectory() as folder:
        train(host, widget, Path(folder) / "training")
    host.close()


def fit(host: Any, widget: Any) -> None:
    """An atlas fitted to the X-ray, in a result of its own."""
    methods = widget.ui.methodCombo
    methods.currentIndex = methods.findText("Atlas fitted to the X-ray")
    widget._parameterNode.outputCt = None
    widget.runPanel.ui.applyButton.click()
    finish(host, widget)
    widget.ui.inputsCollapsibleButton.collapsed = False
    combo = widget.resultPanel.ui.showCombo
    combo.currentIndex = combo.findData("labels")
    picture(host, "atlas")


def train(host: Any, widget: Any, folder: Path) -> None:
    """A short training of the autoencoder on phantoms."""
    for name in ("training", "autoencoder"):
        getattr(widget.ui, f"{name}CollapsibleButton").collapsed = False
    panel = widget.trainingPanels[0]
    panel.settings["steps"].value = TRAINING_STEPS
    panel.settings["patch"].value = 32
    panel.ui.folderEdit.currentPath = str(folder)
    panel.runPanel.ui.applyButton.click()
    host.waitFor(lambda: not panel.runPanel.busy, 900)
    if panel.runPanel.state.value != "done":
        raise SystemExit(panel.runPanel.error)
    host.process(0.3)
    shown = "models/autoencoder"  # no picture shows the folders of a machine
    panel.ui.folderEdit.blockSignals(True)
    panel.ui.folderEdit.currentPath = shown
    message = panel.runPanel.ui.messageLabel
    message.text = message.text.replace(str(folder), shown)
    host.screenshot(path("training"))


def path(name: str) -> Path:
    return FOLDER / f"CTPASynthesis-{name}.png"


def picture(host: Any, name: str) -> None:
    """The window, its views fitted to their size in the picture."""
    import slicer

    host.desktop(path(name))  # sets the size of the views
    slicer.util.resetSliceViews()
    host.desktop(path(name))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None)
