"""Where a result came from: written on its node, and beside its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json

_WHOLE = "DeepRecon.Provenance"
_SHORT = 80
"""Longest value, in characters, that gets an attribute of its own, to be read in the Data module."""


def attach_provenance(node: Any, result: dict[str, Any]) -> None:
    """Write what result.json says about a run on a node; it is saved with the scene.

    The provenance, with the metrics added, goes into the attribute "DeepRecon.Provenance" as JSON; its short entries
    are repeated as single attributes for people ("DeepRecon.Provenance.method"). Attributes of an earlier run go.

    Args:
        node: any MRML node.
        result: content of result.json.
    """
    for name in list(node.GetAttributeNames()):
        if name == _WHOLE or name.startswith(_WHOLE + "."):
            node.RemoveAttribute(name)
    whole = {**result.get("provenance", {}), "metrics": result.get("metrics", {})}
    node.SetAttribute(_WHOLE, json.dumps(whole, ensure_ascii=True, sort_keys=True))
    for key, value in whole.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if not isinstance(value, dict | list) and len(text) <= _SHORT:
            node.SetAttribute(f"{_WHOLE}.{key}", text)


def provenance_of(node: Any) -> dict[str, Any]:
    """What `attach_provenance` wrote.

    Raises:
        InputError: the node is no result, or its note is damaged.
    """
    text = node.GetAttribute(_WHOLE)
    if not text:
        raise InputError(f"{node.GetName()} was not made by DeepRecon: it carries no provenance.", "Choose a result.")
    try:
        whole: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise InputError(f"The provenance of {node.GetName()} is damaged ({error}).", "Use its result.json.") from error
    return whole


def write_sidecar(path: Path | str, node: Any) -> Path:
    """Write a node's provenance beside the file it was saved to, as `path` + ".json"; returns that path.

    Raises:
        InputError: as `provenance_of`.
    """
    sidecar = Path(f"{path}.json")
    write_json(sidecar, provenance_of(node))
    return sidecar
