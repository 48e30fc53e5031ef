"""Makes the pictures of DWMRIEnhance for the documentation, in Resources/Screenshots:

    cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.dwmri_screenshots [STEPS]

The module runs in the stand-in application on its sample scan; STEPS are the network's training steps (default 800).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .make_screenshots import FOLDER, ROOT, finish, fold, report


def main(steps: int) -> None:
    import slicerhost

    host = slicerhost.start()  # makes qt importable
    import qt

    from deeprecon.panels.device_panel import DEVICE_SETTING

    FOLDER.mkdir(parents=True, exist_ok=True)
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(ROOT / "DWMRIEnhance" / "DWMRIEnhance.py")
    widget.ui.sampleButton.click()
    node, run = widget._parameterNode, widget.runPanel
    node.settings.steps = steps
    host.process(0.2)
    host.screenshot(path("inputs"))

    run.ui.applyButton.click()
    host.waitFor(lambda: not run.busy or run.ui.progressBar.value > 400, 600)
    host.process(0.3)
    host.screenshot(path("running"))
    finish(host, widget)
    run.ui.curvesCollapsibleButton.collapsed = True
    host.screenshot(path("panel"))
    report(run.folder / "output", path("report"))
    fold(widget, "inputs", "gradients", "settings")
    widget.comparePanel.ui.volumeSlider.value = 8
    widget.comparePanel.ui.besideCheckBox.checked = True
    picture(host, "beside")
    widget.comparePanel.ui.besideCheckBox.checked = False
    for name in ("scan", "color_fa", "fa"):
        combo = widget.resultPanel.ui.showCombo
        combo.currentIndex = combo.findData(name)
        picture(host, name)
    host.close()


def path(name: str) -> Path:
    return FOLDER / f"DWMRIEnhance-{name}.png"


def picture(host: Any, name: str) -> None:
    """The whole window, its views fitted to the size that they have in the picture."""
    import slicer

    host.desktop(path(name))  # gives the views their size
    slicer.util.resetSliceViews()
    host.desktop(path(name))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 800)
