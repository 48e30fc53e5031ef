"""A BIDS dataset in, its derivatives out.

Names follow the BIDS specification (entity `desc`) and, for maps of the tensor, the draft of BEP016.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json
from deeprecon.data.tables import write_table
from deeprecon.dwmri.parameters import Background, EnhanceInputs, EnhanceParameters
from deeprecon.dwmri.pipeline import enhance_scan
from deeprecon.jobs.failures import explain_exception
from deeprecon.jobs.job import VERSION
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.progress import Part
from deeprecon.jobs.run import Outcome, Run, Stopped

NAMES = {
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
"""Outputs of a scan and the end of their names."""
DONE = "done.json"


@dataclass(frozen=True)
class _ScanRun(Run):
    """The surroundings of one scan, which stops when the whole run is asked to."""

    whole: Run

    def should_stop(self) -> bool:
        """Whether the whole run is to stop."""
        return self.whole.should_stop()


def find_scans(root: Path) -> list[Path]:
    """The *_dwi.nii and *_dwi.nii.gz files of all subjects and sessions, derivatives left out.

    Raises:
        InputError: no folder, or no scan in it.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder.", "Give the folder of the BIDS dataset.")
    found = [
        path
        for pattern in ("sub-*/dwi/*_dwi.nii*", "sub-*/ses-*/dwi/*_dwi.nii*")
        for path in root.glob(pattern)
        if path.name.endswith((".nii", ".nii.gz"))
    ]
    if not found:
        raise InputError(
            f"{root} holds no diffusion scan.", "It must have sub-*/dwi/*_dwi.nii.gz, or sub-*/ses-*/dwi/*_dwi.nii.gz."
        )
    return sorted(found)


def find_table(scan: Path, root: Path, kind: str) -> Path:
    """The bval or bvec file of a scan by the inheritance principle of BIDS.

    It is the nearest *dwi.bval or *dwi.bvec on the way from the scan's folder up to the dataset's whose name has no
    entity that the scan's has not; of several in a folder, the one whose name says most.

    Args:
        scan: a *_dwi file below `root`.
        root: folder of the dataset.
        kind: "bval" or "bvec".

    Raises:
        InputError: there is none, or two in one folder say as much.
    """
    entities = set(_stem(scan).split("_")[:-1])
    for folder in scan.parents:
        applicable: dict[int, list[Path]] = {}
        for path in sorted(folder.glob(f"*dwi.{kind}")):
            *own, suffix = path.stem.split("_")
            if suffix == "dwi" and entities.issuperset(own):
                applicable.setdefault(len(own), []).append(path)
        if applicable:
            found, *others = applicable[max(applicable)]
            if others:
                raise InputError(
                    f"{found} and {others[0].name} are both the {kind} file of {scan.name}.",
                    f"Keep one of them, or name it {_stem(scan)}.{kind}.",
                )
            return found
        if folder == root:
            break
    raise InputError(
        f"There is no {kind} file for {scan}.",
        f"Put {_stem(scan)}.{kind} beside it, or a dwi.{kind} for all scans into {root}.",
    )


def enhance_dataset(inputs: EnhanceInputs, parameters: EnhanceParameters, run: Run) -> Outcome:
    """Enhance each scan of a dataset; one that fails does not stop the others.

    The output folder becomes a dataset of derivatives: it has its dataset_description.json and the folders of the
    subjects. Scans that were finished before an interruption are not computed again.

    Raises:
        InputError: no dataset, or every scan failed.
    """
    assert inputs.bids is not None
    root = inputs.bids
    scans = find_scans(root)
    kept = run.checkpoint / "scans"
    rows: list[dict[str, Any]] = []
    begun = time.monotonic()
    for number, path in enumerate(scans):
        if run.should_stop():
            break
        name = _stem(path)
        run.reporter.status(f"[{number + 1}/{len(scans)}] {name}")
        folder = kept / name
        reporter = Part(run.reporter, number / len(scans), (number + 1) / len(scans), begun)
        row: dict[str, Any] = {"scan": path.relative_to(root).as_posix(), "status": "done"}
        try:
            if not (folder / DONE).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                settings = (run.device, run.threads, run.precision, run.seed)
                own = _ScanRun(kept / f".{name}", folder, *settings, reporter, run)
                bval, bvec = (find_table(path, root, kind) for kind in ("bval", "bvec"))
                given = replace(inputs, bids=None, dwi=path, bval=bval, bvec=bvec, mask=_mask(path))
                outcome = enhance_scan(given, parameters, own)
                if run.should_stop():  # only the best by then, and to be gone on with
                    break
                names = {role: file.name for role, file in outcome.outputs.items()}
                write_json(folder / DONE, {"outputs": names, "metrics": outcome.metrics})
            row |= _place(folder, path, run.output / path.parent.relative_to(root), root, parameters)
        except (InputError, OSError, MemoryError) as error:
            failure = explain_exception(error)
            row |= {"status": failure.kind, "message": failure.message}
            run.reporter.warning(f"{name}: {failure.message}")
        rows.append(row)
    if not rows:
        raise Stopped
    if all(row["status"] != "done" for row in rows):
        raise InputError(f"No scan of {root} could be enhanced: {rows[0]['message']}")
    outputs = {path.name: path for path in sorted(run.output.glob("sub-*"))}
    outputs |= {"description": run.output / "dataset_description.json", "table": run.output / "summary.csv"}
    write_json(
        outputs["description"],
        {
            "Name": "Denoised diffusion scans",
            "BIDSVersion": "1.9.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "DeepRecon dwmri enhance", "Version": VERSION}],
            "DatasetLinks": {"raw": root.as_uri()},
        },
    )
    write_table(outputs["table"], rows)
    done = sum(row["status"] == "done" for row in rows)
    return Outcome(outputs, {"scans": len(scans), "done": done, "failed": len(rows) - done})


def _place(folder: Path, scan: Path, target: Path, root: Path, parameters: EnhanceParameters) -> dict[str, Any]:
    """Copy a scan's outputs to their names in the dataset; returns its figures."""
    content = json.loads((folder / DONE).read_text(encoding="utf-8"))
    target.mkdir(parents=True, exist_ok=True)
    prefix = _stem(scan).removesuffix("_dwi")
    for role, name in content["outputs"].items():
        if role in NAMES:
            ending = name[name.index(".") :]
            shutil.copyfile(folder / name, target / f"{prefix}_{NAMES[role]}{ending}")
    figures: dict[str, Any] = {key: value for key, value in content["metrics"].items() if not isinstance(value, list)}
    side = {
        "Sources": [f"bids:raw:{scan.relative_to(root).as_posix()}"],
        "SkullStripped": parameters.background is Background.ZERO,
        "Parameters": to_json(parameters),
        "Figures": content["metrics"],
    }
    write_json(target / f"{prefix}_{NAMES['dwi']}.json", side)
    return figures


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _mask(path: Path) -> Path | None:
    """A brain mask that lies beside the scan under its name."""
    for ending in (".nii.gz", ".nii"):
        mask = path.with_name(f"{_stem(path).removesuffix('_dwi')}_desc-brain_mask{ending}")
        if mask.is_file():
            return mask
    return None
