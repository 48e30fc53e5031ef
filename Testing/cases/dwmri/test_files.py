"""Files of diffusion scans as other programs write them: shell and panel read and refuse the same ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from deeprecon.data.diffusion.files import SCAN_ENDINGS, read_dwi
from deeprecon.data.doubts import CODES
from deeprecon.data.errors import InputError

from .files import AFFINE, codes, head, runner, vectors, write_scan

KINDS = ("plain", "nifti2", "time in the 5th axis", "trailing axis", "trailing axes", "not compressed .gz",
         "compressed .nii", "big-endian")  # fmt: skip
DAMAGE = ("cut off", "bit of the checksum", "bit of the data", "empty", "not compressed and cut off")


@pytest.fixture(scope="module")
def made():
    return head()


def write(kind, made, folder):
    """The scan's path: `array` as the other programs' image, tables beside it."""
    path = write_scan(folder, made.noisy.array, made.clean.gradients.bvals, vectors(made))
    array = made.noisy.array.transpose(2, 1, 0, 3)  # as nibabel orders it
    shaped = {
        "time in the 5th axis": array[:, :, :, None],
        "trailing axis": array[..., None],
        "trailing axes": array[..., None, None],
    }.get(kind, array)
    content = (nibabel.Nifti2Image if kind == "nifti2" else nibabel.Nifti1Image)(shaped, AFFINE)
    if kind == "big-endian":
        header = nibabel.Nifti1Header(endianness=">")
        header.set_data_dtype(np.float32)
        content = nibabel.Nifti1Image(shaped, AFFINE, header)
        content.set_sform(AFFINE, 1)
    data = content.to_bytes()
    if kind != "not compressed .gz":
        data = gzip.compress(data)
    if kind == "compressed .nii":
        path = path.rename(folder / "dwi.nii")
    path.write_bytes(data)
    return path


def damage(kind, path):
    content = bytearray(path.read_bytes())
    if kind == "cut off":
        content = content[: len(content) * 2 // 3]
    elif kind == "bit of the checksum":
        content[-6] ^= 255
    elif kind == "bit of the data":
        content[len(content) // 2] ^= 16
    elif kind == "empty":
        content = bytearray()
    else:
        content = bytearray(gzip.decompress(content))[: len(content) // 2]
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("kind", KINDS)
def test_shell_and_reader_take_every_form_of_nifti(kind, made, tmp_path):
    path = write(kind, made, tmp_path)
    np.testing.assert_array_equal(read_dwi(path).array, made.noisy.array)
    code, output = runner(tmp_path)("export", "--dwi", path)
    assert code == 0
    np.testing.assert_array_equal(read_dwi(output / "dwi.nrrd").array, made.noisy.array)


@pytest.mark.parametrize("kind", KINDS)
def test_the_panel_takes_the_same_ones(kind, made, tmp_path, scene):
    from deeprecon.scene.dwmri.scan import open_scan, scan_from_node

    node = open_scan(write(kind, made, tmp_path))
    np.testing.assert_array_equal(scan_from_node(node).array, made.noisy.array)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_files_are_refused_in_both(kind, made, tmp_path, scene, capsys):
    from deeprecon.scene.dwmri.scan import open_scan

    path = write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, vectors(made))
    damage(kind, path)
    assert runner(tmp_path)("prepare", "--dwi", path)[0] == 2
    message = capsys.readouterr().err
    assert "dwi.nii.gz" in message
    assert "Copy or export it again." in message
    with pytest.raises(InputError, match="cut off"):
        open_scan(path)


def test_a_second_long_axis_is_no_series(made, tmp_path):
    path = write("plain", made, tmp_path)
    array = made.noisy.array.transpose(2, 1, 0, 3)
    nibabel.save(nibabel.Nifti1Image(np.stack([array, array], axis=-1), AFFINE), path)
    with pytest.raises(InputError, match="is 5D"):
        read_dwi(path)


# DWI NRRD


def nrrd(folder, made, **marks):
    """A DWI NRRD with marks, as skip=["0004"] and nex={"0001": 2}, whose repeated gradients are not named."""
    code, output = runner(folder)("export", "--dwi", write("plain", made, folder), name="nrrd")
    assert code == 0
    header, _, data = (output / "dwi.nrrd").read_bytes().partition(b"\n\n")
    lines = header.decode().splitlines()
    for number, count in marks.get("nex", {}).items():
        repeats = [f"DWMRI_gradient_{int(number) + more:04d}:" for more in range(1, count)]
        lines = [line for line in lines if not line.startswith(tuple(repeats))]
        lines.append(f"DWMRI_NEX_{number}:={count}")
    lines += [f"DWMRI_skip_{number}:=true" for number in marks.get("skip", [])]
    path = folder / "marked.nrrd"
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + data)
    return path


def given(folder):
    """(V, 3) the directions of the scan that `nrrd` marked."""
    return read_dwi(folder / "dwi.nii.gz").gradients.directions


def test_volumes_marked_as_skipped_are_left_out_and_named(made, tmp_path):
    assert "skipped-volumes" in CODES
    path = nrrd(tmp_path, made, skip=["0004", "0009"])
    found, kept = read_dwi(path), np.setdiff1d(np.arange(18), [4, 9])
    np.testing.assert_array_equal(found.array, made.noisy.array[..., kept])
    np.testing.assert_allclose(found.gradients.directions, given(tmp_path)[kept], atol=1e-5)
    code, output = runner(tmp_path)("prepare", "--dwi", path)
    assert code == 0
    assert codes(output) == {"skipped-volumes"}
    assert read_dwi(nrrd(tmp_path, made)).doubts == ()


def test_repeated_volumes_share_a_gradient(made, tmp_path):
    first = int(np.flatnonzero(~made.clean.gradients.b0)[0])
    found = read_dwi(nrrd(tmp_path, made, nex={f"{first:04d}": 2})).gradients
    expected = given(tmp_path).copy()
    expected[first + 1] = expected[first]
    np.testing.assert_allclose(found.directions, expected, atol=1e-5)


def test_the_dialog_of_the_panel_offers_the_files_that_are_read():
    ui = Path(__file__).resolve().parents[3] / "DWMRIEnhance" / "Resources" / "UI" / "DWMRIEnhance.ui"
    patterns = " ".join(f"*{ending}" for ending in (*SCAN_ENDINGS, ".dcm"))
    assert f"<string>Diffusion scan ({patterns})</string>" in ui.read_text("utf-8")
