"""Everything that is measured on a fitted reconstruction: nodes, volumes, segments, channels, agreement with slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scar.fit.agreement import Agreement, agree_with_pixels, agreed_fit
from deeprecon.scar.fit.fitted import Fitted, on_shell, prism_means
from deeprecon.scar.measure.burden import NOT_GIVEN, NOT_OBSERVED, scar_burden, without_sizes
from deeprecon.scar.measure.channels import Channel, find_channels
from deeprecon.scar.measure.metrics import entropy
from deeprecon.scar.measure.observed import default_reach, nearest_values, observed_nodes
from deeprecon.scar.measure.slices import means_on_slices, node_residuals, slice_rows, unmet_rows
from deeprecon.scar.measure.voxels import VoxelResult, predict_voxels
from deeprecon.scar.measure.wall import WallMeasures, measure_wall
from deeprecon.scar.observe.node_groups import group_nodes
from deeprecon.scar.observe.slices import ObservedSlices
from deeprecon.scar.parameters import VALUE_ARRAYS, Projection, ReconstructParameters, ReportValues
from deeprecon.scar.read.case import Case
from deeprecon.scar.read.training_data import NodeGroups

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A measured reconstruction.

    Attributes:
        mesh: RAS mm, with scar_probability (the estimate), scar_probability_agreed, scar_uncertainty and the other
            arrays at its nodes.
        burden: rows of wall, scar, core and border zone or uncertain edge; without sizes where the slices are too few.
        wall: segments, depth and transmurality.
        voxels: the reconstruction on a voxel grid.
        channels: corridors through dense scar.
        slices: rows about each slice.
        slice_probability: per stack (k, j, i) float32, reconstructed probability at the pixel centers, 0 off the wall.
        unmet: rows of the pixels that the agreed values do not satisfy; empty where there are no such values.
        history: curve name -> values, with the steps under "step"; empty for methods that do not train.
        figures: for the result.
        warnings: sentences for the user.
    """

    mesh: Mesh
    burden: Sequence[dict[str, str | float]]
    wall: WallMeasures
    voxels: VoxelResult
    channels: Sequence[Channel]
    slices: Sequence[Row]
    slice_probability: tuple[npt.NDArray[np.float32], ...]
    unmet: Sequence[Row]
    history: Mapping[str, Sequence[float]]
    figures: Mapping[str, Any]
    warnings: tuple[str, ...]


def measure(
    case: Case,
    mesh: Mesh,
    slices: ObservedSlices,
    scar: Fitted,
    core: Fitted | None,
    parameters: ReconstructParameters,
) -> Reconstruction:
    """Measure scar (and core, where it was fitted by itself) at the nodes of a mesh and in its slices.

    All but the arrays of probability, the residuals and the unmet pixels is about the values that
    `parameters.report_values` names.
    """
    observations = slices.observations
    groups = group_nodes(mesh.points, slices.stacks)
    reach = parameters.observed_within or default_reach(slices.stacks)
    at_nodes, core_at_nodes, shell = scar, core, slices.shell
    if shell is None:
        observed = observed_nodes(mesh, slices, groups, reach)
    else:
        observed, at_nodes, core_at_nodes = shell.met, on_shell(scar, shell), core and on_shell(core, shell)
        # The nodes of a shell are not those of the pixels.
        parameters = replace(parameters, projection=Projection.OFF)
    estimate, uncertainty = at_nodes.predict(mesh.points)
    uncertainty = np.where(observed, uncertainty, 1).astype(np.float32)
    agreed = agree_with_pixels(estimate, groups, observations, parameters)
    if parameters.report_values is ReportValues.AGREED:
        scar, probability = agreed_fit(scar, agreed, mesh.points), agreed.probability
    else:
        probability = estimate
    tissues = _tissue_arrays(core_at_nodes, mesh, estimate, uncertainty, observed)
    core_probability = tissues.get("core_probability")
    burden = scar_burden(
        mesh,
        probability,
        uncertainty,
        parameters.cutoff,
        parameters.core_cutoff,
        parameters.density,
        core_probability,
        at_nodes.samples(mesh.points) if at_nodes.samples else None,
        core_at_nodes.samples(mesh.points) if core_at_nodes and core_at_nodes.samples else None,
        observed,
    )
    wall = measure_wall(case, slices, mesh, probability, uncertainty, parameters, observed)
    if not slices.give_volume:
        burden, wall = without_sizes(burden), replace(wall, segments=(), transmurality=())
    means = prism_means(scar.predict, slices.quadrature)
    voxels = _voxels(slices, mesh, scar, core, observed)
    arrays: dict[str, npt.ArrayLike] = {
        "scar_probability": estimate,
        "scar_uncertainty": uncertainty,
        "scar_entropy": entropy(estimate),
        "scar_binary": observed & (probability > parameters.cutoff),
        "observed": observed,
        **_agreed_arrays(agreed, groups),
        **tissues,
        **wall.arrays,
    }
    return Reconstruction(
        mesh.with_point_arrays(arrays),
        burden,
        wall,
        voxels,
        _channels(voxels, scar, core, parameters),
        slice_rows(observations, slices.quadrature, means),
        means_on_slices(slices.stacks, means),
        unmet_rows(agreed, groups, observations) if agreed.projected else [],
        scar.history,
        {
            "nodes": mesh.n_points,
            "groups": len(observations),
            "residual_rms": float(np.sqrt(np.nanmean((means - observations.y) ** 2))),
            **scar.figures,
            "groups_with_nodes": len(groups),
            **_agreement_figures(agreed),
            **scar_figures(burden),
            "observed_within_mm": reach,
            "not_observed_percent": _not_observed(burden),
        },
        (*_unknown_wall(burden, reach, shell is not None), *_contradictions(agreed), *wall.warnings),
    )


