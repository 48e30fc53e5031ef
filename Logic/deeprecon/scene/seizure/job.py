"""Seizure detection from the scene or a batch script: a recording in, tables and a chart out.

    from deeprecon.scene.seizure.job import detect_seizures
    nodes = detect_seizures("night.csv", "model/bundle", "results/night")

The computation runs in a child process, as everywhere: the application never loads torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.events import Event
from deeprecon.jobs.job import Job
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.process import python_command
from deeprecon.jobs.runner import JobRunner
from deeprecon.scene.seizure.tables import SeizureNodes, load_detection, write_recording
from deeprecon.seizure.parameters import DetectParameters

JOB_FOLDER = ".job"


def write_seizure_job(
    folder: Path,
    recording: Any,
    bundle: Path | str,
    parameters: DetectParameters | None = None,
    device: str = "auto",
) -> None:
    """Write job.json, and a table node as a file, into `folder`; results go into the folder above.

    Args:
        folder: of the job.
        recording: path of a file, or vtkMRMLTableNode with columns t,x,y,z or t,magnitude.
        bundle: of the model.
        parameters: the settings.
        device: "auto", "cpu", "cuda:0", ...

    Raises:
        InputError: settings that cannot be used, or a table without these columns.
    """
    parameters = parameters or DetectParameters()
    if reasons := parameters.validate():
        raise InputError(f"These settings cannot be used: {'; '.join(reasons)}.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if isinstance(recording, str | Path):
        path = str(Path(recording).absolute())
    else:
        path = "recording.csv"
        write_recording(recording, folder / path)
    inputs = {"recording": path, "bundle": str(Path(bundle).absolute())}
    Job("seizure", "detect", inputs, to_json(parameters), output="..", device=device).save(folder)


def detect_seizures(
    recording: Any,
    bundle: Path | str,
    output: Path | str,
    parameters: DetectParameters | None = None,
    device: str = "auto",
    command: list[str] | None = None,
    on_event: Callable[[Event], Any] | None = None,
) -> SeizureNodes:
    """Detect in a child process, wait for it, and load the result; for scripts, since it waits.

    Args:
        recording, bundle, parameters, device: see `write_seizure_job`.
        output: folder of the results.
        command: that starts the worker; see `JobRunner`.
        on_event: called with each event of the run, for progress.

    Raises:
        InputError: the run failed; the message says why. The scene is then as it was.
    """
    output = Path(output).absolute()
    write_seizure_job(output / JOB_FOLDER, recording, bundle, parameters, device)
    runner = JobRunner(output / JOB_FOLDER, command or python_command())
    runner.start()
    runner.wait(on_event=on_event)
    if (failure := runner.failure()) is not None:
        raise InputError(failure["message"], failure["hint"])
    name = recording.GetName() if hasattr(recording, "GetName") else Path(recording).stem
    return load_detection(output, name)
