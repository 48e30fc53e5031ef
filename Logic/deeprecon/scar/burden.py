"""How much scar there is, in how many pieces, and the element tags that simulators read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkExtractEdges
from vtkmodules.vtkFiltersVerdict import vtkCellSizeFilter

from deeprecon.data.errors import InputError
from deeprecon.data.mesh import Mesh, cell_means, node_volumes

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]

SMALLEST_PIECE = 0.05  # ml (cm2 on a surface); specks below are not counted as pieces
Z_95 = 1.959964  # 97.5 % point of the normal distribution


def node_sizes(mesh: Mesh) -> npt.NDArray[np.float64]:
    """(N,) what each node stands for: its share of its cells' volume in mm3, or of their area in mm2 on a surface."""
    if mesh.is_volume:
        return node_volumes(mesh)
    sizes = vtkCellSizeFilter()
    sizes.SetInputData(mesh.dataset)
    sizes.Update()
    area = vtk_to_numpy(sizes.GetOutput().GetCellData().GetArray("Area"))
    connectivity, offsets, _ = mesh.cells()
    counts = np.diff(offsets)
    first = 0  # vtkPolyData counts its vertices and lines before the polygons
    if isinstance(mesh.dataset, vtkPolyData):
        first = mesh.dataset.GetNumberOfVerts() + mesh.dataset.GetNumberOfLines()
    share = np.repeat(area[first : first + len(counts)] / np.maximum(counts, 1), counts)
    return np.bincount(connectivity, weights=share, minlength=mesh.n_points).astype(np.float64)


