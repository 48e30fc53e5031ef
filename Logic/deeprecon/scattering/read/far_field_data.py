"""Far fields of objects on full circles of uniform directions, with the true contrast where it is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.scattering.physics.directions import average_reciprocal, remove_noise_orders, to_midpoint
from deeprecon.scattering.physics.image_grids import to_polar

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]


@dataclass(frozen=True, eq=False)
class RegionGeometry:
    """Position and size of the measured region in the patient.

    Attributes:
        radius_mm: of the region.
        plane_to_ras: (4, 4) from (x mm, y mm, index of the object, 1) to RAS mm; x and y from the center of the region.
        sound_speed: of the background in m/s, None where it is not known.
    """

    radius_mm: float
    plane_to_ras: npt.NDArray[np.float64]
    sound_speed: float | None = None

    def image_to_ras(self, n: int) -> npt.NDArray[np.float64]:
        """(4, 4) IJK to RAS mm of a stack of n x n images that cover the region."""
        spacing = 2 * self.radius_mm / n
        to_plane = np.diag([spacing, spacing, 1.0, 1.0])
        to_plane[:2, 3] = -self.radius_mm + spacing / 2
        result: npt.NDArray[np.float64] = self.plane_to_ras @ to_plane
        return result


@dataclass(frozen=True, eq=False)
class FarFieldData:
    """Far fields of S objects for N directions of incidence and N of observation. The unit of length is the radius.

    Attributes:
        far_field: (S, N, N) complex64 [observation, incidence] on `directions(N)`.
        k: wave number times the radius of the region.
        image: (S, n, n) float32 true contrast, rows are y, on the points axis x axis; None if not known.
        axis: (n,) coordinates of the pixel centers.
        polar: (S, angles, rings) float32 true contrast; None if not known or only on the square grid.
        geometry: None if not known.
        name: of the file, for messages.
        notes: warnings for the user.
        doubts: contradictions that reading has found.
    """

    far_field: npt.NDArray[np.complex64]
    k: float
    image: npt.NDArray[np.float32] | None = None
    axis: npt.NDArray[np.float64] | None = None
    polar: npt.NDArray[np.float32] | None = None
    geometry: RegionGeometry | None = None
    name: str = "data"
    notes: tuple[str, ...] = field(default=())
    doubts: tuple[Doubt, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.far_field)

    @property
    def angles(self) -> int:
        """N, the number of directions."""
        return int(self.far_field.shape[-1])

    @property
    def has_truth(self) -> bool:
        """Whether the true contrast is known."""
        return self.polar is not None or self.image is not None

    def truth(self, rings: int) -> npt.NDArray[np.float32]:
        """(S, N, rings) true contrast.

        Raises:
            InputError: the true contrast is not known.
        """
        if self.polar is not None and self.polar.shape[1:] == (self.angles, rings):
            return self.polar
        if self.image is None or self.axis is None:
            raise InputError(
                f"{self.name} holds no true contrast on {self.angles} angles and {rings} rings.",
                "Give data with the dataset image.",
            )
        result = np.empty((len(self), self.angles, rings), np.float32)
        for start in range(0, len(self), 256):
            result[start : start + 256] = to_polar(self.image[start : start + 256], self.axis, self.angles, rings)
        return result

    def midpoint(self) -> Complex:
        """(S, N, N) data [midpoint, offset], without the angular orders that hold only noise."""
        return to_midpoint(remove_noise_orders(self.far_field, self.k))

    def subset(self, chosen: slice | npt.NDArray[np.int64]) -> FarFieldData:
        """The chosen objects."""
        return replace(
            self,
            far_field=self.far_field[chosen],
            image=None if self.image is None else self.image[chosen],
            polar=None if self.polar is None else self.polar[chosen],
        )

    def with_noise(self, additive: float, multiplicative: float, seed: int) -> FarFieldData:
        """A copy with noise.

        Args:
            additive: standard deviation of complex normal noise, relative to the root mean square of each object (as
                in MFISNet).
            multiplicative: standard deviation of real normal noise, relative to each value (as in Fan and Ying, and in
                Desai et al.).
            seed: of the noise.
        """
        rng = np.random.default_rng(seed)
        d = self.far_field
        size = np.sqrt((np.abs(d) ** 2).mean(axis=(1, 2), keepdims=True))
        z = (rng.standard_normal(d.shape) + 1j * rng.standard_normal(d.shape)) / math.sqrt(2)
        noisy = d * (1 + multiplicative * rng.standard_normal(d.shape)) + additive * size * z
        return replace(self, far_field=noisy.astype(np.complex64))


def midpoint_channels(midpoint: Complex) -> npt.NDArray[np.float32]:
    """(S, N, N) data [midpoint, offset] to network inputs (S, N + 2, N): the channels are the real, then the imaginary
    parts of the offsets from 0 to pi/2, the last axis is the midpoint."""
    half = average_reciprocal(midpoint)
    parts = np.concatenate([half.real, half.imag], axis=-1)
    return np.ascontiguousarray(parts.swapaxes(-1, -2), dtype=np.float32)
