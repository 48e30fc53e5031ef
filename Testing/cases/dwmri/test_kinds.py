"""What kind of image a diffusion scan is: wrapped 16-bit numbers, phases, real-valued images."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi, write_dwi
from deeprecon.data.diffusion.kinds import judge_values, stated_part
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.doubts import CODES

from .files import codes, head, result, runner, vectors, write_scan


@pytest.fixture(scope="module")
def made():
    return head()


@pytest.fixture
def run(tmp_path):
    return runner(tmp_path)


def scan_of(array, made) -> DwiScan:
    return DwiScan(array, made.clean.ijk_to_ras, made.clean.gradients, "scan")


def found_codes(array, made) -> set[str]:
    return {doubt.code for doubt in judge_values(scan_of(array, made)).doubts}


def bright(made, top=50000):
    """Unsigned numbers up to `top`."""
    return (made.noisy.array / made.noisy.array.max() * top).astype(np.uint16)


def real_valued(made, seed=0):
    """The clean signal with Gaussian noise as strong as the phantom's."""
    noise = np.random.default_rng(seed).standard_normal(made.clean.array.shape) * made.sigma[..., None]
    return (made.clean.array + noise).astype(np.float32)


def test_every_code_has_a_meaning():
    assert {"wrapped-16-bit", "phase-image", "real-valued", "part-left-out"} <= set(CODES)


# unsigned numbers that were read as signed ones


def test_wrapped_numbers_are_refused_and_undone_when_accepted(made, run, tmp_path, capsys):
    right = bright(made)
    path = write_scan(tmp_path, right.view(np.int16), made.clean.gradients.bvals, vectors(made))
    code, _ = run("prepare", "--dwi", path)
    message = capsys.readouterr().err
    assert code == 2
    assert "dwi.nii.gz" in message
    assert "16-bit" in message
    assert "--accept wrapped-16-bit" in message
    code, output = run("export", "--dwi", path, "--accept", "wrapped-16-bit", "--format", "nifti")
    assert code == 0
    assert codes(output) == {"wrapped-16-bit"}
    np.testing.assert_array_equal(read_dwi(output / "dwi.nii.gz").array, right)


@pytest.mark.parametrize("top", [40000, 50000, 60000, 65000])
@pytest.mark.parametrize("kind", ["int16", "int32", "float32", "scaled"])
def test_wrapped_numbers_of_every_type_are_found_and_undone(top, kind, made):
    right = bright(made, top)
    array, scaling = right.view(np.int16), (1.0, 0.0)
    if kind == "scaled":
        array, scaling = (array * 0.25 + 3).astype(np.float32), (0.25, 3.0)
    elif kind != "int16":
        array = array.astype(kind)
    found = judge_values(DwiScan(array, np.eye(4), made.clean.gradients, scaling=scaling))
    assert [doubt.code for doubt in found.doubts] == ["wrapped-16-bit"]
    np.testing.assert_allclose(found.array, right * scaling[0] + scaling[1], rtol=1e-6)


def test_numbers_that_did_not_wrap_raise_no_doubt(made):
    array = np.round(made.noisy.array).astype(np.int16)
    assert found_codes(array, made) == set()
    assert found_codes(bright(made), made) == set()
    few = array.copy()
    few[0, 0, 0, :3] = -7  # of an interpolation
    assert found_codes(few, made) == set()
    padded = np.where(made.mask[..., None], array, -2000).astype(np.int16)
    assert "wrapped-16-bit" not in found_codes(padded, made)


# phases


def phase(made, kind):
    rng = np.random.default_rng(0)
    shape = made.clean.array.shape
    if kind == "radians":
        return rng.uniform(-np.pi, np.pi, shape).astype(np.float32)
    return rng.integers(*((-4096, 4096) if kind == "signed" else (0, 4096)), shape).astype(np.int16)


@pytest.mark.parametrize("kind", ["signed", "unsigned", "radians"])
def test_a_phase_is_found_by_its_values(kind, made, run, tmp_path, capsys):
    path = write_scan(tmp_path, phase(made, kind), made.clean.gradients.bvals, vectors(made))
    assert run("prepare", "--dwi", path)[0] == 2
    message = capsys.readouterr().err
    assert "phase image" in message
    assert "--accept phase-image" in message
    code, output = run("prepare", "--dwi", path, "--accept", "phase-image")
    assert code == 0
    assert codes(output) == {"phase-image"}


