"""A synthetic CT in the scene: its nodes are labeled, can be shown, repeated and discarded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer

from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import Radiograph
from deeprecon.data.volume import Volume
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.common.results import discard, nodes_of_run
from deeprecon.scene.ctpa import result as ctpa_result
from deeprecon.scene.ctpa.inputs import is_result, stored_inputs
from deeprecon.scene.ctpa.job import OUTPUT, CtpaNodes
from deeprecon.scene.ctpa.result import load_folder, load_outputs, metric_rows, quality_of
from deeprecon.scene.ctpa.synthetic_label import is_synthetic
from deeprecon.scene.ctpa.views import (
    PRESETS,
    WINDOWS,
    atlas_pictures,
    available_images,
    presets,
    projection_check_image,
    render,
    rendering,
    set_window,
    show_image,
)
from deeprecon.scene.ctpa.xray import node_from_radiograph
from deeprecon.scene.nodes.volumes import node_from_volume

from .ctpa_results import GRID, METRICS, SHIFT, write_atlas_result, write_result


@pytest.fixture
def xray(scene: Any) -> Any:
    image = np.random.default_rng(0).random((80, 70), np.float32)
    return node_from_radiograph(Radiograph(image, (0.4, 0.4), "PA", "x"), "Patient film")


def test_every_synthetic_node_is_named_so(xray: Any, tmp_path: Path) -> None:
    write_result(tmp_path / OUTPUT)
    result = load_outputs(tmp_path / OUTPUT, CtpaNodes(xray))
    names = {role: node.GetName() for role, node in result.nodes.items()}
    assert names == {
        "ct": "Patient film CT (SYNTHETIC)",
        "sample_01": "Patient film CT sample 1 (SYNTHETIC)",
        "sample_02": "Patient film CT sample 2 (SYNTHETIC)",
        "spread": "Patient film CT spread (SYNTHETIC)",
        "projected": "Patient film CT projected (SYNTHETIC)",
        "difference": "Patient film CT projected minus X-ray (SYNTHETIC)",
        "xray": "Patient film X-ray as used",
        "figures": "Patient film CT figures",
    }
    marked = {role for role, node in result.nodes.items() if is_synthetic(node)}
    assert marked == set(names) - {"xray", "figures"}
    ct = result.nodes["ct"]
    assert slicer.util.arrayFromVolume(ct).dtype == np.int16
    np.testing.assert_allclose(ct.GetSpacing(), GRID.spacing, rtol=1e-5)
    assert result.report.is_file()
    assert "amber" in result.sentence

    # provenance, inputs and quality
    assert provenance_of(ct)["parameters"]["steps"] == 12
    assert is_result(ct)
    assert not is_result(result.nodes["sample_01"])
    assert stored_inputs(ct) == CtpaNodes(xray)
    assert quality_of(ct).level == "amber"
    assert len(quality_of(ct).reasons) == 2

    # the nodes are reused, and discarding removes all
    write_result(tmp_path / "again" / OUTPUT, samples=1)
    again = load_outputs(tmp_path / "again" / OUTPUT, CtpaNodes(xray), {"ct": ct})
    assert again.nodes["ct"] is ct
    assert set(nodes_of_run(ct)) == {"ct", "xray", "projected", "difference", "figures"}  # one sample is the mean
    discard(nodes_of_run(ct).values())
    assert [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode")] == ["Patient film"]


def test_the_results_are_in_the_study_of_the_x_ray(xray: Any, tmp_path: Path) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(xray), study)
    made = load_folder(write_result(tmp_path / "out"), xray)
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(made["ct"]))
    assert hierarchy.GetItemName(folder) == "Patient film CT (SYNTHETIC)"
    assert hierarchy.GetItemParent(folder) == study


def test_windows_are_the_same_for_the_mean_and_the_samples(xray: Any, tmp_path: Path) -> None:
    made = load_folder(write_result(tmp_path / "out"), xray)
    show_image(made["ct"], "spread")
    for name, (width, level) in WINDOWS.items():
        set_window(made["ct"], name)
        for role in ("ct", "sample_01", "sample_02"):
            display = made[role].GetDisplayNode()
            assert (display.GetWindow(), display.GetLevel()) == (width, level)
    assert (WINDOWS["ctpa"], WINDOWS["lung"]) == ((700, 100), (1500, -600))
    assert (WINDOWS["mediastinum"], WINDOWS["pe"]) == ((350, 50), (1000, 400))
    assert available_images(made["ct"]) == ["ct", "sample_01", "sample_02", "spread"]


def test_the_spread_has_colors_of_its_own_and_a_legend(xray: Any, tmp_path: Path) -> None:
    made = load_folder(write_result(tmp_path / "out"), xray)
    show_image(made["ct"], "spread")
    display = made["spread"].GetDisplayNode()
    assert display.GetColorNode().GetName() == "DeepRecon spread"
    assert display.GetApplyThreshold()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(made["spread"])
    assert legend.GetVisibility()
    assert "HU" in legend.GetTitleText()
    show_image(made["ct"], "ct")
    assert not legend.GetVisibility()


def test_the_projection_check_is_a_picture_of_three(xray: Any, tmp_path: Path) -> None:
    made = load_folder(write_result(tmp_path / "out"), xray)
    pixels = projection_check_image(made["ct"])
    assert pixels is not None
    rows, _, columns = GRID.shape
    assert pixels.shape == (rows, 3 * columns + 8, 3)
    left, middle, right = (pixels[:, start : start + columns] for start in (0, columns + 4, 2 * columns + 8))
    assert middle.mean() > left.mean()  # the projected one is brighter
    assert left[0].mean() > left[-1].mean()  # the head is up
    assert (right[..., 0].astype(int) - right[..., 2]).min() > 0  # too much is red
    outlined = projection_check_image(made["ct"], outlines=True)
    assert outlined is not None
    assert (outlined == pixels).all()  # no lung fields in an image without lungs
    slicer.mrmlScene.RemoveNode(made["difference"])
    assert projection_check_image(made["ct"]) is None


def test_a_picture_of_an_atlas_has_the_head_up_and_the_right_on_the_left(scene: Any) -> None:
    array = np.full((20, 9, 10), -1000, np.int16)
    array[15:, :, :3] = 400  # at the head, on the patient's right
    node = node_from_volume(Volume(array, np.diag([-40.0, 30.0, 20.0, 1.0])), "Atlas")
    low = node_from_volume(Volume(array[:10], np.diag([-40.0, 30.0, 20.0, 1.0])), "Half of it")
    assert atlas_pictures([]) is None
    pixels = atlas_pictures([node, low])
    assert pixels is not None
    assert pixels.shape == (100, 204, 3)  # pixels of 4 mm, a gap of four between the two
    assert [pixels[place].max() for place in ((10, 10), (10, 90), (90, 10))] == [255, 0, 0]


def test_volume_rendering_uses_slicers_presets_where_they_are(xray: Any, tmp_path: Path) -> None:
    made = load_folder(write_result(tmp_path / "out"), xray)
    logic = slicer.modules.volumerendering.logic()
    if PRESETS[1] not in presets():
        preset = slicer.vtkMRMLVolumePropertyNode()
        preset.SetName(PRESETS[1])
        logic.AddPreset(preset)
    assert PRESETS[1] in presets()
    assert rendering(made["ct"]) == ""
    render(made["ct"], PRESETS[1])
    assert rendering(made["ct"]) == PRESETS[1]
    render(made["ct"], "")
    assert rendering(made["ct"]) == ""


def test_samples_that_are_too_large_are_not_loaded(xray: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(ctpa_result, "MAX_SAMPLE_BYTES", 100)
    write_result(tmp_path / OUTPUT, samples=3)
    result = load_outputs(tmp_path / OUTPUT, CtpaNodes(xray))
    assert set(result.nodes) == {"ct", "spread", "xray", "projected", "difference", "figures"}
    assert "3 samples are too large" in result.sentence
    assert str(tmp_path / OUTPUT) in result.sentence


def test_a_fitted_atlas_brings_named_organs_and_its_deformation(xray: Any, tmp_path: Path) -> None:
    made = load_outputs(write_atlas_result(tmp_path / OUTPUT), CtpaNodes(xray)).nodes
    assert set(made) == {
        "ct", "labels", "origin", "deformation", "xray", "projected", "difference", "figures",
    }  # fmt: skip
    assert made["labels"].IsA("vtkMRMLLabelMapVolumeNode")
    assert made["labels"].GetName() == "Patient film CT organs (SYNTHETIC)"
    assert is_synthetic(made["labels"])
    colors = made["labels"].GetDisplayNode().GetColorNode()
    assert [colors.GetColorName(value) for value in (0, 3, 7)] == ["none", "Lung", "Bone"]
    assert made["origin"].GetDisplayNode().GetColorNode().GetColorName(1) == "Fitted to the X-ray"
    deformation = made["deformation"]
    assert deformation.IsA("vtkMRMLGridTransformNode")
    moved = deformation.GetTransformFromParent().TransformDoublePoint(1.0, 2.0, 3.0)
    np.testing.assert_allclose(moved, (1 - SHIFT[0], 2 - SHIFT[1], 3 + SHIFT[2]), atol=1e-4)  # LPS to RAS
    assert available_images(made["ct"]) == ["ct", "labels", "origin"]
    show_image(made["ct"], "labels")
    table = made["figures"].GetTable()
    rows = [table.GetValue(row, 0).ToString() for row in range(table.GetNumberOfRows())]
    assert rows[:2] == ["Atlas", "Correlation of the fit"]

    # an atlas of the scene is named by its node, not by its file in the job
    named = load_folder(write_atlas_result(tmp_path / "own"), xray, atlases={"built-in man": "Woman"})
    assert named["figures"].GetTable().GetValue(0, 1).ToString() == "Woman"
    discard(named.values())

    # the next run writes into the same nodes; a network's has none of them
    again = load_outputs(write_atlas_result(tmp_path / "again" / OUTPUT, 50), CtpaNodes(xray), {"ct": made["ct"]})
    assert dict(again.nodes) == dict(made)
    write_result(tmp_path / "network" / OUTPUT)
    load_outputs(tmp_path / "network" / OUTPUT, CtpaNodes(xray), {"ct": made["ct"]})
    assert slicer.util.getNodesByClass("vtkMRMLGridTransformNode") == []
    discard(nodes_of_run(made["ct"]).values())
    assert [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode")] == ["Patient film"]


def test_a_transform_file_that_cannot_be_read_is_refused(scene: Any, tmp_path: Path) -> None:
    from deeprecon.scene.nodes.transforms import node_from_transform_file

    (tmp_path / "deformation.h5").write_bytes(b"damaged")
    count = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(InputError, match="holds no transform"):
        node_from_transform_file(tmp_path / "deformation.h5", "deformation")
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_a_damaged_result_changes_nothing(xray: Any, tmp_path: Path) -> None:
    folder = write_result(tmp_path / "out")
    (folder / "spread.nii.gz").write_bytes(b"damaged")
    count = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(InputError, match="changed after the run"):
        load_folder(folder, xray)
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_metrics_are_formatted_for_the_table() -> None:
    rows = {row["figure"]: row for row in metric_rows(METRICS)}
    assert rows["Lung (median)"] == {
        "figure": "Lung (median)",
        "value": "-820",
        "unit": "HU",
        "expected": "-950 to -550",
    }
    assert rows["Bone (median)"]["value"] == "not found"
    assert rows["Projection error (NRMSE)"]["value"] == "0.31"
    assert rows["Seeds of the samples"]["value"] == "3, 4"
    assert "trust" not in " ".join(rows)
