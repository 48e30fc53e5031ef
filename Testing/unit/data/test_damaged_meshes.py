"""Mesh files on which VTK's readers and filters crash: named, in this process or in a child."""

from __future__ import annotations

from pathlib import Path

import pytest

from deeprecon import cli
from deeprecon.data import trial
from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import read_mesh

PLACES = "0 0 0 1 0 0 0 1 0 0 0 1"


def grid(path: Path, nodes: str = "0 1 2 3", offsets: str = "4", types: str = "10") -> Path:
    """A .vtu file of four nodes and one cell."""
    arrays = (("connectivity", "Int64", nodes), ("offsets", "Int64", offsets), ("types", "UInt8", types))
    cells = "".join(
        f'<DataArray type="{kind}" Name="{name}" format="ascii">{text}</DataArray>' for name, kind, text in arrays
    )
    path.write_text(
        '<VTKFile type="UnstructuredGrid" version="1.0"><UnstructuredGrid>'
        '<Piece NumberOfPoints="4" NumberOfCells="1"><Points>'
        f'<DataArray type="Float64" NumberOfComponents="3" format="ascii">{PLACES}</DataArray></Points>'
        f"<Cells>{cells}</Cells></Piece></UnstructuredGrid></VTKFile>",
        encoding="utf-8",
    )
    return path


def legacy(path: Path, cell: str) -> Path:
    """A .vtk file of four nodes and one cell."""
    head = f"# vtk DataFile Version 3.0\na\nASCII\nDATASET UNSTRUCTURED_GRID\nPOINTS 4 float\n{PLACES}\n"
    path.write_text(f"{head}CELLS 1 5\n{cell}\nCELL_TYPES 1\n10\n", encoding="ascii")
    return path


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    for path in (grid(tmp_path / "a.vtu"), legacy(tmp_path / "a.vtk", "4 0 1 2 3")):
        trial.try_to_read(path)
        assert read_mesh(path).points.shape == (4, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nodes": "0 1 2", "offsets": "3"}, "have 3 nodes, not 4"),
        ({"types": "255"}, "no cell type 255"),
        ({"nodes": "0 1 2 9"}, "name nodes that it does not have"),
        ({"nodes": "0 1 2 -1"}, "name nodes that it does not have"),
    ],
)
def test_cells_that_contradict_themselves_are_named(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_mesh(grid(tmp_path / "a.vtu", **changes))


@pytest.mark.parametrize("cell", ["900000000 0 1 2 3", "-5 0 1 2 3", "4 0 1 2 99999999999999999999", "2 0 1 2 3"])
def test_a_lying_cell_list_ends_with_the_files_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    path = legacy(tmp_path / "a.vtk", cell)
    assert cli.main(["scar", "export", "--mesh", str(path), "--output", str(tmp_path / "out")]) == cli.BAD_INPUT
    message = capsys.readouterr().err
    assert "a.vtk" in message
    assert "damaged" in message or "holds no mesh" in message
    assert not (tmp_path / "out" / ".job" / ".staging").exists()


@pytest.mark.parametrize("end", ["crash", "hang"])
def test_a_child_that_does_not_end_well_means_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    path = grid(tmp_path / "a.vtu", nodes="3 2 1 0" if end == "crash" else "2 3 1 0")
    script = "import os; os.abort()" if end == "crash" else "import time; time.sleep(60)"
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nexec {trial.sys.executable} -c '{script}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(trial.sys, "executable", str(program))
    monkeypatch.setattr(trial, "PATIENCE", 0.02)
    with pytest.raises(InputError, match=r"a\.vtu is damaged: the library that reads it crashes or does not end"):
        trial.try_to_read(path)