def _tissue_arrays(
    core: Fitted | None,
    mesh: Mesh,
    scar: npt.NDArray[np.float32],
    scar_uncertainty: npt.NDArray[np.float32],
    observed: npt.NDArray[np.bool_],
) -> dict[str, npt.NDArray[np.float32]]:
    """Probabilities of core and of border zone, which is scar without its core; none where the core was not fitted."""
    if core is None:
        return {}
    found, uncertainty = core.predict(mesh.points)
    probability = np.minimum(found, scar)
    # The errors of both fits are taken for independent.
    both = np.where(observed, np.minimum(np.hypot(scar_uncertainty, uncertainty), 0.5), 1)
    return {
        "core_probability": probability,
        "border_zone_probability": scar - probability,
        "border_zone_uncertainty": both.astype(np.float32),
    }


def scar_figures(burden: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The row of all scar in a table of burden, without the name of its region and what is not given."""
    return {key: value for key, value in burden[1].items() if key != "region" and value != NOT_GIVEN}


def _not_observed(burden: Sequence[Mapping[str, Any]]) -> float:
    """Percent of the whole wall that no slice shows."""
    return float(burden[-1]["percent_of_wall"]) if burden[-1]["region"] == NOT_OBSERVED else 0.0


def _unknown_wall(burden: Sequence[Mapping[str, Any]], reach: float, is_shell: bool) -> list[str]:
    """A warning about the wall that no slice shows."""
    if not (share := _not_observed(burden)):
        return []
    size = f"{burden[-1]['volume_ml']:.1f} ml" if "volume_ml" in burden[-1] else f"{burden[-1]['area_cm2']:.1f} cm²"
    if is_shell:
        return [
            f"Beneath {size} of the surface ({share:.1f} %) the slices show no wall: nothing is known there, and it "
            "does not count in percentages."
        ]
    return [
        f"{size} of the wall ({share:.1f} %) lie farther than {reach:.3g} mm from every slice: nothing is known there, "
        "and it counts neither as wall nor as scar in volumes and percentages."
    ]


def _voxels(
    slices: ObservedSlices, mesh: Mesh, scar: Fitted, core: Fitted | None, observed: npt.NDArray[np.bool_]
) -> VoxelResult:
    """The wall on a grid; beneath a shell that of the slices, all of which is observed."""
    predict_core = None if core is None else core.predict
    if slices.shell is not None:
        mesh, observed = slices.shell.wall, np.ones(slices.shell.wall.n_points, bool)
    known = partial(nearest_values, mesh, observed)
    return predict_voxels(scar.predict, predict_core, slices.inside, slices.stacks[0], mesh.points, known)


def _channels(
    voxels: VoxelResult, scar: Fitted, core: Fitted | None, parameters: ReconstructParameters
) -> list[Channel]:
    """Channels through the core, which is separated by its own probability where it has one."""
    if voxels.core is None or core is None:
        dense, cutoff, samples = voxels.scar, parameters.core_cutoff, scar.samples
    else:
        dense, cutoff, samples = voxels.core, parameters.cutoff, core.samples
    return find_channels(dense, voxels.scar, voxels.wall & voxels.observed, voxels.ijk_to_ras, cutoff, samples)


def _agreed_arrays(agreed: Agreement, groups: NodeGroups) -> dict[str, npt.ArrayLike]:
    """The agreed values and how far they miss their pixels; nothing where they were not made."""
    if not agreed.projected:
        return {}
    return {VALUE_ARRAYS[ReportValues.AGREED]: agreed.probability, "group_residual": node_residuals(agreed, groups)}


def _agreement_figures(agreed: Agreement) -> dict[str, Any]:
    """By how much the estimate and, where they were made, the agreed values miss the pixels."""
    figures: dict[str, Any] = {"largest_group_error_before": float(agreed.before.max(initial=0))}
    if not agreed.projected:
        return figures
    met = ~agreed.unmet
    return figures | {"largest_group_error": float(agreed.error[met].max(initial=0)), "groups_unmet": int((~met).sum())}


def _contradictions(agreed: Agreement) -> list[str]:
    count = int(agreed.unmet.sum()) if agreed.projected else 0
    text = "pixels contradict others that they overlap, so that scar_probability_agreed cannot satisfy them"
    return [f"{count} {text}; unmet.csv names them."] if count else []
