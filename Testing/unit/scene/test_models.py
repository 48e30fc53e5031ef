"""Model nodes and meshes, and how results are colored."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scene.display.colors import RAMPS, color_table, show_scalars
from deeprecon.scene.nodes.models import mesh_from_node, node_from_mesh

from .conftest import tetrahedra


def ball() -> Mesh:
    source = vtk.vtkSphereSource()
    source.SetRadius(20)
    source.Update()
    elevation = vtk.vtkElevationFilter()
    elevation.SetInputData(source.GetOutput())
    elevation.Update()
    return Mesh(elevation.GetOutput(), "ball")


@pytest.mark.parametrize("make", [tetrahedra, ball])
def test_points_cells_and_arrays_keep_their_order(scene: Any, make: Any) -> None:
    given, back = make(), mesh_from_node(node_from_mesh(make(), "heart"))
    assert (back.name, back.is_volume) == ("heart", given.is_volume)
    np.testing.assert_allclose(back.points, given.points, atol=1e-6)
    for got, wanted in zip(back.cells(), given.cells(), strict=True):
        np.testing.assert_array_equal(got, wanted)
    for name in given.array_names:
        np.testing.assert_array_equal(back.point_array(name), given.point_array(name))
    assert back.dataset.GetCellData().GetNumberOfArrays() == given.dataset.GetCellData().GetNumberOfArrays()


def test_linear_and_bending_transforms_move_the_points(scene: Any) -> None:
    node = node_from_mesh(tetrahedra(), "heart")
    matrix = np.array([[0.0, -1, 0, 3], [1, 0, 0, 4], [0, 0, 1, 5], [0, 0, 0, 1]])
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    expected = tetrahedra().points @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(mesh_from_node(node).points, expected, atol=1e-9)

    plate = vtk.vtkThinPlateSplineTransform()
    places, targets = vtk.vtkPoints(), vtk.vtkPoints()
    for point in ((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50)):
        places.InsertNextPoint(point)
        targets.InsertNextPoint(point[0] + 2, point[1], point[2])
    plate.SetSourceLandmarks(places)
    plate.SetTargetLandmarks(targets)
    plate.SetBasisToR()
    bend = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    bend.SetAndObserveTransformToParent(plate)
    node.SetAndObserveTransformNodeID(bend.GetID())
    np.testing.assert_allclose(mesh_from_node(node).points, tetrahedra().points + np.array([2, 0, 0]), atol=1e-6)
    np.testing.assert_array_equal(mesh_from_node(node).point_array("scar_probability"), [0, 0.25, 0.5, 0.75, 1])


def test_vectors_turn_with_their_points(scene: Any) -> None:
    mesh = tetrahedra()
    axis = np.array([0.0, 1.0, 0.0])
    for data, count in ((mesh.dataset.GetPointData(), mesh.n_points), (mesh.dataset.GetCellData(), mesh.n_cells)):
        array = numpy_to_vtk(np.tile(axis, (count, 1)), deep=True)
        array.SetName("fiber")
        data.AddArray(array)
    node = node_from_mesh(mesh, "heart")

    def fibers() -> list[np.ndarray]:
        moved = mesh_from_node(node).dataset
        return [vtk_to_numpy(data.GetArray("fiber")) for data in (moved.GetPointData(), moved.GetCellData())]

    turned = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.array([[0.0, -2, 0, 3], [2, 0, 0, 4], [0, 0, 2, 5], [0, 0, 0, 1]])
    slicer.util.updateTransformMatrixFromArray(turned, matrix)
    node.SetAndObserveTransformNodeID(turned.GetID())
    for found in fibers():
        np.testing.assert_allclose(found, np.tile([-1.0, 0, 0], (len(found), 1)), atol=1e-9)

    plate = vtk.vtkThinPlateSplineTransform()
    places, targets = vtk.vtkPoints(), vtk.vtkPoints()
    for point in ((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (30, 30, 30), (5, 20, 10)):
        places.InsertNextPoint(point)
        targets.InsertNextPoint(point[0] + point[1] ** 2 / 50, point[1], point[2])
    plate.SetSourceLandmarks(places)
    plate.SetTargetLandmarks(targets)
    plate.SetBasisToR()
    bend = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    bend.SetAndObserveTransformToParent(plate)
    node.SetAndObserveTransformNodeID(bend.GetID())
    connectivity, offsets, _ = mesh.cells()
    centers = np.array([mesh.points[connectivity[a:b]].mean(axis=0) for a, b in pairwise(offsets.tolist())])
    step = 1e-3
    for at, found in zip((mesh.points[1:], centers), (fibers()[0][1:], fibers()[1]), strict=True):  # 0 is a landmark
        ways = [
            np.subtract(plate.TransformPoint(point + step * axis), plate.TransformPoint(point - step * axis))
            for point in at
        ]
        wanted = np.array(ways) / np.linalg.norm(ways, axis=1, keepdims=True)
        assert np.abs(wanted[:, 0]).max() > 0.1
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    np.testing.assert_array_equal(vtk_to_numpy(node.GetMesh().GetCellData().GetArray("fiber")), np.tile(axis, (2, 1)))


def test_reading_a_mesh_does_not_change_the_node(scene: Any) -> None:
    node = node_from_mesh(tetrahedra(), "heart")
    mesh_from_node(node).dataset.GetPoints().SetPoint(0, 99, 99, 99)
    np.testing.assert_allclose(mesh_from_node(node).points, tetrahedra().points)


def test_a_model_without_mesh_is_refused(scene: Any) -> None:
    with pytest.raises(InputError, match="Nothing holds no mesh"):
        mesh_from_node(scene.AddNewNodeByClass("vtkMRMLModelNode", "Nothing"))


def test_a_rerun_replaces_the_mesh_and_keeps_the_display(scene: Any) -> None:
    node = node_from_mesh(ball(), "first")
    display = node.GetDisplayNodeID()
    assert node_from_mesh(tetrahedra(), "second", node) is node
    assert (node.GetName(), node.GetDisplayNodeID(), node.GetMesh().GetNumberOfPoints()) == ("second", display, 5)
    models = [m for m in slicer.util.getNodesByClass("vtkMRMLModelNode") if not m.GetHideFromEditors()]
    assert models == [node]  # views, where there are any, have hidden models of their own


def test_scalars_are_shown_with_a_fixed_range_and_a_legend(scene: Any) -> None:
    node = node_from_mesh(tetrahedra(), "heart")
    legend = show_scalars(node, "scar_probability", title="Scar probability")
    display = node.GetDisplayNode()
    assert display.GetScalarVisibility()
    assert display.GetActiveScalarName() == "scar_probability"
    assert display.GetScalarRange() == (0, 1)
    assert display.GetScalarRangeFlag() == slicer.vtkMRMLDisplayNode.UseManualScalarRange
    assert not display.GetBackfaceCulling()
    assert display.GetColorNode() is color_table("scar")
    assert (legend.GetTitleText(), legend.GetVisibility()) == ("Scar probability", 1)


def test_cell_arrays_can_be_shown_too(scene: Any) -> None:
    node = node_from_mesh(tetrahedra(), "heart")
    show_scalars(node, "tag", value_range=(1, 2))
    assert node.GetDisplayNode().GetScalarRange() == (1, 2)
    assert node.GetDisplayNode().GetActiveAttributeLocation() == vtk.vtkAssignAttribute.CELL_DATA


def test_the_legend_is_drawn_in_3d_views_only(scene: Any) -> None:
    view = scene.AddNewNodeByClass("vtkMRMLViewNode")
    slice_view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    legend = show_scalars(node_from_mesh(tetrahedra(), "heart"), "scar_probability")
    assert legend.GetVisibility(view.GetID())
    assert not legend.GetVisibility(slice_view.GetID())


def test_another_array_takes_over_the_legend(scene: Any) -> None:
    node = node_from_mesh(tetrahedra(), "heart")
    first = show_scalars(node, "scar_probability")
    second = show_scalars(node, "scar_uncertainty", "uncertainty", title="Uncertainty")
    assert first is second
    assert second.GetTitleText() == "Uncertainty"
    assert node.GetDisplayNode().GetColorNode() is color_table("uncertainty")


def test_legends_of_several_models_do_not_overlap(scene: Any) -> None:
    legends = [show_scalars(node_from_mesh(tetrahedra(), f"heart {i}"), "scar_probability") for i in range(4)]
    assert len({legend.GetPosition() for legend in legends}) == 4
    legends[1].SetVisibility(False)
    again = show_scalars(node_from_mesh(tetrahedra(), "one more"), "scar_probability")
    assert again.GetPosition() == legends[1].GetPosition()


def test_an_array_that_is_missing_is_named(scene: Any) -> None:
    with pytest.raises(InputError, match="heart has no array nonsense"):
        show_scalars(node_from_mesh(tetrahedra(), "heart"), "nonsense")


@pytest.mark.parametrize("ramp", list(RAMPS))
def test_the_lightness_of_ramps_is_monotonic_and_they_are_made_once(scene: Any, ramp: str) -> None:
    node = color_table(ramp)
    assert color_table(ramp) is node
    table = node.GetLookupTable()
    assert len({round(part, 3) for part in table.GetNanColor()[:3]}) == 1  # gray, unlike any value
    colors = [table.GetTableValue(index)[:3] for index in range(0, table.GetNumberOfColors(), 8)]
    lightness = np.dot(colors, (0.3, 0.59, 0.11))
    # "residual" grows darker to both sides, "spread" brighter
    middle = {"residual": len(colors) // 2, "spread": len(colors) - 1}.get(ramp, 0)
    assert np.all(np.diff(lightness[: middle + 1]) > 0)
    assert np.all(np.diff(lightness[middle:]) < 0)


def test_colors_and_legend_survive_saving_the_scene(scene: Any, tmp_path: Path) -> None:
    node = node_from_mesh(tetrahedra(), "heart")
    show_scalars(node, "scar_uncertainty", "uncertainty", title="Uncertainty")
    wanted = color_table("uncertainty").GetLookupTable().GetTableValue(128)
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    node = slicer.util.getNode("heart")
    np.testing.assert_allclose(mesh_from_node(node).points, tetrahedra().points, atol=1e-5)
    np.testing.assert_allclose(mesh_from_node(node).point_array("scar_uncertainty"), [0.5, 0.4, 0.3, 0.2, 0.1])
    display = node.GetDisplayNode()
    assert display.GetScalarRange() == (0, 1)
    np.testing.assert_allclose(display.GetColorNode().GetLookupTable().GetTableValue(128), wanted, atol=0.01)
    assert color_table("uncertainty") is display.GetColorNode()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node)
    assert legend.GetTitleText() == "Uncertainty"
