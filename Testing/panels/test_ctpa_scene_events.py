"""CTPASynthesis: what happens in the scene while its panel is open, in each state of the panel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .scene_events import EVENTS, STATES, Bench, Case, check_event


def choose(node: Any, name: str) -> None:
    from deeprecon.data.radiograph import Radiograph
    from deeprecon.scene.ctpa.xray import node_from_radiograph

    image = np.random.default_rng(0).random((96, 80), np.float32)
    node.xray = node_from_radiograph(Radiograph(image, (4.0, 4.0), "PA", "x"), f"{name} film")


def finished(folder: Path) -> None:
    from unit.scene.ctpa_results import write_result

    write_result(folder, 2)


def compare(bench: Bench) -> None:
    """The spread of the samples over their mean."""
    bench.widget.resultPanel.shown = "spread"


CASE = Case("CTPASynthesis", ("xray",), "outputCt", choose, compare, lambda widget: widget.resultPanel, finished)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", EVENTS)
def test_choices_after(event: str, state: str, bench: Bench, capfd: Any) -> None:
    check_event(bench, event, state, capfd)