def scar_burden(
    mesh: Mesh,
    probability: Floats,
    uncertainty: Floats,
    cutoff: float = 0.5,
    core_cutoff: float = 0.75,
    density: float = 1.05,
) -> list[dict[str, str | float]]:
    """Rows of the burden table: wall, scar, scar core and border zone.

    A node is scar where its probability exceeds `cutoff`, core where it exceeds `core_cutoff` too, else border zone.

    The 95 % interval (`low_*`, `high_*`) is what comes out when every probability is lowered or raised by 1.96 of its
    uncertainty at once. Errors of neighboring nodes go together, so that adding them as if independent would make
    the interval far too narrow; taking them as one makes it cautious. It says nothing of errors that the method
    does not know of, such as a wrong contour.

    Args:
        mesh: wall, RAS mm.
        probability: (N,) of scar, 0 to 1.
        uncertainty: (N,) standard deviation of it.
        cutoff: see above.
        core_cutoff: see above, not below `cutoff`.
        density: of myocardium in g/ml.

    Returns:
        A dictionary a region with the keys region, volume_ml, mass_g, percent_of_wall, low_ml, high_ml, pieces and
        largest_piece_ml. A surface mesh has no volume: area_cm2, low_cm2, high_cm2 and largest_piece_cm2 stand
        instead, without a mass. Specks below SMALLEST_PIECE are not counted as pieces. Numbers have three decimals.
    """
    sizes = node_sizes(mesh) / (1000.0 if mesh.is_volume else 100.0)
    measure, unit = ("volume", "ml") if mesh.is_volume else ("area", "cm2")
    margin = Z_95 * np.asarray(uncertainty, dtype=np.float64)
    regions: dict[str, Callable[[Floats], npt.NDArray[np.bool_]]] = {
        "wall": lambda p: np.ones(p.shape, dtype=bool),
        "scar": lambda p: p > cutoff,
        "core": lambda p: p > core_cutoff,
        "border zone": lambda p: (p > cutoff) & (p <= core_cutoff),
    }
    edges = _edges(mesh)
    rows: list[dict[str, str | float]] = []
    for name, belongs in regions.items():
        mask = belongs(probability)
        size = float(sizes[mask].sum())
        extremes = [size, *(float(sizes[belongs(probability + shift)].sum()) for shift in (-margin, margin))]
        row: dict[str, str | float] = {"region": name, f"{measure}_{unit}": size}
        if mesh.is_volume:
            row["mass_g"] = size * density
        row["percent_of_wall"] = 100 * size / float(sizes.sum())
        row[f"low_{unit}"], row[f"high_{unit}"] = min(extremes), max(extremes)
        pieces = np.bincount(_pieces(edges, mask)[mask], weights=sizes[mask], minlength=1)
        row["pieces"] = int((pieces >= SMALLEST_PIECE).sum())
        row[f"largest_piece_{unit}"] = float(pieces.max())
        rows.append({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    return rows


def components(mesh: Mesh, mask: npt.NDArray[np.bool_]) -> Integers:
    """Connected pieces of the nodes in a (N,) mask, along the mesh's edges.

    Returns:
        (N,) number of the piece from 0, in the order of their first nodes; -1 outside the mask.
    """
    return _pieces(_edges(mesh), mask)


def _edges(mesh: Mesh) -> Integers:
    """(E, 2) nodes at both ends of each edge; curved edges come in straight pieces."""
    extract = vtkExtractEdges()
    extract.SetInputData(mesh.dataset)
    extract.UseAllPointsOn()
    extract.Update()
    lines = extract.GetOutput().GetLines()
    if not lines.GetNumberOfCells():
        return np.empty((0, 2), dtype=np.int64)
    edges: Integers = vtk_to_numpy(lines.GetConnectivityArray()).reshape(-1, 2).astype(np.int64)
    return edges


def _pieces(edges: Integers, mask: npt.NDArray[np.bool_]) -> Integers:
    """`components` on (E, 2) edges."""
    one, other = edges.T
    kept = mask[one] & mask[other]
    one, other = one[kept], other[kept]
    label = np.arange(len(mask))
    while True:  # every node takes the smallest label around it, then the label of that label: a few rounds are enough
        smallest = label.copy()
        np.minimum.at(smallest, one, label[other])
        np.minimum.at(smallest, other, label[one])
        np.minimum.at(smallest, label, smallest.copy())
        smallest = smallest[smallest]
        if np.array_equal(smallest, label):
            break
        label = smallest
    result = np.full(len(mask), -1, dtype=np.int64)
    result[mask] = np.unique(label[mask], return_inverse=True)[1]
    return result


def element_probability(mesh: Mesh, probability: Floats) -> npt.NDArray[np.float64]:
    """(M,) mean over each element's nodes of a (N,) probability.

    The mean of probabilities, not of logits: nodes of exactly 0 or 1 are common and would rule out all others.
    """
    return cell_means(mesh, probability)


def element_tags(
    mesh: Mesh,
    probability: Floats,
    cutoffs: tuple[float, float] = (0.5, 0.75),
    base_tag: int | Integers = 1,
    scar_tag: int = 100,
) -> Integers:
    """(M,) region tag of each element, for openCARP and its kin.

    Elements whose mean probability (`element_probability`) does not exceed the first cutoff keep their tag; those
    between the cutoffs are border zone, `scar_tag`; those above the second are core, `scar_tag` + 1.

    Args:
        mesh: wall.
        probability: (N,) of scar at the nodes.
        cutoffs: of scar and of core.
        base_tag: of healthy elements: one for all, or the (M,) tags they have.
        scar_tag: see above.

    Raises:
        InputError: a healthy tag equals one of the scar tags.
    """
    mean = element_probability(mesh, probability)
    healthy = np.broadcast_to(np.asarray(base_tag, dtype=np.int64), mean.shape)
    if np.isin(healthy, [scar_tag, scar_tag + 1]).any():
        raise InputError(
            f"The mesh {mesh.name} has elements tagged {scar_tag} or {scar_tag + 1}, the tags meant for scar.",
            "Choose another scar tag.",
        )
    level = (mean > cutoffs[0]).astype(np.int64) + (mean > cutoffs[1])
    return np.where(level > 0, scar_tag - 1 + level, healthy)
