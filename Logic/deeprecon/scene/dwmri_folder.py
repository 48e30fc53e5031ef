"""The scans of a BIDS dataset, enhanced in one run: its results beside the dataset, its summary in the scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.data.tables import read_table
from deeprecon.scene.provenance import attach
from deeprecon.scene.results import read_result
from deeprecon.scene.tables import node_from_rows

PIPELINE = Path("derivatives") / "deeprecon"
"""Where the panel puts the results of a dataset, below its folder, as BIDS has it."""
SHOWN = {"scan": "scan", "status": "status", "snr_dwi": "signal over noise", "message": "message"}
"""Columns of the summary that the panel shows, and their titles."""


@dataclass(frozen=True)
class FolderResult:
    """What a run over a dataset gave.

    Attributes:
        summary: vtkMRMLTableNode with a row for each scan.
        sentence: how many were done, and where their results are.
    """

    summary: Any
    sentence: str


def load_summary(folder: Path, summary: Any = None) -> FolderResult:
    """Put the summary of a finished run over a dataset into the scene.

    Args:
        folder: with result.json, summary.csv and the folders of the subjects.
        summary: table node of an earlier run to write into; a new one is made if None.

    Raises:
        InputError: no result.
    """
    result = read_result(folder)
    rows = [_words(row) for row in read_table(folder / "summary.csv")]
    node = node_from_rows(rows, f"{folder.name} summary", summary)
    attach(node, result)
    figures = result["metrics"]
    failed = f" {figures['failed']} failed: see the table." if figures["failed"] else ""
    return FolderResult(node, f"{figures['done']} of {figures['scans']} scans are done; see {folder}.{failed}")


def _words(row: Mapping[str, str]) -> dict[str, str | None]:
    return {title: row.get(name) or None for name, title in SHOWN.items()}
