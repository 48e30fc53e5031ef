"""What lies in DICOM folders beside the images that are meant, in every module's reader."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID, generate_uid

from deeprecon.ctpa.observe.ct_checks import ct_doubts
from deeprecon.data.dicom.file import is_dicom_head, open_dicom
from deeprecon.data.dicom.kinds import kind_of_class, way_out, with_article
from deeprecon.data.dicom.objects.ct import write_ct_series
from deeprecon.data.dicom.series import read_series
from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume

from .dicom_files import new_file, write_series, write_slice, write_xray
from .test_dwi_dicom import write_enhanced

STORAGE = "1.2.840.10008.5.1.4.1.1."
STRUCTURES = STORAGE + "481.3"


def write_other(path, storage=STRUCTURES, modality="RTSTRUCT", **extra):
    data = new_file(path, UID(storage))
    data.Modality, data.SeriesInstanceUID = modality, "2.25.9"
    for name, value in extra.items():
        setattr(data, name, value)
    data.save_as(path)
    return path


@pytest.mark.parametrize(
    ("uid", "kind"),
    [
        (STORAGE + "4", ""),
        (STORAGE + "4.1", ""),
        (STORAGE + "7.2", ""),
        (STORAGE + "481.1", ""),
        (STORAGE + "99.1", ""),
        (STORAGE + "4.2", "spectroscopy"),
        (STORAGE + "66.4", "DICOM segmentation"),
        (STORAGE + "66.7", "DICOM segmentation"),
        (STORAGE + "88.59", "key object selection"),
        (STORAGE + "88.71", "structured report"),
        (STORAGE + "9.1.1", "waveform"),
        ("1.3.12.2.1107.5.9.1", "private data of Siemens"),
        ("", ""),
    ],
)
def test_storage_classes_have_names(uid, kind):
    assert kind_of_class(uid) == kind


def test_words_of_kinds():
    nouns = ("RT structure set", "DICOM segmentation", "image without a place")
    assert [with_article(noun).split()[0] for noun in nouns] == ["an", "a", "an"]
    assert "SlicerRT" in way_out("RT structure set")
    assert way_out("structured report") == "Give the files of the image series."


def test_a_diffusion_scan_and_a_ct_pass_over_what_is_no_image(tmp_path):
    write_enhanced(tmp_path / "scan", True, 3, averages=False)
    volume = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    write_ct_series(tmp_path / "ct", volume, {})
    for folder in ("scan", "ct"):
        write_other(tmp_path / folder / "RS.dcm")
    scan = read_dwi(tmp_path / "scan")
    assert [doubt.code for doubt in scan.doubts] == ["dicom-passed-over"]
    ct = read_volume(tmp_path / "ct")
    assert next(doubt.code for doubt in ct_doubts(ct)) == "dicom-passed-over"
    assert ct.doubts[0].where == "ct"
    assert "RT structure set (RS.dcm)" in ct.doubts[0].text


def test_many_files_are_counted(tmp_path):
    write_series(tmp_path / "s")
    for number in range(5):
        write_other(tmp_path / "s" / f"R{number}", STORAGE + "88.22", "SR")
    (tmp_path / "s" / "notes.txt").write_text("no DICOM")
    (doubt,) = read_series(tmp_path / "s").doubts
    assert doubt.text == "Files that are not used were passed over: structured report (R0, R1 and 3 more)."
    assert doubt.assumed


def test_a_file_is_named_as_what_it_is(tmp_path):
    path = write_other(tmp_path / "a.dcm")
    with pytest.raises(InputError, match=r"a\.dcm is an RT structure set, which cannot be read") as error:
        read_volume(path)
    assert "seg.nrrd" in error.value.hint
    with pytest.raises(InputError, match="is an RT structure set"):
        read_dwi(path)
    with pytest.raises(InputError, match="is no image but an RT structure set"):
        read_radiograph(path)


def test_a_kind_follows_from_the_modality_where_no_class_is_stated(tmp_path):
    data = pydicom.dcmread(write_other(tmp_path / "a.dcm"))
    del data.SOPClassUID
    data.file_meta.MediaStorageSOPClassUID = "2.25.1"
    data.save_as(tmp_path / "a.dcm", enforce_file_format=False)
    assert open_dicom(tmp_path / "a.dcm").kind == "RT structure set"


def test_an_image_without_pixels_ends_early(tmp_path):
    write_series(tmp_path / "s")
    data = pydicom.dcmread(tmp_path / "s" / "IM0002")
    del data.PixelData
    data.save_as(tmp_path / "s" / "IM0002")
    with pytest.raises(InputError, match="IM0002 ends before its pixels"):
        read_volume(tmp_path / "s")


@pytest.mark.parametrize(
    ("syntax", "words"),
    [
        ("1.2.840.10008.1.2.4.102", "is compressed as MPEG-4 AVC/H.264 High Profile / Level 4.1, which this program"),
        ("1.2.840.10008.1.2.4.92", "is compressed as JPEG 2000 Part 2"),
        ("2.25.77", "unknown transfer syntax 2.25.77"),
    ],
)
def test_a_compression_without_a_decoder_is_named(tmp_path, syntax, words):
    write_series(tmp_path / "s", count=1)
    data = pydicom.dcmread(tmp_path / "s" / "IM0001")
    data.PixelData = pydicom.encaps.encapsulate([bytes(16)])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    data.save_as(tmp_path / "s" / "IM0001")
    content = (tmp_path / "s" / "IM0001").read_bytes()
    known = str(pydicom.uid.JPEG2000Lossless).encode()
    assert len(known) == 22
    (tmp_path / "s" / "IM0001").write_bytes(_exchanged(content, known, syntax.encode()))
    with pytest.raises(InputError, match="IM0001 ") as error:
        read_volume(tmp_path / "s")
    assert words in str(error.value)
    assert "cut off" not in str(error.value)


def _exchanged(content, old, new):
    """A UID in the file meta information for another one; its group length stays right."""
    new = new + b"\0" * (len(new) % 2)
    place = content.index(old)
    length = int.from_bytes(content[140:144], "little") + len(new) - len(old)
    parts = content[:140], length.to_bytes(4, "little"), content[144 : place - 2], len(new).to_bytes(2, "little")
    return b"".join([*parts, new, content[place + len(old) :]])


def test_numbers_at_the_start_of_other_files_are_no_dicom(tmp_path):
    head = b"\x02\0\0\0\x09\0\0\0" + bytes(200)
    assert not is_dicom_head(head)
    write_series(tmp_path / "s")
    (tmp_path / "s" / "Thumbs").write_bytes(head)
    assert len(read_series(tmp_path / "s").slices) == 5
    assert read_series(tmp_path / "s").doubts == ()


def test_colors_beside_gray_images_are_passed_over(tmp_path):
    write_series(tmp_path / "s")
    data = pydicom.dcmread(tmp_path / "s" / "IM0001")
    data.SeriesInstanceUID, data.SamplesPerPixel, data.PlanarConfiguration = generate_uid(), 3, 0
    data.PhotometricInterpretation, data.PixelData = "RGB", data.PixelData * 3
    data.save_as(tmp_path / "s" / "fused")
    series = read_series(tmp_path / "s")
    assert len(series.slices) == 5
    assert "(fused)" in series.doubts[0].text


def test_series_at_the_same_places_are_no_stack(tmp_path):
    write_series(tmp_path / "s", count=3, angles=(0, 0, 0))
    for number in range(9):
        place = (0, 0, 10.0 * (number % 3))
        write_slice(tmp_path / "s" / f"N{number}", np.zeros((6, 7)), place, np.eye(3), series=generate_uid())
    with pytest.raises(InputError, match=r"holds 10 DICOM series: .*; and 5 more\."):
        read_volume(tmp_path / "s")


def test_a_file_of_a_whole_series_is_no_slice_of_a_stack(tmp_path):
    write_series(tmp_path / "s", count=1, angles=(0, 0, 0))
    other = generate_uid()
    for number in range(3):
        write_slice(tmp_path / "s" / f"N{number}", np.zeros((6, 7)), (0, 0, 10.0 * number), np.eye(3), series=other)
    assert read_series(tmp_path / "s" / "IM0001").doubts == ()  # the other series has several slices
    assert read_series(tmp_path / "s" / "N1").doubts == ()


def test_a_folder_of_films_passes_over_what_is_no_image(tmp_path):
    from deeprecon.ctpa.folder import find_xrays

    path = write_xray(tmp_path / "x.dcm")
    write_other(tmp_path / "SR1", STORAGE + "88.11", "SR")
    found, (doubt,) = find_xrays(tmp_path)
    assert found == [path]
    assert (doubt.code, "structured report (SR1)" in doubt.text) == ("dicom-passed-over", True)
