"""The noise level against a second estimate from the background or repeated b0."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.doubts import CODES
from deeprecon.dwmri.observe import noise_level
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.dwmri.observe.noise_level import estimate_noise
from deeprecon.dwmri.observe.second_noise import noise_doubt, second_estimate
from deeprecon.dwmri.simulate.head import make_phantom

from .files import codes, runner, vectors, write_scan


@pytest.fixture(scope="module")
def made():
    return make_phantom((12, 32, 32), 3, [(1000.0, 12)], snr=20)


def test_a_level_far_below_is_refused_and_accepted(made, tmp_path, capsys, monkeypatch):
    assert "noise-too-low" in CODES
    run = runner(tmp_path)
    path = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, vectors(made))
    code, output = run("enhance", "--dwi", path, "--method", "pca", name="right")
    assert code == 0
    assert codes(output) == set()

    def broken(*arguments, **options):
        return 0.1 * estimate_noise(*arguments, **options)

    monkeypatch.setattr(noise_level, "estimate_noise", broken)
    assert run("enhance", "--dwi", path, "--method", "pca")[0] == 2
    message = capsys.readouterr().err
    assert "dwi.nii.gz: the noise level is" in message
    assert "--accept noise-too-low" in message
    code, output = run("enhance", "--dwi", path, "--method", "pca", "--accept", "noise-too-low", name="accepted")
    assert code == 0
    assert "noise-too-low" in json.dumps(json.loads((output / "result.json").read_text("utf-8"))["doubts"])


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
    if seen == "neither":
        assert found is None
        assert noise_doubt(1.0, found, "scan") == ()
    else:
        assert found == pytest.approx(float(np.median(made.sigma[mask])), rel=0.15)


@pytest.mark.parametrize(
    "settings", [{"snr": 5}, {"snr": 20, "varying": True}, {"snr": 20, "correlated": True}, {"snr": 0}]
)
def test_phantoms_raise_no_doubt(settings):
    made = make_phantom((12, 24, 24), **settings)
    mask = find_mask(made.noisy)
    level = float(np.median(estimate_noise(made.noisy.array, mask, "cpu")[mask]))
    assert noise_doubt(level, second_estimate(made.noisy.array, made.clean.gradients, mask, False), "scan") == ()


@pytest.mark.parametrize("name", ["siemens_sag_b2000", "philips_ax_b1000"])
def test_real_scans_raise_no_doubt(name, shared_data):
    real = read_dwi(shared_data / "dwi" / name / "dwi.nii.gz")
    array, mask = real.array.astype(np.float32), find_mask(real)
    level = float(np.median(estimate_noise(array, mask, "cpu")[mask]))
    second = second_estimate(array, real.gradients, mask, False)
    assert second is None or level > 0.6 * second
