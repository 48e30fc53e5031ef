"""Accuracy of a reconstruction against the truth, and calibration of its uncertainty.

All averages over nodes are weighted by the volume that each node represents; with plain node counts a fine mesh region
would have more weight than a coarse one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import reference
from vtkmodules.vtkCommonDataModel import vtkPolyData, vtkStaticCellLocator
from vtkmodules.vtkFiltersCore import vtkCellCenters

from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scar.measure.interface import isosurface, piece_sizes
from deeprecon.scar.measure.sizes import node_sizes

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


def dice(prediction: Bools, truth: Bools, weights: Floats) -> float:
    """Dice overlap 2|A and B| / (|A| + |B|) of (N,) bool masks with (N,) weights; 1 if both are empty."""
    total = weights[prediction].sum() + weights[truth].sum()
    return float(2 * weights[prediction & truth].sum() / total) if total > 0 else 1.0


def volume_error(prediction: Bools, truth: Bools, weights: Floats) -> float:
    """Signed difference of the volumes of (N,) bool masks, prediction minus truth, in the unit of the (N,) weights."""
    return float(weights[prediction].sum() - weights[truth].sum())


def surface_distances(mesh: Mesh, prediction: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """Distances between the surfaces on which two (N,) node fields are 0.5.

    The surfaces end where the wall ends: its own boundary is not a border of scar. On a surface mesh they are lines.

    Returns:
        (P,) distances in mm, from the center of each piece of either surface to the nearest point of the other, and
        (P,) sizes of the pieces, scaled so that each surface has a total of 1/2. Both are empty when a surface is.
    """
    one, other = isosurface(mesh, prediction), isosurface(mesh, truth)
    if not one.GetNumberOfCells() or not other.GetNumberOfCells():
        return np.empty(0), np.empty(0)
    (there, share), (back, rest) = _distances(one, other), _distances(other, one)
    return np.concatenate([there, back]), np.concatenate([share, rest])


def hd95(distances: Floats, shares: Floats) -> float:
    """95th percentile of `surface_distances` in mm; NaN if a field has no border."""
    if not len(distances):
        return math.nan
    order = np.argsort(distances)
    total = np.cumsum(shares[order])
    return float(distances[order][min(np.searchsorted(total, 0.95 * total[-1]), len(distances) - 1)])


def assd(distances: Floats, shares: Floats) -> float:
    """Average symmetric surface distance, the mean of `surface_distances` in mm; NaN if a field has no border."""
    return float(distances @ shares) if len(distances) else math.nan


def entropy(probability: Floats) -> npt.NDArray[np.float64]:
    """(N,) binary entropy in bits: 0 where the probability is 0 or 1, and 1 where it is one half."""
    from scipy.special import entr

    p = np.clip(np.asarray(probability, dtype=np.float64), 0, 1)
    return np.asarray((entr(p) + entr(1 - p)) / math.log(2))


def brier(probability: Floats, truth: Bools, weights: Floats) -> float:
    """Mean squared difference of (N,) probability and truth (Brier 1950, Mon Weather Rev 78:1)."""
    return float(np.average((probability - truth) ** 2, weights=weights))


def reliability_curve(
    probability: Floats, truth: Bools, weights: Floats, bins: int = 10
) -> tuple[Floats, Floats, Floats]:
    """Mean probability, share of truth and share of all weight in up to `bins` bins of equal weight, each (B,).

    Nodes of equal probability stay in one bin, which may thus be larger than the others.
    """
    value, index = np.unique(probability, return_inverse=True)
    mass = np.bincount(index, weights=weights)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    bin_ = np.minimum((middle * bins).astype(int), bins - 1)
    totals = np.bincount(bin_, weights=mass)
    sums = np.bincount(bin_, weights=mass * value)
    hits = np.bincount(bin_, weights=np.bincount(index, weights=weights * truth))
    filled = totals > 0
    return sums[filled] / totals[filled], hits[filled] / totals[filled], totals[filled] / totals.sum()


def expected_calibration_error(probability: Floats, truth: Bools, weights: Floats, bins: int = 10) -> float:
    """Mean distance of `reliability_curve` from the diagonal (Naeini 2015, AAAI, with bins of equal weight)."""
    predicted, observed, share = reliability_curve(probability, truth, weights, bins)
    return float(np.abs(predicted - observed) @ share)


def auroc(score: Floats, positive: Bools, weights: Floats) -> float:
    """Area under the ROC curve: chance that a positive node scores higher than another; ties count half.

    NaN if all nodes are positive or none is.
    """
    value, index = np.unique(score, return_inverse=True)
    hits = np.bincount(index, weights=weights * positive, minlength=len(value))
    others = np.bincount(index, weights=weights * ~positive, minlength=len(value))
    if not hits.sum() or not others.sum():
        return math.nan
    below = np.cumsum(others) - others / 2
    return float(hits @ below / (hits.sum() * others.sum()))


def evaluate(
    mesh: Mesh, probability: Floats, uncertainty: Floats, truth: Bools, cutoff: float = 0.5
) -> dict[str, float]:
    """All figures of one reconstruction.

    Args:
        mesh: wall, RAS mm.
        probability: (N,) of scar.
        uncertainty: (N,), larger where the probability is less certain.
        truth: (N,) whether a node is scar.
        cutoff: probability above which a node counts as scar.

    Returns:
        dice, volume_error_ml and _percent (of the true volume), true_ml, predicted_ml, hd95_mm, assd_mm, brier, ece and
        uncertainty_auroc (how well the uncertainty separates wrong nodes from right ones). On a surface mesh
        area_error_cm2, area_error_percent, true_cm2 and predicted_cm2 stand for the volumes. What is not defined
        (such as the distance to a scar that does not exist) is left out.
    """
    sizes = node_sizes(mesh)
    measure, unit, scale = ("volume", "ml", 1000.0) if mesh.is_volume else ("area", "cm2", 100.0)
    prediction = probability > cutoff
    error = volume_error(prediction, truth, sizes)
    true = float(sizes[truth].sum())
    # the surface lies at 0.5 by definition: move the cutoff there
    shifted = np.where(prediction, 0.5 + 0.5 * (probability - cutoff) / (1 - cutoff), 0.5 * probability / cutoff)
    distances = surface_distances(mesh, shifted, truth.astype(np.float64))
    figures = {
        "dice": dice(prediction, truth, sizes),
        f"{measure}_error_{unit}": error / scale,
        f"{measure}_error_percent": 100 * error / true if true else math.nan,
        f"true_{unit}": true / scale,
        f"predicted_{unit}": float(sizes[prediction].sum()) / scale,
        "hd95_mm": hd95(*distances),
        "assd_mm": assd(*distances),
        "brier": brier(probability, truth, sizes),
        "ece": expected_calibration_error(probability, truth, sizes),
        "uncertainty_auroc": auroc(uncertainty, prediction != truth, sizes),
    }
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def _distances(pieces: vtkPolyData, target: vtkPolyData) -> tuple[Floats, Floats]:
    """Distance in mm from the center of each piece to the target, and the pieces' sizes with a total of 1/2."""
    centers = vtkCellCenters()
    centers.SetInputData(pieces)
    centers.Update()
    points = vtk_to_numpy(centers.GetOutput().GetPoints().GetData()).astype(np.float64)
    sizes = piece_sizes(pieces)

    locator: Any = vtkStaticCellLocator()
    locator.SetDataSet(target)
    locator.BuildLocator()
    nearest = [0.0, 0.0, 0.0]
    cell, part = reference(0), reference(0)
    squared: Any = reference(0.0)
    distances = np.empty(len(points))
    for number, point in enumerate(points.tolist()):
        locator.FindClosestPoint(point, nearest, cell, part, squared)
        distances[number] = math.sqrt(squared)
    return distances, sizes / (2 * sizes.sum())
