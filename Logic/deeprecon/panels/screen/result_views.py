"""Showing results in the views: the user's own views are kept, and slices fitted once a new layout has its size."""

from __future__ import annotations

from collections.abc import Callable

import qt

from deeprecon.scene.display.layouts import fit_views, put_views_back, remember_views
from deeprecon.scene.display.views import layout_manager


def showInViews(show: Callable[[], None]) -> None:
    """Call a function that sets up the views; `putViewsBack` undoes it."""
    remember_views()
    _fitAfter(show)


def putViewsBack() -> None:
    """Put the user's layout, orientations and links back."""
    _fitAfter(put_views_back)


def _fitAfter(change: Callable[[], None]) -> None:
    """Views of a new layout get their size in the event loop, and only then slices can be fitted to it."""
    manager = layout_manager()
    before = None if manager is None else manager.layout
    change()
    if manager is not None and manager.layout != before:
        qt.QTimer.singleShot(0, fit_views)
