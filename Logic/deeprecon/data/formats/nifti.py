"""NIfTI files (.nii, .nii.gz), read and written with numpy alone, so that they work where nibabel is not installed.

NIfTI-1: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h, NIfTI-2: nifti2.h in the same folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import atomic_path
from deeprecon.data.formats.gzip_blocks import write_gzip
from deeprecon.data.formats.inflate import GZIP, inflate, inflate_start

Floats = npt.NDArray[np.float64]

_FIELDS = {
    "sizeof_hdr": ("i4", 0, "i4", 0),
    "magic": ("S3", 344, "S3", 4),
    "dim": ("8i2", 40, "8i8", 16),
    "datatype": ("i2", 70, "i2", 12),
    "bitpix": ("i2", 72, "i2", 14),
    "pixdim": ("8f4", 76, "8f8", 104),
    "vox_offset": ("f4", 108, "i8", 168),
    "scl_slope": ("f4", 112, "f8", 176),
    "scl_inter": ("f4", 116, "f8", 184),
    "xyzt_units": ("u1", 123, "i4", 500),
    "descrip": ("S80", 148, "S80", 240),
    "qform_code": ("i2", 252, "i4", 344),
    "sform_code": ("i2", 254, "i4", 348),
    "quatern": ("3f4", 256, "3f8", 352),
    "qoffset": ("3f4", 268, "3f8", 376),
    "srow": ("(3,4)f4", 280, "(3,4)f8", 400),
}
"""Type and place of each field in the headers of NIfTI-1 and NIfTI-2."""


def _layout(version: int, size: int) -> np.dtype[Any]:
    formats, offsets = ([field[2 * version - 2 + part] for field in _FIELDS.values()] for part in (0, 1))
    fields: Any = {"names": list(_FIELDS), "formats": formats, "offsets": offsets, "itemsize": size}
    layout: np.dtype[Any] = np.dtype(fields)
    return layout


_HEADERS = {348: _layout(1, 348), 540: _layout(2, 540)}
"""By the size that the first number of a file states."""
_MAGIC = {348: b"n+1", 540: b"n+2"}
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_UNITS = {0: "unknown", 1: "meter", 2: "mm", 3: "micron"}
_SECONDS = {8: 1.0, 16: 1e-3, 24: 1e-6}
"""Of a unit of time."""
_EXTENSION = 4
"""Bytes between header and voxels that state that there is no extension."""
_TRAILING = 2**20
"""Bytes that may follow the voxels: some tools pad."""


@dataclass(frozen=True)
class Details:
    """What a header states besides values and geometry.

    Attributes:
        time_step: between volumes in s, the repetition time; 0 where it is not stated.
        sform_code, qform_code: which space the affine leads to, 0 to 5 (nifti1.h).
        description: text of up to 80 bytes.
    """

    time_step: float = 1.0
    sform_code: int = 1
    qform_code: int = 1
    description: str = ""


@dataclass(frozen=True, eq=False)
class Nifti:
    """Content of a NIfTI file.

    Attributes:
        array: ([...,] k, j, i), the axes of the file from the last to the first; float32 where the file scales its
            values.
        ijk_to_ras: (4, 4) in mm, the file's sform, else its qform; it may be sheared or not finite.
        scaling: slope and intercept by which the values follow from the numbers in the file.
        details: what else its header states.
    """

    array: npt.NDArray[np.generic]
    ijk_to_ras: Floats
    scaling: tuple[float, float] = (1.0, 0.0)
    details: Details = Details()

    def volumes(self, path: Path, expected: str) -> npt.NDArray[np.generic]:
        """(V, k, j, i) the images, wherever among the further axes of the file they lie; the others have length 1.

        Args:
            path: of the file, for the message.
            expected: as 3D or 4D, for the message.

        Raises:
            InputError: fewer than three axes, or two further ones that are longer than 1.
        """
        further = [length for length in self.array.shape[:-3] if length != 1]
        if self.array.ndim < 3 or len(further) > 1:
            raise InputError(
                f"{path} is {self.array.ndim}D (shape {' x '.join(map(str, self.array.shape[::-1]))}), expected "
                f"{expected}.",
                "Give a single volume of it." if expected == "3D" else "Give a series of volumes.",
            )
        return self.array.reshape(-1, *self.array.shape[-3:])


@names_damage
def read_nifti(path: Path) -> Nifti:
    """Read a file, compressed or not, in either byte order.

    Raises:
        InputError: no NIfTI file, cut off or damaged, values that are no real numbers, or a header that contradicts
            itself about the position of the image, or does not state it.
        OSError: it cannot be opened.
    """
    content = path.read_bytes()
    compressed = content.startswith(GZIP)
    header = _header(path, inflate_start(content, max(_HEADERS)) if compressed else content)
    if compressed:
        start, shape, stored = _layout_of_values(path, header)
        content = inflate(path, content, start + math.prod(shape) * stored.itemsize + _TRAILING)
    affine = _checked_affine(path, header)
    scaling = _scaling(header)
    array = _array(path, header, content)
    if scaling != (1.0, 0.0):
        array = (array.astype(float) * scaling[0] + scaling[1]).astype(np.float32)
    return Nifti(array, affine, scaling, _details(header))


def refuse_pair(path: Path) -> None:
    """Say of a header or image of the Analyze kind, which lie in two files, that these are not read.

    Raises:
        InputError: the path ends in .hdr, .img or .img.gz.
    """
    if path.name.lower().endswith((".hdr", ".img", ".img.gz")):
        raise InputError(
            f"{path} is one of a pair of files (.hdr and .img), which are not read.",
            "Save the image as .nii.gz (in FSL: fslchfiletype NIFTI_GZ).",
        )


def write_nifti(path: Path, array: npt.NDArray[np.generic], ijk_to_ras: Floats, details: Details | None = None) -> None:
    """Write (k, j, i) or (V, k, j, i) with sform and qform in mm, atomically; compressed where the path ends in .gz.

    Args:
        path: ending in .nii or .nii.gz.
        array: of any numbers that the format has.
        ijk_to_ras: (4, 4).
        details: for the header, as of the image that this one was made from.

    Raises:
        InputError: a number type that the format lacks.
        OSError: the file cannot be written.
    """
    write_nifti_slabs(path, [array], array.shape, array.dtype, ijk_to_ras, details=details)


def write_nifti_slabs(
    path: Path,
    slabs: Iterable[npt.NDArray[np.generic]],
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    ijk_to_ras: Floats,
    threads: int = 1,
    description: str = "",
    details: Details | None = None,
) -> None:
    """Write an image from its slabs, atomically, so that it need not be in memory.

    Args:
        path: ending in .nii or .nii.gz.
        slabs: (planes, j, i) one after the other along the first axis of `shape`, or (volumes, k, j, i).
        shape: (k, j, i) or (V, k, j, i) of the image.
        dtype: of the file; slabs are converted.
        ijk_to_ras: (4, 4).
        threads: that compress.
        description: up to 80 bytes in the file's header.
        details: of the header; its description counts where there is no other.

    Raises:
        InputError: a number type that the format lacks.
        ValueError: the slabs are not those of the image.
        OSError: the file cannot be written; nothing is left then.
    """
    kind = np.dtype(dtype).newbyteorder("<")
    details = details or Details()
    header = _made_header(
        path, shape, kind, ijk_to_ras, replace(details, description=description or details.description)
    )
    blocks = _blocks(header.tobytes() + bytes(_EXTENSION), slabs, shape, kind)
    with atomic_path(path) as part, open(part, "wb") as file:
        if path.name.endswith(".gz"):
            write_gzip(file, blocks, threads)
        else:
            file.writelines(blocks)


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path} is cut off or damaged ({reason}).", "Copy or export it again.")


def _header(path: Path, content: bytes) -> Any:
    """The fields of `_FIELDS`."""
    for size, layout in _HEADERS.items():
        for kind in (layout, layout.newbyteorder()) if len(content) >= size else ():
            header = np.frombuffer(content, kind, count=1)[0]
            if header["sizeof_hdr"] == size and header["magic"] == _MAGIC[size] and 1 <= header["dim"][0] <= 7:
                return header
    raise InputError(f"{path} is cut off, damaged or no NIfTI file.", "Copy or export it again.")


def _array(path: Path, header: Any, content: bytes) -> npt.NDArray[np.generic]:
    """The numbers in the file."""
    start, shape, stored = _layout_of_values(path, header)
    count = math.prod(shape)
    if len(content) < start + count * stored.itemsize:
        raise _damaged(path, f"{len(content)} bytes for {' x '.join(map(str, shape[::-1]))} values")
    return np.frombuffer(content, stored, count, start).reshape(shape).astype(stored.newbyteorder("="))


def _layout_of_values(path: Path, header: Any) -> tuple[int, tuple[int, ...], np.dtype[Any]]:
    """First byte, shape and type of the numbers in the file."""
    kind = _TYPES.get(int(header["datatype"]))
    if kind is None:
        raise InputError(
            f"{path} holds values of NIfTI type {header['datatype']}, expected whole or floating numbers.",
            "Export it as a scalar image.",
        )
    stored = np.dtype(kind).newbyteorder(header.dtype["dim"].base.byteorder)
    shape = tuple(int(length) for length in header["dim"][header["dim"][0] : 0 : -1])
    if min(shape) < 1 or not np.isfinite(header["vox_offset"]):
        raise _damaged(path, f"a shape of {' x '.join(map(str, shape[::-1]))}")
    return max(int(header["vox_offset"]), header.dtype.itemsize + _EXTENSION), shape, stored


def _scaling(header: Any) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 states none."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        return 1.0, 0.0
    return slope, intercept


def _checked_affine(path: Path, header: Any) -> Floats:
    """See `Nifti`."""
    sform, qform = _sform(header), _qform(header)
    affine = qform if sform is None else sform
    if affine is None:
        raise InputError(
            f"{path} does not state where the image lies in the patient (sform and qform codes are 0).",
            "Set its orientation, or convert the DICOM files again.",
        )
    unit = _UNITS.get(int(header["xyzt_units"]) & 7, "an unknown unit")
    if unit not in ("mm", "unknown"):
        raise InputError(f"{path} is in {unit}, expected mm.", "Convert it to millimetres.")
    if not np.isfinite(affine).all():
        return affine
    zooms, sizes = _zooms(header), np.linalg.norm(affine[:3, :3], axis=0)
    if (np.abs(zooms - sizes) > 0.01 * zooms).any():
        raise InputError(
            f"{path} contradicts itself: its affine states voxels of {_size(sizes)} mm, its pixdim states "
            f"{_size(zooms)} mm.",
            "Find out which is right (often pixdim) and correct the header, or convert the DICOM files again.",
        )
    if sform is not None and qform is not None:
        corners = np.array(np.meshgrid(*[(0, int(count) - 1) for count in header["dim"][1:4]])).reshape(3, -1)
        gap = np.abs((sform - qform)[:3, :3] @ corners + (sform - qform)[:3, 3:]).max()
        if not gap <= 0.5 * zooms.min():
            raise InputError(
                f"{path} contradicts itself: its sform and qform differ by up to {gap:.1f} mm.",
                "Keep the right one in both, or convert the DICOM files again.",
            )
    return affine


def _details(header: Any) -> Details:
    factor = _SECONDS.get(int(header["xyzt_units"]) & 0x38, 1.0)
    step = float(header["pixdim"][4]) * factor
    text = bytes(header["descrip"]).rstrip(b"\0").decode("utf-8", "replace")
    return Details(step if np.isfinite(step) else 0.0, int(header["sform_code"]), int(header["qform_code"]), text)


def _sform(header: Any) -> Floats | None:
    if not header["sform_code"]:
        return None
    return np.vstack([header["srow"].astype(float), [0.0, 0.0, 0.0, 1.0]])


def _qform(header: Any) -> Floats | None:
    """Quaternion, voxel sizes and offset as a matrix; pixdim[0] < 0 turns the third axis (nifti1.h, method 2)."""
    if not header["qform_code"]:
        return None
    vector = header["quatern"].astype(float)
    scalar = np.sqrt(max(0.0, 1 - float(vector @ vector)))
    cross = np.cross(vector, np.eye(3)).T  # times x: the cross product of vector and x
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) + 2 * scalar * cross + 2 * cross @ cross) * _zooms(header)
    affine[:3, 2] *= -1 if header["pixdim"][0] < 0 else 1
    affine[:3, 3] = header["qoffset"]
    return affine


def _zooms(header: Any) -> Floats:
    zooms: Floats = np.abs(header["pixdim"][1:4].astype(float))
    return zooms


def _size(values: Floats) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def _made_header(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], ijk_to_ras: Floats, details: Details
) -> npt.NDArray[np.void]:
    """A NIfTI-1 header, little-endian."""
    code = next((code for code, kind in _TYPES.items() if np.dtype(kind).newbyteorder("<") == dtype), None)
    if code is None or max(shape) > 32767:
        raise InputError(f"Cannot write {dtype} values of shape {shape} as {path.name}.", "Use .nrrd.")
    zooms = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    left, _, right = np.linalg.svd(ijk_to_ras[:3, :3] / zooms)
    rotation = left @ right  # the nearest one without shear
    hand = 1.0 if np.linalg.det(rotation) > 0 else -1.0
    header = np.zeros((), _HEADERS[348].newbyteorder("<"))
    header["sizeof_hdr"], header["magic"], header["vox_offset"] = 348, _MAGIC[348], 348 + _EXTENSION
    header["dim"] = [len(shape), *shape[::-1]] + [1] * (7 - len(shape))
    header["datatype"], header["bitpix"], header["scl_slope"] = code, 8 * dtype.itemsize, 1
    header["pixdim"] = [hand, *zooms, details.time_step if len(shape) == 4 else 1, 1, 1, 1]
    header["xyzt_units"] = 2 if len(shape) == 3 else 2 | 8  # mm, and seconds
    header["descrip"] = details.description.encode()[:80]
    header["qform_code"], header["sform_code"] = details.qform_code, details.sform_code
    header["quatern"] = _quaternion(rotation * (1, 1, hand))
    header["qoffset"], header["srow"] = ijk_to_ras[:3, 3], ijk_to_ras[:3]
    return header


def _quaternion(rotation: Floats) -> Floats:
    """(3,) vector part of the unit quaternion of a rotation, its scalar part not negative.

    It is the eigenvector of the largest eigenvalue (Bar-Itzhack, J. Guid. Control Dyn. 23, 2000); scipy's Rotation
    looks at torch, which the application must not load.
    """
    trace = np.trace(rotation)
    matrix = np.zeros((4, 4))
    matrix[:3, :3] = rotation + rotation.T - trace * np.eye(3)
    skew = rotation - rotation.T
    matrix[3] = [skew[2, 1], skew[0, 2], skew[1, 0], trace]
    vector: Floats = np.linalg.eigh(matrix)[1][:, -1]  # of the lower triangle
    return vector[:3] * (1 if vector[3] >= 0 else -1)


def _blocks(
    start: bytes, slabs: Iterable[npt.NDArray[np.generic]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[bytes | memoryview]:
    yield start
    planes = 0
    for slab in slabs:
        if slab.shape[1:] != shape[1:]:
            raise ValueError(f"a slab of {slab.shape} is none of {shape}")
        planes += len(slab)
        yield np.ascontiguousarray(slab, dtype).data.cast("B")
    if planes != shape[0]:
        raise ValueError(f"{planes} planes are not {shape[0]}")
