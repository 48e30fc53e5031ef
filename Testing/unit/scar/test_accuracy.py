"""The field against every interpolation, where the scar is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.scar_methods import field, stacks_of

from deeprecon.data.mesh.files import place, read_mesh
from deeprecon.scar.fit.interpolation import SPATIAL, interpolate
from deeprecon.scar.measure.metrics import evaluate
from deeprecon.scar.simulate.hearts import Phantom, from_surface, sample_case

STEPS = 1200
TARGET = 0.96


def dice_of_all(phantom: Phantom, observation: str) -> dict[str, float]:
    stacks = stacks_of(phantom, observation)
    answers = {kind.value: interpolate(stacks, phantom.mesh.points, kind) for kind in SPATIAL}
    answers["field"] = field(phantom, stacks, STEPS, "cpu", 1)
    return {name: evaluate(phantom.mesh, *answer, phantom.truth)["dice"] for name, answer in answers.items()}


def check(scores: dict[str, float]) -> None:
    print(scores)
    field_score = scores.pop("field")
    assert field_score > max(scores.values()) + 0.01, scores
    assert field_score >= TARGET


@pytest.mark.parametrize("observation", ["soft", "lge fwhm"])
def test_the_field_beats_every_interpolation_on_the_sample_case(observation: str) -> None:
    check(dice_of_all(sample_case(), observation))


def test_a_scar_of_a_few_pixels_is_found() -> None:
    tiny = sample_case(lesion="tiny", node_spacing=2.0)
    scores = dice_of_all(tiny, "soft")
    assert scores.pop("field") > max(scores.values()) + 0.01, scores
    assert dice_of_all(tiny, "binary")["field"] > 0.6  # twenty pixels of a mask do not allow more


@pytest.mark.parametrize("observation", ["soft", "binary"])
def test_the_field_beats_every_interpolation_on_a_real_heart_shape(shared_data: Path, observation: str) -> None:
    heart = place(read_mesh(shared_data / "scar" / "cobiveco_geo1" / "heart.vtp"), "mm", "ras")
    check(dice_of_all(from_surface(heart), observation))
