"""What is read off a reconstruction, from files to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.mesh.files import place, read_mesh
from deeprecon.data.mesh.mesh import Mesh, cell_means
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.tables import read_table
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.scar.fit.interpolation import interpolate
from deeprecon.scar.measure.sizes import node_sizes
from deeprecon.scar.observe.node_groups import group_nodes
from deeprecon.scar.parameters import Alignment, Interpolation, ReconstructInputs, ReconstructParameters
from deeprecon.scar.pipeline import read_and_observe

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


def means_of_pixels(values, inputs, folder):
    """Mean of the values at the nodes in each pixel of the slices, and the share that the pixel shows."""
    files = ReconstructInputs(inputs["mesh"], tuple(inputs["scar"]), (), tuple(inputs["myocardium"]))
    settings = ReconstructParameters(slice_thickness=12.0, alignment=Alignment.OFF)
    run = Run(folder, folder, "cpu", 1, "fp32", 0, SilentReporter())
    _, heart, slices = read_and_observe(files, settings, run)
    groups = group_nodes(heart.mesh.points, slices.stacks)
    return np.add.reduceat(values[groups.nodes].astype(float), groups.offsets[:-1]) / groups.sizes, groups.values


@pytest.mark.parametrize("projection", ["auto", "exact"])
def test_the_agreed_values_fit_every_pixel_and_the_estimate_is_kept(
    fractions, done, result_of, patient, tmp_path, projection
):
    output = done("reconstruct", inputs=fractions, projection=projection, alignment="off", **LINEAR)
    figures = result_of(output)["metrics"]
    assert figures["groups_unmet"] == 0
    assert figures["largest_group_error"] <= 0.01 < figures["largest_group_error_before"]
    mesh = mesh_of(output)
    agreed, estimate = (np.asarray(mesh.point_array(name)) for name in ("scar_probability_agreed", "scar_probability"))
    means, shares = means_of_pixels(agreed, fractions, tmp_path)
    assert np.abs(means - shares).max() <= 0.01
    np.testing.assert_allclose(estimate, interpolate(patient.stacks, mesh.points, Interpolation.LINEAR)[0], atol=1e-3)
    residual = mesh.point_array("group_residual")
    assert 0 < np.nanmax(np.abs(residual)) <= 0.01
    assert 0 < np.isnan(residual).mean() < 1  # nodes between the slices are in no pixel
    assert not np.array_equal(agreed > 0.5, estimate > 0.5)
    np.testing.assert_array_equal(mesh.point_array("scar_binary") > 0, estimate > 0.5)


def test_without_a_projection_there_are_no_agreed_values(fractions, done, result_of, start):
    output = done("reconstruct", inputs=fractions, projection="off", **LINEAR)
    figures = result_of(output)["metrics"]
    assert figures["largest_group_error_before"] > 0.01
    assert not {"groups_unmet", "largest_group_error"} & set(figures)
    assert not {"scar_probability_agreed", "group_residual"} & set(mesh_of(output).array_names)
    code, output = start("reconstruct", "refused", inputs=fractions, projection="off", report_values="agreed", **LINEAR)
    assert code == 2
    assert "the agreed values are not made with the projection off: report the estimate" in warnings_of(output)


def test_tables_pictures_and_segmentation_report_what_was_chosen(fractions, files, done, result_of):
    settings = {**LINEAR, "interpolation": "nearest"}
    volumes, voxels, scores = {}, {}, {}
    for values, array in (("estimate", "scar_probability"), ("agreed", "scar_probability_agreed")):
        output = done("reconstruct", values, inputs=fractions, report_values=values, **settings)
        mesh = mesh_of(output)
        scar = np.asarray(mesh.point_array(array)) > 0.5
        np.testing.assert_array_equal(mesh.point_array("scar_binary") > 0, scar)
        volumes[values] = float(read_table(output / "table.csv")[1]["volume_ml"])
        assert volumes[values] == pytest.approx(node_sizes(mesh)[scar].sum() / 1000, abs=0.002)
        segments = read_segmentation(output / "segmentation.seg.nrrd")
        voxels[values] = sum(int(part.mask.sum()) for part in segments.segments if part.name.startswith("Scar")) / 1000
        assert voxels[values] == pytest.approx(volumes[values], rel=0.15)
        page = (output / "report.html").read_text(encoding="utf-8")
        assert f"{'show the estimate' if values == 'estimate' else 'made to agree with the pixels'}, " in page
        inputs = {"mesh": output / "mesh.vtu", "truth": files["truth"]}
        scored = done("evaluate", f"score {values}", inputs=inputs, report_values=values)
        scores[values] = result_of(scored)["metrics"]["predicted_ml"]
        exported = done("export", f"tags {values}", inputs={"mesh": output / "mesh.vtu"}, report_values=values)
        found = result_of(exported)["metrics"]["scar_elements"]
        assert found == (cell_means(mesh, mesh.point_array(array)) > 0.5).sum()
    assert scores == pytest.approx(volumes, abs=0.002)
    assert volumes["estimate"] != volumes["agreed"]
    assert voxels["estimate"] != voxels["agreed"]


def test_anatomical_interpolation_needs_to_know_the_anatomy(fractions, files, done, start):
    settings = {**LINEAR, "interpolation": "anatomical-linear"}
    code, output = start("reconstruct", inputs=fractions, **settings)
    assert code == 2
    assert "blood pool" in warnings_of(output)
    assert not (output / "mesh.vtu").exists()
    done("reconstruct", "known", inputs={**fractions, "landmarks": files["landmarks"]}, **settings)
