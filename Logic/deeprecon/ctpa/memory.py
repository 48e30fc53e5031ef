"""Estimated memory and disk space of a synthesis; without PyTorch, so that a panel can show them.

The estimates are upper bounds, measured on CPUs (Testing/benchmarks/ctpa_full_volume.py compares them with a run).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeprecon.ctpa.parameters import Preset, SynthesizeParameters
from deeprecon.ctpa.patches import Shape

BASE = 0.55e9
"""Bytes of Python with PyTorch, of the libraries that it loads, and of the report."""
COPIES = 4.5
"""Tensors of a layer's size that exist at once while it is computed."""
MIN_WINDOW = 16
"""Latent voxels of the smallest window in which a latent is denoised."""
TILES = (16, 8, 4, 2)
"""Latent voxels of a tile along each axis, tried from the largest."""
TILE_MARGIN = 2
"""Latent voxels of a tile's halo on each side, at most."""
TILE_BYTES = 0.7e9
"""Maximum memory of a tile: larger ones are hardly faster."""
MEMORY_SHARE = 0.5
"""Share of the device's memory that is used, whatever is free at the moment."""
ATLAS_BYTES = {Preset.PREVIEW: 0.7e9, Preset.FULL: 2.2e9}
ATLAS_DISK = {Preset.PREVIEW: 0.05e9, Preset.FULL: 0.4e9}
"""Memory beyond `BASE`, and space of the files, of a fitted atlas."""
COMPRESSED = 0.6
"""Maximum size of a compressed volume over that of its int16 voxels."""


@dataclass(frozen=True)
class ResourceEstimate:
    """Resources of a run in bytes.

    Attributes:
        memory: peak with enough memory.
        least: peak with the smallest windows and tiles.
        disk: free space needed while it runs.
    """

    memory: float
    least: float
    disk: float


def volume_shape(parameters: SynthesizeParameters, card: Mapping[str, Any]) -> Shape:
    """(k, j, i) voxels of the result.

    Args:
        parameters: see there.
        card: `Bundle.parameters` of a bundle of train-diffusion.
    """
    factor = 2 ** (len(card["autoencoder"]["widths"]) - 1 - coarser(parameters.preset))
    k, j, i = (int(count) * factor for count in card["latent_grid"]["shape"])
    return k, j, i


def coarser(preset: Preset) -> int:
    """Finest levels of the autoencoder that a preset leaves out."""
    return {Preset.FULL: 0, Preset.PREVIEW: 1}[preset]


def estimate_resources(
    parameters: SynthesizeParameters, card: Mapping[str, Any], itemsize: int = 4
) -> ResourceEstimate:
    """Resources of a synthesis.

    Args:
        parameters: see there.
        card: `Bundle.parameters` of a bundle of train-diffusion.
        itemsize: bytes of a number: 4 in fp32, 2 in bf16 and fp16.
    """
    latent = [int(count) for count in card["latent_grid"]["shape"]]
    batch = 1 if parameters.guidance == 1 else 2
    voxels, width = float(np.prod(latent)), card["denoiser"]["widths"][0]
    sampled, windowed = (
        batch * COPIES * 2 * width * itemsize * float(np.prod([min(count, side or count) for count in latent]))
        + (8 * card["denoiser"]["latent"] * voxels if side else 0)
        for side in (parameters.window, min(parameters.window or MIN_WINDOW, MIN_WINDOW))
    )
    level = coarser(parameters.preset)
    large, small = (
        decoding_bytes(card, level, tile, itemsize) for tile in (best_tile(card, level, itemsize), TILES[-1])
    )
    size = float(np.prod(volume_shape(parameters, card))) * 2
    checked = 6 * size / 8  # the coarse copy and its projection check
    files = COMPRESSED * size * (parameters.samples + (2 if parameters.samples > 1 else 1))
    return ResourceEstimate(
        memory=BASE + max(sampled, large, checked),
        least=BASE + max(windowed, small, checked),
        disk=size * parameters.samples + files,
    )


def atlas_resources(parameters: SynthesizeParameters) -> ResourceEstimate:
    """Resources of the fit of an atlas: its densities, a slab of the result, and the files."""
    memory = BASE + ATLAS_BYTES[parameters.preset]
    return ResourceEstimate(memory, memory, ATLAS_DISK[parameters.preset])


def decoding_bytes(card: Mapping[str, Any], level: int, tile: int, itemsize: int) -> float:
    """Memory of decoding: the coarse levels at once, or their features and a tile of the finest levels.

    Args:
        card: see `estimate_resources`.
        level: finest levels of the autoencoder that are left out.
        tile: latent voxels of a tile along each axis.
        itemsize: bytes of a number.
    """
    widths = card["autoencoder"]["widths"]
    latent = [int(count) for count in card["latent_grid"]["shape"]]
    last = len(widths) - 1
    split = min(level + 2, last)
    features = widths[split] * itemsize * float(np.prod(latent)) * 8 ** (last - split)
    inside = float(np.prod([min(count, tile + 2 * TILE_MARGIN) for count in latent])) * 8 ** (last - level)
    return float(max(COPIES * features, features + COPIES * widths[level] * itemsize * inside))


def best_tile(card: Mapping[str, Any], level: int, itemsize: int, total: float = float("inf")) -> int:
    """The largest of `TILES` within `TILE_BYTES` and a share of the `total` bytes of the device."""
    features = decoding_bytes(card, level, 0, itemsize)
    fitting = [
        tile
        for tile in TILES
        if decoding_bytes(card, level, tile, itemsize) <= min(max(features, TILE_BYTES), MEMORY_SHARE * total)
    ]
    return fitting[0] if fitting else TILES[-1]


def describe_estimate(estimate: ResourceEstimate) -> str:
    """Text such as "about 2.1 GB of memory (1.4 GB at least) and 0.8 GB of disk"."""
    memory, least = (f"{value / 1e9:.1f} GB" for value in (estimate.memory, estimate.least))
    at_least = "" if least == memory else f" ({least} at least)"
    return f"about {memory} of memory{at_least} and {estimate.disk / 1e9:.1f} GB of disk"
