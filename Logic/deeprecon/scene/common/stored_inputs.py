"""The inputs of a run, stored on its result node: they allow the run to be repeated, also from a saved scene."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.parameters import from_json
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.nodes.parameters import from_dataclass
from deeprecon.scene.nodes.removal import in_scene


def write_inputs(result_node: Any, attribute: str, references: Mapping[str, Any], choices: Mapping[str, Any]) -> None:
    """Store the inputs of a run on its result node.

    Args:
        result_node: main result of the run.
        attribute: name of the node attribute for the choices.
        references: role of the node reference -> input node, or None; one that was removed is left out.
        choices: all other inputs, as JSON values.
    """
    for role, node in references.items():
        result_node.SetNodeReferenceID(role, None if in_scene(node) is None else node.GetID())
    result_node.SetAttribute(attribute, json.dumps(choices))


def read_choices(result_node: Any, attribute: str, module: str) -> dict[str, Any]:
    """The choices that `write_inputs` stored.

    Args:
        result_node: main result of a run, or None.
        attribute: as for `write_inputs`.
        module: title of the module, for the message.

    Raises:
        InputError: there is no node, or it is no result of this module.
    """
    if result_node is None:
        raise InputError("No result is selected.", "Choose one under Results.")
    text = result_node.GetAttribute(attribute)
    if not text:
        raise InputError(f"{result_node.GetName()} is not a result of {module}.", "Choose one under Results.")
    choices: dict[str, Any] = json.loads(text)
    return choices


def stored_parameters(result_node: Any, parameters: type) -> Any:
    """The settings of a run, as an instance of the dataclass `parameters`.

    Raises:
        InputError: the node is no result.
    """
    return from_json(parameters, provenance_of(result_node)["parameters"])


def restore_settings(parameter_node: Any, result_node: Any, settings: Any) -> None:
    """Set seed and settings of a module's parameter node to those of a run.

    Raises:
        InputError: the node is no result.
    """
    parameter_node.seed = provenance_of(result_node).get("seed", 0)
    from_dataclass(parameter_node.settings, settings)
