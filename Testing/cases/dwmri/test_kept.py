"""Nothing is lost: entries of sidecars and headers, and scans of b0 only."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from deeprecon.cli import main
from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.diffusion.kinds import entries_of_result
from deeprecon.data.doubts import CODES
from deeprecon.data.tables import read_table
from deeprecon.dwmri import dataset

from .files import AFFINE, codes, head, result, runner, vectors, write_scan


@pytest.fixture(scope="module")
def made():
    return head()


@pytest.fixture
def run(tmp_path):
    return runner(tmp_path)


@pytest.mark.parametrize(
    ("codes_of", "step", "unit", "seconds"),
    [((1, 1), 3.2, "sec", 3.2), ((4, 1), 8500, "msec", 8.5), ((0, 1), 2, "sec", 2)],
)
def test_header_entries_of_nifti_are_kept(codes_of, step, unit, seconds, made, run, tmp_path):
    path = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, vectors(made))
    image = nibabel.Nifti1Image(made.noisy.array.transpose(2, 1, 0, 3), AFFINE)
    image.set_sform(AFFINE, codes_of[0])
    image.set_qform(AFFINE, codes_of[1])
    image.header["descrip"] = b"TE=78;Time=101112.130"
    image.header.set_zooms((2, 2, 2, step))
    image.header.set_xyzt_units("mm", unit)
    nibabel.save(image, path)
    code, output = run("enhance", "--dwi", path, "--method", "pca")
    assert code == 0
    header = nibabel.load(output / "dwi.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == codes_of
    assert float(header.get_zooms()[3]) == pytest.approx(seconds)
    assert header.get_xyzt_units() == ("mm", "sec")
    assert bytes(header["descrip"]).rstrip(b"\0") == b"TE=78;Time=101112.130"


def test_sidecars_keep_their_entries_and_reversed_scans_are_there(made, run, tmp_path):
    assert "b0-only" in CODES
    b, g = made.clean.gradients.bvals, vectors(made)
    root = tmp_path / "ds"
    folder = root / "sub-01" / "dwi"
    own = {"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05, "SliceTiming": [0, 0.5]}
    write_scan(folder, made.noisy.array, b, g, "sub-01_dir-AP_dwi.nii.gz", own)
    b0 = np.flatnonzero(b == 0)[:2]
    write_scan(
        folder, made.noisy.array[..., b0], b[b0], g[b0], "sub-01_dir-PA_dwi.nii.gz", {"PhaseEncodingDirection": "j"}
    )
    (root / "dwi.json").write_text(json.dumps({"RepetitionTime": 3.2, "TotalReadoutTime": 0.09}), "utf-8")
    code, output = run("enhance", "--bids", root, "--method", "pca")
    assert code == 0
    assert result(output)["metrics"] == {"scans": 2, "done": 2, "failed": 0}
    assert codes(output) == {"b0-only"}
    results = output / "sub-01" / "dwi"
    forward, reverse = (
        json.loads((results / f"sub-01_dir-{way}_desc-denoised_dwi.json").read_text("utf-8")) for way in ("AP", "PA")
    )
    assert forward.items() >= (own | {"RepetitionTime": 3.2}).items()
    assert forward["Sources"] == ["bids:raw:sub-01/dwi/sub-01_dir-AP_dwi.nii.gz"]
    assert (reverse["PhaseEncodingDirection"], reverse["TotalReadoutTime"]) == ("j", 0.09)
    found = read_dwi(results / "sub-01_dir-PA_desc-denoised_dwi.nii.gz").array
    inside = made.mask
    assert (
        np.abs(found.mean(axis=-1) - made.clean.array[..., b0].mean(axis=-1))[inside].mean() < made.sigma[inside].mean()
    )


def test_the_shell_keeps_the_sidecar_of_a_scan(made, run, tmp_path):
    own = {"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05, "RepetitionTime": 3.2, "SliceTiming": [0, 0.5]}
    path = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, vectors(made), sidecar=own)
    for verb, options in (("export", ("--format", "nifti")), ("enhance", ("--method", "pca"))):
        code, output = run(verb, "--dwi", path, *options, name=verb)
        assert code == 0
        assert json.loads((output / "dwi.json").read_text("utf-8")) == own
    assert entries_of_result(own, finer=True).keys() == own.keys() - {"SliceTiming"}


@pytest.mark.parametrize("axes", [3, 4])
def test_a_single_reversed_volume_is_passed_on_with_its_sidecar(axes, made, run, tmp_path):
    assert "single-volume" in CODES
    array, folder = made.noisy.array[..., :1], tmp_path / "ds" / "sub-01" / "dwi"
    own = {"PhaseEncodingDirection": "j", "TotalReadoutTime": 0.05}
    path = write_scan(folder, array, [0], np.zeros((1, 3)), "sub-01_dir-PA_dwi.nii.gz", own)
    if axes == 3:
        nibabel.save(nibabel.Nifti1Image(array[..., 0].transpose(2, 1, 0), AFFINE), path)
    code, output = run("enhance", "--bids", tmp_path / "ds", "--method", "pca")
    assert code == 0
    assert codes(output) == {"b0-only", "single-volume"}
    stem = output / "sub-01" / "dwi" / "sub-01_dir-PA_desc-denoised_dwi.nii.gz"
    np.testing.assert_array_equal(read_dwi(stem).array, array)
    sidecar = json.loads(stem.with_name("sub-01_dir-PA_desc-denoised_dwi.json").read_text("utf-8"))
    assert sidecar.items() >= own.items()


def test_a_single_weighted_volume_and_one_of_a_series_are_refused(made, run, tmp_path, capsys):
    one = write_scan(tmp_path, made.noisy.array[..., :1], [1000], [[1, 0, 0]])
    assert run("enhance", "--dwi", one)[0] == 2
    assert "dwi.nii.gz has a single volume, which is diffusion weighted" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["pca", "mppca", "local-pca"])
@pytest.mark.parametrize("kind", ["two slices", "two b0"])
def test_thin_scans_and_two_b0_work_by_every_local_method(kind, method, made, run, tmp_path):
    if method != "pca":
        pytest.importorskip("dipy")
    table = made.clean.gradients
    chosen = np.flatnonzero(table.b0)[:2] if kind == "two b0" else np.arange(len(table))
    slices = slice(4, 6) if kind == "two slices" else slice(None)
    path = write_scan(tmp_path, made.noisy.array[slices][..., chosen], table.bvals[chosen], vectors(made)[chosen])
    code, output = run("enhance", "--dwi", path, "--method", method)
    assert code == 0
    truth, inside = made.clean.array[slices][..., chosen], made.mask[slices]
    error = np.abs(read_dwi(output / "dwi.nii.gz").array - truth)[inside].mean()
    assert error < 0.9 * np.abs(made.noisy.array[slices][..., chosen] - truth)[inside].mean()


def test_a_resumed_dataset_keeps_the_doubts_of_the_scans_that_were_finished(made, run, tmp_path, monkeypatch, capsys):
    b, g = made.clean.gradients.bvals, vectors(made)
    b0, folder = np.flatnonzero(b == 0)[:2], tmp_path / "ds" / "sub-01" / "dwi"
    write_scan(folder, made.noisy.array[..., b0], b[b0], g[b0], "sub-01_dir-AP_dwi.nii.gz")
    write_scan(folder, made.noisy.array, b, g, "sub-01_dir-PA_dwi.nii.gz")
    original = dataset.enhance_scan

    def broken(given, parameters, own):
        if "dir-PA" in given.dwi.name:
            raise KeyboardInterrupt
        return original(given, parameters, own)

    monkeypatch.setattr(dataset, "enhance_scan", broken)
    assert run("enhance", "--bids", tmp_path / "ds", "--method", "pca")[0] == 3
    monkeypatch.setattr(dataset, "enhance_scan", original)
    capsys.readouterr()
    assert main(["dwmri", "enhance", "--resume", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.count("b0-only") == 1
    output = tmp_path / "out"
    assert codes(output) == {"b0-only"}
    rows = {row["scan"].rpartition("/")[2]: row["doubts"] for row in read_table(output / "summary.csv")}
    assert rows == {"sub-01_dir-AP_dwi.nii.gz": "b0-only", "sub-01_dir-PA_dwi.nii.gz": ""}
    sidecar = output / "sub-01" / "dwi" / "sub-01_dir-AP_desc-denoised_dwi.json"
    assert [doubt["code"] for doubt in json.loads(sidecar.read_text("utf-8"))["Doubts"]] == ["b0-only"]


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd"])
def test_a_scan_of_b0_only_survives_every_format(ending, made, run, tmp_path):
    b0 = np.flatnonzero(made.clean.gradients.b0)
    path = write_scan(tmp_path, made.noisy.array[..., b0], np.zeros(3), np.zeros((3, 3)))
    code, output = run("export", "--dwi", path, "--format", "nrrd" if ending == "nrrd" else "nifti")
    assert code == 0
    np.testing.assert_array_equal(read_dwi(output / f"dwi.{ending}").array, made.noisy.array[..., b0])


def test_directions_without_b_values_are_refused(made, run, tmp_path, capsys):
    path = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals / 1000, vectors(made))
    assert run("prepare", "--dwi", path)[0] == 2
    message = capsys.readouterr().err
    assert "dwi.nii.gz" in message
    assert "s/mm2" in message