@pytest.mark.parametrize(
    ("name", "sidecar", "part"),
    [
        ("sub-1_part-phase_dwi.nii.gz", {}, "phase"),
        ("sub-1_part-imag_dwi.nii", {}, "imag"),
        ("sub-1_part-real_dwi.nii.gz", {}, "real"),
        (
            "sub-1_part-mag_dwi.nii.gz",
            {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]},
            "",
        ),
        ("scan_ph.nii.gz", {}, "phase"),
        ("dwi.nii.gz", {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase"),
        ("dwi.nii.gz", {"ImageType": "ORIGINAL\\PRIMARY\\PHASE MAP"}, "phase"),
        ("dwi.nii.gz", {"ComplexImageComponent": "IMAGINARY"}, "imag"),
        ("partial-phase.nii.gz", {}, ""),
    ],
)
def test_name_and_sidecar_state_the_part_of_a_complex_image(name, sidecar, part, tmp_path):
    assert stated_part(tmp_path / name, sidecar) == part


@pytest.mark.parametrize(
    ("name", "sidecar"),
    [
        ("sub-01_part-phase_dwi.nii.gz", None),
        ("dwi.nii.gz", {"ImageType": ["ORIGINAL", "P"]}),
    ],
)
def test_a_scan_that_is_called_a_phase_is_refused(name, sidecar, made, run, tmp_path, capsys):
    path = write_scan(
        tmp_path,
        made.noisy.array,
        made.clean.gradients.bvals,
        vectors(made),
        name,
        sidecar,
    )
    assert run("prepare", "--dwi", path)[0] == 2
    assert name in (message := capsys.readouterr().err)
    assert "--accept phase-image" in message


def test_phases_of_a_dataset_are_left_out_and_named(made, run, tmp_path):
    b, g = made.clean.gradients.bvals, vectors(made)
    folder = tmp_path / "ds" / "sub-01" / "dwi"
    write_scan(folder, made.noisy.array, b, g, "sub-01_part-mag_dwi.nii.gz")
    write_scan(folder, phase(made, "signed"), b, g, "sub-01_part-phase_dwi.nii.gz")
    code, output = run("enhance", "--bids", tmp_path / "ds", "--method", "pca")
    assert code == 0
    assert result(output)["metrics"] == {"scans": 1, "done": 1, "failed": 0}
    (doubt,) = result(output)["doubts"]
    assert doubt["code"] == "part-left-out"
    assert "part-phase" in doubt["where"]
    assert doubt["assumed"]
    assert not list(output.rglob("*phase*"))


# real-valued images


def test_negative_noise_is_kept_and_no_bias_is_corrected(made, run, tmp_path):
    array = real_valued(made)
    path = write_scan(tmp_path, array, made.clean.gradients.bvals, vectors(made))
    code, output = run("enhance", "--dwi", path, "--method", "pca")
    assert code == 0
    assert codes(output) == {"real-valued"}
    after = read_dwi(output / "dwi.nii.gz").array
    # fluid in the weighted volumes lies at the noise: clipping or the correction of magnitudes would show there
    low = made.mask[..., None] & (made.clean.array < 2 * made.sigma[..., None])
    assert abs((after - made.clean.array)[low].mean()) < 0.15 * made.sigma[made.mask].mean()
    error, noise = ((each - made.clean.array)[made.mask].std() for each in (after, array))
    assert error < 0.6 * noise


def test_a_real_valued_image_without_background_is_found(made):
    inside = np.where(made.mask[..., None], real_valued(made) - 5 * made.sigma.mean(), 0)
    assert found_codes(np.asarray(inside, np.float32), made) == {"real-valued"}


def test_the_noise_of_a_magnitude_raises_no_doubt(made, tmp_path):
    assert found_codes(made.noisy.array, made) == set()
    few = made.noisy.array.copy()
    few[:, ::8, ::8] = -1  # 1.6 % of the values
    few[made.mask] = made.noisy.array[made.mask]
    assert found_codes(few, made) == set()
    write_dwi(tmp_path / "a.nii.gz", made.noisy)
    assert read_dwi(tmp_path / "a.nii.gz").doubts == ()
