"""Siemens mosaics: all slices of a volume as tiles of one DICOM image.

Place and order of the slices follow https://nipy.org/nibabel/dicom/dicom_mosaic.html, the layout of the CSA header
https://nipy.org/nibabel/dicom/siemens_csa.html.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.slices import DicomSlice
from deeprecon.data.errors import InputError

Array = npt.NDArray[np.float64]

CREATOR = "SIEMENS CSA HEADER"


@dataclass(frozen=True, eq=False)
class Mosaic:
    """The geometry and weighting of the volume in one mosaic.

    Attributes:
        tiles: number of slices.
        ijk_to_ras: (4, 4) of the volume.
        b: b-value in s/mm^2.
        direction: (3,) of the gradient, LPS; zero where there is none.
        instance: its number in the series.
    """

    tiles: int
    ijk_to_ras: Array
    b: float
    direction: Array
    instance: int

    def volume(self, image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The volume (k, j, i) of an image (row, column) of tiles, which run along the rows."""
        side = _side(self.tiles)
        j, i = (length // side for length in image.shape)
        return image.reshape(side, j, side, i).swapaxes(1, 2).reshape(side * side, j, i)[: self.tiles]


def read_mosaic(entry: DicomSlice) -> Mosaic:
    """Read the header of a mosaic.

    Args:
        entry: the image as a single slice, whose position and size are those of the mosaic.

    Raises:
        InputError: no CSA header, or one that lacks an element.
    """
    header = entry.file.dataset
    rows, columns = entry.rows_columns
    try:
        csa = read_csa(bytes(header.private_block(0x0029, CREATOR)[0x10].value))
        tiles, normal = int(csa["NumberOfImagesInMosaic"][0]), np.array(csa["SliceNormalVector"], float)
        b, direction = float(csa["B_value"][0]), np.array(csa["DiffusionGradientDirection"] or np.zeros(3), float)
        step = float(header.get("SpacingBetweenSlices") or header.SliceThickness)
        side = _side(tiles)
        if normal.shape != (3,) or direction.shape != (3,) or rows % side or columns % side:
            raise ValueError("no mosaic")
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, ZeroDivisionError, struct.error) as error:
        raise InputError(
            f"{entry.path} is a mosaic without the position of its slices or their weighting.",
            "Convert the series with dcm2niix, and give the NIfTI file with its .bval and .bvec.",
        ) from error
    axes = np.stack([entry.row * entry.spacing[0], entry.column * entry.spacing[1], normal * step], axis=1)
    size = np.array([columns, rows], float)
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = (
        entry.position + axes[:, :2] @ (size - size / side) / 2
    )  # the position is that of the mosaic's corner
    instance = int(header.get("InstanceNumber") or 0)
    return Mosaic(tiles, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine + 0.0, b, direction, instance)


def read_csa(content: bytes) -> dict[str, list[str]]:
    """Values of a CSA header of the second kind, by name.

    Raises:
        ValueError: of another kind.
        struct.error: cut off.
    """
    if not content.startswith(b"SV10"):
        raise ValueError("no CSA header of the second kind")
    (count,), place = struct.unpack_from("<I", content, 8), 16
    found = {}
    for _ in range(count):
        name, items = struct.unpack_from("<64s12xI4x", content, place)
        place += 84
        values = []
        for _ in range(items):
            (length,) = struct.unpack_from("<4xI8x", content, place)
            place += 16
            values.append(_text(content[place : place + length]))
            place += -(-length // 4) * 4
        found[_text(name)] = [value for value in values if value]
    return found


def _text(content: Any) -> str:
    return bytes(content).split(b"\0")[0].decode("latin-1").strip()


def _side(tiles: int) -> int:
    """Tiles in each row and column of a mosaic."""
    return math.ceil(math.sqrt(tiles))
