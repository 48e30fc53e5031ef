"""What is read off a reconstruction, from files to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.mesh.files import place, read_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.tables import read_table
from deeprecon.scar.measure.sizes import node_sizes

LINEAR: dict[str, Any] = {"slice_thickness": 12.0, "method": "interpolation"}


@pytest.fixture
def fractions(files) -> dict[str, Any]:
    """Wall and scar alone: nothing tells where the blood is."""
    return {"scar": [files["scar"]], "myocardium": [files["myocardium"]], "mesh": files["mesh"]}


@pytest.fixture
def contours(files) -> dict[str, Any]:
    return {"lge": [files["lge"]], "myocardium": [files["segmentation"]], "mesh": files["mesh"]}


def mesh_of(output: Path) -> Mesh:
    return place(read_mesh(output / "mesh.vtu"), "mm", "lps")


def warnings_of(output: Path) -> str:
    return (output / ".job" / "events.jsonl").read_text(encoding="utf-8")


def test_without_landmarks_and_blood_pools_the_segments_are_left_out_with_a_warning(fractions, done):
    output = done("reconstruct", inputs=fractions, **LINEAR)
    assert not (output / "aha.csv").exists()
    assert not (output / "bullseye.png").exists()
    assert "17 segments are left out" in warnings_of(output)
    assert "aha_segment" not in mesh_of(output).array_names


def test_landmarks_and_blood_pools_put_the_nodes_into_the_same_segments(fractions, contours, files, done):
    by_points = mesh_of(done("reconstruct", "a", inputs={**fractions, "landmarks": files["landmarks"]}, **LINEAR))
    by_blood = mesh_of(done("reconstruct", "b", inputs=contours, **LINEAR))
    one, two = (np.asarray(mesh.point_array("aha_segment")) for mesh in (by_points, by_blood))
    assert set(one.tolist()) >= set(range(1, 18))
    assert (one == two).mean() > 0.85


def test_the_segments_add_up_to_the_whole(fractions, files, done):
    output = done("reconstruct", inputs={**fractions, "landmarks": files["landmarks"]}, **LINEAR)
    rows, total = read_table(output / "aha.csv"), read_table(output / "table.csv")[1]
    assert len(rows) == 17
    assert sum(float(row["scar_ml"]) for row in rows) == pytest.approx(float(total["volume_ml"]), rel=0.01)
    shares = [float(row["percent_of_wall"]) for row in read_table(output / "transmurality.csv")]
    assert sum(shares) == pytest.approx(100, abs=0.1)


def test_a_second_threshold_gives_a_core_of_its_own_within_the_scar(contours, done):
    settings = {**LINEAR, "threshold": "max:40", "core_threshold": "max:75"}
    output = done("reconstruct", inputs=contours, **settings)
    mesh = mesh_of(output)
    scar, core = (np.asarray(mesh.point_array(name)) for name in ("scar_probability", "core_probability"))
    assert (core <= scar + 1e-6).all()
    sizes = node_sizes(mesh)
    inner, outer = sizes[core > 0.5].sum(), sizes[scar > 0.5].sum()
    assert 0.2 * outer < inner < 0.95 * outer
    rows = {row["region"]: float(row["volume_ml"]) for row in read_table(output / "table.csv")}
    assert rows["core"] == pytest.approx(inner / 1000, abs=0.01)
    assert rows["core"] + rows["border zone"] == pytest.approx(rows["scar"], abs=0.01)
    segmentation = read_segmentation(output / "segmentation.seg.nrrd")
    assert np.asarray(segmentation.volume("Scar core").array).any()


def test_the_projection_fits_every_pixel_and_is_reported(fractions, done, result_of):
    output = done("reconstruct", inputs=fractions, projection="exact", **LINEAR)
    figures = result_of(output)["metrics"]
    assert figures["groups_unmet"] == 0
    assert figures["largest_group_error"] <= 0.01 < figures["largest_group_error_before"]
    residual = mesh_of(output).point_array("group_residual")
    assert 0 < np.nanmax(np.abs(residual)) <= 0.01
    assert 0 < np.isnan(residual).mean() < 1  # nodes between the slices are in no pixel


def test_interpolation_is_not_projected_and_its_residuals_are_reported(fractions, done, result_of):
    output = done("reconstruct", inputs=fractions, **LINEAR)
    figures = result_of(output)["metrics"]
    assert "groups_unmet" not in figures
    assert figures["largest_group_error"] == figures["largest_group_error_before"] > 0.01


def test_anatomical_interpolation_needs_to_know_the_anatomy(fractions, files, done, start):
    settings = {**LINEAR, "interpolation": "anatomical-linear"}
    code, output = start("reconstruct", inputs=fractions, **settings)
    assert code == 2
    assert "blood pool" in warnings_of(output)
    assert not (output / "mesh.vtu").exists()
    done("reconstruct", "known", inputs={**fractions, "landmarks": files["landmarks"]}, **settings)
