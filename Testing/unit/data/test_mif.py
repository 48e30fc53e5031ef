"""MRtrix images: every order of axes, number type, gradients, and damaged ones."""

from __future__ import annotations

import gzip
from itertools import permutations, product

import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.errors import InputError
from deeprecon.data.formats.mif import read_mif

TURN = np.array([[0.0, -1.0, 0.0], [0.8, 0.0, -0.6], [0.6, 0.0, 0.8]])
SIZES, VOXEL, ORIGIN = (3, 4, 5), (2.0, 2.5, 3.0), (-10.0, 20.0, 5.5)
SCHEME = [(0, 0, 0, 0), (1, 0, 0, 1000), (0, 1, 0, 1000), (0, 0.6, 0.8, 1000), (0.6, 0.8, 0, 1000), (0.8, 0, 0.6, 1000),
          (0, 0, 1, 1000)]  # fmt: skip


def image(array, layout="+0,+1,+2,+3", kind="Float32LE", scheme=SCHEME, **changed):
    """Bytes of an image of (V, k, j, i), stored in the order of a layout."""
    entries = layout.split(",")
    stored = array.transpose(*reversed(range(array.ndim)))  # i, j, k, V
    stored = np.flip(stored, [axis for axis, entry in enumerate(entries) if entry[0] == "-"])
    stored = stored.transpose(sorted(range(stored.ndim), key=lambda axis: -int(entries[axis][1:])))
    fields = {
        "dim": ",".join(map(str, array.shape[::-1])),
        "vox": ",".join(map(str, (*VOXEL, 1)[: array.ndim])),
        "layout": layout,
        "datatype": kind,
        "file": ". 2048",
    } | changed
    lines = ["mrtrix image", *(f"{key}: {value}" for key, value in fields.items() if value is not None)]
    lines += [f"transform: {','.join(map(str, (*row, shift)))}" for row, shift in zip(TURN, ORIGIN, strict=True)]
    lines += [f"dw_scheme: {','.join(map(str, row))}" for row in scheme]
    order = ">" if kind.endswith("BE") else "<"
    numbers = stored.astype(np.dtype(kind.lower().removesuffix("le").removesuffix("be")).newbyteorder(order))
    return ("\n".join(lines) + "\nEND\n").encode().ljust(2048, b"\0") + numbers.tobytes()


@pytest.fixture(scope="module")
def array():
    return np.random.default_rng(0).integers(1, 99, (7, *SIZES[::-1])).astype(np.float32)


def test_an_image_is_the_same_in_every_order_of_its_axes(array, tmp_path):
    path = tmp_path / "dwi.mif"
    expected = np.eye(4)
    expected[:3, :3], expected[:3, 3] = TURN * VOXEL, ORIGIN
    for order, signs in product(permutations(range(4)), ("++++", "-+-+", "--+-")):
        path.write_bytes(image(array, ",".join(sign + str(rank) for sign, rank in zip(signs, order, strict=True))))
        found = read_mif(path)
        np.testing.assert_array_equal(found.array, array)
        np.testing.assert_allclose(found.ijk_to_ras, expected)


@pytest.mark.parametrize("kind", ["Int8", "UInt8", "Int16LE", "UInt16BE", "Int32BE", "Float32BE", "Float64LE"])
def test_numbers_of_every_type_and_compressed_ones_are_read(kind, array, tmp_path):
    path = tmp_path / "dwi.mif.gz"
    path.write_bytes(gzip.compress(image(array, kind=kind, scaling="5,2")))
    np.testing.assert_array_equal(read_mif(path).array, 2 * array + 5)


def test_a_scan_has_its_gradients_in_the_patient(array, tmp_path):
    path = tmp_path / "dwi.mif"
    path.write_bytes(image(array, "-0,-1,+2,+3"))
    scan = read_dwi(path)
    np.testing.assert_array_equal(scan.array, np.moveaxis(array, 0, -1))
    np.testing.assert_allclose(scan.gradients.directions, np.array(SCHEME)[:, :3])
    np.testing.assert_allclose(scan.gradients.bvals, np.array(SCHEME)[:, 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "CFloat32LE"}, "type CFloat32LE"),
        ({"layout": "+0,+1,+2,+2"}, "layout"),
        ({"file": "other.dat 0"}, "another file, other.dat"),
        ({"dim": "3,4,5,7,2"}, "expected 3 or 4"),
        ({"dim": "300,400,500,700"}, "less than its header states"),
        ({"scheme": []}, "no gradients"),
        ({"scheme": [(1, 2), (3, 4)]}, "damaged"),
        ({"scheme": SCHEME[:3]}, "gradients"),
        ({"vox": None}, "damaged"),
    ],
)
def test_what_cannot_be_read_is_told(change, message, array, tmp_path):
    path = tmp_path / "dwi.mif"
    content = image(array, **{name: value for name, value in change.items() if name not in ("kind", "layout")})
    for name, usual in (("kind", "Float32LE"), ("layout", "+0,+1,+2,+3")):
        if name in change:
            content = content.replace(usual.encode(), change[name].encode(), 1)
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_dwi(path)


def test_a_file_without_transform_end_or_all_of_its_data_is_refused(array, tmp_path):
    path, whole = tmp_path / "dwi.mif", image(array)
    for content, message in (
        (whole[:-4], "cut off"),
        (whole.replace(b"transform", b"otherform"), "no place in the patient"),
        (whole.replace(b"\nEND", b"\nend"), "no MRtrix image"),
        (gzip.compress(whole)[:-40], "end too early"),
        (b"", "no MRtrix image"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_dwi(path)
