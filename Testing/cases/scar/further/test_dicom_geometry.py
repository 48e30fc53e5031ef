"""The slice axis of a DICOM series comes from its geometry, whatever its spacings are."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.mesh.mesh import Inside
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume

from ..files import heart, scan
from .dicom import percent, prepared, write_enhanced, write_series
from .files import table


@cache
def block(order: tuple[int, int, int], steps: tuple[float, float, float]) -> tuple[Any, Any, Any, Any]:
    """Image, wall and scar of (k, j, i) on a grid along the heart's axes in some order, and (4, 4) ijk to RAS."""
    axes = scan().ijk_to_ras[:3, :3] / np.linalg.norm(scan().ijk_to_ras[:3, :3], axis=0)
    axes = axes[:, list(order)]
    places = heart().mesh.points @ axes
    low, high = places.min(0) - 6, places.max(0) + 6
    counts = np.ceil((high - low) / steps).astype(int)
    k, j, i = np.indices(counts[::-1])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes * steps, axes @ low
    points = np.stack([i, j, k], -1).reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    wall = Inside(heart().mesh)(points).reshape(k.shape)
    center = heart().mesh.points[np.argmax(places[:, 0])]
    scar = wall & (np.linalg.norm(points - center, axis=1).reshape(k.shape) < 18)
    image = np.where(scar, 330, np.where(wall, 60, 120)) + np.random.default_rng(0).normal(0, 8, wall.shape)
    return image, wall, scar, matrix


CASES = {
    "thinner than pixels, reversed numbers": ((0, 1, 2), (2.6, 2.6, 1.9), 3.8),
    "four-chamber slab, pixels not square": ((1, 2, 0), (1.8, 2.9, 2.2), 4.4),
    "more slices than rows": ((2, 0, 1), (2.2, 2.2, 2.0), 2.0),
}


def assert_right(folder: Path, lge: Path, name: str) -> None:
    order, steps, thickness = CASES[name]
    _, wall, scar, matrix = block(order, steps)
    mask = folder / "wall.nrrd"
    write_volume(mask, Volume(wall.astype(np.uint8), matrix, "wall"))
    code, result = prepared(folder, lge, wall=mask)
    assert code == 0
    assert percent(result) == pytest.approx(100 * scar.sum() / wall.sum(), abs=0.5)
    rows = table(folder / "prepared" / "slices.csv")
    assert len(rows) == pytest.approx(np.count_nonzero(wall.any((1, 2))), abs=2)
    normal = np.array([float(rows[0][f"normal {axis}"]) for axis in "RAS"])
    assert abs(normal @ matrix[:3, 2]) / steps[2] == pytest.approx(1, abs=1e-3)
    assert {float(row["thickness mm"]) for row in rows} == {thickness}


@pytest.mark.parametrize("name", CASES)
def test_one_file_for_each_slice(tmp_path: Path, name: str) -> None:
    order, steps, thickness = CASES[name]
    image, _, _, matrix = block(order, steps)
    count = len(image)

    def change(made: Any, index: int) -> None:
        if "reversed" in name:
            made.InstanceNumber = count - index
        else:
            made.SpacingBetweenSlices = str(steps[2])

    assert_right(tmp_path, write_series(tmp_path / "lge", image, matrix, thickness, change), name)


@pytest.mark.parametrize("name", list(CASES)[1:])
def test_all_slices_in_one_file(tmp_path: Path, name: str) -> None:
    order, steps, thickness = CASES[name]
    image, _, _, matrix = block(order, steps)
    path = write_enhanced(tmp_path / "lge" / "EMR1.dcm", image.round(), matrix, thickness)
    assert_right(tmp_path, path.parent, name)


@pytest.mark.parametrize("stored", [None, "0"])
def test_a_thickness_that_is_missing_is_the_distance(tmp_path: Path, stored: str | None) -> None:
    image, wall, scar, matrix = block((0, 1, 2), (2.6, 2.6, 1.9))

    def change(made: Any, index: int) -> None:
        del made.SliceThickness
        if stored is not None:
            made.SliceThickness = stored

    lge = write_series(tmp_path / "lge", image, matrix, 1.9, change)
    mask = tmp_path / "wall.nrrd"
    write_volume(mask, Volume(wall.astype(np.uint8), matrix, "wall"))
    code, result = prepared(tmp_path, lge, wall=mask)
    assert code == 0
    assert percent(result) == pytest.approx(100 * scar.sum() / wall.sum(), abs=0.5)
    rows = table(tmp_path / "prepared" / "slices.csv")
    assert [float(row["thickness mm"]) for row in rows] == pytest.approx([1.9] * len(rows), abs=0.01)
