"""Makes the pictures of the module for the documentation, in Resources/Screenshots:

    cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.make_screenshots [SECONDS]

The module runs in the stand-in application on the sample case; SECONDS is the training time (default 60). The channel
is that of a second case, whose slices are fine enough to show it. The report's picture needs Chromium (`apt-get install
chromium`); without it that picture is left as it was.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Logic"), str(ROOT / "Testing" / "host")]
FOLDER = ROOT / "Resources" / "Screenshots"
INFERIOR = 4
"""Direction from which the 3D view shows the inferior wall."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE_SIZE = 1100, 6000
"""Pixels across and down in which the report has room."""


def main(seconds: float) -> None:
    import slicerhost

    host = slicerhost.start()  # makes qt importable
    import qt

    from deeprecon.panels.computer.device_panel import DEVICE_SETTING

    FOLDER.mkdir(parents=True, exist_ok=True)
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(ROOT / "ScarReconstruction" / "ScarReconstruction.py")
    widget.ui.sampleButton.click()
    host.waitFor(lambda: widget.ui.sampleButton.enabled, 180)
    node, run = widget._parameterNode, widget.runPanel
    node.settings.budget = seconds
    widget.ui.thicknessSpinBox.value = 8.0
    host.process(0.2)
    host.screenshot(FOLDER / "ScarReconstruction-inputs.png")
    picture(host, "sample")

    run.ui.applyButton.click()
    host.waitFor(lambda: not run.busy or run.ui.progressBar.value > 550, 600)
    host.process(0.3)
    host.screenshot(FOLDER / "ScarReconstruction-running.png")
    finish(host, widget)
    host.screenshot(FOLDER / "ScarReconstruction-panel.png")
    shutil.copy(run.folder / "output" / "bullseye.png", FOLDER / "ScarReconstruction-bullseye.png")
    report(run.folder / "output", FOLDER / "ScarReconstruction-report.png")
    collapseSections(widget, "inputs", "observation", "settings")
    run.ui.curvesCollapsibleButton.collapsed = True
    node.landmarks.SetDisplayVisibility(False)
    picture(host, "result")
    show(widget, "scar_uncertainty")
    picture(host, "uncertainty")

    show(widget, "scar_probability")
    node.settings.budget = max(1.0, seconds / 10)
    run.ui.secondaryButton.click()
    finish(host, widget)
    widget.tablesPanel.ui.segmentsCollapsibleButton.collapsed = True
    host.process(0.3)
    host.screenshot(FOLDER / "ScarReconstruction-check.png")

    picture(host, "channel", isthmus(host, widget))
    host.close()


def finish(host: Any, widget: Any) -> None:
    """Wait for the end of a run."""
    host.waitFor(lambda: not widget.runPanel.busy, 1800)
    if widget.runPanel.state.value != "done":
        raise SystemExit(widget.runPanel.error)
    host.process(0.3)


def show(widget: Any, array: str) -> None:
    """Color the mesh by an array of the result."""
    combo = widget.resultPanel.ui.showCombo
    combo.currentIndex = combo.findData(array)


def collapseSections(widget: Any, *sections: str) -> None:
    """Fold sections of the panel away."""
    for name in sections:
        getattr(widget.ui, f"{name}CollapsibleButton").collapsed = True


def isthmus(host: Any, widget: Any) -> tuple[float, ...]:
    """Reconstruct a case with a conduction channel; returns its middle, RAS mm."""
    import slicer

    from deeprecon.scar.simulate.hearts import sample_case, write_case
    from deeprecon.scene.common.results import nodes_of_run

    slicer.mrmlScene.Clear()
    with tempfile.TemporaryDirectory() as folder:
        files = write_case(sample_case(0, "isthmus", spacing=6, thickness=6), folder)
        node = widget._parameterNode
        node.inputVolume = slicer.util.loadVolume(str(files["lge"]))
        node.inputVolume.SetName("LGE")
        node.segmentation = slicer.util.loadSegmentation(str(files["segmentation"]))
        node.mesh = slicer.util.loadModel(str(files["mesh"]))
        node.landmarks = slicer.util.loadMarkups(str(files["landmarks"]))
    node.landmarks.SetDisplayVisibility(False)
    widget.ui.methodCombo.currentIndex = 2
    widget.ui.interpolationCombo.currentIndex = 2
    widget.ui.thicknessSpinBox.value = 6.0
    node.settings.core_cutoff = 0.5
    widget.runPanel.ui.applyButton.click()
    finish(host, widget)
    widget.tablesPanel.ui.segmentsCollapsibleButton.collapsed = True
    widget.tablesPanel.ui.channelsCollapsibleButton.collapsed = False
    collapseSections(widget, "inputs", "observation", "settings")
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    view.rotateToViewAxis(INFERIOR)
    view.resetFocalPoint()
    path = slicer.util.arrayFromModelPoints(nodes_of_run(node.outputMesh)["channel_paths"])
    return tuple(path[len(path) // 2].tolist())


def report(folder: Path, path: Path) -> None:
    """The report's page as a browser shows it, the empty space below it cut off."""
    import numpy as np
    from matplotlib.image import imread, imsave

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"No picture of the report: none of {', '.join(BROWSERS)} is installed.", file=sys.stderr)
        return
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    size = f"--window-size={PAGE_SIZE[0]},{PAGE_SIZE[1]}"
    page = (folder / "report.html").as_uri()
    subprocess.run(
        [browser, *options, size, f"--screenshot={path}", page], check=True, capture_output=True, timeout=120
    )
    pixels = imread(path)
    used = np.flatnonzero((pixels != pixels[-1]).any(axis=(1, 2)))
    imsave(path, pixels[: used[-1] + 1])


def picture(host: Any, name: str, place: tuple[float, ...] = ()) -> None:
    """The window, its views fitted to their size in the picture, its slices through a point."""
    import slicer

    path = FOLDER / f"ScarReconstruction-{name}.png"
    host.desktop(path)  # sets the size of the views
    slicer.util.resetSliceViews()
    if place:
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *place)
    host.desktop(path)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
