"""Mesh files of results."""

from __future__ import annotations

from pathlib import Path

from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scar.read.mesh import HeartMesh


def write_heart_mesh(folder: Path, heart: HeartMesh, mesh: Mesh) -> dict[str, Path]:
    """Write a mesh in the unit, axes and format of its file; returns where its files lie, by role."""
    path = folder / f"mesh{heart.suffix}"
    write_mesh(path, mesh, heart.unit.value, heart.frame.value)
    return {"mesh": path} | companion_files(path)


def companion_files(path: Path) -> dict[str, Path]:
    """The other files of a mesh that consists of several, as openCARP's do, by role."""
    files = sorted(file for file in path.parent.glob(f"{path.stem}.*") if file != path)
    return {file.name.replace(".", "_"): file for file in files}
