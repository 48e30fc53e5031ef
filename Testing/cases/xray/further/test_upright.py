"""Which way is up in DICOM (kind 08) and in pictures (09)."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ..files import write_film
from .files import CHEST, GRAY, code_item, is_upright, read, refused

# 08: patient orientation


@pytest.mark.parametrize(
    ("store", "elements", "codes"),
    [
        (
            lambda x: np.rot90(4095 - x, -1),
            {"PatientOrientation": ["H", "L"], "PhotometricInterpretation": "MONOCHROME1"},
            {"film-turned"},
        ),
        (lambda x: x[:, ::-1], {"PatientOrientation": ["R", "F"], "ViewPosition": "AP"}, {"film-turned"}),
        (
            lambda x: x,
            {"PatientOrientation": ["L", "F"], "FieldOfViewHorizontalFlip": "YES", "FieldOfViewRotation": 90},
            set(),
        ),
        (lambda x: x[::-1, ::-1], {"PatientOrientation": ["RF", "HR"]}, {"film-turned"}),
        (lambda x: x, {"PatientOrientation": ["LF", "FR"]}, set()),
    ],
    ids=["MONOCHROME1 turned", "AP mirrored", "flipped in the detector", "compound turned", "compound"],
)
def test_a_film_lies_as_its_orientation_states(store, elements, codes, tmp_path):
    film, found = read(tmp_path, write_film(tmp_path / "x.dcm", store(CHEST), **elements))
    assert is_upright(film.image)
    assert found == codes


@pytest.mark.parametrize(
    "directions",
    [["L", "L"], ["L", "R"], ["A", "F"], ["P", "H"], ["LP", "F"], ["AL", "F"], ["F", "P"]],
)
def test_an_orientation_that_is_none_of_a_frontal_film_is_refused(directions, tmp_path, capsys):
    path = write_film(tmp_path / "x.dcm", CHEST, PatientOrientation=directions)
    assert "--accept film-" in refused(tmp_path, path, capsys)


def test_a_lateral_view_by_its_code_is_refused(tmp_path, capsys):
    path = write_film(
        tmp_path / "x.dcm",
        CHEST,
        ViewPosition="",
        PatientOrientation=["A", "F"],
        ViewCodeSequence=[code_item("R-10236", "SRT", "left lateral")],
    )
    assert "--accept film-not-frontal" in refused(tmp_path, path, capsys)


# 09: pictures


def exif(code):
    entries = Image.Exif()
    entries[0x0112] = code
    return entries


@pytest.mark.parametrize(
    ("name", "code", "store"),
    [
        ("x.png", 6, np.rot90),
        ("x.jpg", 5, np.transpose),
        ("x.jpg", 2, np.fliplr),
        ("x.jpg", 7, lambda x: np.rot90(x, 2).T),
        ("x.tif", 8, lambda x: np.rot90(x, -1)),
        ("x.tif", 4, np.flipud),
        ("x.jpg", 0, np.asarray),
        ("x.jpg", 9, np.asarray),
    ],
)
def test_a_picture_lies_as_its_exif_states(name, code, store, tmp_path):
    Image.fromarray(np.ascontiguousarray(store(GRAY))).save(tmp_path / name, exif=exif(code))
    film, _ = read(tmp_path, tmp_path / name)
    assert is_upright(film.image)


def test_sixteen_bits_are_turned_too(tmp_path):
    Image.fromarray(np.ascontiguousarray(np.rot90(CHEST * 16))).save(tmp_path / "x.png", exif=exif(6))
    film, _ = read(tmp_path, tmp_path / "x.png")
    assert is_upright(film.image)
    assert len(np.unique(film.image)) > 1000


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.bmp"])
def test_a_picture_that_is_cut_off_is_refused(name, tmp_path, capsys):
    Image.fromarray(GRAY).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    refused(tmp_path, tmp_path / name, capsys)
