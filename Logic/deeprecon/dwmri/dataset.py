"""The verb `enhance` of a BIDS dataset: its scans one after the other, into a dataset of derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deeprecon.data.diffusion.kinds import stated_part
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.dwmri.parameters import EnhanceInputs, EnhanceParameters
from deeprecon.dwmri.pipeline import enhance_scan
from deeprecon.dwmri.read.bids import file_stem, find_gradient_file, find_mask_file, find_scans, merged_sidecar
from deeprecon.dwmri.write.derivatives import write_derivatives, write_description
from deeprecon.jobs.items import SUMMARY, Item, run_items
from deeprecon.jobs.run import Outcome, Run


def enhance_dataset(inputs: EnhanceInputs, parameters: EnhanceParameters, run: Run) -> Outcome:
    """Enhance each scan of a dataset, see `enhance_scan` and `run_items`.

    The output folder becomes a dataset of derivatives: it has its dataset_description.json and the folders of the
    subjects.

    Raises:
        InputError: no dataset, or every scan failed.
    """
    assert inputs.bids is not None
    root = inputs.bids

    def compute(item: Item, own: Run) -> dict[str, Any]:
        bval, bvec = (find_gradient_file(item.path, root, kind) for kind in ("bval", "bvec"))
        given = replace(inputs, bids=None, dwi=item.path, bval=bval, bvec=bvec, mask=find_mask_file(item.path))
        outcome = enhance_scan(given, parameters, own)
        return {"outputs": {role: file.name for role, file in outcome.outputs.items()}, "metrics": outcome.metrics}

    def publish(item: Item, folder: Path, content: Mapping[str, Any]) -> None:
        write_derivatives(folder, content, item.path, root, run.output, parameters)

    scans = find_scans(root)
    parts = {path: stated_part(path, merged_sidecar(path, root)) for path in scans}
    run.consider(_left_out(path.relative_to(root).as_posix(), part) for path, part in parts.items() if part)
    scans = [path for path in scans if not parts[path]]
    if not scans:
        raise InputError(f"{root} holds no magnitude of a diffusion scan.", "Give a dataset that has them.")
    items = [Item(file_stem(path), path.relative_to(root).as_posix(), path) for path in scans]
    summary = run_items(items, run, "scan", compute, publish)
    outputs = {path.name: path for path in sorted(run.output.glob("sub-*"))}
    outputs |= {"description": run.output / "dataset_description.json", "table": run.output / SUMMARY}
    write_description(outputs["description"], root)
    return Outcome(outputs, {"scans": len(items), "done": summary.done, "failed": len(summary.rows) - summary.done})


def _left_out(name: str, part: str) -> Doubt:
    text = f"it is the {part} part of a complex image by its name or sidecar, and was left out."
    return Doubt(
        "part-left-out", name, text, "Give it alone with --dwi to denoise it as a real-valued image.", assumed=True
    )
