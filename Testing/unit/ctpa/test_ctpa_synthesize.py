"""From X-ray files to synthetic volumes: geometry, seeds, spread, reports, refusals; with a tiny untrained model."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from unit.ctpa.tiny_bundle import FINE, make_bundle, make_xray

from deeprecon.ctpa import pipeline as synthesize
from deeprecon.ctpa.diffusion import ensemble as samples
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.measure.quality import DEMONSTRATOR
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.data.files import sha256
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.run import Run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def xray(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_xray(tmp_path_factory.mktemp("xrays") / "xray.nii.gz")


@pytest.fixture(scope="module")
def given(bundle: Path, xray: Path) -> dict[str, Path]:
    return {"xray": xray, "bundle": bundle}


QUICK = {"steps": 2, "samples": 2}


# ---- results


def test_everything_is_there_with_its_geometry_and_figures(done, given, figures_of, warnings_of):
    output = done("synthesize", inputs=given, **QUICK)
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    assert set(result["outputs"]) == {
        "ct", "sample_01", "sample_02", "spread", "xray", "projected", "difference", "projection", "slices", "report",
    }  # fmt: skip
    assert all((output / entry["path"]).is_file() for entry in result["outputs"].values())
    ct = read_volume(output / "ct.nii.gz")
    assert ct.array.dtype == np.int16
    assert ct.array.shape == FINE.shape
    np.testing.assert_allclose(ct.spacing, FINE.spacing, rtol=1e-5)
    np.testing.assert_allclose(ct.ijk_to_ras, FINE.affine(), atol=1e-3)  # x to the left, y to the back, z to the head
    np.testing.assert_allclose(ct.to_ras([(48 - 1) / 2, (48 - 1) / 2, (56 - 1) / 2]), 0, atol=1e-3)
    assert -1000 <= ct.array.min() < ct.array.max() <= 1000
    figures = figures_of(output)
    assert figures["seeds"] == [0, 1]
    assert figures["voxels"] == "48 x 48 x 56"
    assert figures["demonstrator"] is True
    promised = {"nrmse", "ncc", "projection_ssim", "seam_ratio", "lung_hu", "blood_hu", "bone_hu", "xray_distance"}
    assert promised | {"seconds_denoise", "seconds_decode", "peak_memory_gb"} <= set(figures)
    assert figures["trust_reasons"][-1] == DEMONSTRATOR
    assert figures["trust"] in ("amber", "red")
    assert set(figures["trust_reasons"]) <= set(warnings_of(output))
    assert result["provenance"]["model"]["name"] == "Tiny"
    assert result["provenance"]["geometry"] == Geometry().to_json()
    assert result["provenance"]["drawn"] == ["the whole latent at once, fp32, on cpu"]
    assert not (output / ".job" / "scratch").exists()


def test_the_mean_and_the_spread_are_those_of_the_samples(done, given):
    output = done("synthesize", inputs=given, **QUICK | {"samples": 3})
    parts = np.stack([read_volume(output / f"sample_0{n}.nii.gz").array for n in (1, 2, 3)]).astype(float)
    assert parts.std(axis=0).max() > 0
    np.testing.assert_allclose(read_volume(output / "ct.nii.gz").array, parts.mean(axis=0), atol=0.51)
    np.testing.assert_allclose(read_volume(output / "spread.nii.gz").array, parts.std(axis=0, ddof=1), atol=0.51)


def test_a_sample_is_that_of_its_seed_to_the_bit(done, given):
    """Whichever others are drawn in the same run, and again."""
    first = done("synthesize", "first", inputs=given, seed=5, **QUICK)
    again = done("synthesize", "again", inputs=given, seed=5, **QUICK)
    alone = done("synthesize", "alone", inputs=given, seed=6, steps=2, samples=1)
    for name in ("ct", "sample_01", "spread"):
        assert (first / f"{name}.nii.gz").read_bytes() == (again / f"{name}.nii.gz").read_bytes()
    second = (first / "sample_02.nii.gz").read_bytes()
    assert second == (alone / "sample_01.nii.gz").read_bytes() == (alone / "ct.nii.gz").read_bytes()
    assert second != (first / "sample_01.nii.gz").read_bytes()
    assert not (alone / "spread.nii.gz").exists()


def test_the_full_preset_has_twice_the_voxels_of_the_same_latent(done, given):
    output = done("synthesize", inputs=given, preset="full", steps=2, samples=1)
    ct = read_volume(output / "ct.nii.gz")
    assert ct.array.shape == (112, 96, 96)
    np.testing.assert_allclose(ct.ijk_to_ras, Grid((112, 96, 96)).affine(), atol=1e-3)


def test_the_header_marks_it_as_synthetic(done, given):
    import nibabel

    output = done("synthesize", inputs=given, steps=2, samples=1)
    assert b"SYNTHETIC" in nibabel.load(output / "ct.nii.gz").header["descrip"].item()
    page = (output / "report.html").read_text(encoding="utf-8")
    for words in ("SYNTHETIC", "cannot be recovered from a radiograph", "does not determine depth", DEMONSTRATOR):
        assert words in page


def test_the_images_of_the_check_lie_where_the_ct_lies(done, given):
    output = done("synthesize", inputs=given, steps=2, samples=1)
    xray, projected, difference = (
        read_volume(output / f"{name}.nii.gz") for name in ("xray", "projected", "difference")
    )
    np.testing.assert_allclose(projected.array - xray.array, difference.array, atol=1e-4)
    assert xray.array.shape == (56, 1, 48)
    np.testing.assert_allclose(xray.to_ras([0, 0, 0])[[0, 2]], FINE.affine()[[0, 2], 3], atol=1e-3)
    np.testing.assert_allclose(xray.to_ras([47, 0, 55])[[0, 2]], -FINE.affine()[[0, 2], 3], atol=1e-3)
    assert xray.to_ras([3, 0, 9])[1] == 0


def test_a_flipped_xray_gives_another_ct(done, given):
    plain = done("synthesize", "plain", inputs=given, steps=2, samples=1)
    flipped = done("synthesize", "flipped", inputs=given, steps=2, samples=1, flip=True)
    assert (plain / "ct.nii.gz").read_bytes() != (flipped / "ct.nii.gz").read_bytes()
    mirrored = read_volume(plain / "xray.nii.gz").array[:, :, ::-1]
    np.testing.assert_allclose(read_volume(flipped / "xray.nii.gz").array, mirrored, atol=1e-3)


def test_projection_guidance_changes_the_sample_and_gives_the_same_bits_again(done, given):
    settings = {"steps": 4, "samples": 1}
    plain = done("synthesize", "plain", inputs=given, **settings)
    first, again = (
        done("synthesize", name, inputs=given, projection_guidance=True, **settings) for name in ("first", "again")
    )
    assert (first / "ct.nii.gz").read_bytes() != (plain / "ct.nii.gz").read_bytes()
    assert (first / "ct.nii.gz").read_bytes() == (again / "ct.nii.gz").read_bytes()


def test_a_bundle_that_was_trained_on_patients_is_no_demonstrator(done, xray, tmp_path, figures_of):
    own = make_bundle(tmp_path / "own", phantoms=False, thresholds=None)
    output = done("synthesize", inputs={"xray": xray, "bundle": own}, steps=2, samples=1)
    assert DEMONSTRATOR not in (output / "report.html").read_text(encoding="utf-8")
    reasons = figures_of(output)["trust_reasons"]
    assert any("held-out" in reason for reason in reasons)


def test_an_xray_that_was_taken_unlike_those_of_the_training_is_doubted(done, given, figures_of, warnings_of):
    output = done("synthesize", inputs=given, steps=2, samples=1, view="AP")
    reason = "The view is AP; the model was trained on PA views alone."
    assert reason in figures_of(output)["trust_reasons"]
    assert reason in warnings_of(output)
    assert not any("PA or an AP" in text for text in warnings_of(output))  # the user has set it


def test_a_result_out_of_a_folder_is_like_one_alone_and_is_exported(done, given, tmp_path):
    (tmp_path / "films").mkdir()
    shutil.copyfile(given["xray"], tmp_path / "films" / "xray.nii.gz")
    alone = done("synthesize", "alone", inputs=given, steps=2, samples=1)
    output = done("synthesize", "many", inputs=given | {"xray": tmp_path / "films"}, steps=2, samples=1)
    one, other = (json.loads((path / "result.json").read_text("utf-8")) for path in (alone, output / "xray"))
    changing = ("date", "seconds")
    assert {key: value for key, value in one["provenance"].items() if key not in changing} == {
        key: value for key, value in other["provenance"].items() if key not in changing
    }
    exported = done("export", "exported", inputs={"result": output / "xray"})
    assert sha256(given["xray"]).encode() in (exported / "dicom" / "slice_0001.dcm").read_bytes()


def test_progress_climbs_to_the_end_and_tells_the_time_left(done, given):
    output = done("synthesize", inputs=given, **QUICK)
    events = [json.loads(line) for line in (output / ".job" / "events.jsonl").read_text("utf-8").splitlines()]
    shares = [event["fraction"] for event in events if event["type"] == "progress"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert any(event["seconds_left"] for event in events if event["type"] == "progress")


# ---- stopping and going on


def test_a_run_that_is_stopped_keeps_the_samples_that_are_done(start, given, monkeypatch, figures_of):
    drawn = []

    def draw(*arguments):
        sample = samples_draw(*arguments)
        drawn.append(sample)
        next(value for value in arguments if isinstance(value, Run)).folder.joinpath("stop").touch()
        return sample

    samples_draw = samples.draw_sample
    monkeypatch.setattr(samples, "draw_sample", draw)
    code, output = start("synthesize", inputs=given, steps=2, samples=3)
    assert code == 0
    assert figures_of(output)["seeds"] == [0]
    assert len(drawn) == 1
    assert not (output / "spread.nii.gz").exists()


def test_a_run_that_is_stopped_at_once_leaves_nothing(start, given, tmp_path):
    (tmp_path / "out" / ".job").mkdir(parents=True)
    (tmp_path / "out" / ".job" / "stop").touch()
    code, output = start("synthesize", inputs=given, **QUICK)
    assert code == 3
    assert [path.name for path in output.iterdir()] == [".job"]
    assert not (output / ".job" / "scratch").exists()


def test_a_run_that_was_killed_goes_on_with_the_latents_it_had(start, done, given, monkeypatch):
    """A power cut amid the second decoding; afterwards nothing is drawn twice, and the bits are the same."""
    whole = done("synthesize", "whole", inputs=given, **QUICK)
    decode, calls = samples._decode, []

    def cut(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.EIO, "the power went")
        return decode(*arguments)

    monkeypatch.setattr(samples, "_decode", cut)
    code, output = start("synthesize", "killed", inputs=given, **QUICK)
    assert code == 1
    assert [path.name for path in output.iterdir()] == [".job"]
    monkeypatch.setattr(samples, "_decode", decode)
    monkeypatch.setattr(samples, "denoise_latent", None)
    code, output = start("synthesize", "killed", inputs=given, **QUICK)
    assert code == 0
    for name in ("ct", "sample_02", "spread"):
        assert (output / f"{name}.nii.gz").read_bytes() == (whole / f"{name}.nii.gz").read_bytes()


def test_memory_that_runs_out_while_decoding_makes_smaller_tiles_and_the_same_bits(
    done, given, monkeypatch, warnings_of
):
    plain = done("synthesize", "plain", inputs=given, steps=2, samples=1)
    decode, tiles = samples.decode_tiled, []

    def scarce(model, latent, size, *rest):
        tiles.append(size[0])
        if size[0] > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return decode(model, latent, size, *rest)

    monkeypatch.setattr(samples, "decode_tiled", scarce)
    output = done("synthesize", "scarce", inputs=given, steps=2, samples=1)
    assert tiles == [16, 8, 4]
    assert (output / "ct.nii.gz").read_bytes() == (plain / "ct.nii.gz").read_bytes()
    assert sum("Memory ran out while decoding" in warning for warning in warnings_of(output)) == 2


def test_shorter_numbers_come_after_the_smallest_tiles_of_a_decoder(done, given, monkeypatch, warnings_of):
    """The same order as in drawing: smaller parts, then precision, then the CPU."""
    decode, tried = samples.decode_tiled, []

    def scarce(model, latent, size, *rest):
        tried.append((latent.dtype, size[0]))
        if latent.dtype == torch.float32:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return decode(model.float(), latent.float(), size, *rest)  # bf16 is slow where a CPU has to imitate it

    monkeypatch.setattr(samples, "decode_tiled", scarce)
    output = done("synthesize", inputs=given, steps=2, samples=1)
    assert tried == [*((torch.float32, tile) for tile in (16, 8, 4, 2)), (torch.bfloat16, 2)]
    assert any("goes on in bf16 with tiles of 2" in warning for warning in warnings_of(output))


def test_windows_are_settings_of_the_verb(done, given):
    """Drawn in windows, a latent is nearly that which is drawn at once."""
    whole = done("synthesize", "whole", inputs=given, steps=2, samples=1)
    output = done("synthesize", "windows", inputs=given, steps=2, samples=1, window=8, stride=8, blending="gaussian")
    report = (output / "report.html").read_text(encoding="utf-8")
    assert "windows of 8 latent voxels" in report
    one, other = (read_volume(folder / "ct.nii.gz").array.astype(float) for folder in (whole, output))
    assert 0 < np.abs(one - other).mean() < 0.1 * one.std()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window": 20}, "window: 20 does not divide by 8"),
        ({"window": 16, "stride": 24}, "windows of 16 leave gaps"),
        ({"stride": 8}, "needs a window"),
    ],
)
def test_windows_that_cannot_be_are_refused(settings, words, error_of, given):
    assert words in error_of("synthesize", inputs=given, **QUICK | settings)


# ---- refusals


@pytest.mark.parametrize("fault", ["changed weights", "lost weights", "no card", "other method", "preset", "misfit"])
def test_bundles_that_cannot_be_used_are_refused(fault, error_of, bundle, xray, tmp_path):
    folder = tmp_path / "bundle"
    words = {
        "changed weights": "checksum differs",
        "lost weights": "lacks: models/denoiser.safetensors",
        "no card": "is no model bundle",
        "other method": "is for scar, not for ctpa",
        "preset": "was not trained for the preset preview",
        "misfit": "do not fit",
    }[fault]
    if fault == "other method":
        make_bundle(folder, "scar")
    elif fault == "preset":
        make_bundle(folder, presets=["full"])
    elif fault == "misfit":
        make_bundle(folder, latent_mean=["a", 0, 0])
    else:
        shutil.copytree(bundle, folder)
        if fault == "changed weights":
            path = folder / "models" / "denoiser.safetensors"
            content = bytearray(path.read_bytes())
            content[-1] ^= 1
            path.write_bytes(content)
        elif fault == "lost weights":
            (folder / "models" / "denoiser.safetensors").unlink()
        else:
            shutil.rmtree(folder / "configs")
    assert words in error_of("synthesize", inputs={"xray": xray, "bundle": folder}, **QUICK)


def test_a_ct_that_is_offered_as_xray_is_refused(error_of, bundle, tmp_path, done):
    from deeprecon.data.volume import Volume
    from deeprecon.data.volume_io import write_volume

    path = tmp_path / "ct.nii.gz"
    write_volume(path, Volume(np.zeros((20, 70, 70), np.int16), np.eye(4)))
    words = error_of("synthesize", inputs={"xray": path, "bundle": bundle}, **QUICK)
    assert "is a volume of 70 x 70 x 20 voxels, not an X-ray" in words


@pytest.mark.parametrize(
    ("tag", "value", "words"),
    [("0018|5101", "LL", "not a frontal view by its ViewPosition LL"), ("0008|0060", "CT", "CT")],
)
def test_other_views_and_modalities_are_refused(tag, value, words, error_of, bundle, tmp_path):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 4000, (1, 80, 90)).astype(np.uint16))
    for key, text in {"0008|0060": "DX", "0018|5101": "PA", "0028|0004": "MONOCHROME2"}.items():
        image.SetMetaData(key, value if key == tag else text)
    path = tmp_path / "x.dcm"
    sitk.WriteImage(image, str(path))
    assert words in error_of("synthesize", inputs={"xray": path, "bundle": bundle}, **QUICK)


def test_too_little_memory_is_refused_before_it_starts(error_of, given, monkeypatch):
    monkeypatch.setattr(synthesize, "memory", lambda: (8_000_000_000, 400_000_000))
    words = error_of("synthesize", inputs=given, **QUICK)
    assert "GB, 0.4 GB are free." in words
    assert "Too little memory" in words
    assert "--window" in words


def test_too_little_disk_is_refused_before_it_starts(error_of, given, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(synthesize.shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    assert "Too little disk space" in error_of("synthesize", inputs=given, **QUICK)


def test_a_disk_that_fills_up_leaves_nothing(start, given, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(samples.np.lib.format, "open_memmap", full)
    code, output = start("synthesize", inputs=given, **QUICK)
    assert code == 1
    assert [path.name for path in output.iterdir()] == [".job"]
    assert not (output / ".job" / "scratch").exists()
    events = [json.loads(line) for line in (output / ".job" / "events.jsonl").read_text("utf-8").splitlines()]
    assert [event["kind"] for event in events if event["type"] == "error"] == ["disk"]
