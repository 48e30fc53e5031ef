"""A small input for the DWMRIEnhance panel."""

from __future__ import annotations

from typing import Any


def choose_small_scan(parameter_node: Any) -> None:
    """Choose a small phantom scan and the fastest method."""
    from deeprecon.dwmri.parameters import Method
    from deeprecon.dwmri.simulate.head import make_phantom
    from deeprecon.scene.dwmri.scan import node_from_scan

    scan = make_phantom((8, 16, 18), 2, ((1000.0, 8),), 20.0).noisy
    parameter_node.inputScan = node_from_scan(scan, "Patient DWI")
    parameter_node.settings.method = Method.PCA
