"""The label maps of a fitted atlas: its organs, and what the X-ray shows of the CT."""

from __future__ import annotations

from typing import Any

import slicer
import slicer.util

from deeprecon.ctpa.simulate.solids import Label
from deeprecon.data.volume import Volume
from deeprecon.scene.nodes.volumes import node_from_volume
from deeprecon.steps import Steps

Color = tuple[float, float, float]

ORGANS: dict[int, tuple[str, Color]] = {
    Label.FAT: ("Fat", (0.90, 0.82, 0.45)),
    Label.MUSCLE: ("Muscle", (0.75, 0.38, 0.31)),
    Label.LUNG: ("Lung", (0.45, 0.75, 0.95)),
    Label.LIVER: ("Liver", (0.60, 0.33, 0.20)),
    Label.HEART: ("Heart", (0.85, 0.15, 0.20)),
    Label.VESSEL: ("Vessel", (0.20, 0.35, 0.85)),
    Label.BONE: ("Bone", (0.95, 0.93, 0.80)),
    Label.AIRWAY: ("Airway", (0.30, 0.90, 0.75)),
    Label.NODULE: ("Nodule", (0.95, 0.45, 0.90)),
    Label.EMBOLUS: ("Embolus", (0.30, 0.10, 0.10)),
    Label.MEDIASTINUM: ("Mediastinum", (0.85, 0.60, 0.55)),
    Label.SPLEEN: ("Spleen", (0.55, 0.25, 0.55)),
    Label.STOMACH: ("Stomach", (0.95, 0.60, 0.25)),
    Label.GAS: ("Gas", (0.65, 0.95, 0.55)),
    Label.CARTILAGE: ("Cartilage", (0.70, 0.80, 0.85)),
    Label.BREAST: ("Breast", (0.95, 0.72, 0.70)),
}
"""Value of labels.nii.gz -> name and color."""
SEEN: dict[int, tuple[str, Color]] = {1: ("Fitted to the X-ray", (0.20, 0.80, 0.45))}
"""The same for origin.nii.gz; 0 is the atlas beyond what the X-ray shows."""
COLORS = {"labels": ("organs", ORGANS), "origin": ("what the X-ray shows", SEEN)}
"""Role of a label map -> name of its color table, and its entries."""
_TABLE = "DeepRecon.LabelColors"


def node_from_labels(volume: Volume, role: str, name: str, node: Any = None) -> Steps[Any]:
    """Put a label map into the scene.

    Args:
        volume: of labels.
        role: one of `COLORS`.
        name: of the node.
        node: vtkMRMLLabelMapVolumeNode whose image and geometry are replaced; a new one is made if None.
    """
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    node = yield from node_from_volume.steps(volume, name, node)
    node.GetDisplayNode().SetAndObserveColorNodeID(_color_table(role).GetID())
    return node


def _color_table(role: str) -> Any:
    """The table of a role, made on first use and saved with the scene."""
    for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode"):
        if node.GetAttribute(_TABLE) == role:
            return node
    name, entries = COLORS[role]
    node = slicer.vtkMRMLColorTableNode()
    node.SetName(f"DeepRecon {name}")
    node.SetTypeToUser()
    node.SetAttribute(_TABLE, role)
    node.SetHideFromEditors(False)  # hidden color nodes are not saved
    node.SetNumberOfColors(max(entries) + 1)
    node.SetColor(0, "none", 0.0, 0.0, 0.0, 0.0)
    for value, (text, color) in entries.items():
        node.SetColor(int(value), text, *color, 1.0)
    return slicer.mrmlScene.AddNode(node)
