"""Diffusion scans as DICOM series: slices, enhanced files, mosaics."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.diffusion.gradients import gradient_table
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.data.volume_io import read_volume

from .dicom_files import one_item, write_frames, write_series, write_slice
from .diffusion_scans import same
from .orientations import rotation


def write_dicom(folder, skip=None, siemens=False, mixed=False):
    folder.mkdir()
    array = np.random.default_rng(1).integers(0, 1000, (3, 6, 7, 3)).astype(np.int16)
    axes = rotation((25.0, -40.0, 65.0))
    gradients = gradient_table([0, 1000, 1000], [[0, 0, 0], [0, 0.6, 0.8], [1, 0, 0]])  # LPS
    for volume in range(3):
        for k in range(3):
            if (volume, k) == skip:
                continue
            path = folder / f"IM{volume}{k}"
            write_slice(
                path,
                array[k, :, :, volume],
                5.0 * k * axes[:, 2],
                axes,
                InstanceNumber=3 * volume + k + 1,
            )
            vector = gradients.directions[3 - volume if mixed and k == 1 and volume else volume]
            weight(path, gradients.bvals[volume], vector, siemens)
    affine = np.eye(4)
    affine[:3, :3] = axes * (1.4, 1.2, 5.0)
    flip = np.diag([-1.0, -1, 1])
    return DwiScan(array, np.diag([-1.0, -1, 1, 1]) @ affine,
                   gradient_table(gradients.bvals, gradients.directions @ flip), "dicom")  # fmt: skip


def weight(path, b, vector, siemens):
    data = pydicom.dcmread(path)
    if siemens:
        block = data.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", str(int(b)))
        if b:
            block.add_new(0x0E, "FD", list(map(float, vector)))
    else:
        data.add_new(0x00189087, "FD", float(b))
        if b:
            data.add_new(0x00189089, "FD", list(map(float, vector)))
    data.save_as(path)


@pytest.mark.parametrize("siemens", [False, True])
def test_a_dicom_series_becomes_volumes_with_directions_of_the_patient(tmp_path, siemens):
    expected = write_dicom(tmp_path / "d", siemens=siemens)
    same(read_dwi(tmp_path / "d"), expected)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"skip": (1, 2)}, "volumes lack slices"),
        ({"mixed": True}, "differ in b-value or direction"),
    ],
)
def test_a_dicom_series_with_holes_is_refused(tmp_path, broken, message):
    write_dicom(tmp_path / "d", **broken)
    with pytest.raises(InputError, match=message):
        read_dwi(tmp_path / "d")


def test_a_dicom_series_without_b_values_is_refused(tmp_path):
    write_series(tmp_path / "d")
    with pytest.raises(InputError, match="does not state its b-value"):
        read_dwi(tmp_path / "d")


def write_enhanced(folder, slices_first, files, averages=True):
    """Three volumes of three slices, with averages over the directions, in one enhanced file or one for each volume."""
    folder.mkdir()
    array = np.random.default_rng(1).integers(0, 1000, (3, 6, 7, 4)).astype(np.int16)
    axes = rotation((25.0, -40.0, 65.0))
    gradients = gradient_table([0, 1000, 1000], [[0, 0, 0], [0, 0.6, 0.8], [1, 0, 0]])  # LPS

    def frame(k, volume):
        item = {"DiffusionBValue": 1000.0, "DiffusionDirectionality": "ISOTROPIC"}
        if volume < 3:
            item = {
                "DiffusionBValue": float(gradients.bvals[volume]),
                "DiffusionDirectionality": "DIRECTIONAL",
            }
            item["DiffusionGradientDirectionSequence"] = one_item(
                DiffusionGradientOrientation=[float(value) for value in gradients.directions[volume]]
            )
        sequences = {"MRDiffusionSequence": one_item(**item)}
        return array[k, :, :, volume], 5.0 * k * axes[:, 2], 1.0, 0.0, sequences

    order = [(k, volume) for volume in range(4 if averages else 3) for k in range(3)]
    frames = [frame(*pair) for pair in (order if slices_first else sorted(order))]
    for number in range(files):
        part = frames[number * len(frames) // files : (number + 1) * len(frames) // files]
        write_frames(folder / f"IM{files - number}", part, axes, instance=number + 1)
    affine = np.eye(4)
    affine[:3, :3] = axes * (1.4, 1.2, 5.0)
    flip = np.diag([-1.0, -1, 1])
    return DwiScan(array[..., :3], np.diag([-1.0, -1, 1, 1]) @ affine,
                   gradient_table(gradients.bvals, gradients.directions @ flip), "dicom")  # fmt: skip


@pytest.mark.parametrize(("slices_first", "files"), [(True, 1), (False, 1), (True, 4)])
def test_enhanced_files_become_volumes_without_the_averages_that_the_scanner_added(tmp_path, slices_first, files):
    expected = write_enhanced(tmp_path / "d", slices_first, files)
    scan = read_dwi(tmp_path / "d")
    same(scan, expected)
    assert [doubt.code for doubt in scan.doubts] == ["trace-volume"]
    assert "3 images" in scan.doubts[0].text
    write_enhanced(tmp_path / "e", slices_first, 1, averages=False)
    assert read_dwi(tmp_path / "e").doubts == ()


def test_phases_and_computed_maps_are_no_volumes(tmp_path):
    expected = write_dicom(tmp_path / "d")
    for number, words in (
        (3, ["ORIGINAL", "PRIMARY", "PHASE MAP", "P"]),
        (4, ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]),
    ):
        for k in range(3):
            data = pydicom.dcmread(tmp_path / "d" / f"IM0{k}")
            data.ImageType, data.InstanceNumber = words, 10 + 3 * number + k
            data.save_as(tmp_path / "d" / f"IM{number}{k}")
    scan = read_dwi(tmp_path / "d")
    same(scan, expected)
    assert scan.notes == ("6 images were left out: phases, or computed by the scanner.",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"EchoTime": 80.0}, "echo times of 60 to 80 ms"),
        ({"PixelSpacing": [1.3, 1.4]}, "lies elsewhere"),
        ({"moved": 0.5}, "lies elsewhere"),
    ],
    ids=["echo", "spacing", "place"],
)
def test_volumes_that_do_not_belong_together_are_refused(tmp_path, changes, message):
    write_dicom(tmp_path / "d")
    for path in (tmp_path / "d").iterdir():
        data = pydicom.dcmread(path)
        data.EchoTime = 60.0
        if path.name.startswith("IM2"):
            for name, value in changes.items():
                if name == "moved":
                    row = np.array(data.ImageOrientationPatient[:3], float)
                    data.ImagePositionPatient = list(np.array(data.ImagePositionPatient, float) + value * row)
                else:
                    setattr(data, name, value)
        data.save_as(path)
    with pytest.raises(InputError, match=message):
        read_dwi(tmp_path / "d")


def siemens_mosaics(folder):
    """The two mosaics of a real scan that nibabel comes with, their blank pixels filled; and nibabel's reading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel calls its reader experimental
        from nibabel.nicom import dicomwrappers

    folder.mkdir()
    wrappers = []
    for number, name in enumerate(("siemens_dwi_1000", "siemens_dwi_0")):
        packed = Path(dicomwrappers.__file__).parent / "tests" / "data" / f"{name}.dcm.gz"
        if not packed.is_file():
            pytest.skip(f"nibabel was installed without {packed.name}")
        with gzip.open(packed) as file:
            data = pydicom.dcmread(file)
        pixels = np.random.default_rng(number).integers(0, 4000, (data.Rows, data.Columns), np.uint16)
        data.PixelData = pixels.tobytes()
        data.save_as(folder / f"{number}.dcm")
        wrappers.append(dicomwrappers.wrapper_from_data(data))
    return wrappers[::-1]


