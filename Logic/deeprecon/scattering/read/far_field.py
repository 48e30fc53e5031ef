"""Far-field data in HDF5, in the layout of the generator of Desai, Ma, Lahivaara and Monk (2025, arXiv 2503.01596).

    image                           (Ngrid^2, S)     contrast n - 1 on linspace(-xlim, xlim, Ngrid)^2, rows are y
    farfield.real, farfield.imag    (nfar ninc, S)   far field, observation then incidence
    polar (ours, optional)          (angles rings, S)  contrast on the polar grid

The last axis numbers the samples. Attributes: kappa, xlim, Ngrid, nfar, ninc, and for both kinds of directions n, app
and cent: linspace(cent - app / 2, cent + app / 2, n). The generator lets a full circle end where it began; that
direction is there twice, and one of the two is dropped. It also puts objects into the corners of its square: the region
is the disc around the square, of radius sqrt(2) xlim, and k counts in that radius. Ours, optional: region_radius where
it is another one, radius_mm, plane_to_ras, sound_speed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.scattering.optional import optional
from deeprecon.scattering.physics.coordinates import directions_needed, resample, undersampling
from deeprecon.scattering.read.measurements import Geometry, Measurements, energy_defect

HINT = "Give a file of scattering phantom or scattering prepare, or of the generator of Desai et al."
LARGEST_K = 500.0
_SLAB = 256
"""Samples that are read and converted at a time."""
_TWICE = 0.05
"""Relative difference up to which two directions that should coincide do."""
_UNDERSAMPLED = 1e-2
_LOSSY = 0.15
"""Beyond these shares the user is told."""


def read_measurements(path: Path, angles: int = 0, most: int = 0) -> Measurements:
    """Read and check a file.

    Args:
        path: of the file.
        angles: directions wanted, even; 0 for as many as the wave number needs. They are reached by trigonometric
            interpolation, without error where the data have directions enough.
        most: samples at most, the first ones; 0 for all.

    Raises:
        InputError: no such data; says what is missing or wrong.
    """
    h5py = optional("h5py")
    try:
        with h5py.File(path, "r") as file:
            return _read(path, file, angles, most)
    except OSError as error:
        raise InputError(f"{path} is no readable HDF5 file: {error}.", HINT) from error


def _read(path: Path, file: Any, angles: int, most: int) -> Measurements:
    names = ("farfield.real", "farfield.imag")
    if missing := [name for name in names if name not in file]:
        found = ", ".join(sorted(file)) or "nothing"
        raise InputError(f"{path} lacks the dataset {' and '.join(missing)}; it holds {found}.", HINT)
    for name in (*names, "image", "polar"):
        if name in file and not hasattr(file[name], "shape"):
            raise InputError(f"{path}: {name} is a group, expected a dataset.", HINT)
    k, xlim = _number(path, file, "kappa"), _number(path, file, "xlim", 1.0)
    radius = _number(path, file, "region_radius", math.sqrt(2) * xlim if "xlim" in file.attrs else 1.0)
    if not 0 < k <= LARGEST_K or not 0 < xlim <= 1000 or not 0 < radius <= 1500:
        raise InputError(
            f"{path}: kappa is {k:g}, xlim {xlim:g} and the region's radius {radius:g}, expected positive numbers.",
            HINT,
        )
    counts = [_whole(path, file, name) for name in ("nfar", "ninc")]
    starts, twice = zip(*(_circle(path, file, *pair) for pair in (("far", counts[0]), ("inc", counts[1]))), strict=True)
    shapes = [file[name].shape for name in names]
    _check_shapes(path, shapes, counts)
    total = shapes[0][1]
    wanted = min(most, total) if most else total
    n = angles or directions_needed(k * radius)
    image = _images(path, file, "image", total)
    polar = _polar(path, file, total)

    parts, kept, notes, few = [], [], [], 0.0
    for start in range(0, wanted, _SLAB):
        part = slice(start, min(start + _SLAB, wanted))
        values = [_floats(path, file, name, part) for name in names]
        far_field = (values[0] + 1j * values[1]).T.reshape(-1, *counts)
        full = np.abs(far_field).max(axis=(1, 2)) > 0
        if image is not None:  # an empty object scatters nothing, but room that was never filled looks the same
            full |= _floats(path, file, "image", part).any(axis=0)
        for axis, repeated in zip((1, 2), twice, strict=True):
            if repeated:
                far_field = _once(path, far_field, axis)
        if full.any():
            few = max(few, undersampling(far_field[full]))
        parts.append(resample(far_field[full], (starts[0], starts[1]), n).astype(np.complex64) / math.sqrt(radius))
        kept.append(start + np.flatnonzero(full))
    samples = np.concatenate(kept) if kept else np.empty(0, np.int64)
    if not len(samples):
        raise InputError(f"{path} holds no samples: every far field is 0.", HINT)
    if len(samples) < wanted:
        notes.append(f"{wanted - len(samples)} of {wanted} samples are empty and were left out.")
    measured = np.concatenate(parts)
    notes += _doubts(measured, k * radius, few, min(count - again for count, again in zip(counts, twice, strict=True)))
    square = None if image is None else _load(path, file, "image", samples).reshape(-1, image, image)
    rings = None if polar is None else _load(path, file, "polar", samples).reshape(-1, *polar)
    points = None if image is None else np.linspace(-xlim, xlim, image) / radius
    return Measurements(measured, k * radius, square, points, rings, _geometry(path, file), path.name, tuple(notes))


def write_measurements(path: Path, data: Measurements, method: str) -> None:
    """Write measurements with all that they know.

    Args:
        path: to be written, atomically.
        data: on full circles of uniform directions.
        method: how the far fields were made, kept as the attribute `method`.
    """
    h5py = optional("h5py")
    n, count = data.angles, len(data)
    circle = {"n": n, "app": 2 * math.pi * (n - 1) / n, "cent": math.pi * (n - 1) / n}
    with atomic_path(path) as part, h5py.File(part, "w") as file:
        for name, values in (("real", data.far_field.real), ("imag", data.far_field.imag)):
            _store(file, f"farfield.{name}", values.reshape(count, -1).T)
        if data.image is not None and data.axis is not None:
            _store(file, "image", data.image.reshape(count, -1).T)
            file.attrs["Ngrid"] = len(data.axis)
        if data.polar is not None:
            _store(file, "polar", data.polar.reshape(count, -1).T)
            file["polar"].attrs["shape"] = data.polar.shape[1:]
        file.attrs.update({"kappa": data.k, "nfar": n, "ninc": n, "N_sample_max": count, "method": method})
        file.attrs["xlim"] = 1.0 if data.axis is None else float(data.axis[-1])
        file.attrs["region_radius"] = 1.0
        for kind in ("far", "inc"):
            file.attrs.update({f"{kind}_param.{name}": value for name, value in circle.items()})
        if data.geometry is not None:
            file.attrs["radius_mm"] = data.geometry.radius_mm
            file.attrs["plane_to_ras"] = data.geometry.plane_to_ras
            if data.geometry.sound_speed is not None:
                file.attrs["sound_speed"] = data.geometry.sound_speed


def _store(file: Any, name: str, values: npt.NDArray[Any]) -> None:
    rows, count = values.shape
    file.create_dataset(name, data=values, dtype="f4", chunks=(rows, min(count, 64)), compression="gzip", shuffle=True)


def _number(path: Path, file: Any, name: str, default: float | None = None) -> float:
    value = file.attrs.get(name, default)
    if value is None:
        raise InputError(f"{path} lacks the attribute {name}; it has {', '.join(sorted(file.attrs)) or 'none'}.", HINT)
    try:
        number = float(np.asarray(value).item())
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the attribute {name} is {value!r}, expected a number.", HINT) from error
    if not math.isfinite(number):
        raise InputError(f"{path}: the attribute {name} is {number}, expected a finite number.", HINT)
    return number


def _whole(path: Path, file: Any, name: str) -> int:
    number = _number(path, file, name)
    if number != round(number) or not 4 <= number <= 4096:
        raise InputError(f"{path}: {name} is {number:g}, expected a whole number from 4 to 4096.", HINT)
    return round(number)


def _circle(path: Path, file: Any, kind: str, count: int) -> tuple[float, bool]:
    """First angle of a kind of directions, and whether the last repeats the first."""
    n = _number(path, file, f"{kind}_param.n", count)
    aperture = _number(path, file, f"{kind}_param.app", 2 * math.pi)
    center = _number(path, file, f"{kind}_param.cent", 0.0)
    if n != count:
        raise InputError(f"{path}: {kind}_param.n is {n:g}, but n{kind} is {count}.", HINT)
    step = aperture / (count - 1)
    repeated = abs(aperture - 2 * math.pi) < 1e-3 * step
    if not repeated and abs(step * count - 2 * math.pi) > 1e-3 * step:
        raise InputError(
            f"{path}: the {kind}_param directions span {math.degrees(aperture):.1f} degrees in steps of "
            f"{math.degrees(step):.2f}: no full circle.",
            "These methods need observation and incidence all around; a limited aperture is not supported.",
        )
    return center - aperture / 2, repeated


def _check_shapes(path: Path, shapes: list[tuple[int, ...]], counts: list[int]) -> None:
    rows = counts[0] * counts[1]
    if shapes[0] != shapes[1]:
        raise InputError(f"{path}: farfield.real is {shapes[0]} and farfield.imag {shapes[1]}.", HINT)
    if len(shapes[0]) != 2 or shapes[0][0] != rows:
        turned = " Its axes are exchanged: samples come last." if rows in shapes[0] else ""
        raise InputError(
            f"{path}: farfield.real is {shapes[0]}, expected ({counts[0]} x {counts[1]} = {rows}, samples).{turned}",
            HINT,
        )
    if not shapes[0][1]:
        raise InputError(f"{path} holds no samples.", HINT)


def _images(path: Path, file: Any, name: str, total: int) -> int | None:
    """Pixels along a side of the images; None where there are none."""
    if name not in file:
        return None
    shape = file[name].shape
    side = math.isqrt(shape[0]) if len(shape) == 2 else 0
    stated = _number(path, file, "Ngrid", side)
    if side < 2 or side * side != shape[0] or shape[1] != total or stated != side:
        raise InputError(f"{path}: {name} is {shape}, expected (Ngrid^2, {total}) with Ngrid = {stated:g}.", HINT)
    return side


def _polar(path: Path, file: Any, total: int) -> tuple[int, int] | None:
    """Angles and rings of the polar images; None where there are none."""
    if "polar" not in file:
        return None
    shape, stated = file["polar"].shape, np.asarray(file["polar"].attrs.get("shape", ()))
    if stated.shape != (2,) or stated.dtype.kind not in "iu" or shape != (stated[0] * stated[1], total):
        raise InputError(
            f"{path}: polar is {shape}, expected (angles x rings, {total}) with the attribute shape.", HINT
        )
    return int(stated[0]), int(stated[1])


def _floats(path: Path, file: Any, name: str, part: slice) -> npt.NDArray[np.float64]:
    """(rows, samples) of a dataset, checked."""
    if file[name].dtype.kind not in "fiu":
        raise InputError(f"{path}: {name} holds {file[name].dtype}, expected real numbers.", HINT)
    values = np.asarray(file[name][:, part], np.float64)
    if not np.isfinite(values).all():
        where = part.start + int(np.flatnonzero(~np.isfinite(values).all(axis=0))[0])
        raise InputError(f"{path}: {name} of sample {where} holds values that are not finite.", HINT)
    return values


def _load(path: Path, file: Any, name: str, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """(S, rows) float32 of the chosen samples."""
    result = np.empty((len(samples), file[name].shape[0]), np.float32)
    last = int(samples[-1]) + 1
    for start in range(0, last, _SLAB):
        part = slice(start, min(start + _SLAB, last))
        chosen = (samples >= part.start) & (samples < part.stop)
        result[chosen] = _floats(path, file, name, part).T[samples[chosen] - start]
    return result


def _once(path: Path, far_field: npt.NDArray[np.complex128], axis: int) -> npt.NDArray[np.complex128]:
    """Without the repeated last direction; the mean of the two is taken."""
    first, last = np.take(far_field, 0, axis), np.take(far_field, -1, axis)
    gap = float(np.linalg.norm(first - last))
    size = float(np.linalg.norm(far_field)) / math.sqrt(far_field.shape[axis])
    if gap > _TWICE * size:
        raise InputError(
            f"{path}: first and last {('observation', 'incidence')[axis - 1]} direction are the same by their angles, "
            f"but their far fields differ by {100 * gap / size:.0f} %.",
            "State the right aperture (far_param.app, inc_param.app): 2 pi (n - 1) / n if no direction is repeated.",
        )
    result = np.delete(far_field, -1, axis)
    index: list[Any] = [slice(None)] * 3
    index[axis] = 0
    result[tuple(index)] = (first + last) / 2
    return result


def _doubts(far_field: npt.NDArray[np.complex64], k: float, undersampled: float, count: int) -> list[str]:
    found = []
    if undersampled > _UNDERSAMPLED:
        found.append(
            f"{count} directions are few for k = {k:g}, or the data are noisy: {100 * undersampled:.0f} % of the far "
            "field's energy lies in the highest orders that they can hold."
        )
    defect = energy_defect(far_field[:: len(far_field) // 64 + 1].astype(np.complex128), k)
    if defect > _LOSSY:
        found.append(
            f"The far fields miss the conservation of energy by {100 * defect:.0f} %: the objects absorb, or wave "
            "number, scale or time convention (exp(-i omega t) here) are other ones."
        )
    return found


def _geometry(path: Path, file: Any) -> Geometry | None:
    if "radius_mm" not in file.attrs:
        return None
    radius, speed = _number(path, file, "radius_mm"), file.attrs.get("sound_speed")
    affine = np.asarray(file.attrs.get("plane_to_ras", ()))
    if affine.shape != (4, 4) or affine.dtype.kind not in "fiu" or not np.isfinite(affine).all() or radius <= 0:
        raise InputError(f"{path}: radius_mm or plane_to_ras is damaged.", "Make the file again.")
    return Geometry(radius, affine.astype(np.float64), None if speed is None else _number(path, file, "sound_speed"))
