"""A small input for the ScarReconstruction panel."""

from __future__ import annotations

from typing import Any

import numpy as np


def choose_small_case(parameter_node: Any, name: str = "Patient") -> None:
    """Choose a hand-made case: a tube of wall with scar on one side; no mesh."""
    parameter_node.inputVolume, parameter_node.segmentation = small_stack(name)


def small_stack(name: str) -> tuple[Any, Any]:
    """LGE volume and segmentation of the tube, in the scene."""
    import slicer

    _, j, i = np.indices((5, 24, 24))
    radius = np.hypot(j - 11.5, i - 11.5)
    wall = (radius > 6) & (radius < 10)
    scar = wall & (i > 14)
    volume = slicer.util.addVolumeFromArray(np.where(scar, 300, np.where(wall, 80, 200)).astype(np.int16))
    volume.SetName(f"{name} LGE")
    volume.SetSpacing(2, 2, 8)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{name} segmentation")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for segment, mask in (("LV Myocardium", wall), ("Scar", scar), ("empty", wall & False)):
        key = segmentation.GetSegmentation().AddEmptySegment(segment, segment)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, key, volume)
    return volume, segmentation
