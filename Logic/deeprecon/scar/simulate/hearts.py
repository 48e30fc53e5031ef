"""Hearts with known scar: the sample case, the same from a real heart's surface, and their files.

Importable inside Slicer before anything is installed: standard library, numpy and vtk only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.files import write_text
from deeprecon.data.markups import write_markups
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.simulate.files import write_dicom
from deeprecon.scar.simulate.lesions import DEFAULT_VARIATION, LESIONS, Lesion, Variation
from deeprecon.scar.simulate.scan import LONG_AXIS_ANGLES, Scan, long_axis_slice, scan, slices
from deeprecon.scar.simulate.surface_heart import SurfaceHeart
from deeprecon.scar.simulate.ventricle import Points, Tissue, Ventricle


@dataclass(frozen=True, eq=False)
class Phantom:
    """A heart whose scar is known everywhere.

    Attributes:
        mesh: hexahedra and wedges of the wall, RAS mm.
        truth: (N,) bool, scar at the mesh nodes.
        scans: tissue shares of the slices, one for each stack: the short-axis stack, then the long-axis slices.
        lge: late-enhancement images, one for each stack.
        landmarks: name to (3,) RAS mm.
        tissue: (M, 3) RAS mm to (M,) `Tissue`.
        lesion: (M, 3) RAS mm wall points to (M,) bool.
        shifts: of each stack, (k, 2) mm along the image rows (i) and columns (j) by which the heart was displaced.
    """

    mesh: Mesh
    truth: npt.NDArray[np.bool_]
    scans: tuple[Scan, ...]
    lge: tuple[Volume, ...]
    landmarks: dict[str, npt.NDArray[np.float64]]
    tissue: Callable[[Points], npt.NDArray[np.uint8]]
    lesion: Lesion
    shifts: tuple[npt.NDArray[np.float64], ...]

    @cached_property
    def stacks(self) -> tuple[Stack, ...]:
        """Soft observations: the true shares of wall and scar in each pixel's prism."""
        return tuple(scan.stack(f"stack {number}") for number, scan in enumerate(self.scans, 1))

    def wall(self, points: Points) -> npt.NDArray[np.bool_]:
        """(M,) whether (M, 3) RAS mm points lie in the wall."""
        found: npt.NDArray[np.bool_] = self.tissue(points) == Tissue.WALL
        return found

    def scar(self, points: Points) -> npt.NDArray[np.bool_]:
        """(M,) whether (M, 3) RAS mm points lie in scar."""
        result = self.wall(points)
        result[result] = self.lesion(points[result])
        return result


@dataclass(frozen=True)
class Imaging:
    """How a heart is imaged.

    Attributes:
        spacing: between slice centers in mm.
        thickness: of each imaged slab in mm; the rest of the spacing is a gap that is not imaged.
        pixel: size in the plane in mm.
        shift: standard deviation of each slice's shift in the plane in mm, along both axes.
        noise: of the late-enhancement image, where healthy wall has 60 and scar 330.
        long_axis: number of long-axis slices in addition to the stack: of the 2-, the 4- and the 3-chamber view.
    """

    spacing: float = 10.0
    thickness: float = 8.0
    pixel: float = 1.4
    shift: float = 0.0
    noise: float = 18.0
    long_axis: int = 0


def sample_case(
    seed: int = 0,
    lesion: str = "infarct",
    ventricle: Ventricle | None = None,
    *,
    variation: Variation = DEFAULT_VARIATION,
    node_spacing: float = 1.4,
    **imaging: Any,
) -> Phantom:
    """A left ventricle in an oblique pose with an analytic scar, imaged in thick short-axis slices.

    Args:
        seed: of noise and shifts.
        lesion: a key of `lesions.LESIONS`.
        ventricle: its shape and pose; an adult's by default.
        variation: of the lesion's place and size.
        node_spacing: of the mesh in mm.
        imaging: fields of `Imaging`.
    """
    heart = ventricle or Ventricle()
    mesh = heart.mesh(node_spacing)
    landmarks = heart.landmarks()
    free_wall = 2 * landmarks["right ventricle"] - landmarks["left ventricle"]
    grids = _grids(np.vstack([mesh.points, free_wall]), heart.axes, np.array(heart.center), Imaging(**imaging))
    return _phantom(mesh, heart.tissue, LESIONS[lesion](heart, variation), landmarks, grids, Imaging(**imaging), seed)


