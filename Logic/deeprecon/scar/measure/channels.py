"""Candidate conduction channels: corridors of viable tissue or border zone through dense scar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]
Samples = Callable[[npt.NDArray[np.float64]], Floats]
"""(M, 3) points in RAS mm -> (S, M) equally likely probabilities of core."""

MAX_DISTANCE = 4.0
"""Largest distance of a corridor's middle to core in mm, half the width of the widest corridors."""
MIN_LENGTH = 10.0
"""In mm; channels of tachycardias after infarction are 18 to 41 mm long (de Chillou 2002, Circulation 105:726)."""


@dataclass(frozen=True, eq=False)
class Channel:
    """A corridor through dense scar that joins healthy tissue at both ends.

    Attributes:
        path: (P, 3) RAS mm, from one end to the other along its middle.
        length_mm: of the path.
        width_mm: between the cores at the narrowest place of the path.
        scar: mean probability of scar along the path.
        probability: that it is open from end to end.
    """

    path: npt.NDArray[np.float64]
    length_mm: float
    width_mm: float
    scar: float
    probability: float


def find_channels(
    core: Floats,
    scar: Floats,
    wall: Bools,
    ijk_to_ras: npt.NDArray[np.float64],
    cutoff: float = 0.5,
    samples: Samples | None = None,
) -> list[Channel]:
    """Corridors between two areas of scar core, or through one, that join healthy tissue at two separate places.

    A conducting channel lies between two dense scars and is connected to healthy tissue at both ends
    (Fernandez-Armenta 2013, Circ Arrhythm Electrophysiol 6:528). Here a corridor is what the closing of the core by a
    ball of MAX_DISTANCE adds to it. The core is extended across the surfaces of the wall first, which therefore neither
    open nor bound a corridor: viable tissue between a scar of half the wall and the other surface is none. Of each
    connected corridor the two ends that are farthest apart are joined by the path of the largest distance to core; side
    branches are not followed. Corridors that are shorter than MIN_LENGTH, or wider than long, are left out.

    Args:
        core: (k, j, i) probability of scar core; where `samples` are left out the channel is open with the least
            probability along its path that a voxel is not core.
        scar: (k, j, i) probability of scar.
        wall: (k, j, i) whether a voxel lies in the wall.
        ijk_to_ras: (4, 4), with voxels of one size along all axes.
        cutoff: probability above which a voxel is core.
        samples: the channel is open with the share of these in which no place of its path is core.

    Returns:
        The most probable first, and of equally probable ones the longest.
    """
    from scipy.ndimage import label

    dense = wall & (core > cutoff)
    if not dense.any():
        return []
    spacing = float(np.linalg.norm(ijk_to_ras[:3, 0]))
    box = _box(dense, int(np.ceil(2 * MAX_DISTANCE / spacing)) + 2)
    core, scar, wall, dense = core[box], scar[box], wall[box], dense[box]
    clearance = _distance(_extended(dense, wall), spacing)
    # half a voxel and a little more is taken off again, so that the steps along a smooth border of voxels are no bays
    closed = _distance(clearance > MAX_DISTANCE, spacing) > MAX_DISTANCE + 0.75 * spacing
    corridors, healthy = wall & ~dense & closed, wall & ~dense & ~closed
    to_ras = ijk_to_ras.copy()
    to_ras[:3, 3] += ijk_to_ras[:3, :3] @ [side.start for side in box[::-1]]
    channels = []
    pieces, _ = label(corridors)
    counts = np.bincount(pieces.ravel())
    for number in np.flatnonzero(counts * spacing * np.sqrt(3) > MIN_LENGTH)[1:]:  # number 0 is outside the corridors
        corridor = pieces == number
        place = _box(corridor, 1)
        path = _path(corridor[place], healthy[place], clearance[place])
        if not len(path):
            continue
        kji = path + [side.start for side in place]
        smooth = _smooth(kji[:, ::-1] @ to_ras[:3, :3].T + to_ras[:3, 3])
        length = float(np.linalg.norm(np.diff(smooth, axis=0), axis=1).sum())
        width = _width(clearance, kji, spacing)
        if length >= max(MIN_LENGTH, width):
            index = tuple(kji.T)
            probability = float(1 - core[index].max())
            if samples is not None:
                probability = float((samples(smooth) <= cutoff).all(axis=1).mean())
            channels.append(Channel(smooth, length, width, float(scar[index].mean()), probability))
    return sorted(channels, key=lambda channel: (-channel.probability, -channel.length_mm))


def channel_rows(channels: Sequence[Channel]) -> list[dict[str, Any]]:
    """Rows of the table of channels."""
    return [
        {
            "channel": number,
            "length_mm": round(channel.length_mm, 1),
            "width_mm": round(channel.width_mm, 1),
            "scar_probability": round(channel.scar, 3),
            "open_probability": round(channel.probability, 3),
        }
        for number, channel in enumerate(channels, 1)
    ]


