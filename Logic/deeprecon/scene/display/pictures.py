"""Small pictures for panels: gray values and colors out of arrays, written as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import vtk
from vtk.util import numpy_support

from deeprecon.scene.display.colors import RAMPS

Pixels = npt.NDArray[np.uint8]


def write_png(path: Path, pixels: Pixels) -> None:
    """Write (rows, columns) gray values, or (rows, columns, 3) colors, the top row first."""
    rows, columns = pixels.shape[:2]
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    flat = np.ascontiguousarray(pixels[::-1]).reshape(rows * columns, -1)  # in VTK the bottom row comes first
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(flat, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    writer.Write()


def gray(values: npt.ArrayLike, low: float, high: float) -> Pixels:
    """(rows, columns) values between black and white as (rows, columns, 3) colors."""
    scaled = np.rint(255 * np.clip((np.asarray(values, float) - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8)
    return np.repeat(scaled[..., None], 3, axis=-1)


def colored(values: npt.ArrayLike, low: float, high: float, ramp: str) -> Pixels:
    """(rows, columns) values between the ends of a ramp of `colors.RAMPS` as (rows, columns, 3) colors."""
    places, colors = zip(*RAMPS[ramp], strict=True)
    scaled = np.clip((np.asarray(values, float) - low) / max(high - low, 1e-9), 0, 1)
    channels: Any = [np.interp(scaled, places, channel) for channel in zip(*colors, strict=True)]
    pixels: Pixels = np.rint(255 * np.stack(channels, axis=-1)).astype(np.uint8)
    return pixels


def draw_outline(pixels: Pixels, region: npt.NDArray[np.bool_], color: tuple[int, int, int]) -> None:
    """Draw the outermost pixels of a (rows, columns) region into a picture of colors."""
    framed = np.pad(region, 1)
    inside = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    pixels[region & ~inside] = color


def join_horizontally(pictures: list[Pixels], gap: int = 4) -> Pixels:
    """Pictures of the same height in one row, with `gap` white pixels between them."""
    white = np.full((pictures[0].shape[0], gap, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (white, picture)][1:]
    return np.concatenate(parts, axis=1)
