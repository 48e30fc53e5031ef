"""The whole field is denoised: nothing changes at the rim of the mask, by any method."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.dwmri.simulate.head import make_phantom

from .files import AFFINE, runner, vectors, write_scan


@pytest.fixture(scope="module")
def made():
    return make_phantom((10, 24, 24), 3, [(1000.0, 12)], snr=20)


@pytest.fixture(scope="module")
def small(made):
    """A mask whose rim lies within the head."""
    return distance_transform_edt(made.mask, sampling=(9, 1, 1)) > 4


@pytest.mark.parametrize("method", ["pca", "network", "patch2self", "local-pca"])
def test_the_error_is_alike_on_both_sides_of_the_rim(method, made, small, tmp_path):
    if method == "local-pca":
        pytest.importorskip("dipy")
    scan = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, vectors(made))
    write_volume(tmp_path / "mask.nii.gz", Volume(small.astype(np.uint8), AFFINE))
    options = ("--dwi", scan, "--mask", tmp_path / "mask.nii.gz", "--method", method, "--steps", 20)
    code, output = runner(tmp_path)("enhance", *options)
    assert code == 0
    error = (read_dwi(output / "dwi.nii.gz").array - made.clean.array)[..., made.clean.gradients.bvals > 0]
    noise = (made.noisy.array - made.clean.array)[..., made.clean.gradients.bvals > 0]
    within = small & (distance_transform_edt(small) <= 2)
    beyond = made.mask & ~small & (distance_transform_edt(~small) <= 2)
    size = {
        name: [float(np.sqrt(np.mean(values[place] ** 2))) for place in (within, beyond, ~made.mask)]
        for name, values in (("error", error), ("noise", noise))
    }
    assert size["error"][1] < 1.25 * size["error"][0]
    assert size["error"][2] < size["noise"][2]
    if method != "patch2self":  # twelve directions are too few for it
        assert size["error"][0] < 0.8 * size["noise"][0]


def test_a_background_that_was_cut_away_stays_0(made, tmp_path):
    array = made.noisy.array.copy()
    array[~made.mask] = 0
    scan = write_scan(tmp_path, array, made.clean.gradients.bvals, vectors(made))
    code, output = runner(tmp_path)("enhance", "--dwi", scan, "--method", "pca")
    assert code == 0
    found = read_dwi(output / "dwi.nii.gz").array
    assert not found[~made.mask].any()
    assert found[made.mask].all(axis=-1).mean() > 0.9
