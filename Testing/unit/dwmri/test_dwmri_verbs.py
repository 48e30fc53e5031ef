"""Many cases, the other verbs, and inputs that are refused; on a small scan."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi, write_dwi
from deeprecon.data.diffusion.gradients import GradientTable, gradient_table
from deeprecon.data.files import sha256
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.dwmri.measure.accuracy import accuracy

FAST = {"method": "pca"}


def psnr(path, head):
    return accuracy(read_dwi(path).array, head.clean, head.mask, head.labels)["psnr_dwi"]


def test_many_cases_in_one_call(files, head, tmp_path):
    from deeprecon.cli import main

    (tmp_path / "cases.csv").write_text(
        f"case,dwi,mask\nfirst,{files['dwi']},{files['mask']}\nsecond,{files['truth']}x,\n", encoding="utf-8"
    )
    command = ["dwmri", "enhance", "--cases", str(tmp_path / "cases.csv"), "--method", "pca", "--device", "cpu",
               "--threads", "1", "--output", str(tmp_path / "out")]  # fmt: skip
    assert main(command) == 2
    assert psnr(tmp_path / "out" / "first" / "dwi.nii.gz", head) > 29
    rows = (tmp_path / "out" / "summary.csv").read_text(encoding="utf-8-sig").splitlines()
    assert rows[1].startswith("first,done")
    assert rows[2].startswith("second,input")


# phantom, prepare, evaluate


@pytest.mark.parametrize("kind", ["nifti", "nrrd"])
def test_a_phantom_is_prepared_and_evaluated(kind, done, figures_of):
    made = done("phantom", "phantom", columns=24, rows=24, slices=12, shells="1000:12,2500:12", format=kind)
    ending = "nrrd" if kind == "nrrd" else "nii.gz"
    scan = made / f"dwi.{ending}"
    assert read_dwi(scan).array.shape == (12, 24, 24, 27)
    prepared = done("prepare", "prepared", inputs={"dwi": scan})
    assert figures_of(prepared)["shells"] == "12 x 1000, 12 x 2500"
    assert len((prepared / "volumes.csv").read_text(encoding="utf-8").splitlines()) == 28
    given = {
        "dwi": scan,
        "truth": made / f"truth.{ending}",
        "mask": made / "mask.nii.gz",
        "labels": made / "labels.nii.gz",
    }
    figures = figures_of(done("evaluate", "evaluated", inputs=given))
    assert 20 < figures["psnr_dwi"] < 30
    assert "direction_error" in figures


def test_a_scan_is_exported_and_brought_back(files, done, warnings_of):
    nrrd = done("export", "nrrd", inputs={"dwi": files["dwi"]})
    back = done("export", "nifti", inputs={"dwi": nrrd / "dwi.nrrd"}, format="nifti")
    one, other = read_dwi(files["dwi"]), read_dwi(back / "dwi.nii.gz")
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_allclose(one.gradients.directions, other.gradients.directions, atol=1e-6)
    assert not warnings_of(nrrd)


# inputs that are refused


def change(files, folder, **tables):
    """The scan's files with one of them replaced by a text."""
    for kind, ending in (("dwi", "nii.gz"), ("bval", "bval"), ("bvec", "bvec")):
        shutil.copyfile(files[kind], folder / f"dwi.{ending}")
    for kind, text in tables.items():
        (folder / f"dwi.{kind}").write_text(text, encoding="utf-8")
    return {"dwi": folder / "dwi.nii.gz"}


def test_nothing_and_too_much_are_refused(files, error_of, tmp_path):
    assert "--dwi" in error_of("enhance", name="nothing")
    assert "--bids" in error_of("enhance", name="both", inputs={"dwi": files["dwi"], "bids": tmp_path})
    assert "no diffusion scan" in error_of("enhance", name="empty", inputs={"bids": files["dwi"].parent})


def test_wrong_tables_are_refused(files, error_of, tmp_path):
    good = files["bvec"].read_text(encoding="utf-8").splitlines()
    short = "\n".join(" ".join(line.split()[:-1]) for line in good)
    long = "\n".join(" ".join(str(2 * float(value)) for value in line.split()) for line in good)
    assert "3 x 14 numbers, expected 3 x 15" in error_of("enhance", inputs=change(files, tmp_path, bvec=short))
    assert "length 2.000, expected 1" in error_of("enhance", name="b", inputs=change(files, tmp_path, bvec=long))
    zeros = " ".join(["0"] * 15)
    assert "no diffusion-weighted" in error_of("enhance", name="c", inputs=change(files, tmp_path, bval=zeros))


