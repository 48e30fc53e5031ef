"""Wrist recordings as table nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from deeprecon.data.doubts import DoubtError, not_accepted
from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.seizure.configuration import SAMPLE_RATE
from deeprecon.seizure.observe.recordings import load_single_recording
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.recording import unmonitored_doubts

TIME = "time_s"

_NOTES = "DeepRecon.Notes"
_COLUMNS = (
    (TIME, "magnitude_g"),
    ("t", "magnitude"),
    ("time", "magnitude"),
    ("t", "x", "y", "z"),
    ("time", "x", "y", "z"),
)
"""Columns of a recording, in lower case."""


def load_recording(
    path: Path | str, unit: Unit = Unit.AUTO, accept: Iterable[str] = (), columns: Sequence[str] = ()
) -> Any:
    """A recording as a table node with columns `time_s` and `magnitude_g`, 25 rows a second, NaN if not monitored.

    The node's attribute "DeepRecon.Notes" states the share that is not monitored, what is assumed, and what was done
    to the data, the unit that was found included.

    Args:
        path: file of a watch, folder of an Empatica, or OSDB event file with one event.
        unit: of a watch's file.
        accept: codes of contradictions to accept, see `deeprecon.data.doubts`.
        columns: of the time and the acceleration in a watch's table; recognized by default.

    Raises:
        InputError: the file cannot be read, or holds several events.
        DoubtError: it contradicts itself.
    """
    recording = load_single_recording(Path(path), unit, columns)
    doubts = (*unmonitored_doubts(Path(path).name, [recording]), *recording.doubts)
    if contradictions := not_accepted(doubts, accept):
        raise DoubtError(contradictions)
    magnitude = np.where(recording.valid, recording.magnitude, np.nan)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", f"{recording.name} accelerometer")
    _set_columns(node, {TIME: np.arange(len(magnitude)) / SAMPLE_RATE, "magnitude_g": magnitude.astype(np.float64)})
    node.SetAttribute(_NOTES, "; ".join([*(doubt.text.removesuffix(".") for doubt in doubts), *recording.notes]))
    return node


def write_recording(node: Any, path: Path) -> None:
    """Write a table node as a plain recording (.csv), without rows of NaN, which are gaps.

    Args:
        node: vtkMRMLTableNode of `load_recording`, or one with columns t,x,y,z or t,magnitude.
        path: of the file.

    Raises:
        InputError: it has other columns, or text in them.
    """
    table = node.GetTable()
    names = {table.GetColumnName(index).strip().lower(): index for index in range(table.GetNumberOfColumns())}
    for wanted in _COLUMNS:
        if all(name in names for name in wanted):
            break
    else:
        raise InputError(
            f"The table {node.GetName()} has the columns {', '.join(names)}.", "Expected are t,x,y,z or t,magnitude."
        )
    columns = [column_numbers(node, table.GetColumn(names[name])) for name in wanted]
    rows = np.column_stack(columns)
    header = "t,magnitude" if len(columns) == 2 else "t,x,y,z"
    with atomic_path(path) as part:
        np.savetxt(part, rows[np.isfinite(rows).all(axis=1)], "%.9g", delimiter=",", header=header, comments="")


def column_numbers(node: Any, array: Any) -> npt.NDArray[np.float64]:
    """The column as numbers; text is read as numbers, empty as NaN."""
    if array.IsA("vtkDataArray"):
        return np.asarray(vtk_to_numpy(array), np.float64)
    texts = [array.GetValue(row).strip() for row in range(array.GetNumberOfValues())]
    try:
        return np.array([float(text or "nan") for text in texts], np.float64)
    except ValueError:
        raise InputError(f"The column {array.GetName()} of {node.GetName()} holds text that is no number.") from None


def _set_columns(node: Any, columns: Mapping[str, npt.NDArray[np.float64]]) -> None:
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        for name, values in columns.items():
            array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
            array.SetName(name)
            node.AddColumn(array)
            node.SetColumnType(name, vtk.VTK_DOUBLE)
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
    node.GetTable().Modified()
