"""Activation of a reconstructed heart from a pacing site in the scene: its job, and isochrones on a model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from deeprecon.data.markups import write_markups
from deeprecon.data.mesh.files import write_mesh
from deeprecon.jobs.job import Job
from deeprecon.jobs.parameters import to_json
from deeprecon.scar.electrophysiology.parameters import ActivationParameters
from deeprecon.scar.parameters import Frame, Unit
from deeprecon.scene.common.job import OUTPUT, check_settings
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.common.results import RunResult, hide_inputs, load_results
from deeprecon.scene.display.colors import show_scalars
from deeprecon.scene.display.layouts import BESIDE_3D, set_layout
from deeprecon.scene.nodes.markups import points_from_node
from deeprecon.scene.nodes.models import mesh_from_node
from deeprecon.scene.scar.inputs import is_result, stored_inputs
from deeprecon.scene.scar.result import name_columns
from deeprecon.steps import Apart, Steps, in_steps

VERB = "activation"
_TIMES = "activation_time"
_BANDS = 10
"""Colors of an activation map, see `color_table`."""


@dataclass(frozen=True)
class ActivationNodes:
    """Inputs of an activation map.

    Attributes:
        mesh: vtkMRMLModelNode with the result of a reconstruction, a volume mesh.
        site: vtkMRMLMarkupsFiducialNode whose first point is where activation starts.
    """

    mesh: Any
    site: Any

    def missing(self) -> str:
        """Message about the first missing input; empty if a run can start."""
        if not is_result(self.mesh):
            return "Reconstruct scar first, or choose a result mesh."
        if self.site is None:
            return "Place a point on the heart with the Markups toolbar, and choose it as the pacing site."
        return ""


@in_steps
def write_activation_job(
    folder: Path, nodes: ActivationNodes, parameters: ActivationParameters, device: str = "cpu", seed: int = 0
) -> Steps[dict[str, str]]:
    """Write the mesh with its scar, and job.json, into `folder`.

    Args:
        folder: of the job.
        nodes: the inputs.
        parameters: the settings; the site is taken from the nodes.
        device, seed: of the job; the same result for all.

    Returns:
        File name -> name of the node, for messages.

    Raises:
        InputError: something is missing, the site has no point, or the settings contradict themselves.
    """
    check_settings(parameters, nodes.missing())
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    yield "Reading the mesh…"
    mesh = mesh_from_node(nodes.mesh)
    name = "mesh.vtu" if mesh.is_volume else "mesh.vtp"
    yield Apart("Writing the mesh…", partial(write_mesh, folder / "inputs" / name, mesh, "mm", "lps"))
    inputs: dict[str, Any] = {"mesh": f"inputs/{name}"}
    made = {name: nodes.mesh.GetName()}
    landmarks = stored_inputs(nodes.mesh).landmarks
    if landmarks is not None:
        inputs["landmarks"] = "inputs/landmarks.mrk.json"
        write_markups(folder / inputs["landmarks"], points_from_node(landmarks))
        made["landmarks.mrk.json"] = landmarks.GetName()
    first = next(iter(points_from_node(nodes.site).values()))
    placed = replace(parameters, site=tuple(first.tolist()), mesh_unit=Unit.MM, mesh_frame=Frame.LPS)
    Job("scar", VERB, inputs, to_json(placed), output=OUTPUT, device=device, seed=seed).save(folder)
    return made


@in_steps
def load_activation(folder: Path, nodes: ActivationNodes, reuse: Any = None) -> Steps[RunResult]:
    """Load a finished activation map: all of its nodes or none.

    Args:
        folder: with result.json.
        nodes: inputs of the job.
        reuse: model of an earlier map, whose content is replaced; None for new nodes.

    Returns:
        Nodes "mesh", with `activation_time` in ms at its nodes, and the tables "sites" and, if there are some,
        "late_zones" and "slow_channels".

    Raises:
        InputError: no result, or one that is damaged.
    """
    made = yield from load_results.steps(folder, f"{nodes.mesh.GetName()} activation", nodes.mesh, {"mesh": reuse})
    name_columns(made)
    return RunResult(made, activation_sentence(made["mesh"]))


def activation_sentence(mesh: Any) -> str:
    """What an activation map shows.

    Raises:
        InputError: the model was made by something else.
    """
    metrics = provenance_of(mesh)["metrics"]
    parts = [f"The last tissue is activated after {metrics['last_activation_ms']:.0f} ms."]
    if metrics["activated_percent"] < 99.5:
        parts.append(f"The front reaches {metrics['activated_percent']:.0f} % of the wall; the rest is scar core.")
    if metrics["largest_delay_ms"] >= 1:
        parts.append(f"Scar delays it by up to {metrics['largest_delay_ms']:.0f} ms.")
    return " ".join(parts)


def show_activation(mesh: Any, covered: Any) -> None:
    """Color a model by its activation in bands, between which lie the isochrones; what it covers is hidden.

    Args:
        mesh: that `load_activation` made.
        covered: mesh of the reconstruction, or None.
    """
    last = provenance_of(mesh)["metrics"]["last_activation_ms"]
    step = max(5 * math.ceil(last / (5 * _BANDS)), 5)
    set_layout(BESIDE_3D)
    hide_inputs(mesh, [covered])
    legend = show_scalars(mesh, _TIMES, "activation", (0.0, float(_BANDS * step)), f"Activation (ms), every {step}")
    legend.SetLabelFormat("%.0f")
    legend.SetNumberOfLabels(_BANDS // 2 + 1)
