"""The fit of an atlas to a film: its deformation is varied until its projection has the film's relief.

First in the plane of the film, which is fast: from many sizes, proportions and places the most similar ones are
followed, see `search`. Then along the rays of the cone beam through the deformed atlas itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.ctpa.atlas.deformation import UNIT, Deformation, FreeForm
from deeprecon.ctpa.atlas.projector import GRID, PLANE_STEP, Projector
from deeprecon.ctpa.atlas.search import SPANS, STARTS, WIDE, PlaneFit, follow, search
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
FINE = 8.0
"""Standard deviation in mm of the windows of the local correlation there."""
DEPTHS = (-0.25, -0.12, 0.0, 0.12, 0.25)
BACKS = tuple(range(-60, 61, 20))
RAISED = (-40.0, -20.0, 0.0, 20.0, 40.0)
"""Changes of the logarithm of the depth, shifts to the back and upwards in mm: tried with a lateral film."""
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
        lateral: correlation with the lateral film; None without one.
        mirrored: the lateral film fits with its first column at the back.
        seconds: wall time.
    """

    deformation: Deformation
    projection: Image
    correlation: float
    searched: float
    jacobian: float
    lateral: float | None = None
    mirrored: bool = False
    seconds: float = 0.0


@dataclass(eq=False)
class _View:
    """One film during the fit along the rays.

    Attributes:
        project: of the atlas with the film's geometry.
        wanted, weight: (rows, columns) ranks of the film, and which pixels count.
        raised: in `UNIT`s, see `Projector.__call__`.
    """

    project: Projector
    wanted: Tensor
    weight: Tensor
    raised: Tensor = field(default_factory=lambda: torch.zeros(()))

    def __post_init__(self) -> None:
        self._local = LocalCorrelation(self.wanted, self.weight, FINE / GRID.spacing[0])

    def loss(self, deformation: Deformation) -> Tensor:
        moved = ranks(self.project(deformation, PLANE_STEP, self.raised * UNIT), self.weight)
        return 0.5 * (1 - correlation(moved, self.wanted, self.weight)) + (1 - self._local(moved))


def _fit_along_rays(views: Sequence[_View], start: PlaneFit, progress: Progress) -> Fit:
    """Go on from a fit in the plane with the rays of one film, or of two, and a finer deformation."""
    deformation = start.deformation
    deformation.coronal.append(FreeForm(FINEST))
    lateral = len(views) > 1
    deformation.sagittal = [FreeForm(spans) for spans in SPANS] if lateral else []
    placement, levels = deformation.placement, deformation.coronal + deformation.sagittal
    optimizer = torch.optim.Adam(
        [
            {"params": placement.parameters(), "lr": 0.004},
            {"params": [view.raised.requires_grad_(True) for view in views[1:]], "lr": 0.02},
            {"params": [level.raw for level in levels], "lr": 0.05},
        ]
    )
    depth_weight = DEPTH_WEIGHT * (0.1 if lateral else 1.0)
    for step in range(STEPS):
        size = placement.scale
        loss = torch.stack([view.loss(deformation) for view in views]).sum()
        loss = loss + torch.stack([level.roughness() for level in levels]).sum()
        loss = loss + depth_weight * (size[1] - 0.5 * (size[0] + size[2])) ** 2
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress((step + 1) / STEPS)
    with torch.no_grad():
        projections = [view.project(deformation, 1, view.raised * UNIT) for view in views]
        similar = [
            float(correlation(ranks(projection, view.weight), view.wanted, view.weight))
            for projection, view in zip(projections, views, strict=True)
        ]
    beside = similar[1] if lateral else None
    jacobian = deformation.smallest_jacobian()
    return Fit(deformation, projections[0].numpy(), similar[0], start.searched, jacobian, beside)


def _lateral_view(atlas: Atlas, film: Film, start: Deformation) -> tuple[_View, bool]:
    """A lateral film with the depth that fits it best, which the deformation gets, and whether it is mirrored."""
    wanted, weight = film.tensors()
    view = _View(Projector(atlas, film.geometry, lateral=True), wanted, weight)
    flipped = _View(view.project, wanted.flip(1), weight.flip(1))
    wide = [LocalCorrelation(each.wanted, each.weight, WIDE / GRID.spacing[0]) for each in (view, flipped)]
    placement = start.placement
    size, place = placement.scale.detach().clone(), placement.shift.detach().clone()
    best: tuple[float, _View, Tensor, Tensor, float] | None = None
    with torch.no_grad():
        for depth, back, up in product(DEPTHS, BACKS, RAISED):
            placement.scale, placement.shift = size.clone(), place.clone()
            placement.scale[1], placement.shift[1] = size[1] + depth, back / UNIT
            moved = view.project(start, PLANE_STEP, up)
            for each, local in zip((view, flipped), wide, strict=True):
                ranked = ranks(moved, each.weight)
                score = float(0.5 * correlation(ranked, each.wanted, each.weight) + local(ranked))
                if best is None or score > best[0]:
                    best = score, each, placement.scale, placement.shift, up
    assert best is not None
    _, chosen, placement.scale, placement.shift, up = best
    chosen.raised = torch.tensor(up / UNIT)
    return chosen, chosen is flipped


def fit_best(
    atlases: Sequence[Atlas], film: Film, progress: Progress = lambda done: None, lateral: Film | None = None
) -> tuple[int, Fit]:
    """The fit of that one of several atlases which is most similar to a film in the plane; see the module.

    Args:
        atlases, film, progress: see there.
        lateral: a lateral film of the same patient, as its image columns from the front to the back, or mirrored.

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
    views, mirrored = [_View(projectors[index], wanted, weight)], False
    if lateral is not None:
        view, mirrored = _lateral_view(atlases[index], lateral, start.deformation)
        views.append(view)
    fit = _fit_along_rays(views, start, lambda done: progress(0.5 + 0.5 * done))
    return index, replace(fit, mirrored=mirrored, seconds=time.perf_counter() - begun)
