"""One opened file and the regions that it shows, by role."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import is_segmentation_file, is_structure_set, read_segmentation
from deeprecon.data.volume import Volume, axis_along, canonical, check_finite
from deeprecon.data.volume_io import read_volume
from deeprecon.scar.read.roles import PARTS, ROLES, Labels, role_of

_ROUNDING = 1e-3
"""By how much a label may miss a whole number, and a fraction 0 or 1."""
_MAX_LISTED = 64
"""Label values that are listed at most."""


class RegionFile(ABC):
    """The regions of one file, which is read when the object is made.

    Attributes:
        name: of the file.
        doubts: about how it was read.
    """

    name: str
    doubts: tuple[Doubt, ...]

    @property
    @abstractmethod
    def taken(self) -> dict[str, str]:
        """Segment or label value -> the role that it is taken for; "" for one that is not used."""

    @property
    def listing(self) -> list[tuple[str, str]]:
        """`taken` with the names that the user gave, where a panel has renamed segments or left some out."""
        return list(self.taken.items())

    @abstractmethod
    def defines(self, role: str) -> bool:
        """Whether a segment or label value is known for `role` itself, even where no voxel has it."""

    @abstractmethod
    def shows(self, role: str) -> bool:
        """Whether `role` or one of its parts is in the file under a name or label value of its own."""

    @abstractmethod
    def region(self, role: str) -> Volume:
        """Share of each voxel that belongs to `role`, (k, j, i) float32 in canonical order.

        Raises:
            InputError: the file does not show the role, or is neither mask, fractions nor label map.
        """

    def core(self) -> Volume | None:
        """The core in a file that shows scar; None where the file defines neither core nor border zone.

        It is the region with the role core, else the scar without its border zone; microvascular obstruction is core
        in any case. A label value that is defined and absent means that the role is nowhere in this stack.
        """
        if self.defines("core"):
            return self._region_or_empty("core")
        if not self.defines("border-zone"):
            return None
        scar, border, dark = (self._region_or_empty(role) for role in ("scar", "border-zone", "no-reflow"))
        return replace(scar, array=np.where(np.asarray(border.array, bool), dark.array, scar.array))

    def _region_or_empty(self, role: str) -> Volume:
        if self.shows(role):
            return self.region(role)
        scar = self.region("scar")
        return replace(scar, array=np.zeros_like(scar.array))


def open_regions(path: Path, labels: Labels, image: Path | None = None) -> RegionFile:
    """Read a segmentation, label map, mask or fraction volume.

    Args:
        path: of the file or DICOM folder.
        labels: segment names and label values of roles; they take precedence over what a segment's name means.
        image: that contours without voxels of their own were drawn on.

    Raises:
        InputError: as `read_segmentation` and `read_volume`, and for NaN.
    """
    return _SegmentFile(path, labels, image) if is_segmentation_file(path) else _LabelFile(path, labels)


class _SegmentFile(RegionFile):
    """A segmentation: the names of its segments have roles."""

    def __init__(self, path: Path, labels: Labels, image: Path | None) -> None:
        grid = read_image(image) if image is not None and is_structure_set(path) else None
        self._segmentation = read_segmentation(path, grid)
        self.name, self.doubts = self._segmentation.name, self._segmentation.doubts
        self._roles = {name: _segment_roles(name, labels) for name in self._segmentation.names}

    def _named(self, roles: tuple[str, ...]) -> list[str]:
        """Segments that have one of the roles, in the file's order."""
        return [name for name, own in self._roles.items() if own & set(roles)]

    @property
    def taken(self) -> dict[str, str]:
        return {name: ", ".join(role for role in ROLES if role in own) for name, own in self._roles.items()}

    @property
    def listing(self) -> list[tuple[str, str]]:
        taken = self.taken
        named = [
            (own, taken[part.name]) for part in self._segmentation.segments for own in part.sources or (part.name,)
        ]
        return named + [(name, "") for name in self._segmentation.left_out]

    def defines(self, role: str) -> bool:
        return bool(self._named((role,)))

    def shows(self, role: str) -> bool:
        return bool(self._named(_parts(role)))

    def region(self, role: str) -> Volume:
        names = self._named(_parts(role))
        if not names:
            raise InputError(
                f"{self.name} has no segment for the {role}; it has {', '.join(self._segmentation.names)}.",
                f"Name it, as in --labels '{role}=Segment 1'.{_no_scar_hint(role)}",
            )
        volumes = [self._segmentation.volume(name) for name in names]
        union = np.logical_or.reduce([np.asarray(volume.array, bool) for volume in volumes])
        return canonical(replace(volumes[0], array=union.astype(np.float32), name=self.name))


