"""Lung fields of a film: found by their contours, not where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.ctpa.observe.lung_fields import lung_fields

ROWS, COLUMNS = 120, 100


def film(left_bright: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """An image of a body in front of black, and its two lungs; in front of one, all is as bright as the body."""
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(float)
    body = np.abs(x - 49.5) < 44
    lungs = [((x - center) / 14) ** 2 + ((y - 55) / 36) ** 2 < 1 for center in (29, 70)]
    image = 0.8 * body + 0.002 * y
    image[lungs[0]] -= 0.4
    if not left_bright:
        image[lungs[1]] -= 0.3
    return image, lungs[0] | lungs[1]


def test_both_lungs_are_found_whatever_the_display_curve() -> None:
    image, lungs = film()
    for shown in (image, image**2, 200 * image + 50):
        found = lung_fields(shown)
        assert 2 * (found & lungs).sum() / (found.sum() + lungs.sum()) > 0.9


def test_a_side_without_a_lung_field_stays_empty() -> None:
    image, _ = film(left_bright=True)
    found = lung_fields(image)
    assert found[:, :50].any()
    assert not found[:, 50:].any()


@pytest.mark.parametrize("image", [np.zeros((ROWS, COLUMNS)), np.mgrid[:ROWS, :COLUMNS][1] / COLUMNS])
def test_nothing_is_found_where_nothing_is(image: np.ndarray) -> None:
    assert not lung_fields(image).any()
