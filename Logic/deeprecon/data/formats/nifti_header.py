"""Where a NIfTI file says that its image lies, read and checked without nibabel, which the application does not ship.

NIfTI-1: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h, NIfTI-2: nifti2.h beside it.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError

Floats = npt.NDArray[np.float64]

_NAMES = ["size", "dim", "pixdim", "units", "qform_code", "sform_code", "quatern", "qoffset", "srow"]
_FORMATS_1 = ["i4", "8i2", "8f4", "u1", "i2", "i2", "3f4", "3f4", "(3,4)f4"]
_FORMATS_2 = ["i4", "8i8", "8f8", "i4", "i4", "i4", "3f8", "3f8", "(3,4)f8"]
_HEADERS = {
    348: np.dtype(
        {
            "names": _NAMES,
            "formats": _FORMATS_1,
            "offsets": [0, 40, 76, 123, 252, 254, 256, 268, 280],
            "itemsize": 348,
        }
    ),
    540: np.dtype(
        {
            "names": _NAMES,
            "formats": _FORMATS_2,
            "offsets": [0, 16, 104, 500, 344, 348, 352, 376, 400],
            "itemsize": 540,
        }
    ),
}
"""By the size that the first number of a file names: NIfTI-1 and NIfTI-2."""
_UNITS = {0: "unknown", 1: "meter", 2: "mm", 3: "micron"}


def checked_affine(path: Path) -> Floats:
    """The IJK to RAS matrix in mm of a NIfTI file: its sform, else its qform.

    It may still be sheared or not finite, which `check_affine` finds.

    Raises:
        InputError: no NIfTI file that can be read, or a header that says two things, or nothing, about where the image
            lies.
    """
    header = _read(path)
    sform, qform = _sform(header), _qform(header)
    affine = qform if sform is None else sform
    if affine is None:
        raise InputError(
            f"{path} does not say where the image lies in the patient (sform and qform codes are 0).",
            "Set its orientation, or convert the DICOM files again.",
        )
    unit = _UNITS.get(int(header["units"]) & 7, "an unknown unit")
    if unit not in ("mm", "unknown"):
        raise InputError(f"{path} is in {unit}, expected mm.", "Convert it to millimetres.")
    if not np.isfinite(affine).all():
        return affine
    zooms, sizes = _zooms(header), np.linalg.norm(affine[:3, :3], axis=0)
    if (np.abs(zooms - sizes) > 0.01 * zooms).any():
        raise InputError(
            f"{path} contradicts itself: its affine says voxels of {_size(sizes)} mm, its pixdim says "
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


def _read(path: Path) -> Any:
    """The fields of `_NAMES`, in either byte order, from a file that may be compressed."""
    try:
        with open(path, "rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if compressed else open(path, "rb") as file:
            content = file.read(max(_HEADERS))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        content = b""
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    for size, layout in _HEADERS.items():
        for kind in (layout, layout.newbyteorder()) if len(content) >= size else ():
            header = np.frombuffer(content, kind, count=1)[0]
            if header["size"] == size:
                return header
    raise InputError(f"{path} is cut off, damaged or no NIfTI file.", "Copy or export it again.")


def _sform(header: Any) -> Floats | None:
    if not header["sform_code"]:
        return None
    return np.vstack([header["srow"].astype(float), [0.0, 0.0, 0.0, 1.0]])


def _qform(header: Any) -> Floats | None:
    """Quaternion, voxel sizes and offset as a matrix; pixdim[0] < 0 turns the third axis (nifti1.h, method 2)."""
    if not header["qform_code"]:
        return None
    b, c, d = header["quatern"].astype(float)
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn * _zooms(header) * (1, 1, -1 if header["pixdim"][0] < 0 else 1)
    affine[:3, 3] = header["qoffset"]
    return affine


def _zooms(header: Any) -> Floats:
    zooms: Floats = np.abs(header["pixdim"][1:4].astype(float))
    return zooms


def _size(values: Floats) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
