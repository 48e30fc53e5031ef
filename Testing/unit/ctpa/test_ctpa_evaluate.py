"""Figures of a CT against the truth, where they are known beforehand."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.measure.metrics import psnr, ssim
from deeprecon.ctpa.observe.body import body_mask
from deeprecon.ctpa.observe.projection import Geometry, View, line_integrals
from deeprecon.ctpa.parameters import SynthesizeParameters, Turn, XrayView
from deeprecon.ctpa.simulate.chests import Label, draw_grid, make_anatomy
from deeprecon.ctpa.simulate.files import write_xray
from deeprecon.data.files import sha256, write_json
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume
from deeprecon.jobs.parameters import to_json

GRID = Grid((76, 64, 64))


@pytest.fixture(scope="module")
def chest():
    return draw_grid(make_anatomy(2), GRID)


@pytest.fixture(scope="module")
def files(chest, tmp_path_factory):
    """A true CT, its labels and X-ray, and CTs that differ from it in a known way."""
    folder = tmp_path_factory.mktemp("evaluate")
    hu, labels = chest
    body = body_mask(hu)
    wrong = hu.copy()
    wrong[labels == Label.HEART] = -300
    volumes = {
        "truth": hu,
        "brighter": np.where(body, hu + 20, hu).astype(np.int16),
        "wrong": wrong,
        "mirrored": np.ascontiguousarray(hu[:, :, ::-1]),
        "labels": labels,
    }
    for name, array in volumes.items():
        write_volume(folder / f"{name}.nii.gz", Volume(array, GRID.affine()))
    write_xray(folder / "xray.nii.gz", line_integrals(hu, GRID, Geometry()), GRID, Geometry())
    return folder


def figures(done, figures_of, files, ct, name="out", **others):
    inputs = {"ct": files / f"{ct}.nii.gz", "truth": files / "truth.nii.gz"}
    inputs |= {role: files / f"{value}.nii.gz" for role, value in others.items()}
    return figures_of(done("evaluate", name, inputs=inputs))


def test_twenty_hu_within_the_body_are_twenty_hu(done, figures_of, files, chest):
    found = figures(done, figures_of, files, "brighter")
    share = body_mask(chest[0]).mean()
    assert found["mae_body"] == pytest.approx(20, abs=0.01)
    assert found["mae"] == pytest.approx(20 * share, abs=0.01)  # air around the patient makes it look better
    assert found["psnr_body"] == pytest.approx(10 * np.log10(2000**2 / 20**2), abs=0.01)
    assert found["psnr"] > found["psnr_body"]
    assert 0.9 < found["ssim_body"] < 1
    assert found["lung_litres"] == pytest.approx(found["truth_lung_litres"], rel=0.02)
    assert found["seam_ratio"] == pytest.approx(found["truth_seam_ratio"], rel=0.02)


def test_the_truth_itself_is_perfect(done, figures_of, files):
    found = figures(done, figures_of, files, "truth", xray="xray", labels="labels")
    assert found["ssim"] == pytest.approx(1)
    assert found["mae"] == 0
    assert "psnr" not in found  # infinite
    assert found["projection_nrmse"] == found["truth_projection_nrmse"] < 0.02
    assert found["lung_hu"] == found["truth_lung_hu"]
    assert found["cardiothoracic_ratio"] == found["truth_cardiothoracic_ratio"]
    assert found["vessel_recall"] > 0.9
    assert -950 < found["lung_hu"] < -550


def test_left_for_right_shows_in_every_figure(done, figures_of, files):
    found = figures(done, figures_of, files, "mirrored", xray="xray")
    assert found["psnr_body"] < 22
    assert found["ssim_body"] < 0.9
    assert found["projection_nrmse"] > found["truth_projection_nrmse"] + 0.1


def test_an_organ_of_wrong_hu_is_named(done, figures_of, files, warnings_of):
    names = {"ct": "wrong", "truth": "truth", "labels": "labels"}
    output = done("evaluate", inputs={role: files / f"{name}.nii.gz" for role, name in names.items()})
    found = figures_of(output)
    assert found["heart_hu"] == -300
    assert found["truth_heart_hu"] > 100
    assert any("heart has a median of -300 HU" in text for text in warnings_of(output))


def test_a_truth_on_other_voxels_is_brought_onto_those_of_the_result(done, figures_of, files, chest, tmp_path):
    coarse = chest[0].reshape(38, 2, 32, 2, 32, 2).mean(axis=(1, 3, 5))
    affine = GRID.coarser(2).affine((30.0, -200.0, 900.0))  # anywhere in the scanner
    write_volume(tmp_path / "coarse.nrrd", Volume(np.rint(coarse).astype(np.int16), affine))
    inputs = {"ct": files / "truth.nii.gz", "truth": tmp_path / "coarse.nrrd"}
    assert figures_of(done("evaluate", inputs=inputs))["psnr"] > 22


def test_a_film_that_was_not_centered_moves_the_truth(done, figures_of, files, chest, tmp_path, warnings_of):
    """The synthetic CT lies where its X-ray does: here the chest, 2 voxels lower than in the true scan."""
    hu = chest[0]
    lower = np.concatenate([hu[2:], np.repeat(hu[-1:], 2, axis=0)])
    write_volume(tmp_path / "synthetic.nii.gz", Volume(lower, GRID.affine()))
    write_xray(tmp_path / "xray.nii.gz", line_integrals(lower, GRID, Geometry()), GRID, Geometry())
    inputs = {"ct": tmp_path / "synthetic.nii.gz", "truth": files / "truth.nii.gz"}
    unshifted = figures_of(done("evaluate", "a", inputs=inputs))["mae_body"]
    output = done("evaluate", "b", inputs=inputs | {"xray": tmp_path / "xray.nii.gz"})
    assert unshifted > 50
    assert figures_of(output)["mae_body"] < 5
    assert any("-11 mm towards the head and 0 mm" in text for text in warnings_of(output))


def test_the_xray_is_taken_as_it_was_for_the_ct(done, figures_of, files, chest, tmp_path, warnings_of):
    """An AP film on its side, without entries in the file."""
    geometry = Geometry(view=View.AP, source_distance=1000.0)
    write_xray(tmp_path / "upright.nii.gz", line_integrals(chest[0], GRID, geometry), GRID, geometry)
    upright = read_radiograph(tmp_path / "upright.nii.gz")
    across, down = upright.spacing
    turned = Volume(np.ascontiguousarray(np.rot90(upright.image))[None], np.diag([down, across, 1.0, 1.0]))
    write_volume(tmp_path / "xray.nrrd", turned)
    shutil.copyfile(files / "truth.nii.gz", tmp_path / "ct.nii.gz")
    settings = SynthesizeParameters(view=XrayView.AP, turn=Turn.QUARTER)
    provenance = {
        "method": "ctpa",
        "verb": "synthesize",
        "inputs": [{"name": "xray.nrrd", "sha256": sha256(tmp_path / "xray.nrrd")}],
        "parameters": to_json(settings),
    }
    outputs = {"ct": {"path": "ct.nii.gz", "sha256": sha256(tmp_path / "ct.nii.gz")}}
    write_json(tmp_path / "result.json", {"format": 1, "outputs": outputs, "provenance": provenance})
    inputs = {"ct": tmp_path / "ct.nii.gz", "truth": files / "truth.nii.gz", "xray": tmp_path / "xray.nrrd"}
    output = done("evaluate", inputs=inputs)
    assert figures_of(output)["projection_nrmse"] < 0.03
    assert any("with the settings in the result.json of ct.nii.gz" in text for text in warnings_of(output))
    other = done("evaluate", "other", inputs=inputs | {"xray": files / "xray.nii.gz"})
    assert any("was not made from xray.nii.gz" in text for text in warnings_of(other))
    assert figures_of(other)["projection_nrmse"] < 0.03  # a PA film, and upright
    (tmp_path / "result.json").unlink()
    assert figures_of(done("evaluate", "alone", inputs=inputs))["projection_nrmse"] > 0.3


def test_labels_in_another_order_of_axes_are_the_same(done, figures_of, files, tmp_path):
    labels = read_volume(files / "labels.nii.gz")
    affine = labels.ijk_to_ras[:, [1, 0, 2, 3]].copy()
    affine[:3, 3] += (labels.array.shape[0] - 1) * affine[:3, 2]
    affine[:3, 2] *= -1
    write_volume(tmp_path / "turned.nii.gz", Volume(labels.array[::-1].transpose(0, 2, 1), affine))
    inputs = {"ct": files / "truth.nii.gz", "truth": files / "truth.nii.gz"}
    plain, turned = (
        figures_of(done("evaluate", f"of {path.stem}", inputs=inputs | {"labels": path}))
        for path in (files / "labels.nii.gz", tmp_path / "turned.nii.gz")
    )
    assert plain == turned


def test_labels_of_another_ct_and_volumes_that_are_no_ct_are_refused(error_of, files, tmp_path):
    write_volume(tmp_path / "small.nii.gz", Volume(np.zeros((9, 9, 9), np.uint8), np.eye(4)))
    inputs = {"ct": files / "truth.nii.gz", "truth": files / "truth.nii.gz"}
    message = error_of("evaluate", inputs=inputs | {"labels": tmp_path / "small.nii.gz"})
    assert "small.nii.gz (9 x 9 x 9 voxels) does not lie on the grid of truth.nii.gz" in message
    assert "not the HU of a CT" in error_of("evaluate", inputs=inputs | {"ct": files / "labels.nii.gz"})


def test_the_range_is_fixed_and_not_that_of_the_prediction():
    """One outlier must not make the rest look better, as a range taken from the prediction does."""
    truth = np.zeros((16, 16, 16))
    result = truth + 50
    spoiled = result.copy()
    spoiled[0, 0, 0] = 30000
    assert psnr(result, truth) == pytest.approx(10 * np.log10(2000**2 / 50**2))
    assert psnr(spoiled, truth) < psnr(result, truth)


def test_structural_similarity_is_not_a_correlation():
    """The published 'SSIM' is Pearson's correlation, to which a wrong gain and offset make no difference."""
    truth = np.random.default_rng(0).normal(0, 100, (12, 12, 12))
    scaled = 0.3 * truth + 400
    assert np.corrcoef(truth.ravel(), scaled.ravel())[0, 1] == pytest.approx(1)
    assert ssim(scaled, truth)[0] < 0.6
