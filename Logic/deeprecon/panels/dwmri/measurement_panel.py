"""Measurements before and after an enhancement: a table of regions and a profile along a line, which may be moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from deeprecon.data.errors import InputError
from deeprecon.panels.common.plot_views import ChartView
from deeprecon.panels.screen.stepper import Stepper
from deeprecon.scene.common.provenance import attach_provenance, provenance_of
from deeprecon.scene.common.results import put_beside
from deeprecon.scene.display.charts import Curve, draw_chart
from deeprecon.scene.dwmri.measurements import Image, ResultImages, line_profile, new_line, new_region, region_rows
from deeprecon.scene.dwmri.result import images_of
from deeprecon.scene.dwmri.views import COMPARISONS
from deeprecon.scene.nodes.tables import node_from_rows
from deeprecon.steps import Steps

DELAY_MS = 150
"""Markups report every step of a drag; the measurement starts after a pause."""
TITLE = "Profile before and after"
SERIES = ("input", "dwi", "residual")
"""Roles of images with many volumes."""


class MeasurementPanel(VTKObservationMixin):  # type: ignore[misc]
    """The section under Results with the region's table and the line's plot.

    Args:
        ui: of the module.
        node: returns the module's parameter node, or None.
        shown: returns the name of the shown comparison and the number of the shown volume.
    """

    def __init__(self, ui: Any, node: Callable[[], Any], shown: Callable[[], tuple[str, int]]) -> None:
        VTKObservationMixin.__init__(self)
        self.ui = ui
        self.chartView = ChartView(ui.measureCollapsibleButton.layout(), TITLE)
        self._node, self._shown = node, shown
        self._images: ResultImages | None = None
        self._measured: tuple[Any, ...] = ()
        self._seen: tuple[Any, ...] = ()
        self._stepper = Stepper(self._showMessage)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.connect("timeout()", self.measure)
        ui.boxButton.connect("clicked(bool)", self._onBox)
        ui.lineButton.connect("clicked(bool)", self._onLine)

    def clear(self) -> None:
        """Release all nodes, because there is no result, or the scene or the module closes."""
        self._timer.stop()
        self._stepper.stop()
        self.removeObservers()
        self._images, self._measured, self._seen = None, (), ()

    def update(self, scan: Any) -> None:
        """Follow the chosen result (None where there is none), region, line and comparison."""
        node, ui = self._node(), self.ui
        ui.measureCollapsibleButton.visible = scan is not None
        ui.regionTable.setMRMLTableNode(node.regionTable)
        ui.regionTable.visible = node.region is not None and node.regionTable is not None
        self.chartView.widget.visible = node.line is not None
        if scan is None:
            self.clear()
            return
        seen = scan, node.region, node.line, self._shown()
        if seen == self._seen:
            return
        self._seen = seen
        self.removeObservers()
        for each in (node.region, node.line):
            if each is not None:
                for event in self._events(each):
                    self.addObserver(each, event, self._onMoved)
        self._timer.start()

    @staticmethod
    def _events(node: Any) -> list[int]:
        if node.IsA("vtkMRMLSegmentationNode"):
            return [slicer.vtkSegmentation.SourceRepresentationModified, slicer.vtkSegmentation.SegmentAdded,
                    slicer.vtkSegmentation.SegmentRemoved, slicer.vtkSegmentation.SegmentModified]  # fmt: skip
        return [slicer.vtkMRMLMarkupsNode.PointModifiedEvent, slicer.vtkMRMLTransformableNode.TransformModifiedEvent]

    def _onMoved(self, caller: Any = None, event: Any = None) -> None:
        self._timer.start()

    def measure(self) -> None:
        """Fill table and plot, in steps."""
        node = self._node()
        scan = None if node is None else node.outputScan
        if scan is not None and not slicer.mrmlScene.IsClosing():
            self._stepper.start(self._measuring(node, scan), lambda done: self._showMessage(""), self._onFailed)

    def _measuring(self, node: Any, scan: Any) -> Steps[None]:
        images = self._readImages(scan)
        if node.region is not None:
            for role in ("dwi", "input"):
                yield from images.fetch_signal(role)
            self._fillTable(images, node, scan)
        if node.line is not None:
            name, _volume = self._shown()
            for role in (COMPARISONS[name].before, COMPARISONS[name].after):
                if role in SERIES:
                    yield from images.fetch_scan(role)
            yield from self._drawProfile(images, node.line)

    def _readImages(self, scan: Any) -> ResultImages:
        """The images of the run, read again if the result or the nodes of the run have changed."""
        nodes = images_of(scan)
        key = scan.GetMTime(), *((role, each.GetID()) for role, each in nodes.items())
        if self._images is None or key != self._measured:
            self._images, self._measured = ResultImages(scan), key
        return self._images

    def _onFailed(self, error: Exception) -> None:
        if not isinstance(error, InputError):
            raise error
        self._showMessage(str(error))

    def _fillTable(self, images: ResultImages, node: Any, scan: Any) -> None:
        table = node_from_rows(region_rows(images, node.region), f"{scan.GetName()} regions", node.regionTable)
        provenance = provenance_of(scan)
        attach_provenance(
            table, {"provenance": {"region": node.region.GetName(), **provenance}, "metrics": provenance["metrics"]}
        )
        put_beside(table, scan, "regions")
        node.regionTable = table

    def _drawProfile(self, runImages: ResultImages, line: Any) -> Steps[None]:
        name, volume = self._shown()
        comparison = COMPARISONS["fa" if name == "color_fa" else name]
        images: dict[str, Image] = {}
        for when, role in (("before", comparison.before), ("after", comparison.after)):
            if role and runImages.has(role):
                images[when] = runImages.volume(role, volume) if role in SERIES else runImages.image(role)
        profile = yield from line_profile.steps(images, line)
        curves = [Curve(when, profile.distance, values) for when, values in profile.values.items()]
        title = comparison.text if "before" not in images else comparison.text.removesuffix(" before and after")
        self.chartView.show(draw_chart(TITLE, curves, "mm along the line", title))

    def _showMessage(self, text: str) -> None:
        self.ui.measureLabel.text = text
        self.ui.measureLabel.visible = bool(text)

    def _onBox(self) -> None:
        node = self._node()
        with slicer.util.tryWithErrorDisplay(_("The region could not be made.")):
            node.region = new_region(node.outputScan)

    def _onLine(self) -> None:
        node = self._node()
        with slicer.util.tryWithErrorDisplay(_("The line could not be made.")):
            node.line = new_line(node.outputScan)
