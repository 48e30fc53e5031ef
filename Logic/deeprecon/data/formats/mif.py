"""MRtrix images (.mif, .mif.gz), read with numpy alone.

Format: https://mrtrix.readthedocs.io/en/latest/getting_started/image_data.html. Axes of the header are those of the
image; the layout says in which order and direction they lie in the file. The transform leads from mm along the axes to
RAS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.formats.inflate import GZIP, inflate, inflate_start

Doubles = npt.NDArray[np.float64]

_MAX_HEADER = 4_000_000
"""Bytes: the commands that made an image stand in it, and the directions of thousands of volumes."""
_TYPE = re.compile(r"(u?int(?:8|16|32|64)|float(?:32|64))(le|be)?")
_CONVERT = "Write it as NIfTI with mrconvert, with -export_grad_fsl for the gradients."


@dataclass(frozen=True, eq=False)
class Mif:
    """Content of an MRtrix image.

    Attributes:
        array: (V, k, j, i); V is 1 for a 3D image.
        ijk_to_ras: (4, 4) float64, RAS mm.
        gradients: (V, 4) direction in RAS and b in s/mm2; empty (0, 4) without dw_scheme.
    """

    array: npt.NDArray[np.generic]
    ijk_to_ras: Doubles
    gradients: Doubles


@names_damage
def read_mif(path: Path) -> Mif:
    """Read an image of three or four axes.

    Raises:
        InputError: no MRtrix image, cut off, complex numbers or bits, or other data than in the file itself.
    """
    content = path.read_bytes()
    packed = content.startswith(GZIP)
    start = inflate_start(content, _MAX_HEADER) if packed else content[:_MAX_HEADER]
    end = start.find(b"\nEND")
    if not start.startswith(b"mrtrix image") or end < 0:
        raise InputError(f"{path} is no MRtrix image.", "It may be damaged or have the wrong ending.")
    fields = _fields(start[:end].decode("utf-8", "replace"))
    sizes = [int(size) for size in fields["dim"][0].split(",")]
    if len(sizes) not in (3, 4) or min(sizes) < 1:
        raise InputError(f"{path} has the dimensions {fields['dim'][0]}, expected 3 or 4.", _CONVERT)
    kind, offset = _number_type(path, fields["datatype"][0]), _offset(path, fields["file"][0])
    count = int(np.prod(sizes, dtype=object))
    if packed:
        content = inflate(path, content, offset + count * kind.itemsize)
    if len(content) < offset + count * kind.itemsize:
        raise InputError(f"{path} is cut off: it holds less than its header states.", "Copy it again.")
    values = np.frombuffer(content, kind, count, offset)
    array = _arranged(values, sizes, fields["layout"][0])
    shift, scale = (float(number) for number in fields.get("scaling", ["0,1"])[0].split(","))
    array = array.astype(kind.newbyteorder("="))
    if (shift, scale) != (0, 1):
        array = array.astype(np.float64) * scale + shift
    rows = [[float(number) for number in line.replace(",", " ").split()] for line in fields.get("dw_scheme", [])]
    gradients = np.array(rows, float).reshape(len(rows), 4)
    return Mif(np.ascontiguousarray(array), _affine(path, fields), gradients)


def _fields(header: str) -> dict[str, list[str]]:
    """The values of each key in the order of the lines."""
    found: dict[str, list[str]] = {}
    for line in header.splitlines()[1:]:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), []).append(value.strip())
    return found


def _number_type(path: Path, name: str) -> np.dtype[np.generic]:
    if (found := _TYPE.fullmatch(name.lower())) is None:
        raise InputError(f"{path} holds numbers of the type {name}, which are not supported.", _CONVERT)
    return np.dtype(found[1]).newbyteorder(">" if found[2] == "be" else "<" if found[2] == "le" else "=")


def _offset(path: Path, entry: str) -> int:
    name, _, offset = entry.partition(" ")
    if name != ".":
        raise InputError(f"{path} has its data in another file, {name}.", _CONVERT)
    if (start := int(offset or 0)) < 0:
        raise ValueError(f"offset {start}")
    return start


def _arranged(values: npt.NDArray[np.generic], sizes: list[int], layout: str) -> npt.NDArray[np.generic]:
    """(V, k, j, i) of the values in the order of the file; a layout is, such as -0,-1,+2,+3, a rank for each axis."""
    entries = [entry.strip() for entry in layout.split(",")]
    ranks = [int(entry.lstrip("+-")) for entry in entries]
    if sorted(ranks) != list(range(len(sizes))):
        raise ValueError(f"layout {layout}")
    slowest_first = sorted(range(len(sizes)), key=lambda axis: -ranks[axis])
    array = values.reshape([sizes[axis] for axis in slowest_first])
    array = array.transpose([slowest_first.index(axis) for axis in reversed(range(len(sizes)))])
    backward = [len(sizes) - 1 - axis for axis, entry in enumerate(entries) if entry.startswith("-")]
    flipped: npt.NDArray[np.generic] = np.flip(array, tuple(backward))
    return flipped if len(sizes) == 4 else flipped[None]


def _affine(path: Path, fields: dict[str, list[str]]) -> Doubles:
    """(4, 4) from voxels to RAS mm.

    Raises:
        InputError: the header has no transform: MRtrix then centers the image, which is no place in the patient.
    """
    if "transform" not in fields:
        raise InputError(f"{path} has no place in the patient (no transform).", _CONVERT)
    rows = [[float(number) for number in line.split(",")] for line in fields["transform"][:3]]
    affine = np.vstack([np.array(rows, float).reshape(3, 4), (0, 0, 0, 1)])
    affine[:3, :3] *= [float(size) for size in fields["vox"][0].split(",")[:3]]
    return affine
