"""The results of a diffusion enhancement in the scene."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.errors import InputError
from deeprecon.data.formats.nifti import read_nifti
from deeprecon.data.volume import Volume
from deeprecon.dwmri.write.metric_table import metric_rows
from deeprecon.scene.common.results import NodeFactory, RunResult, load_results, nodes_of_run, read_result
from deeprecon.scene.dwmri.inputs import store_inputs, stored_inputs
from deeprecon.scene.dwmri.job import DwiNodes
from deeprecon.scene.dwmri.scan import node_from_colors, node_from_map, node_from_scan
from deeprecon.scene.nodes.tables import node_from_rows
from deeprecon.steps import Apart, Steps, in_steps

TITLES = {
    "fa_before": "FA before",
    "fa_after": "FA after",
    "fa_change": "FA change",
    "md_before": "MD before",
    "md_after": "MD after",
    "md_change": "MD change",
    "color_fa_before": "color FA before",
    "color_fa_after": "color FA after",
}
"""Role -> its words in the names of the nodes."""


@in_steps
def load_outputs(folder: Path, nodes: DwiNodes, reuse: Mapping[str, Any] | None = None) -> Steps[RunResult]:
    """Load the results of a finished job: all or none.

    Args:
        folder: with result.json.
        nodes: inputs of the job; stored on the result scan.
        reuse: role -> node of an earlier run whose content is replaced.

    Raises:
        InputError: no result, or one that is damaged.
    """
    made = yield from load_folder.steps(folder, nodes.dwi, reuse)
    store_inputs(made["dwi"], nodes)
    metrics = read_result(folder).get("metrics", {})
    return RunResult(made, summary_sentence(metrics), folder / "report.html")


@in_steps
def load_folder(folder: Path, source: Any = None, reuse: Mapping[str, Any] | None = None) -> Steps[dict[str, Any]]:
    """Load the outputs of `dwmri enhance` on one scan, also those of the command line.

    Args:
        folder: with result.json.
        source: node of the input scan; None if it is not in the scene.
        reuse: as `load_results`.

    Returns:
        Role -> node: "dwi" and "residual" of the class of the input, label map "mask", volumes "noise" and
        "uncertainty"; if a tensor could be fitted, "fa_before", "fa_after", "md_before", "md_after", "color_fa_before",
        "color_fa_after" and the changes "fa_change" and "md_change" (after minus before); the table "figures".

    Raises:
        InputError: no result, or one that is damaged.
    """

    def factories(files: Mapping[str, Path], result: Mapping[str, Any]) -> Steps[dict[str, NodeFactory]]:
        if "dwi" not in files:
            raise InputError(f"The result in {folder} is not that of one scan.", "Choose the folder of one scan.")
        scan = yield Apart("Reading the scan…", partial(read_dwi, files["dwi"]))
        maps: dict[str, Any] = {}
        made: dict[str, NodeFactory] = {"dwi": partial(_scan_node, scan, source)}
        for role, path in files.items():
            if path.name.endswith((".nii.gz", ".nii")) and role != "dwi":
                array = yield Apart(f"Reading the {role.replace('_', ' ')}…", partial(_values, path))
                if role == "residual":
                    made[role] = partial(_scan_node, scan.with_array(array), source)
                elif array.ndim == 4:
                    made[role] = partial(_colors_node, array, scan.ijk_to_ras)
                else:
                    maps[role] = array
                    made[role] = partial(node_from_map.steps, Volume(array, scan.ijk_to_ras, role))
        for name in ("fa", "md"):
            if {f"{name}_before", f"{name}_after"} <= maps.keys():
                change = np.asarray(maps[f"{name}_after"], np.float32) - maps[f"{name}_before"]
                made[f"{name}_change"] = partial(node_from_map.steps, Volume(change, scan.ijk_to_ras, f"{name} change"))
        made["figures"] = partial(node_from_rows, metric_rows(result.get("metrics", {})))
        return made

    name = f"{source.GetName()} enhanced" if source is not None else ""
    return (yield from load_results.steps(folder, name, source, reuse, factories, TITLES))


def _values(path: Path) -> npt.NDArray[np.generic]:
    """The values of an image on the grid of the scan, whose file states it with more digits; volumes last."""
    array = read_nifti(path).array
    return array if array.ndim == 3 else np.ascontiguousarray(np.moveaxis(array, 0, -1))


def _scan_node(scan: Any, source: Any, name: str, node: Any) -> Any:
    return node_from_scan(scan, name.removesuffix(" dwi"), node, source)


def _colors_node(array: Any, ijk_to_ras: Any, name: str, node: Any) -> Any:
    return node_from_colors(np.asarray(array, float), ijk_to_ras, name, node)


def summary_sentence(metrics: Mapping[str, Any]) -> str:
    """Noise and FA in one or two sentences."""
    kind, snr = ("weighted ones", "snr_dwi") if "snr_dwi" in metrics else ("b0", "snr_b0")
    text = f"Done: {metrics['volumes']} volumes, signal of the {kind} {metrics[snr]:.1f} times the noise."
    before, after = metrics.get("mean_fa_before"), metrics.get("mean_fa_after")
    if before is not None and after is not None:
        text += f" Mean FA {before:.3f} before, {after:.3f} after."
    return text


def images_of(result_node: Any) -> dict[str, Any]:
    """Role -> image of the results of a run, and "input", the scan that it was made from, where it is in the scene."""
    nodes = nodes_of_run(result_node).items()
    images = {role: node for role, node in nodes if not node.IsA("vtkMRMLTableNode")}
    source = stored_inputs(result_node).dwi
    return {**images, "input": source} if source is not None else images
