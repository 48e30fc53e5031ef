"""Volumes without independent noise: repeats, averages and repairs do not switch denoising off."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi, write_dwi
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.volume_io import write_volume
from deeprecon.dwmri.fit.imputation import impute_slices
from deeprecon.dwmri.observe.independent import independent_volumes
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.dwmri.observe.noise_level import estimate_noise
from deeprecon.dwmri.simulate.head import make_phantom


def appended(array, *others):
    return np.concatenate([array, *(other[..., None] for other in others)], axis=-1)


def repaired(array, table, volumes, slices):
    lost = np.zeros((array.shape[0], array.shape[-1]), bool)
    lost[np.ix_(slices, volumes)] = True
    return impute_slices(array, table, lost).array


def variants(head):
    """Name -> scan, whose noise is 16, and its volumes without independent noise."""
    table = head.clean.gradients
    array = head.noisy.array
    b0, weighted = np.flatnonzero(table.b0), np.flatnonzero(~table.b0)
    one, two, three = (array[..., number] for number in weighted[[2, 5, 8]])
    lost = array.copy()
    lost[..., weighted[4]] *= 0.05
    averaged = array.copy()
    averaged[1:11, ..., weighted[4]] = array[1:11][..., np.delete(weighted, 4)].mean(axis=-1)
    everywhere = np.arange(12)
    return {
        "lost": (lost, [weighted[4]]),
        "repeated": (appended(array, one), [15]),
        "repeated twice": (appended(array, one, one), [15, 16]),
        "mean of b0": (appended(array, array[..., b0].mean(axis=-1)), [15]),
        "combination": (appended(array, 0.5 * one + 0.3 * two + 0.2 * three), [15]),
        "averaged slices": (averaged, [weighted[4]]),
        "repaired volume": (repaired(array, table, weighted[[4]], everywhere), [weighted[4]]),
        "repaired volumes": (repaired(array, table, weighted[[4, 9]], everywhere), weighted[[4, 9]]),
        "repaired slices": (repaired(array, table, weighted[[4]], np.arange(4, 8)), [weighted[4]]),
    }


NAMES = ["lost", "repeated", "repeated twice", "mean of b0", "combination", "averaged slices", "repaired volume",
         "repaired volumes", "repaired slices"]  # fmt: skip


@pytest.mark.parametrize("rounded", [False, True], ids=["float", "int16"])
@pytest.mark.parametrize("name", NAMES)
def test_noise_is_measured_on_volumes_with_independent_noise(name, rounded, head):
    array, dependent = variants(head)[name]
    array = np.round(array).astype(np.float32) if rounded else array.astype(np.float32)
    np.testing.assert_array_equal(np.flatnonzero(~independent_volumes(array, head.mask)), dependent)
    found = estimate_noise(array, head.mask, "cpu")
    np.testing.assert_allclose(np.median(found[head.mask]), np.median(head.sigma[head.mask]), rtol=0.06)


@pytest.mark.parametrize(
    "settings",
    [{"snr": 5}, {"snr": 100}, {"snr": 20, "varying": True}, {"snr": 20, "correlated": True},
     {"snr": 40, "shells": [(1000.0, 10), (3000.0, 20)]}, {"b0": 1, "shells": [(1000.0, 6)]}, {"snr": 0}],
)  # fmt: skip
def test_all_volumes_with_independent_noise_are_used(settings):
    made = make_phantom((12, 24, 24), **settings)
    independent = independent_volumes(made.noisy.array, made.mask)
    assert independent.all() if settings.get("snr") != 0 else independent.sum() >= independent.size / 2


@pytest.mark.parametrize("name", ["siemens_sag_b2000", "philips_ax_b1000"])
def test_all_volumes_of_real_scans_are_used(name, shared_data):
    real = read_dwi(shared_data / "dwi" / name / "dwi.nii.gz")
    assert independent_volumes(real.array.astype(np.float32), find_mask(real)).all()


def test_all_volumes_are_used_where_voxels_are_too_few():
    assert independent_volumes(np.ones((2, 3, 3, 12), np.float32), np.ones((2, 3, 3), bool)).all()


@pytest.mark.parametrize(
    "settings",
    [{"method": "pca"}, {"method": "network", "steps": 100}, {"method": "mppca"}, {"method": "local-pca"}],
    ids=lambda settings: settings["method"],
)
def test_a_repeated_volume_does_not_switch_denoising_off(
    settings, head, done, quick, tmp_path, warnings_of, figures_of
):
    if settings["method"] not in ("pca", "network"):
        pytest.importorskip("dipy")
    numbers = np.append(np.arange(15), 7)
    scan = DwiScan(head.noisy.array[..., numbers], head.noisy.ijk_to_ras, head.clean.gradients.subset(numbers), "twice")
    write_volume(tmp_path / "mask.nii.gz", head.clean.volume(head.mask))
    given = {"dwi": write_dwi(tmp_path / "dwi.nii.gz", scan)["dwi"], "mask": tmp_path / "mask.nii.gz"}
    output = done("enhance", inputs=given, **settings)
    figures = figures_of(output)
    assert figures["n_dependent_volumes"] == 1
    assert figures["dependent_volumes"] == "15"
    assert any(text.startswith("Volumes 15 have no independent noise") for text in warnings_of(output))
    np.testing.assert_allclose(figures["noise_level"], np.median(head.sigma[head.mask]), rtol=0.06)
    found = read_dwi(output / "dwi.nii.gz").array
    before, after = (array[..., :15] - head.clean.array for array in (head.noisy.array, found[..., :15]))
    assert after[head.mask].std() < 0.65 * before[head.mask].std()
