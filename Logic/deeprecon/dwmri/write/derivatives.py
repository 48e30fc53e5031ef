"""The derivatives of a BIDS dataset.

Names follow the BIDS specification (entity `desc`) and, for maps of the tensor, the draft of BEP016.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deeprecon.data.diffusion.kinds import entries_of_result
from deeprecon.data.files import write_json
from deeprecon.dwmri.parameters import Background, EnhanceParameters
from deeprecon.dwmri.read.bids import file_stem, merged_sidecar
from deeprecon.jobs.job import VERSION
from deeprecon.jobs.parameters import to_json

SUFFIXES = {
    "dwi": "desc-denoised_dwi",
    "bval": "desc-denoised_dwi",
    "bvec": "desc-denoised_dwi",
    "mask": "desc-brain_mask",
    "noise": "desc-noise_dwimap",
    "residual": "desc-residual_dwi",
    "uncertainty": "desc-uncertainty_dwimap",
    "fa_before": "model-tensor_param-fa_desc-before_dwimap",
    "fa_after": "model-tensor_param-fa_desc-after_dwimap",
    "md_before": "model-tensor_param-md_desc-before_dwimap",
    "md_after": "model-tensor_param-md_desc-after_dwimap",
    "color_fa_before": "model-tensor_param-fa_desc-beforecolor_dwimap",
    "color_fa_after": "model-tensor_param-fa_desc-aftercolor_dwimap",
    "report": "desc-denoised_report",
}
"""Role of an output -> end of its name."""


def write_derivatives(
    folder: Path, content: Mapping[str, Any], scan: Path, root: Path, output: Path, parameters: EnhanceParameters
) -> None:
    """Copy a scan's outputs to their names in the dataset of derivatives, and a sidecar with the scan's entries.

    Args:
        folder: of the outputs.
        content: of their result.json: outputs (file name by role), metrics and doubts.
        scan: in the dataset of scans, whose folder is `root`.
        output: folder of the dataset of derivatives.
        parameters: of the run.
    """
    target = output / scan.parent.relative_to(root)
    target.mkdir(parents=True, exist_ok=True)
    prefix = file_stem(scan).removesuffix("_dwi")
    for role, name in content["outputs"].items():
        if role in SUFFIXES:
            ending = name[name.index(".") :]
            shutil.copyfile(folder / name, target / f"{prefix}_{SUFFIXES[role]}{ending}")
    finer = content["metrics"].get("scale") == 2
    sidecar = entries_of_result(merged_sidecar(scan, root), finer) | {
        "Sources": [f"bids:raw:{scan.relative_to(root).as_posix()}"],
        "SkullStripped": parameters.background is Background.ZERO,
        "Parameters": to_json(parameters),
        "Figures": content["metrics"],
        "Doubts": content["doubts"],
    }
    write_json(target / f"{prefix}_{SUFFIXES['dwi']}.json", sidecar)


def write_description(path: Path, root: Path) -> None:
    """Write the dataset_description.json of the derivatives of the dataset in `root`."""
    description = {
        "Name": "Denoised diffusion scans",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "DeepRecon dwmri enhance", "Version": VERSION}],
        "DatasetLinks": {"raw": root.as_uri()},
    }
    write_json(path, description)
