"""Scattered fields in HDF5 and MATLAB files (.mat of version 5 to 7.3), one layout for both.

| name | shape | meaning |
|---|---|---|
| format | text | "deeprecon scattered fields 1" (HDF5 only) |
| time_convention | text | "exp(-iwt)" or "exp(+iwt)" |
| length_unit | text | "m" or "mm", of all lengths |
| speed | number | of waves in the background, m/s: 299792458 in air, about 1480 for sound in water |
| source_kind | text | "line" (2D), "point" (3D) or "plane" |
| receiver_kind | text | "near" (positions) or "far" (directions) |
| frequency | (F,) | Hz |
| source | (V, d) | positions x, y(, z); directions of travel of plane waves |
| receiver | (R, d) or (V, R, d) | positions, or directions of observation |
| total, or scattered | (F, V, R) | complex; nan where not measured |
| incident | (F, V, R) | complex, without the object; needed unless calibrated |
| calibrated | 0 or 1 | 1: fields of sources of unit strength (see `physics.arrangement`) |
| center, side | (d,), number | of the square or cube in which the object lies; optional |
| plane_to_ras | (4, 4) | from x, y, z in mm to RAS mm; optional |

Instead of `source` and `receiver` on circles around the origin: `source_angle` (V,), `source_radius`, `receiver_angle`
(R,) or (V, R), `receiver_radius`, and `angle_unit`, "degrees" or "radians". Numbers and texts are attributes or
datasets in HDF5, variables in MATLAB.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError, damaged, names_damage
from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.read.field_checks import with_doubts
from deeprecon.scattering.read.hdf5 import open_hdf5
from deeprecon.scattering.read.scattered_fields import Band, ScatteredFields, check_fields

FORMAT = "deeprecon scattered fields 1"
HINT = "The layout of such files stands in the documentation of scattering."
_UNITS = {"m": 1.0, "mm": 1e-3}
_MAX_VALUES = 50_000_000
_SIGNATURE, _USER_BLOCK = b"\x89HDF", 512
"""Of HDF5; MATLAB writes bytes of its own before it."""
_FULL_CIRCLE = {"degrees": 360.0, "radians": 2 * math.pi}


def is_field_file(path: Path) -> bool:
    """Whether a file is MATLAB's, or HDF5 with the format of this module; False for what cannot be opened."""
    if path.suffix.lower() == ".mat":
        return True
    try:
        with open_hdf5(path, HINT) as file:
            return "format" in file.attrs and _text(file.attrs["format"]) == FORMAT
    except InputError:
        return False


@names_damage
def read_field_file(path: Path) -> ScatteredFields:
    """Read a file, with doubts about its content.

    Raises:
        InputError: missing or contradictory content, named in the message.
    """
    values = _matlab(path) if path.suffix.lower() == ".mat" else _hdf5(path)
    return _Reader(path, values).read()


def _hdf5(path: Path) -> dict[str, Any]:
    with open_hdf5(path, HINT) as file:
        sizes = {name: entry.size for name, entry in file.items() if hasattr(entry, "size")}
        _check_size(path, sum(sizes.values()))
        return dict(file.attrs) | {name: file[name][()] for name in sizes}


