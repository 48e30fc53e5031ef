"""Signal over noise, FA and MD in a region and along a line, before and after an enhancement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.numerics.grids import interpolate
from deeprecon.scene.dwmri.result import images_of
from deeprecon.scene.dwmri.scan import empty_like, scan_from_node
from deeprecon.scene.nodes.segmentations import segment_names, segment_volume
from deeprecon.scene.nodes.volumes import volume_from_node
from deeprecon.steps import Apart, Steps, finish, in_steps

Floats = npt.NDArray[np.floating[Any]]
Inside = Callable[["Image"], npt.NDArray[np.bool_]]

_POINTS_PER_VOXEL = 2.0
"""Points of a profile per voxel."""


@dataclass(frozen=True, eq=False)
class Image:
    """An image on its grid.

    Attributes:
        array: (k, j, i).
        ijk_to_ras: (4, 4) IJK to RAS mm in the world.
        node: volume node with this grid, to resample segments to it.
    """

    array: Floats
    ijk_to_ras: npt.NDArray[np.float64]
    node: Any


class ResultImages:
    """The images of a run, read at first use.

    Args:
        result_node: result scan of an enhancement.
    """

    def __init__(self, result_node: Any) -> None:
        self._nodes = images_of(result_node)
        self._scans: dict[str, Any] = {}
        self._images: dict[str, Image] = {}

    def has(self, role: str) -> bool:
        """Whether the run has an image of this role."""
        return self._nodes.get(role) is not None

    def image(self, role: str) -> Image:
        """The image of a role with one value in each voxel."""
        if role not in self._images:
            volume = volume_from_node(self._nodes[role])
            self._images[role] = Image(np.asarray(volume.array, float), volume.ijk_to_ras, self._nodes[role])
        return self._images[role]

    def volume(self, role: str, number: int) -> Image:
        """A volume of a scan."""
        scan = self._scan(role)
        return Image(scan.array[..., min(number, scan.array.shape[-1] - 1)], scan.ijk_to_ras, None)

    def signal(self, role: str) -> Image:
        """The mean of a scan's weighted volumes."""
        finish(self.fetch_signal(role))
        return self._images[f"signal {role}"]

    def _scan(self, role: str) -> Any:
        finish(self.fetch_scan(role))
        return self._scans[role]

    def fetch_scan(self, role: str) -> Steps[None]:
        """Read in steps what `volume` takes."""
        if role not in self._scans and self.has(role):
            self._scans[role] = yield from scan_from_node.steps(self._nodes[role])

    def fetch_signal(self, role: str) -> Steps[None]:
        """Compute in steps what `signal` gives."""
        key = f"signal {role}"
        if key not in self._images and self.has(role):
            yield from self.fetch_scan(role)
            scan = self._scans[role]
            mean = yield Apart("Averaging the scan…", partial(_mean_of_weighted, scan))
            self._images[key] = Image(mean, scan.ijk_to_ras, empty_like(self._nodes[role]))


def _mean_of_weighted(scan: DwiScan) -> Floats:
    mean: Floats = scan.array[..., ~scan.gradients.b0].mean(axis=-1, dtype=np.float64)
    return mean


def region_rows(measures: ResultImages, region: Any) -> list[dict[str, Any]]:
    """Voxels, signal over noise, FA and MD of a region before and after, with standard deviations over its voxels.

    The signal is the mean of the weighted volumes; the noise before is the noise map, the noise after the standard
    error that the enhancement estimates.

    Args:
        measures: of a run.
        region: vtkMRMLMarkupsROINode, or vtkMRMLSegmentationNode, each of whose segments is a region.

    Raises:
        InputError: a segmentation without segments.
    """
    rows: list[dict[str, Any]] = []
    for name, inside in _regions(region):
        chosen = inside(measures.signal("dwi"))
        count = int(inside(measures.signal("input")).sum()) if measures.has("input") else ""
        rows.append({"region": name, "figure": "Voxels", "before": str(count), "after": str(int(chosen.sum()))})
        if not chosen.any():
            continue
        snr = {when: _snr(measures, inside, scan, noise) for when, scan, noise in _STAGES}
        rows.append({"region": name, "figure": "Signal over noise", **snr})
        for label, role, factor, digits in _MAPS:
            row: dict[str, Any] = {"region": name, "figure": label}
            for when in ("before", "after"):
                if measures.has(f"{role}_{when}"):
                    image = measures.image(f"{role}_{when}")
                    values = factor * image.array[inside(image)]
                    row |= {when: f"{values.mean():.{digits}f}", f"SD {when}": f"{values.std():.{digits}f}"}
            if "after" in row:
                rows.append(row)
    return rows


_MAPS = (("FA", "fa", 1.0, 3), ("MD [1e-6 mm²/s]", "md", 1e6, 0))
"""Label, role, factor to the shown unit, and digits."""
_STAGES = (("before", "input", "noise"), ("after", "dwi", "uncertainty"))


