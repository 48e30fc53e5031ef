"""Makes the picture of isochrones for the documentation, in Resources/Screenshots:

    cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.activation_screenshots

The module runs in the stand-in application on the sample case, the patient of the other pictures.
"""

from __future__ import annotations

from typing import Any

from .make_screenshots import ROOT, collapseSections, finish, picture


def main() -> None:
    import slicerhost

    host = slicerhost.start()  # makes qt importable
    import qt

    from deeprecon.panels.computer.device_panel import DEVICE_SETTING

    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(ROOT / "ScarReconstruction" / "ScarReconstruction.py")
    widget.ui.sampleButton.click()
    host.waitFor(lambda: widget.ui.sampleButton.enabled, 180)
    widget._parameterNode.landmarks.SetDisplayVisibility(False)
    widget._parameterNode.settings.node_spacing = 2.0
    widget.ui.thicknessSpinBox.value = 8.0
    widget.ui.methodCombo.currentIndex = 2
    widget.runPanel.ui.applyButton.click()
    finish(host, widget)
    placeSite(widget)
    widget.ui.activationCollapsibleButton.collapsed = False
    widget.ui.activationButton.click()
    finish(host, widget)
    collapseSections(widget, "inputs", "observation", "settings", "results")
    picture(host, "isochrones")
    host.close()


def placeSite(widget: Any) -> None:
    """Put a point in the wall, as far from the scar as it goes, and choose it."""
    import numpy as np
    import slicer

    node = widget._parameterNode
    points = slicer.util.arrayFromModelPoints(node.outputMesh)
    scar = slicer.util.arrayFromModelPointData(node.outputMesh, "scar_probability") > 0.5
    away = np.linalg.norm(points - points[scar].mean(axis=0), axis=1)
    node.pacingSite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Pacing site")
    node.pacingSite.AddControlPoint(*points[away.argmax()].tolist())


if __name__ == "__main__":
    main()
