"""NRRD files (.nrrd, .nhdr), read and written with numpy alone.

Format: https://teem.sourceforge.net/nrrd/format.html. An own reader, since it shows shear, cut-off data and the
keys and list axes of Slicer's segmentations as they stand in the file.
"""

from __future__ import annotations

import gzip
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import atomic_path
from deeprecon.data.formats.inflate import inflate, inflate_bzip2

_TYPES = {
    "int8": ("signed char", "int8", "int8_t"),
    "uint8": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint16": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "uint32": ("uint", "unsigned int", "uint32", "uint32_t"),
    "int64": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "uint64": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_DTYPES = {name: np.dtype(dtype) for dtype, names in _TYPES.items() for name in names}
_TO_RAS = {
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
}
_RESAVE = "Save it again from Slicer as NRRD."


@dataclass(frozen=True, eq=False)
class Nrrd:
    """Content of a NRRD file.

    Attributes:
        array: (k, j, i), or (list, k, j, i) where the file has a non-spatial axis.
        ijk_to_ras: (4, 4) float64, RAS mm.
        keys: the `key:=value` lines.
        thickness: of the imaged slab in mm, where the file states it.
        across: the axis of (k, j, i), 0 to 2, that the thickness belongs to.
        measurement_frame: (3, 3) from the frame of the file's vectors to RAS; the file's own patient axes where
            it does not state it. None writes none.
    """

    array: npt.NDArray[np.generic]
    ijk_to_ras: npt.NDArray[np.float64]
    keys: dict[str, str] = field(default_factory=dict)
    thickness: float | None = None
    measurement_frame: npt.NDArray[np.float64] | None = None
    across: int = 0


@names_damage
def read_nrrd(path: Path) -> Nrrd:
    """Read a .nrrd or .nhdr file of three spatial axes and at most one other.

    Raises:
        InputError: not a NRRD file, cut off, without position in the patient, or of a kind not supported.
    """
    content = path.read_bytes()
    if not re.match(rb"NRRD000\d\r?\n", content):
        raise InputError(f"{path} is not a NRRD file.", "It may be damaged or have the wrong ending.")
    end = re.search(rb"\r?\n\r?\n", content)
    header = content[: end.start()] if end else content
    try:
        fields, keys = _parse_header(header.decode("utf-8", "replace"))
        return _decode(path, fields, keys, content[end.end() :] if end else b"")
    except (KeyError, IndexError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} has a damaged NRRD header ({error}).", _RESAVE) from error


def _parse_header(text: str) -> tuple[dict[str, str], dict[str, str]]:
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line in re.split(r"\r?\n", text)[1:]:
        if not line or line.startswith("#"):
            continue
        key, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"line {line!r}")
        if value.startswith("="):
            keys[key] = _unescape(value[1:])
        else:
            fields[key.strip().lower().replace(" ", "")] = value.strip()
    return fields, keys


def _decode(path: Path, fields: dict[str, str], keys: dict[str, str], attached: bytes) -> Nrrd:
    sizes = [int(size) for size in fields["sizes"].split()]
    if not sizes or min(sizes) < 1:
        raise ValueError(f"sizes {fields['sizes']}")
    if "space" not in fields or "spacedirections" not in fields:
        raise InputError(f"{path} does not state where the image lies in the patient (no space directions).", _RESAVE)
    if fields["space"].lower() not in _TO_RAS:
        raise InputError(
            f"{path} uses the axes {fields['space']!r}, which do not distinguish left from right.", _RESAVE
        )
    if any(unit.lower() not in ("mm", "") for unit in re.findall(r'"([^"]*)"', fields.get("spaceunits", ""))):
        raise InputError(f"{path} is in {fields['spaceunits']}, expected mm.", _RESAVE)

    directions = re.findall(r"none|\([^)]*\)", fields["spacedirections"])
    spatial = [axis for axis, text in enumerate(directions) if text != "none"]
    if len(directions) != len(sizes) or len(spatial) != 3 or len(sizes) > 4:
        raise InputError(f"{path} has {len(sizes)} axes, {len(spatial)} of them in space; expected a 3D image.")
    flip = np.array(_TO_RAS[fields["space"].lower()], float)
    affine = np.eye(4)
    affine[:3, :3] = (np.array([_vector(directions[axis]) for axis in spatial]) * flip).T
    affine[:3, 3] = np.array(_vector(fields.get("spaceorigin", "(0,0,0)"))) * flip

    values = _values(path, fields, attached, math.prod(sizes)).reshape(sizes[::-1])
    if len(sizes) == 4:
        other = next(axis for axis in range(4) if axis not in spatial)
        values = np.moveaxis(values, 3 - other, 0)
    frame = np.diag(flip)
    if vectors := re.findall(r"\([^)]*\)", fields.get("measurementframe", "")):
        frame = (np.array([_vector(vector) for vector in vectors]) * flip).T
    thickness, across = _thickness(fields, spatial)
    return Nrrd(np.ascontiguousarray(values), affine + 0.0, keys, thickness, frame, across)


def _vector(text: str) -> list[float]:
    numbers = [float(number) for number in text.strip("() ").split(",")]
    if len(numbers) != 3:
        raise ValueError(f"vector {text}")
    return numbers


