from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from deeprecon.scar.measure.channels import Channel, Samples, channel_rows, channels_polydata, find_channels
from deeprecon.scar.simulate.lesions import LESIONS, Lesion, Variation, isthmus
from deeprecon.scar.simulate.ventricle import Ventricle

HEART = Ventricle()
Points = npt.NDArray[np.float64]


def grid(points: Points, spacing: float, axes: Points) -> tuple[Points, Points, tuple[int, ...]]:
    """A grid along axes (columns) around RAS points: affine, voxel centers (M, 3), and the shape (k, j, i)."""
    along = points @ axes
    first, last = along.min(axis=0) - 2, along.max(axis=0) + 2
    shape = tuple((np.ceil((last - first) / spacing).astype(int) + 1)[::-1].tolist())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes * spacing, axes @ first
    k, j, i = np.indices(shape)
    return matrix, np.stack([i, j, k], axis=-1).reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3], shape


def in_heart(lesion: Lesion, axes: Points | None = None) -> list[Channel]:
    """Channels of an analytic scar on a grid that lies askew to it."""
    matrix, centers, shape = grid(HEART.mesh(5.0).points, 1.0, np.eye(3) if axes is None else axes)
    wall = HEART.wall(centers)
    scar = np.zeros(len(centers))
    scar[wall] = lesion(centers[wall])
    scar = scar.reshape(shape)
    return find_channels(scar, scar, wall.reshape(shape), matrix)


def in_slab(
    scar: Callable[[Points, Points, Points], Points], cutoff: float = 0.5, samples: Samples | None = None
) -> list[Channel]:
    """Channels in a flat wall of 70 mm by 70 mm by 9 mm between z = 0 and 9, in a larger grid turned about z."""
    cosine, sine = np.cos(np.radians(20)), np.sin(np.radians(20))
    turned = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    corners = np.array([[x, y, z] for x in (-38.0, 38) for y in (-38.0, 38) for z in (-6.0, 15)])
    matrix, centers, shape = grid(corners, 1.0, turned)
    x, y, z = centers.T
    wall = (np.abs(x) < 35) & (np.abs(y) < 35) & (z > -0.1) & (z < 9.1)
    probability = (np.asarray(scar(x, y, z), dtype=np.float64) * wall).reshape(shape)
    return find_channels(probability, probability, wall.reshape(shape), matrix, cutoff, samples)


def disk(x: Points, y: Points) -> npt.NDArray[np.bool_]:
    return np.hypot(x, y) < 25


@pytest.mark.parametrize("width", [3.0, 4.0, 6.0])
@pytest.mark.parametrize("askew", [False, True])
def test_the_isthmus_is_found_with_its_width_and_course(width: float, askew: bool) -> None:
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0] if askew else np.eye(3)
    (channel,) = in_heart(isthmus(HEART, width=width), axes=axes)
    assert channel.width_mm == pytest.approx(width, abs=1.0)
    assert 30 < channel.length_mm < 45
    assert channel.probability == 1
    assert channel.scar == 0
    local = HEART.to_local(channel.path)
    # the channel is the layer between two planes: the path lies in it and runs along it
    across = 0.80 * (local[:, 0] + 4) + 0.60 * (local[:, 2] + 12)
    assert np.abs(across).max() < width / 2 + 0.5
    run = local[-1] - local[0]
    assert abs(run @ [-0.60, 0, 0.80]) / np.linalg.norm(run) > 0.95
    assert channel.length_mm == pytest.approx(np.linalg.norm(np.diff(channel.path, axis=0), axis=1).sum())


@pytest.mark.parametrize("name", sorted(set(LESIONS) - {"isthmus"}))
@pytest.mark.parametrize("turn", [0.0, 130.0])
def test_scars_without_a_corridor_have_no_channel(name: str, turn: float) -> None:
    assert in_heart(LESIONS[name](HEART, Variation(turn=turn))) == []


def test_a_solid_patch_and_a_wall_that_is_all_scar_have_no_channel() -> None:
    assert in_slab(lambda x, y, z: disk(x, y)) == []
    assert in_slab(lambda x, y, z: np.ones_like(x)) == []


def test_two_parallel_channels_are_two() -> None:
    channels = in_slab(lambda x, y, z: disk(x, y) & (np.abs(np.abs(y) - 8) > 2))
    assert len(channels) == 2
    assert sorted(np.sign(channel.path[:, 1].mean()) for channel in channels) == [-1, 1]
    for channel in channels:
        assert np.abs(channel.path[:, 1]) == pytest.approx(8, abs=1)
        assert channel.width_mm == pytest.approx(4, abs=1.0)
        # beyond the mouths, which are beveled, a corridor is no corridor
        assert 2 * np.sqrt(25**2 - 8**2) - 10 < channel.length_mm < 2 * np.sqrt(25**2 - 8**2) + 4


