"""Real hearts with an analytic scar, imaged by formula: a human's and a rabbit's, where their files are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.files import place, read_mesh
from deeprecon.data.mesh.mesh import Inside, Mesh, unstructured_grid
from deeprecon.scar.simulate.hearts import Phantom, from_surface

TRIANGLE = 5  # VTK's number
RABBIT_SCALE = 30.0  # mm a cm: three times its size, that of a human heart, so that clinical slices suit it


def real_shapes(data: Path, seed: int = 0, spacing: float = 10.0) -> Iterator[tuple[str, Phantom]]:
    """Name and phantom of each heart in the folder of real files; slices of 8 mm, `spacing` mm apart."""
    human = data / "scar" / "cobiveco_geo1" / "heart.vtp"
    if human.is_file():
        yield "human heart", from_surface(place(read_mesh(human), "mm", "ras"), seed=seed, spacing=spacing)
    else:
        print(f"The human heart is left out: there is no {human}; set DEEPRECON_DATA")
    rabbit = data / "scar" / "chaste_rabbit_ucsd" / "UCSD_heart.node"
    if rabbit.is_file():
        mesh, endocardium = rabbit_heart(rabbit)
        yield "rabbit heart", from_surface(mesh, endocardium=endocardium, seed=seed, spacing=spacing)
    else:
        print(f"The rabbit heart is left out: there is no {rabbit}; set DEEPRECON_DATA")


def rabbit_heart(nodes: Path) -> tuple[Mesh, npt.NDArray[np.float64]]:
    """The closed surface of a TetGen mesh (.node and .face), and the points of its left endocardium.

    The long axis of this heart runs along x with the apex at its end, and the left ventricle lies on the side of low y.
    """
    points = RABBIT_SCALE * np.loadtxt(nodes, skiprows=1)[:, 1:4]
    faces = np.loadtxt(nodes.with_suffix(".face"), skiprows=1)[:, 1:4].astype(np.int64)
    offsets, types = 3 * np.arange(len(faces) + 1), np.full(len(faces), TRIANGLE)
    mesh = Mesh(unstructured_grid(points, faces.ravel(), offsets, types), "rabbit heart")
    inside = Inside(mesh)
    low, high = points[np.unique(faces)].min(axis=0), points[np.unique(faces)].max(axis=0)
    counts = np.ceil(high - low).astype(int) + 1
    places = low + np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1)
    wall = inside(places.reshape(-1, 3)).reshape(tuple(counts))
    # In planes of x between base and apex, blood is what a seed in the left cavity reaches without crossing the wall.
    first, last = (low[0] + share * (high[0] - low[0]) for share in (0.25, 0.8))
    blood = np.zeros_like(wall)
    _, y, z = np.rint(0.5 * counts - (0, 0.13 * counts[1], 0)).astype(int)
    blood[int(first - low[0]) : int(last - low[0]), y - 2 : y + 3, z - 2 : z + 3] = True
    blood &= ~wall
    while not np.array_equal(grown := _grown(blood) & ~wall, blood):
        blood = grown
    index = np.rint(points[np.unique(faces)] - low).astype(int)
    return mesh, points[np.unique(faces)][_grown(blood)[tuple(index.T)]]


def _grown(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """`mask` and its neighbors within planes of x."""
    result = mask.copy()
    result[:, 1:] |= mask[:, :-1]
    result[:, :-1] |= mask[:, 1:]
    result[:, :, 1:] |= mask[:, :, :-1]
    result[:, :, :-1] |= mask[:, :, 1:]
    return result
