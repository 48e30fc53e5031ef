"""How much scar there is, by how much the ensemble differs about it, and in how many pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scar.measure.interface import interface_area
from deeprecon.scar.measure.observed import observed_part
from deeprecon.scar.measure.sizes import connected_pieces, mesh_edges, node_sizes

Floats = npt.NDArray[np.floating]
Regions = dict[str, npt.NDArray[np.bool_]]

MIN_PIECE = 0.05
"""Volume in ml (area in cm2 on a surface) below which a piece is not counted."""
NOT_GIVEN = "not given"
"""Stands in tables for sizes that the slices are too few for."""
NOT_OBSERVED = "not observed"
"""Name of the row of the wall that no slice shows."""
Z_95 = 1.959964
"""97.5 % quantile of the normal distribution."""


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
    observed: npt.NDArray[np.bool_] | None = None,
) -> list[dict[str, str | float]]:
    """Rows of the burden table: wall, scar, scar core and border zone or uncertain edge.

    A node is scar where its probability exceeds `cutoff`. When the core has a probability of its own, from intensities
    or from drawn segments, scar is core where that exceeds `cutoff`, and all other scar is border zone. Else scar is
    core where its own probability exceeds `core_cutoff`, and all other scar is the "uncertain edge": that it is less
    sure to be scar does not make it another tissue.

    The spread of the ensemble (`low_*`, `high_*`) is that of the sizes over the samples: their mean plus and
    minus t s sqrt(1 + 1/S), with their standard deviation s and Student's t of S - 1 degrees of freedom, which is
    where one more such reconstruction would lie. It is clipped to 0 and the wall, and always includes the size itself.
    Without samples it is the result of lowering or raising every probability by 1.96 of its uncertainty at once.
    Errors of neighboring nodes are correlated: treating them as independent would make the spread far too narrow,
    treating them as one makes it conservative. It is not calibrated: the true size lay within it in 56 of 74 cases,
    and it covers no systematic errors such as a wrong contour.

    Args:
        mesh: wall, RAS mm.
        probability: (N,) of scar, 0 to 1.
        uncertainty: (N,) standard deviation of it.
        cutoff: see above.
        core_cutoff: see above, not below `cutoff`.
        density: of myocardium in g/ml.
        core: (N,) probability of scar core; None separates the core by the probability of scar.
        samples: (S, N) equally likely probabilities of scar, S at least 2, such as those of an ensemble's members.
        core_samples: (S, N) the same of scar core, needed with `samples` where `core` is given.
        observed: (N,) false at nodes that no slice shows, which count in no row but the last; None for all.

    Returns:
        A dictionary a region with the keys region, volume_ml, mass_g, percent_of_wall, low_ml, high_ml, pieces,
        largest_piece_ml and interface_cm2, the area of the border with the rest of the wall (0 for the wall and the
        outer scar). A surface mesh has no volume: area_cm2, low_cm2, high_cm2 and largest_piece_cm2 stand instead,
        without a mass and an interface. Where some wall is not observed, all rows are about the observed wall, and a
        last row "not observed" has size, mass and its percentage of the whole wall. Pieces below MIN_PIECE are not
        counted. Numbers have three decimals.

    Raises:
        ValueError: fewer than two samples, or samples of the scar without samples of a core of its own.
    """
    all_sizes = node_sizes(mesh) / (1000.0 if mesh.is_volume else 100.0)
    sizes = all_sizes if observed is None else all_sizes * observed
    measure, unit = ("volume", "ml") if mesh.is_volume else ("area", "cm2")
    if samples is None:
        margin = Z_95 * np.asarray(uncertainty, dtype=np.float64)
        variants = [(probability + shift, None if core is None else core + shift) for shift in (-margin, margin)]
    elif core is None:
        variants = [(sample, None) for sample in samples]
    else:
        if core_samples is None:
            raise ValueError("samples of the core are needed with samples of the scar")
        variants = list(zip(samples, core_samples, strict=True))
    others = [_regions(scar, inner, cutoff, core_cutoff) for scar, inner in variants]
    borders = _borders(mesh, probability, core, cutoff, core_cutoff, observed) if mesh.is_volume else {}
    edges = mesh_edges(mesh)
    rows: list[dict[str, str | float]] = []
    for name, mask in _regions(probability, core, cutoff, core_cutoff).items():
        mask = mask if observed is None else mask & observed
        size = float(sizes[mask].sum())
        spread = np.array([sizes[other[name]].sum() for other in others])
        low, high = (spread.min(), spread.max()) if samples is None else _range(spread)
        row: dict[str, str | float] = {"region": name, f"{measure}_{unit}": size}
        if mesh.is_volume:
            row["mass_g"] = size * density
        row["percent_of_wall"] = 100 * size / max(float(sizes.sum()), 1e-12)
        row[f"low_{unit}"] = max(0.0, min(size, float(low)))
        row[f"high_{unit}"] = min(float(sizes.sum()), max(size, float(high)))
        pieces = np.bincount(connected_pieces(edges, mask)[mask], weights=sizes[mask], minlength=1)
        row["pieces"] = int((pieces >= MIN_PIECE).sum())
        row[f"largest_piece_{unit}"] = float(pieces.max())
        if mesh.is_volume:
            row["interface_cm2"] = borders.get(name, 0.0)
        rows.append({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    if observed is not None and not observed.all():
        rows.append(_not_observed(rows[0], float(all_sizes[~observed].sum()), float(all_sizes.sum()), density))
    return rows


def _not_observed(pattern: dict[str, str | float], size: float, whole: float, density: float) -> dict[str, str | float]:
    """The row of the wall that no slice shows, with the columns of `pattern`; its scar is not known."""
    unit = "ml" if "volume_ml" in pattern else "cm2"
    known = {"volume_ml": size, "area_cm2": size, "mass_g": size * density, "percent_of_wall": 100 * size / whole}
    known |= {f"low_{unit}": size, f"high_{unit}": size}
    row: dict[str, str | float] = {key: round(known.get(key, 0.0), 3) for key in pattern}
    return row | {"region": NOT_OBSERVED}


def without_sizes(rows: Sequence[Mapping[str, str | float]]) -> list[dict[str, str | float]]:
    """The rows of `scar_burden` without any size but that of the wall that no slice shows."""
    return [
        {key: NOT_GIVEN if key != "region" and row["region"] != NOT_OBSERVED else value for key, value in row.items()}
        for row in rows
    ]


def _regions(scar: Floats, core: Floats | None, cutoff: float, core_cutoff: float) -> Regions:
    """(N,) masks of the rows of the table."""
    inner = scar > core_cutoff if core is None else core > cutoff
    is_scar = scar > cutoff
    wall = np.ones(len(scar), dtype=bool)
    outer = "uncertain edge" if core is None else "border zone"
    return {"wall": wall, "scar": is_scar, "core": is_scar & inner, outer: is_scar & ~inner}


def _borders(
    mesh: Mesh,
    scar: Floats,
    core: Floats | None,
    cutoff: float,
    core_cutoff: float,
    observed: npt.NDArray[np.bool_] | None,
) -> dict[str, float]:
    """Area in cm2 of the border of scar and of core with the rest of the observed wall."""
    inner = scar if core is None else np.minimum(scar, core)
    if observed is not None and not observed.all():
        mesh = observed_part(mesh, observed)
        if not mesh.n_cells:
            return {}
    dense = (inner, core_cutoff if core is None else cutoff)
    return {"scar": interface_area(mesh, scar, cutoff), "core": interface_area(mesh, *dense)}


def _range(values: Floats) -> tuple[float, float]:
    """Where 95 % of further values lie if the (S,) given ones are drawn from a normal distribution."""
    from scipy.special import stdtrit  # quantile of Student's t

    count = len(values)
    if count < 2:
        raise ValueError("one sample has no spread")
    half = stdtrit(count - 1, 0.975) * values.std(ddof=1) * np.sqrt(1 + 1 / count)
    return float(values.mean() - half), float(values.mean() + half)
