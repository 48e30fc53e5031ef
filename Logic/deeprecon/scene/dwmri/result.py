"""An enhanced diffusion scan in the scene: loaded, put into words, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.dwmri.parameters import EnhanceParameters
from deeprecon.dwmri.write.summary import figure_rows
from deeprecon.jobs.parameters import from_json
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.common.results import MakeNode, load_results, read_result, run_of
from deeprecon.scene.dwmri.files import read_scan
from deeprecon.scene.dwmri.job import OUTPUT, DwiNodes
from deeprecon.scene.dwmri.nodes import node_from_colors, node_from_map, node_from_scan
from deeprecon.scene.nodes.nifti import read_image
from deeprecon.scene.nodes.parameters import from_dataclass
from deeprecon.scene.nodes.tables import node_from_rows

REFERENCES = {"dwi": "DeepRecon.Scan", "mask": "DeepRecon.Mask"}
CHOICES = "DeepRecon.DwiChoices"


@dataclass(frozen=True)
class DwiResult:
    """What a run gave.

    Attributes:
        nodes: by role: "dwi" of the class of the input, "residual" likewise, label map "mask", volumes "noise",
            "uncertainty", "fa_before", "fa_after", "md_before", "md_after", "color_fa_before", "color_fa_after" where a
            tensor could be fitted, their changes "fa_change" and "md_change" (after minus before), and the table
            "figures".
        sentence: about the noise, and what the residual says.
        report: page with pictures.
    """

    nodes: Mapping[str, Any]
    sentence: str
    report: Path


def load_outputs(folder: Path, nodes: DwiNodes, reuse: Mapping[str, Any] | None = None) -> DwiResult:
    """Load what a finished job folder holds: all of it or nothing.

    Args:
        folder: the job folder.
        nodes: what the result was made from; it is noted on the result's scan.
        reuse: role -> node of an earlier run whose content is replaced.

    Raises:
        InputError: no result, or one that is damaged.
    """
    made = load_folder(folder / OUTPUT, nodes.dwi, reuse)
    remember(made["dwi"], nodes)
    metrics = read_result(folder / OUTPUT).get("metrics", {})
    return DwiResult(made, sentence_of(metrics), folder / OUTPUT / "report.html")


def load_folder(folder: Path, source: Any = None, reuse: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Load the outputs of `dwmri enhance` on one scan, also those of the command line; returns role -> node.

    Args:
        folder: with result.json.
        source: node of the scan that was enhanced; None where it is not in the scene.
        reuse: as `load_results`.

    Raises:
        InputError: no result, or one that is damaged.
    """

    def own(files: Mapping[str, Path], result: Mapping[str, Any]) -> dict[str, MakeNode]:
        if "dwi" not in files:
            raise InputError(f"The result in {folder} is not that of one scan.", "Choose the folder of one scan.")
        scan = read_scan(files["dwi"])
        maps: dict[str, Any] = {}
        makers: dict[str, MakeNode] = {"dwi": partial(_scan_node, scan, source)}
        for role, path in files.items():
            if path.name.endswith((".nii.gz", ".nii")) and role != "dwi":
                array, _ = read_image(path)  # on the grid of the scan, whose file says it with more digits
                if role == "residual":
                    makers[role] = partial(_scan_node, scan.with_array(array), source)
                elif array.ndim == 4:
                    makers[role] = partial(_colors_node, array, scan.ijk_to_ras)
                else:
                    maps[role] = array
                    makers[role] = partial(node_from_map, Volume(array, scan.ijk_to_ras, role))
        for name in ("fa", "md"):
            if {f"{name}_before", f"{name}_after"} <= maps.keys():
                change = np.asarray(maps[f"{name}_after"], np.float32) - maps[f"{name}_before"]
                makers[f"{name}_change"] = partial(node_from_map, Volume(change, scan.ijk_to_ras, f"{name} change"))
        makers["figures"] = partial(node_from_rows, figure_rows(result.get("metrics", {})))
        return makers

    name = f"{source.GetName()} enhanced" if source is not None else ""
    return load_results(folder, name, source, reuse, own)


def _scan_node(scan: Any, source: Any, name: str, node: Any) -> Any:
    return node_from_scan(scan, name.removesuffix(" dwi"), node, source)


def _colors_node(array: Any, ijk_to_ras: Any, name: str, node: Any) -> Any:
    return node_from_colors(np.asarray(array, float), ijk_to_ras, name, node)


def sentence_of(metrics: Mapping[str, Any]) -> str:
    """What a run found, in a sentence or two."""
    text = f"Done: {metrics['volumes']} volumes, signal of the weighted ones {metrics['snr_dwi']:.1f} times the noise."
    before, after = metrics.get("mean_fa_before"), metrics.get("mean_fa_after")
    if before is not None and after is not None:
        text += f" Mean FA {before:.3f} before, {after:.3f} after."
    return text


def remember(result_node: Any, nodes: DwiNodes) -> None:
    """Note on a result scan what it was made from, so that it can be repeated also from a saved scene."""
    for name, role in REFERENCES.items():
        node = getattr(nodes, name)
        result_node.SetNodeReferenceID(role, None if node is None else node.GetID())
    choices = {"bundle": None if nodes.bundle is None else str(nodes.bundle), "mask": nodes.mask is not None}
    result_node.SetAttribute(CHOICES, json.dumps(choices))


def recall(result_node: Any) -> DwiNodes:
    """What a result scan was made from; inputs that were removed from the scene are None.

    Raises:
        InputError: the node is no result of an enhancement.
    """
    text = result_node.GetAttribute(CHOICES)
    if not text:
        raise InputError(f"{result_node.GetName()} is not a result of DWI Enhance.", "Choose one under Results.")
    bundle = json.loads(text)["bundle"]
    nodes = {name: result_node.GetNodeReference(role) for name, role in REFERENCES.items()}
    return DwiNodes(**nodes, bundle=None if bundle is None else Path(bundle))


def is_result(node: Any) -> bool:
    """Whether a node is a result of an enhancement."""
    return bool(node.GetAttribute(CHOICES))


def images_of(result_node: Any) -> dict[str, Any]:
    """Role -> node of the results of a run, and "input", the scan that it was made from, where it is in the scene."""
    images = dict(run_of(result_node))
    source = recall(result_node).dwi
    return {**images, "input": source} if source is not None else images


def restore(node: Any, result_node: Any) -> None:
    """Set a parameter node to what a result was made from and with.

    Raises:
        InputError: there is no result, or an input is not in the scene any more; nothing is changed then.
    """
    if result_node is None:
        raise InputError("No result is selected.", "Choose one under Results.")
    nodes, provenance = recall(result_node), provenance_of(result_node)
    had_mask = json.loads(result_node.GetAttribute(CHOICES))["mask"]
    for words, gone in (("scan", nodes.dwi is None), ("mask", had_mask and nodes.mask is None)):
        if gone:
            raise InputError(f"The {words} of this result is not in the scene any more.", "Load and choose it again.")
    node.inputScan, node.mask = nodes.dwi, nodes.mask
    node.useModel, node.modelFolder = nodes.bundle is not None, str(nodes.bundle or "")
    node.seed = provenance.get("seed", 0)
    from_dataclass(node.settings, from_json(EnhanceParameters, provenance["parameters"]))
