"""Far-field data in HDF5, in the layout of the generator of Desai, Ma, Lahivaara and Monk (2025, arXiv 2503.01596).

    image                         (Ngrid^2, S)       contrast n^2 - 1 on linspace(-xlim, xlim, Ngrid)^2, rows are y
    farfield.real, farfield.imag  (nfar ninc, S)     far field, observation then incidence
    polar (optional extension)    (angles rings, S)  contrast on the polar grid

The last axis is the object. Attributes: kappa, xlim, Ngrid, nfar, ninc, and for both kinds of directions n, app and
cent: linspace(cent - app / 2, cent + app / 2, n). In files of the generator the last direction of a full circle repeats
the first; the two are merged. Its objects may lie in the corners of the square: the measured region is the disc around
the square, of radius sqrt(2) xlim, which becomes the unit of length. Optional extensions: region_radius for another
radius, radius_mm, plane_to_ras, sound_speed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError, names_damage
from deeprecon.scattering.physics.directions import high_order_share, required_directions, resample_directions
from deeprecon.scattering.physics.far_field_laws import energy_defect
from deeprecon.scattering.read.far_field_checks import MAX_HIGH_ORDER_SHARE, role_doubts, wave_number_doubts
from deeprecon.scattering.read.far_field_data import FarFieldData, RegionGeometry
from deeprecon.scattering.read.hdf5 import open_hdf5

HINT = "Give a file of scattering phantom or scattering prepare, or of the generator of Desai et al."
MAX_K = 500.0
_NAMES = ("farfield.real", "farfield.imag")
_CHUNK = 256
"""Objects that are read and converted at once."""
_REPEAT_TOLERANCE = 0.05
"""Largest relative difference between the far fields of two equal directions."""
_CHECKED = 64
"""Objects, at most, whose far fields are tested for contradictions."""
_MAX_ENERGY_DEFECT = 0.15
"""Above it the user is warned."""


@names_damage
def read_far_fields(path: Path, angles: int = 0, limit: int = 0) -> FarFieldData:
    """Read and check a file.

    Args:
        path: of the file.
        angles: number of directions of the result, even; 0 for as many as the wave number needs. The far fields are
            resampled by trigonometric interpolation, which is exact where the file has enough directions.
        limit: largest number of objects, the first ones of the file; 0 for all.

    Raises:
        InputError: missing or invalid content, named in the message.
    """
    with open_hdf5(path, HINT) as file:
        return _Reader(path, file).read(angles, limit)


@dataclass(frozen=True)
class _Circle:
    """The directions of incidence or observation.

    Attributes:
        count: number of directions.
        start: first angle, radians.
        repeated: the last direction repeats the first.
    """

    count: int
    start: float
    repeated: bool


class _Reader:
    """Reads one open HDF5 file; every method raises InputError where the file does not fit."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self.file = path, file

    def read(self, angles: int, limit: int) -> FarFieldData:
        self.check_datasets()
        k, xlim, radius = self.scales()
        circles = (self.circle("far"), self.circle("inc"))
        total = self.object_count(circles)
        side, polar_shape = self.image_side(total), self.polar_shape(total)
        wanted = min(limit, total) if limit else total
        far_fields, objects, high_orders = self.far_fields(
            circles, wanted, angles or required_directions(k * radius), has_image=side is not None
        )
        far_fields /= np.float32(math.sqrt(radius))
        notes = [f"{wanted - len(objects)} of {wanted} samples are empty and were left out."]
        checked = _spread(far_fields)
        return FarFieldData(
            far_fields,
            k * radius,
            None if side is None else self.load("image", objects).reshape(-1, side, side),
            None if side is None else np.linspace(-xlim, xlim, side) / radius,
            None if polar_shape is None else self.load("polar", objects).reshape(-1, *polar_shape),
            self.geometry(),
            self.path.name,
            (
                *(notes if len(objects) < wanted else []),
                *_quality_notes(checked, k * radius, high_orders, min(c.count - c.repeated for c in circles)),
            ),
            (
                *self.role_doubts(circles, objects[:_CHECKED]),
                *wave_number_doubts(checked, k * radius, self.path.name),
            ),
        )

    def check_datasets(self) -> None:
        if missing := [name for name in _NAMES if name not in self.file]:
            found = ", ".join(sorted(self.file)) or "nothing"
            raise self.error(f" lacks the dataset {' and '.join(missing)}; it holds {found}.")
        for name in (*_NAMES, "image", "polar"):
            if name in self.file and not hasattr(self.file[name], "shape"):
                raise self.error(f": {name} is a group, expected a dataset.")

    def scales(self) -> tuple[float, float, float]:
        """kappa, half the side of the square, and the radius of the region in the same unit of length."""
        k, xlim = self.number("kappa"), self.number("xlim", 1.0)
        radius = self.number("region_radius", math.sqrt(2) * xlim if "xlim" in self.file.attrs else 1.0)
        if not 0 < k <= MAX_K or not 0 < xlim <= 1000 or not 0 < radius <= 1500:
            raise self.error(
                f": kappa is {k:g}, xlim {xlim:g} and the region's radius {radius:g}, expected positive numbers."
            )
        return k, xlim, radius

    def circle(self, kind: str) -> _Circle:
        """The directions of a kind, "far" or "inc"."""
        count = self.number(f"n{kind}")
        if count != round(count) or not 4 <= count <= 4096:
            raise self.error(f": n{kind} is {count:g}, expected a whole number from 4 to 4096.")
        n = self.number(f"{kind}_param.n", count)
        aperture = self.number(f"{kind}_param.app", 2 * math.pi)
        center = self.number(f"{kind}_param.cent", 0.0)
        if n != count:
            raise self.error(f": {kind}_param.n is {n:g}, but n{kind} is {count:g}.")
        step = aperture / (count - 1)
        repeated = abs(aperture - 2 * math.pi) < 1e-3 * step
        if not repeated and abs(step * count - 2 * math.pi) > 1e-3 * step:
            raise self.error(
                f": the {kind}_param directions span {math.degrees(aperture):.1f} degrees in steps of "
                f"{math.degrees(step):.2f}: no full circle.",
                "These methods need observation and incidence all around; a limited aperture is not supported.",
            )
        return _Circle(round(count), center - aperture / 2, repeated)

    def object_count(self, circles: tuple[_Circle, _Circle]) -> int:
        counts = [circle.count for circle in circles]
        rows = counts[0] * counts[1]
        real, imaginary = (self.file[name].shape for name in _NAMES)
        if real != imaginary:
            raise self.error(f": farfield.real is {real} and farfield.imag {imaginary}.")
        if len(real) != 2 or real[0] != rows:
            exchanged = " Its axes are exchanged: samples come last." if rows in real else ""
            raise self.error(
                f": farfield.real is {real}, expected ({counts[0]} x {counts[1]} = {rows}, samples).{exchanged}"
            )
        if not real[1]:
            raise self.error(" holds no samples.")
        return int(real[1])

    def image_side(self, total: int) -> int | None:
        """Pixels along a side of the images; None where there are none."""
        if "image" not in self.file:
            return None
        shape = self.file["image"].shape
        side = math.isqrt(shape[0]) if len(shape) == 2 else 0
        stated = self.number("Ngrid", side)
        if side < 2 or side * side != shape[0] or shape[1] != total or stated != side:
            raise self.error(f": image is {shape}, expected (Ngrid^2, {total}) with Ngrid = {stated:g}.")
        return side

    def polar_shape(self, total: int) -> tuple[int, int] | None:
        """Angles and rings of the polar images; None where there are none."""
        if "polar" not in self.file:
            return None
        shape, stated = self.file["polar"].shape, np.asarray(self.file["polar"].attrs.get("shape", ()))
        if stated.shape != (2,) or stated.dtype.kind not in "iu" or shape != (stated[0] * stated[1], total):
            raise self.error(f": polar is {shape}, expected (angles x rings, {total}) with the attribute shape.")
        return int(stated[0]), int(stated[1])

    def far_fields(
        self, circles: tuple[_Circle, _Circle], wanted: int, n: int, has_image: bool
    ) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.int64], float]:
        """(S, n, n) far fields on `directions(n)`, (S,) their objects, and the largest `high_order_share`.

        Objects whose far field and image are 0 are left out: they are places of the file that were never filled.
        """
        parts, kept, high_orders = [], [], 0.0
        for start in range(0, wanted, _CHUNK):
            part = slice(start, min(start + _CHUNK, wanted))
            real, imaginary = (self.floats(name, part) for name in _NAMES)
            values = (real + 1j * imaginary).T.reshape(-1, *(circle.count for circle in circles))
            filled = np.abs(values).max(axis=(1, 2)) > 0
            if has_image:  # an object without contrast has a far field of 0, too
                filled |= self.floats("image", part).any(axis=0)
            for axis, circle in enumerate(circles, 1):
                if circle.repeated:
                    values = self.merge_repeated(values, axis)
            if filled.any():
                high_orders = max(high_orders, high_order_share(values[filled]))
            resampled = resample_directions(values[filled], (circles[0].start, circles[1].start), n)
            parts.append(resampled.astype(np.complex64))
            kept.append(start + np.flatnonzero(filled))
        objects = np.concatenate(kept)
        if not len(objects):
            raise self.error(" holds no samples: every far field is 0.")
        return np.concatenate(parts), objects, high_orders

    def role_doubts(self, circles: tuple[_Circle, _Circle], objects: npt.NDArray[np.int64]) -> tuple[Doubt, ...]:
        """Doubts whether values are observation, then incidence, of some objects in ascending order."""
        part = slice(0, int(objects[-1]) + 1)
        rows = (self.floats(_NAMES[0], part) + 1j * self.floats(_NAMES[1], part)).T[objects]
        counts = tuple(circle.count for circle in circles)
        kept = tuple(circle.count - circle.repeated for circle in circles)
        n = 2 * math.ceil(max(kept) / 2)  # even, so that every direction has its opposite
        given, exchanged = (
            resample_directions(values[:, : kept[0], : kept[1]], (circles[0].start, circles[1].start), n)
            for values in (rows.reshape(-1, *counts), rows.reshape(-1, *counts[::-1]).swapaxes(1, 2))
        )
        return role_doubts(given, exchanged, self.path.name)

    def merge_repeated(self, far_field: npt.NDArray[np.complex128], axis: int) -> npt.NDArray[np.complex128]:
        """Without the last direction, which repeats the first; the mean of the two is taken."""
        first, last = np.take(far_field, 0, axis), np.take(far_field, -1, axis)
        gap = float(np.linalg.norm(first - last))
        size = float(np.linalg.norm(far_field)) / math.sqrt(far_field.shape[axis])
        if gap > _REPEAT_TOLERANCE * size:
            raise self.error(
                f": first and last {('observation', 'incidence')[axis - 1]} direction are the same by their angles, "
                f"but their far fields differ by {100 * gap / size:.0f} %.",
                "State the right aperture (far_param.app, inc_param.app): 2 pi (n - 1) / n if none is repeated.",
            )
        result = np.delete(far_field, -1, axis)
        np.moveaxis(result, axis, 0)[0] = (first + last) / 2
        return result

    def geometry(self) -> RegionGeometry | None:
        attributes = self.file.attrs
        if "radius_mm" not in attributes:
            return None
        radius = self.number("radius_mm")
        affine = np.asarray(attributes.get("plane_to_ras", ()))
        if affine.shape != (4, 4) or affine.dtype.kind not in "fiu" or not np.isfinite(affine).all() or radius <= 0:
            raise self.error(": radius_mm or plane_to_ras is damaged.", "Make the file again.")
        speed = self.number("sound_speed") if "sound_speed" in attributes else None
        return RegionGeometry(radius, affine.astype(np.float64), speed)

    def floats(self, name: str, part: slice) -> npt.NDArray[np.float64]:
        """(rows, objects) of a dataset, finite."""
        if self.file[name].dtype.kind not in "fiu":
            raise self.error(f": {name} holds {self.file[name].dtype}, expected real numbers.")
        values = np.asarray(self.file[name][:, part], np.float64)
        if not np.isfinite(values).all():
            where = part.start + int(np.flatnonzero(~np.isfinite(values).all(axis=0))[0])
            raise self.error(f": {name} of sample {where} holds values that are not finite.")
        return values

    def load(self, name: str, objects: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(S, rows) of the chosen objects."""
        result = np.empty((len(objects), self.file[name].shape[0]), np.float32)
        end = int(objects[-1]) + 1
        for start in range(0, end, _CHUNK):
            part = slice(start, min(start + _CHUNK, end))
            chosen = (objects >= part.start) & (objects < part.stop)
            result[chosen] = self.floats(name, part).T[objects[chosen] - start]
        return result

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number among the attributes."""
        value = self.file.attrs.get(name, default)
        if value is None:
            raise self.error(f" lacks the attribute {name}; it has {', '.join(sorted(self.file.attrs)) or 'none'}.")
        try:
            number = float(np.asarray(value).item())
        except (TypeError, ValueError) as error:
            raise self.error(f": the attribute {name} is {value!r}, expected a number.") from error
        if not math.isfinite(number):
            raise self.error(f": the attribute {name} is {number}, expected a finite number.")
        return number

    def error(self, problem: str, hint: str = HINT) -> InputError:
        return InputError(f"{self.path}{problem}", hint)


def _spread(far_field: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex128]:
    """At most `_CHECKED` objects, spread over all."""
    return far_field[:: -(-len(far_field) // _CHECKED)].astype(np.complex128)


def _quality_notes(far_field: npt.NDArray[np.complex128], k: float, high_orders: float, count: int) -> list[str]:
    notes = []
    if high_orders > MAX_HIGH_ORDER_SHARE:
        notes.append(
            f"{count} directions are few for k = {k:g}, or the data are noisy: {100 * high_orders:.0f} % of the far "
            "field's energy lies in the highest orders that they can hold."
        )
    defect = energy_defect(far_field, k)
    if defect > _MAX_ENERGY_DEFECT:
        notes.append(
            f"The far fields violate the conservation of energy by {100 * defect:.0f} %: the objects absorb, or wave "
            "number, scale or time convention (exp(-i omega t) here) are other ones."
        )
    return notes