def test_siemens_mosaics_are_read_as_nibabel_reads_them(tmp_path):
    wrappers = siemens_mosaics(tmp_path / "d")
    scan = read_dwi(tmp_path / "d")
    assert scan.array.shape == (48, 128, 128, 2)
    for volume, wrapper in enumerate(wrappers):
        np.testing.assert_array_equal(scan.array[..., volume], wrapper.get_data().transpose(2, 0, 1))
        ras = np.diag([-1.0, -1, 1, 1]) @ wrapper.affine[:, [1, 0, 2, 3]]
        np.testing.assert_allclose(scan.ijk_to_ras, ras, atol=1e-3)  # the file's orientation has 6 decimals
    assert scan.gradients.bvals.tolist() == [0, 1000]
    vector = np.array([-0.99997449, -0.00505012, -0.00505012])
    np.testing.assert_allclose(scan.gradients.directions[1], vector, atol=1e-6)


@pytest.mark.parametrize("header", [bytes(200), b"SV10" + bytes(200), b""], ids=["other", "cut off", "empty"])
def test_a_mosaic_without_the_header_that_places_its_slices_is_refused(tmp_path, header):
    siemens_mosaics(tmp_path / "d")
    data = pydicom.dcmread(tmp_path / "d" / "0.dcm")
    data.private_block(0x0029, "SIEMENS CSA HEADER")[0x10].value = header
    data.save_as(tmp_path / "d" / "0.dcm")
    with pytest.raises(InputError, match="without the position of its slices"):
        read_dwi(tmp_path / "d")


def test_a_mosaic_is_never_taken_for_one_large_slice(tmp_path):
    siemens_mosaics(tmp_path / "d")
    with pytest.raises(InputError, match="Siemens mosaic"):
        read_volume(tmp_path / "d" / "0.dcm")
