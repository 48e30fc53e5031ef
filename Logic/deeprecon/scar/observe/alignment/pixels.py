"""The pixels by which the slices of a stack are compared with a wall, and how that wall would have to move."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deeprecon.scar.observe.alignment.motion import Frame, frame_of
from deeprecon.scar.observe.alignment.wall_volume import BLUR
from deeprecon.scar.observe.stacks import Stack

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_BORDER = 3
"""Pixels around the wall of a slice that are compared, too."""
_LAGS = 6
"""Pixels over which differences may be correlated."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels in and around the wall of the slices of one stack that show any, in mm along `frame`.

    Attributes:
        frame: along the stack.
        slices: (S,) which slices these are.
        shapes: S shapes (rows, columns) of the windows of pixels.
        places: (N, 3) their centers, window by window.
        share: (N,) share of wall, blurred by `BLUR`.
        owner: (N,) index into `slices`.
        middles: (S, 3) middle of the wall of each slice.
    """

    frame: Frame
    slices: Integers
    shapes: tuple[tuple[int, int], ...]
    places: Floats
    share: Floats
    owner: Integers
    middles: Floats

    @property
    def center(self) -> Floats:
        """(3,) mean of the middles."""
        center: Floats = self.middles.mean(axis=0)
        return center

    def sums(self, values: Floats) -> Floats:
        """(S, ...) sums over the pixels of each slice of (N, ...) values."""
        starts = np.searchsorted(self.owner, np.arange(len(self.slices)))
        return np.asarray(np.add.reduceat(values, starts, axis=0))

    def every(self, step: int) -> Pixels:
        """One of `step` pixels; `shapes` no longer holds."""
        part = slice(None, None, step)
        return replace(self, places=self.places[part], share=self.share[part], owner=self.owner[part])

    def correlated(self, difference: Floats) -> float:
        """How many neighboring pixels differ together: the sum of the autocorrelation of (N,) differences, 1 or more.

        The mean of n such differences varies like that of n over this number of independent ones.
        """
        total = np.zeros((2, _LAGS + 1))
        start = 0
        for rows, columns in self.shapes:
            image = difference[start : start + rows * columns].reshape(rows, columns)
            start += rows * columns
            for lag in range(_LAGS + 1):
                total[0, lag] += (image[lag:] * image[: rows - lag]).sum()
                total[1, lag] += (image[:, lag:] * image[:, : columns - lag]).sum()
        ratio = total[:, 1:] / np.maximum(total[:, :1], 1e-12)
        return float(np.prod(np.maximum(1 + 2 * ratio.sum(axis=1), 1)))


def pixels_of(stack: Stack) -> Pixels:
    """The pixels of a stack that shows wall."""
    from scipy.ndimage import gaussian_filter

    frame, size = frame_of(stack.ijk_to_ras, stack.normal), np.linalg.norm(stack.ijk_to_ras[:3, :2], axis=0)
    slices = np.flatnonzero(stack.wall.any(axis=(1, 2)))
    shapes, places, share, owner, middles = [], [], [], [], []
    for number, k in enumerate(slices):
        wall = np.pad(stack.wall[k].astype(np.float64), _BORDER)
        rows, columns = (np.flatnonzero(wall.any(axis=axis)) for axis in (1, 0))
        wall = gaussian_filter(wall, BLUR / size[::-1], mode="constant")
        j, i = np.meshgrid(
            np.arange(rows[0] - _BORDER, rows[-1] + _BORDER + 1),
            np.arange(columns[0] - _BORDER, columns[-1] + _BORDER + 1),
            indexing="ij",
        )
        index = np.stack([i - _BORDER, j - _BORDER, np.full(i.shape, k)], axis=-1).reshape(-1, 3)
        local = frame.to_local(index @ stack.ijk_to_ras[:3, :3].T + stack.ijk_to_ras[:3, 3])
        values = wall[j, i].ravel()
        shapes.append(i.shape)
        places.append(local)
        share.append(values)
        owner.append(np.full(len(local), number))
        middles.append(np.average(local, axis=0, weights=values))
    return Pixels(
        frame,
        slices,
        tuple(shapes),
        np.concatenate(places),
        np.concatenate(share),
        np.concatenate(owner),
        np.stack(middles),
    )
