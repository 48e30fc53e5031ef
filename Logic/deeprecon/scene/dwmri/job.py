"""The job of a diffusion enhancement, written from nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.diffusion.files import write_dwi_with_doubts
from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.dwmri.parameters import EnhanceParameters
from deeprecon.dwmri.read.masks import voxels_inside
from deeprecon.jobs.job import Job, bundle_input
from deeprecon.jobs.parameters import to_json
from deeprecon.scene.common.job import OUTPUT, check_settings, write_cases_job
from deeprecon.scene.dwmri.scan import empty_like, scan_from_node, sidecar_of
from deeprecon.scene.nodes.segmentations import segment_names, segment_volume
from deeprecon.scene.nodes.volumes import volume_from_node
from deeprecon.steps import Apart, Steps, in_steps

PIPELINE = Path("derivatives") / "deeprecon"
"""Folder of the panel's results below that of a dataset, as in BIDS."""


@dataclass(frozen=True)
class DwiNodes:
    """The nodes of one enhancement.

    Attributes:
        dwi: vtkMRMLDiffusionWeightedVolumeNode, or vtkMRMLSequenceNode of volumes.
        mask: vtkMRMLLabelMapVolumeNode or vtkMRMLSegmentationNode, the union of its segments; None for
            an automatic mask of the head.
        bundle: folder of a model that `dwmri train` made; None for the method in the settings.
    """

    dwi: Any
    mask: Any = None
    bundle: Path | None = None

    def missing(self) -> str:
        """Message about the missing scan; empty if a run can start."""
        return "" if self.dwi is not None else "Choose a diffusion scan."


@in_steps
def write_job(
    folder: Path, nodes: DwiNodes, parameters: EnhanceParameters, device: str = "auto", seed: int = 0
) -> Steps[dict[str, str]]:
    """Write nodes as files with neutral names and job.json into `folder`.

    Args:
        folder: of the job.
        nodes: the inputs.
        parameters: the settings.
        device: "auto", "cpu", "cuda:0", ...
        seed: of every random number.

    Returns:
        File name -> name of the node, for messages.

    Raises:
        InputError: something is missing, the settings contradict each other, or a node cannot be used.
    """
    check_settings(parameters, nodes.missing())
    yield "Preparing the data…"
    scan = yield from scan_from_node.steps(nodes.dwi)
    if len(scan.gradients) == 1 and nodes.bundle is None:
        raise InputError(
            f"{scan.name} has a single volume, whose noise cannot be told from its anatomy.", "Choose a series."
        )
    mask = None if nodes.mask is None else _mask(nodes)
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    inputs, names = {"dwi": "inputs/dwi.nrrd", **bundle_input(nodes.bundle)}, {"dwi.nrrd": nodes.dwi.GetName()}
    yield Apart("Writing the scan…", partial(write_dwi_with_doubts, folder / inputs["dwi"], scan))
    if sidecar := sidecar_of(nodes.dwi):
        write_json(folder / "inputs" / "dwi.json", sidecar)
    if mask is not None:
        inputs["mask"], names["mask.nrrd"] = "inputs/mask.nrrd", nodes.mask.GetName()
        write_volume(folder / inputs["mask"], mask)
    Job("dwmri", "enhance", inputs, to_json(parameters), output=OUTPUT, device=device, seed=seed).save(folder)
    return names


def write_folder_job(
    folder: Path,
    dataset: Path,
    target: Path,
    bundle: Path | None,
    parameters: EnhanceParameters,
    device: str = "auto",
    seed: int = 0,
) -> None:
    """Write the job that enhances every scan of the BIDS dataset in the folder `dataset`.

    The folder `target` becomes a dataset of derivatives; arguments and errors: `write_cases_job`.
    """
    write_cases_job(folder, ("dwmri", "enhance"), ("bids", dataset), target, bundle, parameters, device, seed)


def _mask(nodes: DwiNodes) -> Volume:
    """A label map as it is, which the job reads as the files of masks; a segmentation on the grid of the scan.

    Raises:
        InputError: it is empty.
    """
    if nodes.mask.IsA("vtkMRMLSegmentationNode"):
        grid = empty_like(nodes.dwi)
        mask = volume_from_node(grid)
        inside = np.zeros(mask.array.shape, bool)
        for key in segment_names(nodes.mask):
            inside |= np.asarray(segment_volume(nodes.mask, key, grid).array) > 0
        mask = replace(mask, array=inside.astype(np.uint8))
    else:
        mask = volume_from_node(nodes.mask)
    if not voxels_inside(mask)[0].any():
        raise InputError(f"The mask {nodes.mask.GetName()} is empty on the scan.", "Draw it, or choose none.")
    return mask
