"""The fit of an atlas to a film: its deformation is varied until its projection has the film's relief.

First in the plane of the film, which is fast: from many sizes, proportions and places the most similar ones are
followed, see `search`. Then along the rays of the cone beam through the deformed atlas itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.ctpa.atlas.deformation import Deformation, FreeForm
from deeprecon.ctpa.atlas.projector import GRID, Projector
from deeprecon.ctpa.atlas.search import NARROW, STARTS, PlaneFit, follow, search
from deeprecon.ctpa.atlas.similarity import LocalCorrelation, correlation, ranks
from deeprecon.ctpa.atlas.volume import Atlas
from deeprecon.ctpa.observe.projection import Geometry

Image = npt.NDArray[np.float32]
Progress = Callable[[float], None]
"""Gets the share that is done; what it raises ends the fit."""

FINEST = 20
"""Spans of the last free-form deformation."""
STEPS = 60
"""Of the fit along the rays."""
DEPTH_WEIGHT = 0.5
"""Of the squared difference between the logarithms of depth and of the mean of width and height."""


@dataclass(frozen=True, eq=False)
class Film:
    """What an atlas is fitted to.

    Attributes:
        image: (rows towards the head, columns to the left) on the detector of `projector.GRID`.
        weight: (rows, columns) 1 where it shows the chest, 0 elsewhere.
        geometry: of the X-ray.
    """

    image: Image
    weight: Image
    geometry: Geometry

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Its ranks and weights."""
        image, weight = (torch.from_numpy(np.asarray(values, np.float32)) for values in (self.image, self.weight))
        return ranks(image, weight), weight


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted atlas.

    Attributes:
        deformation: from the field to the atlas.
        projection: (rows, columns) line integrals of the deformed atlas on the detector of `projector.GRID`.
        correlation: of the ranks of projection and film.
        searched: the same before any free-form deformation.
        jacobian: the smallest one of the free-form deformations.
        seconds: wall time.
    """

    deformation: Deformation
    projection: Image
    correlation: float
    searched: float
    jacobian: float
    seconds: float = 0.0


def fit_along_rays(project: Projector, film: Film, start: PlaneFit, progress: Progress) -> Fit:
    """Go on from a fit in the plane with the cone beam and a finer deformation."""
    wanted, weight = film.tensors()
    deformation = start.deformation
    deformation.coronal.append(FreeForm(FINEST))
    placement = deformation.placement
    local = LocalCorrelation(wanted, weight, NARROW / GRID.spacing[0])
    optimizer = torch.optim.Adam(
        [
            {"params": placement.parameters(), "lr": 0.004},
            {"params": [level.raw for level in deformation.coronal], "lr": 0.05},
        ]
    )
    for step in range(STEPS):
        moved = ranks(project(deformation), weight)
        size = placement.scale
        loss = 0.5 * (1 - correlation(moved, wanted, weight)) + (1 - local(moved))
        loss = loss + torch.stack([level.roughness() for level in deformation.coronal]).sum()
        loss = loss + DEPTH_WEIGHT * (size[1] - 0.5 * (size[0] + size[2])) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress((step + 1) / STEPS)
    with torch.no_grad():
        projection = project(deformation)
        similar = float(correlation(ranks(projection, weight), wanted, weight))
    return Fit(deformation, projection.numpy(), similar, start.searched, deformation.smallest_jacobian())


def fit_best(atlases: Sequence[Atlas], film: Film, progress: Progress = lambda done: None) -> tuple[int, Fit]:
    """The fit of that one of several atlases which is most similar to a film in the plane; see the module.

    Returns:
        The index of the atlas, and its fit.
    """
    begun = time.perf_counter()
    wanted, weight = film.tensors()
    projectors = [Projector(atlas, film.geometry) for atlas in atlases]
    canvases = [project.canvas() for project in projectors]
    starts = [
        (score, index, placement)
        for index, canvas in enumerate(canvases)
        for score, placement in search(canvas, wanted, weight)
    ]
    starts = sorted(starts, key=lambda start: -start[0])[:STARTS]
    found = []
    for number, (_, index, placement) in enumerate(starts, start=1):
        found.append((index, follow(placement, canvases[index], wanted, weight)))
        progress(0.5 * number / len(starts))
    index, start = min(found, key=lambda entry: entry[1].loss)
    fit = fit_along_rays(projectors[index], film, start, lambda done: progress(0.5 + 0.5 * done))
    return index, replace(fit, seconds=time.perf_counter() - begun)
