"""A folder of X-rays in, a folder with a synthetic CT for each out."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deeprecon.ctpa.parameters import SynthesizeInputs, SynthesizeParameters
from deeprecon.data.dicom.file import is_dicom
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256, write_json
from deeprecon.data.radiograph import PICTURES
from deeprecon.data.tables import write_table
from deeprecon.jobs.events import to_plain
from deeprecon.jobs.failures import explain_exception
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.progress import Part
from deeprecon.jobs.provenance import input_hashes, provenance
from deeprecon.jobs.run import Outcome, Run, Stopped

VOLUMES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
RESULT = "result.json"
"""In each folder, as if its X-ray had been given alone: it can be loaded and exported."""


@dataclass(frozen=True)
class _XrayRun(Run):
    """The surroundings of one X-ray, which stops when the whole run is asked to."""

    whole: Run

    def should_stop(self) -> bool:
        """Whether the whole run is to stop."""
        return self.whole.should_stop()


def find_xrays(folder: Path) -> list[Path]:
    """The pictures, volume files and DICOM files of a folder, in the order of their names; not those of folders in it.

    Raises:
        InputError: there is none.
    """
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    found = [path for path in files if path.name.lower().endswith((*PICTURES, *VOLUMES)) or is_dicom(path)]
    if not found:
        raise InputError(f"{folder} holds no X-ray.", "It must have DICOM, PNG, JPEG, NIfTI or NRRD files.")
    return found


def synthesize_folder(inputs: SynthesizeInputs, parameters: SynthesizeParameters, run: Run) -> Outcome:
    """Make a CT of each X-ray in a folder; one that fails does not stop the others.

    X-rays that were finished before an interruption are not computed again.

    Raises:
        InputError: no X-ray, or every one failed.
    """
    from deeprecon.ctpa.pipeline import synthesize_one

    xrays = find_xrays(inputs.xray)
    names = _names(xrays)
    kept = run.checkpoint / "xrays"
    rows: list[dict[str, Any]] = []
    outputs: dict[str, Path] = {}
    begun = time.monotonic()
    for number, (path, name) in enumerate(zip(xrays, names, strict=True)):
        if run.should_stop():
            break
        run.reporter.status(f"[{number + 1}/{len(xrays)}] {path.name}")
        folder = kept / name
        reporter = Part(run.reporter, number / len(xrays), (number + 1) / len(xrays), begun)
        row: dict[str, Any] = {"xray": path.name, "status": "done"}
        try:
            if not (folder / RESULT).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                settings = (run.device, run.threads, run.precision, run.seed)
                own = _XrayRun(kept / f".{name}", folder, *settings, reporter, run)
                given, started = replace(inputs, xray=path), time.monotonic()
                hashes = input_hashes(given)
                outcome = synthesize_one(given, parameters, own)
                if run.should_stop():
                    break
                took = time.monotonic() - started
                origin = provenance(outcome, "ctpa", "synthesize", hashes, to_json(parameters), own, took)
                write_json(folder / RESULT, to_plain(_result(outcome, origin)))
            metrics = json.loads((folder / RESULT).read_text(encoding="utf-8"))["metrics"]
            row |= {key: value for key, value in metrics.items() if not isinstance(value, list | dict)}
            outputs[name] = run.output / name
            shutil.copytree(folder, outputs[name])
        except (InputError, OSError, MemoryError) as error:
            failure = explain_exception(error)
            row |= {"status": failure.kind, "message": failure.message}
            run.reporter.warning(f"{path.name}: {failure.message}")
        rows.append(row)
    if not rows:
        raise Stopped
    if not outputs:
        raise InputError(f"No X-ray of {inputs.xray} could be used: {rows[0]['message']}")
    outputs["summary"] = run.output / "summary.csv"
    write_table(outputs["summary"], rows)
    done = sum(row["status"] == "done" for row in rows)
    return Outcome(outputs, {"xrays": len(xrays), "done": done, "failed": len(rows) - done})


def _result(outcome: Outcome, origin: dict[str, Any]) -> dict[str, Any]:
    """What the result.json of one X-ray says; as that of a run on it alone."""
    outputs = {role: {"path": file.name, "sha256": sha256(file)} for role, file in outcome.outputs.items()}
    return {"format": 1, "outputs": outputs, "metrics": outcome.metrics, "provenance": origin}


def _names(paths: list[Path]) -> list[str]:
    """Names of the folders of results: those of the files without their endings, with them where two are the same."""
    stems = [path.name.removesuffix(".gz").rpartition(".")[0] or path.name for path in paths]
    return [path.name if stems.count(stem) > 1 else stem for path, stem in zip(paths, stems, strict=True)]
