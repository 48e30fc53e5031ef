"""Result files open in readers that know numbers only, such as meshio."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..files import run
from .files import (
    QUICK,
    TETRAHEDRON,
    TO_LPS,
    exported,
    reconstructed,
    surface,
    tetrahedra,
    used,
    write_carp,
    write_legacy,
    write_ply,
    write_vtu,
    write_wall,
)

XML_TYPES = {f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)} | {"Float32", "Float64"}
LEGACY_TYPES = {f"{sign}{name}" for sign in ("", "unsigned_") for name in ("char", "short", "int", "long")}
LEGACY_TYPES |= {"bit", "float", "double", "vtktypeint64", "vtktypeuint64", "vtkidtype"}


def xml_types(path: Path) -> set[str]:
    """Types of all arrays of a VTK XML file."""
    text = path.read_bytes().decode("latin-1")
    return set(re.findall(r"<(?:Data)?Array\b[^>]*?\btype=\"(\w+)\"", text))


def legacy_types(path: Path) -> set[str]:
    """Types of all arrays of a legacy VTK file."""
    text = path.read_bytes().decode("latin-1")
    fields = re.findall(r"^\S+ \d+ \d+ (\w+)\s*$", text, re.MULTILINE)
    attributes = re.findall(r"^(?:SCALARS|VECTORS|NORMALS|TENSORS) \S+ (\w+)", text, re.MULTILINE)
    return {name.lower() for name in (*fields, *attributes)}


def assert_numbers_only(path: Path) -> None:
    found, known = (legacy_types(path), LEGACY_TYPES) if path.suffix == ".vtk" else (xml_types(path), XML_TYPES)
    assert found
    assert found <= known


def write(path: Path) -> Path:
    """The heart in the format of the name."""
    points, cells = tetrahedra()
    if path.suffix == ".pts":
        return write_carp(path, points * TO_LPS * 1000, [(TETRAHEDRON, cells)], [1] * len(cells))
    make = write_legacy if path.suffix == ".vtk" else write_vtu
    return make(path, points * TO_LPS, [(TETRAHEDRON, cells)])


@pytest.mark.parametrize("name", ["heart.vtu", "heart.vtk"])
def test_result_has_arrays_of_numbers_only(tmp_path: Path, name: str) -> None:
    assert reconstructed(tmp_path, write(tmp_path / name))[0] == 0
    assert_numbers_only(tmp_path / "out" / f"mesh{Path(name).suffix}")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("heart.vtu", "vtk"),
        ("heart.vtk", "vtu"),
        ("heart.pts", "vtu"),
        ("heart.pts", "vtk"),
    ],
)
def test_export_has_arrays_of_numbers_only(tmp_path: Path, name: str, kind: str) -> None:
    assert reconstructed(tmp_path, write(tmp_path / name))[0] == 0
    assert exported(tmp_path, "--format", kind)[0] == 0
    assert_numbers_only(tmp_path / "x" / f"mesh.{kind}")


def test_mesh_made_from_the_wall_has_arrays_of_numbers_only(tmp_path: Path) -> None:
    drawn = write_wall(tmp_path)
    code, _ = run("reconstruct", tmp_path / "out", *QUICK, "--node-spacing", "4", scar=drawn, myocardium=drawn)
    assert code == 0
    assert_numbers_only(tmp_path / "out" / "mesh.vtu")


def test_surface_has_arrays_of_numbers_only(tmp_path: Path) -> None:
    points, triangles = used(*surface())
    assert reconstructed(tmp_path, write_ply(tmp_path / "heart.ply", points * TO_LPS, triangles))[0] == 0
    assert exported(tmp_path, "--format", "vtp")[0] == 0
    assert_numbers_only(tmp_path / "x" / "mesh.vtp")


def test_axes_are_still_known_after_an_export(tmp_path: Path) -> None:
    assert reconstructed(tmp_path, write(tmp_path / "heart.vtu"))[0] == 0
    assert exported(tmp_path, "--format", "vtk", "--frame", "ras")[0] == 0
    code, result = run("export", tmp_path / "y", "--format", "vtu", mesh=tmp_path / "x" / "mesh.vtk")
    assert code == 0
    points = tetrahedra()[0] * TO_LPS
    assert result["metrics"]["nodes"] == len(points)
    drawn = write_wall(tmp_path)
    files = {"scar": drawn, "myocardium": drawn, "mesh": tmp_path / "y" / "mesh.vtu"}
    code, result = run("prepare", tmp_path / "p", "--alignment", "off", **files)
    assert (code, result["metrics"]["mesh_frame"]) == (0, "lps")