def _matlab(path: Path) -> dict[str, Any]:
    """Variables of a .mat file; those of version 7.3 are HDF5, with the axes in reverse order."""
    from scipy.io import loadmat, whosmat

    try:
        begin = path.open("rb").read(_USER_BLOCK + 4)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.", HINT) from error
    if _SIGNATURE in (begin[:4], begin[_USER_BLOCK:]):
        return {name: _from_matlab_73(value) for name, value in _hdf5(path).items()}
    try:
        _check_size(path, sum(math.prod(shape) for _, shape, _ in whosmat(path)))
        return {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    except InputError:
        raise
    except Exception as error:  # the parser raises whatever it meets in a damaged file
        raise damaged(path, error) from error


def _check_size(path: Path, values: int) -> None:
    if values > _MAX_VALUES:
        raise InputError(f"{path} holds more than {_MAX_VALUES:,} values.", "Give fewer frequencies or views.")


def _from_matlab_73(value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.names == ("real", "imag"):
        array = array["real"] + 1j * array["imag"]
    if array.dtype == np.uint16:  # a text
        return "".join(map(chr, array.ravel()))
    return array.T


def _text(value: Any) -> str:
    value = np.asarray(value).ravel()
    first = value[0] if len(value) else ""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)


class _Reader:
    """Reads the values of one file; every method raises InputError where they do not fit."""

    def __init__(self, path: Path, values: dict[str, Any]) -> None:
        self.path, self.values = path, values

    def read(self) -> ScatteredFields:
        scale = _UNITS[self.choice("length_unit", tuple(_UNITS))]
        kind = self.choice("source_kind", ("line", "point", "plane"))
        far = self.choice("receiver_kind", ("near", "far")) == "far"
        source = self.places("source", 1.0 if kind == "plane" else scale)
        receiver = self.places("receiver", 1.0 if far else scale)
        if source.ndim == 2 and receiver.ndim == 2:
            receiver = np.broadcast_to(receiver, (len(source), *receiver.shape))
        d = source.shape[-1]
        if (kind == "line" and d != 2) or (kind == "point" and d != 3):
            raise self.error(f": {kind} sources with {d} coordinates, expected {2 if kind == 'line' else 3}.")
        arrangement = Arrangement(source, receiver, kind == "plane", far)
        calibrated = bool(self.number("calibrated", 0.0))
        center = self.numbers("center").ravel() * scale if "center" in self.values else None
        side = self.number("side") * scale if "side" in self.values else None
        if (center is not None and center.shape != (d,)) or (side is not None and not side > 0):
            raise self.error(": center or side of the region does not fit the coordinates of the sources.")
        fields = ScatteredFields(
            arrangement,
            self.bands(calibrated, far, (len(source), receiver.shape[1] if receiver.ndim == 3 else 0)),
            self.speed(),
            calibrated,
            center,
            side,
            self.affine(),
            self.path.name,
        )
        check_fields(fields)
        return with_doubts(fields)

    def bands(self, calibrated: bool, far: bool, shape: tuple[int, int]) -> tuple[Band, ...]:
        frequencies = self.numbers("frequency").ravel()
        conjugate = self.choice("time_convention", ("exp(-iwt)", "exp(+iwt)")) == "exp(+iwt)"
        if ("total" in self.values) == ("scattered" in self.values):
            raise self.error(" must hold either total or scattered, each (frequencies, views, receivers).")
        needs_incident = "total" in self.values or not calibrated
        if needs_incident and "incident" not in self.values:
            raise self.error(
                " holds no incident field: neither the scattered field nor the strength of the sources is known.",
                "Measure without the object (incident), or give scattered fields of sources of unit strength "
                "(calibrated = 1).",
            )
        if far and not calibrated:
            raise self.error(": far fields cannot be calibrated by incident fields.", "Give calibrated = 1.")
        name = "total" if "total" in self.values else "scattered"
        expected = (len(frequencies), *shape)
        field = self.complex_field(name, expected, conjugate)
        incident = self.complex_field("incident", expected, conjugate) if "incident" in self.values else None
        if len(np.unique(frequencies)) < len(frequencies):
            raise self.error(": a frequency occurs twice.", "Give each frequency once.")
        made = []
        for f in np.argsort(frequencies):
            arriving = None if incident is None else incident[f]
            scattered = field[f] - arriving if name == "total" and arriving is not None else field[f]
            used = np.isfinite(scattered) & (np.isfinite(arriving) if arriving is not None else True)
            made.append(
                Band(
                    float(frequencies[f]),
                    np.where(used, scattered, 0),
                    None if arriving is None else np.where(used, arriving, 0),
                    used,
                )
            )
        return tuple(made)

    def places(self, name: str, scale: float) -> npt.NDArray[np.float64]:
        """(..., d) positions in m, or unit vectors."""
        if name in self.values:
            return self.numbers(name) * scale
        if f"{name}_angle" not in self.values:
            raise self.error(f" holds neither {name} nor {name}_angle.")
        unit = self.choice("angle_unit", tuple(_FULL_CIRCLE))
        angle = self.numbers(f"{name}_angle")
        angle = angle.ravel() if name == "source" or 1 in angle.shape else angle
        self.check_angles(name, angle, unit)
        radians = np.radians(angle) if unit == "degrees" else angle
        radius = self.number(f"{name}_radius", 1.0)
        return np.asarray(radius * scale * np.stack([np.cos(radians), np.sin(radians)], axis=-1))

    def check_angles(self, name: str, angle: npt.NDArray[np.float64], unit: str) -> None:
        """Angles over a circle in the other unit look like many circles, or like a sliver of one."""
        span = float(angle.max() - angle.min())
        other = "radians" if unit == "degrees" else "degrees"
        looks_other = span > 1.01 * _FULL_CIRCLE[unit] if unit == "radians" else 0 < span <= 1.01 * _FULL_CIRCLE[other]
        if looks_other and angle.size > 3:
            raise self.error(
                f": {name}_angle spans {span:.4g} {unit}, which look like {other}.",
                f"State angle_unit = {other}, or give positions ({name}) instead of angles.",
            )

    def complex_field(self, name: str, expected: tuple[int, ...], conjugate: bool) -> npt.NDArray[np.complex128]:
        array = np.asarray(self.values[name])
        if array.dtype.kind not in "fciu":
            raise self.error(f": {name} holds {array.dtype}, expected complex numbers.")
        if array.shape != expected and array.size == math.prod(expected):
            kept = [n for n in array.shape if n > 1]
            if kept == [n for n in expected if n > 1]:
                array = array.reshape(expected)  # MATLAB drops axes of length 1
        if array.shape != expected:
            exchanged = " Views and receivers are exchanged." if array.shape == (expected[0], *expected[:0:-1]) else ""
            raise self.error(
                f": {name} is {array.shape}, expected (frequencies, views, receivers) = {expected}.{exchanged}"
            )
        values = array.astype(np.complex128)
        return np.asarray(values.conj() if conjugate else values)

    def speed(self) -> float:
        speed = self.number("speed")
        if not 100 <= speed <= 3.1e8:
            raise self.error(f": speed is {speed:g}, expected m/s.", "299792458 in air, about 1480 in water for sound.")
        return speed

    def affine(self) -> npt.NDArray[np.float64]:
        if "plane_to_ras" not in self.values:
            return np.eye(4)
        affine = self.numbers("plane_to_ras")
        if affine.shape != (4, 4) or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
            raise self.error(": plane_to_ras is no invertible (4, 4) matrix.")
        return affine

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        if name not in self.values:
            raise self.error(f" does not state {name}: {' or '.join(known)}.")
        value = _text(self.values[name])
        if value not in known:
            raise self.error(f": {name} is {value!r}, expected {' or '.join(known)}.")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        if name not in self.values and default is not None:
            return default
        array = self.numbers(name)
        if array.size != 1:
            raise self.error(f": {name} holds {array.size} values, expected one number.")
        return float(array.ravel()[0])

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        if name not in self.values:
            raise self.error(f" does not hold {name}; it holds {', '.join(sorted(self.values)) or 'nothing'}.")
        array = np.asarray(self.values[name])
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise self.error(f": {name} holds no finite numbers.")
        return array.astype(np.float64)

    def error(self, problem: str, hint: str = HINT) -> InputError:
        return InputError(f"{self.path}{problem}", hint)
