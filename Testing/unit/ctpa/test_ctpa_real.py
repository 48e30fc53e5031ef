"""Files from real scanners, where they are at hand: they must go through without hand work."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from deeprecon.ctpa.grid import PRESETS, PREVIEW, Grid
from deeprecon.ctpa.observe.body import body_mask
from deeprecon.ctpa.observe.film import acquisition_geometry, film_on_detector
from deeprecon.ctpa.training.store import Store
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.tables import read_table, write_table
from deeprecon.data.volume_io import read_volume

DATA = Path(os.environ.get("DEEPRECON_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data") / "ctpa"
FILM, THORAX, LUNGS, CROP = (
    DATA / name
    for name in (
        "nema_wg4_RG1_J2KI_chest_pa_monochrome1.dcm",
        "cip_ct-64_full_thorax.nrrd",
        "cip_lm-64_lung_labelmap.nrrd",
        "totalseg_pulm_report_ct_cropped_1p5mm.nii.gz",
    )
)
GRID = Grid((76, 64, 64))


def needs(*paths):
    missing = [path.name for path in paths if not path.exists()]
    return pytest.mark.skipif(bool(missing), reason=f"not at hand: {', '.join(missing)}")


@needs(FILM)
def test_a_monochrome1_jpeg2000_film_without_pixel_spacing_goes_in():
    radiograph = read_radiograph(FILM)
    assert (radiograph.image.shape, radiograph.view, radiograph.spacing) == ((1955, 1841), "PA", None)
    found = film_on_detector(radiograph, acquisition_geometry(radiograph.view), PREVIEW)
    assert "taken as 0.220 mm" in " ".join(found.notes)
    assert found.image.shape == (304, 256)
    upper, lower = found.image[180:230], found.image[20:60]  # rows grow towards the head
    lungs, spine = np.r_[60:100, 165:200], slice(122, 140)
    assert np.median(upper[:, spine]) > np.median(upper[:, lungs]) + 0.3  # what absorbs more is brighter
    assert np.median(lower[:, lungs]) > np.median(upper[:, lungs]) + 0.3  # the belly is at the bottom
    heart = found.image[90:110]  # which lies more to the left, where columns grow: 40 columns beside the spine
    assert heart[:, 160:180].mean() > heart[:, 76:96].mean() + 0.2


@pytest.fixture
def small_preview(monkeypatch):
    monkeypatch.setitem(PRESETS, "preview", GRID)


@needs(THORAX, CROP)
@pytest.mark.usefixtures("small_preview")
def test_a_thorax_is_prepared_with_its_own_projection_and_a_crop_is_refused(done, tmp_path):
    write_table(tmp_path / "m.csv", [{"patient": "a", "ct": THORAX}, {"patient": "b", "ct": CROP}])
    output = done("prepare", inputs={"manifest": tmp_path / "m.csv"}, validation=0.0, test=0.0)
    (case,) = Store.open(output).cases()
    volume = case.volume()
    assert case.projected
    assert volume.min() == -1000
    assert 500 < volume.max() <= 1095
    lungs = body_mask(volume) & (volume > -980) & (volume < -600)
    assert lungs.sum() * np.prod(GRID.spacing) / 1e6 == pytest.approx(4.6, rel=0.2)  # litres in the label map
    assert lungs[:, :, :32].sum() == pytest.approx(lungs[:, :, 32:].sum(), rel=0.4)  # both sides
    image = case.xray()
    rows, columns = slice(30, 50), np.r_[18:26, 38:46]
    assert np.median(image[rows, 30:34]) > np.median(image[rows, columns])  # spine against lungs
    (refused,) = read_table(output / "refused.csv")
    assert "it is a crop" in refused["reason"]


@needs(THORAX, LUNGS)
@pytest.mark.usefixtures("small_preview")
def test_an_own_projection_fits_the_real_ct_and_the_film_of_another_patient_does_not(done, tmp_path):
    rows = [{"patient": "a", "ct": THORAX, "labels": LUNGS}]
    rows += [{"patient": "b", "ct": tmp_path / "same.nrrd", "xray": FILM, "labels": ""}] if FILM.exists() else []
    content = THORAX.read_bytes()
    (tmp_path / "same.nrrd").write_bytes(content.replace(b"\n\n", b"\n# another checksum\n\n", 1))
    write_table(tmp_path / "m.csv", rows)
    cases = Store.open(done("prepare", inputs={"manifest": tmp_path / "m.csv"}, validation=0.0, test=0.0)).cases()
    labels = cases[0].labels()
    assert labels.shape == GRID.shape
    assert np.median(cases[0].volume()[labels > 0]) < -700  # labels lie on the lungs
    if len(cases) > 1:
        assert any("fits the CT badly" in note for note in cases[1].notes)


@needs(THORAX)
def test_a_real_ct_is_evaluated_against_itself_on_other_voxels(done, figures_of, tmp_path):
    """A result is on the product's grid, the truth as the scanner left it."""
    from deeprecon.ctpa.observe.placement import place
    from deeprecon.data.volume import Volume
    from deeprecon.data.volume_io import write_volume

    write_volume(tmp_path / "ct.nii.gz", Volume(place(read_volume(THORAX), GRID).hu, GRID.affine()))
    found = figures_of(done("evaluate", inputs={"ct": tmp_path / "ct.nii.gz", "truth": THORAX}))
    assert found["mae"] == 0
    assert found["lung_litres"] == found["truth_lung_litres"]


@needs(THORAX)
def test_the_own_projection_of_a_real_thorax_is_reconstructed_and_the_demonstrator_is_not_green(
    done, figures_of, warnings_of, tmp_path
):
    xray = done("phantom", "made", inputs={"ct": THORAX}) / "case_0000" / "xray.nii.gz"
    result = done("synthesize", "result", inputs={"xray": xray}, samples=1, steps=4)
    assert any("Do not trust the result" in text for text in warnings_of(result))
    given = {"ct": result / "ct.nii.gz", "truth": THORAX, "xray": xray}
    found = figures_of(done("evaluate", "score", inputs=given))
    assert found["truth_projection_nrmse"] < 0.15
    assert found["psnr_body"] > 11  # a chest, if not this one


@needs(FILM, CROP)
@pytest.mark.parametrize("path", [CROP, THORAX])
def test_a_real_ct_is_no_xray(path):
    with pytest.raises(ValueError, match="voxels, not an X-ray"):
        read_radiograph(path)
