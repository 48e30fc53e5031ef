"""A synthetic CT as a DICOM series, labeled as synthetic in every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.ctpa.parameters import ExportInputs, ExportParameters
from deeprecon.data.dicom.objects.ct import write_ct_series
from deeprecon.data.dicom.objects.elements import Elements
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
    "CodeValue": "109102",
    "CodingSchemeDesignator": "DCM",
    "CodeMeaning": "Processing Equipment",
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
    paths = write_ct_series(run.output / "dicom", volume, synthetic_elements(result, parameters.patient_id))
    return Outcome({"dicom": run.output / "dicom"}, {"slices": len(paths)})


def synthetic_elements(result: Mapping[str, Any], patient_id: str) -> Elements:
    """The elements of patient, study, series and equipment in each file.

    Args:
        result: the result.json of `ctpa synthesize`.
        patient_id: of the series.
    """
    provenance = result["provenance"]
    created = datetime.fromisoformat(provenance["date"])
    date, time = created.strftime("%Y%m%d"), created.strftime("%H%M%S")
    centers, widths, names = ([str(window[part]) for window in WINDOWS] for part in range(3))
    equipment: Elements = {
        "Manufacturer": "DeepRecon",
        "ManufacturerModelName": "CTPASynthesis",
        "SoftwareVersions": str(provenance.get("versions", {}).get("deeprecon") or VERSION),
    }
    return {
        "ImageType": ["DERIVED", "SECONDARY", "AXIAL"],
        "SyntheticData": "YES",
        "StudyDate": date,
        "ContentDate": date,
        "StudyTime": time,
        "ContentTime": time,
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "StudyDescription": f"{PREFIX} chest CT",
        "SeriesDescription": f"{PREFIX} CTPA from one X-ray, not for diagnosis",
        "DerivationDescription": _derivation(provenance, result.get("metrics", {})),
        "PatientName": f"{PREFIX}^CT",
        "PatientID": patient_id.strip(),
        "PatientBirthDate": "",
        "PatientSex": "",
        "BodyPartExamined": "CHEST",
        "ContentQualification": "RESEARCH",
        "ContributingEquipmentSequence": [
            {
                **equipment,
                "ContributionDateTime": date + time,
                "ContributionDescription": "Made the images from a chest X-ray",
                "PurposeOfReferenceCodeSequence": [_PROCESSING],
            }
        ],
        "StudyID": "",
        "SeriesNumber": 1,
        "ImageComments": NOTICE,
        "BurnedInAnnotation": "NO",
        "WindowCenter": centers,
        "WindowWidth": widths,
        "WindowCenterWidthExplanation": names,
        "LossyImageCompression": "00",
        **equipment,
    }


def _derivation(provenance: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    settings = provenance.get("parameters", {})
    samples = figures.get("samples", settings.get("samples", 1))  # fewer than set after an early stop
    atlas = provenance.get("atlas")
    if isinstance(atlas, Mapping):
        parts = [NOTICE + ".", f"Not a scan: a deformed atlas ({atlas.get('name', '?')}), fitted to a chest X-ray."]
    else:
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
