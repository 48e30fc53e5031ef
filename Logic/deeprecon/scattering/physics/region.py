"""Where an object is looked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Region:
    """A square or cube of pixels in which the object lies.

    Attributes:
        center: (d,) in m.
        side: in m.
        n: pixels along a side.
    """

    center: npt.NDArray[np.float64]
    side: float
    n: int

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return len(self.center)

    @property
    def spacing(self) -> float:
        """Of the pixels, in m."""
        return self.side / self.n

    @property
    def shape(self) -> tuple[int, ...]:
        """Of images: rows are y, columns are x; (z, y, x) in three dimensions."""
        return (self.n,) * self.dimension

    def line(self) -> npt.NDArray[np.float64]:
        """(n,) coordinates of the pixels' centers along an axis in m, relative to `center`."""
        return np.asarray((np.arange(self.n) + 0.5) * self.spacing - self.side / 2)

    def points(self) -> npt.NDArray[np.float64]:
        """(n^d, d) coordinates x, y(, z) of the pixels' centers in m, in the order of a flattened image."""
        axes = np.meshgrid(*[self.line()] * self.dimension, indexing="ij")
        return np.stack([part.ravel() for part in axes[::-1]], axis=-1) + self.center
