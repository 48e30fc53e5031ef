"""Checks of a gradient table before a run, and a chart of its directions on the sphere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from deeprecon.data.diffusion.gradients import NORM_TOLERANCE, GradientTable, table_warnings
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.dwmri.measure.fiber_coherence import FLIPS, better_flip, fiber_coherence
from deeprecon.dwmri.measure.tensor import fit_tensor
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.scene.display.charts import Curve, draw_chart
from deeprecon.scene.dwmri.scan import SEQUENCE, count_volumes, gradients_of, raw_gradients, scan_from_node
from deeprecon.steps import Apart, Steps, in_steps

GOOD, FAIR, BAD = "good", "fair", "bad"
MAX_FITTED_VOXELS = 40_000
"""Voxels in the middle of the head that the flips are judged by; takes about a second."""
_LOWER_DISC = 2.3
"""Position on the x-axis of the lower half's disc; that of the upper half is 0, the radius of both is 1."""
_OUTLINE = (0.55, 0.55, 0.55)


@dataclass(frozen=True)
class CheckResult:
    """One checked property: its name, the finding, and whether it is good, fair or bad."""

    subject: str
    finding: str
    level: str = GOOD


def check_gradients(node: Any) -> list[CheckResult]:
    """Volumes, shells, lengths of the directions and repeated directions of a scan node's table.

    Args:
        node: vtkMRMLDiffusionWeightedVolumeNode or vtkMRMLSequenceNode.
    """
    try:
        table = gradients_of(node)
    except InputError as error:
        return [CheckResult("Gradients", str(error), BAD)]
    volumes = count_volumes(node)
    fits = volumes == len(table)
    text = str(volumes) if fits else f"{volumes}, but {len(table)} gradients"
    checks = [CheckResult("Volumes", text, GOOD if fits else BAD)]
    if not node.IsA(SEQUENCE):
        lengths = _lengths(node, table)
    table = table.used
    b0 = int(table.b0.sum())
    checks.append(CheckResult("b0 volumes", str(b0), GOOD if b0 else FAIR))
    checks += [_shell(table, b, numbers) for b, numbers in table.shells]
    if not table.shells:
        checks.append(CheckResult("Shells", "none: no volume is diffusion weighted", BAD))
    if not node.IsA(SEQUENCE):
        checks += lengths
    weighted = int((~table.b0).sum())
    repeats = weighted - table.distinct_directions
    level = FAIR if repeats or table.distinct_directions < 15 else GOOD
    checks.append(CheckResult("Directions", f"{table.distinct_directions} different, {repeats} repeated", level))
    notes = [*(doubt.text for doubt in table.doubts), *table_warnings(table)]
    checks += [CheckResult("Note", text, FAIR) for text in notes]
    return checks


def _shell(table: GradientTable, b: float, numbers: Any) -> CheckResult:
    spread = table.bvals[numbers].max() - table.bvals[numbers].min()
    jitter = f", b from {table.bvals[numbers].min():.0f} to {table.bvals[numbers].max():.0f}" if spread >= 1 else ""
    return CheckResult(f"Shell b = {b:.0f}", f"{len(numbers)} volumes{jitter}")


def _lengths(node: Any, table: GradientTable) -> list[CheckResult]:
    _, vectors = raw_gradients(node)
    used = ~table.b0 & ~np.isin(np.arange(len(table)), table.left_out)
    lengths = np.linalg.norm(vectors[used], axis=1)
    if lengths.size == 0:
        return []
    low, high = float(lengths.min()), float(lengths.max())
    good = max(abs(low - 1), abs(high - 1)) <= NORM_TOLERANCE
    return [CheckResult("Lengths", f"{low:.3f} to {high:.3f}, expected 1", GOOD if good else BAD)]


@in_steps
def check_flips(node: Any) -> Steps[CheckResult]:
    """Whether fiber coherence improves if an axis of the table is flipped.

    Args:
        node: vtkMRMLDiffusionWeightedVolumeNode or vtkMRMLSequenceNode.

    Raises:
        InputError: the scan cannot be used.
    """
    scan = yield from scan_from_node.steps(node)
    result: CheckResult = yield Apart("Checking the axes…", partial(_flips, scan))
    return result


def _flips(scan: DwiScan) -> CheckResult:
    mask = find_mask(scan)
    counts = mask.sum(axis=(1, 2))
    middle = int(np.average(np.arange(len(counts)), weights=counts))
    half = next(
        (n for n in range(1, len(counts)) if counts[max(middle - n, 0) : middle + n].sum() > MAX_FITTED_VOXELS),
        len(counts),
    )
    slab = slice(max(middle - half, 0), middle + half)
    maps = fit_tensor(scan.array[slab].astype(np.float32), scan.gradients, mask[slab])
    found = {} if maps is None else fiber_coherence(maps, mask[slab], scan.ijk_to_ras)
    if not found:
        return CheckResult("Flips", "too few voxels with a clear direction to judge by", FAIR)
    flip = better_flip(found)
    figures = ", ".join(f"{name} {found[name]:.3f}" for name in FLIPS)
    verdict = f"the {flip} axis seems flipped" if flip else "none fits better"
    return CheckResult("Flips", f"{verdict} (fiber coherence: {figures})", FAIR if flip else GOOD)


def draw_directions(table: GradientTable, title: str) -> Any:
    """Draw the directions of each shell on the two halves of the sphere, seen from above; returns the chart node.

    The halves are discs of equal area (Lambert), so that evenly distributed directions look so. Directions
    on one half only are as good as on both, if they are distributed evenly.
    """
    circle = np.linspace(0, 2 * np.pi, 73)
    outline = np.concatenate([np.cos(circle), [np.nan], np.cos(circle) + _LOWER_DISC])
    curves = [Curve("half spheres", outline, np.concatenate([np.sin(circle), [np.nan], np.sin(circle)]),
                    color=_OUTLINE)]  # fmt: skip
    for b, volumes in table.shells:
        x, y, z = table.directions[volumes].T
        around = np.hypot(x, y)
        scale = np.sqrt(1 - np.minimum(np.abs(z), 1)) / np.where(around > 0, around, 1)
        places = x * scale + np.where(z < 0, _LOWER_DISC, 0)
        curves.append(Curve(f"b = {b:.0f}", places, y * scale, line=False))
    axis_ranges = (-1.15, _LOWER_DISC + 1.15), (-1.15, 1.15)
    chart = draw_chart(title, curves, "left to right: upper half, lower half", "back to front", axis_ranges)
    chart.SetLegendVisibility(len(curves) > 2)  # with one shell it would only hide directions
    return chart
