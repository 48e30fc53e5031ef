"""The place of a NIfTI image is read from its header as nibabel reads it."""

from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.formats.nifti_header import checked_affine

from .orientations import rotation

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
        np.testing.assert_allclose(checked_affine(tmp_path / f"a.{ending}"), expected, atol=1e-5)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(InputError, match=r"Cannot read .*none\.nii"):
        checked_affine(tmp_path / "none.nii")
