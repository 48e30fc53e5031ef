"""The jobs of wave scattering: simulating the slices of a node, and reconstructing images from far-field data.

Each slice is simulated and reconstructed by itself (2.5D): no wave travels between slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import write_segmentation
from deeprecon.data.volume import canonical
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job
from deeprecon.jobs.parameters import to_json
from deeprecon.scattering.parameters import Method, PrepareParameters, ReconstructParameters
from deeprecon.scene.common.job import OUTPUT, check_settings
from deeprecon.scene.nodes.segmentations import segmentation_from_node
from deeprecon.scene.nodes.volumes import volume_from_node


def write_simulation(
    folder: Path, node: Any, parameters: PrepareParameters, device: str = "auto", seed: int = 0
) -> None:
    """Write a node as a file and the job that simulates its slices into `folder`.

    Args:
        folder: of the job.
        node: segmentation or label map volume whose labels `parameters.speeds` names, or a volume of sound speeds.
        parameters: see there.
        device: of the job.
        seed: of the noise.

    Raises:
        InputError: the settings contradict each other, or the node cannot be used.
    """
    check_settings(parameters)
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    if node.IsA("vtkMRMLSegmentationNode"):
        path = "inputs/labels.seg.nrrd"
        write_segmentation(folder / path, segmentation_from_node(node))
    else:
        path = "inputs/volume.nrrd"
        write_volume(folder / path, volume_from_node(node))
    Job("scattering", "prepare", {"volume": path}, to_json(parameters), OUTPUT, device, seed=seed).save(folder)


def write_reconstruction(
    folder: Path,
    data: Path,
    parameters: ReconstructParameters,
    bundle: Path | None = None,
    device: str = "auto",
    accept: Sequence[str] = (),
) -> None:
    """Write the job that reconstructs far-field data into `folder`.

    Args:
        folder: of the job.
        data: far-field file.
        parameters: see there.
        bundle: trained network, for the method bcrnet.
        device: of the job.
        accept: codes of contradictions with which the run goes on.

    Raises:
        InputError: the settings contradict each other, or a network is missing.
    """
    check_settings(parameters)
    if parameters.method is Method.BCRNET and bundle is None:
        raise InputError("The method bcrnet needs a trained network.", "Choose a model bundle of scattering train.")
    inputs = {"data": str(data.absolute())} | ({} if bundle is None else {"bundle": str(bundle.absolute())})
    settings = to_json(parameters)
    Job("scattering", "reconstruct", inputs, settings, OUTPUT, device, accept=list(accept)).save(folder)


def slice_number(node: Any, ras: npt.ArrayLike) -> int:
    """Number, from 1, of a volume node's slice nearest to a point in RAS mm, as `PrepareParameters.slices` counts them.

    Raises:
        InputError: the point is outside the volume.
    """
    volume = canonical(volume_from_node(node))
    number = round(float(volume.to_ijk(np.asarray(ras, float))[2]))
    if not 0 <= number < len(volume.array):
        raise InputError(f"{node.GetName()} has no slice at this place.", "Choose a point inside of the volume.")
    return number + 1
