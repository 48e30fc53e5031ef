"""Regions and lines on a diffusion run whose values are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
import vtk

from deeprecon.data.diffusion.gradients import gradient_table
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.scene.display.charts import Curve, draw_chart
from deeprecon.scene.dwmri import measurements
from deeprecon.scene.dwmri.gradients import draw_directions
from deeprecon.scene.dwmri.measurements import Image, ResultImages, line_profile, region_rows
from deeprecon.scene.dwmri.scan import node_from_map, node_from_scan

SHAPE = (6, 10, 12)
OBLIQUE = np.array([[0.0, -2.0, 0.0, 7.0], [1.6, 0.0, -1.2, -3.0], [1.2, 0.0, 1.6, 5.0], [0, 0, 0, 1]])
"""Turned by 90 degrees and tilted, voxels of 2 mm."""


@pytest.fixture
def measures(scene: Any, monkeypatch: pytest.MonkeyPatch) -> ResultImages:
    """A run whose signal rises by 10 with each column, with noise 5 before and 1 after, and known FA and MD."""
    table = gradient_table([0, 1000, 1000], [[0, 0, 0], [1, 0, 0], [0, 0, 1]])
    column = np.broadcast_to(10.0 * np.arange(SHAPE[2], dtype=np.float32), SHAPE)
    before = np.stack([column + 1000, column + 100, column + 200], axis=-1).astype(np.float32)

    def image(value: Any) -> Any:
        array = np.broadcast_to(np.asarray(value, np.float32), SHAPE).copy()
        return node_from_map(Volume(array, OBLIQUE), "map")

    nodes = {
        "input": node_from_scan(DwiScan(before, OBLIQUE, table, "before"), "before"),
        "dwi": node_from_scan(DwiScan(before + 10, OBLIQUE, table, "after"), "after"),
        "noise": image(5.0),
        "uncertainty": image(1.0),
        "fa_before": image(0.5),
        "fa_after": image(0.01 * column),
        "md_before": image(8e-4),
        "md_after": image(7e-4),
    }
    monkeypatch.setattr(measurements, "images_of", lambda node: nodes)
    return ResultImages(None)


def box(low: Any, high: Any) -> Any:
    """A ROI around the voxels from low to high (i, j, k), turned as the image is."""
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    turn = np.eye(4)
    turn[:3, :3] = OBLIQUE[:3, :3] / 2
    roi.SetCenter(np.zeros(3))
    roi.SetSize(*(2.0 * (np.array(high) - low + 0.5)))
    turn[:3, 3] = OBLIQUE[:3, :3] @ ((np.array(low) + high) / 2) + OBLIQUE[:3, 3]
    roi.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(turn))
    return roi


def found(rows: list[dict[str, Any]], figure: str, region: str = "Box") -> dict[str, Any]:
    return next(row for row in rows if row["figure"] == figure and row["region"] == region)


def test_a_turned_box_holds_its_voxels_and_their_figures(measures: ResultImages) -> None:
    rows = region_rows(measures, box((3, 2, 1), (4, 5, 3)))
    assert found(rows, "Voxels")["after"] == "24"
    snr = found(rows, "Signal over noise")
    assert (snr["before"], snr["after"]) == ("37.0", "195.0")  # (35 + 150) / 5, (35 + 160) / 1
    fa = found(rows, "FA")
    assert (fa["before"], fa["SD before"], fa["after"], fa["SD after"]) == ("0.500", "0.000", "0.350", "0.050")
    assert found(rows, "MD [1e-6 mm²/s]")["after"] == "700"


def test_a_box_under_a_transform_moves_with_it(measures: ResultImages) -> None:
    roi = box((3, 2, 1), (4, 5, 3))
    moved = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    shift = np.eye(4)
    shift[:3, 3] = 2 * OBLIQUE[:3, 0]  # two columns on
    moved.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    roi.SetAndObserveTransformNodeID(moved.GetID())
    assert found(region_rows(measures, roi), "FA")["after"] == "0.550"


def test_each_segment_is_a_region(measures: ResultImages) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Parts")
    with pytest.raises(InputError, match="no segment"):
        region_rows(measures, node)
    grid = measures.image("noise").node
    node.SetReferenceImageGeometryParameterFromVolumeNode(grid)
    for name, columns in (("first", slice(0, 2)), ("last", slice(10, 12)), ("none", slice(0, 0))):
        mask = np.zeros(SHAPE, np.uint8)
        mask[..., columns] = 1
        key = node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, key, grid)
    rows = region_rows(measures, node)
    assert found(rows, "Voxels", "first")["after"] == "120"
    assert found(rows, "FA", "first")["after"] == "0.050"
    assert found(rows, "FA", "last")["after"] == "1.050"
    assert [row["figure"] for row in rows if row["region"] == "none"] == ["Voxels"]


def test_a_profile_is_interpolated_in_the_world(measures: ResultImages) -> None:
    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Line")
    with pytest.raises(InputError, match="not placed"):
        line_profile({"before": measures.volume("input", 1)}, line)
    for ijk in ((2, 4, 3, 1), (9, 4, 3, 1)):
        line.AddControlPointWorld(vtk.vtkVector3d(*(OBLIQUE @ ijk)[:3]))
    images = {"before": measures.volume("input", 1), "after": measures.volume("dwi", 2)}
    profile = line_profile(images, line)
    assert profile.distance[-1] == pytest.approx(14)
    assert len(profile.distance) == 15
    np.testing.assert_allclose(profile.values["before"], 120 + 5 * profile.distance, atol=1e-4)
    np.testing.assert_allclose(profile.values["after"], 230 + 5 * profile.distance, atol=1e-4)


def test_a_profile_is_empty_outside_of_the_image(measures: ResultImages) -> None:
    image = Image(np.ones((3, 3, 3)), np.eye(4), None)
    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Line")
    for x in (-5, 1):
        line.AddControlPointWorld(vtk.vtkVector3d(x, 1, 1))
    values = line_profile({"after": image}, line).values["after"]
    assert np.isnan(values[0])
    assert values[-1] == 1


def test_a_chart_is_drawn_again_in_its_nodes(scene: Any) -> None:
    x = np.arange(4.0)
    first = draw_chart("Profile", [Curve("before", x, x), Curve("after", x[:2], x[:2])], "mm", "FA")
    series = [first.GetNthPlotSeriesNodeID(index) for index in range(2)]
    again = draw_chart("Profile", [Curve("before", x, 2 * x), Curve("after", x, x)], "mm", "MD", ((0, 1), (2, 3)))
    assert again is first
    assert [again.GetNthPlotSeriesNodeID(index) for index in range(2)] == series
    assert again.GetXAxisRange() == (0, 1)
    table = again.GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    assert table.GetColumnByName("y 0").GetValue(3) == 6
    draw_chart("Profile", [Curve("after", x, x)], "mm", "MD")
    assert first.GetNumberOfPlotSeriesNodes() == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 1


def test_directions_are_on_discs_of_equal_area(scene: Any) -> None:
    b = [0, 1000, 1000, 1000, 1000]
    chart = draw_directions(
        gradient_table(b, [[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0.6, -0.8], [0, -0.6, 0.8]]), "Ball"
    )
    table = chart.GetNthPlotSeriesNode(1).GetTableNode().GetTable()
    points = [
        (table.GetColumnByName("x 1").GetValue(row), table.GetColumnByName("y 1").GetValue(row)) for row in range(4)
    ]
    radius = np.sqrt(0.2)  # of the cap above z = 0.8: its area is 1/5 of the half sphere's
    np.testing.assert_allclose(points, [(0, 0), (1, 0), (2.3, radius), (0, -radius)], atol=1e-9)
