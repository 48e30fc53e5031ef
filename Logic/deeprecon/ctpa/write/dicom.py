"""A synthetic CT as a DICOM series that is marked as synthetic in every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.ctpa.parameters import ExportInputs, ExportParameters
from deeprecon.data.dicom.ct import Entries, write_ct_series
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.job import VERSION
from deeprecon.jobs.run import Outcome, Run

NOTICE = "SYNTHETIC - research only, not for diagnosis"
PREFIX = "SYNTHETIC"
WINDOWS = ((100, 700, "CTPA"), (-500, 1500, "Lung"), (50, 350, "Mediastinum"))
"""Center, width and name."""
_PROCESSING = {
    (0x0008, 0x0100): ("SH", "109102"),
    (0x0008, 0x0102): ("SH", "DCM"),
    (0x0008, 0x0104): ("LO", "Processing Equipment"),
}


def export(inputs: ExportInputs, parameters: ExportParameters, run: Run) -> Outcome:
    """Write the CT of a result as dicom/slice_NNNN.dcm, with HU and geometry unchanged.

    UIDs are new. Nothing of the X-ray's study is copied: its AccessionNumber would file the synthetic CT under the
    patient's examination.

    Raises:
        InputError: no result of `ctpa synthesize`, or its CT was changed since.
    """
    result = _read_result(inputs.result)
    path = inputs.result / result["outputs"]["ct"]["path"]
    if not path.is_file() or sha256(path) != result["outputs"]["ct"].get("sha256"):
        raise InputError(f"{path} is missing, or was changed since it was made.", "Make the CT again.")
    volume = read_volume(path)
    volume = Volume(np.rint(volume.array).astype(np.int16), volume.ijk_to_ras, volume.name)
    run.reporter.status("Writing DICOM files")
    paths = write_ct_series(run.output / "dicom", volume, synthetic_entries(result, parameters.patient_id))
    return Outcome({"dicom": run.output / "dicom"}, {"slices": len(paths)})


def synthetic_entries(result: Mapping[str, Any], patient_id: str) -> Entries:
    """The entries of each file on patient, study, series and equipment.

    Args:
        result: the result.json of `ctpa synthesize`.
        patient_id: of the series.
    """
    provenance = result["provenance"]
    created = datetime.fromisoformat(provenance["date"])
    date, time = created.strftime("%Y%m%d"), created.strftime("%H%M%S")
    centers, widths, names = ([str(window[part]) for window in WINDOWS] for part in range(3))
    equipment: Entries = {
        (0x0008, 0x0070): ("LO", "DeepRecon"),
        (0x0008, 0x1090): ("LO", "CTPASynthesis"),
        (0x0018, 0x1020): ("LO", str(provenance.get("versions", {}).get("deeprecon") or VERSION)),
    }
    return {
        (0x0008, 0x0008): ("CS", "DERIVED\\SECONDARY\\AXIAL"),
        (0x0008, 0x001C): ("CS", "YES"),  # Synthetic Data
        (0x0008, 0x0020): ("DA", date),
        (0x0008, 0x0023): ("DA", date),
        (0x0008, 0x0030): ("TM", time),
        (0x0008, 0x0033): ("TM", time),
        (0x0008, 0x0050): ("SH", ""),
        (0x0008, 0x0090): ("PN", ""),
        (0x0008, 0x1030): ("LO", f"{PREFIX} chest CT"),
        (0x0008, 0x103E): ("LO", f"{PREFIX} CTPA from one X-ray, not for diagnosis"),
        (0x0008, 0x2111): ("ST", _derivation(provenance, result.get("metrics", {}))),
        (0x0010, 0x0010): ("PN", f"{PREFIX}^CT"),
        (0x0010, 0x0020): ("LO", patient_id.strip()),
        (0x0010, 0x0030): ("DA", ""),
        (0x0010, 0x0040): ("CS", ""),
        (0x0018, 0x0015): ("CS", "CHEST"),
        (0x0018, 0x9004): ("CS", "RESEARCH"),
        (0x0018, 0xA001): (
            "SQ",
            [
                {
                    **equipment,
                    (0x0018, 0xA002): ("DT", date + time),
                    (0x0018, 0xA003): ("ST", "Drew the images with a generative model"),
                    (0x0040, 0xA170): ("SQ", [_PROCESSING]),
                }
            ],
        ),
        (0x0020, 0x0010): ("SH", ""),
        (0x0020, 0x0011): ("IS", 1),
        (0x0020, 0x4000): ("LT", NOTICE),
        (0x0028, 0x0301): ("CS", "NO"),  # burned-in annotation
        (0x0028, 0x1050): ("DS", "\\".join(centers)),
        (0x0028, 0x1051): ("DS", "\\".join(widths)),
        (0x0028, 0x1055): ("LO", "\\".join(names)),
        (0x0028, 0x2110): ("CS", "00"),
        **equipment,
    }


def _derivation(provenance: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    settings = provenance.get("parameters", {})
    samples = figures.get("samples", settings.get("samples", 1))  # fewer than set after an early stop
    parts = [
        NOTICE + ".",
        "Not a scan: drawn by a generative model from one chest X-ray.",
        f"Mean of {samples} samples." if samples > 1 else "One sample.",
        f"{settings.get('steps', '?')} steps, seed {provenance.get('seed', '?')}.",
    ]
    parts += [f"Input {entry['name']}, sha256 {entry['sha256']}." for entry in provenance.get("inputs", [])]
    model = provenance.get("model", {})
    if isinstance(model, Mapping) and "sha256" in model:
        parts.append(f"Model {model.get('name', '')}, sha256 {model['sha256']}.")
    return " ".join(parts).replace("\\", "/")[:1024]


def _read_result(folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        origin = (result["provenance"]["method"], result["provenance"]["verb"])
        valid = origin == ("ctpa", "synthesize") and isinstance(result["outputs"]["ct"]["path"], str)
    except (OSError, ValueError, KeyError, TypeError):
        valid = False
    if not valid:
        raise InputError(f"{folder} is no result of ctpa synthesize.", "Give the folder that holds its result.json.")
    return result
