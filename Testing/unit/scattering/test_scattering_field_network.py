"""A network for measured fields, in three dimensions: trained for an arrangement, used, refined, and refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.job import Job
from deeprecon.scattering.fit.field_network import arrangement_checksum, born_image, read_field_model
from deeprecon.scattering.fit.measured_bands import measured_bands
from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.physics.forward_model import ForwardModel
from deeprecon.scattering.physics.region import Region
from deeprecon.scattering.read.measurements import read_measurement
from deeprecon.scattering.read.scattered_fields import Band, ScatteredFields
from deeprecon.scattering.simulate.field_objects import ball_share, random_balls
from deeprecon.scattering.write.field_file import write_field_file
from deeprecon.worker import run_job

Done = Callable[..., Path]
REGION = Region(np.zeros(3), 0.1, 16)
SPEED = 1500.0
NETWORK = {"objects": 60, "grid": 16, "levels": 2, "rank": 4, "kernels": 1, "epochs": 40, "batch": 8, "patience": 0}


def sphere(count: int, radius: float) -> np.ndarray:
    """Points spread over a sphere (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    z, angle = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    return radius * np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=-1)


def truth() -> np.ndarray:
    return 0.6 * ball_share(REGION, np.array([0.015, -0.01, 0.0]), 0.013)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fields of a ball between 4 sources and 24 receivers, one wavelength in the region."""
    arrangement = Arrangement(sphere(4, 0.2), np.broadcast_to(sphere(24, 0.21), (4, 24, 3)))
    data = ForwardModel(60.0, arrangement, REGION).scattered(truth())
    band = Band(60.0 * SPEED / (2 * np.pi), data, None, np.ones(data.shape, bool))
    path = tmp_path_factory.mktemp("ball") / "ball.h5"
    write_field_file(path, ScatteredFields(arrangement, (band,), SPEED, True, np.zeros(3), 0.1).with_noise(0.02, 0))
    return path


@pytest.fixture(scope="module")
def trained(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "out"
    Job("scattering", "train", {"data": str(path)}, NETWORK, "..", "cpu", 1, "fp32", 1).save(folder / ".job")
    assert run_job(folder / ".job") == 0, (folder / ".job" / "events.jsonl").read_text(encoding="utf-8")
    return folder


def test_a_ball_fills_its_share_of_the_pixels() -> None:
    share = ball_share(REGION, np.array([0.01, 0.0, -0.02]), 0.015)
    volume = share.sum() * REGION.spacing**3
    assert volume == pytest.approx(4 / 3 * np.pi * 0.015**3, rel=0.02)
    place = (share.ravel()[:, None] * REGION.points()).sum(axis=0) / share.sum()
    np.testing.assert_allclose(place, [0.01, 0.0, -0.02], atol=1e-4)


def test_balls_lie_in_the_region_with_contrasts_of_the_range() -> None:
    for number in range(5):
        image = random_balls(np.random.default_rng(number), REGION, (-0.5, 0.8))
        assert image.any()
        assert -0.5 <= image.min() <= image.max() <= 0.8
        assert not image[[0, -1]].any()


def test_the_born_approximation_explains_its_own_fields_and_has_an_adjoint(path: Path) -> None:
    (band,), _ = measured_bands(read_measurement(path), REGION, 0.02, "cpu")
    expected = truth()
    weak = replace(band, data=band.model.born(0.01 * expected))
    image = born_image([weak])
    assert np.linalg.norm(band.model.born(image) - weak.data) < 0.1 * np.linalg.norm(weak.data)
    assert (image * expected).sum() > 0.5 * np.linalg.norm(image) * np.linalg.norm(expected)
    model = ForwardModel(60.0, read_measurement(path).arrangement, REGION, double=True)
    one = np.vdot(weak.data, model.born(expected))
    assert one == pytest.approx(np.vdot(model.born_adjoint(weak.data), expected), rel=1e-12)


def test_a_trained_network_beats_the_born_approximation_and_is_refined_to_the_noise(
    trained: Path, path: Path, done: Done, result_of: Any
) -> None:
    figures = result_of(trained)["metrics"]
    assert figures["relative_l2"] < 0.97 * figures["relative_l2_linear"]
    inputs = {"data": path, "bundle": trained / "bundle"}
    shared: dict[str, Any] = {"inputs": inputs, "method": "mnn", "noise": 2.0}
    plain = done("reconstruct", "plain", refine=False, **shared)
    refined = done("reconstruct", "refined", contrast="positive", smoothing=1e-3, **shared)
    expected = truth()
    errors = [
        float(np.linalg.norm(np.asarray(read_volume(folder / "contrast.nii.gz").array) - expected))
        / float(np.linalg.norm(expected))
        for folder in (plain, refined)
    ]
    assert errors[0] < 0.95
    assert errors[1] < 0.7 * errors[0]
    assert not (plain / "history.csv").exists()
    assert result_of(refined)["metrics"]["data_misfit"] < 0.5 * result_of(plain)["metrics"]["data_misfit"]


def test_a_network_is_refused_for_other_arrangements_and_frequencies(
    trained: Path, path: Path, refused: Callable[..., str], tmp_path: Path, data: Path
) -> None:
    fields = read_measurement(path)
    model = read_field_model(trained / "bundle")
    assert model.select(fields).bands[0].frequency == fields.bands[0].frequency
    turned = replace(fields.arrangement, source=-fields.arrangement.source)
    higher = (replace(fields.bands[0], frequency=1.1 * fields.bands[0].frequency),)
    wrong = {
        "other sources and receivers": replace(fields, arrangement=turned),
        "has no fields at": replace(fields, bands=higher),
        "another region": replace(fields, side=0.12),
    }
    for number, (words, other) in enumerate(wrong.items()):
        write_field_file(tmp_path / "other.h5", other)
        inputs = {"data": tmp_path / "other.h5", "bundle": trained / "bundle"}
        assert words in refused("reconstruct", f"out{number}", inputs=inputs, method="mnn")
    assert "needs a trained network" in refused("reconstruct", "none", inputs={"data": path}, method="mnn")
    assert "far fields" in refused(
        "reconstruct", "far", inputs={"data": data, "bundle": trained / "bundle"}, method="mnn"
    )
    assert "'mnn-h2', not 'bcrnet'" in refused(
        "reconstruct", "kind", inputs={"data": data, "bundle": trained / "bundle"}, method="bcrnet"
    )
    assert "grid cannot be set with far fields" in refused("train", "train", inputs={"data": data}, grid=48)


def test_checksums_of_arrangements_bear_rounding(path: Path) -> None:
    arrangement = read_measurement(path).arrangement
    assert arrangement_checksum(replace(arrangement, source=arrangement.source + 1e-12)) == arrangement_checksum(
        arrangement
    )
    assert arrangement_checksum(replace(arrangement, far_field=True)) != arrangement_checksum(arrangement)
