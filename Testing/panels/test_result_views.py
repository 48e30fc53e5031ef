"""The views while a module is open, and as the user had them once it is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .conftest import press
from .test_static import CTPA, DWMRI


@pytest.fixture
def volume(host: Any) -> Any:
    """A volume of 64 x 48 x 24 voxels of 4 mm, fitted into the views of Slicer's usual layout."""
    import slicer

    node = slicer.util.addVolumeFromArray(np.arange(24 * 48 * 64, dtype=np.int16).reshape(24, 48, 64))
    node.SetSpacing(4, 4, 4)
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


def slices() -> dict[str, Any]:
    import slicer

    return {name: slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode() for name in ("Red", "Yellow", "Green")}


def side_by_side(volume: Any) -> None:
    from deeprecon.scene.display.side_by_side import set_side_by_side_layout, show_in_separate_views

    set_side_by_side_layout(True)
    show_in_separate_views([volume, volume, volume])


def test_slices_fill_their_views_in_the_side_by_side_layout_and_after_it(host: Any, volume: Any) -> None:
    """Views of a new layout get their size in the event loop, so that slices are fitted after it."""
    import slicer

    from deeprecon.panels.screen.result_views import putViewsBack, showInViews
    from deeprecon.scene.display.layouts import SIDE_BY_SIDE

    manager = slicer.app.layoutManager()
    host.process()
    for change in (lambda: showInViews(lambda: side_by_side(volume)), putViewsBack):
        change()
        host.process()
        for name, node in slices().items():
            across, down = np.array(node.GetFieldOfView())[:2]
            image = (64 * 4, (24 if name != "Red" and manager.layout != SIDE_BY_SIDE else 48) * 4)
            if name == "Yellow" and manager.layout != SIDE_BY_SIDE:
                image = (48 * 4, 24 * 4)
            assert min(across / image[0], down / image[1]) == pytest.approx(1, rel=0.1), (name, manager.layout)


def test_layout_orientation_links_and_crosshair_are_put_back_on_leaving(host: Any, volume: Any) -> None:
    import slicer

    from deeprecon.panels.screen.result_views import putViewsBack, showInViews
    from deeprecon.scene.display.layouts import SIDE_BY_SIDE

    manager = slicer.app.layoutManager()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    host.process()
    crosshair = slicer.vtkMRMLCrosshairDisplayableManager.FindCrosshairNode(slicer.mrmlScene)
    before = {name: node.GetOrientation() for name, node in slices().items()}
    showInViews(lambda: side_by_side(volume))
    assert manager.layout == SIDE_BY_SIDE
    assert {node.GetOrientation() for node in slices().values()} == {"Axial"}
    assert crosshair.GetCrosshairMode() == crosshair.ShowSmallBasic  # linked cursors
    putViewsBack()
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView
    assert {name: node.GetOrientation() for name, node in slices().items()} == before
    assert crosshair.GetCrosshairMode() == crosshair.NoCrosshair
    composites = [manager.sliceWidget(name).mrmlSliceCompositeNode() for name in before]
    assert not any(each.GetLinkedControl() for each in composites)
    putViewsBack()  # nothing is left to put back
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView


def test_a_layout_that_the_user_chose_stays_on_leaving(host: Any, volume: Any) -> None:
    import slicer

    from deeprecon.panels.screen.result_views import putViewsBack, showInViews

    manager = slicer.app.layoutManager()
    showInViews(lambda: side_by_side(volume))
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    putViewsBack()
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


def test_an_x_ray_is_shown_in_its_own_plane_also_after_slices_were_turned(host: Any, probed: Any) -> None:
    import slicer

    from deeprecon.scene.display.layouts import FILM, FILM_VIEW

    for node in slices().values():
        node.GetSliceToRAS().SetElement(0, 0, 0.8)  # as another module leaves them
        node.UpdateMatrices()
    widget = host.loadModule(CTPA)
    press(host, widget.ui.sampleButton)
    host.process()
    manager = slicer.app.layoutManager()
    assert manager.layout == FILM
    film = manager.sliceWidget(FILM_VIEW)
    assert film.mrmlSliceCompositeNode().GetBackgroundVolumeID() == widget._parameterNode.xray.GetID()
    assert film.mrmlSliceNode().GetOrientation() == "Coronal"
    assert len(np.unique(film._h_sliceView._h_view.image())) > 50  # a picture, not a line
    widget.parent.exit()
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView


def test_a_model_fills_the_3d_view_though_images_around_it_are_larger(host: Any, volume: Any) -> None:
    import slicer
    import vtk

    from deeprecon.scene.display.views import fit_3d_views

    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(40)
    sphere.Update()
    slicer.modules.models.logic().AddModel(sphere.GetOutput())
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    view.mrmlViewNode().SetBoxVisible(True)
    fit_3d_views()
    camera = view.cameraNode().GetCamera()
    needed = np.sqrt(3) * 40 / np.sin(np.radians(camera.GetViewAngle() / 2))
    assert camera.GetDistance() == pytest.approx(needed, rel=0.05)
    assert view.mrmlViewNode().GetBoxVisible()


def test_scenes_that_were_saved_with_a_layout_of_ours_find_it_after_the_start(host: Any) -> None:
    import slicer

    from deeprecon.scene.display.layouts import LAYOUTS

    host.loadModule(CTPA, show=False)
    host.startupCompleted()
    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    assert all(node.IsLayoutDescription(number) for number in LAYOUTS)


def test_flicker_ends_with_leaving_the_module(host: Any, probed: Any) -> None:
    widget = host.loadModule(DWMRI)
    compare = widget.results.comparePanel
    compare.ui.flickerButton.checked = True
    assert compare._timer.active
    widget.parent.exit()
    assert not compare._timer.active
    assert not compare.ui.flickerButton.checked


def test_a_run_that_ends_in_another_module_leaves_the_views_until_the_user_comes_back(host: Any, probed: Any) -> None:
    widget = host.loadModule(DWMRI)
    shown: list[str] = []
    widget.parent.exit()
    widget.showResults(lambda: shown.append("shown"))
    assert not shown
    widget.parent.enter()
    assert shown == ["shown"]
    widget.parent.exit()
    widget.parent.enter()
    assert shown == ["shown"]  # once
