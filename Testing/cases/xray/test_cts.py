"""CTs whose values are no HU although their range looks like it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread

from deeprecon.ctpa.observe.ct_checks import ct_doubts
from deeprecon.data.dicom.objects.ct import write_ct_series
from deeprecon.data.doubts import CODES
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume
from deeprecon.jobs.job import Job
from deeprecon.worker import run_job

Hu = npt.NDArray[np.int16]
AFFINE = np.array([[-7.5, 0, 0, 176.25], [0, -7.5, 0, 176.25], [0, 0, 7.5, -183.75], [0, 0, 0, 1.0]])


def thorax() -> Hu:
    """(k, j, i) HU of a body with lungs, heart and spine in air, and noise."""
    shape = (50, 48, 48)
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, count) for count in shape], indexing="ij")
    hu = np.full(shape, -1000.0)
    hu[(i / 0.85) ** 2 + (j / 0.62) ** 2 < 1] = 40
    for center in (-0.38, 0.38):
        hu[((i - center) / 0.3) ** 2 + (j / 0.42) ** 2 + (k / 0.7) ** 2 < 1] = -860
    hu[((i - 0.1) / 0.28) ** 2 + ((j + 0.1) / 0.3) ** 2 + ((k + 0.2) / 0.35) ** 2 < 1] = 350
    hu[(i / 0.1) ** 2 + ((j - 0.42) / 0.1) ** 2 < 1] = 500
    noisy: Hu = np.clip(hu + np.random.default_rng(0).normal(0, 12, shape), -1024, 3000).astype(np.int16)
    return noisy


def padded(values: Hu, padding: int) -> Hu:
    """With another value outside of the circle that a scanner reconstructs."""
    j, i = np.meshgrid(*[np.linspace(-1, 1, count) for count in values.shape[1:]], indexing="ij")
    result = values.copy()
    result[:, j**2 + i**2 > 1] = padding
    return result


def found(values: npt.NDArray[Any]) -> list[str]:
    doubts = ct_doubts(Volume(values, AFFINE, "ct.nii.gz"))
    assert not any(doubt.assumed for doubt in doubts)
    return [doubt.code for doubt in doubts]


HU = thorax()


@pytest.mark.parametrize("values", [HU, padded(HU, -2000), padded(HU, -3024), np.maximum(HU, -1000)])
def test_hu_are_hu_whatever_the_padding(values: Hu) -> None:
    assert found(values) == []


@pytest.mark.parametrize(
    "values",
    [
        padded(HU + 1024, -2000), padded(HU + 1024, -1024), padded(HU + 1000, -1000),
        np.where(padded(HU, -2000) == -2000, -1000, (HU + 1024) // 4), np.maximum(HU, -600) + 50,
    ],
    ids=["stored, -2000", "stored, -1024", "+1000", "scaled", "cut from below"],
)  # fmt: skip
def test_offsets_and_scales_are_found_by_air_and_tissue(values: Hu) -> None:
    assert found(values) == ["ct-offset"]


@pytest.mark.parametrize(("low", "high"), [(-1350, 150), (-1000, 240), (-1150, 350)])
def test_a_window_is_found(low: int, high: int) -> None:
    assert found(np.clip(HU, low, high)) == ["ct-clipped"]


def test_prepare_leaves_them_out_unless_they_are_accepted(tmp_path: Path) -> None:
    kinds = {"right": HU, "offset": padded(HU + 1024, -1024), "clipped": np.clip(HU, -1350, 150)}
    for name, values in kinds.items():
        write_volume(tmp_path / f"{name}.nii.gz", Volume(values.astype(np.int16), AFFINE))
    rows = ["patient,ct", *(f"{name},{name}.nii.gz" for name in kinds)]
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for accept, refused in (([], ["offset", "clipped"]), (["ct-offset", "ct-clipped"], [])):
        output = tmp_path / f"out{len(accept)}"
        inputs = {"manifest": str(tmp_path / "manifest.csv")}
        shares = {"validation": 0.0, "test": 0.0}
        job = Job("ctpa", "prepare", inputs, shares, "..", "cpu", 1, "fp32", 0, accept=accept)
        job.save(output / ".job")
        assert run_job(output / ".job") == 0
        result = json.loads((output / "result.json").read_text(encoding="utf-8"))
        assert [entry["code"] for entry in result["doubts"] if not entry["assumed"]] == accept
        if refused:
            with open(output / "refused.csv", encoding="utf-8-sig", newline="") as file:
                assert [row["patient"] for row in csv.DictReader(file)] == refused
        else:
            assert not (output / "refused.csv").exists()


def test_every_code_of_cts_is_listed() -> None:
    assert {code for code in CODES if code.startswith("ct-")} == {"ct-clipped", "ct-offset", "ct-partial"}


@pytest.mark.parametrize("spacing", [0.625, 0.7, 1.25, 2.45])
def test_slice_positions_rounded_to_a_tenth_of_a_millimeter_are_even(spacing: float, tmp_path: Path) -> None:
    paths = write_ct_series(tmp_path / "ct", Volume(HU[:30], AFFINE @ np.diag([1, 1, spacing / 7.5, 1])), {})
    for path in paths:
        data = dcmread(path)
        data.ImagePositionPatient = [f"{float(value):.1f}" for value in data.ImagePositionPatient]
        data.save_as(path)
    found = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(found.array, HU[:30])
    assert found.spacing[2] == pytest.approx(spacing, abs=0.11 / 29)
    paths[12].unlink()
    with pytest.raises(InputError, match=r"misses slices|spaced unevenly"):
        read_volume(tmp_path / "ct")
