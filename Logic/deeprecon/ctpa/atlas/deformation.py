"""The deformation of an atlas: scale, rotation and shift after free-form deformations that cannot fold.

A point of the field is mapped to the point of the atlas whose value it gets. A free-form deformation is a cubic
B-spline whose control points move by less than 0.48 of their distance, within which it is injective (Choi & Lee 2000);
several of them, one after the other, are injective too (Rueckert et al. 2006). A frontal film moves points in the
coronal plane, alike at every depth; a lateral one in the sagittal plane.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Array = npt.NDArray[np.float64]

REACH = 240.0
"""Half the side in mm of the square that control points cover; points beyond move like those at its border."""
MAX_MOVE = 0.35
"""Maximum movement of a control point along each axis, in distances between control points; up to 0.37 nothing folds
between the nodes of the lattice either, where all move as far as they can."""
NODES = 97
"""Nodes along each axis of the lattice on which the deformations are evaluated, 5 mm apart."""
UNIT = 30.0
"""Millimetres of a unit of the shifts, so that one step size suits all parameters."""


def spline_matrix(spans: int) -> Tensor:
    """(NODES, spans + 3) values of the cubic B-splines of `spans` intervals over the square, at the lattice's nodes."""
    at = torch.linspace(0, spans, NODES)
    distance = (at[:, None] - (torch.arange(spans + 3) - 1)[None, :]).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, near, far)


class FreeForm:
    """One level of a free-form deformation in a plane.

    Args:
        spans: intervals between control points along each axis of the square of `REACH`.
    """

    def __init__(self, spans: int) -> None:
        self.spacing = 2 * REACH / spans
        self.raw = torch.zeros(2, spans + 3, spans + 3, requires_grad=True)
        self._matrix = spline_matrix(spans)

    def control(self) -> Tensor:
        """(2, rows, columns) movement of the control points in mm: across, then towards the head."""
        return MAX_MOVE * self.spacing * torch.tanh(self.raw)

    def displacement(self) -> Tensor:
        """(2, NODES, NODES) in mm at the nodes of the lattice."""
        return self._matrix @ self.control() @ self._matrix.T

    def roughness(self) -> Tensor:
        """Mean squares of the first (in units) and second derivatives (in units per 60 mm) of the control points."""
        moved, step = self.control() / UNIT, self.spacing / 60.0
        first = [moved.diff(dim=axis) / step for axis in (1, 2)]
        second = [change.diff(dim=axis) / step for change, axis in zip(first, (1, 2), strict=True)]
        slopes, bends = (torch.stack([part.square().mean() for part in parts]).sum() for parts in (first, second))
        return 0.03 * slopes + 0.02 * bends


def lattice() -> Tensor:
    """(2, NODES, NODES) places of the nodes in mm: across, then towards the head."""
    line = torch.linspace(-REACH, REACH, NODES)
    return torch.stack([line[None, :].expand(NODES, NODES), line[:, None].expand(NODES, NODES)])


def at_points(displacement: Tensor, across: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """A displacement on the lattice at points in mm, linear in between; both of any one shape."""
    where = torch.stack([across.reshape(1, -1), up.reshape(1, -1)], dim=-1)[None] / REACH
    moved = F.grid_sample(displacement[None], where, padding_mode="border", align_corners=True)
    return moved[0, 0].reshape(across.shape), moved[0, 1].reshape(up.shape)


def composed(levels: list[FreeForm]) -> Tensor:
    """(2, NODES, NODES) displacement of all levels in mm, the finest one first."""
    places = lattice()
    moved = places
    for level in reversed(levels):
        across, up = at_points(level.displacement(), moved[0], moved[1])
        moved = torch.stack([moved[0] + across, moved[1] + up])
    return moved - places


def jacobian(displacement: npt.ArrayLike) -> Array:
    """Smallest determinant of the four corners of each cell of a displacement in mm on the lattice; all > 0: no fold.

    Args:
        displacement: (2, NODES, NODES), as of `composed`.
    """
    places = np.asarray(displacement, np.float64) + lattice().numpy()
    step = 2 * REACH / (NODES - 1)
    across, up = (np.diff(places, axis=axis) / step for axis in (2, 1))
    corners = [
        across[0, rows] * up[1, :, columns] - across[1, rows] * up[0, :, columns]
        for rows in (slice(None, -1), slice(1, None))
        for columns in (slice(None, -1), slice(1, None))
    ]
    return np.asarray(np.min(corners, axis=0))


@dataclass(eq=False)
class Placement:
    """Scale, rotation and shift of an atlas, as parameters of an optimizer.

    Attributes:
        scale: (3,) natural logarithms of the scales along x, y and z.
        shift: (3,) in `UNIT`s along x, y and z.
        turn: (2,) radians, in the coronal plane and about the body's axis.
    """

    scale: Tensor = field(default_factory=lambda: torch.zeros(3))
    shift: Tensor = field(default_factory=lambda: torch.zeros(3))
    turn: Tensor = field(default_factory=lambda: torch.zeros(2))

    def parameters(self) -> list[Tensor]:
        """Those that are optimized."""
        return [values.requires_grad_(True) for values in (self.scale, self.shift, self.turn)]

    def to_atlas(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points of the field, in mm from its middle, in mm from the middle of the atlas."""
        moved = self.shift * UNIT
        x, y, z = x - moved[0], y - moved[1], z - moved[2]
        (cosine, sine), (turned, across) = ((torch.cos(angle), torch.sin(angle)) for angle in self.turn)
        x, z = cosine * x + sine * z, cosine * z - sine * x
        x, y = turned * x + across * y, turned * y - across * x
        size = torch.exp(-self.scale)
        return x * size[0], y * size[1], z * size[2]


@dataclass(eq=False)
class Deformation:
    """From the field to an atlas.

    Attributes:
        placement: applied last.
        coronal: levels from coarse to fine, applied first.
        sagittal: levels of the sagittal plane, applied between; none without a lateral film.
    """

    placement: Placement = field(default_factory=Placement)
    coronal: list[FreeForm] = field(default_factory=list)
    sagittal: list[FreeForm] = field(default_factory=list)

    def planes(self) -> tuple[Tensor, Tensor | None]:
        """The displacements of `composed` in the coronal and in the sagittal plane."""
        return composed(self.coronal), composed(self.sagittal) if self.sagittal else None

    def to_atlas(
        self, x: Tensor, y: Tensor, z: Tensor, planes: tuple[Tensor, Tensor | None] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Points of the field in mm from its middle (x to the left, y to the back, z to the head), in the atlas.

        Args:
            x, y, z: of shapes that broadcast to one.
            planes: see `planes`, where they are known.
        """
        coronal, sagittal = planes or self.planes()
        across, up = at_points(coronal, *torch.broadcast_tensors(x, z))  # type: ignore[no-untyped-call]
        x, z = x + across, z + up
        if sagittal is not None:
            deep, up = at_points(sagittal, *torch.broadcast_tensors(y, z))  # type: ignore[no-untyped-call]
            y, z = y + deep, z + up
        return self.placement.to_atlas(x, y, z)

    def smallest_jacobian(self) -> float:
        """Of the free-form deformations; greater than 0 where nothing folds."""
        with torch.no_grad():
            found = [jacobian(plane.numpy()).min() for plane in self.planes() if plane is not None]
        return float(np.prod(found))
