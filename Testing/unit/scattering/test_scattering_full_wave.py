"""Full-wave inversion: from measured fields to contrast, its stop, its bounds, and the verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deeprecon
from deeprecon.data.tables import read_table
from deeprecon.data.volume_io import read_volume
from deeprecon.scattering.fit.full_wave import invert_full_wave
from deeprecon.scattering.fit.measured_bands import measured_bands
from deeprecon.scattering.fit.refinement import FarFieldRefinement, refine_network
from deeprecon.scattering.parameters import Sign
from deeprecon.scattering.physics.calibration import noise_share, source_strengths
from deeprecon.scattering.physics.region import Region
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.read.measurements import read_measurement
from deeprecon.scattering.read.scattered_fields import ScatteredFields
from deeprecon.scattering.write.field_file import write_field_file

from .conftest import simulate_fields

Done = Callable[..., Path]
REGION = Region(np.zeros(2), 0.12, 32)


@pytest.fixture(scope="module")
def fields() -> ScatteredFields:
    return simulate_fields((2e9, 4e9))


@pytest.fixture
def path(fields: ScatteredFields, tmp_path: Path) -> Path:
    write_field_file(tmp_path / "fields.h5", fields)
    return tmp_path / "fields.h5"


def truth(region: Region) -> np.ndarray:
    """Contrast of the simulated cylinder."""
    x, y = region.points().T
    return 0.8 * ((np.hypot(x - 0.02, y) < 0.025).reshape(region.shape))


def test_sources_are_calibrated_and_noise_is_found_without_an_object(fields: ScatteredFields) -> None:
    for band in fields.bands:
        k = fields.k(band)
        strength, error = source_strengths(fields.arrangement, k, np.zeros(2), band.incident, band.used)
        assert error < 1e-10
        ratio = band.incident / fields.arrangement.direct(k)
        np.testing.assert_allclose(strength[:, None] / ratio, 1, atol=1e-10)
        found = noise_share(fields.arrangement, k, np.zeros(2), 0.06, band.scattered / strength[:, None], band.used)
        assert found == pytest.approx(0.02, rel=0.3)


def test_the_object_is_found_and_the_inversion_stops_at_the_noise(fields: ScatteredFields) -> None:
    bands, notes = measured_bands(fields, REGION, 0.1, "cpu")
    assert notes == ()
    found = invert_full_wave(bands, np.zeros(REGION.shape), Sign.POSITIVE, 8e-4, 60)
    assert found.at_noise
    assert len(found.history) < 60
    assert found.misfits[-1] <= 0.1
    expected = truth(REGION)
    assert np.linalg.norm(found.contrast - expected) < 0.5 * np.linalg.norm(expected)
    assert found.contrast[expected > 0].mean() == pytest.approx(0.8, rel=0.15)


def test_the_sign_bounds_the_contrast(fields: ScatteredFields) -> None:
    bands, _ = measured_bands(fields, REGION, None, "cpu")
    start = np.linspace(-0.3, 0.3, REGION.n**2).reshape(REGION.shape)
    positive = invert_full_wave(bands[:1], start, Sign.POSITIVE, 8e-4, 3).contrast
    negative = invert_full_wave(bands[:1], start, Sign.NEGATIVE, 8e-4, 3).contrast
    assert positive.min() == 0
    assert negative.max() == 0
    assert -0.95 <= negative.min() < 0
    assert invert_full_wave(bands[:1], start, Sign.ANY, 8e-4, 3).contrast.min() < 0


def test_frequencies_that_the_pixels_cannot_hold_are_left_out_with_a_word(fields: ScatteredFields) -> None:
    bands, notes = measured_bands(fields, Region(np.zeros(2), 0.12, 20), None, "cpu")
    assert [band.label for band in bands] == ["2 GHz"]
    assert "--grid 25 uses all" in notes[0]


def test_fields_become_a_volume_in_the_shell(path: Path, done: Done, result_of: Any) -> None:
    output = done("reconstruct", inputs={"data": path}, method="fullwave", grid=32, steps=12, noise=5.0)
    result = result_of(output)
    assert set(result["outputs"]) == {"contrast", "misfits", "history", "report", "images", "misfit"}
    volume = read_volume(output / "contrast.nii.gz")
    assert np.asarray(volume.array).shape == (1, 32, 32)
    np.testing.assert_allclose(volume.spacing, 3.75, atol=1e-5)
    np.testing.assert_allclose(volume.to_ras([15.5, 15.5, 0]), 0, atol=1e-4)
    k, j, i = np.unravel_index(np.argmax(volume.array), (1, 32, 32))
    assert np.linalg.norm(volume.to_ras([i, j, k]) - [20, 0, 0]) < 25  # mm, x is right
    figures = result["metrics"]
    assert figures["data_misfit"] < 0.2
    assert figures["noise"] == pytest.approx(0.05)
    assert [row["frequency"] for row in read_table(output / "misfits.csv")] == ["2 GHz", "4 GHz"]


def test_replicas_give_an_uncertainty(path: Path, done: Done) -> None:
    output = done("reconstruct", inputs={"data": path}, method="fullwave", grid=26, steps=2, noise=5.0, replicas=2)
    spread = np.asarray(read_volume(output / "uncertainty.nii.gz").array)
    assert spread.max() > 0


def test_an_image_that_does_not_explain_the_fields_is_doubted(path: Path, done: Done, result_of: Any) -> None:
    output = done("reconstruct", inputs={"data": path}, method="fullwave", grid=26, contrast="negative", steps=4)
    (doubt,) = result_of(output)["doubts"]
    assert doubt["code"] == "misfit-high"
    assert "misfit-high" in (output / "report.html").read_text(encoding="utf-8")


def test_other_methods_and_unknown_regions_are_refused(
    path: Path, fields: ScatteredFields, refused: Callable[..., str]
) -> None:
    assert "--method fullwave" in refused("reconstruct", inputs={"data": path})
    write_field_file(path, replace(fields, side=None))
    assert "Give its --side in mm" in refused("reconstruct", "no", inputs={"data": path}, method="fullwave")
    message = refused("reconstruct", "large", inputs={"data": path}, method="fullwave", side=1500.0)
    assert "inside of the region" in message


def test_settings_of_measured_fields_are_not_ignored_with_far_fields(data: Path, refused: Callable[..., str]) -> None:
    assert "side cannot be set with far fields" in refused("reconstruct", inputs={"data": data}, side=10.0)


def test_prepare_checks_fields_and_writes_them_as_hdf5(path: Path, done: Done, fields: ScatteredFields) -> None:
    found = read_measurement(done("prepare", inputs={"data": path}) / "data.h5")
    np.testing.assert_array_equal(found.bands[0].scattered, fields.bands[0].scattered)


def test_fields_from_arrays_give_what_their_file_gives(path: Path, fields: ScatteredFields) -> None:
    settings: dict[str, Any] = {"method": "fullwave", "grid": 26, "steps": 2, "device": "cpu", "threads": 1}
    one = deeprecon.scattering.reconstruct(fields, **settings)
    other = deeprecon.scattering.reconstruct(path, **settings)
    np.testing.assert_array_equal(one.contrast.array, other.contrast.array)


def test_sound_has_its_speed_as_a_volume(fields: ScatteredFields, tmp_path: Path, done: Done) -> None:
    ratio = 1480.0 / fields.speed
    bands = tuple(replace(band, frequency=band.frequency * ratio) for band in fields.bands)
    write_field_file(tmp_path / "sound.h5", replace(fields, bands=bands, speed=1480.0))
    output = done("reconstruct", inputs={"data": tmp_path / "sound.h5"}, method="fullwave", grid=26, steps=4)
    speed, contrast = (np.asarray(read_volume(output / f"{name}.nii.gz").array) for name in ("speed", "contrast"))
    np.testing.assert_allclose(speed, 1480 / np.sqrt(1 + contrast), rtol=1e-5)


def test_full_wave_inversion_of_far_fields_beats_tikhonov(data: Path, done: Done, result_of: Any) -> None:
    shared = {"inputs": {"data": data}, "most": 1, "rings": 12, "angles": 32, "misfits": 1}
    tikhonov = result_of(done("reconstruct", "linear", **shared))["metrics"]
    found = result_of(done("reconstruct", "full", method="fullwave", steps=15, **shared))["metrics"]
    assert found["relative_l2"] < 0.8 * tikhonov["relative_l2"]
    assert found["data_misfit"] < 0.3 * tikhonov["data_misfit"]


# ---- refinement after a network


@pytest.fixture
def untrained(tmp_path: Path) -> Path:
    """Bundle of a network that knows nothing."""
    import torch

    from deeprecon.scattering.fit.network import Model, Normalization, write_model
    from deeprecon.scattering.networks.bcrnet import Architecture, BcrNet

    torch.manual_seed(0)
    model = Model(BcrNet(Architecture(32, 34, 12, 2, 2, 1, 2)), Normalization(0.1, 1.0), 3.0, (0.0, 0.8), misfit=0.2)
    write_model(tmp_path / "bundle", model, "nothing", {})
    return tmp_path / "bundle"


def test_images_of_a_network_that_do_not_explain_the_data_are_refined_and_doubted(
    untrained: Path, data: Path, done: Done, result_of: Any, warnings_of: Callable[[Path], str]
) -> None:
    inputs = {"data": data, "bundle": untrained}
    plain = done("reconstruct", "plain", inputs=inputs, method="bcrnet", most=1, misfits=1, refine=False)
    output = done("reconstruct", inputs=inputs, method="bcrnet", most=1, misfits=1)
    found, unrefined = (result_of(folder)["metrics"] for folder in (output, plain))
    assert found["relative_l2"] < 0.5 * unrefined["relative_l2"]
    assert found["data_misfit"] < 0.5 * found["data_misfit_tikhonov"]
    assert found["data_misfit_network"] == pytest.approx(unrefined["data_misfit"])
    assert "objects 1." in warnings_of(output)
    assert [doubt["code"] for doubt in result_of(output)["doubts"]] == ["network-misfit"]


def test_images_that_explain_the_data_as_well_as_usual_are_kept(measured: FarFieldData) -> None:
    one = measured.subset(slice(1))
    refinement = FarFieldRefinement(one, Sign.POSITIVE, 8e-4, 3, "cpu")
    right, wrong = one.truth(12), np.zeros_like(one.truth(12))
    assert refinement.misfit(0, right[0]) < 0.2
    assert refine_network(refinement, right, wrong, 0.2, lambda share: None) == {}
    assert set(refine_network(refinement, wrong, wrong, 0.2, lambda share: None)) == {0}
    noisy = FarFieldRefinement(one.with_noise(1.0, 0.0, 0), Sign.POSITIVE, 8e-4, 3, "cpu")
    assert noisy.band(0).noise > 0.5
    assert refine_network(noisy, right, wrong, 0.2, lambda share: None) == {}, "the misfit is that of the noise"
