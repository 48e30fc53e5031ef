"""A small input for the DWMRIEnhance panel."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def small_scan() -> Any:
    """A small phantom scan."""
    from deeprecon.dwmri.simulate.head import make_phantom

    return make_phantom((8, 16, 18), 2, ((1000.0, 8),), 20.0).noisy


def choose_small_scan(parameter_node: Any, name: str = "Patient DWI") -> None:
    """Choose a small scan and the fastest method."""
    from deeprecon.dwmri.parameters import Method
    from deeprecon.scene.dwmri.scan import node_from_scan

    parameter_node.inputScan = node_from_scan(small_scan(), name)
    parameter_node.settings.method = Method.PCA
