"""The fit of an atlas to a film: similarity, deformations that cannot fold, built-in and own atlases, the verb."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from unit.ctpa.tiny_bundle import make_bundle

from deeprecon.ctpa import atlas_pipeline
from deeprecon.ctpa.atlas import deformation as deformations
from deeprecon.ctpa.atlas import fitting, search
from deeprecon.ctpa.atlas.application import DeformedAtlas, seen_voxels, write_deformation
from deeprecon.ctpa.atlas.builtin import BUILDS, builtin_atlas
from deeprecon.ctpa.atlas.deformation import NODES, Deformation, FreeForm, Placement
from deeprecon.ctpa.atlas.fitting import Film, fit_best
from deeprecon.ctpa.atlas.preparation import prepare_atlas
from deeprecon.ctpa.atlas.projector import GRID, Projector
from deeprecon.ctpa.atlas.similarity import LocalCorrelation, correlation, ranks
from deeprecon.ctpa.grid import FIELD, PRESETS, Grid
from deeprecon.ctpa.observe.film_mask import patient_pixels
from deeprecon.ctpa.observe.projection import Geometry, View
from deeprecon.ctpa.simulate.files import write_xray
from deeprecon.ctpa.simulate.solids import Label
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume


@pytest.fixture(scope="module")
def atlas():
    return builtin_atlas(BUILDS[0], 6.0)


@pytest.fixture(scope="module")
def patient(atlas):
    """The atlas with another size, and its frontal and lateral line integrals."""
    truth = Deformation(Placement(torch.tensor([0.1, -0.1, 0.02]), torch.tensor([0.2, 0.3, -0.4])))
    with torch.no_grad():
        frontal = Projector(atlas, Geometry())(truth).numpy()
        lateral = Projector(atlas, Geometry(view=View.AP), lateral=True)(truth).numpy()
    return truth, frontal, lateral


# ---- similarity


def test_ranks_are_those_of_every_monotone_display_curve():
    torch.manual_seed(0)
    image, weight = torch.rand(40, 30), torch.ones(40, 30)
    weight[:, :5] = 0
    plain = ranks(image, weight)
    for curve in (image**3, torch.log(image + 0.01), 5 * image - 2):
        torch.testing.assert_close(ranks(curve, weight), plain, atol=0.02, rtol=0)
    assert float(correlation(plain, ranks(1 - image, weight), weight)) == pytest.approx(-1, abs=0.01)


def test_pixels_without_weight_do_not_count():
    torch.manual_seed(0)
    image, weight = torch.rand(40, 30), torch.ones(40, 30)
    weight[:10] = 0
    spoilt = image.clone()
    spoilt[:10] = 9
    torch.testing.assert_close(ranks(spoilt, weight)[10:], ranks(image, weight)[10:])
    local = LocalCorrelation(image, weight, 3.0)
    torch.testing.assert_close(local(spoilt), local(image))
    assert float(local(image)) > 0.98 > 0.1 > float(local(torch.rand(40, 30)))


# ---- deformations


@pytest.mark.parametrize("seed", range(3))
def test_no_deformation_folds_however_far_its_control_points_are_driven(seed):
    torch.manual_seed(seed)
    levels = [FreeForm(spans) for spans in (*search.SPANS, fitting.FINEST)]
    for level in levels:
        level.raw.data = 20 * torch.randn(level.raw.shape)  # each at the end of its range
    found = Deformation(coronal=levels, sagittal=levels[:1])
    assert found.planes()[0].abs().max() > 20
    assert found.smallest_jacobian() > 0


def test_a_fold_is_found():
    folded = torch.zeros(2, NODES, NODES)
    folded[0, :, 40:] = -60.0
    assert deformations.jacobian(folded).min() < 0


def test_the_written_transform_leads_from_the_result_to_the_file_of_the_atlas(atlas, tmp_path):
    from dataclasses import replace

    found = Deformation(
        Placement(torch.tensor([0.1, -0.1, 0.05]), torch.tensor([0.2, 0.3, -0.4]), torch.tensor([0.1, 0.05]))
    )
    write_deformation(tmp_path / "field.h5", replace(atlas, center=(10.0, -20.0, 30.0)), found)
    transform = sitk.ReadTransform(str(tmp_path / "field.h5"))
    for point in ((0.0, 0.0, 0.0), (40.0, -30.0, 60.0)):
        to = [float(value) for value in found.to_atlas(*(torch.tensor([value]) for value in point))]
        wanted = (to[0] - 10, to[1] + 20, to[2] + 30)  # LPS
        np.testing.assert_allclose(transform.TransformPoint(point), wanted, atol=0.05)


def test_an_undeformed_atlas_keeps_its_voxels(atlas):
    size = tuple(round(count * step, 6) for count, step in zip(atlas.hu.shape[::-1], atlas.spacing, strict=True))
    deformed = DeformedAtlas(atlas, Deformation(), Grid(atlas.hu.shape, size))
    np.testing.assert_allclose(np.concatenate(list(deformed.hu())), np.clip(atlas.hu, -1000, 1000), atol=2)
    assert (np.concatenate(list(deformed.labels())) == atlas.labels).mean() > 0.999


def test_voxels_that_the_film_does_not_show_are_known():
    grid, geometry = Grid((16, 12, 12)), Geometry()
    weight = np.ones((16, 12), np.float32)
    weight[:4] = 0  # the feet's end
    seen = seen_voxels(weight, grid, grid, geometry)
    assert not seen[:2].any()
    assert seen[6:10, :, 4:8].all()
    assert 0.5 < seen.mean() < 0.85


# ---- atlases


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_the_built_in_atlases_have_organs_of_human_size_and_are_taller_than_the_field(build):
    """Litres of adults: total lung capacity 4 to 8 (ATS/ERS 2005), heart with blood .5 to .95, liver 1 to 2.5."""
    atlas = builtin_atlas(build, 6.0)
    litre = np.prod(atlas.spacing) / 1e6
    volume = {label: float((atlas.labels == label).sum() * litre) for label in Label}
    assert 4.0 < volume[Label.LUNG] < 8.0
    assert 0.4 < volume[Label.HEART] < 0.95
    assert 1.0 < volume[Label.LIVER] < 2.6
    assert volume[Label.GAS] > 0.01
    medians = {label: np.median(atlas.hu[atlas.labels == label]) for label in (Label.LUNG, Label.MUSCLE, Label.FAT)}
    assert -900 < medians[Label.LUNG] < -750
    assert 30 < medians[Label.MUSCLE] < 70
    assert -120 < medians[Label.FAT] < -60
    assert atlas.hu.shape[0] * atlas.spacing[2] > FIELD[2] + 150
    assert (atlas.hu[-1] > 0).any()  # the neck goes on
    assert (atlas.densities()[atlas.labels == Label.VESSEL] < 1.1).all()  # films are taken without contrast agent


def _with_table(atlas) -> Volume:
    hu = atlas.hu.copy()
    hu[:, -2:] = 100
    affine = np.diag([-atlas.spacing[0], -atlas.spacing[1], atlas.spacing[2], 1.0])
    affine[:3, 3] = 150, 130, -300
    return Volume(hu[10:-15], affine, "ct")


def test_an_atlas_of_a_ct_lies_about_its_lungs_without_the_table(atlas):
    volume = _with_table(atlas)
    made = prepare_atlas(volume, 6.0)
    assert (made.hu[:, -2:] == -1000).all()
    lungs = made.labels == Label.LUNG
    assert (atlas.labels == Label.LUNG)[10:-15].sum() == pytest.approx(lungs.sum(), rel=0.15)  # with airways
    x = made.first[0] + made.spacing[0] * np.argwhere(lungs)[:, 2]
    assert abs(x.min() + x.max()) < 8
    assert (made.labels == Label.HEART).any()
    middle = volume.to_ras(np.argwhere(volume.array < 4000).mean(axis=0)[::-1])
    assert np.linalg.norm(np.array(made.center)[:2] - middle[:2]) < 40


def test_a_ct_without_lungs_is_no_atlas(atlas):
    volume = _with_table(atlas)
    solid = Volume(np.where(volume.array < -500, 40, volume.array).astype(np.int16), volume.ijk_to_ras, "solid")
    solid.array[:, :4] = -1000
    with pytest.raises(InputError, match="No lungs"):
        prepare_atlas(solid, 6.0)


# ---- films


def test_borders_and_markers_are_no_patient():
    film = np.full((200, 180), 0.5, np.float32) + 0.2 * np.sin(np.arange(180) / 30).astype(np.float32)
    film[:6], film[:, :9] = 1.0, 0.0
    film[20:32, 150:160] = 0.0
    film[23:29, 153:157] = 1.0
    found = patient_pixels(film)
    assert not found[:6].any()
    assert not found[:, :9].any()
    assert not found[20:32, 150:160].any()
    assert found[60:, 20:170].all()


# ---- the fit


def test_a_fit_finds_size_and_place_whatever_the_display_curve(atlas, patient, monkeypatch):
    monkeypatch.setattr(search, "STARTS", 2)
    monkeypatch.setattr(fitting, "STARTS", 2)
    monkeypatch.setattr(fitting, "STEPS", 12)
    _, frontal, _ = patient
    film = Film(1 - np.exp(-0.4 * frontal), np.ones_like(frontal), Geometry())
    other = builtin_atlas(BUILDS[3], 6.0)
    index, fit = fit_best([other, atlas], film)
    assert index == 1
    assert fit.correlation > 0.97
    assert fit.jacobian > 0
    scale, shift = fit.deformation.placement.scale.detach(), fit.deformation.placement.shift.detach()
    assert float(scale[0]) == pytest.approx(0.1, abs=0.06)
    assert 30 * float(shift[2]) == pytest.approx(-12, abs=12)


def test_a_lateral_film_tells_the_depth(atlas, patient, monkeypatch):
    monkeypatch.setattr(search, "STARTS", 1)
    monkeypatch.setattr(fitting, "STARTS", 1)
    monkeypatch.setattr(fitting, "STEPS", 12)
    monkeypatch.setattr(fitting, "BACKS", (-20, 0, 20))
    monkeypatch.setattr(fitting, "RAISED", (-20, 0, 20))
    truth, frontal, lateral = patient
    films = [
        Film(image, np.ones_like(image), geometry)
        for image, geometry in ((frontal, Geometry()), (lateral[:, ::-1].copy(), Geometry(view=View.AP)))
    ]
    depth = float(truth.placement.scale[1])
    alone, both = (fit_best([atlas], films[0], lateral=film)[1] for film in (None, films[1]))
    errors = [abs(float(fit.deformation.placement.scale[1].detach()) - depth) for fit in (alone, both)]
    assert both.mirrored
    assert both.lateral > 0.9
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.08


# ---- the verb


@pytest.fixture
def quick(monkeypatch):
    """Few starts and steps, and coarse results."""
    monkeypatch.setattr(search, "STARTS", 1)
    monkeypatch.setattr(fitting, "STARTS", 1)
    monkeypatch.setattr(fitting, "STEPS", 4)
    monkeypatch.setitem(PRESETS, "preview", atlas_pipeline.DETECTOR)
    monkeypatch.setattr(atlas_pipeline, "COARSE", 6.0)
    monkeypatch.setitem(atlas_pipeline.VOXELS, next(iter(atlas_pipeline.VOXELS)), 6.0)


@pytest.fixture
def xray(tmp_path, patient):
    path = tmp_path / "film.nii.gz"
    write_xray(path, patient[1], GRID, Geometry())
    return path


def test_a_fitted_atlas_says_what_it_is(done, quick, xray, figures_of, tmp_path):
    output = done("synthesize", inputs={"xray": xray}, method="atlas")
    ct = read_volume(output / "ct.nii.gz")
    np.testing.assert_allclose(ct.ijk_to_ras, atlas_pipeline.DETECTOR.affine(), atol=1e-3)
    assert ct.array.dtype == np.int16
    assert -950 < np.median(ct.array[read_volume(output / "labels.nii.gz").array == Label.LUNG]) < -700
    assert set(np.unique(read_volume(output / "origin.nii.gz").array)) <= {0, 1}
    assert (output / "deformation.h5").is_file()
    figures = figures_of(output)
    assert figures["method"] == "atlas"
    assert figures["atlas"].startswith("built-in")
    assert figures["fit_correlation"] > 0.9
    assert figures["smallest_jacobian"] > 0
    page = (output / "report.html").read_text(encoding="utf-8")
    for words in ("SYNTHETIC", "cannot be recovered from a radiograph", "does not determine depth", "origin.nii.gz"):
        assert words in page
    exported = done("export", "dicom", inputs={"result": output})
    assert b"deformed atlas" in next((exported / "dicom").glob("*.dcm")).read_bytes()


def test_the_best_of_own_atlases_is_taken_and_named(done, quick, xray, atlas, figures_of, tmp_path):
    folder = tmp_path / "atlases"
    folder.mkdir()
    for name, build in (("woman", BUILDS[1]), ("man", BUILDS[0])):
        made = builtin_atlas(build, 6.0)
        affine = np.diag([-made.spacing[0], -made.spacing[1], made.spacing[2], 1.0])
        write_volume(folder / f"{name}.nii.gz", Volume(made.hu, affine))
    output = done("synthesize", inputs={"xray": xray, "atlas": [folder]}, method="atlas")
    assert figures_of(output)["atlas"] == "man.nii.gz"


def _existing(path):
    path.write_bytes(b"no volume")
    return path


@pytest.mark.parametrize(
    ("given", "settings", "words"),
    [
        ({"bundle": "."}, {"method": "atlas"}, "Leave out --bundle"),
        ({"atlas": ["some.nii.gz"]}, {}, "Add --method atlas"),
        ({"atlas": ["some.nii.gz"]}, {"method": "atlas"}, "some.nii.gz"),
    ],
)
def test_inputs_that_contradict_the_method_are_refused(error_of, xray, tmp_path, given, settings, words):
    given = {
        name: [_existing(tmp_path / each) for each in value]
        if isinstance(value, list)
        else make_bundle(tmp_path / "bundle")
        for name, value in given.items()
    }
    assert words in error_of("synthesize", inputs={"xray": xray} | given, **settings)
