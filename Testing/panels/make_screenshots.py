"""Makes the pictures of the module for the documentation, in Resources/Screenshots:

    cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.make_screenshots [SECONDS]

The module runs in the stand-in application on the sample case; SECONDS is the training time (default 60).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Logic"), str(ROOT / "Testing" / "host")]
FOLDER = ROOT / "Resources" / "Screenshots"


def main(seconds: float) -> None:
    import slicerhost

    host = slicerhost.start()  # makes qt importable
    import qt

    from deeprecon.panels.device_panel import DEVICE_SETTING

    FOLDER.mkdir(parents=True, exist_ok=True)
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(ROOT / "ScarReconstruction" / "ScarReconstruction.py")
    widget.ui.sampleButton.click()
    node, run = widget._parameterNode, widget.runPanel
    node.settings.budget = seconds
    widget.ui.thicknessSpinBox.value = 8.0
    host.process(0.2)
    host.screenshot(FOLDER / "ScarReconstruction-inputs.png")
    picture(host, "sample")

    run.apply()
    host.waitFor(lambda: not run.busy or run.ui.progressBar.value > 550, 600)
    host.process(0.3)
    host.screenshot(FOLDER / "ScarReconstruction-running.png")
    host.waitFor(lambda: not run.busy, 900)
    if run.state.value != "done":
        raise SystemExit(run.error)
    host.process(0.3)
    host.screenshot(FOLDER / "ScarReconstruction-panel.png")
    for button in (
        widget.ui.inputsCollapsibleButton,
        widget.ui.observationCollapsibleButton,
        widget.ui.settingsCollapsibleButton,
    ):
        button.collapsed = True
    picture(host, "result")
    widget.resultPanel.ui.showCombo.currentIndex = 1
    picture(host, "uncertainty")
    host.close()


def picture(host: Any, name: str) -> None:
    """The whole window, its views fitted to the size that they have in the picture."""
    import slicer

    path = FOLDER / f"ScarReconstruction-{name}.png"
    host.desktop(path)  # gives the views their size
    slicer.util.resetSliceViews()
    host.desktop(path)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
