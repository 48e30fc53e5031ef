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
LATERAL = "DeepRecon.LateralFilm"
"""The same to its lateral film."""
ATLASES = ("atlas", "atlas2", "atlas3")
"""Fields of the parameter node that hold an atlas."""
ATLAS_ROLES = ("DeepRecon.Atlas", "DeepRecon.Atlas2", "DeepRecon.Atlas3")
"""Roles of the node references to the atlases."""
CHOICES = "DeepRecon.CtpaChoices"


def nodes_of(parameter_node: Any) -> CtpaNodes:
    """The X-ray of a parameter node, and what its method takes: a model, or atlases and a lateral film."""
    node = parameter_node
    if node.settings.method is MethodName.NETWORK:
        return CtpaNodes(node.xray, Path(node.modelFolder) if node.useModel else None)
    chosen = [getattr(node, name) for name in ATLASES]
    atlases = tuple(dict.fromkeys(atlas for atlas in chosen if atlas is not None))
    return CtpaNodes(node.xray, None, atlases, Path(node.atlasFolder) if node.atlasFolder else None, node.lateral)


def is_result(node: Any) -> bool:
    """Whether a node, or None, is the CT of a synthesis."""
    return node is not None and bool(node.GetAttribute(CHOICES))


def store_inputs(ct: Any, nodes: CtpaNodes) -> None:
    """Store the inputs of a run on its synthetic CT."""
    choices = {
        "bundle": None if nodes.bundle is None else str(nodes.bundle),
        "atlases": len(nodes.atlases),
        "atlas_folder": None if nodes.atlas_folder is None else str(nodes.atlas_folder),
        "lateral": nodes.lateral is not None,
    }
    atlases = dict(zip(ATLAS_ROLES, (*nodes.atlases, *[None] * len(ATLASES)), strict=False))
    write_inputs(ct, CHOICES, {XRAY: nodes.xray, LATERAL: nodes.lateral, **atlases}, choices)


def stored_inputs(ct: Any) -> CtpaNodes:
    """The inputs of a synthetic CT; an X-ray, atlas or film that was removed from the scene is None.

    Raises:
        InputError: the node is None, or no result of a synthesis.
    """
    choices = read_choices(ct, CHOICES, "CTPA Synthesis")
    bundle, folder = (
        None if (path := choices.get(name)) is None else Path(path) for name in ("bundle", "atlas_folder")
    )
    atlases = tuple(ct.GetNodeReference(role) for role in ATLAS_ROLES[: choices.get("atlases", 0)])
    return CtpaNodes(ct.GetNodeReference(XRAY), bundle, atlases, folder, ct.GetNodeReference(LATERAL))


def restore_inputs(parameter_node: Any, ct: Any) -> None:
    """Set a parameter node to the inputs and settings of a synthetic CT.

    Raises:
        InputError: there is no result, or one of its images is not in the scene any more; nothing is changed then.
    """
    nodes = stored_inputs(ct)
    lacks_lateral = nodes.lateral is None and read_choices(ct, CHOICES, "CTPA Synthesis").get("lateral", False)
    gone = {"X-ray": nodes.xray is None, "lateral film": lacks_lateral, "atlas": None in nodes.atlases}
    for name, is_gone in gone.items():
        if is_gone:
            raise InputError(f"The {name} of this result is not in the scene any more.", "Load and choose it again.")
    settings = stored_parameters(ct, SynthesizeParameters)
    parameter_node.xray = nodes.xray
    if settings.method is MethodName.NETWORK:
        parameter_node.useModel, parameter_node.modelFolder = nodes.bundle is not None, str(nodes.bundle or "")
    else:
        for name, atlas in zip(ATLASES, (*nodes.atlases, *[None] * len(ATLASES)), strict=False):
            setattr(parameter_node, name, atlas)
        parameter_node.atlasFolder, parameter_node.lateral = str(nodes.atlas_folder or ""), nodes.lateral
    restore_settings(parameter_node, ct, settings)
