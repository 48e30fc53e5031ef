"""Each kind of input that once gave a wrong number gives the right one from the shell, in a batch and in the panel."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy

from deeprecon import cli
from deeprecon.data.mesh.files import read_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scar.parameters import Alignment, Method, ReconstructParameters, Shell
from deeprecon.worker import run_job

from .files import codes, scan, write_heart
from .further.blood import BLOOD, WALL, parts
from .further.dicom import dataset, save, write_series
from .further.files import (
    HEXAHEDRON,
    TETRAHEDRON,
    TO_LPS,
    TRIANGLE,
    elements,
    surface,
    table,
    tetrahedra,
    write_ply,
    write_vtu,
)
from .further.shells import drawn as scar_in_depth
from .further.shells import sector_share
from .further.shells import shell as shell_surface

Options = dict[str, str | Path]
"""Inputs and settings by the names of the shell's options; "" for a flag."""
READS_ITSELF = "Slicer reads these files itself; the panel gets its nodes"
PERCENT = 100 * float((scan().scar & scan().wall).sum()) / float(scan().wall.sum())


@dataclass(frozen=True)
class Outcome:
    """What came of a run: exit code, result.json (empty where there is none), folder of the results, message."""

    code: int
    result: dict[str, Any]
    folder: Path
    message: str

    @property
    def percent(self) -> float:
        value: float = self.result["metrics"]["observed_scar_percent"]
        return value


@dataclass(frozen=True)
class Kind:
    """Inputs of a kind.

    Attributes:
        write: makes the files in a folder.
        check: asserts what is right.
        verb: of the run.
        not_in_panel: why the panel never gets them; empty where it does.
    """

    write: Callable[[Path], Options]
    check: Callable[[Outcome], None]
    verb: str = "prepare"
    not_in_panel: str = field(default="", kw_only=True)


# ---- inputs


def drawn(folder: Path, **segments: Any) -> Path:
    return scan().write_segments(folder / "drawn.seg.nrrd", **segments)


def with_scar(folder: Path, mesh: Path | None = None, **segments: Any) -> Options:
    """A drawn heart, by default wall and scar, and the phantom's mesh or another one."""
    file = drawn(folder, **(segments or {"Myocardium": scan().wall, "Scar": scan().scar}))
    return {"scar": file, "myocardium": file, "mesh": mesh or write_heart(folder / "mesh.vtu")}


def from_image(folder: Path, lge: Path) -> Options:
    wall = drawn(folder, Myocardium=scan().wall)
    return {"lge": lge, "threshold": "fwhm", "myocardium": wall, "mesh": write_heart(folder / "mesh.vtu")}


def tagged_mesh(folder: Path) -> Options:
    """Tetrahedra whose fibers lie along their first edge, with tags by another name."""
    points, cells = tetrahedra()
    edges = (points[cells[:, 1]] - points[cells[:, 0]]) * TO_LPS
    fibers = edges / np.linalg.norm(edges, axis=1)[:, None]
    tags = np.where(np.arange(len(cells)) % 2, 24, 10).astype(np.int32)
    path = write_vtu(folder / "heart.vtu", points * TO_LPS, [(TETRAHEDRON, cells)], fiber=fibers, elemTag=tags)
    text = path.read_bytes().replace(b"<CellData>", b'<CellData Vectors="fiber">', 1)
    path.write_bytes(text)  # Slicer turns the active vectors only
    return with_scar(folder, path)


def untidy_mesh(folder: Path) -> Options:
    """Tetrahedra, their surface, some of them again, and a node far away."""
    points, cells = tetrahedra()
    points = np.vstack([points * TO_LPS, [[-300, 200, 400]]])
    blocks = [(TRIANGLE, surface()[1]), (TETRAHEDRON, np.concatenate([cells, cells[:50]]))]
    return with_scar(folder, write_vtu(folder / "heart.vtu", points, blocks))


def mesh_with_blood(folder: Path) -> Options:
    """Wall and blood as regions of one mesh."""
    points, cells, kinds = parts(WALL, BLOOD)
    tags = np.array([5, 6], np.int32)[kinds]
    return with_scar(folder, write_vtu(folder / "heart.vtu", points, [(HEXAHEDRON, cells)], tag=tags))


def shell_of_the_cavity(folder: Path) -> Options:
    """The surface of the cavity; scar lies in the outer half of the wall."""
    points, triangles = shell_surface(True)
    return with_scar(folder, write_ply(folder / "shell.ply", points * TO_LPS, triangles)) | {
        "scar": scar_in_depth(folder, 0.55, 1),
        "shell": "max",
    }