def channels_polydata(channels: Sequence[Channel]) -> vtkPolyData:
    """The paths as lines in RAS mm, with the columns of `channel_rows` as cell arrays."""
    points, lines, polydata = vtkPoints(), vtkCellArray(), vtkPolyData()
    for channel in channels:
        lines.InsertNextCell(len(channel.path))
        for place in channel.path.tolist():
            lines.InsertCellPoint(points.InsertNextPoint(place))
    polydata.SetPoints(points)
    polydata.SetLines(lines)
    rows = channel_rows(channels)
    for name in rows[0] if rows else ():
        array = numpy_to_vtk(np.array([row[name] for row in rows], dtype=np.float32), deep=True)
        array.SetName(name)
        polydata.GetCellData().AddArray(array)
    return polydata


def _box(mask: Bools, margin: int) -> tuple[slice, ...]:
    """The box around a mask, `margin` voxels wider on all sides as far as the grid goes."""
    sides = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        sides.append(slice(max(int(used[0]) - margin, 0), int(used[-1]) + margin + 1))
    return tuple(sides)


def _distance(mask: Bools, spacing: float) -> npt.NDArray[np.float32]:
    """(k, j, i) distance in mm to the nearest voxel center in a mask, 0 there; infinite for an empty mask."""
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    distance: npt.NDArray[np.float32] = distance_transform_edt(~mask).astype(np.float32) * np.float32(spacing)
    return distance


def _extended(dense: Bools, wall: Bools) -> Bools:
    """The core, extended outside the wall to what is nearer to core than to the rest of the wall."""
    viable = wall & ~dense
    return dense | (~wall & (_distance(dense, 1.0) <= _distance(viable, 1.0)))


def _path(corridor: Bools, healthy: Bools, clearance: Floats) -> npt.NDArray[np.int64]:
    """(P, 3) voxels (k, j, i) between the ends of a corridor that are farthest apart; empty if it has no two ends.

    An end is a connected patch of the corridor's voxels next to healthy ones. The speed is low near core, so that the
    first arrival comes along the middle.
    """
    from scipy.ndimage import binary_dilation, label

    corners_join = np.ones((3, 3, 3), bool)
    ends, count = label(corridor & binary_dilation(healthy, corners_join), corners_join)
    if count < 2:
        return np.empty((0, 3), dtype=np.int64)
    voxels = np.argwhere(ends)
    end_of_voxel = ends[tuple(voxels.T)] - 1
    speed = np.where(corridor, (clearance / MAX_DISTANCE) ** 2, 0)

    def last_end(end: int) -> tuple[int, npt.NDArray[np.float64]]:
        """The end that a front from an end reaches last, and all arrival times."""
        times = _arrival(speed, voxels[end_of_voxel == end])
        first = np.full(count, np.inf)
        np.minimum.at(first, end_of_voxel, times[tuple(voxels.T)])
        return int(first.argmax()), times

    one, _ = last_end(int(np.bincount(end_of_voxel).argmax()))  # from any end to the far side, and back from there
    other, times = last_end(one)
    arrivals = voxels[end_of_voxel == other]
    return _descend(times, arrivals[times[tuple(arrivals.T)].argmin()])


def _arrival(speed: Floats, start: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(k, j, i) when a front from (S, 3) voxels arrives; huge where it does not."""
    import SimpleITK as sitk

    march = sitk.FastMarchingImageFilter()
    march.SetTrialPoints(start[:, ::-1].tolist())
    times: npt.NDArray[np.float64] = sitk.GetArrayFromImage(
        march.Execute(sitk.GetImageFromArray(speed.astype(np.float64)))
    )
    times[tuple(start.T)] = 0
    return times


def _descend(times: Floats, place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(P, 3) voxels back to the start by steepest descent."""
    steps = np.array([step for step in np.ndindex(3, 3, 3) if step != (1, 1, 1)]) - 1
    far = np.linalg.norm(steps, axis=1)
    padded = np.pad(times, 1, constant_values=np.inf)
    path = [place]
    while times[tuple(place)] > 0:
        drop = (times[tuple(place)] - padded[tuple((place + steps + 1).T)]) / far
        if drop.max() <= 0:
            break
        place = place + steps[np.argmax(drop)]
        path.append(place)
    return np.array(path)


def _width(clearance: Floats, path: npt.NDArray[np.int64], spacing: float) -> float:
    """Twice the distance to core at the narrowest place of a path of voxels.

    The largest distance around each voxel of the path is that of the middle of the corridor. Core begins half a voxel
    before the center of its first voxel, and the middle is up to half a voxel, on average a quarter, off a center.
    """
    steps = np.array(list(np.ndindex(3, 3, 3)))
    padded = np.pad(clearance, 1)
    around = np.stack([padded[tuple((path + step).T)] for step in steps])
    return float(2 * (around.max(axis=0).min() - spacing / 4))


def _smooth(path: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A (P, 3) path without the steps of voxels; its ends are kept."""
    for _ in range(8):
        path = path.copy()
        path[1:-1] = (path[:-2] + 2 * path[1:-1] + path[2:]) / 4
    return path
