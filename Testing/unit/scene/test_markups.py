"""Control points of markups nodes as named points."""

from __future__ import annotations

from typing import Any

import pytest
import slicer

from deeprecon.data.errors import InputError
from deeprecon.scene.nodes.markups import points_from_node


@pytest.fixture
def node(scene: Any) -> Any:
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Patient points")


def test_only_points_that_have_a_name_and_a_place_are_read(node: Any) -> None:
    for place, name in (((1, 2, 3), "apex"), ((4, 5, 6), "base"), ((7, 8, 9), " ")):
        node.AddControlPoint(*place, name)
    node.UnsetNthControlPointPosition(1)
    assert {name: tuple(place) for name, place in points_from_node(node).items()} == {"apex": (1, 2, 3)}
    node.UnsetNthControlPointPosition(0)
    with pytest.raises(InputError, match="no named point that is placed"):
        points_from_node(node)


def test_two_points_of_one_name_are_refused(node: Any) -> None:
    for name in ("apex", "base", " apex "):
        node.AddControlPoint(1, 2, 3, name)
    with pytest.raises(InputError, match="two points named apex"):
        points_from_node(node)
