"""Colors of good, doubtful and bad news, readable on the background of the application's style."""

from __future__ import annotations

from typing import Any

import qt

GOOD, CAUTION, BAD = "good", "caution", "bad"
_COLORS = {GOOD: ("#1b6e20", "#81c784"), CAUTION: ("#8a4b00", "#ffb74d"), BAD: ("#b71c1c", "#ff9e94")}
"""Level -> color on a light background, and on a dark one; each has a contrast of at least 4.5 to it."""
_MIDDLE = 128


def statusColor(widget: Any, level: str) -> str:
    """The color, as #rrggbb, of a level on the background of a widget, which is its palette's role Window."""
    background = widget.palette.color(qt.QPalette.Window)
    return _COLORS[level][background.lightness() < _MIDDLE]
