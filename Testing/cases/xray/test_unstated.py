"""Films of children, and films that state neither which way is up, nor what is bright, nor the size of their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deeprecon.ctpa.observe.film_checks import film_doubts
from deeprecon.ctpa.parameters import SynthesizeParameters, Turn
from deeprecon.data.doubts import DoubtError
from deeprecon.data.radiograph import radiograph_from_volume, read_radiograph
from deeprecon.data.volume import Volume
from deeprecon.jobs.run import Run, SilentReporter

from .files import chest, write_film

CHEST = chest()
GRAY = (CHEST // 16).astype(np.uint8)
FILM = "film.dcm"


def consider(folder: Path, path: Path, *accepted: str, **parameters: Any) -> list[str]:
    """Codes with which a run continues."""
    run = Run(folder, folder, "cpu", 1, "fp32", 0, SilentReporter(), accepted=accepted)
    run.consider(film_doubts(read_radiograph(path), SynthesizeParameters(**parameters)))
    return [doubt.code for doubt in run.doubts]


@pytest.mark.parametrize(
    ("spacing", "elements", "parameters", "doubted"),
    [
        (0.62, {"PatientAge": "004D"}, {}, False),
        (0.75, {"PatientAge": "003Y"}, {}, False),
        (0.75, {"PatientBirthDate": "20200101", "StudyDate": "20230601"}, {}, False),
        (0.75, {}, {"patient_age": 3.0}, False),
        (0.75, {}, {}, True),
        (0.75, {"PatientAge": "040Y"}, {}, True),
        (2.1, {"PatientAge": "003Y"}, {}, True),
        (2.1, {"PatientAge": "040Y"}, {}, False),
    ],
)
def test_a_child_has_the_chest_of_a_child(
    spacing: float, elements: dict[str, str], parameters: dict[str, float], doubted: bool, tmp_path: Path
) -> None:
    path = write_film(tmp_path / FILM, CHEST, ImagerPixelSpacing=[spacing, spacing], **elements)
    if doubted:
        with pytest.raises(DoubtError, match="--patient-age"):
            consider(tmp_path, path, **parameters)
    else:
        assert consider(tmp_path, path, **parameters) == []


def test_what_a_picture_cannot_state_is_assumed_and_said(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "x.png")
    assert consider(tmp_path, tmp_path / "x.png") == ["film-orientation", "film-polarity", "film-spacing"]
    assert consider(tmp_path, tmp_path / "x.png", pixel_spacing=2.1) == ["film-orientation", "film-polarity"]
    loaded = Volume(GRAY[None].astype(np.int16), np.diag([-1.0, -1.0, 1.0, 1.0]), "x")  # as Slicer loads a picture
    film = radiograph_from_volume(loaded)
    assert film.spacing is None
    found = film_doubts(film, SynthesizeParameters())
    assert [(doubt.code, doubt.assumed) for doubt in found] == [
        ("film-orientation", True), ("film-polarity", True), ("film-spacing", True)
    ]  # fmt: skip
    coronal = Volume(GRAY[::-1, None].astype(np.int16), np.diag([-2.1, 1.0, 2.1, 1.0]), "x")
    assert film_doubts(radiograph_from_volume(coronal), SynthesizeParameters()) == ()


@pytest.mark.parametrize(
    ("elements", "code", "settings"),
    [
        ({"PatientOrientation": ["H", "F"]}, "film-orientation", [{"turn": Turn.HALF}, {"flip": True}]),
        ({"PresentationLUTShape": "INVERSE"}, "film-polarity", [{"invert": True}]),
    ],
)
def test_the_way_out_that_is_named_is_one(
    elements: dict[str, Any], code: str, settings: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = write_film(tmp_path / FILM, CHEST, **elements)
    with pytest.raises(DoubtError) as refused:
        consider(tmp_path, path)
    assert refused.value.codes == (code,)
    for given in settings:
        assert all(f"--{name}" in refused.value.hint for name in given)
        assert consider(tmp_path, path, **given) == []


def test_what_is_asked_for_is_not_assumed(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "x.png")
    assert consider(tmp_path, tmp_path / "x.png", flip=True, invert=True) == ["film-spacing"]
