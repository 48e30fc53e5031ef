"""The noise level against a second estimate from the background or repeated b0."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import shift

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.doubts import CODES
from deeprecon.dwmri.observe import noise
from deeprecon.dwmri.observe.independent import independent_volumes
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.dwmri.observe.noise import measure_noise
from deeprecon.dwmri.observe.noise_level import estimate_noise
from deeprecon.dwmri.observe.second_noise import FEW_VOLUMES, SecondNoise, noise_doubts, second_estimate
from deeprecon.dwmri.simulate.head import add_noise, make_phantom
from deeprecon.jobs.run import Run, SilentReporter

from .files import codes, result, runner, vectors, write_scan


@pytest.fixture(scope="module")
def made():
    return make_phantom((12, 32, 32), 3, [(1000.0, 12)], snr=20)


@pytest.mark.parametrize(("code", "factor"), [("noise-too-low", 0.1), ("noise-too-high", 2.5)])
def test_a_level_far_from_the_others_is_refused_and_accepted(code, factor, made, tmp_path, capsys, monkeypatch):
    assert code in CODES
    run = runner(tmp_path)
    path = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, vectors(made))
    returned, output = run("enhance", "--dwi", path, "--method", "pca", name="right")
    assert returned == 0
    assert codes(output) == set()

    def broken(*arguments, **options):
        return np.float32(factor) * estimate_noise(*arguments, **options)

    monkeypatch.setattr(noise, "estimate_noise", broken)
    assert run("enhance", "--dwi", path, "--method", "pca")[0] == 2
    message = capsys.readouterr().err
    assert "dwi.nii.gz: the noise level is" in message
    assert f"--accept {code}" in message
    returned, output = run("enhance", "--dwi", path, "--method", "pca", "--accept", code, name="accepted")
    assert returned == 0
    assert codes(output) == {code}
    assert f"accepted: {code}" in (output / "report.html").read_text("utf-8")


@pytest.mark.parametrize("seen", ["background and b0", "background", "b0", "neither"])
def test_the_second_estimate_is_right_or_none(seen, made):
    array, table = made.noisy.array.copy(), made.clean.gradients
    mask = find_mask(made.noisy)
    if "background" not in seen:
        array[~mask] = 0
    if "b0" not in seen:
        kept = np.setdiff1d(np.arange(len(table)), np.flatnonzero(table.b0)[1:])
        array, table = array[..., kept], table.subset(kept)
    found = second_estimate(array, table, mask, False)
    true = pytest.approx(float(np.median(made.sigma[mask])), rel=0.1)
    assert found.background == (true if "background" in seen else None)
    assert found.repeated == (true if "b0" in seen else None)
    if seen == "neither":
        assert noise_doubts(1.0, len(table), found, "scan") == ()


@pytest.mark.parametrize(
    ("change", "tolerance"), [("gain", 0.05), ("shading", 0.05), ("moved by a third of a voxel", 0.1), ("copy", None)]
)
def test_drift_and_motion_between_two_b0_are_no_noise(change, tolerance, made):
    b0 = np.flatnonzero(made.clean.gradients.b0)[:2]
    clean, mask = made.clean.array[..., b0].astype(np.float32), find_mask(made.noisy)
    if change == "gain":
        clean[..., 1] *= 0.9
    elif change == "shading":
        clean[..., 1] *= np.linspace(0.9, 1.1, 32)
    elif change != "copy":
        clean[..., 1] = shift(clean[..., 1], (0, 0.3, 0.15), order=1)
    array = add_noise(clean, made.sigma.astype(float), np.random.default_rng(3))
    if change == "copy":
        array[..., 1] = array[..., 0]
    found = second_estimate(array, made.clean.gradients.subset(b0), mask, False).repeated
    assert found == (None if tolerance is None else pytest.approx(float(np.median(made.sigma[mask])), rel=tolerance))


# few volumes


def measured(made, chosen, tmp_path):
    """The noise level of some volumes over the true one, and the codes of its doubts."""
    scan = made.noisy.volumes(np.flatnonzero(chosen))
    mask = find_mask(scan)
    sigma, doubts = measure_noise(scan, mask, True, Run(tmp_path, tmp_path, "cpu", 1, "fp32", 0, SilentReporter()))
    return float(np.median(sigma[mask]) / np.median(made.sigma[mask])), {doubt.code for doubt in doubts}


@pytest.mark.parametrize("snr", [10, 20, 30])
@pytest.mark.parametrize("kind", [{}, {"correlated": True}, {"varying": True}], ids=["plain", "correlated", "varying"])
def test_two_b0_are_enough_for_the_level(snr, kind, tmp_path):
    made = make_phantom((12, 32, 32), 2, [(1000.0, 6)], snr=snr, **kind)
    assert measured(made, made.clean.gradients.b0, tmp_path) == (pytest.approx(1, abs=0.1), set())


@pytest.mark.parametrize("directions", [2, 3, 6])
@pytest.mark.parametrize("b0", [1, 2])
def test_few_volumes_have_the_level_of_repeats_or_of_the_background(b0, directions, tmp_path):
    made = make_phantom((12, 32, 32), b0, [(1000.0, directions)], snr=30)
    found, doubts = measured(made, made.clean.gradients.bvals >= 0, tmp_path)
    assert found == pytest.approx(1, abs=0.1)
    assert doubts == (set() if b0 == 2 else {"noise-uncertain"})


def test_the_shell_names_an_uncertain_level(tmp_path):
    made = make_phantom((12, 32, 32), 1, [(1000.0, 3)], snr=30)
    path = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, vectors(made))
    code, output = runner(tmp_path)("enhance", "--dwi", path, "--method", "pca")
    assert code == 0
    assert codes(output) == {"noise-uncertain"}
    true = float(np.median(made.sigma[find_mask(made.noisy)]))
    assert result(output)["metrics"]["noise_level"] == pytest.approx(true, rel=0.1)


def test_without_background_the_level_of_few_volumes_is_named_as_uncertain():
    assert FEW_VOLUMES > 4
    (doubt,) = noise_doubts(24.0, 4, SecondNoise(None, None), "scan")
    assert (doubt.code, doubt.assumed) == ("noise-uncertain", True)
    assert "by its volumes and neighbors" in doubt.text
    assert noise_doubts(24.0, 4, SecondNoise(None, 23.0), "scan") == ()


# no false alarm


@pytest.mark.parametrize(
    "settings", [{"snr": 5}, {"snr": 20, "varying": True}, {"snr": 20, "correlated": True}, {"snr": 0}]
)
def test_phantoms_raise_no_doubt(settings):
    made = make_phantom((12, 24, 24), **settings)
    mask = find_mask(made.noisy)
    level = float(np.median(estimate_noise(made.noisy.array, mask, "cpu")[mask]))
    second = second_estimate(made.noisy.array, made.clean.gradients, mask, False)
    assert noise_doubts(level, len(made.clean.gradients), second, "scan") == ()


@pytest.mark.parametrize("name", ["siemens_sag_b2000", "philips_ax_b1000"])
def test_real_scans_raise_no_doubt(name, shared_data):
    real = read_dwi(shared_data / "dwi" / name / "dwi.nii.gz")
    array, mask = real.array.astype(np.float32), find_mask(real)
    independent = independent_volumes(array, mask)
    level = float(np.median(estimate_noise(array, mask, "cpu")[mask]))
    second = second_estimate(array, real.gradients, mask, False, independent)
    assert all(level > 0.6 * other for other in second.levels)
    assert not second.levels or level < 1.7 * max(second.levels)
