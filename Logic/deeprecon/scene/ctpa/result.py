"""A synthetic CT in the scene: loaded, put into words, and what it was made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.ctpa.measure.anatomy import ORGAN_LIMITS
from deeprecon.ctpa.measure.quality import SEAM_LIMITS
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.scene.common.job import OUTPUT
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.common.results import NodeFactory, RunResult, load_results, read_result
from deeprecon.scene.ctpa.inputs import store_inputs
from deeprecon.scene.ctpa.job import CtpaNodes
from deeprecon.scene.ctpa.synthetic_label import set_synthetic
from deeprecon.scene.nodes.tables import node_from_rows
from deeprecon.scene.nodes.volumes import node_from_volume

SYNTHETIC = "(SYNTHETIC)"
"""End of the name of every node that shows what a model made up."""
MAX_SAMPLE_BYTES = 2 * 10**9
"""Bytes of samples that are loaded into the scene; where they are more, they stay in the job folder."""

_SAMPLE = re.compile(r"sample_(\d+)")
_WORDS = {
    "ct": "CT",
    "spread": "CT spread",
    "xray": "X-ray as used",
    "projected": "CT projected",
    "difference": "CT projected minus X-ray",
    "figures": "CT figures",
}
"""Role -> what stands behind the X-ray's name."""
_OWN = ("xray", "figures")
"""Roles of nodes that are not made up."""

FIGURES: dict[str, tuple[str, str, int, tuple[float, float] | None]] = {
    "nrmse": ("Projection error (NRMSE)", "", 2, None),
    "ncc": ("Projection correlation", "", 3, None),
    "projection_ssim": ("Projection SSIM", "", 3, None),
    "lung_hu": ("Lung (median)", "HU", 0, ORGAN_LIMITS["lung"]),
    "blood_hu": ("Blood in the heart (median)", "HU", 0, ORGAN_LIMITS["blood"]),
    "bone_hu": ("Bone (median)", "HU", 0, ORGAN_LIMITS["bone"]),
    "seam_ratio": ("Seam ratio", "", 2, SEAM_LIMITS),
    "xray_distance": ("Distance from the training X-rays", "", 2, None),
    "seconds_denoise": ("Time to denoise", "s", 1, None),
    "seconds_decode": ("Time to decode", "s", 1, None),
    "peak_memory_gb": ("Most memory", "GB", 2, None),
}
"""Figures of a run for the panel's table: words, unit, digits, and what is expected."""


@dataclass(frozen=True)
class Quality:
    """How far a synthetic CT can be trusted.

    Attributes:
        light: "green", "amber" or "red".
        reasons: why it is not green, the gravest first.
    """

    light: str
    reasons: tuple[str, ...]


def load_outputs(folder: Path, nodes: CtpaNodes, reuse: Mapping[str, Any] | None = None) -> RunResult:
    """Load what a finished job folder holds: all of it or nothing.

    Args:
        folder: the job folder.
        nodes: what the result was made from; it is noted on the synthetic CT.
        reuse: role -> node of an earlier run whose content is replaced.

    Raises:
        InputError: no result, or one that is damaged.
    """
    made = load_folder(folder / OUTPUT, nodes.xray, reuse)
    store_inputs(made["ct"], nodes)
    metrics = read_result(folder / OUTPUT).get("metrics", {})
    left = [] if "sample_01" in made else sorted((folder / OUTPUT).glob("sample_*.nii.gz"))
    sentence = summary_sentence(metrics)
    if len(left) > 1:
        sentence += f" The {len(left)} samples are too large to be loaded all; they are in {folder / OUTPUT}."
    return RunResult(made, sentence, folder / OUTPUT / "report.html")


