"""Roles of segments, recognized by their names."""

from __future__ import annotations

from typing import Any

from deeprecon.scar.read.roles import role_of
from deeprecon.scene.nodes.segmentations import segment_names


def find_segments(node: Any) -> dict[str, str]:
    """Role -> ID of the first segment of a vtkMRMLSegmentationNode whose name denotes that role (see `role_of`)."""
    found: dict[str, str] = {}
    for segment_id, name in segment_names(node).items():
        role = role_of(name)
        if role is not None:
            found.setdefault(role, segment_id)
    return found
