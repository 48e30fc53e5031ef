"""Inputs of the supervised networks, tiles, and a network from training to the enhanced scan."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deeprecon.data.diffusion.files import read_dwi, write_dwi
from deeprecon.data.diffusion.gradients import gradient_table
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.volume_io import read_volume
from deeprecon.dwmri.fit.supervised import apply_network, tiles
from deeprecon.dwmri.networks.inputs import neighbor_weights, network_inputs
from deeprecon.dwmri.networks.resolution import downsample, finer_affine, upsample, upsample_scan
from deeprecon.dwmri.simulate.head import acquisition

from .networks import perturbed


def test_neighbors_are_those_of_the_same_shell_and_near_in_direction():
    table = acquisition(3, [(1000.0, 12), (2500.0, 1)])
    weights = neighbor_weights(table)
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=1e-5)
    b0, alone = np.flatnonzero(table.b0), int(np.flatnonzero(table.bvals > 2000)[0])
    np.testing.assert_allclose(weights[np.ix_(b0, b0)], (1 - np.eye(3)) / 2)
    assert weights[alone, alone] == 1
    shell = np.flatnonzero((table.bvals > 500) & (table.bvals < 2000))
    cosine = np.abs(table.directions[shell] @ table.directions[shell].T) - 2 * np.eye(12)
    assert (weights[np.ix_(shell, shell)].argmax(axis=0) == cosine.argmax(axis=0)).all()


def test_directions_of_b0_volumes_do_not_change_the_inputs(head):
    table = head.noisy.gradients
    directions = table.directions.copy()
    directions[table.b0] = np.random.default_rng(0).standard_normal((table.b0.sum(), 3))
    filled = gradient_table(np.where(table.b0, 0.004, table.bvals), directions)
    assert filled.directions[table.b0].any()
    made = [network_inputs(head.noisy.array, each, head.noisy.ijk_to_ras, head.mask, head.sigma, "cpu")
            for each in (table, filled)]  # fmt: skip
    torch.testing.assert_close(made[0].codes, made[1].codes, atol=1e-3, rtol=0)
    torch.testing.assert_close(made[0].neighbors, made[1].neighbors)


def test_the_inputs_do_not_depend_on_the_scale_of_the_image(head):
    channels = [
        network_inputs(head.noisy.array * factor, head.noisy.gradients, head.noisy.ijk_to_ras, head.mask,
                     head.sigma * factor, "cpu").channels(4)
        for factor in (np.float32(1), np.float32(50))
    ]  # fmt: skip
    torch.testing.assert_close(*channels, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["progressive+multi-scale", "frequency+adaptive-skip"]
)  # with the largest receptive fields
def test_tiles_give_the_same_result_as_the_complete_scan(name, head, monkeypatch):
    rng, table = np.random.default_rng(0), head.noisy.gradients.subset(np.array([0, 5]))
    mask = np.zeros((32, 48, 80), bool)
    mask[4:20, 20:40, 9:30] = True
    array, sigma = rng.random((*mask.shape, 2), np.float32), np.full(mask.shape, 0.1, np.float32)
    network = perturbed(name, 4)
    complete = apply_network(network, array, table, head.noisy.ijk_to_ras, mask, sigma, "cpu")
    monkeypatch.setattr("deeprecon.dwmri.fit.supervised.TILE", 16)
    covered = np.zeros(mask.shape, int)
    for core, _ in tiles(mask.shape):
        covered[core] += 1
    assert len(tiles(mask.shape)) == 2 * 3 * 5
    assert (covered == 1).all()
    tiled = apply_network(network, array, table, head.noisy.ijk_to_ras, mask, sigma, "cpu")
    np.testing.assert_allclose(tiled, complete, atol=1e-5)
    assert np.abs(tiled - array).mean() > 1e-3


def test_the_finer_grid_covers_the_same_space():
    affine = np.diag([2.0, 3.0, -4.0, 1.0])
    affine[:3, 3] = 5, 6, 7
    finer = finer_affine(affine)
    np.testing.assert_allclose((finer @ [-0.5, -0.5, -0.5, 1]), affine @ [-0.5, -0.5, -0.5, 1])
    np.testing.assert_allclose((finer @ [3.5, 3.5, 3.5, 1]), affine @ [1.5, 1.5, 1.5, 1])


def test_interpolation_keeps_ramps_and_the_mean_inverts_it():
    ramp = np.broadcast_to(np.arange(6.0)[:, None], (4, 5, 6, 2)).astype(np.float32)
    fine = upsample(ramp)
    assert fine.shape == (8, 10, 12, 2)
    np.testing.assert_allclose(fine[0, 0, 1:-1, 1], np.arange(0.25, 5, 0.5)[:10], atol=1e-6)
    np.testing.assert_allclose(downsample(fine)[:, :, 1:-1], ramp[:, :, 1:-1], atol=1e-6)


# train and enhance --bundle


@pytest.fixture
def pairs(tmp_path, head):
    found = {"noisy": [], "clean": []}
    for name, scan in (("noisy", head.noisy), ("clean", head.clean)):
        found[name].append(write_dwi(tmp_path / f"{name}.nii.gz", scan)["dwi"])
    return found


@pytest.fixture
def run_train(tmp_path):
    from deeprecon.jobs.job import Job
    from deeprecon.worker import run_job

    def run(given, name="trained", **parameters):
        folder = tmp_path / name / ".job"
        inputs = {key: [str(path) for path in paths] for key, paths in given.items()}
        Job("dwmri", "train", inputs, parameters, "..", "cpu", 1, "fp32", 0).save(folder)
        return run_job(folder), tmp_path / name

    return run


@pytest.mark.parametrize(
    "settings",
    [
        {"network": "multi-scale"},
        {"network": "progressive+multi-scale", "in_stages": True, "accumulate": 2},
    ],
)
def test_a_network_is_trained_saved_and_applied(settings, pairs, files, head, run_train, done, figures_of):
    from deeprecon.dwmri.measure.accuracy import accuracy

    code, trained = run_train(pairs, width=6, steps=40, batch=2, learning_rate=0.01, **settings)
    assert code == 0
    figures = figures_of(trained)
    assert figures["scale"] == 1
    assert "of 24 along j of noisy.nii.gz" in figures["held_out"]
    assert (trained / "bundle" / "configs" / "metadata.json").is_file()
    output = done("enhance", inputs={"dwi": files["dwi"], "mask": files["mask"], "bundle": trained / "bundle"})
    found = read_dwi(output / "dwi.nii.gz")
    before, after = (accuracy(array, head.clean, head.mask)["psnr_dwi"] for array in (head.noisy.array, found.array))
    assert after > before + 1
    assert figures_of(output)["network"] == settings["network"]
    assert read_volume(output / "uncertainty.nii.gz").array[head.mask].mean() > 0


def test_super_resolution_gives_a_finer_scan_and_is_called_interpolation(
    head, tmp_path, run_train, done, start, figures_of, warnings_of, monkeypatch
):
    coarse = DwiScan(downsample(head.clean.array), _coarser(head.clean.ijk_to_ras), head.clean.gradients, "coarse")
    given = {
        "noisy": [write_dwi(tmp_path / "coarse.nii.gz", coarse)["dwi"]],
        "clean": [write_dwi(tmp_path / "fine.nii.gz", head.clean)["dwi"]],
    }
    code, trained = run_train(given, network="unet", width=6, steps=40, batch=2, learning_rate=0.01)
    assert code == 0
    assert figures_of(trained)["scale"] == 2
    output = done("enhance", inputs={"dwi": given["noisy"][0], "bundle": trained / "bundle"})
    found = read_dwi(output / "dwi.nii.gz")
    np.testing.assert_allclose(found.ijk_to_ras, head.clean.ijk_to_ras, atol=1e-5)
    np.testing.assert_allclose(found.gradients.directions, head.clean.gradients.directions, atol=1e-5)
    error, linear = (
        np.mean((array - head.clean.array)[head.mask] ** 2) for array in (found.array, upsample_scan(coarse).array)
    )
    assert error < linear
    assert any("no new detail" in text for text in warnings_of(output))
    assert read_volume(output / "mask.nii.gz").array.shape == head.clean.shape
    monkeypatch.setattr("deeprecon.dwmri.fit.supervised.free_bytes", lambda device: 400_000_000)
    code, output = start("enhance", inputs={"dwi": given["noisy"][0], "bundle": trained / "bundle"})
    assert code == 2
    events = (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
    assert "about 0.5 GB of memory, of which 0.4 GB are free" in events


def _coarser(affine):
    coarse = affine.copy()
    coarse[:3, :3] = 2 * affine[:3, :3]
    coarse[:3, 3] = affine[:3, 3] + affine[:3, :3].sum(axis=1) / 2
    return coarse


def test_pairs_that_do_not_match_are_refused(pairs, head, tmp_path, run_train):
    other = write_dwi(tmp_path / "other.nii.gz", head.clean.volumes(np.arange(14)))["dwi"]
    moved = DwiScan(head.clean.array[:, :, :20], head.clean.ijk_to_ras, head.clean.gradients, "moved")
    smaller = write_dwi(tmp_path / "smaller.nii.gz", moved)["dwi"]
    for name, given, message in (
        ("a", {"noisy": pairs["noisy"], "clean": [other]}, "do not have the same gradients"),
        ("b", {"noisy": pairs["noisy"], "clean": [smaller]}, "do not cover the same space"),
        ("c", {"noisy": pairs["noisy"]}, "1 noisy and 0 clean"),
    ):
        code, output = run_train(given, name, steps=2)
        assert code == 2
        assert message in (output / ".job" / "events.jsonl").read_text(encoding="utf-8")


def test_only_the_progressive_network_has_stages(pairs, run_train):
    code, output = run_train(pairs, steps=2, in_stages=True, network="unet")
    assert code == 2
    assert "no stages" in (output / ".job" / "events.jsonl").read_text(encoding="utf-8")


def test_a_bundle_of_another_method_is_refused(files, error_of, tmp_path):
    assert "no model bundle" in error_of("enhance", inputs={"dwi": files["dwi"], "bundle": tmp_path})
