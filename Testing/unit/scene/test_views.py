"""Views: set up where there are some, left alone where there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from deeprecon.data.segmentation import Segment, Segmentation
from deeprecon.data.volume import Volume
from deeprecon.scene.display.views import layout_manager, show_in_views
from deeprecon.scene.nodes.models import node_from_mesh
from deeprecon.scene.nodes.segmentations import node_from_segmentation
from deeprecon.scene.nodes.volumes import node_from_volume

from .conftest import tetrahedra


def nodes() -> tuple[Any, Any, Any]:
    mask = np.ones((4, 4, 4), bool)
    return (
        node_from_volume(Volume(np.zeros((4, 4, 4), np.int16), np.diag([10.0, 10, 10, 1])), "LGE"),
        node_from_segmentation(Segmentation((Segment("Scar", mask, (1, 0, 0)),), np.diag([10.0, 10, 10, 1])), "heart"),
        node_from_mesh(tetrahedra(), "mesh"),
    )


def test_without_an_application_only_the_outline_is_set(scene: Any) -> None:
    volume, segmentation, mesh = nodes()
    assert layout_manager() is None
    show_in_views(volume, segmentation, mesh)
    assert not segmentation.GetDisplayNode().GetVisibility2DFill()
    assert segmentation.GetDisplayNode().GetVisibility2DOutline()


def test_views_without_a_main_window(host: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(type(slicer.app), "layoutManager", lambda self: None)
    show_in_views(*nodes())
    show_in_views()


def test_slices_show_the_volume_and_stand_in_the_model(host: Any) -> None:
    volume, segmentation, mesh = nodes()
    show_in_views(volume, segmentation, mesh)
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert composites
    assert {node.GetBackgroundVolumeID() for node in composites} == {volume.GetID()}
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        normal = np.array([node.GetSliceToRAS().GetElement(row, 2) for row in range(3)])
        place = np.array([node.GetSliceToRAS().GetElement(row, 3) for row in range(3)])
        assert abs(normal @ (place - (10, 15, 20))) < 1e-3
