"""The picture of the 17 segments."""

from __future__ import annotations

import io

import numpy as np
import pytest

from deeprecon.reporting.bullseye import bullseye


def pixels(png: bytes) -> np.ndarray:
    import matplotlib.image

    return matplotlib.image.imread(io.BytesIO(png))[..., :3]


def changed(segment: int) -> tuple[float, float]:
    """Where the picture changes when one segment's value does: to the right and up, -1 to 1 across the disk."""
    values = [0.0] * 17
    empty = pixels(bullseye(values, "scar, %", 100))
    values[segment - 1] = 100.0
    j, i = np.nonzero(np.abs(pixels(bullseye(values, "scar, %", 100)) - empty).max(axis=2) > 0.3)
    disk = np.abs(empty[:, :500] - [1, 1, 0.8]).max(axis=2) < 0.02  # the palest color of the palette
    rows, columns = np.nonzero(disk)
    return (
        2 * (i.mean() - columns.min()) / (columns.max() - columns.min()) - 1,
        1 - 2 * (j.mean() - rows.min()) / (rows.max() - rows.min()),
    )


@pytest.mark.parametrize(
    ("segment", "right", "up"),
    [
        (1, 0.0, 0.84),
        (3, -0.72, -0.42),
        (6, 0.72, 0.42),
        (8, -0.5, 0.29),
        (13, 0.0, 0.31),
        (14, -0.31, 0.0),
        (16, 0.31, 0.0),
        (17, 0.0, 0.0),
    ],
)
def test_segments_lie_where_the_standard_has_them(segment, right, up):
    assert changed(segment) == pytest.approx((right, up), abs=0.06)


def test_missing_values_are_gray_and_do_not_count():
    values = [float("nan")] * 17
    gray = np.abs(pixels(bullseye(values, "scar, %")) - 0.88).max(axis=2) < 0.01
    assert gray.mean() > 0.3
    values[0] = 37.0
    assert len(bullseye(values, "scar, %")) > 1000


def test_there_are_17_segments():
    with pytest.raises(ValueError, match="16 values"):
        bullseye([0.0] * 16, "scar, %")
