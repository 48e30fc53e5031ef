"""The inputs of the DWMRIEnhance panel: files, gradient tables and masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.diffusion.gradients import GradientTable

from .conftest import ROOT, apply, press
from .dwmri_case import choose_small_scan

MODULE = ROOT / "DWMRIEnhance" / "DWMRIEnhance.py"


@pytest.fixture
def ready(widget: Any) -> Any:
    """The open panel with a small scan and the instant method."""
    choose_small_scan(widget._parameterNode)
    return widget


def test_the_sample_is_chosen_and_its_gradients_are_checked(host: Any, widget: Any) -> None:
    node = widget._parameterNode
    assert "diffusion scan" in widget.runPanel.ui.applyButton.toolTip
    press(host, widget.ui.sampleButton)
    assert node.inputScan.GetName() == "Sample DWI"
    assert "33" in widget.ui.gradientsLabel.text
    assert widget.runPanel.ui.applyButton.enabled
    assert widget.ui.methodCombo.currentText.startswith("Best")
    widget.ui.advancedCollapsibleButton.collapsed = False
    assert widget.ui.stepsSpinBox.visible
    widget.ui.methodCombo.currentIndex = 1
    assert not widget.ui.stepsSpinBox.visible


def test_a_file_is_opened_with_its_bval_and_bvec(host: Any, widget: Any, tmp_path: Path) -> None:
    from deeprecon.data.diffusion.files import write_dwi
    from deeprecon.dwmri.simulate.head import make_phantom
    from deeprecon.scene.dwmri.scan import scan_from_node

    scan = make_phantom((6, 10, 12), 1, ((1000.0, 7),), 20.0).noisy
    write_dwi(tmp_path / "Größe.nii.gz", scan)
    widget.ui.fileEdit.currentPath = str(tmp_path / "Größe.nii.gz")
    press(host, widget.ui.openButton)
    node = widget._parameterNode
    assert node.inputScan.GetName() == "Größe"
    np.testing.assert_allclose(
        scan_from_node(node.inputScan).gradients.directions, scan.gradients.directions, atol=1e-5
    )


def test_a_dicom_series_is_opened_by_any_of_its_files(host: Any, widget: Any, tmp_path: Path) -> None:
    from unit.data.test_dwi_dicom import write_dicom

    from deeprecon.data.errors import InputError
    from deeprecon.scene.dwmri.scan import scan_from_node

    with pytest.raises(InputError, match="No file"):
        widget.onOpenButton()
    scan = write_dicom(tmp_path / "6.1 DTI axial")
    widget.ui.fileEdit.currentPath = str(tmp_path / "6.1 DTI axial" / "IM12")
    press(host, widget.ui.openButton)
    node = widget._parameterNode
    assert node.inputScan.GetName() == "6.1 DTI axial"
    found = scan_from_node(node.inputScan)
    np.testing.assert_array_equal(found.array, scan.array)
    np.testing.assert_allclose(found.gradients.directions, scan.gradients.directions, atol=1e-5)


def sheets_of_fibers(like: Any) -> Any:
    """A scan with sheets of fibers that run aslant, sheets of upright ones between them.

    With the table's left and right flipped, the fibers lead out of their sheets.
    """
    _, j, i = np.indices(like.shape)
    aslant = np.sign(like.ijk_to_ras[0, 0] * like.ijk_to_ras[1, 1])
    upright = ((i - j) // 2) % 2 == 1
    fibers = np.where(upright[..., None], (0.0, 0.0, 1.0), (np.sqrt(0.5), aslant * np.sqrt(0.5), 0.0))
    along = (fibers @ like.gradients.directions.T) ** 2
    signal = 1000 * np.exp(-like.gradients.bvals * (3e-4 + 1.4e-3 * along))
    signal[np.hypot(i - i.mean(), j - j.mean()) > 14] = 5.0  # air around
    return like.with_array(signal.astype(np.float32))


def test_directions_are_plotted_and_a_flipped_axis_is_detected(host: Any, widget: Any) -> None:
    import slicer

    from deeprecon.dwmri.simulate.head import make_phantom
    from deeprecon.scene.dwmri.scan import node_from_scan

    node, ui = widget._parameterNode, widget.ui
    assert not ui.flipsButton.visible
    scan = sheets_of_fibers(make_phantom((6, 32, 32), 2, ((1000.0, 20), (2000.0, 10)), 0.0).clean)
    node.inputScan = node_from_scan(scan, "Patient DWI")
    chart = slicer.util.getFirstNodeByClassByName("vtkMRMLPlotChartNode", "Gradient directions")
    series = [chart.GetNthPlotSeriesNode(index).GetName() for index in range(chart.GetNumberOfPlotSeriesNodes())]
    assert series == ["half spheres", "b = 1000", "b = 2000"]
    press(host, ui.flipsButton)
    assert "Flips" in ui.gradientsLabel.text
    assert "none fits better" in ui.gradientsLabel.text
    turned = replace(scan, gradients=GradientTable(scan.gradients.bvals, scan.gradients.directions * (-1, 1, 1)))
    node.inputScan = node_from_scan(turned, "Flipped DWI")
    assert "Flips" not in ui.gradientsLabel.text
    press(host, ui.flipsButton)
    assert "axis seems flipped" in ui.gradientsLabel.text
    assert widget.runPanel.ui.applyButton.enabled


def test_a_check_of_the_axes_or_a_mask_is_not_taken_for_a_scan_chosen_meanwhile(host: Any, ready: Any) -> None:
    node, ui = ready._parameterNode, ready.ui
    first = node.inputScan
    ui.flipsButton.click()
    assert ui.flipsButton.text == "Copying Patient DWI…"
    choose_small_scan(node)
    assert node.inputScan is not first
    assert ui.flipsButton.enabled
    assert ui.flipsButton.text != "Copying Patient DWI…"
    ui.editMaskButton.click()
    node.inputScan = first
    host.waitFor(lambda: not ready.maskWork._stepper.busy, 600)
    assert "Flips" not in ui.gradientsLabel.text
    assert node.mask is None


def test_the_mask_is_edited_in_the_segment_editor_and_used(host: Any, ready: Any) -> None:
    import slicer

    node = ready._parameterNode
    press(host, ready.ui.editMaskButton)
    mask = node.mask
    assert mask.GetClassName() == "vtkMRMLSegmentationNode"
    editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert editor.GetSegmentationNode() is mask
    assert editor.GetSourceVolumeNode().GetName() == "Patient DWI mean b0"
    key = mask.GetSegmentation().GetNthSegmentID(0)
    assert editor.GetSelectedSegmentID() == key
    inside = slicer.util.arrayFromSegmentBinaryLabelmap(mask, key, editor.GetSourceVolumeNode())
    assert inside.sum() > 100
    cut = inside.copy()
    cut[:, :8] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(cut, mask, key, editor.GetSourceVolumeNode())
    press(host, ready.ui.editMaskButton)  # again: the same one
    assert node.mask is mask
    apply(host, ready)
    from deeprecon.scene.common.results import nodes_of_run

    used = slicer.util.arrayFromVolume(nodes_of_run(node.outputScan)["mask"])
    assert np.array_equal(used > 0, cut > 0)


def test_an_unusable_gradient_table_disables_apply(host: Any, ready: Any) -> None:
    node, button = ready._parameterNode, ready.runPanel.ui.applyButton
    assert button.enabled
    node.inputScan.SetDiffusionGradient(3, [0.0, 0.0, 0.0])
    ready.onChanged()
    assert not button.enabled
    assert "volume 3" in button.toolTip
    assert "✗" in ready.ui.gradientsLabel.text


def test_a_mask_on_another_grid_is_refused_with_the_name_of_its_node(host: Any, ready: Any) -> None:
    import slicer

    from deeprecon.data.volume import Volume
    from deeprecon.scene.dwmri.scan import node_from_map

    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    ready._parameterNode.mask = node_from_map(Volume(np.ones((4, 5, 6), np.uint8), np.eye(4)), "Other mask")
    message = apply(host, ready)
    assert ready.runPanel.state.value == "failed"
    assert "Other mask" in message
    assert ready._parameterNode.outputScan is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == before + 1
