"""The wall of a mesh as a stack of slices would show it wherever its pixels lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from deeprecon.numerics.grids import interpolate
from deeprecon.scar.observe.alignment.motion import Frame

Floats = npt.NDArray[np.float64]
Inside = Callable[[Floats], npt.NDArray[np.bool_]]

_STEP = np.array([0.7, 0.7, 1.0])
"""Distance in mm of the samples along the rows, columns and normal of the stack."""
BLUR = 1.0
"""Standard deviation in mm of a blur in the plane of both images and reference: the steps of pixels and of the samples
of the mesh would else look like edges along the contour, and hold turned slices fast."""
_POINTS_AT_ONCE = 500_000


class WallVolume:
    """Blurred share of wall in the prism of a pixel anywhere in a box, for one size of pixel and thickness of slab.

    Args:
        frame: along the stack.
        inside: whether points in RAS mm lie in the wall of the mesh.
        low, high: (3,) corners of the box in mm along the axes of `frame`; there is no wall beyond.
        pixel: (2,) size of the pixels in mm.
        thickness: of the slab in mm.
    """

    def __init__(
        self, frame: Frame, inside: Inside, low: Floats, high: Floats, pixel: Floats, thickness: float
    ) -> None:
        from scipy.ndimage import convolve1d, gaussian_filter1d

        self._low = low
        counts = np.ceil((high - low) / _STEP).astype(int) + 1
        x, y, z = (start + step * np.arange(count) for start, step, count in zip(low, _STEP, counts, strict=True))
        share = np.empty(counts[::-1], np.float32)
        plane = np.stack([*np.meshgrid(x, y), np.zeros((len(y), len(x)))], axis=-1).reshape(-1, 3)
        planes = max(1, _POINTS_AT_ONCE // len(plane))
        for first in range(0, len(z), planes):
            depths = z[first : first + planes]
            points = plane + depths[:, None, None] * np.array([0, 0, 1.0])
            share[first : first + planes] = inside(frame.to_ras(points.reshape(-1, 3))).reshape(-1, len(y), len(x))
        widths = (thickness, pixel[1], pixel[0])
        for axis, (width, step) in enumerate(zip(widths, _STEP[::-1], strict=True)):
            share = convolve1d(share, _box(width / step), axis, mode="constant")
        for axis in (1, 2):
            share = gaussian_filter1d(share, BLUR / _STEP[2 - axis], axis, mode="constant")
        self._share = share
        self._slopes = [np.gradient(share, step, axis=2 - axis) for axis, step in enumerate(_STEP)]

    def shares(self, local: Floats) -> Floats:
        """(N,) share of wall of pixels around (N, 3) places in mm along the axes of the frame."""
        return interpolate(self._share, ((local - self._low) / _STEP)[:, ::-1], "zero")

    def gradients(self, local: Floats) -> Floats:
        """(N, 3) change of that share per mm along the axes of the frame."""
        index = ((local - self._low) / _STEP)[:, ::-1]
        return np.stack([interpolate(slope, index, "zero") for slope in self._slopes], axis=1)


def _box(width: float) -> Floats:
    """Weights of a mean over `width` samples, an odd number of them."""
    reach = int(np.ceil(max(width, 1) / 2 - 0.5))
    places = np.arange(-reach, reach + 1)
    part = np.minimum(places + 0.5, width / 2) - np.maximum(places - 0.5, -width / 2)
    weights = np.clip(part, 0, None)
    return np.asarray(weights / weights.sum())
