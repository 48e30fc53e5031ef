"""CTs whose values are no HU (kind 15), and such whose values are."""

from __future__ import annotations

import csv

import nibabel as nib
import numpy as np
import pytest

from deeprecon.cli import main
from deeprecon.ctpa.observe.ct_checks import ct_doubts
from deeprecon.data.volume_io import read_volume


def thorax():
    """(i, j, k) HU with noise: body, lungs, heart with contrast, spine; axes to the right, back and head."""
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, count) for count in (48, 48, 50)], indexing="ij")
    hu = np.full(i.shape, -1000.0)
    hu[(i / 0.85) ** 2 + (j / 0.62) ** 2 < 1] = 40
    for center in (-0.38, 0.38):
        hu[((i - center) / 0.3) ** 2 + (j / 0.42) ** 2 + (k / 0.7) ** 2 < 1] = -860
    hu[((i - 0.1) / 0.28) ** 2 + ((j + 0.1) / 0.3) ** 2 + ((k + 0.2) / 0.35) ** 2 < 1] = 350
    hu[(i / 0.1) ** 2 + ((j - 0.42) / 0.1) ** 2 < 1] = 700
    return np.clip(np.rint(hu + np.random.default_rng(2).normal(0, 10, hu.shape)), -1024, 3071)


HU = thorax()
OUTSIDE = np.hypot(*np.meshgrid(np.linspace(-1, 1, 48), np.linspace(-1, 1, 48), indexing="ij")) > 1
AFFINE = np.diag([-7.5, -7.5, 7.5, 1.0])
AFFINE[:3, 3] = [180, 180, -187]


def padded(values, padding):
    result = values.copy()
    result[OUTSIDE] = padding
    return result


WRONG = {
    "unsigned": (HU + 1024).astype(np.uint16),
    "plus_1000_padded_0": padded(HU + 1000, 0).astype(np.int16),
    "intercept_twice": (HU - 1024).astype(np.int16),
    "padded_-3024": padded(HU + 1024, -3024).astype(np.int16),
    "zero_to_one": ((HU + 1024) / 4095).astype(np.float32),
    "bytes": np.rint((np.clip(HU, -1350, 150) + 1350) / 1500 * 255).astype(np.uint8),
    "window_of_1400": np.clip(HU, -1000, 400).astype(np.int16),
    "window_of_1600": np.clip(HU, -1000, 600).astype(np.int16),
    "without_air": np.clip(HU, -900, 500).astype(np.int16),
    "tissue_window": np.clip(HU, -160, 240).astype(np.int16),
    "lung_window": np.clip(HU, -1200, 200).astype(np.int16),
}
RIGHT = {
    "plain": HU.astype(np.int16),
    "ge": padded(HU, -3024).astype(np.int16),
    "siemens": padded(HU, -1024).astype(np.int16),
    "philips": padded(HU, -2000).astype(np.int16),
    "no_noise": np.round(HU / 10) * 10,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Reasons by patient."""
    folder = tmp_path_factory.mktemp("cts")
    made = WRONG | {"right": RIGHT["plain"]}
    for name, values in made.items():
        nib.save(nib.Nifti1Image(values, AFFINE), folder / f"{name}.nii.gz")
    rows = ["patient,ct", *(f"{name},{name}.nii.gz" for name in made)]
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", "utf-8")
    code = main(
        [
            "ctpa",
            "prepare",
            str(folder / "manifest.csv"),
            "--device",
            "cpu",
            "--threads",
            "1",
            "--output",
            str(folder / "out"),
        ]
    )
    assert code == 0
    with open(folder / "out/refused.csv", encoding="utf-8-sig", newline="") as file:
        refused = {row["patient"]: " ".join(value for value in row.values() if value) for row in csv.DictReader(file)}
    assert "right" not in refused
    return refused


@pytest.mark.parametrize("name", WRONG)
def test_a_ct_that_is_not_in_hu_is_left_out_with_its_way_out(name, prepared):
    assert f"{name}.nii.gz" in prepared[name]
    assert "Give the" in prepared[name]


@pytest.mark.parametrize("name", RIGHT)
def test_a_ct_in_hu_raises_no_doubt_whatever_its_padding(name, tmp_path):
    nib.save(nib.Nifti1Image(RIGHT[name], AFFINE), tmp_path / "ct.nii.gz")
    assert list(ct_doubts(read_volume(tmp_path / "ct.nii.gz"))) == []
