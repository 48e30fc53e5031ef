"""The derivatives of a BIDS dataset.

Names follow the BIDS specification (entity `desc`) and, for maps, the draft of BEP016. What the specification does not
know yet stands in .bidsignore: these maps, the gradients of a scan with `desc`, reports, and the files of the run.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deeprecon.data.diffusion.kinds import entries_of_result
from deeprecon.data.files import write_json, write_text
from deeprecon.dwmri.parameters import Background, EnhanceParameters
from deeprecon.dwmri.read.bids import file_stem, merged_sidecar
from deeprecon.jobs.items import SUMMARY
from deeprecon.jobs.job import VERSION
from deeprecon.jobs.parameters import to_json

SUFFIXES = {
    "dwi": "desc-denoised_dwi",
    "bval": "desc-denoised_dwi",
    "bvec": "desc-denoised_dwi",
    "mask": "desc-brain_mask",
    "noise": "desc-noise_dwimap",
    "residual": "desc-residual_dwimap",
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
IGNORED = ("*_dwimap.*", "*_desc-denoised_dwi.bval", "*_desc-denoised_dwi.bvec", "*_report.html")
"""Files that the BIDS specification does not know yet."""


def write_derivatives(
    folder: Path, content: Mapping[str, Any], scan: Path, root: Path, output: Path, parameters: EnhanceParameters
) -> None:
    """Copy a scan's outputs to their names in the dataset of derivatives, with a sidecar each.

    The sidecar of the denoised scan has the entries of the scan's; all of images name it in `Sources`.

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
    sources = {"Sources": [f"bids:raw:{scan.relative_to(root).as_posix()}"]}
    finer = content["metrics"].get("scale") == 2
    sidecars: dict[str, dict[str, Any]] = {"mask": {"Type": "Brain"}}
    sidecars["dwi"] = entries_of_result(merged_sidecar(scan, root), finer) | {
        "SkullStripped": parameters.background is Background.ZERO,
        "Parameters": to_json(parameters),
        "Figures": content["metrics"],
        "Doubts": content["doubts"],
    }
    for role, name in content["outputs"].items():
        if role not in SUFFIXES:
            continue
        ending, stem = name[name.index(".") :], f"{prefix}_{SUFFIXES[role]}"
        shutil.copyfile(folder / name, target / f"{stem}{ending}")
        if ending.startswith((".nii", ".nrrd")):
            write_json(target / f"{stem}.json", sidecars.get(role, {}) | sources)


def write_description(path: Path, root: Path) -> None:
    """Write the dataset_description.json of the derivatives of the dataset in `root`, and .bidsignore beside it."""
    description = {
        "Name": "Denoised diffusion scans",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "DeepRecon dwmri enhance", "Version": VERSION}],
        "DatasetLinks": {"raw": root.as_uri()},
    }
    write_json(path, description)
    write_text(path.with_name(".bidsignore"), "\n".join((*IGNORED, f"/{SUMMARY}", "/result.json")) + "\n")
