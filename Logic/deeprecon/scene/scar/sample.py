"""The sample case of the scar module: generated, written as clinical files, and loaded from them."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import slicer

from deeprecon.scar.simulate.hearts import sample_case, write_case
from deeprecon.steps import Apart, Steps, in_steps

NAMES = ("Sample LGE", "Sample segmentation", "Sample mesh", "Sample landmarks")


@in_steps
def load_sample_case() -> Steps[tuple[Any, Any, Any, Any]]:
    """Make the sample case and load it; returns the LGE volume, segmentation, mesh and landmark nodes."""
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath, ignore_cleanup_errors=True) as name:
        paths = yield Apart("Making the sample…", lambda: write_case(sample_case(), Path(name)))
        nodes = []
        for text, file, load in (
            (NAMES[0], "lge", partial(slicer.util.loadVolume, properties={})),
            (NAMES[1], "segmentation", partial(slicer.util.loadSegmentation, properties={})),
            (NAMES[2], "mesh", slicer.util.loadModel),
            (NAMES[3], "landmarks", slicer.util.loadMarkups),
        ):
            yield f"Loading the {file}…"
            node = load(str(paths[file]))
            node.SetName(slicer.mrmlScene.GenerateUniqueName(text))
            storage = node.GetStorageNode()  # its file is temporary
            node.SetAndObserveStorageNodeID(None)
            slicer.mrmlScene.RemoveNode(storage)
            nodes.append(node)
    volume, segmentation, mesh, landmarks = nodes
    return volume, segmentation, mesh, landmarks
