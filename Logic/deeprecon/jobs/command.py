"""From the options of a command line to a job folder."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deeprecon.data.doubts import check_codes
from deeprecon.data.errors import InputError
from deeprecon.jobs.check import check_job, check_output
from deeprecon.jobs.events import EVENTS, lock
from deeprecon.jobs.job import VERSION, Job
from deeprecon.jobs.options import check_required
from deeprecon.jobs.parameters import fields_of
from deeprecon.jobs.verbs import Verb, load_verb

JOB_FOLDER = ".job"
"""Name of the job folder below an output folder."""


@dataclass(frozen=True)
class Command:
    """What one call asks for, apart from what differs between its cases.

    Attributes:
        method: name of the method.
        name: name of the verb.
        inputs: paths by field name, as text relative to the working directory, many-valued ones as lists.
        parameters: JSON values by field name.
        device, threads, precision, seed, accept, overwrite: see `Job`.
    """

    method: str
    name: str
    inputs: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    threads: int = 0
    precision: str = "auto"
    seed: int = 0
    accept: tuple[str, ...] = ()
    overwrite: bool = False

    @property
    def verb(self) -> Verb:
        """The verb that is run."""
        return load_verb(self.method, self.name)

    def job(
        self,
        folder: Path,
        inputs: dict[str, Any] | None = None,
        parameters: dict[str, Any] | None = None,
        accept: tuple[str, ...] = (),
    ) -> Job:
        """A checked job for `folder`, its outputs in the folder above.

        Args:
            folder: absolute path of the job folder; need not exist yet.
            inputs, parameters: of one case; they go before those of all cases.
            accept: of one case; added to those of all cases.

        Raises:
            InputError: values are missing or wrong, unknown codes, or a result could replace an input.
        """
        accept = tuple(sorted({*self.accept, *accept}))
        check_codes(accept)
        inputs = {**self.inputs, **(inputs or {})}
        parameters = {**self.parameters, **(parameters or {})}
        check_required(self.verb, {**inputs, **parameters})
        located = dict(inputs)
        paths_of = {entry.name for entry in fields_of(self.verb.inputs) if entry.type is Path}
        for name in paths_of & set(inputs):
            paths = inputs[name] if isinstance(inputs[name], list) else [inputs[name]]
            for path in paths:
                full = Path(os.path.abspath(path))
                if folder.parent in (full, full.parent):
                    where = "is" if full == folder.parent else "lies in"
                    hint = "Choose another --output, so that no result can replace an input."
                    raise InputError(f"The input {path} {where} the output folder.", hint)
            relative = [_relative(path, folder) for path in paths]
            located[name] = relative if isinstance(inputs[name], list) else relative[0]
        job = Job(
            self.method,
            self.name,
            located,
            parameters,
            output="..",
            device=self.device,
            threads=self.threads,
            precision=self.precision,
            seed=self.seed,
            accept=list(accept),
            overwrite=self.overwrite,
            version=VERSION,
        )
        check_job(job, folder)
        return job


def create_job_folder(folder: Path, job: Job) -> None:
    """Make the job folder; what an earlier run left for resuming does not belong to the new job.

    Raises:
        InputError: the folder cannot be written to, or another run is working there.
    """
    check_output(folder)
    with open(folder / EVENTS, "ab") as events:
        lock(events, folder)
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)
        events.truncate(0)
        job.save(folder)


def _relative(path: str, folder: Path) -> str:
    path = os.path.abspath(path)
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return path
