"""The picture of the left ventricle's 17 segments, as seen from the apex."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, isfinite, radians, sin

from deeprecon.reporting.figures import png, pyplot

RINGS = ((1.0, 0.72, 6), (0.72, 0.46, 6), (0.46, 0.2, 4), (0.2, 0.0, 1))
"""Outer and inner radius and number of segments; the first has its middle on top, the others follow to the left."""


def bullseye(values: Sequence[float], label: str, maximum: float | None = None) -> bytes:
    """PNG of one value for each of the 17 segments, front on top and septum on the left.

    The layout and the numbers are those of Cerqueira et al. 2002 (Circulation 105:539).

    Args:
        values: percent in the segments 1 to 17; NaN is shown gray, as a segment without a value.
        label: of the color bar, with the unit.
        maximum: value at the dark end of the colors; by default the next ten above the largest value.
    """
    if len(values) != 17:
        raise ValueError(f"17 segments have {len(values)} values")
    plt = pyplot()
    from matplotlib.patches import Wedge

    known = [value for value in values if isfinite(value)]
    top = maximum if maximum is not None else max(10.0, 10.0 * -(-max(known, default=0.0) // 10))
    colors = plt.cm.ScalarMappable(cmap=plt.get_cmap("YlOrRd"))
    colors.set_clim(0, top)
    figure, axis = plt.subplots(figsize=(5.4, 4.6), layout="constrained")
    number = 0
    for outer, inner, count in RINGS:
        for place in range(count):
            value, middle = values[number], 90 + 360 / count * place
            number += 1
            color = colors.to_rgba(value) if isfinite(value) else (0.88, 0.88, 0.88, 1.0)
            half = 180 / count
            axis.add_patch(
                Wedge((0, 0), outer, middle - half, middle + half, width=outer - inner, facecolor=color,
                      edgecolor="white", linewidth=2)
            )  # fmt: skip
            far = (outer + inner) / 2 if count > 1 else 0.0
            x, y = far * cos(radians(middle)), far * sin(radians(middle))
            bright = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
            ink = "#222222" if bright > 0.55 else "white"
            text = f"{value:.0f} %" if isfinite(value) else "–"
            axis.text(x, y + 0.015, text, ha="center", va="center", color=ink, fontsize=11)
            axis.text(x, y - 0.075, str(number), ha="center", va="center", color=ink, fontsize=7.5, alpha=0.75)
    for name, x, y, turn in (("anterior", 0, 1.07, 0), ("septal", -1.07, 0, 90), ("inferior", 0, -1.07, 0),
                             ("lateral", 1.07, 0, 270)):  # fmt: skip
        axis.text(x, y, name, ha="center", va="center", rotation=turn, fontsize=10, color="#444444")
    axis.set(xlim=(-1.14, 1.14), ylim=(-1.14, 1.14), aspect="equal")
    axis.axis("off")
    figure.colorbar(colors, ax=axis, shrink=0.75, label=label)
    return png(figure)
