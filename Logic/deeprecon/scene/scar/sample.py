"""The sample case of the scar module: generated, written as clinical files, and loaded from them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import slicer

from deeprecon.scar.simulate.hearts import sample_case, write_case

NAMES = ("Sample LGE", "Sample segmentation", "Sample mesh", "Sample landmarks")


def load_sample_case() -> tuple[Any, Any, Any, Any]:
    """Make the sample case and load it; returns the LGE volume, segmentation, mesh and landmark nodes."""
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath, ignore_cleanup_errors=True) as name:
        paths = write_case(sample_case(), Path(name))
        nodes = (
            slicer.util.loadVolume(str(paths["lge"]), properties={}),
            slicer.util.loadSegmentation(str(paths["segmentation"]), properties={}),
            slicer.util.loadModel(str(paths["mesh"])),
            slicer.util.loadMarkups(str(paths["landmarks"])),
        )
        for node, text in zip(nodes, NAMES, strict=True):
            node.SetName(slicer.mrmlScene.GenerateUniqueName(text))
            storage = node.GetStorageNode()  # its file is temporary
            node.SetAndObserveStorageNodeID(None)
            slicer.mrmlScene.RemoveNode(storage)
    return nodes
