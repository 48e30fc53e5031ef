"""Named points in Slicer's markups files: .mrk.json, and .fcsv of older versions.

Format: https://slicer.readthedocs.io/en/latest/developer_guide/modules/markups.html.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import write_json

_TO_RAS = {"RAS": (1.0, 1.0, 1.0), "0": (1.0, 1.0, 1.0), "LPS": (-1.0, -1.0, 1.0), "1": (-1.0, -1.0, 1.0)}
_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"  # as Slicer writes them
_DEFINED = "2"  # vtkMRMLMarkupsNode::PositionDefined, in a column behind the named ones
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_SAVE = "Save it from Slicer as a .mrk.json file."

_Place = tuple[str, Any, Any]
"""Label, position and coordinate system of a point as they stand in a file."""


@names_damage
def read_markups(path: Path | str) -> dict[str, npt.NDArray[np.float64]]:
    """Read all placed points of a .mrk.json or .fcsv file, of all lists in it.

    Points that were named but not placed are left out, and so are points without a name.

    Returns:
        Label to (3,) RAS mm, in the order of the file.

    Raises:
        InputError: missing or unreadable file, not a markups file, a coordinate system other than RAS and LPS or a
            unit other than mm, a position that is not three finite numbers, two points of one name, no point at all.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read the markups file {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The file {path} is not a markups file: it is not text.", _SAVE) from error
    points: dict[str, npt.NDArray[np.float64]] = {}
    for label, position, system in _fcsv(path, text) if path.suffix.lower() == ".fcsv" else _json(path, text):
        if label in points:
            raise InputError(
                f"The markups file {path} has two points named {label}.", "Rename or delete one of them in Slicer."
            )
        points[label] = _numbers(path, label, position) * _signs(path, system)
    if not points:
        raise InputError(f"The markups file {path} has no named point that is placed.", "Place the points in Slicer.")
    return points


def write_markups(path: Path | str, points: Mapping[str, npt.NDArray[np.float64]]) -> None:
    """Write points, label to (3,) RAS mm, as a .mrk.json file in LPS, as Slicer does."""
    controls = [
        {"id": str(number), "label": name, "position": [-place[0], -place[1], place[2]], "positionStatus": "defined"}
        for number, (name, place) in enumerate(points.items(), 1)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": controls}
    write_json(path, {"@schema": _SCHEMA, "markups": [markup]})


def _json(path: Path, text: str) -> Iterator[_Place]:
    """Placed and named points of a .mrk.json file."""
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"The markups file {path} is not valid JSON ({error}).", _SAVE) from error
    lists = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(lists, list) or not all(isinstance(entry, dict) for entry in lists):
        raise InputError(f"The file {path} is not a markups file: it has no list of markups.", _SAVE)
    for entry in lists:
        unit = entry.get("coordinateUnits", "mm")
        if unit not in ("mm", ["mm"] * 3):
            raise InputError(f"The markups file {path} has coordinates in {unit}.", "Save them in mm.")
        points = entry.get("controlPoints") or []
        if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
            raise InputError(f"The markups file {path} has control points that are no points.", _SAVE)
        for point in points:
            label = str(point.get("label") or "").strip()
            if label and point.get("positionStatus", "defined") == "defined":
                yield label, point.get("position"), entry.get("coordinateSystem", "LPS")


def _fcsv(path: Path, text: str) -> Iterator[_Place]:
    """Placed and named points of an .fcsv file."""
    comments = [line[1:] for line in text.splitlines() if line.startswith("#")]
    header = {key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in comments)}
    if not header:
        raise InputError(f"The file {path} is not a markups file: it lacks the header of an .fcsv file.", _SAVE)
    columns = [name.strip() for name in header.get("columns", _COLUMNS).split(",")]
    missing = [name for name in ("x", "y", "z", "label") if name not in columns]
    if missing:
        raise InputError(f"The markups file {path} has no column {missing[0]}.", _SAVE)
    try:
        lines = list(csv.reader(line for line in text.splitlines() if line.strip() and not line.startswith("#")))
    except csv.Error as error:
        raise InputError(f"The markups file {path} is not valid CSV ({error}).", _SAVE) from error
    for line in lines:
        values = dict(zip(columns, line, strict=False))
        status = line[len(columns)] if len(line) > len(columns) else _DEFINED
        label = values.get("label", "").strip()
        if label and status.strip() == _DEFINED:
            # files from before the header named a system are in RAS
            yield label, [values.get(axis) for axis in "xyz"], header.get("coordinatesystem", "RAS")


def _numbers(path: Path, label: str, position: Any) -> npt.NDArray[np.float64]:
    """(3,) of a position as it stands in a file."""
    values = position if isinstance(position, list) else []
    try:
        numbers = [float(value) for value in values if not isinstance(value, bool)]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"The markups file {path}: the position of {label} is not three finite numbers.", "Place the point again."
        )
    return np.array(numbers)


def _signs(path: Path, system: Any) -> npt.NDArray[np.float64]:
    """(3,) factors that bring a coordinate system to RAS."""
    signs = _TO_RAS.get(str(system).upper())
    if signs is None:
        raise InputError(
            f"The markups file {path} has coordinates in {system}, not in RAS or LPS.", "Save it from Slicer in LPS."
        )
    return np.array(signs)
