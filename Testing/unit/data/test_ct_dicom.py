"""DICOM series of CTs: read back with pydicom and with the reader that everything else uses."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from deeprecon.data.dicom.objects.ct import decimal, write_ct_series
from deeprecon.data.dicom.series import read_dicom
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume

NAME = {"PatientName": "Ω^Test", "PatientID": "7"}


def oblique(shape=(5, 7, 9), seed=0):
    """Any int16 values, in a frame that is turned in the patient and has odd spacings."""
    rng = np.random.default_rng(seed)
    array = rng.integers(-32768, 32768, shape).astype(np.int16)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([358 / 512, 358 / 511, 365 / 608])
    affine[:3, 3] = (-178.650390625123, 12.3456789012345, -1 / 3)
    if np.linalg.det(affine[:3, :3]) < 0:
        affine[:3, 0] *= -1
    return Volume(array, affine)


def test_voxels_and_places_come_back_exactly(tmp_path):
    volume = oblique()
    paths = write_ct_series(tmp_path / "series", volume, NAME)
    assert len(paths) == 5
    found = read_dicom(tmp_path / "series")
    np.testing.assert_array_equal(found.array, volume.array)
    np.testing.assert_allclose(found.ijk_to_ras, volume.ijk_to_ras, atol=1e-9)
    assert found.slice_thickness == pytest.approx(365 / 608)


def test_files_are_those_of_the_ct_image_standard(tmp_path):
    volume = oblique()
    paths = write_ct_series(tmp_path, volume, NAME)
    files = [pydicom.dcmread(path) for path in paths]
    first = files[0]
    assert first.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert first.SOPClassUID == first.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert first.SOPInstanceUID == first.file_meta.MediaStorageSOPInstanceUID
    assert len({file.SOPInstanceUID for file in files}) == 5
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({file[name].value for file in files}) == 1
        assert pydicom.uid.UID(first[name].value).is_valid
    assert (first.Modality, first.RescaleType, first.RescaleSlope, first.RescaleIntercept) == ("CT", "HU", 1, 0)
    assert first.PatientName == "Ω^Test"
    assert [file.InstanceNumber for file in files] == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(np.stack([file.pixel_array for file in files]), volume.array)
    needed = "KVP AcquisitionNumber PatientPosition PositionReferenceIndicator SliceThickness PixelSpacing ImageType"
    assert [name for name in needed.split() if name not in first] == ["ImageType"]  # that is for the caller to say
    first.walk(lambda data, element: element.value)  # every entry can be decoded


def test_uids_are_those_of_the_content(tmp_path):
    def series(folder, volume, entries):
        path = write_ct_series(tmp_path / folder, volume, entries)[0]
        return pydicom.dcmread(path).SeriesInstanceUID

    first = series("a", oblique(), NAME)
    assert series("b", oblique(), NAME) == first
    assert series("c", oblique(seed=1), NAME) != first
    moved = oblique()
    moved.ijk_to_ras[0, 3] += 1
    assert series("d", moved, NAME) != first
    assert series("e", oblique(), NAME | {"PatientID": "8"}) != first


def test_numbers_keep_what_sixteen_characters_can_hold():
    for value in (0.0, 1.0, -1000.0, 358 / 512, -1 / 3, 1e-7 / 3, -123456.7890123456, 1e20 / 3):
        text = decimal(value)
        assert len(text) <= 16
        assert float(text) == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert decimal(0.69921875) == "0.69921875"


def test_what_has_no_room_is_refused(tmp_path):
    with pytest.raises(InputError, match="too long for the DICOM entry PatientID"):
        write_ct_series(tmp_path, oblique(), {"PatientID": "x" * 65})
    with pytest.raises(ValueError, match="int16"):
        write_ct_series(tmp_path, Volume(np.zeros((2, 2, 2), np.float32), np.eye(4)), {})
    assert not list(tmp_path.glob("*.dcm"))
