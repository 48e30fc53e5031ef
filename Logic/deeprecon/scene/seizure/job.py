"""The job of a seizure detection."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deeprecon.jobs.job import Job
from deeprecon.jobs.parameters import to_json
from deeprecon.scene.common.job import check_settings
from deeprecon.scene.seizure.recording import write_recording
from deeprecon.seizure.parameters import DetectParameters


def write_job(
    folder: Path,
    recording: Any,
    bundle: Path | str,
    parameters: DetectParameters | None = None,
    device: str = "auto",
    accept: Iterable[str] = (),
) -> None:
    """Write job.json, and a table node as a file, into `folder`; results go into the folder above.

    Args:
        folder: of the job.
        recording: path of a file, or vtkMRMLTableNode with columns t,x,y,z or t,magnitude.
        bundle: of the model.
        parameters: the settings.
        device: "auto", "cpu", "cuda:0", ...
        accept: codes of contradictions to accept, see `deeprecon.data.doubts`.

    Raises:
        InputError: settings that cannot be used, or a table without these columns.
    """
    parameters = parameters or DetectParameters()
    check_settings(parameters)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if isinstance(recording, str | Path):
        path = str(Path(recording).absolute())
    else:
        path = "recording.csv"
        write_recording(recording, folder / path)
    inputs = {"recording": path, "bundle": str(Path(bundle).absolute())}
    job = Job("seizure", "detect", inputs, to_json(parameters), output="..", device=device, accept=list(accept))
    job.save(folder)
