"""What can be seen of a gradient table before anything is computed: the panel's sanity check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.gradients import NORM_TOLERANCE, GradientTable, table_warnings
from deeprecon.scene.dwmri_nodes import SEQUENCE, count_volumes, gradients_of, raw_gradients

GOOD, FAIR, BAD = "good", "fair", "bad"


@dataclass(frozen=True)
class Check:
    """One line of the sanity check: what was looked at, what was found, and whether it is good, fair or bad."""

    what: str
    found: str
    level: str = GOOD


def check_gradients(node: Any) -> list[Check]:
    """What the table of a scan node says: volumes, shells, lengths of the directions, and repeats.

    Args:
        node: vtkMRMLDiffusionWeightedVolumeNode or vtkMRMLSequenceNode.
    """
    try:
        table = gradients_of(node)
    except InputError as error:
        return [Check("Gradients", str(error), BAD)]
    volumes = count_volumes(node)
    fits = volumes == len(table)
    text = str(volumes) if fits else f"{volumes}, but {len(table)} gradients"
    checks = [Check("Volumes", text, GOOD if fits else BAD)]
    b0 = int(table.b0.sum())
    checks.append(Check("b0 volumes", str(b0), GOOD if b0 else FAIR))
    checks += [_shell(table, b, numbers) for b, numbers in table.shells]
    if not table.shells:
        checks.append(Check("Shells", "none: no volume is diffusion weighted", BAD))
    if not node.IsA(SEQUENCE):
        checks += _lengths(node, table)
    weighted = int((~table.b0).sum())
    repeats = weighted - table.distinct_directions
    level = FAIR if repeats or table.distinct_directions < 15 else GOOD
    checks.append(Check("Directions", f"{table.distinct_directions} different, {repeats} repeated", level))
    checks += [Check("Note", text, FAIR) for text in table_warnings(table)]
    return checks


def _shell(table: GradientTable, b: float, numbers: Any) -> Check:
    spread = table.bvals[numbers].max() - table.bvals[numbers].min()
    jitter = f", b from {table.bvals[numbers].min():.0f} to {table.bvals[numbers].max():.0f}" if spread >= 1 else ""
    return Check(f"Shell b = {b:.0f}", f"{len(numbers)} volumes{jitter}")


def _lengths(node: Any, table: GradientTable) -> list[Check]:
    _, vectors = raw_gradients(node)
    lengths = np.linalg.norm(vectors[~table.b0], axis=1)
    if lengths.size == 0:
        return []
    low, high = float(lengths.min()), float(lengths.max())
    good = max(abs(low - 1), abs(high - 1)) <= NORM_TOLERANCE
    return [Check("Lengths", f"{low:.3f} to {high:.3f}, expected 1", GOOD if good else BAD)]
