"""Where files that are not code lie: in the source tree, in a build tree and in an installed tree."""

from __future__ import annotations

from pathlib import Path


def resource_path(*parts: str) -> Path:
    """Path of a resource of the library or of the extension, such as `resource_path("UI", "RunPanel.ui")`.

    The library's own resources lie beside the package in every tree. The extension's lie beside them in build and
    installed trees, where Slicer puts all into one folder, and one folder higher in the source tree.

    Raises:
        FileNotFoundError: no such resource in either place.
    """
    library = Path(__file__).resolve().parents[1]
    for folder in (library, library.parent):
        path = folder.joinpath("Resources", *parts)
        if path.exists():
            return path
    raise FileNotFoundError(f"Resource {'/'.join(parts)} is not part of this installation (looked in {library}).")
