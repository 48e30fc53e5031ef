"""A stand-in for the 3D Slicer application, for tests of scripted modules without Slicer.

The scene and the logics are Slicer's own (slicer-core); Qt is PySide6, patched to behave like PythonQt; CTK and qMRML
widgets are stand-ins. `core.start()` starts only the scene, `start()` also the application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .host import Host

_host: Host | None = None


def start(mainWindow: bool = True, testing: bool = True) -> Host:
    """The process's one `Host`, made at the first call, whose arguments count."""
    global _host
    if _host is None:
        from .host import Host

        _host = Host(mainWindow, testing)
    return _host
