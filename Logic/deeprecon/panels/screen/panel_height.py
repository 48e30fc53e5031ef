"""Keeps Slicer's module panel from squeezing a module's panel that is opened again."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

import qt

_REMEMBERED = 3
"""Widths for which a layout item remembers the height."""


class PanelHeight(qt.QWidget):  # type: ignore[misc]
    """Lets the height of a panel be asked for anew after each change in it.

    Slicer takes a panel that is left out of its layout, but does not delete the layout item, which Qt goes on notifying
    of changes. The next item, for the panel that is opened again, thus keeps heights that are outdated, and panels with
    labels that wrap are squeezed. An item forgets a height when it is asked for those of other widths.

    It is a QWidget, since with that Slicer's documentation filters events in Python.

    Args:
        panel: widget of the module; `remove` has to be called before it is used again.
    """

    def __init__(self, panel: Any) -> None:
        qt.QWidget.__init__(self)
        self._panel = panel
        self._more = cycle(range(1, 2 * _REMEMBERED + 1))  # never one that is remembered since the last time
        panel.installEventFilter(self)

    def remove(self) -> None:
        """The module is closed or reloaded."""
        self._panel.removeEventFilter(self)

    def eventFilter(self, _panel: Any, event: Any) -> bool:
        """Called by Qt before the panel's layout is made anew."""
        holder = self._panel.parent()
        if event.type() != qt.QEvent.LayoutRequest or holder is None or holder.layout() is None:
            return False
        item = holder.layout().itemAt(holder.layout().indexOf(self._panel))  # None without a place in it
        if item is not None:
            for more in islice(self._more, _REMEMBERED):
                item.heightForWidth(self._panel.width + more)
        return False
