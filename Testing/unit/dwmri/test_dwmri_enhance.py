"""The verb `enhance`, run by the worker on small scans."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi, write_dwi
from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.files import sha256
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume
from deeprecon.dwmri.measure.accuracy import accuracy
from deeprecon.dwmri.simulate.head import make_phantom

from ..data.orientations import rotation

FAST = {"method": "pca"}
NETWORK = {"method": "network", "steps": 20}


def inputs(files, kind="dwi"):
    return {"dwi": files[kind], "mask": files["mask"]}


def psnr(path, head):
    return accuracy(read_dwi(path).array, head.clean, head.mask, head.labels)["psnr_dwi"]


# enhance


@pytest.mark.parametrize("settings", [FAST, NETWORK], ids=["pca", "network"])
def test_enhance_writes_all_its_outputs(settings, files, head, done):
    output = done("enhance", inputs=inputs(files), **settings)
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    maps = {f"{name}_{when}" for name in ("fa", "md", "color_fa") for when in ("before", "after")}
    assert {"dwi", "bval", "bvec", "mask", "noise", "residual", "uncertainty", "report", *maps} <= set(
        result["outputs"]
    )
    for entry in result["outputs"].values():
        assert sha256(output / entry["path"]) == entry["sha256"]
    found = read_dwi(output / "dwi.nii.gz")
    noisy = read_dwi(files["dwi"])
    assert psnr(output / "dwi.nii.gz", head) > psnr(files["dwi"], head) + 5
    np.testing.assert_allclose(found.ijk_to_ras, noisy.ijk_to_ras)
    for table in ("bval", "bvec"):
        assert (output / f"dwi.{table}").read_bytes() == files[table].read_bytes()
    residual = nibabel.load(output / "residual.nii.gz").get_fdata()
    change = noisy.array - found.array
    np.testing.assert_allclose(np.moveaxis(residual.T, 0, -1)[head.mask], change[head.mask], atol=1e-2)
    assert np.abs(found.array - head.clean.array)[~head.mask].mean() < 0.5 * noisy.array[~head.mask].mean()
    color = nibabel.load(output / "color_fa_after.nii.gz")
    assert color.shape == (24, 24, 12, 3)
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == (3 if settings is FAST else 4)
    figures = result["metrics"]
    assert 0.9 < figures["noise_level"] / head.sigma.mean() < 1.1
    assert 0 < figures["mean_fa_after"] < figures["mean_fa_before"]


def test_uncertainty_is_as_large_as_the_error(files, head, done, quick):
    output = done("enhance", inputs=inputs(files), **FAST)
    uncertainty = read_volume(output / "uncertainty.nii.gz").array[head.mask]
    error = np.sqrt(((read_dwi(output / "dwi.nii.gz").array - head.clean.array) ** 2).mean(axis=-1))[head.mask]
    assert 0.6 < uncertainty.mean() / error.mean() < 1.5


def test_nrrd_results_equal_nifti_results(files, done, quick):
    one = done("enhance", "one", inputs=inputs(files, "nrrd"), **FAST)
    other = done("enhance", "other", inputs=inputs(files), **FAST)
    assert not list(one.glob("dwi.b*"))
    found = read_dwi(one / "dwi.nrrd")
    np.testing.assert_allclose(found.array, read_dwi(other / "dwi.nii.gz").array, atol=0.05)
    np.testing.assert_allclose(found.gradients.directions, read_dwi(files["nrrd"]).gradients.directions, atol=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(done, quick, tmp_path):
    made = make_phantom((8, 14, 14), 1, [(1000.0, 6)], snr=20)
    given = {"dwi": write_dwi(tmp_path / "small.nii.gz", made.noisy)["dwi"]}
    settings = NETWORK | {"steps": 20}
    runs = [done("enhance", f"run{n}", seed=seed, inputs=given, **settings) for n, seed in enumerate((1, 1, 2))]
    first, again, other = (read_dwi(run / "dwi.nii.gz").array for run in runs)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_scaling_the_scan_scales_the_result(files, head, done, quick, tmp_path):
    scaled = write_dwi(tmp_path / "big.nii.gz", head.noisy.with_array(head.noisy.array * 1000))["dwi"]
    one = done("enhance", "one", inputs=inputs(files), **FAST)
    big = done("enhance", "big", inputs={"dwi": scaled, "mask": files["mask"]}, **FAST)
    ratio = read_dwi(big / "dwi.nii.gz").array / 1000 - read_dwi(one / "dwi.nii.gz").array
    assert np.abs(ratio[head.mask]).max() < 0.02 * head.sigma.mean()


@pytest.mark.parametrize("bias_correction", [True, False])
def test_the_bias_of_low_signals_is_corrected_on_request(bias_correction, done, quick, tmp_path):
    dark = make_phantom((12, 24, 24), 3, [(2500.0, 12)], snr=12)
    path = write_dwi(tmp_path / "dark.nii.gz", dark.noisy)["dwi"]
    write_volume(tmp_path / "mask.nii.gz", dark.clean.volume(dark.mask))
    given = {"dwi": path, "mask": tmp_path / "mask.nii.gz"}
    output = done("enhance", inputs=given, bias_correction=bias_correction, **FAST)
    low = dark.mask & (dark.clean.array[..., ~dark.clean.gradients.b0].mean(axis=-1) < 2 * dark.sigma)
    weighted = ~dark.clean.gradients.b0
    bias = (read_dwi(output / "dwi.nii.gz").array - dark.clean.array)[low][:, weighted].mean() / dark.sigma.mean()
    assert abs(bias) < 0.3 if bias_correction else bias > 0.4


def test_integers_are_kept_on_request(files, head, done, quick, tmp_path):
    path = write_dwi(tmp_path / "integers.nii.gz", head.noisy.with_array(head.noisy.array.astype(np.uint16)))["dwi"]
    given = {"dwi": path, "mask": files["mask"]}
    output = done("enhance", inputs=given, stored="as-input", background="zero", **FAST)
    found = read_dwi(output / "dwi.nii.gz")
    assert found.array.dtype == np.uint16
    assert not found.array[~head.mask].any()
    assert psnr(output / "dwi.nii.gz", head) > 28


@pytest.mark.parametrize("method", ["mppca", "local-pca", "nlmeans", "patch2self", "patch2self-dipy-v3"])
def test_the_baselines_denoise(method, files, head, done, quick):
    pytest.importorskip("dipy")
    output = done("enhance", inputs=inputs(files), method=method)
    worst = {"patch2self": -1.0, "nlmeans": -2.0, "patch2self-dipy-v3": -20.0}.get(method, 1.0)
    assert psnr(output / "dwi.nii.gz", head) > psnr(files["dwi"], head) + worst


@pytest.mark.parametrize(
    ("shape", "b0", "shells"),
    [
        ((1, 24, 24), 1, [(1000.0, 12)]),
        ((7, 19, 23), 1, [(1000.0, 6)]),
        ((8, 14, 14), 2, [(1000.0, 16), (3000.0, 16)]),
        ((8, 20, 20), 1, [(1000.0, 2)]),
    ],
    ids=["one slice", "seven volumes, odd", "two shells", "three volumes"],
)
def test_scans_of_any_shape_are_enhanced(shape, b0, shells, done, quick, tmp_path, figures_of):
    made = make_phantom((max(shape[0], 8), *shape[1:]), b0, shells, snr=20)
    scan = made.noisy if shape[0] > 1 else made.noisy.with_array(made.noisy.array[4:5])
    path = write_dwi(tmp_path / "dwi.nii.gz", scan)["dwi"]
    output = done("enhance", inputs={"dwi": path}, **NETWORK)
    found = read_dwi(output / "dwi.nii.gz").array
    assert found.shape == scan.array.shape
    assert np.isfinite(found).all()
    assert (output / "fa_after.nii.gz").exists() == (shells[0][1] >= 6)


def test_nan_and_zero_backgrounds_give_a_warning_and_finite_results(files, head, done, quick, tmp_path, warnings_of):
    array = head.noisy.array.copy()
    array[~head.mask] = 0
    array[0, 0, 0] = np.nan
    path = write_dwi(tmp_path / "dwi.nii.gz", head.noisy.with_array(array))["dwi"]
    output = done("enhance", inputs={"dwi": path, "mask": files["mask"]}, **FAST)
    assert np.isfinite(read_dwi(output / "dwi.nii.gz").array).all()
    assert any("15 values were negative or not finite" in text for text in warnings_of(output))


def test_the_tensors_of_an_oblique_scan_are_in_the_frame_of_the_patient(head, done, quick, tmp_path):
    """The same head lies turned in the scanner: the principal directions turn with it."""
    affine = head.clean.ijk_to_ras.copy()
    turn = rotation((20.0, -30.0, 40.0))
    affine[:3] = turn @ affine[:3]
    table = head.clean.gradients
    scan = head.clean.with_array(head.noisy.array)
    scan = type(scan)(scan.array, affine, GradientTable(table.bvals, table.directions @ turn.T), "turned")
    path = write_dwi(tmp_path / "dwi.nii.gz", scan)["dwi"]
    write_volume(tmp_path / "mask.nii.gz", Volume(head.mask, affine))
    output = done("enhance", inputs={"dwi": path, "mask": tmp_path / "mask.nii.gz"}, **FAST)
    maps = nibabel.load(output / "fa_after.nii.gz").get_fdata().T
    write_dwi(tmp_path / "straight.nii.gz", head.noisy)
    write_volume(tmp_path / "straight_mask.nii.gz", head.clean.volume(head.mask))
    given = {"dwi": tmp_path / "straight.nii.gz", "mask": tmp_path / "straight_mask.nii.gz"}
    straight = done("enhance", "straight", inputs=given, **FAST)
    np.testing.assert_allclose(maps, nibabel.load(straight / "fa_after.nii.gz").get_fdata().T, atol=1e-3)


def test_a_lost_slice_is_found_replaced_and_reported(done, quick, tmp_path, warnings_of, figures_of):
    made = make_phantom((12, 24, 24), 2, [(1000.0, 16)], snr=30)
    volume = int(np.flatnonzero(~made.clean.gradients.b0)[4])
    array = made.noisy.array.copy()
    array[6, :, :, volume] *= 0.3
    path = write_dwi(tmp_path / "dwi.nii.gz", made.noisy.with_array(array))["dwi"]
    write_volume(tmp_path / "mask.nii.gz", made.clean.volume(made.mask))
    given = {"dwi": path, "mask": tmp_path / "mask.nii.gz"}
    output = done("enhance", inputs=given, repair=True, **FAST)
    assert figures_of(output)["repaired_slices"] == 1
    assert any("lost their signal" in text and str(volume) in text for text in warnings_of(output))
    assert not any("--repair" in text for text in warnings_of(output))
    truth = made.clean.array[6, :, :, volume][made.mask[6]]
    found = read_dwi(output / "dwi.nii.gz").array[6, :, :, volume][made.mask[6]]
    assert np.abs(found - truth).mean() < 0.15 * truth.mean()
    assert figures_of(output)["repaired_percent"] == pytest.approx(100 / array[:, 0, 0].size)
    left = done("enhance", "left", inputs=given, **FAST)
    assert "repaired_slices" not in figures_of(left)
    assert any(f"in volumes {volume}. Replace them with --repair" in text for text in warnings_of(left))
    table = done("prepare", "table", inputs=given)
    assert figures_of(table)["lost_slices"] == 1


def test_a_selected_volume_is_replaced_and_reported(files, head, done, quick, warnings_of, figures_of):
    volume = int(np.flatnonzero(~head.clean.gradients.b0)[3])
    output = done("enhance", inputs=inputs(files), impute=f"{volume}", **FAST)
    assert figures_of(output)["repaired_slices"] == 12
    assert figures_of(output)["repaired_percent"] == pytest.approx(100 / 15)
    assert any(f"of volumes {volume} were replaced" in text for text in warnings_of(output))


@pytest.mark.parametrize(
    ("impute", "message"),
    [("15", "no volume 15"), ("b0", "'b0' is not the number of a volume"), ("-1", "'-1' is not the number"),
     ("weighted", "0 other volumes of b = 1000 are left, 5 are needed")],
)  # fmt: skip
def test_volumes_that_cannot_be_imputed_are_refused(impute, message, files, head, error_of):
    if impute == "weighted":
        impute = ",".join(map(str, np.flatnonzero(~head.clean.gradients.b0)))
    assert message in error_of("enhance", inputs=inputs(files), impute=impute, **FAST)


def test_volumes_without_others_to_compare_with_are_reported_except_a_single_b0(done, quick, tmp_path, warnings_of):
    made = make_phantom((8, 16, 16), 1, [(1000.0, 8), (2000.0, 2)], snr=20)
    path = write_dwi(tmp_path / "dwi.nii.gz", made.noisy)["dwi"]
    few = ", ".join(map(str, np.flatnonzero(made.clean.gradients.bvals > 1500)))
    warnings = warnings_of(done("prepare", inputs={"dwi": path}))
    assert any(f"Volumes {few} could not be searched" in text for text in warnings)


def test_a_flipped_gradient_table_gives_a_warning(done, quick, tmp_path, warnings_of):
    made = make_phantom((16, 32, 32), snr=40)
    table = made.clean.gradients
    wrong = type(made.noisy)(
        made.noisy.array, made.noisy.ijk_to_ras, GradientTable(table.bvals, table.directions * (-1, 1, 1)), "wrong"
    )
    write_volume(tmp_path / "mask.nii.gz", made.clean.volume(made.mask))
    given = {"dwi": write_dwi(tmp_path / "dwi.nii.gz", wrong)["dwi"], "mask": tmp_path / "mask.nii.gz"}
    output = done("enhance", inputs=given, **FAST)
    assert any("left-right axis flipped" in text for text in warnings_of(output))


def test_a_stopped_run_resumes_to_the_same_result(done, start, quick, tmp_path):
    from deeprecon.worker import run_job

    made = make_phantom((8, 14, 14), 1, [(1000.0, 6)], snr=20)
    given = {"dwi": write_dwi(tmp_path / "small.nii.gz", made.noisy)["dwi"]}
    settings = NETWORK | {"steps": 20}
    complete = done("enhance", "complete", inputs=given, **settings)
    (tmp_path / "cut" / ".job").mkdir(parents=True)
    (tmp_path / "cut" / ".job" / "stop").touch()
    code, output = start("enhance", "cut", inputs=given, **settings)
    assert code == 0  # the best by then
    early = read_dwi(output / "dwi.nii.gz").array
    (output / ".job" / "stop").unlink()
    assert run_job(output / ".job") == 0
    resumed, expected = (read_dwi(folder / "dwi.nii.gz").array for folder in (output, complete))
    np.testing.assert_array_equal(resumed, expected)
    assert np.abs(early - expected).max() > 0
