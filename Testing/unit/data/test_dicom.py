"""DICOM series, written here with pydicom."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import BasicTextSRStorage, JPEG2000Lossless, generate_uid

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume, canonical
from deeprecon.data.volume_io import read_volume

from .dicom_files import SERIES, write_frames, write_series, write_slice
from .orientations import rotation


def test_a_series_lies_where_its_positions_say(tmp_path):
    expected = write_series(tmp_path / "Aufnahme é 心")
    result = read_volume(tmp_path / "Aufnahme é 心")
    assert np.array_equal(canonical(result).array, canonical(expected).array)
    assert np.abs(canonical(result).ijk_to_ras - canonical(expected).ijk_to_ras).max() < 2e-4
    assert result.spacing == pytest.approx((1.4, 1.2, 10), abs=1e-5)
    assert result.slice_thickness == 8
    assert result.array.dtype == np.int16


def test_axial_slices_grow_towards_the_head(tmp_path):
    write_series(tmp_path / "s", angles=(0, 0, 0))
    result = read_volume(tmp_path / "s")
    assert np.allclose(result.ijk_to_ras[:3, :3], np.diag([-1.4, -1.2, 10]))


def test_one_file_stands_for_its_series(tmp_path):
    expected = write_series(tmp_path / "s")
    other = generate_uid(entropy_srcs=["other"])
    for k in range(3):
        write_slice(
            tmp_path / "s" / f"other{k}",
            np.zeros((4, 4)),
            (0, 0, k * 5.0),
            np.eye(3),
            series=other,
        )
    assert read_volume(tmp_path / "s" / "IM0003").array.shape == expected.array.shape
    with pytest.raises(InputError, match=r"holds 2 DICOM series.*'LGE', 5 images.*3 images") as error:
        read_volume(tmp_path / "s")
    assert "one file of the series" in error.value.hint


def test_the_rescale_is_applied(tmp_path):
    expected = write_series(tmp_path / "s", slope=2.0, intercept=-10.0)
    result = canonical(read_volume(tmp_path / "s"))
    assert np.array_equal(result.array, canonical(expected).array * 2.0 - 10)


def test_other_files_in_the_folder_do_not_matter(tmp_path):
    write_series(tmp_path / "s")
    (tmp_path / "s" / "notes.txt").write_text("hello")
    (tmp_path / "s" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    report = pydicom.dcmread(tmp_path / "s" / "IM0001")
    for name in (
        "PixelData",
        "Rows",
        "Columns",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
    ):
        delattr(report, name)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    report.save_as(tmp_path / "s" / "SR1")
    assert read_volume(tmp_path / "s").array.shape[0] == 5


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([0, 10, 20, 40, 50], "misses slices: 20.00 mm"),
        ([0, 10, 20, 30, 43], "spaced unevenly: 13.00 mm"),
        ([0, 10, 10, 20, 30], "several images at one place .1 too many"),
    ],
)
def test_slices_at_wrong_places_are_refused_in_words(tmp_path, places, words):
    write_series(tmp_path / "s", places=places)
    with pytest.raises(InputError, match=words) as error:
        read_volume(tmp_path / "s")
    assert "IM000" in str(error.value)


def test_slices_shifted_sideways_are_refused(tmp_path):
    write_series(tmp_path / "s", angles=(0, 0, 0))
    write_slice(tmp_path / "s" / "IM0003", np.zeros((6, 7)), (-37.0, 12.0, 25.0), np.eye(3))
    with pytest.raises(InputError, match=r"shifted sideways by up to 3\.00 mm"):
        read_volume(tmp_path / "s")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"axes": rotation((90, 0, 0))}, "mixes orientations"),
        ({"spacing": (1.4, 1.3)}, "mixes sizes"),
        ({"pixels": np.zeros((5, 7))}, "mixes sizes"),
        ({"thickness": 6.0}, "mixes slice thicknesses"),
    ],
)
def test_a_slice_unlike_the_others_is_refused(tmp_path, change, words):
    write_series(tmp_path / "s", angles=(0, 0, 0))
    settings = {
        "pixels": np.zeros((6, 7)),
        "position": (-40, 12, 25.0),
        "axes": np.eye(3),
    } | change
    write_slice(tmp_path / "s" / "IM0003", **settings)
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / "s")


def test_a_single_slice_takes_its_thickness(tmp_path):
    write_series(tmp_path / "s", count=1)
    assert read_volume(tmp_path / "s").spacing[2] == pytest.approx(8)


def enhanced(folder):
    """A stack in one file, its frames from the last slice to the first; returns the volume that it is."""
    folder.mkdir()
    stored = np.random.default_rng(1).integers(-100, 1000, (4, 6, 7)).astype(np.int16)
    axes, start = rotation((25.0, -40.0, 65.0)), np.array([-40.0, 12.0, 5.0])
    slopes, intercepts = np.array([1.0, 2.0, 0.5, 1.0]), np.array([0.0, -3.0, 8.0, 0.0])
    frames = [(stored[k], start + 10.0 * k * axes[:, 2], slopes[k], intercepts[k], {}) for k in reversed(range(4))]
    write_frames(folder / "IM0001", frames, axes)
    affine = np.eye(4)
    affine[:3, :3] = axes * (1.4, 1.2, 10.0)
    affine[:3, 3] = start
    return Volume(
        stored * slopes[:, None, None] + intercepts[:, None, None],
        np.diag([-1.0, -1, 1, 1]) @ affine,
    )


def test_an_enhanced_multi_frame_file_is_a_volume_with_each_frame_rescaled_by_itself(
    tmp_path,
):
    expected = enhanced(tmp_path / "s")
    for path in (tmp_path / "s", tmp_path / "s" / "IM0001"):
        volume = read_volume(path)
        np.testing.assert_allclose(volume.array, expected.array, rtol=1e-6)
        np.testing.assert_allclose(volume.ijk_to_ras, expected.ijk_to_ras, atol=1e-5)
        assert volume.slice_thickness == 5


def test_an_enhanced_file_may_be_signed_and_rescaled_as_a_whole(tmp_path):
    expected = enhanced(tmp_path / "s")
    data = pydicom.dcmread(tmp_path / "s" / "IM0001")
    stored = data.pixel_array
    data.BitsStored, data.HighBit = 12, 11
    data.PixelData = (stored & 0x0FFF).astype("<u2").tobytes()
    for frame in data.PerFrameFunctionalGroupsSequence:
        del frame.PixelValueTransformationSequence
    data.RescaleSlope, data.RescaleIntercept = 2, -1024
    data.save_as(tmp_path / "s" / "IM0001")
    volume = read_volume(tmp_path / "s")
    np.testing.assert_array_equal(volume.array, 2.0 * stored[::-1] - 1024)
    assert stored.min() < 0
    assert volume.array.shape == expected.array.shape


def test_what_else_lies_in_a_folder_does_not_hinder_a_series(tmp_path):
    expected = write_series(tmp_path / "s", series=SERIES)
    for number, uid in enumerate(
        (
            "1.2.840.10008.5.1.4.1.1.66",
            "1.3.12.2.1107.5.9.1",
            "1.2.840.10008.5.1.4.1.1.4.2",
        )
    ):
        data = pydicom.dcmread(tmp_path / "s" / "IM0001")
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = uid
        del data.PixelData
        data.save_as(tmp_path / "s" / f"XX{number}")
    np.testing.assert_array_equal(read_volume(tmp_path / "s").array, expected.array)
    other = pydicom.dcmread(tmp_path / "s" / "IM0001")  # a movie of another series
    other.SeriesInstanceUID, other.NumberOfFrames = generate_uid(), 3
    other.PixelData = other.PixelData * 3
    other.save_as(tmp_path / "s" / "MOVIE")
    np.testing.assert_array_equal(read_volume(tmp_path / "s" / "IM0001").array, expected.array)


def test_an_enhanced_file_without_places_and_a_compressed_one_are_refused(tmp_path):
    enhanced(tmp_path / "s")
    data = pydicom.dcmread(tmp_path / "s" / "IM0001")
    data.file_meta.TransferSyntaxUID = JPEG2000Lossless
    data.PixelData = pydicom.encaps.encapsulate([bytes(16)] * 4)
    data.save_as(tmp_path / "s" / "IM0001")
    with pytest.raises(InputError, match="compressed multi-frame"):
        read_volume(tmp_path / "s")
    enhanced(tmp_path / "t")
    data = pydicom.dcmread(tmp_path / "t" / "IM0001")
    del data.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    data.save_as(tmp_path / "t" / "IM0001")
    with pytest.raises(InputError, match="ImagePositionPatient"):
        read_volume(tmp_path / "t")
    del data.PerFrameFunctionalGroupsSequence[2]
    data.save_as(tmp_path / "t" / "IM0001")
    with pytest.raises(InputError, match="does not describe each of its frames"):
        read_volume(tmp_path / "t")


def test_a_multi_frame_file_is_refused_in_words(tmp_path):
    write_series(tmp_path / "s", count=1)
    data = pydicom.dcmread(tmp_path / "s" / "IM0001")
    data.NumberOfFrames = 3
    data.PixelData = data.PixelData * 3
    data.save_as(tmp_path / "s" / "IM0001")
    with pytest.raises(InputError, match="multi-frame"):
        read_volume(tmp_path / "s")


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no DICOM image"):
        read_volume(tmp_path)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_cut_off_file_is_named(tmp_path, share):
    write_series(tmp_path / "s")
    path = tmp_path / "s" / "IM0002"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match="IM0002"):
        read_volume(tmp_path / "s")


def test_a_position_that_is_no_number_is_named(tmp_path):
    write_series(tmp_path / "s")
    path = tmp_path / "s" / "IM0002"
    data = pydicom.dcmread(path)
    data.ImagePositionPatient = [1, 2]
    data.save_as(path)
    with pytest.raises(InputError, match="IM0002"):
        read_volume(tmp_path / "s")
