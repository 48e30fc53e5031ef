"""Wall and scar from DICOM: segmentations and contours are the same regions as a .seg.nrrd, in any orientation."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import contourpy
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from deeprecon.data.dicom.objects.elements import code
from deeprecon.data.dicom.objects.segmentation import CodedSegment, write_segmentation_object
from deeprecon.data.dicom.objects.study import NewSeries, study_of
from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.volume_io import read_volume
from deeprecon.scar.parameters import ReconstructInputs, ReconstructParameters
from deeprecon.scar.read.case import read_case

from ..data.dicom_files import new_file

TERM = code("85756007", "SCT", "Tissue")
CREATED = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def drawn(files):
    """What .seg.nrrd holds: oblique slices."""
    return read_segmentation(files["segmentation"])


@pytest.fixture(scope="module")
def seg(drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("seg") / "SEG.dcm"
    write_frames(path, drawn)
    return path


@pytest.fixture(scope="module")
def rtstruct(drawn, files, tmp_path_factory):
    path = tmp_path_factory.mktemp("contours") / "RS.dcm"
    image = pydicom.dcmread(min(files["dicom"].iterdir()))
    write_contours(path, drawn, image.SeriesInstanceUID)
    return path


def write_frames(path, segmentation):
    segments = [CodedSegment(s.name, s.mask, TERM, TERM, TERM, s.color, "") for s in segmentation.segments]
    digest = hashlib.sha256(b"").digest()
    series = NewSeries(study_of(None, digest, CREATED), digest, 1, "", "", "HEART", "1")
    write_segmentation_object(path, segments, segmentation.ijk_to_ras, series, "test")


def item(**elements):
    found = Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


def write_contours(path, segmentation, series=""):
    """The outlines of each segment in each slice, half-way between pixel centers."""
    data = new_file(path, RTStructureSetStorage)
    data.Modality, data.SeriesInstanceUID, data.StudyInstanceUID = "RTSTRUCT", "2.25.11", "2.25.12"
    referenced = item(RTReferencedSeriesSequence=[item(SeriesInstanceUID=series)])
    data.ReferencedFrameOfReferenceSequence = [item(RTReferencedStudySequence=[referenced])] if series else []
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, segment in enumerate(segmentation.segments, 1):
        data.StructureSetROISequence.append(item(ROINumber=number, ROIName=segment.name))
        contours = []
        for k, plane in enumerate(segment.mask):
            for line in contourpy.contour_generator(z=np.pad(plane, 1).astype(float)).lines(0.5):
                ij = np.asarray(line[:-1]) - 1
                ras = np.column_stack([ij, np.full(len(ij), k), np.ones(len(ij))]) @ segmentation.ijk_to_ras.T
                lps = ras[:, :3] * [-1, -1, 1]
                contours.append(
                    item(
                        ContourGeometricType="CLOSED_PLANAR",
                        NumberOfContourPoints=len(lps),
                        ContourData=[f"{value:.4f}" for value in lps.ravel()],
                    )
                )
        data.ROIContourSequence.append(item(ReferencedROINumber=number, ContourSequence=contours))
    data.save_as(path)


def stack(lge, regions):
    inputs = ReconstructInputs(scar=(regions,), myocardium=(regions,), lge=(lge,) if lge else ())
    return read_case(inputs, ReconstructParameters()).stacks[0]


def test_shares_are_those_of_the_segmentation_of_slicer(files, seg, rtstruct):
    expected = stack(files["lge"], files["segmentation"])
    assert expected.scar.array.any()
    for path in (seg, rtstruct):
        for lge in (files["lge"], files["dicom"]):
            found = stack(lge, path)
            np.testing.assert_array_equal(found.wall.array, expected.wall.array)
            np.testing.assert_array_equal(found.scar.array, expected.scar.array)
            np.testing.assert_allclose(found.wall.ijk_to_ras, expected.wall.ijk_to_ras, atol=1e-3)


def test_a_segmentation_needs_no_image(files, seg):
    expected, found = stack(None, files["segmentation"]), stack(None, seg)
    assert found.wall.array.sum() == expected.wall.array.sum()
    assert found.scar.array.sum() == expected.scar.array.sum()


def test_contours_find_their_images_beside_them(files, rtstruct, drawn, tmp_path):
    for path in (*files["dicom"].iterdir(), rtstruct):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    found = read_segmentation(tmp_path / "RS.dcm")
    assert found.names == drawn.names
    assert [s.mask.sum() for s in found.segments] == [s.mask.sum() for s in drawn.segments]
    with pytest.raises(InputError, match=r"The images that the contours of .* were drawn on are not known"):
        read_segmentation(rtstruct)


def test_contours_of_other_images_are_refused(rtstruct, files, drawn):
    lge = read_volume(files["lge"])
    moved = lge.ijk_to_ras.copy()
    moved[:3, 3] += 0.5 * moved[:3, 2]
    with pytest.raises(InputError, match="does not lie in a slice"):
        read_segmentation(rtstruct, type(lge)(lge.array, moved, "other", across=0))


def change(source, path, alter):
    data = pydicom.dcmread(source)
    alter(data)
    data.save_as(path)
    return path


def uneven(data):
    for frame in data.PerFrameFunctionalGroupsSequence[::3]:
        place = frame.PlanePositionSequence[0]
        place.ImagePositionPatient = [value + 0.3 for value in place.ImagePositionPatient]


def no_segment(data):
    data.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 77


def few_pixels(data):
    data.PixelData = data.PixelData[:10]


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (uneven, "its frames are"),
        (no_segment, "belongs to no segment"),
        (few_pixels, "fewer pixels"),
        (lambda data: delattr(data, "SegmentSequence"), "has no segment"),
        (lambda data: delattr(data, "PerFrameFunctionalGroupsSequence"), "does not describe each of its frames"),
        (lambda data: setattr(data, "NumberOfFrames", 2**30), "does not describe each of its frames"),
    ],
)
def test_segmentations_that_contradict_themselves_are_refused(alter, message, seg, tmp_path):
    with pytest.raises(InputError, match=message):
        read_segmentation(change(seg, tmp_path / "bad.dcm", alter))


def no_numbers(data):
    data.ROIContourSequence[0].ContourSequence[0].ContourData = ["1", "2", "3", "4"]


def far_away(data):
    contour = data.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = [1e300] * len(contour.ContourData)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (no_numbers, "a contour without coordinates"),
        (far_away, "does not lie in a slice"),
        (lambda data: delattr(data, "ROIContourSequence"), "has no closed contours"),
        (lambda data: delattr(data, "StructureSetROISequence"), "does not name its region"),
    ],
)
def test_structure_sets_that_contradict_themselves_are_refused(alter, message, rtstruct, files, tmp_path):
    with pytest.raises(InputError, match=message):
        read_segmentation(change(rtstruct, tmp_path / "bad.dcm", alter), read_volume(files["lge"]))


def test_files_that_are_cut_off_are_refused(seg, rtstruct, files, tmp_path):
    for source in (seg, rtstruct):
        content = source.read_bytes()
        for share in (0.3, 0.6, 0.9):
            (tmp_path / "cut.dcm").write_bytes(content[: int(share * len(content))])
            with pytest.raises(InputError):
                read_segmentation(tmp_path / "cut.dcm", read_volume(files["lge"]))


def test_fractions_are_inside_above_one_half(seg, tmp_path, drawn):
    def to_fractions(data):
        size = data.Rows * data.Columns * data.NumberOfFrames
        bits = np.unpackbits(np.frombuffer(data.PixelData, np.uint8), count=size, bitorder="little")
        values = np.where(bits, 200, 60).astype(np.uint8)
        data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
        data.SegmentationType, data.SegmentationFractionalType, data.MaximumFractionalValue = (
            "FRACTIONAL",
            "PROBABILITY",
            255,
        )
        data.PixelData = values.tobytes() + bytes(size % 2)

    found = read_segmentation(change(seg, tmp_path / "fractions.dcm", to_fractions))
    assert [s.mask.sum() for s in found.segments] == [s.mask.sum() for s in drawn.segments]
    assert [doubt.code for doubt in found.doubts] == ["mask-probability"]
