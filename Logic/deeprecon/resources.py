"""Where the files that are not code lie: beside it, in every tree and in the wheel."""

from __future__ import annotations

from pathlib import Path


def resource_path(*parts: str) -> Path:
    """Path of a resource of the library, such as `resource_path("UI", "RunPanel.ui")`.

    Raises:
        FileNotFoundError: no such resource.
    """
    path = Path(__file__).resolve().with_name("Resources").joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"Resource {'/'.join(parts)} is not part of this installation (looked in {path}).")
    return path
