"""The provenance of a result, stored on its node and in a side-car file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json

_ATTRIBUTE = "DeepRecon.Provenance"
_MAX_LENGTH = 80
"""Maximum length of a value with its own attribute, which the Data module shows."""


def attach_provenance(node: Any, result: dict[str, Any]) -> None:
    """Store the provenance of a run on a node; it is saved with the scene.

    The provenance, with the metrics added, goes into the attribute "DeepRecon.Provenance" as JSON; its short entries
    are repeated as single, readable attributes ("DeepRecon.Provenance.method"). Those of an earlier run are removed.

    Args:
        node: any MRML node.
        result: content of result.json.
    """
    for name in list(node.GetAttributeNames()):
        if name == _ATTRIBUTE or name.startswith(_ATTRIBUTE + "."):
            node.RemoveAttribute(name)
    provenance = {**result.get("provenance", {}), "metrics": result.get("metrics", {})}
    node.SetAttribute(_ATTRIBUTE, json.dumps(provenance, ensure_ascii=True, sort_keys=True))
    for key, value in provenance.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if not isinstance(value, dict | list) and len(text) <= _MAX_LENGTH:
            node.SetAttribute(f"{_ATTRIBUTE}.{key}", text)


def provenance_of(node: Any) -> dict[str, Any]:
    """The provenance that `attach_provenance` stored.

    Raises:
        InputError: the node is no result, or its provenance is damaged.
    """
    text = node.GetAttribute(_ATTRIBUTE)
    if not text:
        raise InputError(f"{node.GetName()} was not made by DeepRecon: it carries no provenance.", "Choose a result.")
    try:
        provenance: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise InputError(f"The provenance of {node.GetName()} is damaged ({error}).", "Use its result.json.") from error
    return provenance


def write_sidecar(path: Path | str, node: Any) -> Path:
    """Write a node's provenance next to the file it was saved to, as `path` + ".json"; returns that path.

    Raises:
        InputError: as `provenance_of`.
    """
    sidecar = Path(f"{path}.json")
    write_json(sidecar, provenance_of(node))
    return sidecar
