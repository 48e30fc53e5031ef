"""Results of earlier runs: the mesh that `scar reconstruct` wrote, with the arrays at its nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import format_of, read_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scar.parameters import VALUE_ARRAYS, Frame, Unit
from deeprecon.scar.read.mesh import HeartMesh, check_heart_size, placed_heart, with_region
from deeprecon.scar.read.mesh_region import Region

_ARRAYS = (
    *VALUE_ARRAYS.values(),
    "scar_uncertainty",
    "core_probability",
    "observed",
    "aha_segment",
    "transmural_depth",
)


def read_result(path: Path, tag_array: str = "") -> HeartMesh:
    """A mesh that this software wrote. Its unit and axes are in the result.json of its folder; else it is in mm.

    Args:
        path: of the mesh.
        tag_array: name of the array of region tags; empty for that of the run, or a usual one.

    Raises:
        InputError: its axes are not known, it is no heart in mm, or there are no such tags.
    """
    hint = "Keep the mesh in the folder that scar reconstruct wrote, beside its result.json."
    return _read(path, Unit.AUTO, Frame.AUTO, tag_array, hint)


def read_ventricles(
    path: Path, unit: Unit = Unit.AUTO, frame: Frame = Frame.AUTO, tag_array: str = "", region: Sequence[int] = ()
) -> HeartMesh:
    """A mesh of the wall, a result or another one; of several regions those that are wall.

    Args:
        path: of the mesh.
        unit, frame: as stated by the user; AUTO takes those of its run or file, else mm and, as an assumption, RAS.
        tag_array: name of the array of region tags; empty for that of the run, or a usual one.
        region: tags of the wall; empty for those of the run, or all.

    Raises:
        InputError: as `read_mesh` and `find_tags`; it has not the size of a heart, or no such regions.
    """
    heart = _read(path, unit, frame, tag_array, "State the right one with --mesh-unit.", Frame.RAS)
    wall = tuple(region) or heart.region
    if not wall:
        return heart
    known = set() if heart.tags is None else set(heart.tags.values[heart.part.cells].tolist())
    if missing := sorted(set(wall) - known):
        raise InputError(
            f"{path.name} has no region {', '.join(map(str, missing))}.",
            f"It has {', '.join(map(str, sorted(known))) or 'no region tags'}; name some with --mesh-region.",
        )
    return with_region(heart, Region(wall))


def _read(path: Path, unit: Unit, frame: Frame, tag_array: str, hint: str, otherwise: Frame | None = None) -> HeartMesh:
    """A mesh with the arrays of its run; in the axes `otherwise` where nothing states them."""
    file = read_mesh(path)
    written = _metrics_of_run(path)
    in_unit = unit.value if unit is not Unit.AUTO else written.get("mesh_unit") or file.unit or Unit.MM.value
    in_frame = frame.value if frame is not Frame.AUTO else written.get("mesh_frame") or file.frame or ""
    doubts: tuple[Doubt, ...] = ()
    if not in_frame:
        if otherwise is None:
            raise InputError(f"{path.name} does not say in which patient axes it is.", hint)
        in_frame = otherwise.value
        text = f"It does not state its patient axes; {in_frame.upper()} are taken."
        doubts = (Doubt("mesh-axes-assumed", path.name, text, "State them with --mesh-frame.", assumed=True),)
    kind = format_of(file.path)
    if kind is not None and kind.value_files:
        mesh = Mesh(file.dataset, path.name)
        files = {name: path.with_suffix(f".{name}.dat") for name in _ARRAYS}
        arrays = {name: _read_values(at, mesh.n_points) for name, at in files.items() if at.exists()}
        file = replace(file, dataset=mesh.with_point_arrays(arrays).dataset)
    heart = placed_heart(file, in_unit, in_frame, tag_array or written.get("tag_array") or "")
    check_heart_size(heart.mesh, hint, f", read in {in_unit},")
    region = tuple(int(tag) for tag in str(written.get("mesh_region", "")).split())
    return replace(heart, region=region, doubts=(*heart.doubts, *doubts))


def _read_values(path: Path, count: int) -> npt.NDArray[np.float64]:
    """(count,) numbers of a text file with one per line."""
    try:
        values = np.array(path.read_text(encoding="utf-8").split(), np.float64)
    except ValueError as error:  # UnicodeDecodeError is one too
        raise InputError(f"{path} holds what is no number.", "Make the result again.") from error
    if len(values) != count:
        raise InputError(f"{path} has {len(values)} values for {count} nodes.", "Make the result again.")
    return values


def _metrics_of_run(path: Path) -> Mapping[str, Any]:
    """The metrics of the run that wrote a mesh, empty where its folder has no result.json of such a run."""
    try:
        result = json.loads((path.parent / "result.json").read_text(encoding="utf-8"))
        metrics = result["metrics"] if result["outputs"]["mesh"]["path"] == path.name else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return metrics if isinstance(metrics, dict) else {}
