"""The results of a scar reconstruction in the scene."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import slicer

from deeprecon.data.mesh.files import place, read_lines
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scene.common.results import NodeFactory, RunResult, load_results, read_result
from deeprecon.scene.nodes.models import node_from_mesh
from deeprecon.scene.scar.inputs import store_inputs
from deeprecon.scene.scar.job import ScarNodes
from deeprecon.steps import Steps, in_steps

TITLES = {
    "volume_ml": "ml",
    "area_cm2": "cm²",
    "mass_g": "g",
    "percent_of_wall": "% of wall",
    "low_ml": "from ml",
    "high_ml": "to ml",
    "low_cm2": "from cm²",
    "high_cm2": "to cm²",
    "largest_piece_ml": "largest ml",
    "largest_piece_cm2": "largest cm²",
    "interface_cm2": "border cm²",
    "wall_ml": "wall ml",
    "scar_ml": "scar ml",
    "scar_g": "scar g",
    "scar_percent": "scar %",
    "not_observed_percent": "not observed %",
    "mean_transmurality_percent": "transmurality %",
    "transmural_share_percent": "transmural area %",
    "transmurality_percent": "transmurality %",
    "length_mm": "length mm",
    "width_mm": "narrowest mm",
    "scar_probability": "scar probability",
    "open_probability": "probability to be open",
    "dice": "Dice",
    "rms": "RMS error",
    "observed_scar_cm2": "observed cm²",
    "predicted_scar_cm2": "predicted cm²",
}
"""Columns of the tables and their titles in the panel."""
ROLES = {"aha": "AHA segments", "unmet": "pixels not met"}
"""Role -> its words in the names of the nodes."""
_CHANNEL_PATHS, _PROBABILITY = "channel_paths", "probability"
_LINE_WIDTH = 6  # pixels
_LINE_COLOR = (0.1, 0.95, 0.45)
"""Differs from the colors of scar, wall and images."""


@in_steps
def load_outputs(folder: Path, nodes: ScarNodes, reuse: Mapping[str, Any] | None = None) -> Steps[RunResult]:
    """Load the results of a finished job: all or none.

    Args:
        folder: with result.json.
        nodes: inputs of the job; stored on the result mesh.
        reuse: role -> node of an earlier run whose content is replaced.

    Returns:
        Nodes "mesh", "table" and "slices"; "segmentation" if the mesh is closed; if they were found, the tables "aha",
        "transmurality" and "channels" and the lines "channel_paths".

    Raises:
        InputError: no result, or one that is damaged.
    """
    source = nodes.volume if nodes.volume is not None else nodes.segmentation
    made = yield from load_results.steps(folder, f"{source.GetName()} scar", source, reuse, node_factories, ROLES)
    store_inputs(made["mesh"], nodes)
    name_columns(made)
    sentence = result_sentence(read_result(folder).get("metrics", {}))
    return RunResult(made, sentence, folder / "report.html")


def name_columns(nodes: Mapping[str, Any]) -> None:
    """Set the titles of the columns of all tables."""
    for node in nodes.values():
        if node.IsA("vtkMRMLTableNode"):
            for column, title in TITLES.items():
                if node.GetTable().GetColumnByName(column):
                    node.SetColumnTitle(column, title)


def node_factories(files: Mapping[str, Path], result: Mapping[str, Any]) -> dict[str, NodeFactory | None]:
    """The channels' paths are lines, which no mesh reader takes; the mesh shows the probability."""
    not_loaded: dict[str, NodeFactory | None] = {_PROBABILITY: None}
    if _CHANNEL_PATHS not in files:
        return not_loaded
    file = read_lines(files[_CHANNEL_PATHS])
    return not_loaded | {_CHANNEL_PATHS: partial(_lines_node, place(file, "mm", file.frame or "lps"))}


def _lines_node(lines: Mesh, name: str, node: Any) -> Any:
    """A model of lines that are also visible inside a half transparent mesh."""
    node = node_from_mesh(lines, name, node)
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetLineWidth(_LINE_WIDTH)
        display.SetColor(*_LINE_COLOR)
        display.SetLighting(False)
    return node


def result_sentence(metrics: Mapping[str, Any]) -> str:
    """What a run found, from the metrics of its result."""
    measure, unit = ("volume", "ml") if "volume_ml" in metrics else ("area", "cm2")
    size = metrics.get(f"{measure}_{unit}")
    if size is None:
        return "Volume, mass and percentage of scar are not given: all slices are long-axis slices."
    unknown = metrics.get("not_observed_percent", 0)
    rest = f" No slice shows {unknown:.0f} % of the wall, which does not count." if unknown >= 0.5 else ""
    if size == 0:
        return f"No scar was found. If the images show some, check the scar segment or lower the threshold.{rest}"
    low, high = metrics.get(f"low_{unit}"), metrics.get(f"high_{unit}")
    spread = "" if low is None or high is None else f" (spread of the ensemble {low:.1f} to {high:.1f})"
    share = metrics["percent_of_wall"]
    return f"Scar {measure}: {size:.1f} {unit.replace('2', '²')}{spread}, {share:.0f} % of the wall.{rest}"
