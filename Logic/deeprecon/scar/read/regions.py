"""The regions of one patient's files, by role."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import Segmentation, is_segmentation_file, read_segmentation
from deeprecon.data.volume import Volume, canonical, check_finite, slice_axis
from deeprecon.data.volume_io import read_volume
from deeprecon.scar.read.roles import PARTS, ROLES, role_of

Labels = dict[str, tuple[str, ...]]
"""Role -> label values or segment names, as `parse_labels` gives them."""


def parse_labels(entries: tuple[str, ...]) -> Labels:
    """`("scar=3,4", "myocardium=2")` as `{"scar": ("3", "4"), "myocardium": ("2",)}`.

    Raises:
        InputError: an entry without "=" or with an unknown role.
    """
    labels: Labels = {}
    for entry in entries:
        role, separator, values = entry.partition("=")
        names = tuple(value.strip() for value in values.split(",") if value.strip())
        if not separator or not names or role not in ROLES:
            raise InputError(
                f"Cannot understand the labels {entry!r}.",
                f"Write ROLE=VALUE[,VALUE]; the roles are {', '.join(ROLES)}.",
            )
        labels[role] = names
    return labels


class Regions:
    """The regions that files show; each file is read once, however often it is asked.

    Args:
        labels: what roles are called, where names do not tell.
    """

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._segmentations: dict[Path, Segmentation] = {}
        self._volumes: dict[Path, Volume] = {}
        self._known_values: dict[Path, npt.NDArray[np.float64]] = {}

    def image(self, path: Path) -> Volume:
        """A volume in canonical order.

        Raises:
            InputError: as `read_volume`, and for NaN.
        """
        return _canonical(self._volume(path))

    def shows(self, path: Path, role: str) -> bool:
        """Whether a file says where `role` is: by a segment, or by a label that it is told to have."""
        if is_segmentation_file(path):
            return bool(self._segments(path, _parts(role)))
        wanted = self._numbers(_parts(role))
        return bool(wanted) and bool(np.isin(wanted, self._values(path)).any())

    def region(self, path: Path, role: str) -> Volume:
        """Share of each voxel that belongs to `role`, (k, j, i) float32 in canonical order.

        Raises:
            InputError: the file does not show the role, or is no mask, no fractions and no label map.
        """
        if is_segmentation_file(path):
            segmentation = self._segmentation(path)
            names = self._segments(path, _parts(role))
            if not names:
                raise InputError(
                    f"{segmentation.name} has no segment for the {role}; it has {', '.join(segmentation.names)}.",
                    f"Name it, as in --labels '{role}=Segment 1'.",
                )
            volumes = [segmentation.volume(name) for name in names]
            union = np.logical_or.reduce([np.asarray(volume.array, bool) for volume in volumes])
            return _canonical(replace(volumes[0], array=union.astype(np.float32), name=segmentation.name))
        volume, values = self._volume(path), self._values(path)
        array = np.asarray(volume.array, np.float32)
        whole = bool(np.all(values == np.round(values)))
        if names := self._called(_parts(role)):
            wanted = self._numbers(_parts(role))
            if not whole or not np.isin(wanted, values).any():
                raise InputError(
                    f"{volume.name} has none of the labels {role}={','.join(names)}; it holds {_few(values)}.",
                    f"Name values that the file has, as in --labels {role}=3; names are for segmentation files.",
                )
            array = np.isin(array, wanted).astype(np.float32)
        elif whole and len(values) <= 2 and values[0] == 0:
            array = (array > 0).astype(np.float32)
        elif values[0] < 0 or values[-1] > 1:
            raise InputError(
                f"{volume.name} is neither a mask nor fractions between 0 and 1: it holds {_few(values)}.",
                f"For a label map say which label is the {role}, as in --labels {role}=3; images belong to --lge.",
            )
        return _canonical(replace(volume, array=array))

    def core(self, path: Path) -> Volume | None:
        """The core of a file that shows scar; None where it tells neither core nor border zone.

        It is what is called core, else the scar without its border zone; no-reflow is core in any case. A label map
        tells of every label that it may have: one that is not there is nowhere in this stack.
        """
        if self._tells(path, "core"):
            return self._share(path, "core")
        if not self._tells(path, "border-zone"):
            return None
        scar, border, dark = (self._share(path, role) for role in ("scar", "border-zone", "no-reflow"))
        return replace(scar, array=np.where(np.asarray(border.array, bool), dark.array, scar.array))

    def _tells(self, path: Path, role: str) -> bool:
        """Whether a file would show `role` itself, not only its parts, were it there."""
        return bool(self._segments(path, (role,)) if is_segmentation_file(path) else self._numbers((role,)))

    def _share(self, path: Path, role: str) -> Volume:
        """As `region`, but zero where the file does not show the role."""
        if self.shows(path, role):
            return self.region(path, role)
        scar = self.region(path, "scar")
        return replace(scar, array=np.zeros_like(scar.array))

    def _segmentation(self, path: Path) -> Segmentation:
        if path not in self._segmentations:
            self._segmentations[path] = read_segmentation(path)
        return self._segmentations[path]

    def _volume(self, path: Path) -> Volume:
        if path not in self._volumes:
            volume = read_volume(path)
            check_finite(volume)
            self._volumes[path] = volume
        return self._volumes[path]

    def _values(self, path: Path) -> npt.NDArray[np.float64]:
        """The values that a volume has, in rising order."""
        if path not in self._known_values:
            self._known_values[path] = np.unique(self._volume(path).array).astype(np.float64)
        return self._known_values[path]

    def _called(self, roles: tuple[str, ...]) -> list[str]:
        """What --labels says that the roles are called; nothing where it does not name them."""
        return [name for role in roles for name in self._labels.get(role, ())]

    def _numbers(self, roles: tuple[str, ...]) -> list[float]:
        """The label values of the roles; what is no number is the name of a segment."""
        names = self._called(roles)
        return [float(name) for name in names if name.removeprefix("-").replace(".", "", 1).isdecimal()]

    def _segments(self, path: Path, roles: tuple[str, ...]) -> list[str]:
        """The segments of a file that have one of the roles; what --labels says goes before what a name tells."""

        def belongs(name: str) -> bool:
            stated = [role for role, names in self._labels.items() if name in names]
            told = role_of(name)
            found = stated or ([told] if told is not None and told not in self._labels else [])
            return any(role in found for role in roles)

        return [name for name in self._segmentation(path).names if belongs(name)]


def _parts(role: str) -> tuple[str, ...]:
    return PARTS.get(role, (role,))


def on_grid(volume: Volume, grid: Volume) -> npt.NDArray[np.float32]:
    """`volume` on the voxels of `grid`, zero where it does not reach; both in canonical order.

    Raises:
        InputError: the voxels of the two do not coincide.
    """
    to_grid = np.linalg.inv(grid.ijk_to_ras) @ volume.ijk_to_ras
    offset = np.round(to_grid[:3, 3]).astype(int)
    if not np.allclose(to_grid[:3, :3], np.eye(3), atol=2e-3) or not np.allclose(to_grid[:3, 3], offset, atol=0.05):
        raise InputError(
            f"{volume.name} and {grid.name} do not lie on the same voxel grid.",
            "Resample one onto the other, or check that both belong to the same patient and stack.",
        )
    result = np.zeros(grid.array.shape, np.float32)
    low = np.maximum(offset, 0)
    size = np.minimum(offset + volume.array.shape[::-1], grid.array.shape[::-1]) - low
    if (size > 0).all():
        into = tuple(slice(start, start + length) for start, length in zip(low[::-1], size[::-1], strict=True))
        first = low - offset
        source = tuple(slice(start, start + length) for start, length in zip(first[::-1], size[::-1], strict=True))
        result[into] = np.asarray(volume.array, np.float32)[source]
    return result


def _few(values: npt.NDArray[np.float64]) -> str:
    return ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")


def _canonical(volume: Volume) -> Volume:
    return canonical(volume, slice_axis(volume))
