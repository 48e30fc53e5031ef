"""Several stacks in the panel: short- and long-axis slices reach the job, and come back with a repeated run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import apply


@pytest.fixture
def views(host: Any, widget: Any, tmp_path: Path) -> Any:
    """The open panel with a small phantom in the scene: a short-axis stack, two long-axis slices, and its mesh."""
    import slicer

    from deeprecon.scar.simulate.hearts import sample_case, write_case
    from deeprecon.scene.nodes.volumes import node_from_volume

    case = sample_case(spacing=14, thickness=12, pixel=3, node_spacing=5, long_axis=2)
    files = write_case(case, tmp_path / "case")
    node = widget._parameterNode
    for number, mark in enumerate(("", "_two_chamber", "_four_chamber"), 1):
        end = "" if number == 1 else str(number)
        segmentation = slicer.util.loadSegmentation(str(files[f"segmentation{mark}"]), properties={})
        volume = node_from_volume(case.lge[number - 1], f"LGE {number}")
        getattr(widget.ui, f"segmentation{end}Selector").setCurrentNode(segmentation)
        getattr(widget.ui, f"inputVolume{end}Selector").setCurrentNode(volume)
    node.mesh = slicer.util.loadModel(str(files["mesh"]))
    node.settings.slice_thickness = 12.0
    widget.case = case
    return widget


def job_of(widget: Any) -> dict[str, Any]:
    job: dict[str, Any] = json.loads((widget.runPanel.folder / "job.json").read_text(encoding="utf-8"))
    return job


def test_all_stacks_are_written_used_and_restored(host: Any, views: Any) -> None:
    import slicer

    from deeprecon.data.segmentation import read_segmentation
    from deeprecon.data.volume_io import read_volume
    from deeprecon.scene.common.results import nodes_of_run

    node = views._parameterNode
    views.ui.methodCombo.currentIndex = 2
    views.ui.alignmentCombo.currentIndex = 2
    assert "Scar volume" in apply(host, views)
    job, folder = job_of(views), views.runPanel.folder
    names = ["inputs/segmentation.seg.nrrd", "inputs/segmentation2.seg.nrrd", "inputs/segmentation3.seg.nrrd"]
    assert job["inputs"]["myocardium"] == job["inputs"]["scar"] == names
    assert job["inputs"]["lge"] == ["inputs/lge.nrrd", "inputs/lge2.nrrd", "inputs/lge3.nrrd"]
    for path, image, truth in zip(names, views.case.lge, views.case.stacks, strict=True):
        written = read_segmentation(folder / path)
        np.testing.assert_allclose(written.ijk_to_ras, image.ijk_to_ras, atol=1e-3)
        masks = {segment.name: segment.mask for segment in written.segments}
        assert np.array_equal(masks["myocardium"], truth.wall >= 0.5)
        assert np.array_equal(masks["scar"], (truth.wall >= 0.5) & (truth.scar >= 0.5))
    np.testing.assert_array_equal(read_volume(folder / "inputs" / "lge3.nrrd").array, views.case.lge[2].array)
    table = slicer.util.arrayFromTableColumn(nodes_of_run(node.outputMesh)["slices"], "stack")
    assert set(table.tolist()) == {1, 2, 3}
    alone = slicer.util.arrayFromModelPointData(node.outputMesh, "scar_probability").copy()

    chosen = node.segmentation3, node.inputVolume3
    node.segmentation2 = node.inputVolume2 = node.segmentation3 = node.inputVolume3 = None
    views.runPanel.ui.repeatButton.click()
    assert (node.segmentation3, node.inputVolume3) == chosen
    assert node.segmentation4 is None
    node.segmentation2 = node.inputVolume2 = node.segmentation3 = node.inputVolume3 = None
    apply(host, views)
    assert len(job_of(views)["inputs"]["myocardium"]) == 1
    assert not np.array_equal(slicer.util.arrayFromModelPointData(node.outputMesh, "scar_probability"), alone)


def test_intensities_are_read_from_the_images_of_all_stacks(host: Any, views: Any) -> None:
    from deeprecon.data.segmentation import read_segmentation

    node = views._parameterNode
    views.ui.methodCombo.currentIndex = 2
    views.ui.scarSourceCombo.currentIndex = 1
    views.ui.remoteCombo.currentIndex = 0  # that of the coarse long-axis slices is too small
    assert "Scar volume" in apply(host, views)
    inputs = job_of(views)["inputs"]
    assert len(inputs["lge"]) == len(inputs["myocardium"]) == 3
    assert "scar" not in inputs
    drawn = read_segmentation(views.runPanel.folder / inputs["myocardium"][1])
    assert {segment.name for segment in drawn.segments} == {"myocardium", "blood-pool"}  # no remote
    segments = node.segmentation2.GetSegmentation()
    segments.GetSegment(segments.GetSegmentIdBySegmentName("myocardium")).SetName("A")
    views.onChanged()
    button = views.runPanel.ui.applyButton
    assert not button.enabled
    assert "no segment named as the myocardium" in button.toolTip


def test_missing_inputs_of_further_stacks_are_named_in_the_tool_tip_of_apply(host: Any, views: Any) -> None:
    node, button = views._parameterNode, views.runPanel.ui.applyButton
    assert button.enabled
    selector = views.ui.inputVolume3Selector
    selector.setCurrentNode(None)
    assert button.toolTip == "Choose the LGE volume of stack 3 too, or none for any stack."
    views.ui.segmentation3Selector.setCurrentNode(None)
    assert button.enabled
    node.inputVolume4 = node.inputVolume
    assert button.toolTip == "Choose the segmentation of stack 3."
    assert not button.enabled
