"""What a run over a folder gave: the results stay in a folder of the user's, the summary goes into the scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.data.tables import read_table
from deeprecon.scene.common.provenance import attach
from deeprecon.scene.common.results import read_result
from deeprecon.scene.nodes.tables import node_from_rows


@dataclass(frozen=True)
class Kind:
    """What a run goes over.

    Attributes:
        figure: name of the result's figure that counts them.
        words: what they are called.
        shown: columns of the summary that the panel shows, and their titles.
    """

    figure: str
    words: str
    shown: Mapping[str, str]


XRAYS = Kind(
    "xrays",
    "X-rays",
    {"xray": "X-ray", "status": "status", "trust": "trust", "nrmse": "projection error", "message": "message"},
)
SCANS = Kind(
    "scans", "scans", {"scan": "scan", "status": "status", "snr_dwi": "signal over noise", "message": "message"}
)


@dataclass(frozen=True)
class FolderResult:
    """What a run over a folder gave.

    Attributes:
        summary: vtkMRMLTableNode with a row for each of what it went over.
        sentence: how many were done, and where their results are.
    """

    summary: Any
    sentence: str


def load_summary(folder: Path, kind: Kind, summary: Any = None) -> FolderResult:
    """Put the summary of a finished run over a folder into the scene.

    Args:
        folder: of the results, with result.json and summary.csv.
        kind: what the run went over.
        summary: table node of an earlier run to write into; a new one is made if None.

    Raises:
        InputError: no result.
    """
    result = read_result(folder)
    rows = [
        {title: row.get(name) or None for name, title in kind.shown.items()}
        for row in read_table(folder / "summary.csv")
    ]
    node = node_from_rows(rows, f"{folder.name} summary", summary)
    attach(node, result)
    figures = result["metrics"]
    failed = f" {figures['failed']} failed: see the table." if figures["failed"] else ""
    done = f"{figures['done']} of {figures[kind.figure]} {kind.words} are done; see {folder}.{failed}"
    return FolderResult(node, done)
