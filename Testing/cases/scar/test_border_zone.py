"""Border zone is a tissue: images or contours show it. What is merely less sure to be scar is the uncertain edge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.segmentation import read_segmentation
from deeprecon.scar.measure.sizes import node_sizes
from deeprecon.scar.read.result import read_result

from .files import run, scan, table, write_heart

CORE_AND_BORDER = {"core", "border zone"}


def inner() -> np.ndarray:
    """Half of the scar."""
    half = scan().scar.copy()
    half[..., : np.flatnonzero(half.any(axis=(0, 1))).mean().astype(int)] = False
    return half


def reconstructed(folder: Path, *options: str, lge: bool = False, **masks: np.ndarray) -> tuple[int, dict[str, Any]]:
    file = scan().write_segments(folder / "drawn.seg.nrrd", Myocardium=scan().wall, **masks)
    source = {"lge": scan().write(folder / "lge.nrrd", scan().lge)} if lge else {"scar": file}
    common = "--method", "interpolation", "--alignment", "off", *options
    return run("reconstruct", folder / "out", *common, myocardium=file, mesh=write_heart(folder / "h.vtu"), **source)


def exported_tags(folder: Path) -> set[int]:
    code, _ = run("export", folder / "x", mesh=folder / "out" / "mesh.vtu")
    assert code == 0
    return {int(line.split()[-1]) for line in (folder / "x" / "mesh.elem").read_text().splitlines()[1:]}


@pytest.mark.parametrize("lge", [False, True])
def test_probability_alone_gives_no_border_zone(tmp_path: Path, lge: bool) -> None:
    code, _ = reconstructed(tmp_path, lge=lge, **({} if lge else {"Scar": scan().scar}))
    assert code == 0
    rows = table(tmp_path / "out")
    assert set(rows) - {"not observed"} == {"wall", "scar", "core", "uncertain edge"}
    assert rows["core"]["volume_ml"] + rows["uncertain edge"]["volume_ml"] == pytest.approx(
        rows["scar"]["volume_ml"], abs=0.002
    )
    names = read_segmentation(tmp_path / "out" / "segmentation.seg.nrrd").names
    assert not any("border" in name.lower() for name in names)
    assert {"Scar uncertain edge", "Scar core by probability"} <= set(names)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "border zone" not in page
    assert "spread of the ensemble" in page
    assert exported_tags(tmp_path) <= {1, 101, 102}


@pytest.mark.parametrize("kind", ["drawn", "intensities"])
def test_contours_and_intensities_give_a_border_zone(tmp_path: Path, kind: str) -> None:
    if kind == "drawn":
        code, _ = reconstructed(tmp_path, Scar_core=inner(), Border_zone=scan().scar & ~inner())
    else:
        code, _ = reconstructed(tmp_path, "--core-threshold", "max:85", lge=True)
    assert code == 0
    assert set(table(tmp_path / "out")) - {"not observed"} == {"wall", "scar", *CORE_AND_BORDER}
    assert "Scar border zone" in read_segmentation(tmp_path / "out" / "segmentation.seg.nrrd").names
    assert {100, 101} <= exported_tags(tmp_path)


def test_a_result_by_probability_that_is_read_again_has_no_drawn_core(tmp_path: Path) -> None:
    assert reconstructed(tmp_path, Scar=scan().scar)[0] == 0
    file = tmp_path / "out" / "segmentation.seg.nrrd"
    options = "--method", "interpolation", "--alignment", "off"
    mesh = write_heart(tmp_path / "h.vtu")
    code, _ = run("reconstruct", tmp_path / "again", *options, scar=file, myocardium=file, mesh=mesh)
    assert code == 0
    assert not CORE_AND_BORDER & set(table(tmp_path / "again")) - {"core"}
    result = read_result(tmp_path / "again" / "mesh.vtu").mesh
    assert "core_probability" not in result.array_names
    first = table(tmp_path / "out")["scar"]["volume_ml"]
    assert node_sizes(result)[np.asarray(result.point_array("scar_binary")) > 0].sum() / 1000 == pytest.approx(
        first, rel=0.1
    )
