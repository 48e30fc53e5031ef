"""Makes the pictures of DWMRIEnhance for the documentation, in Resources/Screenshots:

    cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.dwmri_screenshots [STEPS]

The module runs in the stand-in application on its sample scan; STEPS are the network's training steps (default 800).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from .make_screenshots import FOLDER, ROOT, collapseSections, finish, report


def main(steps: int) -> None:
    import slicerhost

    host = slicerhost.start()  # makes qt importable
    import qt

    from deeprecon.panels.computer.device_panel import DEVICE_SETTING

    FOLDER.mkdir(parents=True, exist_ok=True)
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(ROOT / "DWMRIEnhance" / "DWMRIEnhance.py")
    widget.ui.sampleButton.click()
    host.waitFor(lambda: widget.ui.sampleButton.enabled, 180)
    node, run = widget._parameterNode, widget.runPanel
    node.settings.steps = steps
    host.process(0.2)
    host.screenshot(path("inputs"))
    widget.ui.flipsButton.click()
    host.waitFor(lambda: widget.ui.flipsButton.enabled, 180)
    expandSections(widget, "gradients", "directions")
    collapseSections(widget, "inputs", "settings", "device", "run", "results")
    host.process(0.3)
    host.screenshot(path("gradients"))
    collapseSections(widget, "directions")
    expandSections(widget, "inputs", "settings", "run", "results")

    run.ui.applyButton.click()
    host.waitFor(lambda: not run.busy or run.ui.progressBar.value > 400, 900)
    host.process(0.3)
    host.screenshot(path("running"))
    finish(host, widget)
    run.ui.curvesCollapsibleButton.collapsed = True
    host.screenshot(path("panel"))
    report(run.folder / "output", path("report"))

    collapseSections(widget, "inputs", "gradients", "settings", "run")
    panel, compare = widget.results.resultPanel, widget.results.comparePanel
    compare.ui.volumeSlider.value = 8
    compare.ui.sideBySideCheckBox.checked = True
    for name, file in (("scan", "side-by-side"), ("fa", "fa"), ("color_fa", "color_fa")):
        panel.ui.showCombo.currentIndex = panel.ui.showCombo.findData(name)
        picture(host, file)
    compare.ui.sideBySideCheckBox.checked = False
    panel.ui.showCombo.currentIndex = panel.ui.showCombo.findData("scan")
    picture(host, "scan")
    panel.ui.showCombo.currentIndex = panel.ui.showCombo.findData("uncertainty")
    picture(host, "uncertainty")

    panel.ui.showCombo.currentIndex = panel.ui.showCombo.findData("fa")
    widget.ui.measureCollapsibleButton.collapsed = False
    widget.ui.boxButton.click()
    widget.ui.lineButton.click()
    host.process(1.0)
    picture(host, "measure")
    for markup in (node.region, node.line):
        markup.SetDisplayVisibility(False)

    widget.ui.editMaskButton.click()
    host.waitFor(lambda: widget.ui.editMaskButton.enabled, 180)
    expandSections(widget, "inputs")
    picture(host, "mask")
    train(host, widget)
    host.close()


def train(host: Any, widget: Any) -> None:
    """Train a small network on made-up pairs, and take its picture while it runs."""
    collapseSections(widget, "inputs", "results")
    widget.ui.trainingCollapsibleButton.collapsed = False
    (panel,) = widget.trainingPanels
    with tempfile.TemporaryDirectory() as folder:
        addExamples(panel, Path(folder))
        panel.ui.trainingSettingsCollapsibleButton.collapsed = False
        panel.settings["steps"].value = 400
        panel.settings["width"].value = 8
        panel.ui.folderEdit.currentPath = str(Path(folder) / "model")
        panel.runPanel.ui.applyButton.click()
        host.waitFor(lambda: not panel.runPanel.busy or panel.runPanel.ui.progressBar.value > 700, 900)
        host.process(0.3)
        panel.ui.folderEdit.blockSignals(True)
        panel.ui.folderEdit.currentPath = "models/denoising"  # no picture shows the folders of a machine
        host.screenshot(path("training"))
        panel.runPanel.abort()


def addExamples(panel: Any, folder: Path) -> None:
    """Two made-up pairs of a noisy and a clean scan as the examples of a training panel."""
    from deeprecon.data.diffusion.files import write_dwi
    from deeprecon.dwmri.simulate.head import make_phantom

    for seed in range(2):
        made = make_phantom((16, 32, 32), 2, ((1000.0, 12),), 20.0, seed)
        for name, scan in (("noisy", made.noisy), ("clean", made.clean)):
            (folder / name).mkdir(exist_ok=True)
            write_dwi(folder / name / f"sub-0{seed + 1}.nrrd", scan)
    for name in ("noisy", "clean"):
        panel.examples.edits[name].currentPath = str(folder / name)
    panel.examples.ui.addButton.click()


def expandSections(widget: Any, *sections: str) -> None:
    """Open sections of the panel."""
    for name in sections:
        getattr(widget.ui, f"{name}CollapsibleButton").collapsed = False


def path(name: str) -> Path:
    return FOLDER / f"DWMRIEnhance-{name}.png"


def picture(host: Any, name: str) -> None:
    """The window, its views fitted to their size in the picture."""
    import slicer

    host.desktop(path(name))  # sets the size of the views
    slicer.util.resetSliceViews()
    host.desktop(path(name))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 800)
