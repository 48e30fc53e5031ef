"""NIfTI files: read as nibabel reads them; written slab by slab, as other readers expect them."""

from __future__ import annotations

import errno
import gzip
import itertools

import nibabel
import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.formats import gzip_blocks
from deeprecon.data.formats.nifti import read_nifti, write_nifti, write_nifti_slabs
from deeprecon.data.volume_io import read_volume

from .orientations import rotation

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

    monkeypatch.setattr(gzip_blocks, "BLOCK", block)
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
    monkeypatch.setattr(gzip_blocks, "BLOCK", 10_000)
    for threads in (1, 3):
        write_nifti_slabs(tmp_path / f"{threads}.nii.gz", slabs(volume, 8), volume.shape, np.int16, AFFINE, threads)
    assert (tmp_path / "1.nii.gz").read_bytes() == (tmp_path / "3.nii.gz").read_bytes()


def test_slabs_are_taken_one_by_one(tmp_path, monkeypatch):
    """Not all at once: of 64 blocks no more than a few wait for the disk."""
    original, waiting, most = gzip_blocks._deflate, [0], [0]

    def made():
        for _ in range(64):
            waiting[0] += 1
            most[0] = max(most[0], waiting[0])
            yield np.zeros((1, 1024, 2048), np.int16)

    def deflate(block):
        done = original(block)
        waiting[0] -= len(block) > 352
        return done

    monkeypatch.setattr(gzip_blocks, "_deflate", deflate)
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


KINDS = {1: (nibabel.Nifti1Image, nibabel.Nifti1Header), 2: (nibabel.Nifti2Image, nibabel.Nifti2Header)}


def affines():
    for mirror in (1, -1):
        made = np.eye(4)
        made[:3, :3] = rotation((25.0, -140.0, 65.0)) * (1.4, 1.2, 5.0 * mirror)
        made[:3, 3] = -40.5, 12.25, 5
        yield made


@pytest.mark.parametrize("version", KINDS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (2, 1)], ids=["sform", "qform", "both"])
def test_every_version_and_byte_order_gives_the_affine_of_nibabel(tmp_path, version, order, codes):
    image_type, header_type = KINDS[version]
    for affine, ending in itertools.product(affines(), ("nii", "nii.gz")):
        image = image_type(np.zeros((4, 5, 6), np.int16), None, header_type(endianness=order))
        image.set_sform(affine, codes[0])
        image.set_qform(affine, codes[1])
        image.header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
        nibabel.save(image, tmp_path / f"a.{ending}")
        expected = nibabel.load(tmp_path / f"a.{ending}").affine
        np.testing.assert_allclose(read_nifti(tmp_path / f"a.{ending}").ijk_to_ras, expected, atol=1e-5)


@pytest.mark.parametrize("version", KINDS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("scaled", [False, True])
def test_every_number_type_gives_the_values_of_nibabel(tmp_path, version, order, kind, scaled):
    image_type, header_type = KINDS[version]
    values = np.random.default_rng(3).uniform(0, 120, (3, 4, 5, 2)).astype(kind)
    image = image_type(values, np.eye(4), header_type(endianness=order), dtype=np.dtype(kind))
    image.set_sform(np.eye(4), 1)
    image.to_filename(tmp_path / "a.nii")
    if scaled:
        content = bytearray((tmp_path / "a.nii").read_bytes())
        place, wide = (112, "f4") if version == 1 else (176, "f8")
        parameters = np.array([0.37, -11.3], order + wide).tobytes()
        content[place : place + len(parameters)] = parameters
        (tmp_path / "a.nii").write_bytes(content)
    expected = nibabel.load(tmp_path / "a.nii")
    found = read_nifti(tmp_path / "a.nii").array
    assert found.dtype == (np.float32 if scaled else np.dtype(kind))
    assert found.flags.writeable
    np.testing.assert_array_equal(found.T, np.asanyarray(expected.dataobj).astype(found.dtype))


@pytest.mark.parametrize("scaling", [(1, -1024), (2, 0), (0, 5)], ids=["intercept alone", "slope alone", "none"])
def test_either_part_of_a_scaling_may_be_missing(tmp_path, scaling):
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.to_filename(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[112:120] = np.array(scaling, "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    expected = np.asanyarray(nibabel.load(tmp_path / "a.nii").dataobj)
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii").array.T, expected)


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5)])
def test_nibabel_reads_what_was_written(tmp_path, ending, shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for affine in affines():
        write_nifti(tmp_path / f"a.{ending}", array, affine)
        found = nibabel.load(tmp_path / f"a.{ending}")
        np.testing.assert_array_equal(np.asanyarray(found.dataobj).T, array)
        np.testing.assert_allclose(found.header.get_sform(), affine, atol=1e-5)
        np.testing.assert_allclose(found.header.get_qform(), affine, atol=1e-5)
        np.testing.assert_allclose(found.header.get_zooms()[:3], (1.4, 1.2, 5), rtol=1e-6)
        assert found.header.get_xyzt_units() == ("mm", "sec" if len(shape) == 4 else "unknown")


@pytest.mark.parametrize(
    ("dtype", "words"), [(np.complex64, "NIfTI type 32"), ([("R", "u1"), ("G", "u1"), ("B", "u1")], "128")]
)
def test_values_that_are_no_real_numbers_are_refused(tmp_path, dtype, words):
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), dtype), np.eye(4))
    nibabel.save(image, tmp_path / "a.nii")
    with pytest.raises(InputError, match=words):
        read_nifti(tmp_path / "a.nii")


def test_a_number_type_that_the_format_lacks_is_refused(tmp_path):
    with pytest.raises(InputError, match="Cannot write"):
        write_nifti(tmp_path / "a.nii", np.zeros((2, 3, 4), np.float16), np.eye(4))
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "a.nii").mkdir()
    with pytest.raises(InputError, match=r"a\.nii"):
        read_volume(tmp_path / "a.nii")