def from_surface(
    mesh: Mesh,
    lesion: Lesion | None = None,
    *,
    endocardium: Points | None = None,
    seed: int = 0,
    node_spacing: float = 1.2,
    **imaging: Any,
) -> Phantom:
    """The same for a real heart: a closed surface around the wall, RAS mm.

    Args:
        mesh: the closed surface.
        lesion: scar as a function of points; by default `SurfaceHeart.side_wall_scar`.
        endocardium: see `SurfaceHeart`.
        seed: of noise and shifts.
        node_spacing: size of the mesh's cubes in mm.
        imaging: fields of `Imaging`.
    """
    heart = SurfaceHeart(mesh, endocardium)
    grids = _grids(mesh.points, heart.axes, heart.center, Imaging(**imaging))
    scar = lesion or heart.side_wall_scar()
    return _phantom(heart.mesh(node_spacing), heart.tissue, scar, heart.landmarks(), grids, Imaging(**imaging), seed)


README = """\
A synthetic patient, made by formulas. No measurement of a person is in these files. For research and training only.

{stacks}                                  (NIfTI cannot state the thickness of the slices: give it by hand)
mesh.vtu                                  the wall, {nodes} nodes, mm, LPS axes as Slicer writes them
landmarks.mrk.json                        named points
truth.vtu                                 the same mesh with the true scar in the node array scar_truth: for checks only
"""
_FILES = {
    "lge{}.nrrd": "late gadolinium enhancement, {view}",
    "dicom{}/": "the same as a DICOM series",
    "segmentation{}.seg.nrrd": "contours drawn pixel by pixel: wall, scar, blood pools, remote (healthy) wall",
    "myocardium_fraction{}.nii.gz": "share of each pixel that is wall",
    "scar_fraction{}.nii.gz": "share of each pixel that is scar",
}
"""Files of a stack; the braces in a name hold which long-axis slice it is."""
_CHAMBERS = ("two", "four", "three")  # no digits: some programs read files that differ in a number as one series


