"""Control points of markups nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import slicer

from deeprecon.data.errors import InputError


def points_from_node(node: Any) -> dict[str, npt.NDArray[np.float64]]:
    """The named and placed control points of a markups node, in world coordinates.

    Args:
        node: vtkMRMLMarkupsFiducialNode; parent transforms of any kind are applied.

    Returns:
        Label -> (3,) RAS mm, in the order of the node.

    Raises:
        InputError: two points of one name, or no point.
    """
    points: dict[str, npt.NDArray[np.float64]] = {}
    for index in range(node.GetNumberOfControlPoints()):
        label = node.GetNthControlPointLabel(index).strip()
        if not label or node.GetNthControlPointPositionStatus(index) != slicer.vtkMRMLMarkupsNode.PositionDefined:
            continue
        if label in points:
            raise InputError(f"{node.GetName()} has two points named {label}.", "Rename or delete one of them.")
        position = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(index, position)
        points[label] = np.array(position)
    if not points:
        raise InputError(f"{node.GetName()} has no named point that is placed.", "Place the points, or choose none.")
    return points
