"""Where waves come from and where they are measured: sources and receivers anywhere, near or far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.scattering.physics.green import far_field_factor, green_function

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Arrangement:
    """V views, each with one source and R receivers, in d = 2 or 3 dimensions.

    Attributes:
        source: (V, d) positions in m; or unit vectors of the direction of travel where `plane_waves`.
        receiver: (V, R, d) positions in m; or unit vectors of the direction of observation where `far_field`.
        plane_waves: sources are infinitely far away: exp(ik d.x). Else they are line sources in two dimensions and
            point sources in three, of unit strength.
        far_field: receivers are infinitely far away; the field is that of `green.far_field_factor`.
    """

    source: Floats
    receiver: Floats
    plane_waves: bool = False
    far_field: bool = False

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return int(self.source.shape[-1])

    def arriving(self, k: float, points: Floats) -> Complex:
        """(V, P) fields of the sources at (P, d) points in m; `k` in rad/m."""
        if self.plane_waves:
            return np.asarray(np.exp(1j * k * (self.source @ points.T)))
        return green_function(k, _distances(self.source, points), self.dimension)

    def direct(self, k: float) -> Complex:
        """(V, R) fields of the sources at the receivers, without an object; only for receivers at positions.

        Raises:
            ValueError: the receivers are infinitely far away.
        """
        if self.far_field:
            raise ValueError("the direct field has no far field")
        if self.plane_waves:
            return np.asarray(np.exp(1j * k * np.einsum("vd,vrd->vr", self.source, self.receiver)))
        distance = np.linalg.norm(self.receiver - self.source[:, None], axis=-1)
        return green_function(k, distance, self.dimension)

    def distinct_receivers(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """(Q, d) positions or directions that occur, and the (V, R) number of each receiver among them."""
        d = self.dimension
        distinct, number = np.unique(self.receiver.reshape(-1, d).round(9), axis=0, return_inverse=True)
        numbers: npt.NDArray[np.int64] = np.asarray(number, np.int64).reshape(self.receiver.shape[:2])
        return np.asarray(distinct, np.float64), numbers

    def leaving(self, k: float, receivers: Floats, points: Floats) -> Complex:
        """(Q, P) fields at (Q, d) receivers of unit sources at (P, d) points in m."""
        if self.far_field:
            return np.asarray(far_field_factor(k, self.dimension) * np.exp(-1j * k * (receivers @ points.T)))
        return green_function(k, _distances(receivers, points), self.dimension)


def _distances(one: Floats, other: Floats) -> npt.NDArray[np.float64]:
    """(A, B) distances of (A, d) and (B, d) points."""
    return np.asarray(np.linalg.norm(one[:, None] - other[None], axis=-1))
