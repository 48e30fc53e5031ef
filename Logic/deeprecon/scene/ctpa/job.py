"""The jobs of a synthesis and of a DICOM export, written from nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from deeprecon.ctpa.parameters import ExportParameters, SynthesizeParameters, XrayView
from deeprecon.data.errors import InputError
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
        atlases: vtkMRMLScalarVolumeNodes, CTs of chests; with no folder either, the built-in ones are used.
        atlas_folder: of more CTs; None without.
        lateral: vtkMRMLScalarVolumeNode of a single slice, a lateral film; None without.
    """

    xray: Any
    bundle: Path | None = None
    atlases: tuple[Any, ...] = ()
    atlas_folder: Path | None = None
    lateral: Any = None

    def missing(self) -> str:
        """Message about an input that is missing or of the wrong kind; empty if a run can start."""
        if self.xray is None:
            return "Choose a chest X-ray."
        if self.lateral is self.xray:
            return "The lateral film is the frontal X-ray: choose another one, or none."
        return self.atlas_problem()

    def atlas_problem(self) -> str:
        """Message about an atlas that is none; empty if there is no such one."""
        for atlas in self.atlases:
            if atlas.GetImageData() is None or 1 in atlas.GetImageData().GetDimensions():
                return f"{atlas.GetName()} is no CT: choose a volume of many slices as atlas."
        if self.atlas_folder is not None and not self.atlas_folder.is_dir():
            return f"There is no folder {self.atlas_folder}: choose another one for the atlases."
        return ""

    def names_of_atlases(self) -> dict[str, str]:
        """Name of the file in a job -> name of the node, of each atlas."""
        return {f"atlas_{number}.nrrd": atlas.GetName() for number, atlas in enumerate(self.atlases, 1)}


@in_steps
def write_job(
    folder: Path, nodes: CtpaNodes, parameters: SynthesizeParameters, device: str = "auto", seed: int = 0
) -> Steps[dict[str, str]]:
    """Write the X-ray, atlases and a lateral film under neutral names, and job.json, into `folder`.

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
    inputs = {"xray": f"inputs/{name}", **bundle_input(nodes.bundle), **(yield from _write_atlases(folder, nodes))}
    names = {name: nodes.xray.GetName(), **nodes.names_of_atlases()}
    if nodes.lateral is not None:
        lateral, _unstated = write_xray(nodes.lateral, folder / "inputs", "lateral")
        inputs["lateral"] = f"inputs/{lateral}"
        names[lateral] = nodes.lateral.GetName()
    Job("ctpa", "synthesize", inputs, to_json(parameters), output=OUTPUT, device=device, seed=seed).save(folder)
    return names


@in_steps
def write_folder_job(
    folder: Path,
    xrays: Path,
    target: Path,
    nodes: CtpaNodes,
    parameters: SynthesizeParameters,
    device: str = "auto",
    seed: int = 0,
) -> Steps[None]:
    """Write the job that makes a CT of every X-ray in a folder.

    Args:
        folder: of the job.
        xrays: folder of the X-rays.
        target: folder of the results; it gets summary.csv.
        nodes: with the model or the atlases; its films are not used.
        parameters, device, seed: see `write_job`.

    Raises:
        InputError: no such folder, an atlas that is none, or settings that contradict each other.
    """
    if problem := nodes.atlas_problem():
        raise InputError(problem)
    write = partial(write_cases_job, folder, ("ctpa", "synthesize"), ("xray", xrays), target, nodes.bundle, parameters)
    write(device, seed)  # refuses before an atlas is written
    if atlases := (yield from _write_atlases(folder, nodes)):
        write(device, seed, atlases)


def _write_atlases(folder: Path, nodes: CtpaNodes) -> Steps[dict[str, list[str]]]:
    """Write the atlases of the scene; returns the input of the job that names all of them, empty without any."""
    paths = []
    for name, atlas in zip(nodes.names_of_atlases(), nodes.atlases, strict=True):
        (folder / "inputs").mkdir(parents=True, exist_ok=True)
        volume = yield from volume_from_node.steps(atlas)
        yield Apart(f"Writing {atlas.GetName()}…", partial(write_volume, folder / "inputs" / name, volume))
        paths.append(f"inputs/{name}")
    if nodes.atlas_folder is not None:
        paths.append(str(nodes.atlas_folder.resolve()))
    return {"atlas": paths} if paths else {}


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
