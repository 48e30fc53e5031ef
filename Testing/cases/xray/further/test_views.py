"""Words for views and parts of the body (kind 13)."""

from __future__ import annotations

import pytest

from ..files import write_film
from .files import CHEST, code_item, is_upright, read, refused

FRONTAL = {
    "P.A.": ({"ViewPosition": "P.A."}, "PA"),
    "lower case": ({"ViewPosition": "pa"}, "PA"),
    "PA CHEST": ({"ViewPosition": "PA CHEST"}, "PA"),
    "code PA": ({"ViewPosition": "", "ViewCodeSequence": [code_item("R-10214", "SRT", "postero-anterior")]}, "PA"),
    "code AP": ({"ViewPosition": None, "ViewCodeSequence": [code_item("399348003", "SCT", "antero-posterior")]}, "AP"),
    "description AP": ({"ViewPosition": None, "SeriesDescription": "Thorax AP liegend"}, "AP"),
    "two views in the study": (
        {"StudyDescription": "XR CHEST PA AND LATERAL", "SeriesDescription": "PA", "BodyPartExamined": "CHEST"},
        "PA",
    ),
    "thorax": ({"BodyPartExamined": "THORAX"}, "PA"),
    "lung": ({"BodyPartExamined": "LUNG"}, "PA"),
    "region code": ({"AnatomicRegionSequence": [code_item("51185008", "SCT", "Chest")]}, "PA"),
    "bilateral": ({"SeriesDescription": "Chest bilateral PA", "ImageLaterality": "B"}, "PA"),
}

OTHERS = {
    "left lateral": ({"ViewPosition": "LL"}, "film-not-frontal"),
    "right anterior oblique": ({"ViewPosition": "RAO"}, "film-not-frontal"),
    "lateral, left": ({"ViewPosition": "LATERAL LEFT"}, "film-not-frontal"),
    "code": (
        {"ViewPosition": None, "ViewCodeSequence": [code_item("399067008", "SCT", "lateral projection")]},
        "film-not-frontal",
    ),
    "German": ({"ViewPosition": None, "SeriesDescription": "Thorax seitlich"}, "film-not-frontal"),
    "French": ({"ViewPosition": None, "SeriesDescription": "THORAX PROFIL"}, "film-not-frontal"),
    "LAT": (
        {"ViewPosition": None, "StudyDescription": "XR CHEST 2 VIEWS", "SeriesDescription": "LAT"},
        "film-not-frontal",
    ),
    "protocol": ({"ViewPosition": None, "AcquisitionDeviceProcessingDescription": "CHEST LATERAL"}, "film-not-frontal"),
    "hand": ({"BodyPartExamined": "HAND"}, "film-body-part"),
    "skull": ({"BodyPartExamined": "SKULL"}, "film-body-part"),
    "region": ({"AnatomicRegionSequence": [code_item("T-D8700", "SRT", "Hand")]}, "film-body-part"),
    "description": ({"SeriesDescription": "Knee PA", "StudyDescription": "XR KNEE LEFT"}, "film-body-part"),
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize("kind", FRONTAL)
def test_words_for_frontal_views_of_the_chest_pass(kind, tmp_path):
    elements, view = FRONTAL[kind]
    film, codes = read(tmp_path, write_film(tmp_path / "x.dcm", CHEST, **elements))
    assert film.view == view
    assert is_upright(film.image)
    assert codes <= {"film-laterality"}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_views_and_parts_are_refused_and_accepted(kind, tmp_path, capsys):
    elements, code = OTHERS[kind]
    path = write_film(tmp_path / "x.dcm", CHEST, **elements)
    assert code in refused(tmp_path, path, capsys).partition("--accept ")[2]
    assert code in read(tmp_path, path, code)[1]
