"""Estimated memory and disk space of a synthesis."""

from __future__ import annotations

from typing import Any

import pytest

from deeprecon.ctpa.grid import FIELD
from deeprecon.ctpa.memory import best_tile, describe_estimate, estimate_resources, volume_shape
from deeprecon.ctpa.parameters import Preset, SynthesizeParameters

WIDE = {"widths": [128], "latent": 8}


def card_of(widths: list[int]) -> dict[str, Any]:
    """Of a small model for the full field, with an autoencoder of these widths."""
    return {
        "latent_grid": {"shape": [76, 64, 64], "field": list(FIELD)},
        "autoencoder": {"widths": widths, "latent": 8, "blocks": 1, "codes": 0},
        "denoiser": {"widths": [4, 8], "latent": 3},
    }


def test_estimates_grow_with_what_is_asked_for():
    card = card_of([8, 16, 32, 64])
    preview, full = (estimate_resources(SynthesizeParameters(preset=preset, samples=1), card) for preset in Preset)
    assert volume_shape(SynthesizeParameters(preset=Preset.FULL), card) == (608, 512, 512)
    assert full.memory > preview.memory
    assert full.least <= full.memory
    assert full.memory < 4e9  # the gate on a computer with two cores
    assert full.disk == pytest.approx(8 * preview.disk)
    assert estimate_resources(SynthesizeParameters(samples=4), card).disk > 2 * preview.disk
    assert estimate_resources(SynthesizeParameters(samples=1), card, 2).memory < preview.memory
    card = card_of([1, 1, 1, 1])  # then sampling takes the most
    drawn = [
        estimate_resources(SynthesizeParameters(samples=1, window=window), card | {"denoiser": WIDE})
        for window in (0, 32, 8)
    ]
    assert [each.memory for each in drawn] == sorted((each.memory for each in drawn), reverse=True)
    assert all(each.least <= each.memory for each in drawn)
    assert "GB of memory" in describe_estimate(full)


def test_tiles_become_smaller_with_the_memory():
    card = card_of([8, 16, 32, 64])
    chosen = [best_tile(card, 0, 4, free) for free in (1e12, 1.3e9, 0.8e9, 1e8)]
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[-1] == 2
