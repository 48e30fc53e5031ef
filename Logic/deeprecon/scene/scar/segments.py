"""Roles of segments, recognized by their names.

A choice is the ID of a segment, or the IDs of several that count together, one a line.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deeprecon.data.volume import Volume
from deeprecon.scar.read.roles import role_of
from deeprecon.scene.nodes.segmentations import segment_names, segment_volume


def find_segments(node: Any) -> dict[str, str]:
    """Role -> choice of all segments of a vtkMRMLSegmentationNode whose names denote that role (see `role_of`)."""
    found: dict[str, list[str]] = {}
    for segment_id, name in segment_names(node).items():
        role = role_of(name)
        if role is not None:
            found.setdefault(role, []).append(segment_id)
    return {role: "\n".join(ids) for role, ids in found.items()}


def segment_choices(node: Any) -> dict[str, str]:
    """Choice -> text: each segment, and those together whose names denote the same role."""
    names = segment_names(node)
    together = (choice for choice in find_segments(node).values() if "\n" in choice)
    return names | {choice: " + ".join(names[key] for key in choice.split("\n")) for choice in together}


def chosen_volume(node: Any, choice: str, reference: Any = None) -> Volume:
    """The union of the chosen segments; arguments and errors as `segment_volume`."""
    first, *others = (segment_volume(node, key, reference) for key in choice.split("\n"))
    for other in others:
        first.array[np.asarray(other.array, bool)] = 1
    return first
