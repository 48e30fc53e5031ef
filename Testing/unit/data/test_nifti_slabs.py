"""Volumes written slab by slab are what other readers read, and do not depend on how they were cut."""

from __future__ import annotations

import errno
import gzip

import numpy as np
import pytest

from deeprecon.data.formats import nifti_slabs
from deeprecon.data.formats.nifti_slabs import write_nifti_slabs
from deeprecon.data.volume_io import read_volume

AFFINE = np.array([[-0.7, 0, 0, 12.5], [0, -0.7, 0, 3], [0, 0, 0.6, -40], [0, 0, 0, 1]])


@pytest.fixture
def volume():
    rng = np.random.default_rng(5)
    return rng.integers(-1000, 1000, (31, 40, 50)).astype(np.int16)


def slabs(volume, planes):
    return (volume[first : first + planes] for first in range(0, len(volume), planes))


@pytest.mark.parametrize("planes", [1, 7, 31])
@pytest.mark.parametrize("block", [1000, 2**22])
def test_other_readers_read_what_was_written(volume, planes, block, tmp_path, monkeypatch):
    import SimpleITK as sitk

    monkeypatch.setattr(nifti_slabs, "BLOCK", block)
    path = tmp_path / "ct.nii.gz"
    write_nifti_slabs(path, slabs(volume, planes), volume.shape, np.int16, AFFINE, 2, "SYNTHETIC")
    read = read_volume(path)
    np.testing.assert_array_equal(read.array, volume)
    assert read.array.dtype == np.int16
    np.testing.assert_allclose(read.ijk_to_ras, AFFINE, atol=1e-5)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume)
    assert gzip.decompress(path.read_bytes())[148:157] == b"SYNTHETIC"


def test_the_bytes_do_not_depend_on_the_threads(volume, tmp_path, monkeypatch):
    monkeypatch.setattr(nifti_slabs, "BLOCK", 10_000)
    for threads in (1, 3):
        write_nifti_slabs(tmp_path / f"{threads}.nii.gz", slabs(volume, 8), volume.shape, np.int16, AFFINE, threads)
    assert (tmp_path / "1.nii.gz").read_bytes() == (tmp_path / "3.nii.gz").read_bytes()


def test_slabs_are_taken_one_by_one(tmp_path, monkeypatch):
    """Not all at once: of 64 blocks no more than a few wait for the disk."""
    original, waiting, most = nifti_slabs._deflate, [0], [0]

    def made():
        for _ in range(64):
            waiting[0] += 1
            most[0] = max(most[0], waiting[0])
            yield np.zeros((1, 1024, 2048), np.int16)

    def deflate(block):
        done = original(block)
        waiting[0] -= len(block) > 352
        return done

    monkeypatch.setattr(nifti_slabs, "_deflate", deflate)
    write_nifti_slabs(tmp_path / "a.nii.gz", made(), (64, 1024, 2048), np.int16, AFFINE)
    assert most[0] <= 5


@pytest.mark.parametrize("fault", ["too few planes", "another size", "full disk"])
def test_what_cannot_be_written_leaves_nothing(volume, fault, tmp_path, monkeypatch):
    def given():
        yield volume[:10]
        if fault == "full disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        if fault == "another size":
            yield volume[10:, :5]

    with pytest.raises(OSError if fault == "full disk" else ValueError):
        write_nifti_slabs(tmp_path / "ct.nii.gz", given(), volume.shape, np.int16, AFFINE)
    assert list(tmp_path.iterdir()) == []
