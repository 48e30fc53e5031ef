"""The methods by name, all fitted to the same observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh import Mesh
from deeprecon.jobs.run import Run
from deeprecon.scar.interpolation import interpolate
from deeprecon.scar.observations import Observations, Quadrature
from deeprecon.scar.outputs import Predict
from deeprecon.scar.parameters import Method, ReconstructParameters
from deeprecon.scar.stacks import Stack

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A method's answer to the slices of one patient.

    Attributes:
        predict: probability and uncertainty at any points.
        samples: (M, 3) points in RAS mm -> (S, M) equally likely probabilities, such as those of an ensemble's members;
            None for methods that have none.
        history: curve name -> values, with the steps under "step"; empty for methods that do not train.
        figures: about the fit, for the result.
    """

    predict: Predict
    samples: Callable[[Floats], npt.NDArray[np.float32]] | None = None
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)


def fit(
    stacks: Sequence[Stack],
    observations: Observations,
    points: Quadrature,
    mesh: Mesh,
    parameters: ReconstructParameters,
    run: Run,
) -> Fitted:
    """Fit the chosen method to the slices.

    Args:
        stacks: what interpolation reads.
        observations, points: of the same slices, what the others read.
        mesh: RAS mm, whose nodes the mlp is trained on.
        parameters: with `steps` resolved.
        run: see there.
    """
    if parameters.method is Method.INTERPOLATION:
        run.reporter.status("Interpolating")
        return Fitted(lambda places: interpolate(stacks, places, parameters.interpolation))
    from deeprecon.scar.infer import predict
    from deeprecon.scar.train import fit_field

    run.reporter.status("Fitting the field")
    done = fit_field(observations, points, parameters.steps, run)
    curves = {name: [entry[name] for entry in done.history] for name in done.history[0]} if done.history else {}
    steps = parameters.steps if done.finished or not done.history else int(done.history[-1]["step"])
    figures = {"steps": steps, "best_step": done.best_step, "held_out_error": done.held_out_error}
    return Fitted(lambda places: predict(done.field, places), None, curves, figures)
