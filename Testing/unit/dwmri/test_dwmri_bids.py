"""The derivatives of BIDS datasets, by the worker, on small scans."""

from __future__ import annotations

import json
import shutil
from fnmatch import fnmatch

import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi, write_dwi
from deeprecon.data.errors import InputError
from deeprecon.dwmri import dataset as dataset_module
from deeprecon.dwmri.read.bids import find_gradient_file
from deeprecon.dwmri.simulate.head import make_phantom

FAST = {"method": "pca"}
NETWORK = {"method": "network", "steps": 20}


def dataset(root, files, subjects=("01", "02")):
    for subject in subjects:
        folder = root / f"sub-{subject}" / "dwi"
        folder.mkdir(parents=True)
        for kind, ending in (("dwi", "nii.gz"), ("bval", "bval"), ("bvec", "bvec")):
            shutil.copyfile(files[kind], folder / f"sub-{subject}_dwi.{ending}")
    return root


def test_a_dataset_gets_derivatives_and_a_broken_scan_does_not_stop_the_others(
    files, done, quick, tmp_path, figures_of, warnings_of
):
    root = dataset(tmp_path / "data", files)
    (root / "sub-02" / "dwi" / "sub-02_dwi.bval").write_text("0 1000", encoding="utf-8")
    output = done("enhance", inputs={"bids": root}, **FAST)
    assert figures_of(output) == {"scans": 2, "done": 1, "failed": 1}
    folder = output / "sub-01" / "dwi"
    names = {path.name for path in folder.iterdir()}
    for end in ("desc-denoised_dwi.nii.gz", "desc-denoised_dwi.bval", "desc-denoised_dwi.bvec",
                "desc-denoised_dwi.json",
                "desc-brain_mask.nii.gz", "model-tensor_param-fa_desc-after_dwimap.nii.gz"):  # fmt: skip
        assert f"sub-01_{end}" in names
    card = json.loads((output / "dataset_description.json").read_text(encoding="utf-8"))
    assert card["DatasetType"] == "derivative"
    sidecar = json.loads((folder / "sub-01_desc-denoised_dwi.json").read_text(encoding="utf-8"))
    assert sidecar["SkullStripped"] is False
    for image in folder.glob("*.nii.gz"):
        own = json.loads(image.with_name(f"{image.name.removesuffix('.nii.gz')}.json").read_text(encoding="utf-8"))
        assert own["Sources"] == ["bids:raw:sub-01/dwi/sub-01_dwi.nii.gz"]
    patterns = (output / ".bidsignore").read_text(encoding="utf-8").split()
    unknown = {
        path.name
        for path in output.rglob("*")
        if path.is_file()
        and ".job" not in path.parts
        and not any(fnmatch(path.name, pattern.removeprefix("/")) for pattern in patterns)
    }
    known = ("desc-denoised_dwi.nii.gz", "desc-denoised_dwi.json", "desc-brain_mask.nii.gz", "desc-brain_mask.json")
    assert unknown == {"dataset_description.json", ".bidsignore", *(f"sub-01_{end}" for end in known)}
    assert any("2 b-values" in text for text in warnings_of(output))


def test_a_dataset_that_was_stopped_within_a_scan_resumes(done, start, quick, tmp_path, figures_of, monkeypatch):
    made = make_phantom((8, 14, 14), 1, [(1000.0, 6)], snr=20)
    root = dataset(tmp_path / "data", write_dwi(tmp_path / "small.nii.gz", made.noisy), ("01",))
    settings = NETWORK | {"steps": 20}
    complete = done("enhance", "complete", inputs={"bids": root}, **settings)
    original = dataset_module.enhance_scan

    def stopping(given, parameters, run):
        (run.parent.folder / "stop").touch()
        return original(given, parameters, run)

    monkeypatch.setattr(dataset_module, "enhance_scan", stopping)
    code, output = start("enhance", "cut", inputs={"bids": root}, **settings)
    assert code == 3
    assert [path.name for path in output.iterdir()] == [".job"]
    monkeypatch.setattr(dataset_module, "enhance_scan", original)
    (output / ".job" / "stop").unlink()
    done("enhance", "cut", inputs={"bids": root}, **settings)
    name = "sub-01/dwi/sub-01_desc-denoised_dwi.nii.gz"
    np.testing.assert_array_equal(read_dwi(complete / name).array, read_dwi(output / name).array)


def test_finished_scans_of_a_dataset_are_not_computed_again(files, start, done, quick, tmp_path, monkeypatch):
    root = dataset(tmp_path / "data", files)
    computed = []
    original = dataset_module.enhance_scan

    def broken(given, parameters, run):
        computed.append(given.dwi.name)
        if len(computed) == 2:
            raise KeyboardInterrupt
        return original(given, parameters, run)

    monkeypatch.setattr(dataset_module, "enhance_scan", broken)
    assert start("enhance", inputs={"bids": root}, **FAST)[0] == 3
    done("enhance", inputs={"bids": root}, **FAST)
    assert computed == ["sub-01_dwi.nii.gz", "sub-02_dwi.nii.gz", "sub-02_dwi.nii.gz"]


# a model for all scans


def test_the_model_is_used_for_every_scan_of_a_dataset(files, bundle, done, quick, tmp_path):
    root = dataset(tmp_path / "data", files)
    output = done("enhance", inputs={"bids": root, "bundle": bundle}, **FAST)
    for subject in ("01", "02"):
        path = output / f"sub-{subject}" / "dwi" / f"sub-{subject}_desc-denoised_dwi.json"
        assert json.loads(path.read_text(encoding="utf-8"))["Figures"]["network"] == "baseline"


