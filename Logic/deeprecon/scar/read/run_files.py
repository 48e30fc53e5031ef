"""What a run of `scar reconstruct` left beside its mesh."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256


@dataclass(frozen=True, eq=False)
class RunFiles:
    """The files of a finished run.

    Attributes:
        folder: of the result.
        paths: by role; those that were asked for are as the run wrote them.
        created: when the run ended.
        version: of the software that made it.
        inputs: SHA-256 of each input.
        doubts: of the run.
    """

    folder: Path
    paths: Mapping[str, Path]
    created: datetime
    version: str
    inputs: tuple[str, ...]
    doubts: tuple[Doubt, ...]


def read_run_files(mesh: Path, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> RunFiles:
    """The files beside a mesh that `scar reconstruct` wrote.

    Args:
        mesh: of the result.
        needed, optional: roles of files that are read.

    Raises:
        InputError: the folder is no result of `scar reconstruct`, or a file of a role is missing or was changed.
    """
    folder = mesh.parent
    try:
        content: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        provenance = content["provenance"]
        outputs = {role: entry["path"] for role, entry in content["outputs"].items()}
        checksums = {role: entry.get("sha256") for role, entry in content["outputs"].items()}
        valid = (provenance["method"], provenance["verb"]) == ("scar", "reconstruct") and outputs["mesh"] == mesh.name
        created = datetime.fromisoformat(provenance["date"])
        version = str(provenance["versions"]["deeprecon"])
        inputs = tuple(str(entry["sha256"]) for entry in provenance["inputs"])
        doubts = Doubt.from_json(content.get("doubts", []))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        valid = False
    if not valid:
        raise InputError(
            f"{mesh} is not the mesh of a result of scar reconstruct.",
            "Give the mesh in the folder that scar reconstruct wrote, beside its result.json.",
        )
    if missing := [role for role in needed if role not in outputs]:
        raise InputError(
            f"The result in {folder} has no {' and no '.join(missing)}.", "Make it again with this version."
        )
    paths = {role: folder / name for role, name in outputs.items()}
    for role in (*needed, *optional):
        if role in paths and not (paths[role].is_file() and sha256(paths[role]) == checksums[role]):
            raise InputError(f"{paths[role]} is missing, or was changed since it was made.", "Make the result again.")
    return RunFiles(folder, paths, created, version, inputs, doubts)
