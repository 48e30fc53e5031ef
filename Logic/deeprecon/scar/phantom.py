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

from deeprecon.data.files import write_json, write_text
from deeprecon.data.mesh import Mesh
from deeprecon.data.mesh_io import write_mesh
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scar.lesions import AS_DRAWN, LESIONS, Lesion, Variation
from deeprecon.scar.phantom_files import write_dicom, write_fraction
from deeprecon.scar.scan import Scan, scan, slices
from deeprecon.scar.stacks import Stack
from deeprecon.scar.surface_heart import SurfaceHeart
from deeprecon.scar.ventricle import Points, Tissue, Ventricle


@dataclass(frozen=True, eq=False)
class Phantom:
    """A heart whose scar is known everywhere.

    Attributes:
        mesh: hexahedra and wedges of the wall, RAS mm.
        truth: (N,) bool, scar at the mesh nodes.
        scans: what the slices hold, one for each stack.
        lge: late-enhancement images, one for each stack.
        landmarks: name to (3,) RAS mm.
        tissue: (M, 3) RAS mm to (M,) `Tissue`.
        lesion: (M, 3) RAS mm wall points to (M,) bool.
    """

    mesh: Mesh
    truth: npt.NDArray[np.bool_]
    scans: tuple[Scan, ...]
    lge: tuple[Volume, ...]
    landmarks: dict[str, npt.NDArray[np.float64]]
    tissue: Callable[[Points], npt.NDArray[np.uint8]]
    lesion: Lesion

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


def sample_case(
    seed: int = 0,
    lesion: str = "infarct",
    ventricle: Ventricle | None = None,
    *,
    variation: Variation = AS_DRAWN,
    spacing: float = 10.0,
    thickness: float = 8.0,
    pixel: float = 1.4,
    node_spacing: float = 1.4,
    shift: float = 0.0,
    noise: float = 18.0,
) -> Phantom:
    """A left ventricle in an oblique pose with an analytic scar, imaged in thick short-axis slices.

    Args:
        seed: of noise and shifts.
        lesion: a key of `lesions.LESIONS`.
        ventricle: its shape and pose; a grown person's if left out.
        variation: of the lesion's place and size.
        spacing: between slice centers in mm.
        thickness: of each imaged slab in mm; the rest of the spacing is a gap that nobody sees.
        pixel: size in the plane in mm.
        node_spacing: of the mesh in mm.
        shift: standard deviation of each slice's shift in the plane in mm, along both axes.
        noise: of the late-enhancement image, where healthy wall has 60 and scar 330.
    """
    heart = ventricle or Ventricle()
    mesh = heart.mesh(node_spacing)
    landmarks = heart.landmarks()
    free_wall = 2 * landmarks["right ventricle"] - landmarks["left ventricle"]
    cover = np.vstack([mesh.points, free_wall])
    matrix, shape = slices(cover, heart.axes[2], -heart.axes[1], spacing=spacing, pixel=pixel)
    return _phantom(
        mesh, heart.tissue, LESIONS[lesion](heart, variation), landmarks, matrix, shape, thickness, shift, noise, seed
    )


def from_surface(
    mesh: Mesh,
    lesion: Lesion | None = None,
    *,
    endocardium: Points | None = None,
    seed: int = 0,
    spacing: float = 10.0,
    thickness: float = 8.0,
    pixel: float = 1.4,
    node_spacing: float = 1.2,
    shift: float = 0.0,
    noise: float = 18.0,
) -> Phantom:
    """The same from a real heart: a closed surface around the wall, RAS mm.

    Args:
        mesh: the closed surface.
        lesion: scar as a function of points; by default `SurfaceHeart.side_wall_scar`.
        endocardium: see `SurfaceHeart`.
        seed: see `sample_case` for this and all others. The mesh is cubes of `node_spacing` mm.
    """
    heart = SurfaceHeart(mesh, endocardium)
    matrix, shape = slices(mesh.points, heart.axes[2], -heart.axes[1], spacing=spacing, pixel=pixel)
    return _phantom(
        heart.mesh(node_spacing),
        heart.tissue,
        lesion or heart.side_wall_scar(),
        heart.landmarks(),
        matrix,
        shape,
        thickness,
        shift,
        noise,
        seed,
    )


README = """\
A synthetic patient, made by formulas. No measurement of a person is in these files. For research and training only.

lge.nrrd                    late gadolinium enhancement, slices {thickness:g} mm thick, {spacing:g} mm apart
{dicom}segmentation.seg.nrrd       contours drawn pixel by pixel: wall, scar, blood pools, remote (healthy) wall
myocardium_fraction.nii.gz  share of each pixel that is wall
scar_fraction.nii.gz        share of each pixel that is scar
                            (NIfTI cannot state the thickness of the slices: give it by hand)
mesh.vtu                    the wall, {nodes} nodes, mm, LPS axes as Slicer writes them
landmarks.mrk.json          named points
truth.vtu                   the same mesh with the true scar in the node array scar_truth: for checking results only
"""