def load_folder(folder: Path, xray: Any = None, reuse: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Load the outputs of `ctpa synthesize` on one X-ray, also those of the command line; returns role -> node.

    Args:
        folder: with result.json.
        xray: node of the X-ray; None where it is not in the scene.
        reuse: as `load_results`.

    Raises:
        InputError: no result, or one that is damaged.
    """
    base = xray.GetName() if xray is not None else "X-ray"

    def own(files: Mapping[str, Path], result: Mapping[str, Any]) -> dict[str, NodeFactory | None]:
        if "ct" not in files:
            raise InputError(f"{folder} holds no synthetic CT.", "Choose the output of ctpa synthesize.")
        mean = read_volume(files["ct"])
        samples = [role for role in files if _SAMPLE.fullmatch(role)]
        left_out = samples if len(samples) == 1 or len(samples) * mean.array.nbytes > MAX_SAMPLE_BYTES else []
        makers: dict[str, NodeFactory | None] = dict.fromkeys(left_out)
        for role, path in files.items():
            if path.name.endswith(".nii.gz") and role not in left_out:
                volume = mean if role == "ct" else read_volume(path)
                makers[role] = partial(_volume_node, volume, _title(base, role), role not in _OWN)
        metrics = result.get("metrics", {})
        makers["figures"] = partial(_table_node, metric_rows(metrics), _title(base, "figures"))
        return makers

    return load_results(folder, f"{base} CT {SYNTHETIC}", xray, reuse, own)


def _title(base: str, role: str) -> str:
    sample = _SAMPLE.fullmatch(role)
    words = f"CT sample {int(sample[1])}" if sample else _WORDS.get(role, role)
    return f"{base} {words}" if role in _OWN else f"{base} {words} {SYNTHETIC}"


def _volume_node(volume: Volume, title: str, synthetic: bool, _name: str, node: Any) -> Any:
    node = node_from_volume(volume, title, node)
    if synthetic:
        set_synthetic(node)
    return node


def _table_node(rows: list[dict[str, Any]], title: str, _name: str, node: Any) -> Any:
    return node_from_rows(rows, title, node)


def metric_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures of a run in words, each with its unit and what is expected."""
    rows = []
    for name, (words, unit, digits, limits) in FIGURES.items():
        if name not in metrics:
            continue
        value = metrics[name]
        known = isinstance(value, int | float) and np.isfinite(value)
        expected = "" if limits is None else " to ".join(f"{limit:.{digits}f}" for limit in limits)
        shown = f"{value:.{digits}f}" if known else "not found"
        rows.append({"figure": words, "value": shown, "unit": unit if known else "", "expected": expected})
    if metrics.get("seeds"):
        seeds = ", ".join(str(seed) for seed in metrics["seeds"])
        rows.append({"figure": "Seeds of the samples", "value": seeds, "unit": "", "expected": ""})
    return rows


def quality_of(result_node: Any) -> Quality:
    """The traffic light of a synthetic CT.

    Raises:
        InputError: the node is no result.
    """
    return _quality(provenance_of(result_node).get("metrics", {}))


def projection_text(result_node: Any) -> str:
    """How well the projection of a synthetic CT fits its X-ray, in figures.

    Raises:
        InputError: the node is no result.
    """
    metrics = provenance_of(result_node).get("metrics", {})
    words = {
        "nrmse": "error {:.2f} of the X-ray's contrast",
        "ncc": "correlation {:.3f}",
        "projection_ssim": "SSIM {:.2f}",
    }
    parts = [text.format(metrics[name]) for name, text in words.items() if isinstance(metrics.get(name), int | float)]
    return ", ".join(parts)


def _quality(metrics: Mapping[str, Any]) -> Quality:
    reasons = metrics.get("trust_reasons", ())
    return Quality(str(metrics.get("trust", "red")), (reasons,) if isinstance(reasons, str) else tuple(reasons))


def summary_sentence(metrics: Mapping[str, Any]) -> str:
    """What a run gave, in a sentence or two."""
    light = _quality(metrics).light
    return f"Done: a synthetic CT of {metrics.get('voxels', '?')} voxels. How far to trust it: {light}, see Results."
