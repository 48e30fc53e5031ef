"""What an alignment did, as sentences and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deeprecon.scar.observe.alignment.motion import COMPONENTS
from deeprecon.scar.observe.stacks import Stack

NOTABLE_SHIFT, NOTABLE_TURN = 1.0, 2.0
"""Motion of a slice in mm and degrees above which the user is warned."""


def alignment_warnings(stacks: Sequence[Stack]) -> list[str]:
    """A sentence for every stack that was moved, and for what could not be found out."""
    warnings = []
    for number, stack in enumerate(stacks, 1):
        motion = stack.motion
        if motion is None:
            continue
        shifts, turns = np.linalg.norm(motion.moved[:, :3], axis=1), np.abs(motion.moved[:, 3])
        moved = np.flatnonzero((shifts > NOTABLE_SHIFT) | (turns > NOTABLE_TURN))
        if len(moved):
            warnings.append(
                f"Stack {number}: slices {', '.join(str(k + 1) for k in moved)} lay up to {shifts.max():.1f} mm and "
                f"{turns.max():.1f} degrees from where they were in the heart, and were moved."
            )
        unmet = np.flatnonzero(motion.agreement[:, 1] < 0.5)
        if len(unmet):
            warnings.append(
                f"Stack {number}: the wall of slices {', '.join(str(k + 1) for k in unmet)} hardly meets the mesh, and "
                "does not show where they were."
            )
    return warnings


def motion_rows(stacks: Sequence[Stack]) -> list[dict[str, Any]]:
    """One row per slice with wall of the stacks that were aligned."""
    rows = []
    for number, stack in enumerate(stacks, 1):
        if (motion := stack.motion) is None:
            continue
        for k in np.flatnonzero(stack.wall.any(axis=(1, 2))):
            row: dict[str, Any] = {"stack": number, "slice": int(k) + 1}
            for name, value, deviation in zip(COMPONENTS, motion.moved[k], motion.deviation[k], strict=True):
                row |= {name: round(float(value), 2), f"{name} SD": _number(deviation)}
            rows.append(
                row
                | {"stack tilted degrees": round(float(np.hypot(*motion.tilt)), 2)}
                | {f"overlap {when} %": _number(100 * motion.agreement[k, place], 1) for place, when in _TIMES}
            )
    return rows


_TIMES = (0, "before"), (1, "after")


def _number(value: float, digits: int = 2) -> float | str:
    """A rounded number; empty where nothing was measured."""
    return round(float(value), digits) if np.isfinite(value) else ""
