"""Synthetic CTs as DICOM: what the files say, and that values and geometry stay."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest

from deeprecon.ctpa.grid import Grid
from deeprecon.data.files import sha256, write_json
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume

GRID = Grid((38, 32, 30))


@pytest.fixture
def result(tmp_path):
    """The folder of a synthesis, with its result.json."""
    folder = tmp_path / "result"
    folder.mkdir()
    hu = np.random.default_rng(0).integers(-1000, 1001, GRID.shape).astype(np.int16)
    write_volume(folder / "ct.nii.gz", Volume(hu, GRID.affine((3.0, -4.0, 5.0))))
    provenance = {
        "method": "ctpa",
        "verb": "synthesize",
        "date": "2026-11-25T10:20:30+00:00",
        "seed": 12,
        "parameters": {"samples": 4, "steps": 20},
        "inputs": [{"name": "xray.dcm", "sha256": "ab" * 32}],
        "versions": {"deeprecon": "0.1.0"},
    }
    outputs = {"ct": {"path": "ct.nii.gz", "sha256": sha256(folder / "ct.nii.gz")}}
    write_json(folder / "result.json", {"format": 1, "outputs": outputs, "metrics": {}, "provenance": provenance})
    return folder


def test_hu_and_geometry_are_exact(done, result):
    output = done("export", inputs={"result": result})
    original, found = read_volume(result / "ct.nii.gz"), read_volume(output / "dicom")
    np.testing.assert_array_equal(found.array, original.array)
    np.testing.assert_allclose(found.ijk_to_ras, original.ijk_to_ras, atol=1e-9)
    assert len(list((output / "dicom").iterdir())) == 38


def test_every_file_is_marked_as_synthetic(done, result):
    output = done("export", inputs={"result": result}, patient_id="study-7")
    for path in (output / "dicom").iterdir():
        file = pydicom.dcmread(path)
        synthetic = file[0x0008, 0x001C]
        assert (synthetic.VR, synthetic.value, synthetic.keyword) == ("CS", "YES", "SyntheticData")
        assert list(file.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert file.ContentQualification == "RESEARCH"
        assert file.BurnedInAnnotation == "NO"
        assert file.SeriesDescription.startswith("SYNTHETIC")
        assert file.PatientID == "study-7"
        assert str(file.PatientName).startswith("SYNTHETIC")
        equipment = file.ContributingEquipmentSequence[0]
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert (equipment.Manufacturer, equipment.ManufacturerModelName) == ("DeepRecon", "CTPASynthesis")
        assert equipment.ContributionDateTime == "20261125102030"
        assert file.AccessionNumber == ""
        for part in ("not for diagnosis", "Mean of 4 samples", "20 steps, seed 12", "xray.dcm", "ab" * 32):
            assert part in file.DerivationDescription
        assert (list(file.WindowCenter), list(file.WindowWidth)) == ([100, -500, 50], [700, 1500, 350])


def test_a_result_that_was_stopped_early_states_its_number_of_samples(done, result):
    content = json.loads((result / "result.json").read_text())
    model = {"name": "chests", "sha256": "cd" * 32}
    content |= {"metrics": {"samples": 1}, "provenance": content["provenance"] | {"model": model}}
    write_json(result / "result.json", content)
    file = pydicom.dcmread(next((done("export", inputs={"result": result}) / "dicom").iterdir()))
    assert "One sample." in file.DerivationDescription
    assert f"Model chests, sha256 {'cd' * 32}" in file.DerivationDescription


def test_another_patient_gets_other_uids(done, result):
    series = [
        pydicom.dcmread(next((done("export", name, inputs={"result": result}, patient_id=name) / "dicom").iterdir()))
        for name in ("a", "b")
    ]
    assert series[0].StudyInstanceUID != series[1].StudyInstanceUID


def test_other_folders_and_changed_cts_are_refused(error_of, result, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no result of ctpa synthesize" in error_of("export", inputs={"result": tmp_path / "empty"})
    assert "64 characters" in error_of("export", inputs={"result": result}, patient_id="a\\b")
    content = json.loads((result / "result.json").read_text())
    write_json(result / "result.json", content | {"provenance": content["provenance"] | {"verb": "phantom"}})
    assert "no result of ctpa synthesize" in error_of("export", inputs={"result": result})
    write_json(result / "result.json", content)
    write_volume(result / "ct.nii.gz", Volume(np.zeros(GRID.shape, np.int16), GRID.affine()))
    assert "changed since it was made" in error_of("export", inputs={"result": result})
