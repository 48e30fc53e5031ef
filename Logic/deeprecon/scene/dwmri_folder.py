"""The scans of a BIDS dataset, enhanced in one run: its results beside the dataset, its summary in the scene."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.data.tables import read_table
from deeprecon.scene.dwmri_job import OUTPUT
from deeprecon.scene.provenance import attach
from deeprecon.scene.results import read_result
from deeprecon.scene.tables import node_from_rows

PIPELINE = Path("derivatives") / "deeprecon"
"""Where the results of a dataset go, below its folder."""
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


def load_dataset(folder: Path, dataset: Path, summary: Any = None) -> FolderResult:
    """Put the results of a finished job folder into the dataset and its summary into the scene.

    Args:
        folder: the job folder.
        dataset: the BIDS folder, whose derivatives/deeprecon gets the results; what is there of earlier runs stays, but
            for files of the same name.
        summary: table node of an earlier run to write into; a new one is made if None.

    Raises:
        InputError: no result.
    """
    result = read_result(folder / OUTPUT)
    shutil.copytree(folder / OUTPUT / "derivatives", dataset / PIPELINE, dirs_exist_ok=True)
    rows = [_words(row) for row in read_table(folder / OUTPUT / "summary.csv")]
    node = node_from_rows(rows, f"{dataset.name} summary", summary)
    attach(node, result)
    figures = result["metrics"]
    failed = f" {figures['failed']} failed: see the table." if figures["failed"] else ""
    text = f"{figures['done']} of {figures['scans']} scans are in {dataset / PIPELINE}.{failed}"
    return FolderResult(node, text)


def _words(row: Mapping[str, str]) -> dict[str, str | None]:
    return {title: row.get(name) or None for name, title in SHOWN.items()}
