"""Volume files."""

from __future__ import annotations

import gzip
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume, canonical
from deeprecon.data.volume_io import FORMATS, read_volume, write_volume

from .orientations import KINDS, image, orders

ENDINGS = [ending for kind in FORMATS for ending in kind.writes]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", ["axis-aligned", "oblique", "anisotropic"])
def test_every_axis_order_survives_a_file(tmp_path, ending, kind):
    original = image(**KINDS[kind])
    first = canonical(original)
    for number, variant in enumerate(orders(original)):
        path = tmp_path / f"{number}{ending}"
        write_volume(path, variant)
        result = read_volume(path)
        assert result.array.dtype == variant.array.dtype
        assert np.array_equal(result.array, variant.array)
        assert np.abs(result.ijk_to_ras - variant.ijk_to_ras).max() < 1e-5
        assert np.array_equal(canonical(result).array, first.array)
        assert np.abs(canonical(result).ijk_to_ras - first.ijk_to_ras).max() <= 1.1e-4


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64, bool])
def test_types_are_kept(tmp_path, ending, dtype):
    volume = image(dtype=dtype)
    write_volume(tmp_path / f"v{ending}", volume)
    result = read_volume(tmp_path / f"v{ending}")
    assert result.array.dtype == (np.uint8 if dtype is bool else dtype)
    assert np.array_equal(result.array, volume.array)
    assert result.array.flags.c_contiguous


@pytest.mark.parametrize("ending", ENDINGS)
def test_names_outside_ascii_work(tmp_path, ending):
    path = tmp_path / "Müller 心臓" / f"Aufnahme é№{ending}"
    path.parent.mkdir()
    write_volume(path, image())
    assert np.array_equal(read_volume(path).array, image().array)
    assert not [file for file in path.parent.iterdir() if file.name.startswith(".part")]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha"])
def test_other_software_finds_the_same_place(tmp_path, ending):
    """ITK reads what we write, in LPS."""
    volume = replace(image(angles=(25, -40, 65)), slice_thickness=6.5)
    write_volume(tmp_path / f"v{ending}", volume)
    itk = sitk.ReadImage(str(tmp_path / f"v{ending}"))
    assert np.array_equal(sitk.GetArrayFromImage(itk), volume.array)
    lps = itk.TransformContinuousIndexToPhysicalPoint((1.0, 2.0, 3.0))
    assert np.allclose(np.array(lps) * (-1, -1, 1), volume.to_ras([1, 2, 3]), atol=1e-4)


def test_nifti_holds_sform_and_qform_in_mm(tmp_path):
    write_volume(tmp_path / "v.nii.gz", image(angles=(25, -40, 65)))
    header = nibabel.load(tmp_path / "v.nii.gz").header
    assert header["sform_code"] == header["qform_code"] == 1
    assert np.allclose(header.get_sform(), header.get_qform(), atol=1e-4)
    assert header.get_xyzt_units()[0] == "mm"


def test_the_axis_of_the_slice_thickness_is_that_across_the_slices(tmp_path):
    for across in range(3):
        write_volume(tmp_path / "v.nrrd", replace(image(), slice_thickness=6.5, across=across))
        found = read_volume(tmp_path / "v.nrrd")
        assert (found.slice_thickness, found.across) == (6.5, across)


def test_the_slice_thickness_of_a_nrrd_is_kept(tmp_path):
    volume = Volume(image().array, image().ijk_to_ras, slice_thickness=6.5)
    write_volume(tmp_path / "v.nrrd", volume)
    assert read_volume(tmp_path / "v.nrrd").slice_thickness == 6.5
    write_volume(tmp_path / "v.nrrd", image())
    assert read_volume(tmp_path / "v.nrrd").slice_thickness is None


def test_scaled_nifti_values_are_scaled(tmp_path):
    picture = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    picture.header.set_slope_inter(0.5, 10)
    picture.set_sform(np.eye(4), 1)
    picture.to_filename(tmp_path / "v.nii")
    raw = bytearray((tmp_path / "v.nii").read_bytes())
    raw[112:120] = np.array([0.5, 10], "<f4").tobytes()
    (tmp_path / "v.nii").write_bytes(raw)
    stored = np.frombuffer(bytes(raw[352:]), "<i2").reshape(4, 3, 2)
    result = read_volume(tmp_path / "v.nii")
    assert result.array.dtype == np.float32
    assert np.allclose(result.array, stored * 0.5 + 10)


