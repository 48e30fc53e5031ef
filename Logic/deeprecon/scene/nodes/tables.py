"""Tables as nodes, with typed columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import slicer
import slicer.util
import vtk


def node_from_rows(rows: Sequence[Mapping[str, Any]], name: str, node: Any = None) -> Any:
    """Put rows into a table node.

    A column of integers becomes an integer column, one of numbers a floating point column, with NaN where a row
    has no value; all else becomes text, empty where a row has no value.

    Args:
        rows: column name -> value (number, text or None); columns in the order in which rows first name them.
        name: of the node.
        node: vtkMRMLTableNode whose columns are replaced; a new one is made if None.
    """
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
    columns = dict.fromkeys(column for row in rows for column in row)
    with slicer.util.NodeModify(node):
        node.SetName(name)
        node.RemoveAllColumns()
        for column in columns:
            array = _column([row.get(column) for row in rows])
            array.SetName(column)
            node.AddColumn(array)
            node.SetColumnType(column, array.GetDataType())  # kept in the file, which is text
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
    node.GetTable().Modified()
    return node


def typed_rows(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Rows of text with the columns of numbers turned into numbers; an empty text becomes None."""
    made: list[dict[str, Any]] = [{name: text or None for name, text in row.items()} for row in rows]
    for column in dict.fromkeys(name for row in rows for name in row):
        texts = [row.get(column) for row in made]
        for kind in (int, float):
            try:
                values = [None if text is None else kind(text) for text in texts]
            except ValueError:
                continue
            for row, value in zip(made, values, strict=True):
                row[column] = value
            break
    return made


def rounded(rows: Sequence[Mapping[str, Any]], digits: int = 3) -> list[dict[str, Any]]:
    """Rows with their floats rounded to significant digits: figures of a result are not known better."""
    return [
        {name: float(f"{value:.{digits}g}") if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]


def _column(values: list[Any]) -> Any:
    numbers = [value for value in values if value is not None]
    if numbers and all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
        all_integers = len(numbers) == len(values) and all(
            isinstance(value, int) and abs(value) < 2**31 for value in numbers
        )
        array: Any = vtk.vtkIntArray() if all_integers else vtk.vtkDoubleArray()
        for value in values:
            array.InsertNextValue(math.nan if value is None else value)
        return array
    array = vtk.vtkStringArray()
    for value in values:
        array.InsertNextValue("" if value is None else str(value))
    return array
