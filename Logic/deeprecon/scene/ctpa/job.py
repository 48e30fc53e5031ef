"""The jobs of a synthesis and of a DICOM export, written from nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from deeprecon.ctpa.parameters import ExportParameters, SynthesizeParameters, XrayView
from deeprecon.data.files import sha256, write_json
from deeprecon.data.radiograph import Radiograph
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job, bundle_input
from deeprecon.jobs.parameters import to_json
from deeprecon.scene.common.job import OUTPUT, check_settings, write_cases_job
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.ctpa.xray import radiograph_of, write_xray
from deeprecon.scene.nodes.volumes import volume_from_node
from deeprecon.steps import Apart, Steps, in_steps

RESULT = "result"
"""Folder of the result to export, below the job folder's inputs."""


@dataclass(frozen=True)
class CtpaNodes:
    """What one synthesis is made from.

    Attributes:
        xray: vtkMRMLScalarVolumeNode of a single slice.
        bundle: folder of a model that `ctpa train-diffusion` made; None for the demonstrator that is shipped.
    """

    xray: Any
    bundle: Path | None = None

    def missing(self) -> str:
        """Message about the missing X-ray; empty if a run can start."""
        return "" if self.xray is not None else "Choose a chest X-ray."


def write_job(
    folder: Path, nodes: CtpaNodes, parameters: SynthesizeParameters, device: str = "auto", seed: int = 0
) -> dict[str, str]:
    """Write the X-ray under a neutral name and job.json into `folder`.

    Args:
        folder: of the job.
        nodes: the inputs.
        parameters: the settings.
        device: "auto", "cpu", "cuda:0", ...
        seed: of every random number.

    Returns:
        File name -> name of the node, for messages.

    Raises:
        InputError: something is missing, the settings contradict each other, or the node is no X-ray.
    """
    check_settings(parameters, nodes.missing())
    radiograph_of(nodes.xray)  # an unusable node is refused before anything is written
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    name, unstated = write_xray(nodes.xray, folder / "inputs")
    if unstated is not None:
        parameters = _with_geometry(parameters, unstated)
    inputs = {"xray": f"inputs/{name}", **bundle_input(nodes.bundle)}
    Job("ctpa", "synthesize", inputs, to_json(parameters), output=OUTPUT, device=device, seed=seed).save(folder)
    return {name: nodes.xray.GetName()}


def write_folder_job(
    folder: Path,
    xrays: Path,
    target: Path,
    bundle: Path | None,
    parameters: SynthesizeParameters,
    device: str = "auto",
    seed: int = 0,
) -> None:
    """Write the job that makes a CT of every X-ray in the folder `xrays`; arguments and errors: `write_cases_job`."""
    write_cases_job(folder, ("ctpa", "synthesize"), ("xray", xrays), target, bundle, parameters, device, seed)


@in_steps
def write_export_job(folder: Path, ct: Any, target: Path, parameters: ExportParameters) -> Steps[None]:
    """Write the job that exports a synthetic CT as a DICOM series.

    Args:
        folder: of the job.
        ct: volume node, result of a synthesis.
        target: folder that gets the series.
        parameters: the settings.

    Raises:
        InputError: no folder is chosen, the settings contradict each other, or the node is no result.
    """
    check_settings(parameters)
    provenance = provenance_of(ct)
    result = folder / "inputs" / RESULT
    result.mkdir(parents=True, exist_ok=True)
    volume, path = (yield from volume_from_node.steps(ct)), result / "ct.nii.gz"
    yield Apart("Writing the CT…", partial(write_volume, path, volume))
    checksum = yield Apart("Writing the CT…", partial(sha256, path))
    content = {
        "format": 1,
        "outputs": {"ct": {"path": path.name, "sha256": checksum}},
        "metrics": provenance.pop("metrics", {}),
        "provenance": provenance,
    }
    write_json(result / "result.json", content)
    inputs = {"result": f"inputs/{RESULT}"}
    Job("ctpa", "export", inputs, to_json(parameters), output=str(target.resolve())).save(folder)


def _with_geometry(parameters: SynthesizeParameters, radiograph: Radiograph) -> SynthesizeParameters:
    """The settings, with view and source distance of an X-ray if they are left to its file."""
    if radiograph.view and parameters.view is XrayView.AUTO:
        parameters = replace(parameters, view=XrayView(radiograph.view))
    if radiograph.age and not parameters.patient_age:
        parameters = replace(parameters, patient_age=float(radiograph.age))
    if radiograph.source_distance and not parameters.source_distance:
        parameters = replace(parameters, source_distance=float(radiograph.source_distance))
    return parameters