def _snr(measures: ResultImages, inside: Inside, scan: str, noise: str) -> str | None:
    if not (measures.has(scan) and measures.has(noise)):
        return None
    signal, level = measures.signal(scan), measures.image(noise)
    values = level.array[inside(level)]
    values = values[values > 0]  # 0 outside the mask
    if not values.size:
        return None
    return f"{signal.array[inside(signal)].mean() / np.sqrt(np.square(values).mean()):.1f}"


def _regions(region: Any) -> Iterator[tuple[str, Inside]]:
    if region.IsA("vtkMRMLMarkupsROINode"):
        yield region.GetName(), partial(_in_box, region)
        return
    names = segment_names(region)
    if not names:
        raise InputError(f"The segmentation {region.GetName()} holds no segment.", "Draw one, or choose another.")
    for key, name in names.items():
        yield name, partial(_in_segment, region, key)


def _in_segment(segmentation: Any, key: str, image: Image) -> npt.NDArray[np.bool_]:
    return np.asarray(segment_volume(segmentation, key, image.node).array, bool)


def _in_box(roi: Any, image: Image) -> npt.NDArray[np.bool_]:
    """Voxels with their centers in the box."""
    to_box = np.linalg.inv(slicer.util.arrayFromVTKMatrix(roi.GetObjectToWorldMatrix())) @ image.ijk_to_ras
    k, j, i = np.ogrid[tuple(slice(0, count) for count in image.array.shape)]
    inside = np.ones(image.array.shape, bool)
    for axis, size in enumerate(roi.GetSize()):
        along = to_box[axis, 0] * i + to_box[axis, 1] * j + to_box[axis, 2] * k + to_box[axis, 3]
        inside &= np.abs(along) <= size / 2
    return inside


@dataclass(frozen=True, eq=False)
class Profile:
    """Values along a line.

    Attributes:
        distance: (N,) mm from its start.
        values: "before" and "after", each (N,); NaN outside of the image.
    """

    distance: Floats
    values: dict[str, Floats]


@in_steps
def line_profile(images: dict[str, Image], line: Any) -> Steps[Profile]:
    """Interpolate images along a markups line or curve, at steps of half a voxel.

    Args:
        images: by "before" and "after".
        line: vtkMRMLMarkupsLineNode or vtkMRMLMarkupsCurveNode.

    Raises:
        InputError: fewer than two points.
    """
    points = line.GetCurvePointsWorld()
    if points is None or points.GetNumberOfPoints() < 2:
        raise InputError(f"The line {line.GetName()} is not placed yet.", "Place its points in a slice view.")
    corners = np.array(vtk_to_numpy(points.GetData()), float)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    spacing = min(float(np.linalg.norm(image.ijk_to_ras[:3, :3], axis=0).min()) for image in images.values())
    count = max(2, int(_POINTS_PER_VOXEL * lengths[-1] / spacing) + 1)
    distance = np.linspace(0, lengths[-1], count)
    places = np.stack([np.interp(distance, lengths, corners[:, axis]) for axis in range(3)], axis=1)
    values = yield Apart("Measuring…", lambda: {name: _interpolated(image, places) for name, image in images.items()})
    return Profile(distance, values)


def _interpolated(image: Image, places: Floats) -> Floats:
    """(N,) trilinear values at places (N, 3) RAS mm; NaN outside."""
    inverse = np.linalg.inv(image.ijk_to_ras)
    at = (places @ inverse[:3, :3].T + inverse[:3, 3])[:, ::-1]  # k, j, i
    return interpolate(image.array, at, outside="nan")


def new_region(result_node: Any) -> Any:
    """A box at the center of a result, with a quarter of its size; the user moves and scales it in the views."""
    center, size = _box_of(result_node)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", slicer.mrmlScene.GenerateUniqueName("Region"))
    roi.CreateDefaultDisplayNodes()
    roi.SetCenter(center)
    roi.SetSize(*(size / 4))
    roi.GetDisplayNode().SetFillOpacity(0.1)
    roi.GetDisplayNode().SetPropertiesLabelVisibility(False)
    return roi


def new_line(result_node: Any) -> Any:
    """A line from right to left through the center of a result; the user drags its ends."""
    center, size = _box_of(result_node)
    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", slicer.mrmlScene.GenerateUniqueName("Profile"))
    line.CreateDefaultDisplayNodes()
    line.GetDisplayNode().SetPropertiesLabelVisibility(False)
    for side in (-0.4, 0.4):
        line.AddControlPointWorld(vtk.vtkVector3d(center[0] + side * size[0], center[1], center[2]))
    return line


def _box_of(result_node: Any) -> tuple[Floats, Floats]:
    """Center and size of the mask of a run, RAS mm.

    Raises:
        InputError: the mask is not in the scene any more.
    """
    images = images_of(result_node)
    if "mask" not in images:
        raise InputError(f"The mask of {result_node.GetName()} is not in the scene any more.", "Enhance it again.")
    mask = volume_from_node(images["mask"])
    inside = np.argwhere(np.asarray(mask.array) > 0)[:, ::-1]
    places = inside @ mask.ijk_to_ras[:3, :3].T + mask.ijk_to_ras[:3, 3]
    low, high = places.min(axis=0), places.max(axis=0)
    return (low + high) / 2, high - low
