"""Films as hospitals and tools write them: orientation, polarity, padding, view and body part, names and formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset
from unit.ctpa.tiny_bundle import make_bundle

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.film import standardized_xray
from deeprecon.ctpa.observe.film_checks import film_doubts
from deeprecon.ctpa.parameters import SynthesizeParameters, XrayView
from deeprecon.data.doubts import CODES, DoubtError
from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import Radiograph, read_radiograph
from deeprecon.jobs.job import Job
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.worker import run_job

from .files import Pixels, chest, without_preamble, write_film

CHEST = chest()
GRAY = (CHEST >> 4).astype(np.uint8)
FILM = "x.dcm"


def upright(image: Pixels) -> None:
    """Check that an image is the chest as it is viewed, absorbing bright."""
    assert image.shape == CHEST.shape
    assert np.corrcoef(image.ravel(), CHEST.ravel())[0, 1] > 0.99


def codes(radiograph: Radiograph, assumed: bool, **parameters: Any) -> list[str]:
    """Codes of assumptions or contradictions."""
    found = film_doubts(radiograph, SynthesizeParameters(**parameters))
    return [doubt.code for doubt in found if doubt.assumed == assumed]


def consider(folder: Path, path: Path, *accepted: str, **parameters: Any) -> list[str]:
    """Codes with which a run continues.

    Raises:
        DoubtError: contradictions that are not accepted.
    """
    run = Run(folder, folder, "cpu", 1, "fp32", 0, SilentReporter(), accepted=accepted)
    run.consider(film_doubts(read_radiograph(path), SynthesizeParameters(**parameters)))
    return [doubt.code for doubt in run.doubts]


ORIENTATIONS: list[tuple[list[str], Callable[[Pixels], Pixels]]] = [
    (["L", "F"], lambda x: x),
    (["R", "F"], lambda x: x[:, ::-1]),
    (["L", "H"], lambda x: x[::-1]),
    (["R", "H"], lambda x: x[::-1, ::-1]),
    (["F", "R"], lambda x: np.rot90(x)),
    (["H", "L"], lambda x: np.rot90(x, -1)),
    (["F", "L"], lambda x: x.T),
    (["H", "R"], lambda x: x[::-1, ::-1].T),
    (["LH", "FL"], lambda x: x),
]


@pytest.mark.parametrize(("directions", "store"), ORIENTATIONS, ids=["".join(entry) for entry, _ in ORIENTATIONS])
def test_a_film_is_turned_as_patient_orientation_states(
    directions: list[str], store: Callable[[Pixels], Pixels], tmp_path: Path
) -> None:
    spacing = [2.0, 2.2] if store(CHEST).shape == CHEST.shape else [2.2, 2.0]
    path = write_film(tmp_path / FILM, store(CHEST), PatientOrientation=directions, ImagerPixelSpacing=spacing)
    found = read_radiograph(path)
    upright(found.image)
    assert found.spacing == (2.2, 2.0)
    assert codes(found, assumed=False) == []
    assert codes(found, assumed=True) == (
        [] if directions[0].startswith("L") and directions[1][0] == "F" else ["film-turned"]
    )


def test_a_lateral_orientation_contradicts_pa(tmp_path: Path) -> None:
    path = write_film(tmp_path / FILM, CHEST, PatientOrientation=["P", "F"])
    with pytest.raises(DoubtError, match=r"PatientOrientation P.F, but a frontal one by its ViewPosition PA"):
        consider(tmp_path, path)
    assert consider(tmp_path, path, "film-not-frontal") == ["film-not-frontal"]


@pytest.mark.parametrize("directions", ["L", ["L", "R"], ["H", "F"], ["LE", "D"]])
def test_an_orientation_without_sense_is_a_contradiction(directions: Any, tmp_path: Path) -> None:
    path = write_film(tmp_path / FILM, CHEST, PatientOrientation=directions)
    with pytest.raises(DoubtError, match="which way is up"):
        consider(tmp_path, path)
    assert consider(tmp_path, path, "film-orientation") == ["film-orientation"]


TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1], 5: lambda x: x.T,
    6: lambda x: np.rot90(x), 7: lambda x: x[::-1, ::-1].T, 8: lambda x: np.rot90(x, -1),
}  # fmt: skip
"""How a picture is stored by its EXIF orientation."""


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
@pytest.mark.parametrize("code", TURNS)
def test_a_picture_is_turned_as_exif_states(code: int, ending: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = code
    Image.fromarray(np.ascontiguousarray(TURNS[code](GRAY))).save(tmp_path / f"x.{ending}", exif=exif)
    found = read_radiograph(tmp_path / f"x.{ending}")
    upright(found.image)
    turned = [name for name in codes(found, assumed=True) if name not in ("film-polarity", "film-spacing")]
    assert turned == ["film-orientation" if code == 1 else "film-turned"]


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_a_picture_that_is_cut_off_is_refused(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    Image.fromarray(GRAY).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cut off or damaged"):
        read_radiograph(path)


def table(entries: Pixels, first: int = 0, bits: int = 12, kind: str = "US") -> Dataset:
    """An item of a LUT sequence."""
    item = Dataset()
    item.add_new(0x00283002, kind, [len(entries), first, bits])
    item.add_new(0x00283006, "OW", entries.astype("<u2").tobytes())
    item.ModalityLUTType = "OD"
    return item


FALLING = np.arange(4095, -1, -1)
SIGNED = CHEST.astype(np.int16) - 2048
CLEAR: dict[str, tuple[Pixels, dict[str, Any]]] = {
    "plain": (CHEST, {}),
    "monochrome1": (4095 - CHEST, {"PhotometricInterpretation": "MONOCHROME1"}),
    "monochrome1 inverse": (
        4095 - CHEST, {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    ),
    "monochrome1 signed": (-1 - SIGNED, {"PhotometricInterpretation": "MONOCHROME1"}),
    "monochrome1 signed window": (
        -1 - SIGNED, {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 0, "WindowWidth": 4096}
    ),
    "modality table": (
        4095 - CHEST, {"ModalityLUTSequence": [table(FALLING)], "WindowCenter": 2048, "WindowWidth": 4096}
    ),
    "modality table of signed pixels": (-1 - SIGNED, {"ModalityLUTSequence": [table(FALLING, -2048, kind="SS")]}),
    "negative slope": (4095 - CHEST, {"RescaleSlope": -1, "RescaleIntercept": 4095}),
    "voi table": (4095 - CHEST, {"VOILUTSequence": [table(FALLING)]}),
    "sign that agrees": (CHEST, {"PixelIntensityRelationshipSign": -1, "PresentationLUTShape": "IDENTITY"}),
    "sign behind a table": (
        4095 - CHEST, {"PixelIntensityRelationshipSign": 1, "ModalityLUTSequence": [table(FALLING)]}
    ),
    "raw that agrees": (
        4095 - CHEST, {"PhotometricInterpretation": "MONOCHROME1", "PresentationIntentType": "FOR PROCESSING",
                       "PixelIntensityRelationshipSign": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("kind", CLEAR)
def test_what_absorbs_more_is_brighter(kind: str, implicit: bool, tmp_path: Path) -> None:
    pixels, elements = CLEAR[kind]
    found = read_radiograph(write_film(tmp_path / FILM, pixels, implicit=implicit, **elements))
    upright(found.image)
    assert found.doubts == ()


@pytest.mark.parametrize("implicit", [False, True])
def test_the_sign_decides_for_images_that_are_meant_for_processing(implicit: bool, tmp_path: Path) -> None:
    elements = {"PresentationIntentType": "FOR PROCESSING", "PixelIntensityRelationshipSign": 1}
    path = write_film(tmp_path / FILM, 4095 - CHEST, implicit=implicit, **elements)
    upright(read_radiograph(path).image)
    assert consider(tmp_path, path) == ["film-polarity"]  # an assumption


POLARITY: dict[str, tuple[Pixels, dict[str, Any]]] = {
    "inverse": (4095 - CHEST, {"PresentationLUTShape": "INVERSE"}),
    "identity": (CHEST, {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}),
    "sign": (CHEST, {"PixelIntensityRelationshipSign": 1}),
    "sign behind a table": (
        4095 - CHEST,
        {"PixelIntensityRelationshipSign": -1, "ModalityLUTSequence": [table(FALLING)]},
    ),
}


@pytest.mark.parametrize("kind", POLARITY)
def test_signs_of_polarity_that_contradict_each_other(kind: str, tmp_path: Path) -> None:
    pixels, elements = POLARITY[kind]
    path = write_film(tmp_path / FILM, pixels, **elements)
    with pytest.raises(DoubtError, match="contradicts itself about dark and bright"):
        consider(tmp_path, path)
    assert consider(tmp_path, path, "film-polarity") == ["film-polarity"]
    upright(read_radiograph(path).image)


def padded(value: int, dtype: Any, image: Pixels = CHEST) -> Pixels:
    result = np.full((image.shape[0], image.shape[1] + 60), value, dtype)
    result[:, 30:-30] = image
    return result


def tilted(value: int, dtype: Any, image: Pixels = CHEST) -> Pixels:
    """Padding in the corners, as where the collimator was turned."""
    rows, columns = np.indices(image.shape)
    result = image.astype(dtype)
    result[rows + columns < 40] = value
    result[rows + columns > sum(image.shape) - 40] = value
    return result


PADDING: dict[str, tuple[Pixels, dict[str, Any]]] = {
    "65535": (padded(65535, np.uint16), {"bits": 16, "PixelPaddingValue": 65535}),
    "4095": (padded(4095, np.uint16), {"PixelPaddingValue": 4095}),
    "-2000": (padded(-2000, np.int16), {"bits": 16, "PixelPaddingValue": -2000}),
    "monochrome1": (
        padded(0, np.uint16, 4095 - CHEST), {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"}
    ),
    "range": (padded(5000, np.uint16), {"bits": 16, "PixelPaddingValue": 4990, "PixelPaddingRangeLimit": 5010}),
    "corners": (tilted(60000, np.uint16), {"bits": 16, "PixelPaddingValue": 60000}),
}  # fmt: skip


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("kind", PADDING)
def test_padding_does_not_count(kind: str, implicit: bool, tmp_path: Path) -> None:
    grid, parameters = Grid((76, 64, 64)), SynthesizeParameters()
    clean, _ = standardized_xray(read_radiograph(write_film(tmp_path / "clean.dcm", CHEST)), parameters, grid)
    pixels, elements = PADDING[kind]
    path = write_film(tmp_path / FILM, pixels, implicit=implicit, **elements)
    found, _ = standardized_xray(read_radiograph(path), parameters, grid)
    if kind == "corners":  # where the body is a little smaller, which its quartiles show
        gain, offset = np.polyfit(clean.image[found.covered], found.image[found.covered], 1)
        assert (gain, offset) == (pytest.approx(1, abs=0.1), pytest.approx(0, abs=0.1))
        assert 0.9 < found.covered.sum() / clean.covered.sum() < 1
    else:
        np.testing.assert_allclose(found.image[found.covered], clean.image[found.covered], atol=0.02)
        np.testing.assert_array_equal(found.covered, clean.covered)
    assert consider(tmp_path, path) == []


def test_saturated_pixels_within_the_chest_are_no_padding(tmp_path: Path) -> None:
    image = CHEST.copy()
    image[100:104, 60:64] = 4095
    found = read_radiograph(write_film(tmp_path / FILM, image, PixelPaddingValue=4095))
    assert found.known is None
    upright(found.image)


@pytest.mark.parametrize(
    ("words", "view"),
    [
        ("POSTEROANTERIOR", "PA"), ("ANTEROPOSTERIOR", "AP"), ("POSTERO_ANTERIOR", "PA"), ("AP SUPINE", "AP"),
        ("PA_ERECT", "PA"), ("AP_HORIZONTAL", "AP"), ("FRONTAL", ""), ("P.A.", "PA"), ("ap", "AP"), ("", ""),
    ],
)  # fmt: skip
def test_words_for_a_view_are_understood(words: str, view: str, tmp_path: Path) -> None:
    path = write_film(tmp_path / FILM, CHEST, ViewPosition=words)
    assert read_radiograph(path).view == view
    assert consider(tmp_path, path) == []


@pytest.mark.parametrize(
    "elements", [{"ViewPosition": "XYZ"}, {"SeriesDescription": "Thorax a.p."}, {"ProtocolName": "CHEST AP PORTABLE"}]
)
def test_a_stated_view_settles_what_a_file_says_about_pa_and_ap(elements: dict[str, str], tmp_path: Path) -> None:
    path = write_film(tmp_path / FILM, CHEST, **elements)
    with pytest.raises(DoubtError) as refused:
        consider(tmp_path, path)
    assert refused.value.codes == ("film-view",)
    assert "--view" in str(refused.value)
    assert consider(tmp_path, path, "film-view") == ["film-view"]
    assert consider(tmp_path, path, view=XrayView.PA) == []


@pytest.mark.parametrize(
    "elements",
    [
        {"ViewPosition": "", "SeriesDescription": "W Chest Lat"},
        {"ViewPosition": None, "ProtocolName": "Thorax lateral"},
        {"SeriesDescription": "Thorax seitlich"}, {"ViewPosition": "LATERAL"}, {"ViewPosition": "RAO"},
    ],
)  # fmt: skip
def test_words_for_other_views_contradict(elements: dict[str, Any], tmp_path: Path) -> None:
    path = write_film(tmp_path / FILM, CHEST, **elements)
    for parameters in ({}, {"view": XrayView.PA}):
        with pytest.raises(DoubtError, match="not a frontal view"):
            consider(tmp_path, path, **parameters)
    assert consider(tmp_path, path, "film-not-frontal") == ["film-not-frontal"]


@pytest.mark.parametrize("series", ["Chest PA and lateral", "bilateral", "PA", "Thorax pa Rastertechnik"])
def test_words_that_name_no_other_view_say_nothing(series: str, tmp_path: Path) -> None:
    path = write_film(
        tmp_path / FILM, CHEST, SeriesDescription=series, StudyDescription="Chest 2 views, PA and lateral"
    )
    assert consider(tmp_path, path) == []


REGION = Dataset()
REGION.CodeValue, REGION.CodingSchemeDesignator, REGION.CodeMeaning = ("56459004", "SCT", "Foot")


@pytest.mark.parametrize(
    "elements",
    [
        {"BodyPartExamined": "FOOT"}, {"BodyPartExamined": "TIBIA FIBULA"},
        {"SeriesDescription": "Tibia AP", "ViewPosition": "AP"},
        {"StudyDescription": "XR Left ankle"}, {"AnatomicRegionSequence": [REGION]},
        {"BodyPartExamined": "UPR_EXTREMITY"},
        {"BodyPartExamined": "CHEST", "SeriesDescription": "Hand"}, {"BodyPartExamined": "LSPINE"},
    ],
)  # fmt: skip
def test_another_part_of_the_body_contradicts(elements: dict[str, Any], tmp_path: Path) -> None:
    path = write_film(tmp_path / FILM, CHEST, **elements)
    with pytest.raises(DoubtError, match="another part of the body"):
        consider(tmp_path, path)
    assert consider(tmp_path, path, "film-body-part") == ["film-body-part"]


@pytest.mark.parametrize(
    "elements",
    [
        {"BodyPartExamined": "CHEST"}, {"BodyPartExamined": "THORAX_PA"}, {"BodyPartExamined": "Chest and abdomen"},
        {"SeriesDescription": "Chest", "StudyDescription": "Foot and chest"}, {"BodyPartExamined": "UNKNOWN"},
        {"StudyDescription": "Radiographie du thorax"}, {"BodyPartExamined": "Lunge"},
    ],
)  # fmt: skip
def test_a_chest_is_a_chest_in_many_words(elements: dict[str, Any], tmp_path: Path) -> None:
    assert consider(tmp_path, write_film(tmp_path / FILM, CHEST, **elements)) == []


def test_a_laterality_is_stated_with_the_result(tmp_path: Path) -> None:
    assert consider(tmp_path, write_film(tmp_path / FILM, CHEST, ImageLaterality="R")) == ["film-laterality"]
    assert consider(tmp_path, write_film(tmp_path / FILM, CHEST, ImageLaterality="U")) == []


@pytest.mark.parametrize(("spacing", "doubted"), [(1.0, True), (1.03, True), (2.1, False), (1.5, False), (4.0, True)])
def test_the_size_of_the_chest_is_compared_with_the_stated_pixel_spacing(
    spacing: float, doubted: bool, tmp_path: Path
) -> None:
    path = write_film(tmp_path / FILM, CHEST, ImagerPixelSpacing=None, PixelSpacing=[spacing, spacing])
    if not doubted:
        assert consider(tmp_path, path) == []
        return
    with pytest.raises(DoubtError, match=f"the chest is {167.5 * spacing:.0f} mm wide|the chest is"):
        consider(tmp_path, path)
    assert consider(tmp_path, path, "film-size") == ["film-size"]
    assert consider(tmp_path, path, pixel_spacing=2.1) == []


def test_gray_with_alpha_and_files_with_a_wrong_ending_are_read(tmp_path: Path) -> None:
    picture = Image.fromarray(GRAY)
    picture.convert("LA").save(tmp_path / "alpha.png")
    picture.convert("RGBA").save(tmp_path / "rgba.png")
    picture.convert("P").save(tmp_path / "palette.png")
    picture.save(tmp_path / "jpeg.png", format="JPEG")
    picture.save(tmp_path / "png.jpg", format="PNG")
    picture.save(tmp_path / "film.tif")
    Image.fromarray(CHEST).save(tmp_path / "film16.tiff", compression="tiff_lzw")
    write_film(tmp_path / "dicom.png", CHEST)
    write_film(tmp_path / "dicom.nii.gz", CHEST)
    for path in sorted(tmp_path.iterdir()):
        upright(read_radiograph(path).image)


def test_transparent_pixels_are_padding(tmp_path: Path) -> None:
    image = np.dstack([padded(255, np.uint8, GRAY), padded(0, np.uint8, np.full_like(GRAY, 255))])
    Image.fromarray(image, "LA").save(tmp_path / "x.png")
    found = read_radiograph(tmp_path / "x.png")
    assert found.known is not None
    assert (found.known.sum(), found.known[:, 30:-30].all()) == (GRAY.size, True)
    upright(found.image[:, 30:-30])


@pytest.mark.parametrize("meta", [True, False])
@pytest.mark.parametrize("implicit", [False, True])
def test_dicom_without_preamble_is_read(meta: bool, implicit: bool, tmp_path: Path) -> None:
    path = without_preamble(write_film(tmp_path / "x", CHEST, implicit=implicit, PatientOrientation=["L", "F"]), meta)
    found = read_radiograph(path)
    upright(found.image)
    assert found.view == "PA"


@pytest.mark.parametrize("ending", ["nrrd", "nhdr", "mha", "mhd", "nii", "nii.gz"])
def test_2d_images_are_read_as_they_are_stored(ending: str, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(CHEST)
    image.SetSpacing((2.2, 2.0))
    sitk.WriteImage(image, str(tmp_path / f"x.{ending}"))
    found = read_radiograph(tmp_path / f"x.{ending}")
    upright(found.image)
    assert found.spacing == pytest.approx((2.2, 2.0))
    assert "taken as it is stored" in found.notes[0]


def test_what_is_no_image_is_refused_for_the_true_reason(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html>not found</html>" * 20)
    with pytest.raises(InputError, match="holds no PNG, JPEG, TIFF or DICOM image, whatever its name says"):
        read_radiograph(tmp_path / "page.png")
    (tmp_path / "notes.txt").write_text("text " * 100)
    with pytest.raises(InputError, match="Give DICOM, PNG, JPEG, TIFF"):
        read_radiograph(tmp_path / "notes.txt")
    Image.fromarray(np.dstack([GRAY, GRAY // 2, GRAY])).save(tmp_path / "color.jpg")
    with pytest.raises(InputError, match="color image"):
        read_radiograph(tmp_path / "color.jpg")
    Image.fromarray(GRAY).save(tmp_path / "pages.tif", save_all=True, append_images=[Image.fromarray(GRAY)])
    with pytest.raises(InputError, match="holds 2 images"):
        read_radiograph(tmp_path / "pages.tif")


def test_the_verb_refuses_and_accepts_by_the_code(tmp_path: Path) -> None:
    path = write_film(tmp_path / FILM, CHEST, BodyPartExamined="FOOT", PatientOrientation=["R", "H"])
    inputs = {"xray": str(path), "bundle": str(make_bundle(tmp_path / "tiny"))}
    for name, accept in (("refused", []), ("accepted", ["film-body-part"])):
        settings = {"samples": 1, "steps": 1}
        job = Job("ctpa", "synthesize", inputs, settings, "..", "cpu", 1, "fp32", 0, accept=accept)
        job.save(tmp_path / name / ".job")
        assert run_job(tmp_path / name / ".job") == (0 if accept else 2)
    result = json.loads((tmp_path / "accepted" / "result.json").read_text(encoding="utf-8"))
    assert [(entry["code"], entry["assumed"]) for entry in result["doubts"]] == [
        ("film-body-part", False), ("film-turned", True)
    ]  # fmt: skip
    assert not (tmp_path / "refused" / "result.json").exists()


def test_every_code_of_films_is_listed() -> None:
    assert {code for code in CODES if code.startswith("film-")} == {
        "film-body-part", "film-laterality", "film-not-frontal", "film-orientation", "film-polarity", "film-size",
        "film-spacing", "film-turned", "film-view",
    }  # fmt: skip
