"""The verb `synthesize` for a folder of X-rays."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deeprecon.ctpa.parameters import SynthesizeInputs, SynthesizeParameters
from deeprecon.data.dicom.file import is_dicom_head
from deeprecon.data.dicom.kinds import kind_of_head
from deeprecon.data.dicom.series import passed_over
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import digest, sha256
from deeprecon.data.pictures import PICTURES
from deeprecon.data.volume_io import VOLUME_ENDINGS
from deeprecon.jobs.items import SUMMARY, Item, run_items
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.results.provenance import input_checksums, input_entries, provenance
from deeprecon.jobs.run import Outcome, Run


def find_xrays(folder: Path) -> tuple[list[Path], tuple[Doubt, ...]]:
    """The pictures, volume files and DICOM images of a folder, in the order of their names; not those of folders in it.

    Returns:
        The files, and the statement about DICOM files that are no images.

    Raises:
        InputError: there is none.
    """
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    found, others = [], {}
    for path in files:
        is_dicom = is_dicom_head(head := digest(path).head)
        if is_dicom and (kind := kind_of_head(head)):
            others[path] = kind
        elif is_dicom or path.name.lower().endswith((*PICTURES, *VOLUME_ENDINGS)):
            found.append(path)
    if not found:
        raise InputError(f"{folder} holds no X-ray.", "It must have DICOM, PNG, JPEG, TIFF, NIfTI, NRRD or MetaImage.")
    doubt = passed_over(folder, others)
    return found, () if doubt is None else (doubt,)


def synthesize_folder(
    inputs: SynthesizeInputs,
    parameters: SynthesizeParameters,
    run: Run,
    synthesize_one: Callable[[SynthesizeInputs, SynthesizeParameters, Run], Outcome],
) -> Outcome:
    """Make a CT of each X-ray in a folder with `synthesize_one`; see `run_items`.

    Each result folder is as if its X-ray had been given alone: it can be loaded and exported.

    Raises:
        InputError: no X-ray, or every one failed.
    """
    outputs: dict[str, Path] = {}

    def compute(item: Item, own: Run) -> dict[str, Any]:
        given, started = replace(inputs, xray=item.path), time.monotonic()
        entries = input_entries(input_checksums(given, run.output))
        outcome = synthesize_one(given, parameters, own)
        took = time.monotonic() - started
        return _result(outcome, provenance(outcome, "ctpa", "synthesize", entries, to_json(parameters), own, took))

    def publish(item: Item, folder: Path, content: Mapping[str, Any]) -> None:
        shutil.copytree(folder, run.output / item.name)
        outputs[item.name] = run.output / item.name

    xrays, doubts = find_xrays(inputs.xray)
    run.consider(doubts)
    items = [Item(name, path.name, path) for path, name in zip(xrays, _names(xrays), strict=True)]
    summary = run_items(items, run, "xray", compute, publish)
    outputs["summary"] = run.output / SUMMARY
    return Outcome(outputs, {"xrays": len(items), "done": summary.done, "failed": len(summary.rows) - summary.done})


def _result(outcome: Outcome, origin: dict[str, Any]) -> dict[str, Any]:
    """Content of the result.json of one X-ray, as that of a run on it alone."""
    outputs = {role: {"path": file.name, "sha256": sha256(file)} for role, file in outcome.outputs.items()}
    return {"format": 1, "outputs": outputs, "metrics": outcome.metrics, "provenance": origin}


def _names(paths: list[Path]) -> list[str]:
    """Names of the folders of results: those of the files without their endings, with them where two are the same."""
    stems = [path.name.removesuffix(".gz").rpartition(".")[0] or path.name for path in paths]
    return [path.name if stems.count(stem) > 1 else stem for path, stem in zip(paths, stems, strict=True)]
