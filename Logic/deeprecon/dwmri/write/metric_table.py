"""Names, units and order of the metrics of an enhancement, for its report and for the panel's table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRICS = {
    "volumes": ("Volumes", "", 0),
    "b0_volumes": ("b0 volumes", "", 0),
    "shells": ("Shells (volumes x b-value)", "", 0),
    "distinct_directions": ("Different directions", "", 0),
    "noise_level": ("Noise (median)", "", 2),
    "n_dependent_volumes": ("Volumes left out of the noise estimate", "", 0),
    "dependent_volumes": ("Their numbers, counted from 0", "", 0),
    "snr_b0": ("Signal over noise, b0", "", 1),
    "snr_dwi": ("Signal over noise, weighted", "", 1),
    "residual_variance_ratio": ("Residual variance over noise variance", "", 2),
    "residual_lag1": ("Residual: correlation of neighbors", "", 2),
    "residual_edge_correlation": ("Residual: correlation with edges", "", 2),
    "residual_mean_edge_correlation": ("Mean residual: correlation with edges", "", 2),
    "mean_fa_before": ("Mean FA before", "", 3),
    "mean_fa_after": ("Mean FA after", "", 3),
    "mean_md_before": ("Mean MD before", "1e-6 mm²/s", 0),
    "mean_md_after": ("Mean MD after", "1e-6 mm²/s", 0),
    "coherence as given": ("Fiber coherence, gradients as given", "", 3),
    "coherence left-right": ("Fiber coherence, left and right flipped", "", 3),
    "coherence front-back": ("Fiber coherence, front and back flipped", "", 3),
    "coherence up-down": ("Fiber coherence, up and down flipped", "", 3),
    "dwi_above_b0_percent": ("Weighted values above b0", "%", 2),
    "motion_mm": ("Displacement of the head, median", "mm", 2),
    "motion_mm_largest": ("Displacement of the head, largest", "mm", 2),
    "lost_slices": ("Slices lost, corrupted or selected", "", 0),
    "repaired_slices": ("Slices replaced", "", 0),
    "repaired_percent": ("Slices replaced, of all", "%", 2),
    "clipped_values": ("Values clipped to the range of the number type", "", 0),
    "mask_voxels": ("Voxels in the mask", "", 0),
    "network": ("Network", "", 0),
    "network_parameters": ("Parameters of the network", "", 0),
    "training_steps": ("Training steps", "", 0),
    "scale": ("Voxels finer by", "", 0),
    "bundle_sha256": ("SHA-256 of the model", "", 0),
}
"""Metrics in the order in which they are shown: label, unit and digits."""
_SCALED = {"1e-6 mm²/s": 1e6}


def metric_rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """The metrics of a run with labels and units; those without a label come last, by their names.

    Returns:
        Rows with "figure" and "value".
    """
    rows = []
    for name in (*(each for each in METRICS if each in metrics), *(each for each in metrics if each not in METRICS)):
        label, unit, digits = METRICS.get(name, (name.replace("_", " ").capitalize(), "", 3))
        value = metrics[name]
        if isinstance(value, int | float):
            text = f"{value * _SCALED.get(unit, 1):.{0 if isinstance(value, int) else digits}f}"
        elif isinstance(value, str):
            text = value
        else:
            continue
        rows.append({"figure": f"{label} [{unit}]" if unit else label, "value": text})
    return rows
