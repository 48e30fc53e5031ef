"""Nodes that leave the scene."""

from __future__ import annotations

from typing import Any

import slicer
import slicer.util


def in_scene(node: Any) -> Any:
    """A node, or None where there is none or it was removed from the scene."""
    return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None


def clear_choices(parameter_node: Any, removed: Any) -> bool:
    """Set the parameters that hold a node to None; returns whether there were any.

    To be called before the node leaves the scene. Otherwise a node selector takes a neighbor in its list for it, and a
    later node that gets the same ID would be taken for the chosen one.

    Args:
        parameter_node: made by a parameterNodeWrapper class.
        removed: a node that is about to be removed from the scene.
    """
    names = [name for name in parameter_node.allParameters if getattr(parameter_node, name) is removed]
    for name in names:
        setattr(parameter_node, name, None)
    return bool(names)