def write_case(phantom: Phantom, folder: Path | str, dicom: bool = False) -> dict[str, Path]:
    """Write the phantom's first stack, mesh and truth in clinical formats; README.txt there says what is what.

    Args:
        phantom: see there.
        folder: made if missing.
        dicom: also write the image as a DICOM series, in the folder `dicom`.

    Returns:
        lge, segmentation, myocardium, scar, mesh, truth, landmarks, readme and, if asked for, dicom: where each lies.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "lge": "lge.nrrd",
        "segmentation": "segmentation.seg.nrrd",
        "myocardium": "myocardium_fraction.nii.gz",
        "scar": "scar_fraction.nii.gz",
        "mesh": "mesh.vtu",
        "truth": "truth.vtu",
        "landmarks": "landmarks.mrk.json",
        "readme": "README.txt",
    }
    paths = {name: folder / file for name, file in names.items()}
    image, stack = phantom.lge[0], phantom.stacks[0]
    write_volume(paths["lge"], image)
    write_segmentation(paths["segmentation"], _contours(phantom))
    write_fraction(paths["myocardium"], Volume(stack.wall, stack.ijk_to_ras))
    write_fraction(paths["scar"], Volume(phantom.scans[0].scar, stack.ijk_to_ras))
    write_mesh(paths["mesh"], phantom.mesh, "mm", "lps")
    truth = phantom.mesh.with_point_arrays({"scar_truth": phantom.truth.astype(np.float32)})
    write_mesh(paths["truth"], truth, "mm", "lps")
    write_json(paths["landmarks"], _markups(phantom.landmarks))
    if dicom:
        paths["dicom"] = write_dicom(folder / "dicom", image)
    write_text(
        paths["readme"],
        README.format(
            thickness=stack.thickness,
            spacing=image.spacing[2],
            nodes=phantom.mesh.n_points,
            dicom="dicom/                      the same as a DICOM series\n" if dicom else "",
        ),
    )
    return paths


def _contours(phantom: Phantom) -> Segmentation:
    """What a careful reader would draw: pixels that are mostly wall, mostly scar, mostly blood, and surely healthy."""
    only, stack = phantom.scans[0], phantom.stacks[0]
    wall = stack.wall >= 0.5
    scar = wall & (stack.scar >= 0.5)
    remote = (stack.wall > 0.99) & (stack.scar == 0)
    if scar.any():  # the third of the healthy wall that lies farthest from scar
        axes = np.argwhere(scar) * only.spacing, np.argwhere(remote) * only.spacing
        distance = np.array([np.linalg.norm(axes[0] - pixel, axis=1).min() for pixel in axes[1]])
        remote[remote] = distance > np.quantile(distance, 2 / 3)
    masks = {
        "myocardium": (wall, (0.78, 0.45, 0.42)),
        "scar": (scar, (1.0, 0.87, 0.35)),
        "left ventricular blood pool": (only.fractions[Tissue.LEFT_BLOOD] > 0.5, (0.85, 0.24, 0.24)),
        "right ventricular blood pool": (only.fractions[Tissue.RIGHT_BLOOD] > 0.5, (0.27, 0.45, 0.80)),
        "remote myocardium": (remote, (0.45, 0.75, 0.45)),
    }
    segments = tuple(Segment(name, mask, color) for name, (mask, color) in masks.items() if mask.any())
    return Segmentation(segments, only.ijk_to_ras, "segmentation", only.thickness)


def _markups(landmarks: dict[str, npt.NDArray[np.float64]]) -> dict[str, Any]:
    """Landmarks, RAS mm, as Slicer's markups file describes points."""
    points = [
        {"id": str(number), "label": name, "position": [-place[0], -place[1], place[2]], "positionStatus": "defined"}
        for number, (name, place) in enumerate(landmarks.items(), 1)
    ]
    return {
        "@schema": "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
        "markups-schema-v1.0.3.json#",
        "markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}],
    }


def _phantom(
    mesh: Mesh,
    tissue: Callable[[Points], npt.NDArray[np.uint8]],
    lesion: Lesion,
    landmarks: dict[str, npt.NDArray[np.float64]],
    matrix: npt.NDArray[np.float64],
    shape: tuple[int, int, int],
    thickness: float,
    shift: float,
    noise: float,
    seed: int,
) -> Phantom:
    """Image a heart in one stack."""
    rng = np.random.default_rng(seed)
    only = scan(tissue, lesion, matrix, shape, thickness, rng.normal(0, shift, size=(shape[0], 2)))
    return Phantom(mesh, lesion(mesh.points), (only,), (only.lge(rng, noise, "LGE"),), landmarks, tissue, lesion)
