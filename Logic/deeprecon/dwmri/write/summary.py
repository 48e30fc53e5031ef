"""Figures of an enhancement in words, for its report and for the panel's table alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIGURES = {
    "volumes": ("Volumes", "", 0),
    "b0_volumes": ("b0 volumes", "", 0),
    "shells": ("Shells (volumes x b-value)", "", 0),
    "distinct_directions": ("Different directions", "", 0),
    "noise_level": ("Noise (median)", "", 2),
    "volumes_without_own_noise": ("Volumes left out of the noise estimate", "", 0),
    "without_own_noise": ("Which of them, counted from 0", "", 0),
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
    "coherence as given": ("Coherence of fibers, gradients as given", "", 3),
    "coherence left-right": ("Coherence, left and right flipped", "", 3),
    "coherence front-back": ("Coherence, front and back flipped", "", 3),
    "coherence up-down": ("Coherence, up and down flipped", "", 3),
    "dwi_above_b0_percent": ("Weighted values above b0", "%", 2),
    "lost_slices": ("Slices lost, corrupted or named", "", 0),
    "repaired_slices": ("Slices replaced", "", 0),
    "repaired_percent": ("Slices replaced, of all", "%", 2),
    "clipped_values": ("Values cut off at the limits of the number type", "", 0),
    "mask_voxels": ("Voxels in the mask", "", 0),
    "network": ("Network", "", 0),
    "network_parameters": ("Parameters of the network", "", 0),
    "training_steps": ("Training steps", "", 0),
    "scale": ("Voxels finer by", "", 0),
    "bundle_sha256": ("SHA-256 of the model", "", 0),
}
"""Figures in the order in which they are shown: words, unit and digits."""
_SCALED = {"1e-6 mm²/s": 1e6}


def figure_rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """The figures of a run, each in words with its unit; one that has no words of its own comes last, by its name.

    Returns:
        Rows with "figure" and "value".
    """
    rows = []
    for name in (*(each for each in FIGURES if each in metrics), *(each for each in metrics if each not in FIGURES)):
        words, unit, digits = FIGURES.get(name, (name.replace("_", " ").capitalize(), "", 3))
        value = metrics[name]
        if isinstance(value, int | float):
            text = f"{value * _SCALED.get(unit, 1):.{0 if isinstance(value, int) else digits}f}"
        elif isinstance(value, str):
            text = value
        else:
            continue
        rows.append({"figure": f"{words} [{unit}]" if unit else words, "value": text})
    return rows