def test_transposed_vectors_are_understood(files, done, quick, tmp_path):
    rows = [line.split() for line in files["bvec"].read_text(encoding="utf-8").splitlines()]
    columns = "\n".join(" ".join(vector) for vector in zip(*rows, strict=True))
    output = done("enhance", inputs=change(files, tmp_path, bvec=columns) | {"mask": files["mask"]}, **FAST)
    expected = read_dwi(files["dwi"]).gradients.directions
    np.testing.assert_allclose(read_dwi(output / "dwi.nii.gz").gradients.directions, expected, atol=1e-6)


def test_a_scan_without_b0_is_denoised_without_a_tensor(head, done, quick, tmp_path, warnings_of):
    weighted = ~head.noisy.gradients.b0
    path = write_dwi(tmp_path / "dwi.nii.gz", head.noisy.volumes(weighted))["dwi"]
    output = done("enhance", inputs={"dwi": path}, **FAST)
    assert not (output / "fa_after.nii.gz").exists()
    assert any("No volume has b = 0" in text for text in warnings_of(output))


def test_a_pickle_in_a_model_is_refused_and_not_unpickled(files, bundle, error_of, tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    model = shutil.copytree(bundle, tmp_path / "model")
    (weights,) = (model / "models").iterdir()
    weights.write_bytes(pickle.dumps(Trap()))
    given = {"dwi": files["dwi"], "bundle": model}
    assert "was changed or damaged" in error_of("enhance", name="swapped", inputs=given)
    card = json.loads((model / "configs" / "metadata.json").read_text(encoding="utf-8"))
    card["files"][f"models/{weights.name}"] = sha256(weights)
    (model / "configs" / "metadata.json").write_text(json.dumps(card), encoding="utf-8")
    assert "holds no readable weights" in error_of("enhance", name="vouched for", inputs=given)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(weights.read_bytes())
    assert (tmp_path / "sprung").exists()  # it would have


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="permissions do not bind root")
def test_a_read_only_output_folder_is_refused(files, tmp_path, capsys):
    from deeprecon.cli import main

    (tmp_path / "locked").mkdir(mode=0o500)
    assert main(["dwmri", "enhance", "--dwi", str(files["dwi"]), "--output", str(tmp_path / "locked")]) == 2
    assert "Cannot write to the folder" in capsys.readouterr().err


def test_a_mask_of_another_grid_and_an_empty_one_are_refused(files, head, error_of, tmp_path):
    moved = head.clean.ijk_to_ras.copy()
    moved[0, 3] += 5
    write_volume(tmp_path / "moved.nii.gz", Volume(head.mask, moved))
    write_volume(tmp_path / "empty.nii.gz", head.clean.volume(np.zeros_like(head.mask)))
    given = {"dwi": files["dwi"]}
    assert "does not lie on the grid" in error_of(
        "enhance", name="a", inputs=given | {"mask": tmp_path / "moved.nii.gz"}
    )
    assert "too few" in error_of("enhance", name="b", inputs=given | {"mask": tmp_path / "empty.nii.gz"})


def test_a_volume_and_a_constant_are_refused(files, head, error_of, tmp_path):
    write_volume(tmp_path / "a.nii.gz", head.clean.volume(head.clean.array[..., 0]))
    tables = {"bval": files["bval"], "bvec": files["bvec"]}
    assert "is 3D" in error_of("enhance", name="a", inputs={"dwi": tmp_path / "a.nii.gz"} | tables)
    flat = write_dwi(tmp_path / "b.nii.gz", head.clean.with_array(np.full_like(head.clean.array, 9)))["dwi"]
    assert "same value everywhere" in error_of("enhance", name="b", inputs={"dwi": flat})


def test_scans_of_other_grids_cannot_be_evaluated(files, head, error_of, tmp_path):
    other = write_dwi(tmp_path / "o.nii.gz", head.clean.volumes(np.arange(14)))["dwi"]
    assert "same grid and volumes" in error_of("evaluate", inputs={"dwi": other, "truth": files["truth"]})


def test_a_damaged_table_in_nrrd_is_refused(head, error_of, tmp_path):
    path = write_dwi(tmp_path / "a.nrrd", head.noisy)["dwi"]
    path.write_bytes(path.read_bytes().replace(b"DWMRI_gradient_0003:=", b"DWMRI_gradient_0103:="))
    assert "DWMRI_gradient_0003 is missing" in error_of("enhance", inputs={"dwi": path})


def test_repeated_directions_are_kept(head, done, quick, tmp_path, warnings_of):
    table = head.noisy.gradients
    chosen = np.concatenate([np.arange(15), [1, 2, 3]])
    twice = head.noisy.volumes(chosen)
    assert isinstance(gradient_table(table.bvals, table.directions), GradientTable)
    output = done("enhance", inputs={"dwi": write_dwi(tmp_path / "dwi.nii.gz", twice)["dwi"]}, **FAST)
    assert read_dwi(output / "dwi.nii.gz").array.shape[-1] == 18
    assert any("repeat a direction" in text for text in warnings_of(output))
