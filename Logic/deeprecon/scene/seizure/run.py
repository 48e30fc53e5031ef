"""Seizure detection from the scene or a batch script: a recording in, tables and a chart out.

    from deeprecon.scene.seizure.run import detect_seizures
    result = detect_seizures("night.csv", "model/bundle", "results/night")

The computation runs in a child process: the application never imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.events import Event
from deeprecon.jobs.process import python_command
from deeprecon.jobs.runner import JobRunner
from deeprecon.scene.seizure.job import write_job
from deeprecon.scene.seizure.result import SeizureResult, load_outputs
from deeprecon.seizure.parameters import DetectParameters

JOB_FOLDER = ".job"


def detect_seizures(
    recording: Any,
    bundle: Path | str,
    output: Path | str,
    parameters: DetectParameters | None = None,
    device: str = "auto",
    command: list[str] | None = None,
    on_event: Callable[[Event], Any] | None = None,
    accept: Iterable[str] = (),
) -> SeizureResult:
    """Detect in a child process, wait for it, and load the result; for scripts, since it waits.

    Args:
        recording, bundle, parameters, device, accept: see `write_job`.
        output: folder of the results.
        command: that starts the worker; see `JobRunner`.
        on_event: called with each event of the run, for progress.

    Raises:
        InputError: the run failed; the message says why; the scene is not changed.
    """
    output = Path(output).absolute()
    write_job(output / JOB_FOLDER, recording, bundle, parameters, device, accept)
    runner = JobRunner(output / JOB_FOLDER, command or python_command())
    runner.start()
    runner.wait(on_event=on_event)
    if (failure := runner.failure()) is not None:
        raise InputError(failure["message"], failure["hint"])
    name = recording.GetName() if hasattr(recording, "GetName") else Path(recording).stem
    return load_outputs(runner.result_folder, name)