def test_the_width_is_right_on_average_over_corridors_of_any_width() -> None:
    widths = np.array([3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0])
    found = [in_slab(lambda x, y, z, half=half: disk(x, y) & (np.abs(y) > half)) for half in widths / 2]
    assert np.mean([channel.width_mm for (channel,) in found] - widths) == pytest.approx(0, abs=0.25)


def test_a_corridor_narrows_and_only_its_narrowest_place_counts() -> None:
    (channel,) = in_slab(lambda x, y, z: disk(x, y) & (np.abs(y) > 1.5 + np.abs(x) / 15))
    assert channel.width_mm == pytest.approx(3.0, abs=1.0)


def test_a_tunnel_below_the_surface_is_a_channel() -> None:
    (channel,) = in_slab(lambda x, y, z: disk(x, y) & (np.hypot(y, z - 4.5) > 2.5))
    assert channel.path[:, 2] == pytest.approx(4.5, abs=1.01)
    assert channel.length_mm > 40


def test_a_bent_channel_is_followed() -> None:
    (channel,) = in_slab(lambda x, y, z: disk(x, y) & (np.abs(y - 8 * np.sin(x / 8)) > 3))
    off = np.abs(channel.path[:, 1] - 8 * np.sin(channel.path[:, 0] / 8))
    assert off.max() < 2.5
    assert channel.length_mm > 1.08 * np.linalg.norm(channel.path[-1] - channel.path[0])


def test_a_dead_end_is_no_channel() -> None:
    assert in_slab(lambda x, y, z: disk(x, y) & ~((np.abs(y) < 2) & (x > -5))) == []


def test_viable_tissue_over_a_scar_of_half_the_wall_is_no_channel() -> None:
    assert in_slab(lambda x, y, z: disk(x, y) & (z < 5)) == []
    assert in_slab(lambda x, y, z: (np.abs(x) < 12) & (z < 6)) == []


def test_a_wide_gap_between_two_scars_is_no_channel() -> None:
    assert in_slab(lambda x, y, z: disk(x, y) & (np.abs(y) > 6)) == []


def test_border_zone_is_passable_and_makes_the_channel_less_sure() -> None:
    channels = in_slab(lambda x, y, z: disk(x, y) * np.where(np.abs(y) < 2, np.where(x > 0, 0.4, 0.2), 1.0))
    (channel,) = channels
    assert channel.probability == pytest.approx(0.6)
    assert channel.scar == pytest.approx(0.3, abs=0.03)


def test_samples_give_the_probability_that_the_channel_is_open() -> None:
    def samples(points: Points) -> Points:
        blocked = np.abs(points[:, 0]) < 3
        return np.stack([0.6 * blocked, 0.4 * blocked, np.zeros(len(points)), np.ones(len(points))])

    (channel,) = in_slab(lambda x, y, z: disk(x, y) & (np.abs(y) > 2), samples=samples)
    assert channel.probability == 0.5
    (channel,) = in_slab(lambda x, y, z: 0.9 * (disk(x, y) & (np.abs(y) > 2)), cutoff=0.7, samples=samples)
    assert channel.probability == 0.75


@pytest.mark.timeout(240)
def test_speckled_scar_is_searched_without_failing() -> None:
    rng = np.random.default_rng(5)
    for level in (0.05, 0.3, 0.6):
        for channel in in_heart(lambda points, level=level: rng.random(len(points)) < level):
            assert np.isfinite(channel.path).all()
            assert channel.length_mm >= 10


def test_rows_and_lines_agree() -> None:
    channels = [
        Channel(np.array([[0.0, 0, 0], [10, 0, 0], [20, 1, 0]]), 20.05, 3.97, 0.25, 0.8125),
        Channel(np.array([[0.0, 5, 0], [12, 5, 0]]), 12.0, 2.0, 0.5, 0.5),
    ]
    rows = channel_rows(channels)
    assert rows[1] == {
        "channel": 2,
        "length_mm": 12.0,
        "width_mm": 2.0,
        "scar_probability": 0.5,
        "open_probability": 0.5,
    }
    polydata = channels_polydata(channels)
    assert (polydata.GetNumberOfLines(), polydata.GetNumberOfPoints()) == (2, 5)
    assert polydata.GetPoint(2) == (20, 1, 0)
    assert polydata.GetCell(1).GetPointIds().GetId(1) == 4
    for name in rows[0]:
        array = polydata.GetCellData().GetArray(name)
        assert [array.GetValue(0), array.GetValue(1)] == pytest.approx([row[name] for row in rows])
    assert channel_rows([]) == []
    assert channels_polydata([]).GetNumberOfCells() == 0