@pytest.mark.parametrize("encoding", ["raw", "ascii", "bzip2", "big endian", "ras"])
def test_nrrd_of_other_writers(tmp_path, encoding):
    import bz2

    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    data = {
        "raw": values.tobytes(),
        "ascii": " ".join(map(str, values.ravel())).encode(),
        "bzip2": bz2.compress(values.tobytes()),
        "big endian": values.astype(">i2").tobytes(),
        "ras": values.tobytes(),
    }[encoding]
    space, origin = ("RAS", "(1,2,3)") if encoding == "ras" else ("left-posterior-superior", "(-1,-2,3)")
    turn = 1 if encoding == "ras" else -1
    header = (
        f"NRRD0004\n# a comment\ntype: short\ndimension: 3\nspace: {space}\nsizes: 4 3 2\n"
        f"space directions: ({turn},0,0) (0,{turn},0) (0,0,8)\nspace origin: {origin}\n"
        f"endian: {'big' if encoding == 'big endian' else 'little'}\n"
        f"encoding: {encoding if encoding in ('ascii', 'bzip2') else 'raw'}\n\n"
    )
    (tmp_path / "v.nrrd").write_bytes(header.encode() + data)
    result = read_volume(tmp_path / "v.nrrd")
    assert np.array_equal(result.array, values)
    expected = np.diag([1.0, 1, 8, 1])
    expected[:3, 3] = 1, 2, 3
    assert np.array_equal(result.ijk_to_ras, expected)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
def test_cut_off_files_are_refused(tmp_path, ending, share):
    path = tmp_path / f"v{ending}"
    write_volume(path, image(shape=(8, 40, 40), dtype=np.float32))
    victim = path.with_suffix(".raw.gz") if ending == ".nhdr" else path
    content = victim.read_bytes()
    victim.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError) as error:
        read_volume(path)
    assert "v." in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize("ending", [*ENDINGS, ".dcm", ".txt"])
def test_random_bytes_are_refused(tmp_path, ending):
    path = tmp_path / f"v{ending}"
    path.write_bytes(np.random.default_rng(5).bytes(4000))
    with pytest.raises(InputError, match=r"v\."):
        read_volume(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="not_there"):
        read_volume(tmp_path / "not_there.nii")


def test_a_missing_data_file_is_named(tmp_path):
    write_volume(tmp_path / "v.nhdr", image())
    (tmp_path / "v.raw.gz").unlink()
    with pytest.raises(InputError, match=r"v\.raw\.gz"):
        read_volume(tmp_path / "v.nhdr")


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_series_of_volumes_is_refused_in_words(tmp_path, ending):
    array = np.zeros((3, 2, 4, 5), np.int16)
    path = tmp_path / f"v{ending}"
    if ending == ".nii.gz":
        picture = nibabel.Nifti1Image(array.T, np.eye(4))
        picture.set_sform(np.eye(4), 1)
        picture.to_filename(path)
    elif ending == ".nrrd":
        sitk.WriteImage(sitk.GetImageFromArray(np.moveaxis(array, 0, 3), isVector=True), str(path))
    else:
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    with pytest.raises(InputError, match=r"expected (one )?3D"):
        read_volume(path)


def nifti(path, affine, zooms=None, codes=(1, 0), unit="mm"):
    picture = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), affine)
    picture.set_sform(affine, codes[0])
    picture.header["qform_code"] = codes[1]
    if zooms is not None:
        picture.header["pixdim"][1:4] = zooms
    picture.header.set_xyzt_units(unit)
    picture.to_filename(path)
    return path


def test_nifti_zooms_that_contradict_the_affine_are_refused_with_both(tmp_path):
    """Seen in a public data set: pixdim says 13 mm slices, the affine is a unit matrix with flips."""
    path = nifti(tmp_path / "v.nii", np.diag([-1.0, -1, 1, 1]), zooms=(1.40625, 1.40625, 13))
    with pytest.raises(InputError) as error:
        read_volume(path)
    assert "1 x 1 x 1 mm" in str(error.value)
    assert "1.406 x 1.406 x 13 mm" in str(error.value)