def write_case(phantom: Phantom, folder: Path | str, dicom: bool = False) -> dict[str, Path]:
    """Write the phantom's stacks, mesh and truth in clinical formats; README.txt lists them.

    Args:
        phantom: see there.
        folder: made if missing.
        dicom: also write the images as DICOM series, in the folders `dicom`, `dicom_two_chamber` and so on.

    Returns:
        lge, segmentation, myocardium, scar, mesh, truth, landmarks, readme and, if asked for, dicom: where each lies.
        Of long-axis slices, the first four and the last with _two_chamber, _four_chamber, _three_chamber behind.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, Path] = {}
    listed: list[str] = []
    for number, (image, stack, found) in enumerate(zip(phantom.lge, phantom.stacks, phantom.scans, strict=True)):
        mark = f"_{_CHAMBERS[number - 1]}_chamber" if number else ""
        names = {"lge": f"lge{mark}.nrrd", "segmentation": f"segmentation{mark}.seg.nrrd"}
        names |= {"myocardium": f"myocardium_fraction{mark}.nii.gz", "scar": f"scar_fraction{mark}.nii.gz"}
        places = {name: folder / file for name, file in names.items()}
        write_volume(places["lge"], image)
        write_segmentation(places["segmentation"], _contours(found))
        write_volume(places["myocardium"], Volume(stack.wall, stack.ijk_to_ras))
        write_volume(places["scar"], Volume(found.scar, stack.ijk_to_ras))
        view = f"slices {stack.thickness:g} mm thick, {image.spacing[2]:g} mm apart"
        if number:
            view = f"the {_CHAMBERS[number - 1]}-chamber view, one slice {stack.thickness:g} mm thick"
        if dicom:
            kind = f"{_CHAMBERS[number - 1]}-chamber view" if number else "short axis"
            places["dicom"] = write_dicom(folder / f"dicom{mark}", image, kind)
        listed += [
            f"{file.format(mark):<42}{text.format(view=view)}\n"
            for file, text in _FILES.items()
            if dicom or not file.startswith("dicom")
        ]
        paths |= {f"{name}{mark}": path for name, path in places.items()}
    names = {"mesh": "mesh.vtu", "truth": "truth.vtu", "landmarks": "landmarks.mrk.json", "readme": "README.txt"}
    paths |= {name: folder / file for name, file in names.items()}
    write_mesh(paths["mesh"], phantom.mesh, "mm", "lps")
    truth = phantom.mesh.with_point_arrays({"scar_truth": phantom.truth.astype(np.float32)})
    write_mesh(paths["truth"], truth, "mm", "lps")
    write_markups(paths["landmarks"], phantom.landmarks)
    write_text(paths["readme"], README.format(stacks="".join(listed), nodes=phantom.mesh.n_points))
    return paths


def _contours(found: Scan) -> Segmentation:
    """Contours as a careful reader would draw them: pixels that are mostly wall, scar or blood, and healthy ones."""
    stack = found.stack("stack")
    wall = stack.wall >= 0.5
    scar = wall & (stack.scar >= 0.5)
    remote = (stack.wall > 0.99) & (stack.scar == 0)
    if scar.any() and remote.any():  # the third of the healthy wall that lies farthest from scar
        axes = np.argwhere(scar) * found.spacing, np.argwhere(remote) * found.spacing
        distance = np.array([np.linalg.norm(axes[0] - pixel, axis=1).min() for pixel in axes[1]])
        remote[remote] = distance > np.quantile(distance, 2 / 3)
    masks = {
        "myocardium": (wall, (0.78, 0.45, 0.42)),
        "scar": (scar, (1.0, 0.87, 0.35)),
        "left ventricular blood pool": (found.fractions[Tissue.LEFT_BLOOD] > 0.5, (0.85, 0.24, 0.24)),
        "right ventricular blood pool": (found.fractions[Tissue.RIGHT_BLOOD] > 0.5, (0.27, 0.45, 0.80)),
        "remote myocardium": (remote, (0.45, 0.75, 0.45)),
    }
    segments = tuple(Segment(name, mask, color) for name, (mask, color) in masks.items() if mask.any())
    return Segmentation(segments, found.ijk_to_ras, "segmentation", found.thickness)


_Grid = tuple[npt.NDArray[np.float64], tuple[int, int, int]]
"""Pixel index to RAS mm (4, 4), and the shape (k, j, i)."""


def _grids(points: Points, axes: Points, center: Points, imaging: Imaging) -> list[_Grid]:
    """The short-axis stack over `points`, and long-axis slices. `axes`: rows to septum, to front, from apex to base."""
    short = slices(points, axes[2], -axes[1], spacing=imaging.spacing, pixel=imaging.pixel)
    return [short] + [
        long_axis_slice(points, axes, center, angle, depth=imaging.thickness, pixel=imaging.pixel)
        for angle in LONG_AXIS_ANGLES[: imaging.long_axis]
    ]


def _phantom(
    mesh: Mesh,
    tissue: Callable[[Points], npt.NDArray[np.uint8]],
    lesion: Lesion,
    landmarks: dict[str, npt.NDArray[np.float64]],
    grids: list[_Grid],
    imaging: Imaging,
    seed: int,
) -> Phantom:
    """Image a heart in its stacks."""
    rng = np.random.default_rng(seed)
    scans, images, shifts = [], [], []
    for matrix, shape in grids:
        shifts.append(rng.normal(0, imaging.shift, size=(shape[0], 2)))
        scans.append(scan(tissue, lesion, matrix, shape, imaging.thickness, shifts[-1]))
        images.append(scans[-1].lge(rng, imaging.noise, "LGE"))
    truth = lesion(mesh.points)
    return Phantom(mesh, truth, tuple(scans), tuple(images), landmarks, tissue, lesion, tuple(shifts))
