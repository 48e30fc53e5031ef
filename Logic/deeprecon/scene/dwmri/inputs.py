"""The inputs of an enhancement: taken from the module's parameter node, stored on the result, and restored from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.dwmri.parameters import EnhanceParameters
from deeprecon.scene.common.stored_inputs import read_choices, restore_settings, stored_parameters, write_inputs
from deeprecon.scene.dwmri.job import DwiNodes

SCAN, MASK = "DeepRecon.Scan", "DeepRecon.Mask"
"""Roles of the node references from a result scan to its inputs."""
CHOICES = "DeepRecon.DwiChoices"


def nodes_of(parameter_node: Any) -> DwiNodes:
    """The scan, the mask and the model of a parameter node."""
    bundle = Path(parameter_node.modelFolder) if parameter_node.useModel else None
    return DwiNodes(parameter_node.inputScan, parameter_node.mask, bundle)


def is_result(node: Any) -> bool:
    """Whether a node, or None, is the result scan of an enhancement."""
    return node is not None and bool(node.GetAttribute(CHOICES))


def store_inputs(result_node: Any, nodes: DwiNodes) -> None:
    """Store the inputs of a run on its result scan."""
    choices = {"bundle": None if nodes.bundle is None else str(nodes.bundle), "mask": nodes.mask is not None}
    write_inputs(result_node, CHOICES, {SCAN: nodes.dwi, MASK: nodes.mask}, choices)


def stored_inputs(result_node: Any) -> DwiNodes:
    """The inputs of a result scan; those that were removed from the scene are None.

    Raises:
        InputError: the node is None, or no result of an enhancement.
    """
    bundle = read_choices(result_node, CHOICES, "DWI Enhance")["bundle"]
    dwi, mask = result_node.GetNodeReference(SCAN), result_node.GetNodeReference(MASK)
    return DwiNodes(dwi, mask, None if bundle is None else Path(bundle))


def restore_inputs(parameter_node: Any, result_node: Any) -> None:
    """Set a parameter node to the inputs and settings of a result scan.

    Raises:
        InputError: there is no result, or an input is not in the scene any more; nothing is changed then.
    """
    nodes = stored_inputs(result_node)
    had_mask = read_choices(result_node, CHOICES, "DWI Enhance")["mask"]
    for name, removed in (("scan", nodes.dwi is None), ("mask", had_mask and nodes.mask is None)):
        if removed:
            raise InputError(f"The {name} of this result is not in the scene any more.", "Load and choose it again.")
    settings = stored_parameters(result_node, EnhanceParameters)
    parameter_node.inputScan, parameter_node.mask = nodes.dwi, nodes.mask
    parameter_node.useModel, parameter_node.modelFolder = nodes.bundle is not None, str(nodes.bundle or "")
    restore_settings(parameter_node, result_node, settings)
