"""Thresholds of a model for the quality of its results."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Upper 99 % prediction limits from held-out cases; part of a bundle.

    Attributes:
        nrmse: of the projection check.
        distance: of an X-ray from those of the training.
    """

    nrmse: float
    distance: float
