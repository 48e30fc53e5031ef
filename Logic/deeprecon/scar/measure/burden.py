"""How much scar there is, in how many pieces, and the element tags that simulators read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkExtractEdges
from vtkmodules.vtkFiltersVerdict import vtkCellSizeFilter

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh, cell_means, node_volumes
from deeprecon.scar.measure.border import interface_area

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]

SMALLEST_PIECE = 0.05  # ml (cm2 on a surface); specks below are not counted as pieces
Z_95 = 1.959964  # 97.5 % point of the normal distribution
T_95 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)  # of Student's t, 1 to 10


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
    core: Floats | None = None,
    samples: Floats | None = None,
    core_samples: Floats | None = None,
) -> list[dict[str, str | float]]:
    """Rows of the burden table: wall, scar, scar core and border zone.

    A node is scar where its probability exceeds `cutoff`. Scar is core where its probability exceeds `core_cutoff` or,
    when the core has a probability of its own, where that exceeds `cutoff`; all other scar is border zone.

    The 95 % interval (`low_*`, `high_*`) comes from the spread of the sizes over the samples: their mean plus and
    minus t s sqrt(1 + 1/S), with their standard deviation s and Student's t of S - 1 degrees of freedom, which is
    where one more such reconstruction would lie. It is cut at 0 and the wall, and never leaves out the size itself.
    Without samples it is what comes out when every probability is lowered or raised by 1.96 of its uncertainty at
    once. Errors of neighboring nodes go together, so that adding them as if independent would make the interval far
    too narrow; taking them as one makes it cautious. Neither says anything of errors that the method does not know
    of, such as a wrong contour.

    Args:
        mesh: wall, RAS mm.
        probability: (N,) of scar, 0 to 1.
        uncertainty: (N,) standard deviation of it.
        cutoff: see above.
        core_cutoff: see above, not below `cutoff`.
        density: of myocardium in g/ml.
        core: (N,) probability of scar core; left out, the core is told by the probability of scar.
        samples: (S, N) equally likely probabilities of scar, S at least 2, such as those of an ensemble's members.
        core_samples: (S, N) the same of scar core, wanted beside `samples` where `core` is given.

    Returns:
        A dictionary a region with the keys region, volume_ml, mass_g, percent_of_wall, low_ml, high_ml, pieces,
        largest_piece_ml and interface_cm2, the area of the border with the rest of the wall (0 for the wall and the
        border zone). A surface mesh has no volume: area_cm2, low_cm2, high_cm2 and largest_piece_cm2 stand instead,
        without a mass and an interface. Specks below SMALLEST_PIECE are not counted as pieces. Numbers have three
        decimals.

    Raises:
        ValueError: fewer than two samples, or samples of the scar without samples of a core of its own.
    """
    sizes = node_sizes(mesh) / (1000.0 if mesh.is_volume else 100.0)
    measure, unit = ("volume", "ml") if mesh.is_volume else ("area", "cm2")

    def split(scar: Floats, dense: Floats | None) -> dict[str, npt.NDArray[np.bool_]]:
        inner = scar > core_cutoff if dense is None else dense > cutoff
        is_scar = scar > cutoff
        regions = {"scar": is_scar, "core": is_scar & inner, "border zone": is_scar & ~inner}
        return {"wall": np.ones(len(sizes), dtype=bool)} | regions

    if samples is None:
        margin = Z_95 * np.asarray(uncertainty, dtype=np.float64)
        others = [split(probability + shift, None if core is None else core + shift) for shift in (-margin, margin)]
    elif core is None:
        others = [split(sample, None) for sample in samples]
    else:
        if core_samples is None:
            raise ValueError("samples of the core are wanted beside samples of the scar")
        others = [split(*pair) for pair in zip(samples, core_samples, strict=True)]

    edges, borders = _edges(mesh), {}
    if mesh.is_volume:
        dense_border = (probability, core_cutoff) if core is None else (np.minimum(probability, core), cutoff)
        borders = {"scar": interface_area(mesh, probability, cutoff), "core": interface_area(mesh, *dense_border)}
    rows: list[dict[str, str | float]] = []
    for name, mask in split(probability, core).items():
        size = float(sizes[mask].sum())
        spread = np.array([sizes[other[name]].sum() for other in others])
        low, high = (spread.min(), spread.max()) if samples is None else _interval(spread)
        row: dict[str, str | float] = {"region": name, f"{measure}_{unit}": size}
        if mesh.is_volume:
            row["mass_g"] = size * density
        row["percent_of_wall"] = 100 * size / float(sizes.sum())
        row[f"low_{unit}"] = max(0.0, min(size, float(low)))
        row[f"high_{unit}"] = min(float(sizes.sum()), max(size, float(high)))
        pieces = np.bincount(_pieces(edges, mask)[mask], weights=sizes[mask], minlength=1)
        row["pieces"] = int((pieces >= SMALLEST_PIECE).sum())
        row[f"largest_piece_{unit}"] = float(pieces.max())
        if mesh.is_volume:
            row["interface_cm2"] = borders.get(name, 0.0)
        rows.append({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    return rows


def _interval(values: Floats) -> tuple[float, float]:
    """Where 95 % of further values lie if the (S,) given ones are drawn from a normal distribution."""
    count = len(values)
    if count < 2:
        raise ValueError("one sample has no spread")
    half = student_t(count - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / count)
    return float(values.mean() - half), float(values.mean() + half)


def student_t(freedom: int) -> float:
    """97.5 % point of Student's t with some degrees of freedom, at least 1.

    From a table up to 10, else by the expansion of Abramowitz & Stegun 26.7.5, good to 0.0002 there.
    """
    if freedom <= len(T_95):
        return T_95[freedom - 1]
    first = (Z_95**3 + Z_95) / 4
    second = (5 * Z_95**5 + 16 * Z_95**3 + 3 * Z_95) / 96
    third = (3 * Z_95**7 + 19 * Z_95**5 + 17 * Z_95**3 - 15 * Z_95) / 384
    return Z_95 + first / freedom + second / freedom**2 + third / freedom**3


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
    core: Floats | None = None,
) -> Integers:
    """(M,) region tag of each element, for openCARP and its kin.

    Elements whose mean probability (`element_probability`) does not exceed the first cutoff keep their tag; those
    between the cutoffs are border zone, `scar_tag`; those above the second are core, `scar_tag` + 1. When the core
    has a probability of its own, scar elements whose mean of that exceeds the first cutoff are core instead.

    Args:
        mesh: wall.
        probability: (N,) of scar at the nodes.
        cutoffs: of scar and of core.
        base_tag: of healthy elements: one for all, or the (M,) tags they have.
        scar_tag: see above.
        core: (N,) probability of scar core at the nodes.

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
    inner = mean > cutoffs[1] if core is None else element_probability(mesh, core) > cutoffs[0]
    return np.where(mean > cutoffs[0], scar_tag + inner, healthy)
