"""One task for each of many items, such as the X-rays of a folder: continuing after a failure, with a summary table."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path, write_json
from deeprecon.data.tables import without_formula
from deeprecon.jobs.console import plain_figures
from deeprecon.jobs.events import to_plain
from deeprecon.jobs.failures import Failure, explain_exception
from deeprecon.jobs.run import PartReporter, Run, Stopped

RESULT = "result.json"
"""In the folder of each finished item: outputs and metrics."""
SUMMARY = "summary.csv"
"""One row for each item: its name, done or the kind of failure, figures, message."""


@dataclass(frozen=True)
class Item:
    """One of the items.

    Attributes:
        name: of its folder; unique among the items.
        label: its name in messages and in the summary.
        path: of its input.
    """

    name: str
    label: str
    path: Path


@dataclass(frozen=True)
class ItemRun(Run):
    """The run of one item, which stops when the run of all items is asked to."""

    parent: Run

    def should_stop(self) -> bool:
        """Whether the run of all items is to stop."""
        return self.parent.should_stop()


def _item_run(run: Run, folder: Path, output: Path, reporter: PartReporter) -> ItemRun:
    settings = (run.device, run.threads, run.precision, run.seed)
    return ItemRun(folder, output, *settings, reporter, run, accepted=run.accepted)


class Summary:
    """The rows of summary.csv.

    Args:
        column: name of the first column, which holds the items' labels.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self.rows: list[dict[str, Any]] = []

    def add_done(self, label: str, result: Mapping[str, Any], **values: Any) -> None:
        """A row of an item that is done: of its result, the codes of the doubts, and figures that are single values."""
        self.rows.append({**_result_values(result), self.column: label, "status": "done", **values})

    def add_failed(self, label: str, failure: Failure, **values: Any) -> None:
        """A row of an item that has no result: why, and what to do about it."""
        self.rows.append({self.column: label, "status": failure.kind, **values, "message": failure.told})

    def add_earlier(self, label: str, result: Mapping[str, Any]) -> None:
        """A row of an item that was not run, and has a result of an earlier run."""
        message = "Not run this time: the figures are those of an earlier run."
        self.rows.append({**_result_values(result), self.column: label, "status": "earlier", "message": message})

    @property
    def done(self) -> int:
        """Number of items that are done."""
        return sum(row["status"] == "done" for row in self.rows)

    @property
    def columns(self) -> list[str]:
        """Of the table, in their order: the item, its status, its doubts, its figures, the message."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        first = [name for name in (self.column, "status", "seconds", "doubts") if name in names]
        return [*first, *(name for name in names if name not in (*first, "message")), "message"]

    def write(self, path: Path) -> None:
        """Write the table as CSV, with the byte order mark by which spreadsheet programs recognize UTF-8."""
        with atomic_path(path) as part, open(part, "w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, self.columns, restval="")
            writer.writeheader()
            writer.writerows({name: without_formula(value) for name, value in row.items()} for row in self.rows)


def _result_values(result: Mapping[str, Any]) -> dict[str, Any]:
    """Of the content of a result.json: metrics that are single numbers or words, and the codes of its doubts."""
    codes = " ".join(dict.fromkeys(doubt["code"] for doubt in result.get("doubts", [])))
    return {**plain_figures(result["metrics"]), **({"doubts": codes} if codes else {})}


def run_items(
    items: Sequence[Item],
    run: Run,
    column: str,
    compute: Callable[[Item, Run], Mapping[str, Any]],
    publish: Callable[[Item, Path, Mapping[str, Any]], None],
) -> Summary:
    """Run a task on each item, one after the other, within one job; one that fails does not stop the others.

    What is finished is kept in the checkpoint, with its doubts, and not computed again when an interrupted job is
    resumed.

    Args:
        items: at least one.
        run: of all items.
        column: what the items are, such as "xray": heads their column in the summary.
        compute: (item, its run) -> content of its result.json with its metrics, after the files were written into
            the run's output folder.
        publish: (item, folder with its files and result.json, content of result.json): copies them to the output.

    Returns:
        The summary, also written to summary.csv in the output folder. Where the job is asked to stop, it has the
        items that were finished by then.

    Raises:
        Stopped: asked to stop before any item was finished.
        InputError: every item failed.
    """
    kept, begun, summary = run.checkpoint / f"{column}s", time.monotonic(), Summary(column)
    for number, item in enumerate(items):
        if run.should_stop():
            break
        run.reporter.status(f"[{number + 1}/{len(items)}] {item.label}")
        reporter = PartReporter(run.reporter, number / len(items), (number + 1) / len(items), begun)
        folder = kept / item.name
        own = _item_run(run, kept / f".{item.name}", folder, reporter)
        try:
            if not (folder / RESULT).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                content = compute(item, own)
                if run.should_stop():  # it may have ended early: resuming computes it to its end
                    break
                doubts = [doubt.as_json() for doubt in own.doubts]
                write_json(folder / RESULT, to_plain({**content, "doubts": doubts}))
            content = {"doubts": [], **json.loads((folder / RESULT).read_text(encoding="utf-8"))}
            own.consider(Doubt.from_json(content["doubts"]))
            publish(item, folder, content)
            summary.add_done(item.label, content)
        except (InputError, OSError, MemoryError) as error:
            failure = explain_exception(error)
            summary.add_failed(item.label, failure)
            run.reporter.warning(f"{item.label}: {failure.told}")
        finally:
            run.doubts.extend(doubt for doubt in own.doubts if doubt not in run.doubts)
    if not summary.rows:
        raise Stopped
    if not summary.done:
        raise InputError(f"No {column} could be used: {summary.rows[0]['message']}")
    summary.write(run.output / SUMMARY)
    return summary
