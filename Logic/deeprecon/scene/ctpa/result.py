"""The results of a synthesis in the scene: volumes, metrics and quality."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from deeprecon.ctpa.measure.anatomy import ORGAN_LIMITS
from deeprecon.ctpa.measure.quality import (
    ATLAS_STATEMENTS,
    FIT_LIMITS,
    NO_DEPTH_OF_ATLAS,
    SEAM_LIMITS,
    STATEMENTS,
)
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.common.results import NodeFactory, RunResult, load_results, read_result
from deeprecon.scene.ctpa.inputs import store_inputs
from deeprecon.scene.ctpa.job import CtpaNodes
from deeprecon.scene.ctpa.label_maps import COLORS, node_from_labels
from deeprecon.scene.ctpa.synthetic_label import set_synthetic
from deeprecon.scene.nodes.tables import node_from_rows
from deeprecon.scene.nodes.transforms import node_from_transform_file
from deeprecon.scene.nodes.volumes import node_from_volume
from deeprecon.steps import Apart, Steps, in_steps

SYNTHETIC = "(SYNTHETIC)"
"""Suffix of the name of every node that a model generated."""
MAX_SAMPLE_BYTES = 2 * 10**9
"""Larger samples, in bytes together, are not loaded; they stay in the job folder."""

_SAMPLE = re.compile(r"sample_(\d+)")
_LABELS = {
    "ct": "CT",
    "spread": "CT spread",
    "xray": "X-ray as used",
    "projected": "CT projected",
    "difference": "CT projected minus X-ray",
    "labels": "CT organs",
    "origin": "CT seen by the X-ray",
    "deformation": "deformation of the atlas",
    "figures": "CT figures",
}
"""Role -> suffix after the name of the X-ray."""
_NOT_SYNTHETIC = ("xray", "deformation", "figures")
"""Roles of nodes that show no anatomy which a model generated."""

METRICS: dict[str, tuple[str, str, int, tuple[float, float] | None]] = {
    "fit_correlation": ("Correlation of the fit", "", 3, (FIT_LIMITS[1], 1.0)),
    "lateral_correlation": ("Correlation with the lateral film", "", 3, None),
    "seen": ("Share of the volume that the X-ray shows", "", 2, None),
    "smallest_jacobian": ("Smallest Jacobian of the deformation", "", 2, None),
    "nrmse": ("Projection error (NRMSE)", "", 2, None),
    "ncc": ("Projection correlation", "", 3, None),
    "projection_ssim": ("Projection SSIM", "", 3, None),
    "lung_hu": ("Lung (median)", "HU", 0, ORGAN_LIMITS["lung"]),
    "blood_hu": ("Blood in the heart (median)", "HU", 0, ORGAN_LIMITS["blood"]),
    "bone_hu": ("Bone (median)", "HU", 0, ORGAN_LIMITS["bone"]),
    "seam_ratio": ("Seam ratio", "", 2, SEAM_LIMITS),
    "xray_distance": ("Distance from the training X-rays", "", 2, None),
    "seconds_fit": ("Time to fit the atlas", "s", 1, None),
    "seconds_denoise": ("Time to denoise", "s", 1, None),
    "seconds_decode": ("Time to decode", "s", 1, None),
    "peak_memory_gb": ("Peak memory", "GB", 2, None),
}
"""Metrics in the panel's table: label, unit, digits, expected range."""


@dataclass(frozen=True)
class Quality:
    """Quality rating of a synthetic CT.

    Attributes:
        level: "green", "amber" or "red".
        reasons: why it is not green, the most severe first.
    """

    level: str
    reasons: tuple[str, ...]


@in_steps
def load_outputs(folder: Path, nodes: CtpaNodes, reuse: Mapping[str, Any] | None = None) -> Steps[RunResult]:
    """Load the results of a finished job: all or none.

    Args:
        folder: with result.json.
        nodes: inputs of the job; stored on the synthetic CT.
        reuse: role -> node of an earlier run whose content is replaced.

    Raises:
        InputError: no result, or one that is damaged.
    """
    made = yield from load_folder.steps(folder, nodes.xray, reuse, nodes.names_of_atlases())
    store_inputs(made["ct"], nodes)
    metrics = read_result(folder).get("metrics", {})
    left = [] if "sample_01" in made else sorted(folder.glob("sample_*.nii.gz"))
    sentence = summary_sentence(metrics)
    if len(left) > 1:
        sentence += f" The {len(left)} samples are too large to load all; they are in {folder}."
    return RunResult(made, sentence, folder / "report.html")