def result_with_tag_100(folder: Path) -> Options:
    """A result whose elements have a tag that exports give to scar."""
    points, cells = tetrahedra()
    tags = np.where(np.arange(len(cells)) % 2, 100, 1).astype(np.int32)
    mesh = write_vtu(folder / "heart.vtu", points * TO_LPS, [(TETRAHEDRON, cells)], tag=tags)
    assert shell("reconstruct", with_scar(folder, mesh), folder / "result").code == 0
    return {"mesh": folder / "result" / "mesh.vtu", "tags": "border=200;core=201;unknown=202"}


def offset_image(folder: Path) -> Options:
    return from_image(folder, scan().write(folder / "psir.nrrd", (scan().lge + 4096.0).astype(np.int16)))


def healthy_image(folder: Path) -> Options:
    noise = np.random.default_rng(1).normal(0, 18, scan().wall.shape)
    level = np.where(scan().wall, 60, np.where(scan().blood, 230, 120))
    return from_image(folder, scan().write(folder / "healthy.nrrd", (level + noise).astype(np.int16)))


def negated_names(folder: Path) -> Options:
    names = {"Healthy myocardium (no scar)": scan().wall & ~scan().scar, "Small scars": scan().scar}
    return with_scar(folder, **{"Myocardium": scan().wall, **names})


def several_scars(folder: Path) -> Options:
    even = (np.arange(len(scan().scar)) % 2 == 0)[:, None, None]
    parts = {"Scar core": scan().scar & even, "Border zone": scan().scar & ~even}
    return with_scar(folder, Myocardium=scan().wall, **parts)


def one_slice(folder: Path) -> Options:
    shown = (np.arange(len(scan().wall)) == 4)[:, None, None]
    return with_scar(folder, Myocardium=scan().wall & shown, Scar=scan().scar & shown)


def healthy_patient(folder: Path) -> Options:
    options = with_scar(folder, Myocardium=scan().wall)
    return {name: value for name, value in options.items() if name != "scar"} | {"no-scar": ""}


def series_for_each_slice(folder: Path) -> Options:
    """Slices without a preamble, each a series of its own, beside contours."""

    def change(made: Any, index: int) -> None:
        made.SeriesInstanceUID, made.SeriesNumber = f"1.2.826.0.1.77.1.{index + 1}", 20 + index

    series = write_series(folder / "lge", scan().lge, change=change)
    for path in series.iterdir():
        path.write_bytes(path.read_bytes()[132:])
    save(dataset(series / "RS.dcm", "1.2.840.10008.5.1.4.1.1.481.3", Modality="RTSTRUCT"), series / "RS.dcm")
    return from_image(folder, series)


def contours(folder: Path) -> Options:
    file = save(dataset(folder / "rs.dcm", "1.2.840.10008.5.1.4.1.1.481.3", Modality="RTSTRUCT"), folder / "rs.dcm")
    return with_scar(folder) | {"myocardium": file}


def thin_slices(folder: Path) -> Options:
    """A DICOM series whose slices lie closer than its pixels."""
    matrix = scan().ijk_to_ras.copy()
    matrix[:3, 2] *= 1.5 / 10
    series = write_series(folder / "lge", np.repeat(scan().lge, 7, axis=0)[:60], matrix, 3.0)
    wall = folder / "wall.nii.gz"
    write_volume(wall, Volume(np.repeat(scan().wall, 7, axis=0)[:60].astype(np.uint8), matrix))
    return from_image(folder, series) | {"myocardium": wall}


def odd_labels(folder: Path) -> Options:
    """Labels above 2^24 in a file whose name lies about compression."""
    labels = np.where(scan().scar, 16777217, np.where(scan().wall, 16777216, 0)).astype(np.int32)
    file = scan().write(folder / "plain.nii", labels).rename(folder / "labels.nii.gz")
    mesh = write_heart(folder / "mesh.vtu")
    names = "scar=16777217;myocardium=16777216"
    return {"scar": file, "myocardium": file, "mesh": mesh, "labels": names, "slice-thickness": "8"}


# ---- what is right


