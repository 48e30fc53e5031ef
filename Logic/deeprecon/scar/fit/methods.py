"""The methods by name, all fitted to the same observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Mesh
from deeprecon.jobs.run import Run
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.fit.anatomical_interpolation import ANATOMICAL, interpolate_anatomical
from deeprecon.scar.fit.interpolation import interpolate
from deeprecon.scar.observe.node_groups import training_groups
from deeprecon.scar.observe.observations import Observations, Quadrature
from deeprecon.scar.parameters import Method, ReconstructParameters
from deeprecon.scar.read.stacks import Stack
from deeprecon.scar.write.outputs import Predict

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


def is_anatomical(parameters: ReconstructParameters) -> bool:
    """Whether the method reads the slices along the wall, and so has to know where that is."""
    return parameters.method is Method.INTERPOLATION and parameters.interpolation in ANATOMICAL


def fit(
    stacks: Sequence[Stack],
    observations: Observations,
    points: Quadrature,
    mesh: Mesh,
    parameters: ReconstructParameters,
    run: Run,
    name: str = "field",
    coordinates: WallCoordinates | None = None,
) -> Fitted:
    """Fit the chosen method to the slices.

    Args:
        stacks: what interpolation reads.
        observations, points: of the same slices, what the others read.
        mesh: RAS mm, whose nodes the mlp is trained on.
        parameters: with `steps` resolved.
        run: see there.
        name: of this fit, where a run makes several.
        coordinates: of the wall, for the anatomical interpolations.
    """
    if parameters.method is Method.INTERPOLATION:
        run.reporter.status("Interpolating")
        kind = parameters.interpolation
        if kind not in ANATOMICAL:
            return Fitted(lambda places: interpolate(stacks, places, kind))
        assert coordinates is not None
        wall = coordinates
        return Fitted(lambda places: interpolate_anatomical(stacks, places, kind, wall))
    if parameters.method is Method.MLP:
        return _fit_mlp(stacks, mesh, parameters, run, name)
    from deeprecon.scar.fit import field_inference as infer
    from deeprecon.scar.fit.field_fit import fit_field

    run.reporter.status("Fitting the field")
    done = fit_field(observations, points, parameters.steps, run, name=name)
    curves = {name: [entry[name] for entry in done.history] for name in done.history[0]} if done.history else {}
    steps = parameters.steps if done.finished or not done.history else int(done.history[-1]["step"])
    figures = {
        "steps": steps,
        "best_step": done.best_step,
        "held_out_error": done.held_out_error,
        "uncertainty_factor": done.spread,
    }
    return Fitted(
        partial(infer.predict, done.field, done.spread),
        partial(infer.samples, done.field, done.spread),
        curves,
        figures,
    )


def _fit_mlp(stacks: Sequence[Stack], mesh: Mesh, parameters: ReconstructParameters, run: Run, name: str) -> Fitted:
    from deeprecon.scar.fit import mlp
    from deeprecon.scar.fit.mlp_fit import fit_mlp

    groups = training_groups(mesh.points, stacks)
    assert groups.nodes is not None
    run.reporter.status("Training the network")
    done = fit_mlp(groups, parameters.network, parameters.steps, parameters.patience, run, name=name)
    masks = done.network.draw_masks(parameters.samples, run.seed)
    figures = {
        **done.figures,
        "groups_with_nodes": len(groups),
        "nodes_in_groups": len(np.unique(groups.nodes)),
    }
    return Fitted(
        partial(mlp.predict, done.network, masks), partial(mlp.samples, done.network, masks), done.curves, figures
    )
