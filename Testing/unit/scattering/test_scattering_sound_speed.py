"""Sound speeds of labels, and the contrast and position of slices inside the measured region."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scattering.parameters import parse_speeds
from deeprecon.scattering.physics.contrast import contrast_from_speed, speed_from_contrast
from deeprecon.scattering.physics.image_grids import pixel_centers
from deeprecon.scattering.read.sound_speed import extract_region, read_speeds

WATER = 1480.0


def body(order: tuple[int, ...] = (0, 1, 2), signs: tuple[int, ...] = (1, 1, 1)) -> Volume:
    """Label 1 is a cylinder of 20 mm around (10, -20) in RAS, with a rod of label 2 at 12 mm to the right of its axis.

    Slices are axial, 5 mm apart, pixels 1 x 1.25 mm; the axes of the array may come in any order.
    """
    spacing, count = np.array([1.0, 1.25, 5.0]), np.array([64, 52, 6])
    origin = np.array([10.0, -20.0, 30.0]) - spacing * (count - 1) / 2
    affine = np.eye(4)
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[:3, column] = 0
        affine[axis, column] = spacing[axis] * sign
        affine[axis, 3] = origin[axis] if sign > 0 else origin[axis] + spacing[axis] * (count[axis] - 1)
    shape = [count[axis] for axis in order]
    i, j, k = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    ras = np.stack([i, j, k], -1) @ affine[:3, :3].T + affine[:3, 3]
    radius = np.hypot(ras[..., 0] - 10, ras[..., 1] + 20)
    labels = np.where(radius < 20, 1, 0)
    labels[np.hypot(ras[..., 0] - 22, ras[..., 1] + 20) < 4] = 2
    labels[np.abs(ras[..., 2] - 30) > 8] = 0  # 4 of 6 slices
    return Volume(labels.transpose(2, 1, 0).astype(np.uint8), affine, "body")


def test_contrast_from_sound_speed_and_back() -> None:
    assert contrast_from_speed(np.array(1450.0), WATER) == pytest.approx(0.0418, abs=1e-4)  # fat
    assert contrast_from_speed(np.array(1580.0), WATER) == pytest.approx(-0.1226, abs=1e-4)  # muscle
    speeds = np.array([343.0, 1480.0, 3000.0])
    np.testing.assert_allclose(speed_from_contrast(contrast_from_speed(speeds, WATER), WATER), speeds)


def test_speeds_are_read_from_texts() -> None:
    assert parse_speeds(("1=1450", "Left breast = fat=1440")) == {"1": 1450.0, "Left breast = fat": 1440.0}


@pytest.mark.parametrize("text", ["1450", "=1450", "1=fast", "1=20", "1=nan", "1=1e9"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="Write NAME=SPEED"):
        parse_speeds((text,))


def test_a_label_has_one_speed() -> None:
    with pytest.raises(InputError, match="names 1 twice"):
        parse_speeds(("1=1450", "1=1460"))


ORDERS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


@pytest.mark.parametrize(("order", "signs"), ORDERS)
def test_the_disc_lies_at_the_same_place_for_every_axis_order(
    order: tuple[int, ...], signs: tuple[int, ...], tmp_path: Path
) -> None:
    write_volume(tmp_path / "labels.nrrd", body(order, signs))
    speed = read_speeds(tmp_path / "labels.nrrd", {"1": 1450.0, "2": 1580.0}, WATER)
    region = extract_region(speed, WATER, 48)
    assert region.contrast.shape == (4, 48, 48)
    assert 20 < region.geometry.radius_mm < 23
    affine = region.geometry.image_to_ras(48)
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), [region.geometry.radius_mm / 24] * 2 + [5.0])
    where = np.argwhere(region.contrast[1] < -0.1)[:, ::-1]  # the rod, as (i, j)
    rod = affine @ [*where.mean(axis=0), 1, 1]
    np.testing.assert_allclose(rod[:2], [22, -20], atol=0.3)
    assert abs(rod[2] - 27.5) < 1e-6
    middle = affine @ [23.5, 23.5, 1, 1]
    np.testing.assert_allclose(middle[:2], [10, -20], atol=0.7)


def test_partial_pixels_are_means_and_the_outside_is_empty(tmp_path: Path) -> None:
    write_volume(tmp_path / "labels.nrrd", body())
    speed = read_speeds(tmp_path / "labels.nrrd", {"1": 1450.0}, WATER)
    region = extract_region(speed, WATER, 48, radius=30.0)
    area = region.contrast[0].sum() / contrast_from_speed(np.array(1450.0), WATER) * (60 / 48) ** 2
    labels = (body().array[2] == 1).sum() * 1.25
    assert area == pytest.approx(labels, rel=0.01)
    x, y = np.meshgrid(pixel_centers(48), pixel_centers(48))
    assert not region.contrast[:, np.hypot(x, y) > 0.75].any()


def test_slices_can_be_chosen(tmp_path: Path) -> None:
    write_volume(tmp_path / "labels.nrrd", body())
    speed = read_speeds(tmp_path / "labels.nrrd", {"1": 1450.0}, WATER)
    region = extract_region(speed, WATER, 32, slices=(3, 5))
    assert region.slices.tolist() == [3, 5]
    assert np.linalg.norm(region.geometry.plane_to_ras[:3, 2]) == pytest.approx(10.0)
    for slices, words in (((9,), "has 6 slices, not 9"), ((1,), "nothing but the background"), ((2, 3, 5), "equally")):
        with pytest.raises(InputError, match=words):
            extract_region(speed, WATER, 32, slices=slices)


def test_segments_are_known_by_name(tmp_path: Path) -> None:
    labels = np.asarray(body().array)
    segments = (Segment("Fat", labels == 1, (1, 0, 0)), Segment("Muscle", labels == 2, (0, 1, 0)))
    write_segmentation(tmp_path / "case.seg.nrrd", Segmentation(segments, body().ijk_to_ras))
    speed = read_speeds(tmp_path / "case.seg.nrrd", {"Fat": 1450.0, "Muscle": 1580.0}, WATER)
    assert set(np.unique(speed.array)) == {1450.0, 1480.0, 1580.0}
    with pytest.raises(InputError, match="no label or segment Bone; it has Fat, Muscle"):
        read_speeds(tmp_path / "case.seg.nrrd", {"Bone": 3000.0}, WATER)


def test_a_volume_may_hold_the_speeds_itself(tmp_path: Path) -> None:
    values = np.where(body().array == 1, 1540.0, 0.0).astype(np.float32)
    write_volume(tmp_path / "speed.nrrd", Volume(values, body().ijk_to_ras))
    assert set(np.unique(read_speeds(tmp_path / "speed.nrrd", {}, WATER).array)) == {1480.0, 1540.0}
    write_volume(tmp_path / "labels.nrrd", body())
    with pytest.raises(InputError, match="no sound speeds in m/s"):
        read_speeds(tmp_path / "labels.nrrd", {}, WATER)


def test_an_object_beyond_the_region_or_none_at_all_is_refused(tmp_path: Path) -> None:
    write_volume(tmp_path / "labels.nrrd", body())
    speed = read_speeds(tmp_path / "labels.nrrd", {"1": 1450.0}, WATER)
    with pytest.raises(InputError, match=r"reaches 20\.\d mm from its middle, beyond the region of 15 mm"):
        extract_region(speed, WATER, 32, radius=15.0)
    with pytest.raises(InputError, match="nothing but the background"):
        extract_region(read_speeds(tmp_path / "labels.nrrd", {"1": WATER}, WATER), WATER, 32)