@in_steps
def load_folder(
    folder: Path,
    xray: Any = None,
    reuse: Mapping[str, Any] | None = None,
    atlases: Mapping[str, str] = MappingProxyType({}),
) -> Steps[dict[str, Any]]:
    """Load the outputs of `ctpa synthesize` on one X-ray, also those of the command line.

    Args:
        folder: with result.json.
        xray: node of the X-ray; None if it is not in the scene.
        reuse: as `load_results`.
        atlases: name of the file of an atlas -> its name for the table.

    Returns:
        Role -> node: volume "ct"; from two samples on, "sample_NN" and "spread"; of an atlas, the label maps "labels"
        and "origin" and the grid transform "deformation"; the coronal slices "xray", "projected" and "difference";
        the table "figures".

    Raises:
        InputError: no result, or one that is damaged.
    """
    base = xray.GetName() if xray is not None else "X-ray"

    def factories(files: Mapping[str, Path], result: Mapping[str, Any]) -> Steps[dict[str, NodeFactory | None]]:
        if "ct" not in files:
            raise InputError(f"{folder} holds no synthetic CT.", "Choose the output of ctpa synthesize.")
        mean = yield Apart("Reading the CT…", partial(read_volume, files["ct"]))
        samples = [role for role in files if _SAMPLE.fullmatch(role)]
        left_out = samples if len(samples) == 1 or len(samples) * mean.array.nbytes > MAX_SAMPLE_BYTES else []
        made: dict[str, NodeFactory | None] = dict.fromkeys(left_out)
        for role, path in files.items():
            if role == "deformation":
                made[role] = partial(_transform_node, path, _title(base, role))
            elif path.name.endswith(".nii.gz") and role not in left_out:
                read = Apart(f"Reading the {role.replace('_', ' ')}…", partial(read_volume, path))
                volume = mean if role == "ct" else (yield read)
                made[role] = partial(_volume_node, volume, role, _title(base, role))
        metrics = dict(result.get("metrics", {}))
        if "atlas" in metrics:
            metrics["atlas"] = atlases.get(metrics["atlas"], metrics["atlas"])
        made["figures"] = partial(_table_node, metric_rows(metrics), _title(base, "figures"))
        return made

    return (yield from load_results.steps(folder, f"{base} CT {SYNTHETIC}", xray, reuse, factories))


def _title(base: str, role: str) -> str:
    sample = _SAMPLE.fullmatch(role)
    label = f"CT sample {int(sample[1])}" if sample else _LABELS.get(role, role)
    return f"{base} {label}" if role in _NOT_SYNTHETIC else f"{base} {label} {SYNTHETIC}"


def _volume_node(volume: Volume, role: str, title: str, _name: str, node: Any) -> Steps[Any]:
    if role in COLORS:
        node = yield from node_from_labels(volume, role, title, node)
    else:
        node = yield from node_from_volume.steps(volume, title, node)
    if role not in _NOT_SYNTHETIC:
        set_synthetic(node)
    return node


def _transform_node(path: Path, title: str, _name: str, node: Any) -> Any:
    return node_from_transform_file(path, title, node)


def _table_node(rows: list[dict[str, Any]], title: str, _name: str, node: Any) -> Any:
    return node_from_rows(rows, title, node)


def metric_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The metrics of a run for a table, each with label, value, unit and expected range."""
    rows = []
    for name, (label, unit, digits, limits) in METRICS.items():
        if name not in metrics:
            continue
        value = metrics[name]
        known = isinstance(value, int | float) and np.isfinite(value)
        expected = "" if limits is None else " to ".join(f"{limit:.{digits}f}" for limit in limits)
        shown = f"{value:.{digits}f}" if known else "not found"
        rows.append({"figure": label, "value": shown, "unit": unit if known else "", "expected": expected})
    if "atlas" in metrics:
        rows.insert(0, {"figure": "Atlas", "value": str(metrics["atlas"]), "unit": "", "expected": ""})
    if metrics.get("seeds"):
        seeds = ", ".join(str(seed) for seed in metrics["seeds"])
        rows.append({"figure": "Seeds of the samples", "value": seeds, "unit": "", "expected": ""})
    return rows


def quality_of(result_node: Any) -> Quality:
    """The quality rating of a synthetic CT.

    Raises:
        InputError: the node is no result.
    """
    return _quality(provenance_of(result_node).get("metrics", {}))


def limitations(result_node: Any) -> tuple[str, ...]:
    """What a synthetic CT does not show, whatever its quality, as sentences.

    Raises:
        InputError: the node is no result.
    """
    metrics = provenance_of(result_node).get("metrics", {})
    if metrics.get("method") != "atlas":
        return STATEMENTS
    return ATLAS_STATEMENTS if "lateral_correlation" in metrics else (*ATLAS_STATEMENTS, NO_DEPTH_OF_ATLAS)


def projection_text(result_node: Any) -> str:
    """Agreement between the projection of a synthetic CT and its X-ray, as text.

    Raises:
        InputError: the node is no result.
    """
    metrics = provenance_of(result_node).get("metrics", {})
    formats = {
        "nrmse": "error {:.2f} of the X-ray's contrast",
        "ncc": "correlation {:.3f}",
        "projection_ssim": "SSIM {:.2f}",
    }
    parts = [text.format(metrics[name]) for name, text in formats.items() if isinstance(metrics.get(name), int | float)]
    return ", ".join(parts)


def _quality(metrics: Mapping[str, Any]) -> Quality:
    reasons = metrics.get("trust_reasons", ())
    return Quality(str(metrics.get("trust", "red")), (reasons,) if isinstance(reasons, str) else tuple(reasons))


def summary_sentence(metrics: Mapping[str, Any]) -> str:
    """Size and quality of a synthetic CT in a sentence."""
    level = _quality(metrics).level
    return f"Done: a synthetic CT of {metrics.get('voxels', '?')} voxels. Quality: {level}, see Results."