def test_nifti_zooms_within_a_percent_are_fine(tmp_path):
    path = nifti(tmp_path / "v.nii", np.diag([1.4, 1.4, 8.0, 1]), zooms=(1.405, 1.405, 8.03))
    assert read_volume(path).spacing == pytest.approx((1.4, 1.4, 8))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"affine": np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 8, 0], [0, 0, 0, 1.0]])}, "degrees"),
        ({"codes": (0, 0)}, "sform and qform codes are 0"),
        ({"unit": "meter"}, "meter"),
        ({"affine": np.array([[1, 0, 0, np.nan], [0, 1, 0, 0], [0, 0, 8, 0], [0, 0, 0, 1.0]])}, "not finite"),
    ],
)
def test_nifti_geometry_that_cannot_be_trusted_is_refused(tmp_path, change, words):
    settings = {"affine": np.diag([1.4, 1.4, 8.0, 1])} | change
    with pytest.raises(InputError, match=words):
        read_volume(nifti(tmp_path / "v.nii", **settings))


def test_nifti_forms_that_differ_are_refused(tmp_path):
    picture = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 30
    picture.set_sform(np.eye(4), 1)
    picture.set_qform(moved, 1)
    picture.to_filename(tmp_path / "v.nii")
    with pytest.raises(InputError, match=r"differ by up to 30\.0 mm"):
        read_volume(tmp_path / "v.nii")


@pytest.mark.parametrize(
    ("ending", "header"),
    [
        (
            ".nrrd",
            "NRRD0004\ntype: short\ndimension: 3\nspace: LPS\nsizes: 5 4 3\n"
            "space directions: (1,0,0) (0.3,1,0) (0,0,8)\nencoding: raw\nendian: little\nspace origin: (0,0,0)\n\n",
        ),
        (
            ".mha",
            "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
            "TransformMatrix = 1 0 0 0.3 0.954 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 8\nDimSize = 5 4 3\n"
            "ElementType = MET_SHORT\nElementDataFile = LOCAL\n",
        ),
    ],
)
def test_shear_is_measured(tmp_path, ending, header):
    path = tmp_path / f"v{ending}"
    path.write_bytes(header.encode() + bytes(120))
    with pytest.raises(InputError, match=r"i and j miss the right angle by \d+\.\d+ degrees"):
        read_volume(path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("space: left-posterior-superior\n", "where the image lies"),
        ("space: 3D-right-handed\nspace directions: (1,0,0) (0,1,0) (0,0,8)\n", "distinguish left from right"),
        ("space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,nan)\n", "not finite"),
        ("space: LPS\nspace directions: (1,0,0) (0,1,0) (0,x,8)\n", "damaged NRRD header"),
        ('space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,8)\nspace units: "m" "m" "m"\n', "expected mm"),
    ],
)
def test_nrrd_without_a_place_in_the_patient_is_refused(tmp_path, line, words):
    header = f"NRRD0004\ntype: short\ndimension: 3\n{line}sizes: 5 4 3\nencoding: raw\nendian: little\n\n"
    (tmp_path / "v.nrrd").write_bytes(header.encode() + bytes(120))
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / "v.nrrd")


def test_nan_voxels_are_kept(tmp_path):
    volume = image(dtype=np.float32)
    volume.array[1, 2, 3] = np.nan
    for ending in ENDINGS:
        write_volume(tmp_path / f"v{ending}", volume)
        assert np.isnan(read_volume(tmp_path / f"v{ending}").array).sum() == 1


def test_an_unknown_ending_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"v\.xyz"):
        write_volume(tmp_path / "v.xyz", image())
    assert not list(tmp_path.iterdir())


def test_a_broken_gzip_leaves_no_doubt(tmp_path):
    path = tmp_path / "v.nii.gz"
    write_volume(path, image())
    content = bytearray(gzip.decompress(path.read_bytes()))
    packed = bytearray(gzip.compress(bytes(content)))
    packed[len(packed) // 2] ^= 0xFF
    path.write_bytes(bytes(packed))
    with pytest.raises(InputError):
        read_volume(path)
