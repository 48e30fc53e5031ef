"""A diffusion scan's enhancement from nodes to a job folder, through the worker, and back into the scene."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from scipy.ndimage import gaussian_filter

from deeprecon.data.diffusion.files import write_dwi
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume
from deeprecon.dwmri.parameters import EnhanceParameters, Method, Stored
from deeprecon.dwmri.read.masks import read_mask
from deeprecon.dwmri.simulate.head import make_phantom
from deeprecon.dwmri.write.metric_table import metric_rows
from deeprecon.jobs.job import Job
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.common.results import discard, nodes_of_run
from deeprecon.scene.dwmri.inputs import is_result, stored_inputs
from deeprecon.scene.dwmri.job import OUTPUT, DwiNodes, write_folder_job, write_job
from deeprecon.scene.dwmri.mask import mask_to_edit
from deeprecon.scene.dwmri.result import load_folder, load_outputs
from deeprecon.scene.dwmri.scan import SEQUENCE, WEIGHTED, node_from_map, node_from_scan, scan_from_node
from deeprecon.scene.dwmri.views import available_comparisons, select_volume, show_comparison

LIBRARY = Path(__file__).resolve().parents[3] / "Logic"
FAST = EnhanceParameters(method=Method.PCA)


@pytest.fixture(scope="module")
def phantom() -> Any:
    return make_phantom((10, 20, 22), 2, ((1000.0, 12),), 20.0)


@pytest.fixture(scope="module")
def finished(phantom: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job folder of the phantom with its mask, done by the worker as the panel starts it."""
    folder: Path = tmp_path_factory.mktemp("job")
    (folder / "inputs").mkdir()
    write_dwi(folder / "inputs" / "dwi.nrrd", phantom.noisy)
    write_volume(folder / "inputs" / "mask.nrrd", phantom.noisy.volume(phantom.mask.astype(np.uint8)))
    inputs = {"dwi": "inputs/dwi.nrrd", "mask": "inputs/mask.nrrd"}
    Job("dwmri", "enhance", inputs, to_json(FAST), output=OUTPUT, device="cpu").save(folder)
    subprocess.run(
        [sys.executable, "-m", "deeprecon.worker", str(folder)],
        env={**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=240,
    )
    return folder


def labelmap(phantom: Any, inside: Any) -> Any:
    return node_from_map(Volume(inside.astype(np.uint8), phantom.noisy.ijk_to_ras), "Patient mask")


def test_a_job_holds_inputs_and_settings(scene: Any, phantom: Any, tmp_path: Path) -> None:
    node, mask = node_from_scan(phantom.noisy, "Patient DWI"), labelmap(phantom, phantom.mask)
    names = write_job(tmp_path, DwiNodes(node, mask, tmp_path), FAST, "cpu", 4)
    assert names == {"dwi.nrrd": "Patient DWI", "mask.nrrd": "Patient mask"}
    job = json.loads((tmp_path / "job.json").read_text(encoding="utf-8"))
    assert (job["method"], job["verb"], job["device"], job["seed"]) == ("dwmri", "enhance", "cpu", 4)
    assert job["inputs"] == {"dwi": "inputs/dwi.nrrd", "mask": "inputs/mask.nrrd", "bundle": str(tmp_path)}
    assert job["parameters"]["method"] == "pca"
    np.testing.assert_array_equal(read_volume(tmp_path / "inputs" / "mask.nrrd").array > 0, phantom.mask)


def test_a_drawn_mask_is_put_on_the_grid_of_the_scan(scene: Any, phantom: Any, tmp_path: Path) -> None:
    node = node_from_scan(phantom.noisy, "Patient DWI")
    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    label = labelmap(phantom, phantom.mask)
    for half in (slice(0, 5), slice(5, None)):  # two segments are one mask
        part = np.zeros_like(phantom.mask)
        part[half] = phantom.mask[half]
        key = drawn.GetSegmentation().AddEmptySegment()
        slicer.util.updateSegmentBinaryLabelmapFromArray(part.astype(np.uint8), drawn, key, label)
    write_job(tmp_path, DwiNodes(node, drawn), FAST)
    np.testing.assert_array_equal(read_volume(tmp_path / "inputs" / "mask.nrrd").array > 0, phantom.mask)


def test_a_label_map_of_probabilities_is_cut_at_one_half_by_the_panel_as_by_the_shell(
    scene: Any, phantom: Any, tmp_path: Path
) -> None:
    share = gaussian_filter(phantom.mask.astype(float), 1.0)
    percent = np.rint(100 * share / share.max()).astype(np.uint8)
    node = node_from_scan(phantom.noisy, "Patient DWI")
    mask = node_from_map(Volume(percent, phantom.noisy.ijk_to_ras), "Patient mask")
    write_job(tmp_path, DwiNodes(node, mask), FAST)
    run = Run(tmp_path, tmp_path, "cpu", 1, "fp32", 0, SilentReporter())
    np.testing.assert_array_equal(read_mask(tmp_path / "inputs" / "mask.nrrd", phantom.noisy, run), percent > 50)
    assert [doubt.code for doubt in run.doubts] == ["mask-probability"]
    drawn, image = mask_to_edit(node, mask)
    key = drawn.GetSegmentation().GetNthSegmentID(0)
    found = slicer.util.arrayFromSegmentBinaryLabelmap(drawn, key, image)
    np.testing.assert_array_equal(found > 0, percent > 50)


def test_an_invalid_job_writes_no_file(scene: Any, phantom: Any, tmp_path: Path) -> None:
    node = node_from_scan(phantom.noisy, "Patient DWI")
    with pytest.raises(InputError, match="Choose a diffusion scan"):
        write_job(tmp_path, DwiNodes(None), FAST)
    with pytest.raises(InputError, match="Patient mask is empty"):
        write_job(tmp_path, DwiNodes(node, labelmap(phantom, phantom.mask & False)), FAST)
    with pytest.raises(InputError, match="steps"):
        write_job(tmp_path, DwiNodes(node), EnhanceParameters(steps=1))
    with pytest.raises(InputError, match="no folder"):
        write_folder_job(tmp_path, tmp_path / "missing", tmp_path, None, FAST)
    assert list(tmp_path.iterdir()) == []


def test_from_a_diffusion_volume_to_the_enhanced_one(scene: Any, phantom: Any, finished: Path, tmp_path: Path) -> None:
    node, mask = node_from_scan(phantom.noisy, "Patient DWI"), labelmap(phantom, phantom.mask)
    given = DwiNodes(node, mask)
    write_job(tmp_path, given, FAST, "cpu")
    assert same_inputs(tmp_path, finished)
    result = load_outputs(finished / OUTPUT, given)
    made = result.nodes["dwi"]
    assert made.GetClassName() == result.nodes["residual"].GetClassName() == WEIGHTED
    assert made.GetName() == "Patient DWI enhanced"
    found, before = scan_from_node(made), scan_from_node(node)
    np.testing.assert_array_equal(found.gradients.directions, before.gradients.directions)
    np.testing.assert_array_equal(found.gradients.bvals, before.gradients.bvals)
    np.testing.assert_allclose(found.ijk_to_ras, before.ijk_to_ras, atol=1e-9)
    truth, inside = phantom.clean.array, phantom.mask
    errors = [np.sqrt(np.mean((array[inside] - truth[inside]) ** 2)) for array in (found.array, before.array)]
    assert errors[0] < 0.6 * errors[1]
    residual = scan_from_node(result.nodes["residual"]).array
    np.testing.assert_allclose(residual, before.array - found.array, atol=1e-3)
    assert result.nodes["mask"].GetClassName() == "vtkMRMLLabelMapVolumeNode"
    assert result.nodes["color_fa_after"].GetImageData().GetNumberOfScalarComponents() == 3
    assert slicer.util.arrayFromVolume(result.nodes["color_fa_after"]).max() > 100
    assert 0 < slicer.util.arrayFromVolume(result.nodes["fa_after"])[inside].mean() < 1
    assert result.nodes["fa_after"].GetName() == "Patient DWI enhanced FA after"
    assert not any("_" in each.GetName() for each in result.nodes.values())
    assert result.nodes["figures"].GetCellText(0, 0) == "Volumes"
    assert result.nodes["figures"].GetCellText(0, 1) == "14"
    assert "14 volumes" in result.sentence
    assert result.report.exists()

    # provenance and inputs
    assert provenance_of(made)["parameters"]["method"] == "pca"
    assert is_result(made)
    assert not is_result(node)
    assert stored_inputs(made) == given
    assert set(nodes_of_run(made)) == set(result.nodes)
    assert available_comparisons(made) == ["scan", "residual", "fa", "color_fa", "md", "noise", "uncertainty"]

    # without views there is no layout; the windows are the same before and after
    show_comparison(made, "scan", volume=3)
    windows = [each.GetDisplayNode().GetWindow() for each in (node, made)]
    assert windows[0] == windows[1] > 0
    assert [each.GetDisplayNode().GetDiffusionComponent() for each in (node, made)] == [3, 3]
    select_volume(made, 1000)
    assert made.GetDisplayNode().GetDiffusionComponent() == 13

    # the nodes are reused, and discarding removes all
    again = load_outputs(finished / OUTPUT, given, {"dwi": made})
    assert {role: each.GetID() for role, each in again.nodes.items()} == {
        role: each.GetID() for role, each in result.nodes.items()
    }
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    discard(nodes_of_run(made).values())
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == count - (len(again.nodes) - 1)


def same_inputs(folder: Path, other: Path) -> bool:
    """Whether two jobs read the same scan."""
    names = [each / "inputs" / "dwi.nrrd" for each in (folder, other)]
    return names[0].read_bytes() == names[1].read_bytes()


def test_a_sequence_gives_a_sequence(scene: Any, phantom: Any, finished: Path, tmp_path: Path) -> None:
    like = slicer.mrmlScene.AddNewNodeByClass(SEQUENCE, "like")
    node = node_from_scan(phantom.noisy, "Patient series", None, like)
    write_job(tmp_path, DwiNodes(node), FAST, "cpu")
    assert same_inputs(tmp_path, finished)
    result = load_outputs(finished / OUTPUT, DwiNodes(node))
    made = result.nodes["dwi"]
    assert made.GetClassName() == SEQUENCE
    assert made.GetNumberOfDataNodes() == 14
    directions = [scan_from_node(each).gradients.directions for each in (made, node)]
    np.testing.assert_allclose(*directions, atol=1e-5)
    show_comparison(made, "scan", volume=5)
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
    assert [browser.GetSelectedItemNumber() for browser in browsers] == [5, 5, 5]


def test_results_of_the_command_line_are_loaded_without_their_input(scene: Any, phantom: Any, tmp_path: Path) -> None:
    write_dwi(tmp_path / "scan.nii.gz", phantom.noisy)
    command = [
        sys.executable, "-m", "deeprecon", "dwmri", "enhance", "--dwi", str(tmp_path / "scan.nii.gz"),
        "--method", "pca", "--stored", Stored.INPUT.value, "--device", "cpu", "--output", str(tmp_path / "out"),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=240)
    made = load_folder(tmp_path / "out")
    assert made["dwi"].GetClassName() == WEIGHTED
    found = scan_from_node(made["dwi"])
    np.testing.assert_allclose(found.gradients.directions, phantom.noisy.gradients.directions, atol=1e-5)
    (tmp_path / "out" / "noise.nii.gz").write_bytes(b"damaged")
    with pytest.raises(InputError, match="changed after the run"):
        load_folder(tmp_path / "out")


def test_metrics_are_formatted_for_the_table() -> None:
    metrics = {"mean_md_after": 0.000812, "snr_dwi": 7.26, "odd_thing": 1, "shells": "12 x 1000", "lags": [1, 2]}
    assert metric_rows(metrics) == [
        {"figure": "Shells (volumes x b-value)", "value": "12 x 1000"},
        {"figure": "Signal over noise, weighted", "value": "7.3"},
        {"figure": "Mean MD after [1e-6 mm²/s]", "value": "812"},
        {"figure": "Odd thing", "value": "1"},
    ]
