"""Radiographs: DICOM files written here with pydicom, pictures, volumes of one slice."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume

from .dicom_files import RAMP, write_xray


def test_a_dicom_file_gives_image_spacing_and_view(tmp_path):
    found = read_radiograph(write_xray(tmp_path / "x.dcm"))
    np.testing.assert_allclose(found.image, RAMP / RAMP.max(), atol=1e-6)
    assert found.spacing == (0.14, 0.15)  # along columns, along rows
    assert (found.view, found.notes) == ("PA", ())


@pytest.mark.parametrize(("stated", "distance"), [(1500.0, 1500.0), (0, None), (1.8, None), (None, None)])
def test_the_distance_of_the_tube_is_read_where_it_can_be_one(stated, distance, tmp_path):
    extra = {} if stated is None else {"DistanceSourceToDetector": stated}
    assert read_radiograph(write_xray(tmp_path / "x.dcm", **extra)).source_distance == distance


def test_monochrome1_is_inverted(tmp_path):
    found = read_radiograph(write_xray(tmp_path / "x.dcm", PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(found.image, 1 - RAMP / RAMP.max(), atol=1e-6)


def test_the_window_clips(tmp_path):
    found = read_radiograph(write_xray(tmp_path / "x.dcm", WindowCenter=1000.5, WindowWidth=201))
    np.testing.assert_allclose(found.image, np.clip((RAMP.astype(float) - 900) / 200, 0, 1), atol=1e-6)


def test_a_window_of_monochrome1_is_meant_for_the_values_of_the_file(tmp_path):
    extra = {
        "PhotometricInterpretation": "MONOCHROME1",
        "WindowCenter": 1000.5,
        "WindowWidth": 201,
    }
    found = read_radiograph(write_xray(tmp_path / "x.dcm", **extra))
    np.testing.assert_allclose(found.image, 1 - np.clip((RAMP.astype(float) - 900) / 200, 0, 1), atol=1e-6)


@pytest.mark.parametrize("implicit", [False, True])
def test_the_voi_table_comes_before_the_window(implicit, tmp_path):
    table = Dataset()
    values = (np.arange(4096) ** 2 // 300).astype("<u2")
    table.LUTDescriptor, table.LUTData = [4096, 100, 16], values.tobytes()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    other = Dataset()  # a sequence before it that must be passed over
    other.CodeValue = "1"
    extra = {
        "VOILUTSequence": Sequence([table]),
        "ViewCodeSequence": Sequence([other]),
        "WindowCenter": 5.0,
    }
    found = read_radiograph(write_xray(tmp_path / "x.dcm", implicit=implicit, WindowWidth=2.0, **extra))
    expected = values[np.clip(RAMP.astype(int) - 100, 0, 4095)].astype(float)
    np.testing.assert_allclose(found.image, expected / expected.max(), atol=1e-6)


@pytest.mark.parametrize("spacing", [[0, 0], None])
def test_spacing_of_zero_or_none_is_said_to_be_unknown(spacing, tmp_path):
    found = read_radiograph(write_xray(tmp_path / "x.dcm", ImagerPixelSpacing=None, PixelSpacing=spacing))
    assert found.spacing is None
    assert any("size of its pixels" in note for note in found.notes)


def not_frontal(path):
    """The one contradiction of a file, which is that it is not frontal."""
    (found,) = read_radiograph(path).doubts
    assert (found.code, found.assumed, found.where) == ("film-not-frontal", False, str(path))
    return found.text


@pytest.mark.parametrize("view", ["LL", "RL", "LLO"])
def test_a_lateral_view_contradicts(view, tmp_path):
    assert f"ViewPosition {view}." in not_frontal(write_xray(tmp_path / "x.dcm", ViewPosition=view))


def view_code(value, scheme="SCT", meaning="a view", **extra):
    """A View Code Sequence and no View Position; with a modifier, which is no view."""
    modifier, code = Dataset(), Dataset()
    modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = (
        "399198007",
        "SCT",
        "of a modifier",
    )
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = (
        value,
        scheme,
        meaning,
    )
    code.ViewModifierCodeSequence = Sequence([modifier])
    return {"ViewPosition": None, "ViewCodeSequence": Sequence([code]), **extra}


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    ("value", "scheme", "view"),
    [
        ("399348003", "SCT", "AP"), ("R-10206", "SRT", "AP"), ("272479007", "SCT", "PA"), ("R-40888", "SRT", "PA"),
        ("R-10214", "SNM3", "PA"), ("399033003", "SCT", ""), ("399348003", "99MINE", ""),
    ],
)  # fmt: skip
def test_the_view_is_told_by_its_code_where_there_is_no_position(value, scheme, view, implicit, tmp_path):
    found = read_radiograph(write_xray(tmp_path / "x.dcm", implicit=implicit, **view_code(value, scheme)))
    assert found.view == view
    assert len(found.notes) == (not view)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ("399173006", "SCT"),
        ("399198007", "SCT"),
        ("399067008", "SCT"),
        ("R-10236", "SRT"),
        ("R-10232", "SNM3"),
    ],
)
def test_a_view_whose_code_is_lateral_contradicts(value, scheme, undefined, tmp_path):
    extra = view_code(value, scheme, "left lateral", PatientOrientation=["L", "F"])
    extra["ViewCodeSequence"].is_undefined_length = undefined
    assert f"code {value} left lateral." in not_frontal(write_xray(tmp_path / "x.dcm", **extra))


@pytest.mark.parametrize("directions", [["A", "F"], ["P", "F"], ["F", "AL"], ["LA", "F"]])
def test_a_view_whose_rows_or_columns_run_from_front_to_back_contradicts(directions, tmp_path):
    path = write_xray(tmp_path / "x.dcm", ViewPosition=None, PatientOrientation=directions)
    assert "PatientOrientation " + "\\".join(directions) in not_frontal(path)


def test_the_position_decides_before_the_code_and_other_views_contradict_both(tmp_path):
    position = write_xray(
        tmp_path / "a.dcm", **view_code("399173006", PatientOrientation=["A", "F"], ViewPosition="AP")
    )
    assert read_radiograph(position).view == "AP"
    assert "but a frontal one by its ViewPosition AP" in not_frontal(position)
    code = write_xray(tmp_path / "b.dcm", **view_code("272479007", PatientOrientation=["A", "F"]))
    assert read_radiograph(code).view == "PA"
    assert "but a frontal one by its view code 272479007" in not_frontal(code)
    orientation = {"ViewPosition": None, "PatientOrientation": ["L", "FA"]}
    found = read_radiograph(write_xray(tmp_path / "c.dcm", **orientation))
    assert (found.view, found.doubts) == ("", ())


@pytest.mark.parametrize("modality", ["CT", "MR", "SC"])
def test_a_ct_is_refused_as_an_xray(modality, tmp_path):
    with pytest.raises(InputError, match=f"modality {modality}, not a radiograph"):
        read_radiograph(write_xray(tmp_path / "x.dcm", Modality=modality))


def test_a_volume_of_many_slices_is_refused(tmp_path):
    write_volume(tmp_path / "ct.nrrd", Volume(np.zeros((70, 80, 90), np.int16), np.eye(4)))
    with pytest.raises(InputError, match="90 x 80 x 70 voxels, not an X-ray"):
        read_radiograph(tmp_path / "ct.nrrd")


def test_an_image_without_contrast_and_a_cut_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="shows nothing"):
        read_radiograph(write_xray(tmp_path / "flat.dcm", np.full((80, 80), 7)))
    whole = write_xray(tmp_path / "x.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut off or damaged"):
        read_radiograph(tmp_path / "cut.dcm")
    with pytest.raises(InputError, match="no file"):
        read_radiograph(tmp_path / "none.dcm")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_png_keeps_its_bit_depth(kind, tmp_path):
    pixels = (RAMP.astype(float) / RAMP.max() * np.iinfo(kind).max).astype(kind)
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(tmp_path / "x.png"))
    found = read_radiograph(tmp_path / "x.png")
    np.testing.assert_allclose(found.image, pixels / pixels.max(), atol=1e-6)
    assert found.spacing is None


def test_a_color_picture_is_refused(tmp_path):
    colors = np.random.default_rng(0).integers(0, 255, (80, 80, 3)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(colors, isVector=True), str(tmp_path / "x.png"))
    with pytest.raises(InputError, match="color image"):
        read_radiograph(tmp_path / "x.png")


@pytest.mark.parametrize("flip", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
@pytest.mark.parametrize("swap", [False, True])
def test_a_coronal_slice_hangs_upright_however_it_is_stored(flip, swap, tmp_path):
    image = RAMP / RAMP.max()
    affine = np.eye(4)  # rows to the feet, columns to the patient's left
    stored = image[:: flip[0], :: flip[1]]
    down, left = np.array([0, 0, -0.5 * flip[0]]), np.array([-0.4 * flip[1], 0, 0])
    if swap:
        stored, down, left = stored.T, left, down
    affine[:3, :3] = np.stack([left, [0, 1, 0], down], axis=1)  # i, j, k
    write_volume(tmp_path / "x.nrrd", Volume(stored[:, None, :].astype(np.float32), affine))
    found = read_radiograph(tmp_path / "x.nrrd")
    np.testing.assert_allclose(found.image, image, atol=1e-6)
    assert found.spacing == pytest.approx((0.4, 0.5))
