"""The files of `ctpa phantom`: chests whose number alone decides, their X-rays, and the way into a store."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.ctpa.grid import PRESETS, Grid
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.ctpa.training.store import Store
from deeprecon.data.tables import read_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume

GRID = Grid((76, 64, 64))
"""In place of the preview's grid, a 64th of its voxels."""


@pytest.fixture(autouse=True)
def small_preview(monkeypatch):
    monkeypatch.setitem(PRESETS, "preview", GRID)


@pytest.fixture(scope="module")
def chest():
    """HU and labels of a chest with its middle at (12, -30, 140) mm."""
    hu, labels = draw_grid(make_anatomy(4), GRID)
    affine = GRID.affine((12.0, -30.0, 140.0))
    return Volume(hu, affine), Volume(labels, affine)


def test_phantoms_go_straight_into_a_store(done):
    made = done("phantom", "made", seed=7, count=2, first=3)
    rows = read_table(made / "manifest.csv")
    assert [row["patient"] for row in rows] == ["phantom-000010", "phantom-000011"]
    assert (made / "case_0003" / "ct.nii.gz").exists()
    hu, labels = draw_grid(make_anatomy(11), GRID)
    np.testing.assert_array_equal(read_volume(made / "case_0004" / "ct.nii.gz").array, hu)
    store = Store.open(done("prepare", inputs={"manifest": made / "manifest.csv"}, validation=0.0, test=0.0))
    case = store.cases()[1]
    np.testing.assert_array_equal(case.volume(), hu)
    np.testing.assert_array_equal(case.labels(), labels)
    assert not case.projected
    assert not case.notes  # nothing had to be assumed or moved


def test_a_chest_depends_on_its_number_alone(done):
    alone = done("phantom", "alone", seed=1, first=1)
    three = done("phantom", "three", seed=0, count=3)
    for name in ("ct", "labels", "xray"):
        first = read_volume(alone / "case_0001" / f"{name}.nii.gz").array
        np.testing.assert_array_equal(first, read_volume(three / "case_0002" / f"{name}.nii.gz").array)


def test_a_ct_of_the_user_gets_its_xray_and_goes_into_a_store(done, error_of, chest, tmp_path):
    write_volume(tmp_path / "mine.nii.gz", chest[0])
    made = done("phantom", "made", inputs={"ct": tmp_path / "mine.nii.gz"})
    (row,) = read_table(made / "manifest.csv")
    assert (row["patient"], row.keys()) == ("mine", {"patient", "view", "ct", "xray"})
    ct = read_volume(made / row["ct"])
    np.testing.assert_array_equal(ct.array, chest[0].array)
    np.testing.assert_allclose(ct.ijk_to_ras, chest[0].ijk_to_ras, atol=1e-4)
    prepared = done("prepare", "store", inputs={"manifest": made / "manifest.csv"}, validation=0.0, test=0.0)
    (case,) = Store.open(prepared).cases()
    assert not case.projected
    assert not case.notes
    assert "of one CT" in error_of("phantom", inputs={"ct": tmp_path / "mine.nii.gz"}, count=2)