def _thickness(fields: dict[str, str], spatial: list[int]) -> tuple[float | None, int]:
    """The thickness of the slab and its axis of (k, j, i): that of the only axis with a thickness, else of k."""
    values = [float(value) for value in fields.get("thicknesses", "").split()]
    stated = {2 - place: values[axis] for place, axis in enumerate(spatial) if values and 0 < values[axis] < math.inf}
    across = next(iter(stated)) if len(stated) == 1 else 0
    return stated.get(across), across


def _values(path: Path, fields: dict[str, str], attached: bytes, count: int) -> npt.NDArray[np.generic]:
    if fields["type"].lower() not in _DTYPES:
        raise InputError(f"{path} holds values of type {fields['type']!r}, expected whole or floating numbers.")
    dtype = _DTYPES[fields["type"].lower()]
    data, source = attached, path
    if (name := fields.get("datafile")) is not None:
        source = _data_file(path, name)
        data = source.read_bytes()
    if any(fields.get(skip, "0") != "0" for skip in ("byteskip", "lineskip")):
        raise InputError(f"{path} skips a part of its data file, which is not supported.", _RESAVE)
    encoding = fields["encoding"].lower()
    cut_off = InputError(f"{source} is cut off or damaged: its image data are incomplete.", "Copy or export it again.")
    limit = count * dtype.itemsize
    if encoding in ("gzip", "gz"):
        data = inflate(source, data, limit)
    elif encoding in ("bzip2", "bz2"):
        data = inflate_bzip2(source, data, limit)
    if encoding in ("ascii", "text", "txt"):
        values = np.array(data.split(), dtype=dtype)
    elif encoding in ("raw", "gzip", "gz", "bzip2", "bz2"):
        stored = dtype.newbyteorder(">" if fields.get("endian", "little").lower() == "big" else "<")
        if len(data) < count * dtype.itemsize:
            raise cut_off
        values = np.frombuffer(data, stored, count).astype(dtype)
    else:
        raise InputError(f"{path} uses the encoding {encoding!r}, which is not supported.", _RESAVE)
    if values.size != count:
        raise cut_off
    return values


def _data_file(path: Path, name: str) -> Path:
    """The file that holds the data of a header, in the header's folder or below it."""
    if name.startswith("LIST") or "%" in name or len(name.split("\n")) > 1:
        raise InputError(f"{path} spreads its data over several files.", _RESAVE)
    source = Path(os.path.normpath(path.parent / name))
    if not source.is_relative_to(os.path.normpath(path.parent)):
        raise InputError(f"{path} has its data outside of its folder ({name}).", _RESAVE)
    if not source.is_file():
        raise InputError(f"{path} needs the data file {source}, which is missing.", "Keep both files together.")
    return source


def write_nrrd(path: Path, nrrd: Nrrd) -> None:
    """Write a .nrrd file, or a .nhdr file with its data in `NAME.raw.gz` in the same folder; LPS, gzip."""
    array = nrrd.array.astype(np.uint8) if nrrd.array.dtype == bool else nrrd.array
    if array.dtype.name not in _TYPES:
        array = array.astype(np.float32)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    layers = array.ndim == 4
    flip = np.diag([-1.0, -1.0, 1.0])
    vectors = [_vector_text(column) for column in (flip @ nrrd.ijk_to_ras[:3, :3]).T]
    sizes = array.shape[1:][::-1] if layers else array.shape[::-1]
    lines = [
        "NRRD0005",
        f"type: {_TYPES[array.dtype.name][0]}",
        f"dimension: {array.ndim}",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(size) for size in ((array.shape[0],) if layers else ()) + sizes),
        "space directions: " + " ".join((["none"] if layers else []) + vectors),
        "kinds: " + ("list " if layers else "") + "domain domain domain",
    ]
    if nrrd.thickness is not None:
        thicknesses = [repr(nrrd.thickness) if axis == nrrd.across else "NaN" for axis in (2, 1, 0)]
        lines.append("thicknesses: " + ("NaN " if layers else "") + f"{' '.join(thicknesses)}")
    if array.dtype.itemsize > 1:
        lines.append("endian: little")
    lines += ["encoding: gzip", f"space origin: {_vector_text(flip @ nrrd.ijk_to_ras[:3, 3])}"]
    if nrrd.measurement_frame is not None:
        lines.append("measurement frame: " + " ".join(map(_vector_text, (flip @ nrrd.measurement_frame).T)))
    values = np.moveaxis(array, 0, 3) if layers else array
    data = gzip.compress(np.ascontiguousarray(values).tobytes(), compresslevel=6, mtime=0)
    if path.suffix.lower() == ".nhdr":
        data_path = path.with_suffix(".raw.gz")
        with atomic_path(data_path) as part:
            part.write_bytes(data)
        lines.append(f"data file: {data_path.name}")
        data = b""
    lines += [f"{key}:={_escape(value)}" for key, value in nrrd.keys.items()]
    with atomic_path(path) as part:
        part.write_bytes(("\n".join(lines) + "\n\n").encode() + data)


def _vector_text(values: npt.NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(value) + 0.0) for value in values) + ")"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _unescape(value: str) -> str:
    return re.sub(r"\\([n\\])", lambda found: "\n" if found[1] == "n" else "\\", value)
