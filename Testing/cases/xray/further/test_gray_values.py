"""Dark or bright (kind 10) and padding (11)."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.film import standardized_xray
from deeprecon.ctpa.parameters import SynthesizeParameters
from deeprecon.data.doubts import DoubtError
from deeprecon.data.radiograph import read_radiograph

from ..files import write_film
from .files import CHEST, is_upright, read, refused, table_item

TURNED = 4095 - CHEST
ARRAY = np.arange(4096)

# 10: which end of the values is bright

RIGHT = {
    "slope of -1": (TURNED, {"RescaleSlope": -1, "RescaleIntercept": 4095, "RescaleType": "US"}),
    "falling VOI LUT": (TURNED, {"VOILUTSequence": [table_item(0, ARRAY[::-1])]}),
    "slope and MONOCHROME1": (
        CHEST,
        {"RescaleSlope": -1, "RescaleIntercept": 4095, "PhotometricInterpretation": "MONOCHROME1"},
    ),
    "signed MONOCHROME1, inverse": (
        TURNED.astype(np.int16) - 2048,
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ),
    "for processing, MONOCHROME1, sign 1": (
        TURNED,
        {
            "PresentationIntentType": "FOR PROCESSING",
            "PhotometricInterpretation": "MONOCHROME1",
            "PixelIntensityRelationship": "LOG",
            "PixelIntensityRelationshipSign": 1,
        },
    ),
    "for presentation, sign -1": (CHEST, {"PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": -1}),
    "sigmoid": (CHEST, {"VOILUTFunction": "SIGMOID", "WindowCenter": 2048, "WindowWidth": 3000}),
    "MONOCHROME1, sigmoid": (
        TURNED,
        {
            "VOILUTFunction": "SIGMOID",
            "WindowCenter": 2048,
            "WindowWidth": 3000,
            "PhotometricInterpretation": "MONOCHROME1",
        },
    ),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_bone_is_bright(kind, tmp_path):
    pixels, elements = RIGHT[kind]
    film, codes = read(tmp_path, write_film(tmp_path / "x.dcm", pixels, **elements))
    assert film.image.shape == CHEST.shape
    assert np.corrcoef(film.image.ravel(), CHEST.ravel())[0, 1] > (0.95 if "sigmoid" in kind else 0.99)
    assert codes == set()


@pytest.mark.parametrize(
    ("pixels", "elements"),
    [
        (TURNED, {"PresentationLUTShape": "INVERSE", "RescaleSlope": 1, "RescaleIntercept": 0}),
        (CHEST, {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}),
        (
            TURNED,
            {
                "PresentationIntentType": "FOR PROCESSING",
                "PixelIntensityRelationship": "DISP",
                "PixelIntensityRelationshipSign": 1,
            },
        ),
    ],
    ids=["MONOCHROME2 inverse", "MONOCHROME1 identity", "for processing, sign 1"],
)
def test_a_contradiction_is_refused_or_right(pixels, elements, tmp_path, capsys):
    path = write_film(tmp_path / "x.dcm", pixels, **elements)
    try:
        film, _ = read(tmp_path, path)
        assert is_upright(film.image)
    except DoubtError:
        assert "--accept film-polarity" in refused(tmp_path, path, capsys)


# 11: padding


SCENE = np.clip(CHEST, 20, 4075)
"""Without the values that mark padding."""


def beside(pixels, value, width=30):
    return np.pad(pixels, ((0, 0), (width, width)), constant_values=value)


def ragged():
    """Values of a range from 0 to 10 around the image."""
    padded = beside(SCENE, 0)
    padded[:, :30] = np.random.default_rng(0).integers(0, 11, (200, 30))
    padded[:, -30:] = np.random.default_rng(1).integers(0, 11, (200, 30))
    return padded


PADDED = {
    "range": (ragged(), {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 10}),
    "signed intercept": (beside(SCENE, 0), {"PixelPaddingValue": 0, "RescaleSlope": 1, "RescaleIntercept": -1024}),
    "MONOCHROME1 turned": (
        np.ascontiguousarray(np.rot90(beside(4095 - SCENE, 4095))),
        {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 4095, "PatientOrientation": ["F", "R"]},
    ),
    "above the stored bits": (beside(SCENE, 0xF000), {"BitsStored": 16, "HighBit": 15, "PixelPaddingValue": 0xF000}),
    "window": (beside(SCENE, 0), {"PixelPaddingValue": 0, "WindowCenter": 2048, "WindowWidth": 4096}),
}


@pytest.mark.parametrize("kind", PADDED)
def test_padding_does_not_count(kind, tmp_path):
    grid, parameters = Grid((76, 64, 64)), SynthesizeParameters()
    clean, _ = standardized_xray(read_radiograph(write_film(tmp_path / "clean.dcm", SCENE)), parameters, grid)
    pixels, elements = PADDED[kind]
    film, codes = read(tmp_path, write_film(tmp_path / "x.dcm", pixels, **elements))
    found, _ = standardized_xray(film, parameters, grid)
    assert codes <= {"film-turned"}
    assert found.covered.sum() == pytest.approx(clean.covered.sum(), rel=0.02)
    both = found.covered & clean.covered
    np.testing.assert_allclose(found.image[both], clean.image[both], atol=0.03)


def test_a_padding_value_with_a_sign_that_pixels_have_not(tmp_path):
    """-1 as signed 16 bits, where the pixels hold 65535 without sign."""
    grid, parameters = Grid((76, 64, 64)), SynthesizeParameters()
    clean, _ = standardized_xray(read_radiograph(write_film(tmp_path / "clean.dcm", SCENE)), parameters, grid)
    path = write_film(tmp_path / "x.dcm", beside(SCENE, 65535), 16)
    content = path.read_bytes()
    place = content.index(b"\x28\x00\x03\x01US") + 10  # after PixelRepresentation
    element = b"\x28\x00\x20\x01SS\x02\x00\xff\xff"
    path.write_bytes(content[:place] + element + content[place:])
    found, _ = standardized_xray(read_radiograph(path), parameters, grid)
    assert found.covered.sum() == pytest.approx(clean.covered.sum(), rel=0.02)
    both = found.covered & clean.covered
    np.testing.assert_allclose(found.image[both], clean.image[both], atol=0.03)
