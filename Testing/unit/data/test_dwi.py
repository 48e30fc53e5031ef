"""Diffusion scans from file to file: every orientation, every format."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi, write_dwi
from deeprecon.data.diffusion.gradients import from_fsl, gradient_table, to_fsl
from deeprecon.data.diffusion.scan import with_finite_values
from deeprecon.data.errors import InputError

from .diffusion_scans import VOLUMES, same, scan
from .orientations import KINDS, image, orders


@pytest.mark.parametrize("kind", ["oblique", "two thick axes"])
def test_gradients_in_the_world_survive_nifti_and_nrrd_in_every_orientation(tmp_path, kind):
    for number, volume in enumerate(orders(image(**KINDS[kind], shape=(2, 3, 4)))):
        original = scan(volume)
        write_dwi(tmp_path / f"a{number}.nii", original)
        from_nifti = read_dwi(tmp_path / f"a{number}.nii")
        write_dwi(tmp_path / f"b{number}.nrrd", from_nifti)
        from_nrrd = read_dwi(tmp_path / f"b{number}.nrrd")
        write_dwi(tmp_path / f"c{number}.nii", from_nrrd)
        same(from_nifti, original)
        same(from_nrrd, original)
        same(read_dwi(tmp_path / f"c{number}.nii"), original)


def test_the_same_head_in_two_orders_has_the_same_gradients_but_other_bvecs():
    one, other = (scan(orders(image())[number]) for number in (0, 2))  # the second is flipped along j
    np.testing.assert_array_equal(one.gradients.directions, other.gradients.directions)
    assert np.abs(to_fsl(one.gradients, one.ijk_to_ras) - to_fsl(other.gradients, other.ijk_to_ras)).max() > 0.5


def test_types_are_kept_and_scaled_values_become_floats(tmp_path):
    import nibabel

    for dtype in (np.int16, np.uint16, np.float32, np.float64):
        original = scan(image(), dtype=dtype)
        write_dwi(tmp_path / "a.nii.gz", original)
        assert read_dwi(tmp_path / "a.nii.gz").array.dtype == dtype
    stored = nibabel.Nifti1Image(original.array.astype(np.int16).transpose(2, 1, 0, 3), original.ijk_to_ras)
    stored.header.set_slope_inter(0.5, 3)
    nibabel.save(stored, tmp_path / "s.nii")
    (tmp_path / "a.bval").rename(tmp_path / "s.bval")
    (tmp_path / "a.bvec").rename(tmp_path / "s.bvec")
    found = read_dwi(tmp_path / "s.nii")
    assert found.array.dtype == np.float32
    np.testing.assert_allclose(found.array, 0.5 * original.array + 3)


def test_big_endian_files_are_read(tmp_path):
    import nibabel

    original = scan(image())
    write_dwi(tmp_path / "a.nii", original)
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    array = original.array.transpose(2, 1, 0, 3).astype(">i2")
    nibabel.save(nibabel.Nifti1Image(array, original.ijk_to_ras, header), tmp_path / "a.nii")
    same(read_dwi(tmp_path / "a.nii"), original)


def test_tables_are_found_beside_the_image_under_their_other_names(tmp_path):
    original = scan(image())
    write_dwi(tmp_path / "a.nii.gz", original)
    (tmp_path / "a.bval").rename(tmp_path / "bvals")
    (tmp_path / "a.bvec").rename(tmp_path / "bvecs")
    same(read_dwi(tmp_path / "a.nii.gz"), original)
    (tmp_path / "bvecs").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no bvec file"):
        read_dwi(tmp_path / "a.nii.gz")
    same(read_dwi(tmp_path / "a.nii.gz", bvec=tmp_path / "elsewhere"), original)


# NRRD


def nrrd_text(
    space="left-posterior-superior",
    frame="(1,0,0) (0,1,0) (0,0,1)",
    last=False,
    extra=(),
):
    """A small DWI NRRD: b0 and the three axes of its measurement frame."""
    sizes, kinds, none = (
        "2 2 2 4",
        "space space space list",
        "(2,0,0) (0,2,0) (0,0,2) none",
    )
    if not last:
        sizes, kinds, none = (
            "4 2 2 2",
            "list space space space",
            "none (2,0,0) (0,2,0) (0,0,2)",
        )
    gradients = ["0 0 0", "1 0 0", "0 1 0", "0 0 0.7071067811865476"]
    lines = [
        "NRRD0005", "type: short", "dimension: 4", f"space: {space}", f"sizes: {sizes}", f"space directions: {none}",
        f"kinds: {kinds}", "endian: little", "encoding: raw", "space origin: (0,0,0)",
        *([f"measurement frame: {frame}"] if frame else []),
        "modality:=DWMRI", "DWMRI_b-value:=1000", *extra,
        *(f"DWMRI_gradient_{number:04d}:={vector}" for number, vector in enumerate(gradients)),
    ]  # fmt: skip
    return ("\n".join(lines) + "\n\n").encode() + np.arange(32, dtype="<i2").tobytes()


@pytest.mark.parametrize("last", [False, True])
def test_nrrd_vectors_are_in_the_measurement_frame_and_their_length_is_the_b_value(tmp_path, last):
    path = tmp_path / "a.nrrd"
    path.write_bytes(nrrd_text(frame="(0,1,0) (1,0,0) (0,0,-1)", last=last))
    found = read_dwi(path)
    np.testing.assert_allclose(found.gradients.bvals, [0, 1000, 1000, 500])
    # the frame's first axis is the file's second, which is P: A is -P
    np.testing.assert_allclose(found.gradients.directions[1:], [[0, -1, 0], [-1, 0, 0], [0, 0, -1]], atol=1e-12)
    first = found.array[..., 0].ravel()
    np.testing.assert_array_equal(first, np.arange(8) if last else np.arange(0, 32, 4))


@pytest.mark.parametrize(("space", "sign"), [("left-posterior-superior", -1), ("right-anterior-superior", 1)])
def test_without_a_measurement_frame_vectors_are_in_the_axes_of_the_file(tmp_path, space, sign):
    path = tmp_path / "a.nrrd"
    path.write_bytes(nrrd_text(space=space, frame=""))
    np.testing.assert_allclose(read_dwi(path).gradients.directions[1], [sign, 0, 0], atol=1e-12)


def test_what_else_a_nrrd_file_says_is_handed_on(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(nrrd_text(extra=["TE:=0.08", "DWMRI_NEX_0001:=1", "note:=two\\nlines"]))
    found = read_dwi(tmp_path / "a.nrrd")
    write_dwi(tmp_path / "b.nrrd", found.with_array(found.array * 2))
    again = read_dwi(tmp_path / "b.nrrd")
    assert again.keys == {"TE": "0.08", "note": "two\nlines"}
    np.testing.assert_allclose(again.gradients.bvals, found.gradients.bvals)


def test_nex_repeats_a_vector(tmp_path):
    path = tmp_path / "a.nrrd"
    text = nrrd_text(extra=["DWMRI_NEX_0001:=3"]).replace(b"DWMRI_gradient_0002:=0 1 0\n", b"")
    path.write_bytes(text.replace(b"DWMRI_gradient_0003:=0 0 0.7071067811865476\n", b""))
    np.testing.assert_allclose(read_dwi(path).gradients.bvals, [0, 1000, 1000, 1000])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b"modality:=DWMRI", b"modality:=MR"), "no gradient table"),
        (
            (b"DWMRI_gradient_0002", b"DWMRI_gradient_0009"),
            "DWMRI_gradient_0002 is missing",
        ),
        (
            (b"DWMRI_gradient_0001:=1 0 0", b"DWMRI_gradient_0001:=1 0"),
            "DWMRI_gradient_0001",
        ),
        ((b"DWMRI_b-value:=1000", b"DWMRI_b-value:=x"), "damaged gradient table"),
    ],
)
def test_a_broken_nrrd_table_is_refused(tmp_path, change, message):
    path = tmp_path / "a.nrrd"
    path.write_bytes(nrrd_text().replace(*change))
    with pytest.raises(InputError, match=message):
        read_dwi(path)


def test_slicer_reads_what_is_written_and_the_other_way_round(scene, tmp_path):
    import slicer
    import vtk

    original = scan(image(angles=(25, -40, 65)))
    write_dwi(tmp_path / "a.nrrd", original)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLNRRDStorageNode")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLDiffusionWeightedVolumeNode")
    storage.SetFileName(str(tmp_path / "a.nrrd"))
    assert storage.ReadData(node)
    frame = vtk.vtkMatrix4x4()
    node.GetMeasurementFrameMatrix(frame)
    matrix = np.array([[frame.GetElement(row, column) for column in range(3)] for row in range(3)])
    found = np.array([node.GetDiffusionGradient(number) for number in range(VOLUMES)]) @ matrix.T
    np.testing.assert_allclose(found, original.gradients.directions, atol=1e-5)
    np.testing.assert_allclose([node.GetBValue(n) for n in range(VOLUMES)], original.gradients.bvals, atol=0.01)
    storage.SetFileName(str(tmp_path / "b.nrrd"))
    assert storage.WriteData(node)
    same(read_dwi(tmp_path / "b.nrrd"), original)


# DICOM


# what cannot be


def test_a_single_volume_is_refused(tmp_path):
    import nibabel

    nibabel.save(
        nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)),
        tmp_path / "a.nii",
    )
    for name in ("a.bval", "a.bvec"):
        (tmp_path / name).write_text("0", encoding="utf-8")
    with pytest.raises(InputError, match="is 3D"):
        read_dwi(tmp_path / "a.nii")


def test_a_cut_off_file_is_refused(tmp_path):
    write_dwi(tmp_path / "a.nii.gz", scan(image()))
    content = gzip.decompress((tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content[: len(content) // 2]))
    with pytest.raises(InputError, match="cut off or damaged"):
        read_dwi(tmp_path / "a.nii.gz")


def test_a_scan_without_weighted_volumes_or_without_contrast_is_refused(tmp_path):
    zeros = gradient_table(np.zeros(4), np.zeros((4, 3)))
    write_dwi(tmp_path / "a.nii", scan(image(), zeros))
    with pytest.raises(InputError, match="no diffusion-weighted volume"):
        read_dwi(tmp_path / "a.nii")
    flat = scan(image())
    write_dwi(tmp_path / "b.nii", flat.with_array(np.full_like(flat.array, 7)))
    with pytest.raises(InputError, match="same value everywhere"):
        read_dwi(tmp_path / "b.nii")


def test_values_that_no_magnitude_has_become_zero_and_are_counted():
    original = scan(image(), dtype=np.float32)
    array = original.array.copy()
    array[0, 0, 0, :3] = np.nan, np.inf, -4
    cleaned, count = with_finite_values(original.with_array(array))
    assert count == 3
    np.testing.assert_array_equal(cleaned.array[0, 0, 0, :3], 0)
    np.testing.assert_array_equal(cleaned.array[1:], original.array[1:])


@pytest.mark.parametrize(("name", "axes"), [("siemens_sag_b2000", "PSL"), ("philips_ax_b1000", "LAS")])
def test_real_scans_are_read_with_their_geometry(shared_data, name, axes):
    import nibabel

    found = read_dwi(shared_data / "dwi" / name / "dwi.nii.gz")
    assert "".join(nibabel.aff2axcodes(found.ijk_to_ras)) == axes
    weighted = ~found.gradients.b0
    np.testing.assert_allclose(np.linalg.norm(found.gradients.directions[weighted], axis=1), 1, atol=1e-9)
    assert found.array[..., ~weighted].mean() > found.array[..., weighted].mean()


def test_from_fsl_names_the_file():
    with pytest.raises(InputError, match=r"my\.bvec"):
        from_fsl([1000.0], [[0.0, 0.0, 0.0]], np.eye(4), "my.bvec")
