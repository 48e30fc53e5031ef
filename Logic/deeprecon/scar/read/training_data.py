"""Training data of the coordinate network: groups of nodes, and cardioscar's .npz file of them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError, names_damage

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NAMES = ("coordinates", "intensities", "group_ids", "group_sizes", "scaler_min", "scaler_max")
_AGAIN = "Make the file again with scar prepare."


@dataclass(frozen=True, eq=False)
class NodeGroups:
    """G groups of nodes, each with the value that the mean over its nodes should have.

    A node is listed once in each group that it belongs to: none in a gap between slices, several where slabs overlap.

    Attributes:
        points: (N, 3) in mm, sorted by group; RAS where they come from a mesh, else in the axes of their file.
        values: (G,) float32, 0 to 1; 0 is data.
        offsets: (G + 1,) the nodes of group g are `points[offsets[g] : offsets[g + 1]]`, at least one.
        box: (2, 3) lowest and highest corner, in mm, of the box that the network sees as 0 to 1 along each axis.
        nodes: (N,) which node of the mesh each point is; None where they come from a file.
        numbers: (G,) which group of `observe` each is; None where they come from a file.
    """

    points: Floats
    values: npt.NDArray[np.float32]
    offsets: Ints
    box: Floats
    nodes: Ints | None = None
    numbers: Ints | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def sizes(self) -> Ints:
        """(G,) nodes in each group."""
        sizes: Ints = np.diff(self.offsets)
        return sizes


@names_damage
def read_training_data(path: Path) -> NodeGroups:
    """Read training data as cardioscar's `prepare` or ours wrote them; rows may come in any order.

    Raises:
        InputError: no such file, arrays missing, of wrong shapes or not finite, coordinates or values outside of
            [0, 1], group numbers that do not count up from 0, or several values in one group.
    """
    arrays = _load(path)
    coordinates, ids, sizes = arrays["coordinates"], arrays["group_ids"], arrays["group_sizes"]
    intensities = arrays["intensities"][:, 0]
    box = np.stack([arrays["scaler_min"], arrays["scaler_max"]]).astype(np.float64)
    for name in ("group_ids", "group_sizes"):
        if not np.issubdtype(arrays[name].dtype, np.integer):
            raise InputError(f"{path}: {name} holds no whole numbers.", _AGAIN)
    if not (box[1] > box[0]).all():
        raise InputError(f"{path}: scaler_max does not exceed scaler_min along every axis.", _AGAIN)
    if not len(ids) or ids.min() < 0 or ids.max() >= len(sizes):
        raise InputError(f"{path}: the groups are not numbered from 0 to {len(sizes) - 1}.", _AGAIN)
    if not np.array_equal(np.bincount(ids, minlength=len(sizes)), sizes) or not sizes.all():
        raise InputError(f"{path}: group_sizes does not count the nodes of each group in group_ids.", _AGAIN)
    for name, values in (("coordinates", coordinates), ("intensities", intensities)):
        # A little beyond 1 comes from rounding.
        if values.min() < -1e-5 or values.max() > 1 + 1e-5:
            raise InputError(
                f"{path}: {name} must lie within 0 and 1, found {values.min():.4g} to {values.max():.4g}.", _AGAIN
            )
    order = np.argsort(ids, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    values = intensities[order]
    mixed = np.flatnonzero(values != np.repeat(values[offsets[:-1]], sizes))
    if len(mixed):
        raise InputError(
            f"{path}: group {ids[order][mixed[0]]} has several values; its nodes lie in one pixel and share its value.",
            "Files of older versions of cardioscar mix two ways of rounding to a voxel. " + _AGAIN,
        )
    points = coordinates[order].astype(np.float64) * (box[1] - box[0]) + box[0]
    return NodeGroups(points, np.clip(values[offsets[:-1]], 0, 1).astype(np.float32), offsets, box)


def _load(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays by name, with the shapes that they must have and finite."""
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise InputError(f"{path} is no .npz file of training data.", _AGAIN)
        with file:
            if missing := [name for name in _NAMES if name not in file]:
                raise InputError(f"{path} lacks {', '.join(missing)}.", _AGAIN)
            arrays = {name: file[name] for name in _NAMES}
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.", "Check the path.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:  # ValueError: a pickle, which is not loaded
        raise InputError(f"{path} is damaged, or holds more than numbers: {error}.", _AGAIN) from error
    n, m = arrays["group_ids"].size, arrays["group_sizes"].size
    for name, shape in zip(_NAMES, ((n, 3), (n, 1), (n,), (m,), (3,), (3,)), strict=True):
        if arrays[name].shape != shape:
            raise InputError(f"{path}: {name} has the shape {arrays[name].shape}, expected {shape}.", _AGAIN)
        if arrays[name].dtype.kind not in "fiu" or not np.isfinite(arrays[name]).all():
            raise InputError(f"{path}: {name} holds what is no finite number.", _AGAIN)
    return arrays