@cache
def plain() -> Any:
    """Figures of the tetrahedra alone and of the image without an offset, by their names."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        points, cells = tetrahedra()
        mesh = write_vtu(folder / "heart.vtu", points * TO_LPS, [(TETRAHEDRON, cells)])
        found: dict[str, float] = shell("reconstruct", with_scar(folder, mesh), folder / "a").result["metrics"]
        image = from_image(folder, scan().write(folder / "lge.nrrd", scan().lge))
        return found | {"fwhm": shell("prepare", image, folder / "b").percent}


def as_drawn(outcome: Outcome) -> None:
    assert outcome.code == 0
    assert outcome.percent == pytest.approx(PERCENT, abs=0.05)


def as_imaged(outcome: Outcome) -> None:
    assert outcome.code == 0
    assert outcome.percent == pytest.approx(plain()["fwhm"], abs=0.05)


def joined(outcome: Outcome) -> None:
    as_imaged(outcome)
    assert set(codes(outcome.result)) == {"series-joined", "dicom-passed-over"}


def nothing_enhanced(outcome: Outcome) -> None:
    assert (outcome.code, outcome.percent, codes(outcome.result)) == (0, 0, ["no-enhanced-wall"])


def no_scar(outcome: Outcome) -> None:
    assert (outcome.code, outcome.percent) == (0, 0)


def unknown_wall(outcome: Outcome) -> None:
    assert outcome.code == 0
    assert 40 < outcome.result["metrics"]["not_observed_percent"] < 80
    rows = {row["region"]: float(row["volume_ml"]) for row in table(outcome.folder / "table.csv")}
    assert rows["scar"] < rows["wall"] < rows["not observed"]


def arrays_kept(outcome: Outcome) -> None:
    assert outcome.code == 0
    assert outcome.result["metrics"]["tag_array"] == "elemTag"
    assert b'type="String"' not in (outcome.folder / "mesh.vtu").read_bytes()  # which meshio refuses
    mesh = Mesh(read_mesh(outcome.folder / "mesh.vtu").dataset)
    points, cells, data = mesh.points, mesh.cells()[0].reshape(-1, 4), mesh.dataset.GetCellData()
    edges = points[cells[:, 1]] - points[cells[:, 0]]
    edges /= np.linalg.norm(edges, axis=1)[:, None]
    assert (vtk_to_numpy(data.GetArray("fiber")) * edges).sum(1) == pytest.approx(1, abs=1e-3)
    assert set(vtk_to_numpy(data.GetArray("elemTag")).tolist()) == {10, 24}


def wall_alone(outcome: Outcome) -> None:
    assert outcome.code == 0
    assert outcome.result["metrics"]["volume_ml"] == pytest.approx(plain()["volume_ml"], rel=0.03)


def scar_beneath(outcome: Outcome) -> None:
    assert outcome.code == 0
    right = sector_share(*shell_surface(True))
    assert outcome.result["metrics"]["percent_of_wall"] == pytest.approx(right, abs=8)


def other_tags(outcome: Outcome) -> None:
    assert outcome.code == 0
    assert set(elements(outcome.folder / "mesh.elem")[1]) == {1, 100, 201}


def nothing_beside_the_wall(outcome: Outcome) -> None:
    assert (outcome.code, codes(outcome.result)) == (0, ["mesh-left-out"])
    for name in ("volume_ml", "percent_of_wall", "pieces", "interface_cm2"):
        assert outcome.result["metrics"][name] == pytest.approx(plain()[name], rel=1e-3), name


def named_as_contours(outcome: Outcome) -> None:
    assert outcome.code == 2
    assert "rs.dcm has no closed contours, so this RT structure set cannot be read" in outcome.message


def slices_along_the_stack(outcome: Outcome) -> None:
    assert outcome.code == 0
    rows = table(outcome.folder / "slices.csv")
    axis = scan().ijk_to_ras[:3, 2] / 10
    assert len(rows) > 50
    assert abs(sum(float(rows[9][f"normal {name}"]) * part for name, part in zip("RAS", axis, strict=True))) > 0.999
    assert {float(row["thickness mm"]) for row in rows} == {3.0}


KINDS = {
    "01 05 10 axes, tags and text of a mesh": Kind(tagged_mesh, arrays_kept, "reconstruct"),
    "02 an image with an offset": Kind(offset_image, as_imaged),
    "03 a mesh with blood": Kind(mesh_with_blood, wall_alone, "reconstruct"),
    "04 names that negate": Kind(negated_names, as_drawn),
    "06 one slice": Kind(one_slice, unknown_wall, "reconstruct"),
    "07 a shell": Kind(shell_of_the_cavity, scar_beneath, "reconstruct"),
    "08 thin slices": Kind(thin_slices, slices_along_the_stack, not_in_panel=READS_ITSELF),
    "12 a healthy patient": Kind(healthy_patient, no_scar),
    "13 15 a scanner's folder": Kind(series_for_each_slice, joined, not_in_panel=READS_ITSELF),
    "14 contours in DICOM": Kind(contours, named_as_contours, not_in_panel=READS_ITSELF),
    "16 18 more than the wall's cells": Kind(untidy_mesh, nothing_beside_the_wall, "reconstruct"),
    "21 tags in use": Kind(result_with_tag_100, other_tags, "export", not_in_panel="the panel exports nothing"),
    "22 scar in several segments": Kind(several_scars, as_drawn),
    "23 a threshold without scar": Kind(healthy_image, nothing_enhanced),
    "24 odd labels": Kind(odd_labels, as_drawn, not_in_panel=READS_ITSELF),
}
IN_PANEL = [name for name, kind in KINDS.items() if not kind.not_in_panel]
COMMON: dict[str, Options] = {
    "prepare": {"alignment": "off"},
    "reconstruct": {"alignment": "off", "method": "interpolation"},
    "export": {},
}


# ---- ways in


def outcome(code: int, folder: Path, message: str = "") -> Outcome:
    result = folder / "result.json"
    return Outcome(code, json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}, folder, message)


def shell(verb: str, options: Options, folder: Path) -> Outcome:
    arguments = ["scar", verb, "--output", str(folder)]
    for name, value in (COMMON[verb] | options).items():
        arguments += [f"--{name}", *filter(None, str(value).split(";"))]
    return outcome(cli.main(arguments), folder)


@pytest.mark.parametrize("name", KINDS)
def test_shell(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    kind = KINDS[name]
    found = shell(kind.verb, kind.write(tmp_path), tmp_path / "out")
    kind.check(Outcome(found.code, found.result, found.folder, capsys.readouterr().err))


@pytest.mark.parametrize("verb", COMMON)
def test_batch(tmp_path: Path, verb: str) -> None:
    kinds = {re.sub(r"\W+", "-", name): kind for name, kind in KINDS.items() if kind.verb == verb}
    rows: dict[str, Options] = {}
    for name, kind in kinds.items():
        (tmp_path / name).mkdir()
        rows[name] = COMMON[verb] | kind.write(tmp_path / name)
    columns = sorted({column for row in rows.values() for column in row})
    lines = [",".join(["case", *columns])]
    for name, row in rows.items():
        cells = [str(row[column]) or "yes" if column in row else "" for column in columns]
        lines.append(",".join([name, *cells]))
    cases = tmp_path / "cases.csv"
    cases.write_text("\n".join(lines) + "\n", encoding="utf-8")
    output = tmp_path / "out"
    cli.main(["scar", verb, "--cases", str(cases), "--output", str(output)])
    summary = {row["case"]: row for row in table(output / "summary.csv")}
    status = {"done": 0, "input": 2}
    for name, kind in kinds.items():
        row = summary[name]
        kind.check(outcome(status[row["status"]], output / name, row["message"]))


@pytest.mark.parametrize("name", IN_PANEL)
def test_panel(tmp_path: Path, host: Any, name: str) -> None:
    import slicer

    from deeprecon.scene.scar.inputs import SEGMENTS
    from deeprecon.scene.scar.job import ScarNodes, write_job
    from deeprecon.scene.scar.segments import find_segments

    kind = KINDS[name]
    options = kind.write(tmp_path)
    segmentation = slicer.util.loadSegmentation(str(options["myocardium"]), properties={})
    chosen = {role: ids for role, ids in find_segments(segmentation).items() if role in SEGMENTS.values()}
    volume = slicer.util.loadVolume(str(options["lge"]), properties={}) if "lge" in options else None
    nodes = ScarNodes(
        segmentation,
        chosen,
        volume,
        slicer.util.loadModel(str(options["mesh"])),
        from_intensities=volume is not None,
        no_scar="no-scar" in options,
    )
    settings = ReconstructParameters(
        method=Method.INTERPOLATION,
        alignment=Alignment.OFF,
        threshold=str(options.get("threshold", "nsd:5")),
        slice_thickness=8.0,
        shell=Shell(options.get("shell", "auto")),
    )
    write_job(tmp_path / "job", nodes, settings, device="cpu", verb=kind.verb)
    code = run_job(tmp_path / "job")
    kind.check(outcome(code, tmp_path / "job" / "output"))