class _LabelFile(RegionFile):
    """A volume: --labels gives the label values of roles; without them it is one mask or one map of fractions."""

    def __init__(self, path: Path, labels: Labels) -> None:
        self._volume = read_finite(path)
        self.name, self.doubts = self._volume.name, self._volume.doubts
        self._labels = labels
        self._array = _near_integers(np.asarray(self._volume.array))
        self._values = np.unique(self._array).astype(np.float64)  # exact up to 2^53

    def _label_values(self, roles: tuple[str, ...]) -> list[float]:
        """The label values of the roles; entries that are no number are names of segments in other files."""
        names = self._label_names(roles)
        return [float(name) for name in names if name.removeprefix("-").replace(".", "", 1).isdecimal()]

    def _label_names(self, roles: tuple[str, ...]) -> list[str]:
        return [name for role in roles for name in self._labels.get(role, ())]

    @property
    def taken(self) -> dict[str, str]:
        if not self._labels:
            return {}
        roles = {value: role for role in self._labels for value in self._label_values((role,))}
        return {
            f"{value:.12g}": roles.get(value, "") for value in self._values[:_MAX_LISTED] if value or value in roles
        }

    def defines(self, role: str) -> bool:
        return bool(self._label_values((role,)))

    def shows(self, role: str) -> bool:
        return bool(np.isin(self._label_values(_parts(role)), self._values).any())

    def region(self, role: str) -> Volume:
        values, array = self._values, self._array
        integers = bool(np.all(values == np.round(values)))
        if names := self._label_names(_parts(role)):
            if not integers or not self.shows(role):
                raise InputError(
                    f"{self.name} has none of the labels {role}={','.join(names)}; it holds {_listing(values)}.",
                    f"Name values that the file has, as in --labels {role}=3; names are for segmentation files."
                    f"{_no_scar_hint(role)}",
                )
            array = np.isin(array, self._label_values(_parts(role))).astype(np.float32)
        elif integers and len(values) <= 2 and values[0] == 0:
            array = (array > 0).astype(np.float32)
        elif values[0] < -_ROUNDING or values[-1] > 1 + _ROUNDING:
            raise InputError(
                f"{self.name} is neither a mask nor fractions between 0 and 1: it holds {_listing(values)}.",
                f"For a label map say which label is the {role}, as in --labels {role}=3; images belong to --lge.",
            )
        return canonical(replace(self._volume, array=np.clip(array, 0, 1).astype(np.float32)))


def read_image(path: Path) -> Volume:
    """An image in canonical order.

    Raises:
        InputError: as `read_volume`, and for NaN.
    """
    return canonical(read_finite(path))


def read_finite(path: Path) -> Volume:
    """A volume without NaN and infinity.

    Raises:
        InputError: as `read_volume`, and for NaN.
    """
    volume = read_volume(path)
    check_finite(volume)
    return volume


def copy_to_grid(volume: Volume, grid: Volume) -> npt.NDArray[np.float32]:
    """`volume` on the voxels of `grid`, which is in canonical order; zero where it does not reach.

    The two may differ in which axis is taken for that across the slices.

    Raises:
        InputError: the voxels of the two do not coincide.
    """
    volume = canonical(volume, axis_along(volume, grid.ijk_to_ras[:3, 2]))
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
        target, source = (
            tuple(slice(start, start + length) for start, length in zip(first[::-1], size[::-1], strict=True))
            for first in (low, low - offset)
        )
        result[target] = np.asarray(volume.array, np.float32)[source]
    return result


def _segment_roles(name: str, labels: Labels) -> set[str]:
    stated = {role for role, names in labels.items() if name in names}
    usual = role_of(name)
    return stated or ({usual} if usual is not None and usual not in labels else set())


def _parts(role: str) -> tuple[str, ...]:
    return PARTS.get(role, (role,))


def _near_integers(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Label values that are whole up to rounding, as scaling and resampling leave them, as whole numbers."""
    if array.dtype.kind != "f":
        return array
    whole = np.round(array)
    return whole if bool((np.abs(array - whole) <= _ROUNDING).all()) else array


def _no_scar_hint(role: str) -> str:
    return " If the patient has no scar, say so with --no-scar." if role == "scar" else ""


def _listing(values: npt.NDArray[np.float64]) -> str:
    return ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")
