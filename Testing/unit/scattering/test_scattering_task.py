"""The verbs from file to file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from deeprecon import cli
from deeprecon.data.tables import read_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume
from deeprecon.jobs.job import Job
from deeprecon.scattering.fit.network import read_model
from deeprecon.scattering.measure.metrics import relative_l2
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.read.far_field_file import read_far_fields
from deeprecon.scattering.read.reconstruction_file import read_reconstruction
from deeprecon.scattering.training.dataset import split_objects
from deeprecon.scattering.write.far_field_file import write_far_fields
from deeprecon.training.bundle import read_bundle
from deeprecon.worker import run_job

from .conftest import simulate

Done = Callable[..., Path]
SMALL = {"rank": 6, "kernels": 2, "refinements": 3, "levels": 2, "angles": 32, "rings": 12, "batch": 16}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 objects for a training that learns something."""
    path = tmp_path_factory.mktemp("many") / "train.h5"
    write_far_fields(path, simulate(400, seed=7), "T-matrix")
    return path


@pytest.fixture(scope="module")
def trained(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of a short training."""
    folder = tmp_path_factory.mktemp("trained") / "out"
    settings = {**SMALL, "rank": 12, "epochs": 10}
    Job("scattering", "train", {"data": str(many)}, settings, "..", "cpu", 1, "fp32", 1).save(folder / ".job")
    assert run_job(folder / ".job") == 0, (folder / ".job" / "events.jsonl").read_text(encoding="utf-8")
    return folder


# ---- phantom and prepare


@pytest.mark.parametrize("family", ["mixed", "discs", "ellipses", "annulus", "shepp-logan"])
def test_phantoms_of_every_family_conserve_energy_and_repeat(family: str, done: Done, result_of: Any) -> None:
    settings = {"family": family, "count": 2, "k": 2.0, "angles": 32, "rings": 16, "grid": 32}
    output = done("phantom", seed=3, **settings)
    found = read_far_fields(output / "data.h5", 32)
    assert found.notes == ()
    assert (len(found), found.k, found.angles) == (2, 2.0, 32)
    assert float(np.abs(found.truth(16)).max()) > 0.05
    again = read_far_fields(done("phantom", "again", seed=3, **settings) / "data.h5", 32)
    np.testing.assert_allclose(found.far_field, again.far_field, atol=1e-6)
    other = read_far_fields(done("phantom", "other", seed=4, **settings) / "data.h5", 32)
    assert not np.array_equal(found.far_field, other.far_field)
    assert result_of(output)["metrics"]["objects"] == 2


def test_a_larger_phantom_begins_with_the_same_objects(done: Done) -> None:
    few = read_far_fields(done("phantom", count=3, k=2.0, angles=32) / "data.h5", 32)
    more = read_far_fields(done("phantom", "more", count=5, k=2.0, angles=32) / "data.h5", 32)
    np.testing.assert_array_equal(more.far_field[:3], few.far_field)


def test_noise_of_phantoms_is_in_percent_of_the_object_or_of_each_value(done: Done) -> None:
    clean, additive, relative = (
        read_far_fields(done("phantom", name, count=8, k=2.0, angles=32, **noise) / "data.h5", 32).far_field
        for name, noise in (("clean", {}), ("additive", {"noise": 10.0}), ("relative", {"relative_noise": 10.0}))
    )
    size = np.sqrt((np.abs(clean) ** 2).mean(axis=(1, 2), keepdims=True))
    for noise in ((additive - clean) / size, (relative - clean) / clean):
        assert np.sqrt((np.abs(noise) ** 2).mean()) == pytest.approx(0.1, rel=0.05)


def test_prepare_brings_a_file_onto_uniform_directions(data: Path, measured: FarFieldData, done: Done) -> None:
    output = done("prepare", inputs={"data": data}, angles=48)
    found = read_far_fields(output / "data.h5", 32)
    np.testing.assert_allclose(found.far_field, measured.far_field, atol=1e-5)
    with h5py.File(output / "data.h5") as file:
        assert file["farfield.real"].shape == (48 * 48, 40)


def test_prepare_simulates_slices_of_labels(done: Done, result_of: Any) -> None:
    folder = done("phantom", "unused", count=1, k=2.0).parent
    labels = np.zeros((3, 40, 40), np.uint8)
    labels[1, 10:28, 12:30] = 1
    labels[1, 16:20, 16:20] = 2
    write_volume(folder / "labels.nrrd", Volume(labels, np.diag([1.5, 1.5, 6.0, 1.0])))
    output = done("prepare", inputs={"volume": folder / "labels.nrrd"}, k=2.0, speeds=["1=1450", "2=1580"])
    figures = result_of(output)["metrics"]
    assert figures["contrast_min"] == pytest.approx(-0.1226, abs=1e-3)
    assert figures["contrast_max"] == pytest.approx(0.0418, abs=1e-3)
    # k = 2 pi f R / c
    assert 2 * np.pi * figures["frequency_khz"] * 1e3 * figures["radius_mm"] * 1e-3 / 1480 == pytest.approx(2.0)
    found = read_far_fields(output / "data.h5")
    assert found.notes == ()
    assert found.geometry is not None
    assert found.geometry.sound_speed == 1480.0


def test_prepare_needs_just_one_input(data: Path, refused: Callable[..., str]) -> None:
    assert "--data or on --volume" in refused("prepare")
    assert "--data or on --volume" in refused("prepare", "both", inputs={"data": data, "volume": data})


def test_settings_for_volumes_are_not_ignored_with_data(data: Path, refused: Callable[..., str]) -> None:
    assert "k, noise cannot be set with --data" in refused("prepare", inputs={"data": data}, noise=5.0, k=4.0)


# ---- classical reconstruction, evaluate, export


@pytest.mark.parametrize("method", ["backprojection", "tikhonov"])
def test_classical_methods_reconstruct_and_are_evaluated(
    method: str, data: Path, measured: FarFieldData, done: Done, result_of: Any
) -> None:
    output = done("reconstruct", inputs={"data": data}, method=method, rings=12, angles=32, misfits=1, radius=30.0)
    found = result_of(output)
    names = {"contrast", "truth", "difference", "result", "table", "report", "images"}
    assert set(found["outputs"]) == names
    figures = found["metrics"]
    assert 0.3 < figures["relative_l2"] < 0.95
    assert figures["relative_l2_empty"] == pytest.approx(1)
    assert 0 < figures["data_misfit"] < 1.2
    result = read_reconstruction(output / "reconstruction.h5")
    assert figures["relative_l2"] == pytest.approx(relative_l2(result.polar, measured.truth(12)).mean(), rel=1e-5)
    rows = read_table(output / "table.csv")
    assert len(rows) == 40
    assert rows[0]["data_misfit"]
    assert not rows[1]["data_misfit"]
    score = result_of(done("evaluate", "score", inputs={"result": output / "reconstruction.h5", "truth": data}))
    assert score["metrics"]["relative_l2"] == pytest.approx(figures["relative_l2"], rel=1e-5)
    assert score["metrics"]["relative_l2_empty"] == pytest.approx(1)


def test_volumes_have_the_size_of_the_region_and_lie_around_its_middle(data: Path, done: Done) -> None:
    output = done("reconstruct", inputs={"data": data}, grid=40, radius=30.0, misfits=0)
    volume, truth = read_volume(output / "contrast.nrrd"), read_volume(output / "truth.nrrd")
    assert volume.array.shape == (40, 40, 40)
    np.testing.assert_allclose(volume.spacing, [1.5, 1.5, 1.5])
    np.testing.assert_allclose(volume.to_ras([19.5, 19.5, 0]), [0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(volume.ijk_to_ras[:3, 3], [-29.25, -29.25, 0])
    difference = read_volume(output / "difference.nrrd")
    np.testing.assert_allclose(difference.array, np.asarray(volume.array) - np.asarray(truth.array), atol=1e-6)


def test_an_assumed_radius_gives_a_warning(data: Path, done: Done, warnings_of: Callable[[Path], str]) -> None:
    assert "a radius of 50 mm is taken" in warnings_of(done("reconstruct", inputs={"data": data}, misfits=0))


def test_the_true_image_has_no_data_misfit(data: Path, measured: FarFieldData, tmp_path: Path) -> None:
    from deeprecon.jobs.run import Run, SilentReporter
    from deeprecon.scattering.measure.data_misfit import data_misfits

    run = Run(tmp_path, tmp_path, "cpu", 1, "fp32", 0, SilentReporter())
    right, empty = measured.truth(12)[:1], np.zeros((1, 32, 12))
    assert data_misfits(right, measured, run)[0] < 0.2  # 12 rings blur the rim
    assert data_misfits(empty, measured, run)[0] == pytest.approx(1)


def test_a_contrast_that_no_medium_has_is_compared_as_the_lowest_one(measured: FarFieldData, tmp_path: Path) -> None:
    from deeprecon.jobs.run import Run, SilentReporter
    from deeprecon.scattering.measure.data_misfit import data_misfits

    run = Run(tmp_path, tmp_path, "cpu", 1, "fp32", 0, SilentReporter())
    below, lowest = (data_misfits(np.full((1, 32, 12), value), measured, run) for value in (-2.0, -0.95))
    assert below == pytest.approx(lowest, rel=1e-5)


def test_export_writes_sound_speeds(data: Path, done: Done, refused: Callable[..., str]) -> None:
    output = done("reconstruct", inputs={"data": data}, misfits=0, radius=30.0, most=2)
    result = {"result": output / "reconstruction.h5"}
    exported = done("export", "export", inputs=result, quantity="speed", background=1500.0, grid=32, format="nii.gz")
    speed = np.asarray(read_volume(exported / "speed.nii.gz").array)
    assert speed.shape == (2, 32, 32)
    assert speed[0, 0, 0] == pytest.approx(1500.0)
    assert 1000 < speed.min() < 1450
    contrast = read_volume(done("export", "plain", inputs=result) / "contrast.nrrd")
    np.testing.assert_allclose(contrast.spacing[:2], 60 / 128, rtol=1e-6)
    assert "does not state the sound speed" in refused("export", "no", inputs=result, quantity="speed")


# ---- training and the network


def test_training_beats_the_linear_inversions_and_reports_both(trained: Path, result_of: Any) -> None:
    figures = result_of(trained)["metrics"]
    rows = {(row["method"], row["objects"]): row for row in read_table(trained / "metrics.csv")}
    linear = min(float(row["relative_l2"]) for (method, _), row in rows.items() if method.startswith(("tik", "back")))
    assert figures["relative_l2"] < 0.9 * linear
    assert float(rows["empty image", "test"]["relative_l2"]) == pytest.approx(1)
    assert all(float(row["relative_l2_empty"]) == pytest.approx(1) for row in rows.values())
    assert float(rows["bcrnet", "test, 10% noise"]["relative_l2"]) < 1.1 * figures["relative_l2"]
    history = read_table(trained / "history.csv")
    assert [row["stage"] for row in history] == ["1"] * 8 + ["2"] * 2
    assert float(history[-1]["validation"]) < float(history[0]["validation"])


def test_the_split_is_fixed_by_the_seed_and_no_object_is_in_two_sets(trained: Path) -> None:
    sets = [row["set"] for row in read_table(trained / "split.csv")]
    assert {name: sets.count(name) for name in set(sets)} == {"train": 320, "validation": 40, "test": 40}
    for name, chosen in split_objects(400, 0.8, 1).items():
        np.testing.assert_array_equal(chosen, split_objects(400, 0.8, 1)[name])
    sets = split_objects(50, 0.8, 2)
    assert sorted(np.concatenate(list(sets.values())).tolist()) == list(range(50))
    assert not np.array_equal(sets["train"], split_objects(50, 0.8, 3)["train"])


def test_the_bundle_states_its_validity(trained: Path) -> None:
    bundle = read_bundle(trained / "bundle", "scattering")
    assert bundle.parameters["k"] == 3.0
    assert "k = 3" in bundle.metadata["valid_for"]
    assert "train.h5" in bundle.metadata["training_data"]
    assert str(trained) not in json.dumps(bundle.metadata)
    assert "relative l2" in (trained / "bundle" / "docs" / "README.md").read_text(encoding="utf-8")


def test_reconstruct_with_the_network_beats_tikhonov_on_new_objects(
    trained: Path, data: Path, done: Done, result_of: Any
) -> None:
    output = done("reconstruct", inputs={"data": data, "bundle": trained / "bundle"}, method="bcrnet", misfits=0)
    linear = done("reconstruct", "linear", inputs={"data": data}, rings=12, angles=32, misfits=0)
    ours, theirs = (result_of(folder)["metrics"]["relative_l2"] for folder in (output, linear))
    assert ours < 0.9 * theirs
    model = read_model(trained / "bundle")
    images = model.predict(read_far_fields(data, 32), "cpu", "fp32")
    np.testing.assert_allclose(images, read_reconstruction(output / "reconstruction.h5").polar, atol=1e-6)


def test_the_same_training_gives_the_same_weights(data: Path, done: Done) -> None:
    settings = {**SMALL, "epochs": 2, "noise": 10.0, "relative_noise": 5.0}
    one = done("train", "one", inputs={"data": data}, **settings)
    other = done("train", "other", inputs={"data": data}, **settings)
    sparing = done("train", "sparing", inputs={"data": data}, gradient_checkpointing=True, **settings)
    weights = [(folder / "bundle" / "models" / "model.safetensors").read_bytes() for folder in (one, other, sparing)]
    assert weights[0] == weights[1] == weights[2]


def test_training_goes_on_from_a_bundle(trained: Path, data: Path, done: Done) -> None:
    settings = {**SMALL, "rank": 12, "epochs": 2, "learning_rate": 1e-6}
    output = done("train", inputs={"data": data, "initial": trained / "bundle"}, **settings)
    before, after = (read_model(folder / "bundle") for folder in (trained, output))
    assert before.normalization == after.normalization
    measured = read_far_fields(data, 32)
    images = [model.predict(measured, "cpu", "fp32") for model in (before, after)]
    np.testing.assert_allclose(images[1], images[0], atol=0.02)
    assert not np.array_equal(images[1], images[0])


def test_an_interrupted_training_gives_the_same_weights(data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    settings = {**SMALL, "epochs": 4, "noise": 10.0, "second_stage": 0.5}

    def job(name: str) -> Path:
        folder = tmp_path / name / ".job"
        Job("scattering", "train", {"data": str(data)}, settings, "..", "cpu", 1, "fp32", 0).save(folder)
        return folder

    whole, broken = job("whole"), job("broken")
    assert run_job(whole) == 0

    from deeprecon.training import fit as loop

    real, calls = loop.save_checkpoint, [0]

    def failing(*values: Any) -> None:
        real(*values)
        calls[0] += 1
        if calls[0] == 3:  # in the second stage
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_checkpoint", failing)
    assert run_job(broken) == 3
    monkeypatch.setattr(loop, "save_checkpoint", real)
    assert run_job(broken) == 0
    files = [folder.parent / "bundle" / "models" / "model.safetensors" for folder in (whole, broken)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_network_worse_than_linear_inversion_gives_a_warning(
    data: Path, done: Done, warnings_of: Callable[[Path], str], result_of: Any
) -> None:
    output = done("train", inputs={"data": data}, **{**SMALL, "epochs": 2})
    figures = result_of(output)["metrics"]
    assert figures["relative_l2"] > figures["relative_l2_linear"]
    assert f"linear inversion {figures['relative_l2_linear']:.3f}: train on more" in warnings_of(output)
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "train on more objects" in page
    assert "learning_rate" in page  # the settings


# ---- refusals


def test_another_wave_number_is_refused(trained: Path, done: Done, refused: Callable[..., str]) -> None:
    other = done("phantom", "other", count=2, k=4.0)
    inputs = {"data": other / "data.h5", "bundle": trained / "bundle"}
    assert "trained for k = 3 (wave number times radius), data.h5 has 4" in refused(
        "reconstruct", inputs=inputs, method="bcrnet"
    )


def test_a_limited_aperture_is_refused(trained: Path, data: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    shutil.copy(data, tmp_path / "half.h5")
    with h5py.File(tmp_path / "half.h5", "a") as file:
        file.attrs["far_param.app"] = np.pi
    inputs = {"data": tmp_path / "half.h5", "bundle": trained / "bundle"}
    assert "limited aperture is not supported" in refused("reconstruct", inputs=inputs, method="bcrnet")


def test_data_unlike_the_training_data_give_a_warning(
    trained: Path, done: Done, warnings_of: Callable[[Path], str]
) -> None:
    weak = done("phantom", "weak", count=2, k=3.0, contrast_min=0.001, contrast_max=0.002)
    inputs = {"data": weak / "data.h5", "bundle": trained / "bundle"}
    assert "images are not reliable" in warnings_of(done("reconstruct", inputs=inputs, method="bcrnet", misfits=0))


def test_method_and_bundle_belong_together(trained: Path, data: Path, refused: Callable[..., str]) -> None:
    assert "needs a trained network" in refused("reconstruct", inputs={"data": data}, method="bcrnet")
    inputs = {"data": data, "bundle": trained / "bundle"}
    assert "--bundle is for --method bcrnet" in refused("reconstruct", "other", inputs=inputs, method="tikhonov")


def test_a_damaged_bundle_is_refused(trained: Path, data: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    shutil.copytree(trained / "bundle", tmp_path / "bundle")
    weights = tmp_path / "bundle" / "models" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    inputs = {"data": data, "bundle": tmp_path / "bundle"}
    assert "changed or damaged" in refused("reconstruct", inputs=inputs, method="bcrnet")


def test_training_refuses_unsuitable_data(
    trained: Path, data: Path, measured: FarFieldData, tmp_path: Path, refused: Callable[..., str]
) -> None:
    write_far_fields(tmp_path / "blind.h5", FarFieldData(measured.far_field, measured.k), "test")
    write_far_fields(tmp_path / "few.h5", measured.subset(slice(3)), "test")
    assert "no true contrast" in refused("train", "a", inputs={"data": tmp_path / "blind.h5"}, **SMALL)
    assert "too few to train" in refused("train", "b", inputs={"data": tmp_path / "few.h5"}, **SMALL)
    initial = {"data": data, "initial": trained / "bundle"}
    assert "rank 12, not 6" in refused("train", "c", inputs=initial, **SMALL)
    assert "angles must be divisible by 32" in refused("train", "d", inputs={"data": data}, levels=5, angles=48)


def test_evaluate_refuses_other_objects(data: Path, done: Done, refused: Callable[..., str]) -> None:
    output = done("reconstruct", inputs={"data": data}, misfits=0, most=5)
    fewer = done("phantom", "fewer", count=3, k=3.0) / "data.h5"
    other = done("phantom", "other", count=6, k=4.0) / "data.h5"
    result = output / "reconstruction.h5"
    assert "has 5 objects" in refused("evaluate", "a", inputs={"result": result, "truth": fewer})
    assert "is of k = 3" in refused("evaluate", "b", inputs={"result": result, "truth": other})
    assert "is no reconstruction" in refused("evaluate", "c", inputs={"result": data, "truth": data})


def test_settings_out_of_range_are_refused(data: Path, refused: Callable[..., str]) -> None:
    assert "contrast_max lies below contrast_min" in refused("phantom", "a", contrast_max=-0.6)
    assert "angles must be even" in refused("phantom", "b", angles=33)
    assert "expected 0.5 to 200" in refused("phantom", "c", k=0.0)


def test_the_command_line_runs_the_method(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data", str(data), "--method", "backprojection", "--misfits", "0", "--most", "2"]
    assert cli.main(["scattering", "reconstruct", *options, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert "relative_l2" in capsys.readouterr().out
    assert (tmp_path / "out" / "contrast.nrrd").exists()


def test_torch_is_not_needed_for_discs_and_linear_inversion() -> None:
    from deeprecon.jobs.verbs import load_verb
    from deeprecon.scattering.parameters import Family, Method, PhantomParameters, ReconstructParameters

    assert not load_verb("scattering", "phantom").needs_torch(PhantomParameters(Family.DISCS))
    assert load_verb("scattering", "phantom").needs_torch(PhantomParameters(family=Family.ANNULUS))
    assert not load_verb("scattering", "reconstruct").needs_torch(ReconstructParameters(misfits=0))
    assert load_verb("scattering", "reconstruct").needs_torch(ReconstructParameters(Method.BCRNET, misfits=0))
    assert torch.get_num_threads() >= 1
