"""How slices are turned in pictures: by world direction, in radiological convention, with letters at the rims."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.numerics.grids import turned

Vector = npt.NDArray[np.floating[Any]]

_VIEWER = np.array([-1.0, 1.0, -1.0])
"""Where the viewer is, by the axis that a slice's normal is nearest to: on the left (sagittal), in front (coronal), at
the feet (axial)."""
_RIGHTWARD = np.array([-1.0, -0.5, 0.0])
_UPWARD = np.array([0.0, 0.5, 1.0])
"""RAS directions that are to point to the right and up, with their weights: the patient's left before posterior,
superior before anterior. The three standard planes are shown as usual, others in the nearest of their four turns."""
_LETTERS = ("RL", "AP", "SI")
_OBLIQUE = 0.25
"""Share of a direction above which its letter is shown, 14 degrees."""


@dataclass(frozen=True)
class Orientation:
    """How an array (rows, columns) is turned to be shown; no pixel is resampled.

    Attributes:
        swap, rows, columns: whether rows and columns are swapped, then the rows, then the columns reversed.
        left, right, top, bottom: letters of the patient's directions at the rims, as "L" or "LA".
        aspect: height of a pixel over its width.
    """

    swap: bool = False
    rows: bool = False
    columns: bool = False
    left: str = ""
    right: str = ""
    top: str = ""
    bottom: str = ""
    aspect: float = 1.0

    def turned(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array (rows, columns, ...) as it is shown, its first row on top."""
        return turned(array, self.swap, self.rows, self.columns)

    def draw_letters(self, axis: Any, **style: Any) -> None:
        """Write the letters at the rims of a picture.

        Args:
            axis: matplotlib's.
            style: of the text.
        """
        from matplotlib.patheffects import withStroke

        places = {
            self.left: (0.02, 0.5, "left", "center"),
            self.right: (0.98, 0.5, "right", "center"),
            self.top: (0.5, 0.98, "center", "top"),
            self.bottom: (0.5, 0.02, "center", "bottom"),
        }
        rim = withStroke(linewidth=1.6, foreground="black", alpha=0.7)  # readable on white, too
        look = {"color": "white", "fontsize": 8, "path_effects": [rim]} | style
        for letters, (x, y, across, along) in places.items():
            axis.text(x, y, letters, ha=across, va=along, transform=axis.transAxes, **look)


AS_STORED = Orientation()
"""No turn and no letters."""


def orientation(row_step: Vector, column_step: Vector) -> Orientation:
    """The turn of a slice by the directions in the patient.

    Args:
        row_step, column_step: (3,) RAS mm from one row, and from one column, to the next.
    """
    height, width = float(np.linalg.norm(row_step)), float(np.linalg.norm(column_step))
    unit = row_step / height, column_step / width
    turns = product((False, True), repeat=3)
    swap, rows, columns = max(turns, key=lambda turn: _preference(*_shown(*unit, *turn)))
    down, right = _shown(*unit, swap, rows, columns)
    aspect = width / height if swap else height / width
    return Orientation(
        swap, rows, columns, direction_letters(-right), direction_letters(right), direction_letters(-down),
        direction_letters(down), aspect,
    )  # fmt: skip


def direction_letters(direction: Vector) -> str:
    """Letters of the patient axes that a unit vector in RAS points along, the dominating one first: "L", "LA"."""
    sizes = np.round(np.abs(direction), 3)
    order = sorted(range(3), key=lambda axis: -sizes[axis])
    return "".join(_LETTERS[axis][int(direction[axis] < 0)] for axis in order if sizes[axis] >= _OBLIQUE)


def _shown(down: Vector, right: Vector, swap: bool, rows: bool, columns: bool) -> tuple[Vector, Vector]:
    """Directions downwards and to the right in the picture after a turn."""
    if swap:
        down, right = right, down
    return (-down if rows else down), (-right if columns else right)


def _preference(down: Vector, right: Vector) -> tuple[float, ...]:
    """How well a picture meets the convention; where two are equal, by what is on top, then on the right."""
    normal = np.round(np.cross(down, right), 3)  # towards the viewer
    nearest = max((2, 1, 0), key=lambda axis: abs(normal[axis]))
    seen = float(normal[nearest] * _VIEWER[nearest] > 0)
    fit = float(right @ _RIGHTWARD - down @ _UPWARD)
    return (seen, *(round(float(part), 4) for part in (fit, -down[2], -down[1], -down[0], *right)))
