"""The brain mask of a diffusion scan as a segmentation for the Segment Editor, on the mean of the b0 volumes."""

from __future__ import annotations

from functools import partial
from typing import Any

from deeprecon.data.segmentation import Segment, Segmentation
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.dwmri.read.masks import voxels_inside
from deeprecon.scene.dwmri.scan import mean_b0_volume, scan_from_node
from deeprecon.scene.nodes.segmentations import node_from_segmentation
from deeprecon.scene.nodes.volumes import node_from_volume, volume_from_node
from deeprecon.steps import Apart, Steps, in_steps

_COLOR = (0.95, 0.85, 0.30)


@in_steps
def mask_to_edit(scan_node: Any, mask_node: Any = None) -> Steps[tuple[Any, Any]]:
    """The mask as a segmentation, and the image for the Segment Editor.

    Args:
        scan_node: vtkMRMLDiffusionWeightedVolumeNode or vtkMRMLSequenceNode.
        mask_node: vtkMRMLSegmentationNode, which is edited itself; vtkMRMLLabelMapVolumeNode, which is copied; None to
            start with an automatic mask of the head.

    Returns:
        vtkMRMLSegmentationNode and vtkMRMLScalarVolumeNode.

    Raises:
        InputError: a scan or mask that cannot be used.
    """
    drawn = mask_node if mask_node is not None and mask_node.IsA("vtkMRMLSegmentationNode") else None
    image = None if drawn is None else drawn.GetNodeReference(drawn.GetReferenceImageGeometryReferenceRole())
    scan = yield from scan_from_node.steps(scan_node)
    name = scan_node.GetName()
    if image is None:
        mean = yield Apart("Averaging the scan…", partial(mean_b0_volume, scan))
        image = node_from_volume(mean, f"{name} mean b0")
    if drawn is None:
        if mask_node is None:
            mask, ijk_to_ras = (yield Apart("Finding the head…", partial(find_mask, scan))), scan.ijk_to_ras
        else:
            labels = volume_from_node(mask_node)
            mask, ijk_to_ras = voxels_inside(labels)[0], labels.ijk_to_ras
        brain = Segmentation((Segment("Brain", mask, _COLOR, ""),), ijk_to_ras, name)
        drawn = node_from_segmentation(brain, f"{name} mask", image)
    return drawn, image
