"""The search in the plane of a film: where, how large and how tall the atlas is, by its projection alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from deeprecon.ctpa.atlas.deformation import UNIT, Deformation, FreeForm, Placement
from deeprecon.ctpa.atlas.projector import CANVAS, GRID
from deeprecon.ctpa.atlas.similarity import LocalCorrelation, correlation, ranks

SIZES = (0.75, 0.85, 0.95, 1.05, 1.15, 1.3)
PROPORTIONS = (0.8, 0.9, 1.0, 1.1, 1.2)
HEIGHTS = tuple(range(-75, 76, 15))
SIDES = (-15, 0, 15)
"""Widths, heights over widths, and shifts in mm that are tried."""
STARTS = 6
"""Candidates that are followed."""
WIDE, NARROW = 34.0, 14.0
"""Standard deviations in mm of the windows of the local correlation."""
SPANS = (5, 10)
"""Of the free-form deformations, from coarse to fine."""


@dataclass(frozen=True, eq=False)
class PlaneFit:
    """A deformation that was found in the plane.

    Attributes:
        deformation: its depth is still that of the atlas.
        loss: of the last step; comparable between starts of one film and atlas.
        searched: correlation of the ranks before any free-form deformation.
    """

    deformation: Deformation
    loss: float
    searched: float


def points_in_plane(scale: float) -> tuple[Tensor, Tensor]:
    """(rows, columns) x and z in mm of the rays of `GRID` in the middle of the field; `scale` for a coarser grid."""
    z, _, x = (torch.from_numpy(axis).float() for axis in GRID.axes())
    z, x = (F.avg_pool1d(line[None], int(scale))[0] for line in (z, x))
    up, across = torch.meshgrid(z, x, indexing="ij")
    return across, up


def sampled(canvas: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """The projection of the whole atlas at points in mm; x and z (..., rows, columns)."""
    where = torch.stack([x, z], dim=-1) / CANVAS
    shape = where.shape
    found = F.grid_sample(
        canvas[None, None], where.reshape(1, -1, shape[-2], 2), padding_mode="border", align_corners=False
    )
    return found.reshape(shape[:-1])


def search(canvas: Tensor, wanted: Tensor, weight: Tensor) -> list[tuple[float, Placement]]:
    """The most similar ones of many placements, apart from each other, with their similarity; the best one first.

    Args:
        canvas: see `Projector.canvas`.
        wanted: (rows, columns) ranks of the film.
        weight: (rows, columns) of its pixels.
    """
    film, used = (F.avg_pool2d(image[None, None], 2)[0, 0] for image in (wanted, weight))
    used = (used > 0.5).float()
    x, z = points_in_plane(2)
    tried = torch.tensor(list(product(SIZES, PROPORTIONS, HEIGHTS, SIDES)))
    width, proportion, height, side = (column[:, None, None] for column in tried.T)
    images = sampled(canvas, (x - side) / width, (z - height) / (width * proportion))
    flat = torch.where(used > 0, images, images.amax() + 1).reshape(len(tried), -1)
    order = flat.argsort(dim=1).argsort(dim=1).float() / float(used.sum())
    order = order.reshape(images.shape).clamp(max=1)
    local = LocalCorrelation(film, used, WIDE / (2 * GRID.spacing[0]))
    score = 0.5 * correlation(order, film, used) + local(order)
    chosen: list[tuple[float, Tensor]] = []
    for index in score.argsort(descending=True).tolist():
        if all(_apart(tried[index], other) for _, other in chosen):
            chosen.append((float(score[index]), tried[index]))
        if len(chosen) == STARTS:
            break
    return [(value, _placement(*candidate.tolist())) for value, candidate in chosen]


def _apart(one: Tensor, other: Tensor) -> bool:
    """Whether two candidates differ so much that a fit from one may not reach the other."""
    size, proportion, height, side = (one - other).abs().tolist()
    return bool(size > 0.12 or proportion > 0.15 or height > 20 or side > 20)


def _placement(width: float, proportion: float, height: float, side: float) -> Placement:
    across, up = math.log(width), math.log(width * proportion)
    return Placement(torch.tensor([across, 0.5 * (across + up), up]), torch.tensor([side / UNIT, 0.0, height / UNIT]))


def follow(start: Placement, canvas: Tensor, wanted: Tensor, weight: Tensor, steps: int = 40) -> PlaneFit:
    """Fit placement, then coarse free-form deformations in the plane.

    Args:
        start: of `search`.
        canvas, wanted, weight: see there.
        steps: of each of the two stages.
    """
    x, z = points_in_plane(1)
    y = torch.zeros_like(x)
    wide, narrow = (LocalCorrelation(wanted, weight, sigma / GRID.spacing[0]) for sigma in (WIDE, NARROW))
    deformation = Deformation(start)
    searched = 0.0
    for local, spans in ((wide, ()), (narrow, SPANS)):
        deformation.coronal = [FreeForm(count) for count in spans]
        optimizer = torch.optim.Adam(
            [
                {"params": start.parameters(), "lr": 0.004 if spans else 0.02},
                {"params": [level.raw for level in deformation.coronal], "lr": 0.08},
            ]
        )
        for _ in range(steps):
            across, _, up = deformation.to_atlas(x, y, z)
            moved = ranks(sampled(canvas, across, up), weight)
            similar = correlation(moved, wanted, weight)
            loss = 0.5 * (1 - similar) + (1 - local(moved)) + _roughness(deformation)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        searched = searched or float(similar.detach())
    return PlaneFit(deformation, float(loss.detach()), searched)


def _roughness(deformation: Deformation) -> Tensor:
    return torch.stack([torch.zeros(()), *(level.roughness() for level in deformation.coronal)]).sum()
