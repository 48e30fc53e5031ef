"""Damaged files (kind 02), storage that other programs choose (21), and DICOM without preamble (22)."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from ..files import result, runner
from .files import AFFINE, canonical, dicom, head, nifti, nrrd, table, values

MADE = head(2, ((1000.0, 8),))
SLICES = head(1, ((1000.0, 6),))


@pytest.fixture
def run(tmp_path):
    return runner(tmp_path)


# 02: what was damaged on its way


def without_trailer(folder):
    """The last 8 bytes, checksum and length, are missing."""
    path = nifti(folder / "dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    path.write_bytes(path.read_bytes()[:-8])
    return path


def flipped_bits(folder):
    """Bits of stored (not compressed) blocks, so that only the checksum tells."""
    path = nifti(folder / "dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    content = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), 0))
    content[len(content) // 2] ^= 64
    path.write_bytes(bytes(content))
    return path


def plain_cut(folder):
    path = nifti(folder / "dwi.nii", MADE.noisy, MADE.b, MADE.directions)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    return path


def nrrd_cut(folder):
    path = nrrd(folder / "dwi.nrrd", MADE, MADE.noisy)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    return path


def nrrd_checksum(folder):
    path = nrrd(folder / "dwi.nrrd", MADE, MADE.noisy)
    content = bytearray(path.read_bytes())
    content[-6] ^= 255
    path.write_bytes(bytes(content))
    return path


def last_part_cut(folder):
    """Compressed in parallel, as many parts; the last one is cut off."""
    path = nifti(folder / "dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    path.write_bytes(in_parts(gzip.decompress(path.read_bytes()))[:-500])
    return path


def in_parts(content):
    return b"".join(gzip.compress(content[start : start + 50000]) for start in range(0, len(content), 50000))


@pytest.mark.parametrize("store", [without_trailer, flipped_bits, plain_cut, nrrd_cut, nrrd_checksum, last_part_cut])
def test_a_damaged_scan_is_refused_by_name(store, run, tmp_path, capsys):
    path = store(tmp_path)
    code, _ = run("prepare", "--dwi", path)
    message = capsys.readouterr().err
    assert code == 2
    assert path.name in message
    assert any(word in message.lower() for word in ("cut off", "damaged", "incomplete", "checksum"))


def test_a_damaged_mask_is_refused_by_name(run, tmp_path, capsys):
    path = nifti(tmp_path / "dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    mask = nifti(tmp_path / "brain_mask.nii.gz", MADE.mask.astype(np.uint8))
    content = bytearray(mask.read_bytes())
    content[-6] ^= 255
    mask.write_bytes(bytes(content))
    code, _ = run("prepare", "--dwi", path, "--mask", mask)
    assert code == 2
    assert "brain_mask.nii.gz" in capsys.readouterr().err


# 21: the same scan, stored otherwise


def parts(folder):
    path = nifti(folder / "dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    path.write_bytes(in_parts(gzip.decompress(path.read_bytes())))
    return path


def big_endian(folder):
    image = nib.Nifti1Image(MADE.noisy.astype(">f4"), AFFINE, nib.Nifti1Header(endianness=">"))
    nib.save(image, folder / "dwi.nii.gz")
    return table(folder / "dwi.nii.gz", MADE.b, MADE.directions)


def pair(folder):
    nib.save(nib.Nifti1Pair(MADE.noisy, AFFINE), folder / "dwi.hdr")
    return table(folder / "dwi.hdr", MADE.b, MADE.directions)


def compressed_nifti2(folder):
    """NIfTI-2 with the volumes in the 5th axis, compressed under a name without .gz."""
    nib.save(nib.Nifti2Image(MADE.noisy[:, :, :, None, :], AFFINE), folder / "x.nii.gz")
    (folder / "x.nii.gz").rename(folder / "dwi.nii")
    return table(folder / "dwi.nii", MADE.b, MADE.directions)


def with_extension(folder):
    """A header extension, as AFNI writes it, moves the voxels."""
    image = nib.Nifti1Image(MADE.noisy, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(4, b"<AFNI_attributes/>" * 40))
    nib.save(image, folder / "dwi.nii.gz")
    return table(folder / "dwi.nii.gz", MADE.b, MADE.directions)


def detached(folder):
    return nrrd(folder / "dwi.nhdr", MADE, MADE.noisy, "raw")


@pytest.mark.parametrize("store", [parts, big_endian, compressed_nifti2, with_extension, detached])
def test_the_same_scan_is_read_however_it_is_stored(store, run, tmp_path):
    code, output = run("export", "--dwi", store(tmp_path), "--format", "nifti")
    assert code == 0
    np.testing.assert_allclose(values(output / "dwi.nii.gz"), canonical(MADE.noisy), rtol=1e-6)
    assert result(output)["metrics"]["b0_volumes"] == 2


@pytest.mark.parametrize("given", [".hdr", ".img"])
def test_a_pair_of_files_is_refused_as_what_it_is(given, run, tmp_path, capsys):
    assert run("export", "--dwi", pair(tmp_path).with_suffix(given))[0] == 2
    message = capsys.readouterr().err
    assert f"dwi{given} is one of a pair of files" in message
    assert ".nii.gz" in message


# 22: DICOM without the preamble


def bare(folder, meta=False):
    for path in folder.iterdir():
        content = path.read_bytes()[132:]
        path.write_bytes(content if meta else content[12 + int.from_bytes(content[8:12], "little") :])
    return folder


def some(folder):
    """Every second file has no preamble; others beside them are no DICOM."""
    for path in sorted(folder.iterdir())[::2]:
        path.write_bytes(path.read_bytes()[132:])
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    (folder / "readme.txt").write_text("series 4\n" * 50, "utf-8")
    return folder


@pytest.mark.parametrize("kind", ["implicit, no meta information", "explicit, no meta information", "some"])
def test_a_series_without_preamble_is_read(kind, run, tmp_path):
    folder = dicom(tmp_path / "series", SLICES, implicit=kind.startswith("implicit"))
    folder = some(folder) if kind == "some" else bare(folder)
    code, output = run("export", "--dwi", folder, "--format", "nifti")
    assert code == 0
    np.testing.assert_array_equal(values(output / "dwi.nii.gz"), np.rint(SLICES.noisy[::-1, :, :4]))


def test_a_folder_without_images_says_what_lies_there(run, tmp_path, capsys):
    """Bare files of another kind: a structured report has no pixels."""
    folder = dicom(tmp_path / "series", SLICES, 1)
    for path in folder.iterdir():
        data = dcmread(path)
        del data.PixelData
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        data.SOPClassUID, data.Modality = "1.2.840.10008.5.1.4.1.1.88.22", "SR"
        data.save_as(path)
    assert run("prepare", "--dwi", bare(folder, meta=True))[0] == 2
    message = capsys.readouterr().err
    assert "series" in message
    assert "image" in message