def test_the_shell_passes_the_model_to_datasets_among_many_cases(files, bundle, tmp_path):
    from deeprecon.cli import main

    root = dataset(tmp_path / "data", files, ("01",))
    (tmp_path / "cases.csv").write_text(f"case,bids\nfirst,{root}\n", encoding="utf-8")
    command = ["dwmri", "enhance", "--cases", str(tmp_path / "cases.csv"), "--bundle", str(bundle), "--device", "cpu",
               "--threads", "1", "--output", str(tmp_path / "out")]  # fmt: skip
    assert main(command) == 0
    side = tmp_path / "out" / "first" / "sub-01" / "dwi" / "sub-01_desc-denoised_dwi.json"
    assert json.loads(side.read_text(encoding="utf-8"))["Figures"]["network"] == "baseline"


def test_a_model_that_cannot_be_used_ends_the_run_before_any_scan(files, error_of, tmp_path, monkeypatch):
    root = dataset(tmp_path / "data", files)
    monkeypatch.setattr(dataset_module, "enhance_scan", lambda *rest: pytest.fail("a scan was begun"))
    assert "is no model bundle" in error_of("enhance", inputs={"bids": root, "bundle": root})


def test_files_of_one_scan_are_refused_for_a_dataset(files, error_of, tmp_path):
    root = dataset(tmp_path / "data", files)
    message = error_of("enhance", name="tables", inputs={"bids": root, "bval": files["bval"], "bvec": files["bvec"]})
    assert "--bval and --bvec cannot be given with --bids" in message
    assert "--mask cannot" in error_of("enhance", name="mask", inputs={"bids": root, "mask": files["mask"]})


# where results go, and where tables are found


def test_the_output_is_a_dataset_of_derivatives_with_its_source(files, done, quick, tmp_path):
    root = dataset(tmp_path / "data", files, ("01",))
    output = done("enhance", "data/derivatives/deeprecon", inputs={"bids": root}, background="zero", **FAST)
    card = json.loads((output / "dataset_description.json").read_text(encoding="utf-8"))
    assert card["DatasetLinks"] == {"raw": root.as_uri()}
    sidecar = json.loads((output / "sub-01" / "dwi" / "sub-01_desc-denoised_dwi.json").read_text(encoding="utf-8"))
    assert sidecar["SkullStripped"] is True
    again = done("enhance", "again", inputs={"bids": root}, **FAST)  # derivatives are no scans of the dataset
    assert sorted(path.name for path in again.iterdir()) == [
        ".bidsignore", ".job", "dataset_description.json", "result.json", "sub-01", "summary.csv",
    ]  # fmt: skip


def test_the_dataset_is_refused_as_output_folder(files, tmp_path, capsys):
    from deeprecon.cli import main

    root = dataset(tmp_path / "data", files, ("01",))
    assert main(["dwmri", "enhance", "--bids", str(root), "--output", str(root)]) == 2
    assert "is the output folder" in capsys.readouterr().err
    assert [path.name for path in root.iterdir()] == ["sub-01"]


def test_tables_are_inherited_from_the_root_of_the_dataset(files, done, quick, tmp_path):
    root = dataset(tmp_path / "data", files, ("01",))
    for kind in ("bval", "bvec"):
        (root / "sub-01" / "dwi" / f"sub-01_dwi.{kind}").rename(root / f"dwi.{kind}")
    output = done("enhance", inputs={"bids": root}, **FAST)
    found = read_dwi(output / "sub-01" / "dwi" / "sub-01_desc-denoised_dwi.nii.gz")
    np.testing.assert_array_equal(found.gradients.directions, read_dwi(files["dwi"]).gradients.directions)


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (["dwi.bval", "sub-01/sub-01_dwi.bval"], "sub-01/sub-01_dwi.bval"),
        (["dwi.bval", "acq-b_dwi.bval"], "acq-b_dwi.bval"),
        (["dwi.bval", "acq-a_dwi.bval", "sub-01/ses-2/sub-01_ses-2_dwi.bval"], "dwi.bval"),
        (["dwi.bval", "sub-01/ses-1/dwi/sub-01_ses-1_acq-b_dwi.bval", "sub-01/ses-1/dwi/sub-01_ses-1_dwi.bval"],
         "sub-01/ses-1/dwi/sub-01_ses-1_acq-b_dwi.bval"),
        (["dwi.bval", "sub-01/sub-01_otherdwi.bval"], "dwi.bval"),
    ],
    ids=["nearest", "most entities", "of others", "own", "another suffix"],
)  # fmt: skip
def test_the_nearest_table_that_fits_the_name_is_taken(tables, expected, tmp_path):
    for name in tables:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    scan = tmp_path / "sub-01" / "ses-1" / "dwi" / "sub-01_ses-1_acq-b_dwi.nii.gz"
    assert find_gradient_file(scan, tmp_path, "bval") == tmp_path / expected


def test_no_table_and_two_that_fit_alike_are_refused(tmp_path):
    (tmp_path / "dwi.bval").touch()  # above the dataset
    root = tmp_path / "data"
    scan = root / "sub-01" / "dwi" / "sub-01_acq-b_dir-AP_dwi.nii"
    scan.parent.mkdir(parents=True)
    with pytest.raises(InputError, match=r"no bval file for .*sub-01_acq-b_dir-AP_dwi\.nii"):
        find_gradient_file(scan, root, "bval")
    for name in ("acq-b_dwi.bval", "dir-AP_dwi.bval"):
        (root / name).touch()
    with pytest.raises(InputError, match=r"are both the bval file of sub-01_acq-b_dir-AP_dwi\.nii"):
        find_gradient_file(scan, root, "bval")
