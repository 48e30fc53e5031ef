"""Jobs written from nodes: several stacks, roles by name, missing inputs, and the inputs stored on a result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.scar.parameters import Interpolation, Method, ReconstructParameters
from deeprecon.scar.read.regions import open_regions
from deeprecon.scene.common.provenance import attach_provenance
from deeprecon.scene.nodes.volumes import node_from_volume
from deeprecon.scene.scar.cross_validation import summary_sentence
from deeprecon.scene.scar.inputs import store_inputs, stored_inputs
from deeprecon.scene.scar.job import ScarNodes, ScarStack, write_job
from deeprecon.scene.scar.segments import find_segments, segment_choices

SHORT = np.array([[2.0, 0, 0, -7], [0, 2, 0, -9], [0, 0, 8, 5], [0, 0, 0, 1]])
LONG = np.array([[2.0, 0, 0, -7], [0, 0, 6, -3], [0, 2, 0, 5], [0, 0, 0, 1]])
"""Rows to the right in both; columns to the front and to the head."""


def stack(number: int, ijk_to_ras: Any, names: dict[str, str], shape: tuple[int, int, int]) -> ScarStack:
    """A volume and a segmentation on its grid: role -> segment name; each role fills other columns of the image."""
    array = np.full(shape, number, np.int16)
    volume = node_from_volume(Volume(array, ijk_to_ras, slice_thickness=6.0 + number), f"LGE {number}")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"Drawn {number}")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for column, name in enumerate(names.values(), 1):
        mask = np.zeros(shape, np.uint8)
        mask[..., 1 : column + 1] = 1
        key = segmentation.GetSegmentation().AddEmptySegment(f"{number}{name}", name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, key, volume)
    return ScarStack(segmentation, volume)


@pytest.fixture
def nodes(scene: Any) -> ScarNodes:
    """A short-axis stack whose chosen segments have names without meaning, and one long-axis slice."""
    first = stack(1, SHORT, {"scar": "Bright", "myocardium": "Muscle"}, (3, 8, 6))
    second = stack(2, LONG, {"scar": "Bright", "other": "Scar", "myocardium": "LV wall"}, (1, 7, 6))
    chosen = {"scar": "1Bright", "myocardium": "1Muscle"}
    return ScarNodes(first.segmentation, chosen, first.volume, stacks=(second,))


def written(folder: Path) -> dict[str, Any]:
    job: dict[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    return job


def test_every_stack_is_written_with_its_own_grid_and_thickness(nodes: ScarNodes, tmp_path: Path) -> None:
    names = write_job(tmp_path, nodes, ReconstructParameters(), verb="cross-validate")
    job = written(tmp_path)
    assert job["verb"] == "cross-validate"
    assert job["inputs"] == {
        "myocardium": ["inputs/segmentation.seg.nrrd", "inputs/segmentation2.seg.nrrd"],
        "scar": ["inputs/segmentation.seg.nrrd", "inputs/segmentation2.seg.nrrd"],
        "lge": ["inputs/lge.nrrd", "inputs/lge2.nrrd"],
    }
    assert names == {
        "lge.nrrd": "LGE 1",
        "segmentation.seg.nrrd": "Drawn 1",
        "lge2.nrrd": "LGE 2",
        "segmentation2.seg.nrrd": "Drawn 2",
    }
    for number, grid in ((1, SHORT), (2, LONG)):
        mark = "" if number == 1 else "2"
        image = read_volume(tmp_path / "inputs" / f"lge{mark}.nrrd")
        drawn = read_segmentation(tmp_path / "inputs" / f"segmentation{mark}.seg.nrrd")
        np.testing.assert_allclose(image.ijk_to_ras, grid, atol=1e-9)
        np.testing.assert_allclose(drawn.ijk_to_ras, grid, atol=1e-9)
        assert set(np.unique(image.array)) == {number}
        assert (image.slice_thickness, drawn.slice_thickness) == (6.0 + number, 6.0 + number)


def test_segments_of_another_stack_are_matched_by_name_then_by_role(nodes: ScarNodes, tmp_path: Path) -> None:
    write_job(tmp_path, nodes, ReconstructParameters())
    drawn = read_segmentation(tmp_path / "inputs" / "segmentation2.seg.nrrd")
    masks = {segment.name: segment.mask for segment in drawn.segments}
    assert set(masks) == {"scar", "myocardium"}
    assert masks["scar"][0, 0].tolist() == [0, 1, 0, 0, 0, 0]  # "Bright" as in the first stack, not "Scar"
    assert masks["myocardium"][0, 0].tolist() == [0, 1, 1, 1, 0, 0]


def test_the_result_tells_the_segments_by_the_names_that_the_user_gave(nodes: ScarNodes, tmp_path: Path) -> None:
    extra = nodes.segmentation.GetSegmentation().AddEmptySegment("x", "Old | scar, 2019")
    chosen = dict(nodes.segments) | {"scar": "1Bright\n" + extra}
    nodes.segmentation.GetSegmentation().AddEmptySegment("y", "Liver")
    write_job(tmp_path, replace(nodes, segments=chosen), ReconstructParameters())
    files = [tmp_path / "inputs" / f"segmentation{mark}.seg.nrrd" for mark in ("", "2")]
    assert dict(open_regions(files[0], {}).listing) == {
        "Muscle": "myocardium", "Bright": "scar", "Old | scar, 2019": "scar", "Liver": "",
    }  # fmt: skip
    assert dict(open_regions(files[1], {}).listing) == {"LV wall": "myocardium", "Bright": "scar", "Scar": ""}


def test_missing_inputs_of_a_stack_are_named(nodes: ScarNodes, tmp_path: Path) -> None:
    (second,) = nodes.stacks

    def missing(**changes: Any) -> str:
        return ScarNodes(nodes.segmentation, nodes.segments, changes.pop("volume", nodes.volume), **changes).missing()

    assert missing(stacks=(second,)) == ""
    assert missing(stacks=(second, ScarStack(None, second.volume))) == "Choose the segmentation of stack 3."
    assert "LGE volume of stack 2 too" in missing(stacks=(ScarStack(second.segmentation),))
    assert "LGE volume of the first stack too" in missing(volume=None, stacks=(second,))
    assert missing(volume=None, stacks=(ScarStack(second.segmentation),)) == ""
    second.segmentation.GetSegmentation().GetSegment("2LV wall").SetName("A")
    assert "Drawn 2 has no segment named as the myocardium" in missing(stacks=(second,))
    second.segmentation.GetSegmentation().GetSegment("2LV wall").SetName("Muscle")
    assert missing(stacks=(second,)) == ""
    second.segmentation.GetSegmentation().RemoveSegment("2LV wall")
    second.segmentation.GetSegmentation().AddEmptySegment("x", "Muscle")
    with pytest.raises(InputError, match="The segment Muscle of the myocardium is empty"):
        write_job(tmp_path, nodes, ReconstructParameters())
    assert not (tmp_path / "job.json").exists()


def test_a_result_stores_its_stacks_and_not_those_of_an_earlier_run(nodes: ScarNodes) -> None:
    result = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    store_inputs(result, nodes)
    assert stored_inputs(result) == nodes
    alone = ScarNodes(nodes.segmentation, nodes.segments, nodes.volume)
    store_inputs(result, alone)
    assert stored_inputs(result) == alone
    store_inputs(result, nodes)
    slicer.mrmlScene.RemoveNode(nodes.stacks[0].segmentation)
    assert stored_inputs(result).stacks == (ScarStack(None, nodes.stacks[0].volume),)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"method": "field", "interpolation": "linear"},
            "the neural field predicts them with a mean Dice of 0.91, the best interpolation (log-odds) with 0.88",
        ),
        (
            {"method": "interpolation", "interpolation": "linear"},
            "interpolation (linear) predicts them with a mean Dice of 0.70, the best other interpolation (log-odds) "
            "with 0.88",
        ),
    ],
)
def test_summary_sentence_of_a_cross_validation(scene: Any, settings: dict[str, str], words: str) -> None:
    figures = {"slices": 8, "dice_linear": 0.7, "dice_log-odds": 0.881, "dice_nearest": 0.6}
    if settings["method"] == "field":
        figures["dice_field"] = 0.912
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    attach_provenance(node, {"provenance": {"parameters": settings}, "metrics": figures})
    assert words in summary_sentence(node)
    assert "Each of 8 slices" in summary_sentence(node)


def test_every_method_has_a_name_in_that_sentence() -> None:
    from deeprecon.scar.parameters import INTERPOLATION_LABELS
    from deeprecon.scene.scar.cross_validation import TRAINED

    assert set(INTERPOLATION_LABELS) == set(Interpolation)
    assert set(TRAINED) == {method.value for method in Method if method is not Method.INTERPOLATION}


def test_all_scar_segments_by_name_count_as_in_the_shell(scene: Any, tmp_path: Path) -> None:
    first = stack(1, SHORT, {"a": "Infarct LAD", "b": "Small scars", "myocardium": "Myocardium"}, (3, 8, 6))
    found = find_segments(first.segmentation)
    assert segment_choices(first.segmentation)[found["scar"]] == "Infarct LAD + Small scars"
    write_job(tmp_path, ScarNodes(first.segmentation, found, first.volume), ReconstructParameters())
    drawn = read_segmentation(tmp_path / "inputs" / "segmentation.seg.nrrd")
    assert {segment.name: int(segment.mask[0, 0].sum()) for segment in drawn.segments} == {"myocardium": 3, "scar": 2}


def test_core_and_border_zone_are_scar_without_a_segment_of_all_scar(scene: Any, tmp_path: Path) -> None:
    first = stack(1, SHORT, {"a": "Scar core", "b": "Border zone", "myocardium": "Myocardium"}, (3, 8, 6))
    nodes = ScarNodes(first.segmentation, find_segments(first.segmentation), first.volume)
    assert nodes.missing() == ""
    write_job(tmp_path, nodes, ReconstructParameters())
    drawn = read_segmentation(tmp_path / "inputs" / "segmentation.seg.nrrd")
    assert {segment.name for segment in drawn.segments} == {"myocardium", "core", "border-zone"}
    assert "scar" in written(tmp_path)["inputs"]


def test_a_healthy_heart_needs_no_scar_segment(scene: Any, tmp_path: Path) -> None:
    first = stack(1, SHORT, {"myocardium": "Myocardium"}, (3, 8, 6))
    found = find_segments(first.segmentation)
    assert "no scar" in ScarNodes(first.segmentation, found).missing()
    write_job(tmp_path, ScarNodes(first.segmentation, found, no_scar=True), ReconstructParameters())
    job = written(tmp_path)
    assert job["parameters"]["no_scar"] is True
    assert "scar" not in job["inputs"]
