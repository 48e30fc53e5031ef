"""The list of examples that a network is trained on: one row an example, one column a kind of file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from deeprecon.data.errors import InputError
from deeprecon.panels.screen.status_colors import BAD, statusColor
from deeprecon.resources import resource_path
from deeprecon.scene.common.training_job import find_examples


class ExampleTable:
    """Files are chosen above the table and added as a row; of folders, the files of the same names are added.

    Args:
        layout: where it is put.
        columns: name of the input -> (label, tool tip).
        needed: names that each example must have; the others may be left out, but then in all examples.
        endings: of the files that are taken from a folder.
        changed: called after rows were added or removed.

    Attributes:
        rows: the examples, input name -> file.
    """

    def __init__(
        self,
        layout: Any,
        columns: Mapping[str, tuple[str, str]],
        needed: Sequence[str],
        endings: Sequence[str],
        changed: Callable[[], None],
    ) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "ExampleTable.ui")))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        layout.addRow(self.widget)
        self.rows: list[dict[str, Path]] = []
        self.edits: dict[str, Any] = {}
        self._columns, self._needed, self._endings, self._changed = columns, needed, endings, changed
        for name, (label, tip) in columns.items():
            edit = pathEdit(label, tip, ctk.ctkPathLineEdit.Files, endings)
            self.edits[name] = edit
            self.ui.pathsFrame.layout().addRow(qt.QLabel(f"{label}:"), edit)
        table = self.ui.table
        table.setColumnCount(len(columns))
        table.setHorizontalHeaderLabels([label for label, _tip in columns.values()])
        table.horizontalHeader().setStretchLastSection(True)
        self.ui.addButton.connect("clicked(bool)", self._onAdd)
        self.ui.removeButton.connect("clicked(bool)", self._onRemove)
        self._show()

    def paths(self) -> dict[str, tuple[Path, ...]]:
        """Input name -> its files, in the order of the rows; none where a column is left out."""
        return {name: tuple(row[name] for row in self.rows if name in row) for name in self._columns}

    def _onAdd(self) -> None:
        try:
            self.rows += self._chosen()
        except InputError as error:
            self._show(str(error))
            return
        for edit in self.edits.values():
            edit.addCurrentPathToHistory()
            edit.currentPath = ""
        self._show()
        self._changed()

    def _chosen(self) -> list[dict[str, Path]]:
        paths = {name: Path(edit.currentPath) if edit.currentPath else None for name, edit in self.edits.items()}
        missing = [self._columns[name][0] for name in self._needed if paths[name] is None]
        if missing:
            raise InputError(f"{missing[0]}: " + _("no file is chosen."))
        added = find_examples(paths, self._endings)
        if self.rows and self.rows[0].keys() != added[0].keys():
            raise InputError(
                _("The other examples have other kinds of files: give the same kinds for each example, or remove them.")
            )
        return added

    def _onRemove(self) -> None:
        row = self.ui.table.currentRow()
        if 0 <= row < len(self.rows):
            del self.rows[row]
            self._show()
            self._changed()

    def _show(self, message: str = "") -> None:
        table = self.ui.table
        table.setRowCount(len(self.rows))
        for number, row in enumerate(self.rows):
            for column, name in enumerate(self._columns):
                item = qt.QTableWidgetItem(row[name].name if name in row else "")
                item.setToolTip(str(row.get(name, "")))
                table.setItem(number, column, item)
        table.resizeColumnsToContents()
        self.ui.removeButton.enabled = bool(self.rows)
        self.ui.messageLabel.text = message
        self.ui.messageLabel.styleSheet = f"color: {statusColor(self.widget, BAD)};"
        self.ui.messageLabel.visible = bool(message)


def pathEdit(label: str, tip: str, kind: int, endings: Sequence[str] = ()) -> Any:
    """A field for a path.

    Args:
        label: its name for a screen reader.
        tip: its tool tip.
        kind: ctkPathLineEdit.Files or .Dirs: what its button lets the user choose.
        endings: of the files that are offered.
    """
    edit = ctk.ctkPathLineEdit()
    edit.filters = kind | ctk.ctkPathLineEdit.Readable
    if endings:
        edit.nameFilters = [" ".join(f"*{ending}" for ending in endings)]
    edit.toolTip, edit.accessibleName = tip, label
    return edit
