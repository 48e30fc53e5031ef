"""What a method is fitted to, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.observe.observations import Observations, Quadrature
from deeprecon.scar.observe.shell import Shell
from deeprecon.scar.observe.stacks import Stack

Floats = npt.NDArray[np.float64]

Predict = Callable[[Floats], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
"""(M, 3) points in RAS mm -> scar probability and uncertainty, (M,) each."""
Samples = Callable[[Floats], npt.NDArray[np.float32]]
"""(M, 3) points in RAS mm -> (S, M) equally likely probabilities, such as those of an ensemble's members."""


@dataclass(frozen=True, eq=False)
class FitData:
    """The same slices in every form that a method may use.

    Attributes:
        stacks: arrays of the slices, which interpolation reads.
        observations, quadrature: one group per pixel, to which the field is fitted.
        mesh: RAS mm, whose nodes the coordinate network is trained on.
        coordinates: of the wall, for the anatomical interpolations; None where they are not known.
    """

    stacks: Sequence[Stack]
    observations: Observations
    quadrature: Quadrature
    mesh: Mesh
    coordinates: WallCoordinates | None = None

    def of_core(self) -> FitData | None:
        """The same with scar core in place of scar; None where the images do not separate it."""
        if self.observations.core is None:
            return None
        stacks = tuple(
            replace(stack, scar=stack.core, likelihood=stack.core_likelihood)
            for stack in self.stacks
            if stack.core is not None
        )
        observations = replace(
            self.observations, y=self.observations.core, likelihood=self.observations.core_likelihood
        )
        return replace(self, stacks=stacks, observations=observations)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A method fitted to the slices of one patient.

    Attributes:
        predict: probability and uncertainty at any points.
        samples: equally likely probabilities at any points; None for methods that have none.
        history: curve name -> values, with the steps under "step"; empty for methods that do not train.
        figures: about the fit, for the result.
    """

    predict: Predict
    samples: Samples | None = None
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)


def on_shell(fitted: Fitted, shell: Shell) -> Fitted:
    """A fitted method read at the nodes of a shell, to which all points given to it belong, through the wall."""

    def predict(nodes: Floats) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        probability, uncertainty = fitted.predict(shell.points)
        return shell.project(probability), shell.at_extreme(uncertainty, probability)

    read = fitted.samples
    samples = None if read is None else lambda nodes: shell.project(read(shell.points))
    return replace(fitted, predict=predict, samples=samples)


def prism_means(predict: Predict, quadrature: Quadrature) -> npt.NDArray[np.float32]:
    """(G,) mean probability over the wall in each pixel's prism; NaN where the prism meets no wall."""
    groups, count = quadrature.weights.shape
    probability, _ = predict(quadrature.points.reshape(-1, 3))
    mean = (probability.reshape(groups, count) * quadrature.weights).sum(axis=1)
    return np.where(quadrature.met, mean, np.nan).astype(np.float32)


def curves_of(history: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """A history of steps as one list of values per name."""
    return {name: [entry[name] for entry in history] for name in (history[0] if history else ())}
