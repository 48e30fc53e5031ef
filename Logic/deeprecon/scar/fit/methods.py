"""The methods by name, all fitted to the same slices; `METHODS` is the only list of them.

A new method is a member of `parameters.Method`, one function and one entry in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from deeprecon.jobs.run import Run
from deeprecon.scar.fit.fitted import FitData, Fitted, curves_of
from deeprecon.scar.fit.interpolation import ANATOMICAL, interpolate
from deeprecon.scar.observe.node_groups import training_groups
from deeprecon.scar.parameters import Method, ReconstructParameters


def is_anatomical(parameters: ReconstructParameters) -> bool:
    """Whether the method reads the slices along the wall and needs its coordinates."""
    return parameters.method is Method.INTERPOLATION and parameters.interpolation in ANATOMICAL


def fit(data: FitData, parameters: ReconstructParameters, run: Run, name: str = "field") -> Fitted:
    """Fit the chosen method to the slices.

    Args:
        data: the slices.
        parameters: with `steps` resolved.
        run: device, precision, seed, reporter and checkpoint folder.
        name: of this fit, where a run makes several.

    Raises:
        InputError: the mesh and the slices do not meet, or a checkpoint belongs to another run.
    """
    return METHODS[parameters.method](data, parameters, run, name)


def _interpolation(data: FitData, parameters: ReconstructParameters, run: Run, name: str) -> Fitted:
    run.reporter.status("Interpolating")
    return Fitted(lambda points: interpolate(data.stacks, points, parameters.interpolation, data.coordinates))


def _field(data: FitData, parameters: ReconstructParameters, run: Run, name: str) -> Fitted:
    from deeprecon.scar.fit import field
    from deeprecon.scar.fit.field_fit import fit_field

    run.reporter.status("Fitting the field")
    done = fit_field(data.observations, data.quadrature, parameters.steps, run, name=name)
    steps = parameters.steps if done.finished or not done.history else int(done.history[-1]["step"])
    return Fitted(
        partial(field.predict, done.field, done.spread),
        partial(field.samples, done.field, done.spread),
        curves_of(done.history),
        {
            "steps": steps,
            "best_step": done.best_step,
            "held_out_error": done.held_out_error,
            "uncertainty_factor": done.spread,
        },
    )


def _mlp(data: FitData, parameters: ReconstructParameters, run: Run, name: str) -> Fitted:
    from deeprecon.scar.fit import mlp
    from deeprecon.scar.fit.mlp_fit import fit_mlp

    groups = training_groups(data.mesh.points, data.stacks)
    assert groups.nodes is not None
    run.reporter.status("Training the network")
    done = fit_mlp(groups, parameters.network, parameters.steps, parameters.patience, run, name=name)
    masks = done.network.draw_masks(parameters.samples, run.seed)
    return Fitted(
        partial(mlp.predict, done.network, masks),
        partial(mlp.samples, done.network, masks),
        curves_of(done.history),
        {**done.figures, "groups_with_nodes": len(groups), "nodes_in_groups": len(np.unique(groups.nodes))},
    )


METHODS: dict[Method, Callable[[FitData, ReconstructParameters, Run, str], Fitted]] = {
    Method.FIELD: _field,
    Method.MLP: _mlp,
    Method.INTERPOLATION: _interpolation,
}
