"""The summary table of a run over a folder of cases; the results themselves stay in the user's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.data.tables import read_table
from deeprecon.scene.common.provenance import attach_provenance
from deeprecon.scene.common.results import RunResult, read_result
from deeprecon.scene.nodes.removal import in_scene
from deeprecon.scene.nodes.tables import node_from_rows, rounded, typed_rows


@dataclass(frozen=True)
class CaseKind:
    """The cases of a run over a folder.

    Attributes:
        metric: name of the result's metric that counts them.
        label: their name, in the plural.
        columns: columns of the summary that the panel shows, and their titles.
    """

    metric: str
    label: str
    columns: Mapping[str, str]


XRAYS = CaseKind(
    "xrays",
    "X-rays",
    {
        "xray": "X-ray",
        "status": "status",
        "doubts": "doubts",
        "trust": "trust",
        "nrmse": "projection error",
        "message": "message",
    },
)
SCANS = CaseKind(
    "scans",
    "scans",
    {
        "scan": "scan",
        "status": "status",
        "doubts": "doubts",
        "snr_dwi": "signal over noise",
        "message": "message",
    },
)


def load_summary(folder: Path, kind: CaseKind, summary: Any = None, words: Callable[[str], str] = str) -> RunResult:
    """Load the summary of a finished run over a folder as a table with one row per case.

    Args:
        folder: of the results, with result.json and summary.csv.
        kind: of the cases.
        summary: table node of an earlier run to write into; a new one is made if None or removed.
        words: turns a message of a case into that of the panel.

    Returns:
        The table in the role "summary", and how many cases were processed.

    Raises:
        InputError: no result.
    """
    result = read_result(folder)
    table = read_table(folder / "summary.csv")
    for row in table:
        row["message"] = words(row.get("message") or "")
        row["doubts"] = (row.get("doubts") or "").replace("-", " ")
    rows = [{title: row.get(name) or "" for name, title in kind.columns.items()} for row in table]
    node = node_from_rows(rounded(typed_rows(rows)), f"{folder.name} summary", in_scene(summary))
    attach_provenance(node, result)
    metrics = result["metrics"]
    failed = f" {metrics['failed']} failed: see the table." if metrics["failed"] else ""
    done = f"{metrics['done']} of {metrics[kind.metric]} {kind.label} are done; see {folder}.{failed}"
    return RunResult({"summary": node}, done)
