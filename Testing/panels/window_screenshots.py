"""Makes pictures of the three modules as they fill a screen, in out/screenshots:

    cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.window_screenshots [MODULE...]

Sample, run, result, training and error, on each of `SCREENS` and in Slicer's light and dark style. Those of
`DOCUMENTED` go into Resources/Screenshots too. The modules run in the stand-in application, on their samples.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from .conftest import press
from .make_screenshots import FOLDER, ROOT

OUT = ROOT / "out" / "screenshots"
SCREENS = {
    "1366x768": ((1366, 768), 1.0),
    "1920x1080": ((1920, 1080), 1.0),
    "1920x1080-150": ((1920, 1080), 1.5),
}
"""Name -> width and height in pixels, and scale of the desktop."""
DOCUMENTED = {
    "ScarReconstruction-sample-1920x1080-light": "ScarReconstruction-sample",
    "ScarReconstruction-run-1366x768-light": "ScarReconstruction-running",
    "ScarReconstruction-result-1920x1080-light": "ScarReconstruction-result",
    "CTPASynthesis-result-1920x1080-light": "CTPASynthesis-ctpa",
    "DWMRIEnhance-result-1920x1080-light": "DWMRIEnhance-side-by-side",
}
"""Pictures of the documentation -> their names there."""
SCAR_STEPS = 600
PROGRESS = 300
"""Of 1000: when a picture of a run is taken."""


def main(modules: list[str]) -> None:
    import slicerhost

    host = slicerhost.start()  # makes qt importable
    import qt

    from deeprecon.panels.computer.device_panel import DEVICE_SETTING

    OUT.mkdir(parents=True, exist_ok=True)
    for name in modules or list(CASES):
        qt.QSettings().setValue(DEVICE_SETTING, "cpu")
        widget = host.loadModule(ROOT / name / f"{name}.py")
        photograph(host, widget, "start")
        press(host, widget.ui.sampleButton)
        photograph(host, widget, "sample")
        CASES[name](host, widget)
        host.reset()
    host.close()


def photograph(host: Any, widget: Any, state: str, section: Any = None) -> None:
    """Pictures of a module on all screens in both styles, its panel scrolled to a section."""
    import qt
    from slicerhost.picture import panelPicture

    from deeprecon.scene.display.layouts import fit_views

    name = type(widget).__name__.removesuffix("Widget")
    for dark in (False, True):
        host.setStyle(dark)
        widget.onChanged()
        panelPicture(widget.parent)
        scroll = 0 if section is None else int(section.mapTo(widget.parent, qt.QPoint(0, 0)).y()) - 4
        for screen, (size, scale) in SCREENS.items():
            path = OUT / f"{name}-{state}-{screen}-{'dark' if dark else 'light'}.png"
            host.window(path, size, scale, scroll)  # sets the size of the views
            fit_views()
            host.window(path, size, scale, scroll)
            if path.stem in DOCUMENTED:
                shutil.copy(path, FOLDER / f"{DOCUMENTED[path.stem]}.png")
    host.setStyle(False)


def run(host: Any, panel: Any, widget: Any, state: str, section: Any = None) -> None:
    """Start a run, take its picture, and wait for its end."""
    panel.ui.applyButton.click()
    host.waitFor(lambda: not panel.busy or panel.ui.progressBar.value > PROGRESS, 1800)
    photograph(host, widget, state, section)
    host.waitFor(lambda: not panel.busy, 1800)
    host.process(0.3)


def scar(host: Any, widget: Any) -> None:
    node, ui = widget._parameterNode, widget.ui
    node.settings.steps = SCAR_STEPS
    ui.thicknessSpinBox.value = 8.0  # as NIfTI does not state it
    run(host, widget.runPanel, widget, "run")
    node.landmarks.SetDisplayVisibility(False)
    photograph(host, widget, "result")
    photograph(host, widget, "tables", ui.resultsCollapsibleButton)
    node.scarSegment = node.myocardiumSegment  # all of the wall is scar, which the run doubts
    run(host, widget.runPanel, widget, "error")
    photograph(host, widget, "error")


def ctpa(host: Any, widget: Any) -> None:
    ui = widget.ui
    run(host, widget.runPanel, widget, "run")
    photograph(host, widget, "result")
    photograph(host, widget, "tables", ui.resultsCollapsibleButton)
    xray = widget._parameterNode.xray
    widget._parameterNode.xray = widget._parameterNode.outputCt
    photograph(host, widget, "error")
    widget._parameterNode.xray = xray
    training(host, widget, "autoencoder", {"steps": 200, "patch": 32})


def dwmri(host: Any, widget: Any) -> None:
    node, ui = widget._parameterNode, widget.ui
    ui.methodCombo.currentIndex = ui.methodCombo.findText(widget.labels["methodCombo"]["PCA"])
    run(host, widget.runPanel, widget, "run")
    photograph(host, widget, "result")
    photograph(host, widget, "tables", ui.resultsCollapsibleButton)
    node.settings.impute = "99"
    run(host, widget.runPanel, widget, "error")
    photograph(host, widget, "error")
    node.settings.impute = ""
    training(host, widget, "", {"steps": 400, "width": 8})


def training(host: Any, widget: Any, section: str, settings: dict[str, int]) -> None:
    """A short training: on phantoms, or on made-up pairs where the panel asks for examples."""
    from .dwmri_screenshots import addExamples

    ui, panel = widget.ui, widget.trainingPanels[0]
    opened = [ui.trainingCollapsibleButton, *([getattr(ui, f"{section}CollapsibleButton")] if section else [])]
    for each in opened:
        each.collapsed = False
    with tempfile.TemporaryDirectory() as folder:
        if panel.examples is not None:
            addExamples(panel, Path(folder))
        for name, value in settings.items():
            panel.settings[name].value = value
        panel.ui.folderEdit.currentPath = str(Path(folder) / "model")
        run(host, panel.runPanel, widget, "training", opened[-1])


CASES = {"ScarReconstruction": scar, "CTPASynthesis": ctpa, "DWMRIEnhance": dwmri}
"""Module -> what is done with it after its sample is loaded."""


if __name__ == "__main__":
    main(sys.argv[1:])
