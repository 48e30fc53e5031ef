"""The supervised networks do what their names say; they are trained, kept, and applied; lost slices are foretold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deeprecon.data.diffusion.files import read_dwi, write_dwi
from deeprecon.data.diffusion.gradients import gradient_table
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.volume_io import read_volume
from deeprecon.dwmri.fit.architectures import (
    CHANNELS,
    FEATURES,
    NETWORKS,
    Progressive,
    build,
    count_parameters,
    encode,
    low_band,
)
from deeprecon.dwmri.fit.context import (
    downsample,
    finer_affine,
    finer_scan,
    make_context,
    neighbor_weights,
    upsample,
)
from deeprecon.dwmri.fit.supervised import apply, tiles
from deeprecon.dwmri.parameters import Network, TrainParameters
from deeprecon.dwmri.simulate.head import acquisition
from deeprecon.dwmri.training.loss import EdgeAwareLoss, sobel


def batch(shape=(5, 7, 9), count=2):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand((count, CHANNELS, *shape), generator=generator),
        torch.rand((count, FEATURES), generator=generator) - 0.5,
    )


def stirred(name, width=8):
    """A network whose zero layers are not zero any more."""
    torch.manual_seed(1)
    network = build(name, width)
    with torch.no_grad():
        for weights in network.parameters():
            weights += 0.05 * torch.randn_like(weights)
    return network.eval()


# networks


@pytest.mark.parametrize("name", NETWORKS)
def test_an_untrained_network_returns_its_input_whatever_the_size(name):
    torch.manual_seed(0)
    network = build(name, 8)
    for shape in ((5, 7, 9), (1, 6, 3), (8, 8, 8)):
        values, codes = batch(shape)
        found = network(values, codes)
        assert found.shape[2:] == shape
        torch.testing.assert_close(found[:, :1], values[:, :1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_learns_and_batches_do_not_mix(name):
    network = stirred(name)
    values, codes = batch()
    network(values, codes).pow(2).sum().backward()
    assert all(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in network.parameters())
    with torch.no_grad():
        both = network(values, codes)
        torch.testing.assert_close(both[1:], network(values[1:], codes[1:]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradient_of_a_volume_changes_what_is_done_to_it(name):
    network = stirred(name)
    values, codes = batch()
    with torch.no_grad():
        assert (network(values, codes) - network(values, codes.flip(0))).abs().max() > 1e-4


def test_the_encoding_knows_direction_and_b_but_not_the_sign():
    directions = np.array([[0.6, 0.8, 0], [-0.6, -0.8, 0], [0.8, 0.6, 0], [0.6, 0.8, 0]])
    codes = encode(np.array([1000.0, 1000, 1000, 2000]), directions)
    assert codes.shape == (4, FEATURES)
    np.testing.assert_allclose(codes[0], codes[1])
    assert np.abs(codes[0] - codes[2]).max() > 0.1
    assert np.abs(codes[0] - codes[3]).max() > 0.1


def test_the_low_band_keeps_slow_waves_and_stops_fast_ones():
    """The binomial filter of five voxels has gain cos(pi f)^4."""
    places = torch.arange(64.0)
    for cycles in (2, 16, 32):
        wave = torch.cos(2 * torch.pi * cycles / 64 * places).expand(1, 1, 8, 8, 64)
        gain = np.cos(np.pi * cycles / 64) ** 4
        torch.testing.assert_close(low_band(wave)[..., 4:-4], gain * wave[..., 4:-4], atol=1e-4, rtol=0)


def test_the_paths_of_the_frequency_network_see_one_band_each():
    network = stirred("frequency")
    slow = torch.ones(1, CHANNELS, 8, 8, 8)
    codes = torch.zeros(1, FEATURES)
    seen = {}
    for name in ("low", "high"):
        getattr(network, name).layers[0].conv.register_forward_pre_hook(
            lambda module, inputs, name=name: seen.update({name: inputs[0]})
        )
    network(slow, codes)
    torch.testing.assert_close(seen["low"], slow, atol=1e-5, rtol=0)
    assert seen["high"].abs().max() < 1e-5


def test_the_volume_specific_network_has_other_kernels_for_other_volumes():
    network = stirred("volume-specific")
    codes = torch.from_numpy(encode(np.array([1000.0, 1000.0]), np.eye(3)[:2]))
    kernels = network.body.kernels(codes)
    assert (kernels[0] - kernels[1]).abs().max() > 1e-3


def test_the_progressive_network_shows_its_coarse_stage():
    network = stirred("progressive")
    values, codes = batch()
    fine, coarse = network(values, codes).split(1, dim=1)
    network.last.conv.weight.data.zero_()
    network.last.conv.bias.data.zero_()
    plain, same = network(values, codes).split(1, dim=1)
    torch.testing.assert_close(same, coarse)
    torch.testing.assert_close(plain, coarse + values[:, :1] - low_band(values[:, :1]), atol=1e-5, rtol=0)
    assert (fine - plain).abs().max() > 1e-3


def test_the_baseline_has_factorized_kernels():
    sizes = {tuple(layer.kernel_size) for layer in build("baseline", 8).body.first.along}
    assert sizes == {(3, 1, 1), (1, 3, 1), (1, 1, 3)}


def test_only_the_adaptive_skip_weights_its_skip_connection():
    assert build("unet", 8).body.gate is None
    assert count_parameters(build("adaptive-skip", 8)) > count_parameters(build("unet", 8))


def test_a_combination_has_the_stages_or_bands_of_one_and_the_layers_of_the_other():
    for name in NETWORKS:
        if "+" in name:
            layout, body = name.split("+")
            network, parts = build(name, 8), list(build(name, 8).children())
            assert type(network) is type(build(layout, 8))
            assert [type(part) for part in parts[:2]] == 2 * [type(build(body, 8).body)]
    assert sum("+" in name for name in NETWORKS) == 2


def test_the_settings_know_every_network():
    assert [network.value for network in Network] == list(NETWORKS)
    for network in Network:
        refused = bool(TrainParameters(network=network, in_stages=True).validate())
        assert refused is not isinstance(build(network.value, 4), Progressive)


# loss


def test_the_gradient_of_a_ramp_is_its_slope_along_each_axis():
    loss = EdgeAwareLoss(smallest=1e-6)
    for axis in range(3):
        ramp = torch.arange(7.0).view([-1 if place == axis else 1 for place in range(3)]).expand(7, 7, 7)[None, None]
        inner = loss.edges(3 * ramp)[0, 0, 1:-1, 1:-1, 1:-1]
        torch.testing.assert_close(inner, torch.full_like(inner, 3.0), atol=1e-4, rtol=0)
    assert sobel().sum(dim=(1, 2, 3, 4)).abs().max() < 1e-7


def test_flat_images_have_no_edges_and_a_finite_gradient():
    flat = torch.full((1, 1, 5, 5, 5), 2.0, requires_grad=True)
    loss = EdgeAwareLoss()
    assert loss.edges(flat).abs().max() < 1e-6
    loss(flat, torch.zeros_like(flat), torch.ones_like(flat)).backward()
    assert torch.isfinite(flat.grad).all()


def test_the_edge_loss_tells_blur_from_an_offset_and_ignores_what_is_outside():
    sharp = torch.zeros(1, 1, 9, 9, 9)
    sharp[..., 4:] = 1
    everywhere = torch.ones_like(sharp)
    plain, aware = EdgeAwareLoss(0.0), EdgeAwareLoss(0.5)
    torch.testing.assert_close(aware(sharp + 0.3, sharp, everywhere), plain(sharp + 0.3, sharp, everywhere))
    blurred = low_band(sharp)
    assert aware(blurred, sharp, everywhere) > 1.2 * plain(blurred, sharp, everywhere)
    assert aware(blurred, sharp, torch.zeros_like(sharp)) == 0
    assert set(EdgeAwareLoss().state_dict()) == set()


# context


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


def test_directions_that_are_filled_in_for_b0_change_nothing_for_a_network(head):
    table = head.noisy.gradients
    directions = table.directions.copy()
    directions[table.b0] = np.random.default_rng(0).standard_normal((table.b0.sum(), 3))
    filled = gradient_table(np.where(table.b0, 0.004, table.bvals), directions)
    assert filled.directions[table.b0].any()
    made = [make_context(head.noisy.array, each, head.noisy.ijk_to_ras, head.mask, head.sigma, "cpu")
            for each in (table, filled)]  # fmt: skip
    torch.testing.assert_close(made[0].codes, made[1].codes, atol=1e-3, rtol=0)
    torch.testing.assert_close(made[0].neighbors, made[1].neighbors)


def test_the_context_does_not_depend_on_the_scale_of_the_image(head):
    contexts = [
        make_context(head.noisy.array * factor, head.noisy.gradients, head.noisy.ijk_to_ras, head.mask,
                     head.sigma * factor, "cpu").inputs(4)
        for factor in (np.float32(1), np.float32(50))
    ]  # fmt: skip
    torch.testing.assert_close(*contexts, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["progressive+multi-scale", "frequency+adaptive-skip"])  # which see farthest
def test_tiles_give_what_the_whole_scan_gives(name, head, monkeypatch):
    rng, table = np.random.default_rng(0), head.noisy.gradients.subset(np.array([0, 5]))
    mask = np.zeros((32, 62, 66), bool)
    mask[4:20, 20:40, 9:30] = True
    array, sigma = rng.random((*mask.shape, 2), np.float32), np.full(mask.shape, 0.1, np.float32)
    network = stirred(name, 4)
    whole = apply(network, array, table, head.noisy.ijk_to_ras, mask, sigma, "cpu")
    monkeypatch.setattr("deeprecon.dwmri.fit.supervised.TILE", 16)
    covered = np.zeros(mask.shape, int)
    for core, _ in tiles(mask):
        covered[core] += 1
    assert len(tiles(mask)) == 2 * 2 * 2
    assert covered.max() == 1
    assert covered[mask].all()
    tiled = apply(network, array, table, head.noisy.ijk_to_ras, mask, sigma, "cpu")
    np.testing.assert_allclose(tiled[mask], whole[mask], atol=1e-5)
    assert np.abs(tiled - array)[mask].mean() > 1e-3


def test_the_finer_grid_covers_the_same_space():
    affine = np.diag([2.0, 3.0, -4.0, 1.0])
    affine[:3, 3] = 5, 6, 7
    finer = finer_affine(affine)
    np.testing.assert_allclose((finer @ [-0.5, -0.5, -0.5, 1]), affine @ [-0.5, -0.5, -0.5, 1])
    np.testing.assert_allclose((finer @ [3.5, 3.5, 3.5, 1]), affine @ [1.5, 1.5, 1.5, 1])


def test_interpolation_keeps_ramps_and_is_undone_by_the_mean():
    ramp = np.broadcast_to(np.arange(6.0), (4, 5, 6)).astype(np.float32)
    fine = upsample(ramp)
    assert fine.shape == (8, 10, 12)
    np.testing.assert_allclose(fine[0, 0, 1:-1], np.arange(0.25, 5, 0.5)[:10], atol=1e-6)
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
def test_a_network_is_trained_kept_and_applied(settings, pairs, files, head, run_train, done, figures_of):
    from deeprecon.dwmri.measure.metrics import evaluate

    code, trained = run_train(pairs, width=6, steps=40, batch=2, learning_rate=0.01, **settings)
    assert code == 0
    figures = figures_of(trained)
    assert figures["scale"] == 1
    assert "of 24 along j of noisy.nii.gz" in figures["held_out"]
    assert (trained / "bundle" / "configs" / "metadata.json").is_file()
    output = done("enhance", inputs={"dwi": files["dwi"], "mask": files["mask"], "bundle": trained / "bundle"})
    found = read_dwi(output / "dwi.nii.gz")
    before, after = (evaluate(array, head.clean, head.mask)["psnr_dwi"] for array in (head.noisy.array, found.array))
    assert after > before + 1
    assert figures_of(output)["network"] == settings["network"]
    assert read_volume(output / "uncertainty.nii.gz").array[head.mask].mean() > 0


def test_super_resolution_gives_a_finer_scan_and_calls_it_interpolation(
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
        np.mean((array - head.clean.array)[head.mask] ** 2) for array in (found.array, finer_scan(coarse).array)
    )
    assert error < linear
    assert any("no new detail" in text for text in warnings_of(output))
    assert read_volume(output / "mask.nii.gz").array.shape == head.clean.shape
    monkeypatch.setattr("deeprecon.dwmri.fit.methods.free_bytes", lambda device: 400_000_000)
    code, output = start("enhance", inputs={"dwi": given["noisy"][0], "bundle": trained / "bundle"})
    assert code == 2
    told = (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
    assert "about 0.5 GB of memory, of which 0.4 GB are free" in told


def _coarser(affine):
    coarse = affine.copy()
    coarse[:3, :3] = 2 * affine[:3, :3]
    coarse[:3, 3] = affine[:3, 3] + affine[:3, :3].sum(axis=1) / 2
    return coarse


def test_pairs_that_do_not_belong_together_are_refused(pairs, head, tmp_path, run_train):
    other = write_dwi(tmp_path / "other.nii.gz", head.clean.volumes(np.arange(14)))["dwi"]
    moved = DwiScan(head.clean.array[:, :, :20], head.clean.ijk_to_ras, head.clean.gradients, "moved")
    smaller = write_dwi(tmp_path / "smaller.nii.gz", moved)["dwi"]
    for name, given, said in (
        ("a", {"noisy": pairs["noisy"], "clean": [other]}, "do not have the same gradients"),
        ("b", {"noisy": pairs["noisy"], "clean": [smaller]}, "do not cover the same space"),
        ("c", {"noisy": pairs["noisy"]}, "1 noisy and 0 clean"),
    ):
        code, output = run_train(given, name, steps=2)
        assert code == 2
        assert said in (output / ".job" / "events.jsonl").read_text(encoding="utf-8")


def test_only_the_progressive_network_has_stages(pairs, run_train):
    code, output = run_train(pairs, steps=2, in_stages=True, network="unet")
    assert code == 2
    assert "no stages" in (output / ".job" / "events.jsonl").read_text(encoding="utf-8")


def test_a_bundle_of_another_method_is_refused(files, error_of, tmp_path):
    assert "no model bundle" in error_of("enhance", inputs={"dwi": files["dwi"], "bundle": tmp_path})
