"""The inputs of a synthesis: taken from the module's parameter node, stored on the result, and restored from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deeprecon.ctpa.parameters import MethodName, SynthesizeParameters
from deeprecon.data.errors import InputError
from deeprecon.scene.common.stored_inputs import read_choices, restore_settings, stored_parameters, write_inputs
from deeprecon.scene.ctpa.job import CtpaNodes

XRAY = "DeepRecon.Xray"
"""Role of the node reference from a synthetic CT to its X-ray."""
CHOICES = "DeepRecon.CtpaChoices"


def nodes_of(parameter_node: Any) -> CtpaNodes:
    """The X-ray of a parameter node, and its model where a network is the method."""
    uses_model = parameter_node.useModel and parameter_node.settings.method is MethodName.NETWORK
    return CtpaNodes(parameter_node.xray, Path(parameter_node.modelFolder) if uses_model else None)


def is_result(node: Any) -> bool:
    """Whether a node, or None, is the CT of a synthesis."""
    return node is not None and bool(node.GetAttribute(CHOICES))


def store_inputs(ct: Any, nodes: CtpaNodes) -> None:
    """Store the inputs of a run on its synthetic CT."""
    choices = {"bundle": None if nodes.bundle is None else str(nodes.bundle)}
    write_inputs(ct, CHOICES, {XRAY: nodes.xray}, choices)


def stored_inputs(ct: Any) -> CtpaNodes:
    """The inputs of a synthetic CT; an X-ray that was removed from the scene is None.

    Raises:
        InputError: the node is None, or no result of a synthesis.
    """
    bundle = read_choices(ct, CHOICES, "CTPA Synthesis")["bundle"]
    return CtpaNodes(ct.GetNodeReference(XRAY), None if bundle is None else Path(bundle))


def restore_inputs(parameter_node: Any, ct: Any) -> None:
    """Set a parameter node to the inputs and settings of a synthetic CT.

    Raises:
        InputError: there is no result, or its X-ray is not in the scene any more; nothing is changed then.
    """
    nodes = stored_inputs(ct)
    if nodes.xray is None:
        raise InputError("The X-ray of this result is not in the scene any more.", "Load and choose it again.")
    settings = stored_parameters(ct, SynthesizeParameters)
    parameter_node.xray = nodes.xray
    if settings.method is MethodName.NETWORK:
        parameter_node.useModel, parameter_node.modelFolder = nodes.bundle is not None, str(nodes.bundle or "")
    restore_settings(parameter_node, ct, settings)
