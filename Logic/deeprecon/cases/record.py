"""What a run of many cases was asked for, kept in its output folder so that it can be resumed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deeprecon.cases.table import Case, read_cases
from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json
from deeprecon.jobs.command import JOB_FOLDER, Command
from deeprecon.jobs.events import EVENTS, lock
from deeprecon.jobs.parameters import fields_of
from deeprecon.jobs.verbs import load_verb

FORMAT = 1


@dataclass(frozen=True)
class Record:
    """The request of one call.

    Attributes:
        command: method, verb and the values that all cases share.
        cases: in their order.
        output: gets a folder for each case, and the summary.
        part: (i, n) for the i-th of n parts of the cases, counted from 1.
    """

    command: Command
    cases: tuple[Case, ...]
    output: Path
    part: tuple[int, int]

    @property
    def summary(self) -> Path:
        """The table of the results."""
        return self.output / ("summary.csv" if self.part[1] == 1 else f"summary-{self.part[0]}-of-{self.part[1]}.csv")

    def job_folder(self, case: Case) -> Path:
        """The job folder of a case; its results lie in the folder above."""
        return self.output / case.name / JOB_FOLDER

    def save(self) -> None:
        """Write the record into the output folder."""
        path = _path(self.output, self.part)
        path.parent.mkdir(exist_ok=True)
        content = {"command": dataclasses.asdict(self.command), "cases": [dataclasses.asdict(c) for c in self.cases]}
        write_json(path, {"format": FORMAT, **content})

    def forget_earlier_jobs(self) -> None:
        """Remove the state of earlier jobs of the same cases, which must not be resumed for it; results stay.

        Raises:
            InputError: another run is working on one of the cases.
        """
        for folder in filter(Path.is_dir, map(self.job_folder, self.cases)):
            with open(folder / EVENTS, "ab") as events:
                lock(events, folder)
                shutil.rmtree(folder / "checkpoint", ignore_errors=True)
                (folder / "job.json").unlink(missing_ok=True)
                events.truncate(0)


def new_record(command: Command, file: Path, output: Path, part: tuple[int, int]) -> Record:
    """The request of a new call; its paths are absolute, so that it can be resumed from any folder.

    Raises:
        InputError: `file`, cases.csv, cannot be used as a whole.
    """
    cases = read_cases(file, command)[part[0] - 1 :: part[1]]
    inputs = dict(command.inputs)
    for name in {field.name for field in fields_of(command.verb.inputs) if field.type is Path} & set(inputs):
        value = inputs[name]
        inputs[name] = [os.path.abspath(path) for path in value] if isinstance(value, list) else os.path.abspath(value)
    return Record(replace(command, inputs=inputs), tuple(cases), output, part)


def has_record(output: Path, part: tuple[int, int]) -> bool:
    """Whether the last run that was begun in a folder is one of many cases, or of this part of them."""
    path, job = _path(output, part), output / JOB_FOLDER / "job.json"
    return path.is_file() and not (job.is_file() and job.stat().st_mtime_ns > path.stat().st_mtime_ns)


def load_record(output: Path, part: tuple[int, int]) -> Record:
    """The request of an earlier call.

    Raises:
        InputError: it cannot be read.
    """
    path = _path(output, part)
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise InputError(f"{path} is not of format {FORMAT}.", "Start the cases anew with this version.")
        values = content["command"]
        command = Command(**{**values, "accept": tuple(values["accept"])})
        cases = tuple(Case(entry["name"], entry["cells"], tuple(entry["accept"])) for entry in content["cases"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}.", "Start the cases anew.") from error
    load_verb(command.method, command.name)
    return Record(command, cases, output, part)


def _path(output: Path, part: tuple[int, int]) -> Path:
    name = "cases.json" if part[1] == 1 else f"cases-{part[0]}-of-{part[1]}.json"
    return output / JOB_FOLDER / name
