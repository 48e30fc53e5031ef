"""The verbs of the scar method, run by the worker on a small patient."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkFiltersCore import vtkTriangleFilter

from deeprecon.data.files import sha256
from deeprecon.data.mesh.files import place, read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh, cell_means, surface, with_points
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job
from deeprecon.jobs.process import child_environment
from deeprecon.scar.simulate.hearts import Phantom
from deeprecon.scar.write import outputs

from ..data.orientations import orders, rotation

INSTANT = {"method": "interpolation"}
FIELD = {"method": "field", "steps": 40}
Files = dict[str, Path]


def images(files: Files, mesh: Path | None = None) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "lge": [files["lge"]],
        "myocardium": [files["segmentation"]],
        "scar": [files["segmentation"]],
    }
    return inputs | ({"mesh": mesh} if mesh else {})


def checksums(output: Path) -> dict[str, str]:
    """Of everything but result.json, which tells the time."""
    return {path.name: sha256(path) for path in output.iterdir() if path.is_file() and path.name != "result.json"}


def triangles(mesh: Mesh) -> Mesh:
    faces = vtkTriangleFilter()
    faces.SetInputData(surface(mesh))
    faces.Update()
    output = faces.GetOutput()
    output.GetPointData().Initialize()
    output.GetCellData().Initialize()
    return Mesh(output)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures: drawing them takes longer than all the rest."""

    def write_report(path: Path, *rest: Any) -> list[Path]:
        path.write_text("no pictures", encoding="utf-8")
        return []

    monkeypatch.setattr(outputs, "write_report", write_report)


# reconstruct


@pytest.mark.parametrize("method", [INSTANT, FIELD], ids=["interpolation", "field"])
def test_reconstruct_leaves_everything_that_people_open(method, files, patient, done, result_of, scene):
    import slicer

    output = done("reconstruct", inputs=images(files, files["mesh"]), **method)
    result = result_of(output)
    names = {
        "mesh.vtu",
        "table.csv",
        "aha.csv",
        "transmurality.csv",
        "slices.csv",
        "motion.csv",
        "segmentation.seg.nrrd",
        "probability.nrrd",
        "report.html",
        "mesh.png",
        "bullseye.png",
        "uncertainty.png",
        "slices.png",
        "unmet.csv",  # pixels without a node of so coarse a mesh
    } | ({"curves.png"} if method is FIELD else set())
    assert {entry["path"] for entry in result["outputs"].values()} == names
    assert {path.name for path in output.iterdir()} == names | {"result.json", ".job"}
    for entry in result["outputs"].values():
        assert entry["sha256"] == sha256(output / entry["path"])

    file = read_mesh(output / "mesh.vtu")
    assert file.frame == "lps"
    mesh = place(file, "mm", "lps")
    np.testing.assert_allclose(mesh.points, patient.mesh.points, atol=1e-3)  # in the same order
    probability, uncertainty, binary = (
        mesh.point_array(name) for name in ("scar_probability", "scar_uncertainty", "scar_binary")
    )
    assert 0 <= probability.min() < 0.2
    assert 0.5 < probability.max() <= 1
    assert uncertainty.min() >= 0
    assert 0 < uncertainty.max() <= 0.5
    np.testing.assert_array_equal(binary, probability > 0.5)

    node = slicer.vtkMRMLSegmentationNode()
    storage = slicer.vtkMRMLSegmentationStorageNode()
    slicer.mrmlScene.AddNode(storage)
    slicer.mrmlScene.AddNode(node)
    storage.SetFileName(str(output / "segmentation.seg.nrrd"))
    assert storage.ReadData(node)
    assert [node.GetSegmentation().GetNthSegment(n).GetName() for n in range(3)] == [
        "Healthy myocardium",
        "Scar uncertain edge",
        "Scar core by probability",
    ]
    volume = sum(int(segment.mask.sum()) for segment in read_segmentation(output / "segmentation.seg.nrrd").segments)
    with open(output / "table.csv", encoding="utf-8-sig", newline="") as table:
        rows = {row["region"]: row for row in csv.DictReader(table)}
    assert volume / 1000 == pytest.approx(float(rows["wall"]["volume_ml"]), rel=0.03)
    assert float(rows["scar"]["volume_ml"]) == pytest.approx(result["metrics"]["volume_ml"], rel=1e-3)

    page = (output / "report.html").read_text(encoding="utf-8")
    assert "For research use only" in page
    assert f"{result['metrics']['volume_ml']:.1f} ml of scar" in page
    assert str(files["lge"].parent) not in page, "a report tells nothing about the computer's folders"
    assert (output / "mesh.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["nearest", "linear", "signed-distance", "log-odds"])
def test_every_interpolation_finds_the_scar(kind, files, done, result_of, quick):
    output = done("reconstruct", inputs=images(files, files["mesh"]), interpolation=kind, **INSTANT)
    figures = result_of(done("evaluate", "score", inputs={"mesh": output / "mesh.vtu", "truth": files["truth"]}))
    assert figures["metrics"]["dice"] > 0.75


@pytest.mark.parametrize(
    ("suffix", "unit", "frame", "stated"),
    [
        (".vtu", "m", "lps", {}),
        (".vtk", "cm", "ras", {}),
        (".vtp", "mm", "lps", {}),
        (".ply", "cm", "lps", {}),
        (".pts", "um", "ras", {}),
        (".pts", "mm", "lps", {"mesh_unit": "mm", "mesh_frame": "lps"}),
    ],
)
def test_the_mesh_comes_back_in_its_class_unit_axes_and_order(
    suffix, unit, frame, stated, tmp_path, files, patient, done, result_of, quick
):
    mesh = triangles(patient.mesh) if suffix in (".vtp", ".ply") else patient.mesh
    write_mesh(tmp_path / f"heart{suffix}", mesh, unit, frame)
    output = done("reconstruct", inputs=images(files, tmp_path / f"heart{suffix}"), **INSTANT, **stated)
    given, found = read_mesh(tmp_path / f"heart{suffix}"), read_mesh(output / f"mesh{suffix}")
    assert found.dataset.GetClassName() == given.dataset.GetClassName()
    assert (found.unit, found.frame) == (given.unit, given.frame)
    np.testing.assert_allclose(found.points, given.points, rtol=1e-5, atol=1e-5 * np.abs(given.points).max())
    for mine, theirs in zip(Mesh(found.dataset).cells(), Mesh(given.dataset).cells(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert {key: result_of(output)["metrics"][key] for key in ("mesh_unit", "mesh_frame")} == {
        "mesh_unit": unit,
        "mesh_frame": frame,
    }
    assert ("volume_ml" if mesh is patient.mesh else "area_cm2") in result_of(output)["metrics"]
    if suffix == ".pts":
        values = np.loadtxt(output / "mesh.scar_probability.dat")
        assert len(values) == mesh.n_points
        listed = {entry["path"] for entry in result_of(output)["outputs"].values()}
        assert {"mesh.pts", "mesh.elem", "mesh.scar_probability.dat"} <= listed
    # an export knows unit and axes from the result
    exported = done("export", "exported", inputs={"mesh": output / f"mesh{suffix}"}, format="vtk", frame="ras")
    np.testing.assert_allclose(read_mesh(exported / "mesh.vtk").points, mesh.points, atol=1e-2)


def test_a_surface_in_stl_comes_back_as_vtp_with_values(tmp_path, files, patient, done, result_of, quick):
    write_mesh(tmp_path / "wall.stl", triangles(patient.mesh), "mm", "ras")
    output = done("reconstruct", inputs=images(files, tmp_path / "wall.stl"), **INSTANT)
    mesh = place(read_mesh(output / "mesh.vtp"), "mm", "ras")
    np.testing.assert_allclose(mesh.points, read_mesh(tmp_path / "wall.stl").points, atol=1e-4)
    assert mesh.point_array("scar_probability").max() > 0.5
    metrics = result_of(output)["metrics"]
    assert metrics["area_cm2"] > 0
    assert (output / "segmentation.seg.nrrd").exists()


def test_an_open_surface_shows_the_wall_of_the_slices(tmp_path, files, patient, done, quick):
    closed = triangles(patient.mesh)
    dataset = closed.dataset
    dataset.BuildCells()
    dataset.DeleteCell(0)
    dataset.RemoveDeletedCells()
    write_mesh(tmp_path / "open.vtp", Mesh(dataset), "mm", "lps")
    output = done("reconstruct", inputs=images(files, tmp_path / "open.vtp"), **INSTANT)
    assert (output / "segmentation.seg.nrrd").exists()
    assert "open surface" in (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
    assert Mesh(read_mesh(output / "mesh.vtp").dataset).point_array("scar_probability").max() > 0.5


def test_without_a_mesh_one_is_made_from_the_myocardium(files, patient, done, result_of, quick):
    output = done("reconstruct", inputs=images(files), node_spacing=3.0, **INSTANT)
    mesh = place(read_mesh(output / "mesh.vtu"), "mm", "lps")
    assert mesh.is_volume
    assert "meets the mesh" not in (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
    centers = np.stack([cell_means(mesh, mesh.points[:, axis]) for axis in range(3)], axis=1)
    assert patient.wall(centers).mean() > 0.8
    truth = patient.scar(centers)
    found = cell_means(mesh, mesh.point_array("scar_probability")) > 0.5
    assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.7


def test_a_case_without_scar_is_reconstructed_and_reported(tmp_path, files, patient, done, result_of, quick):
    stack = patient.stacks[0]
    for name, array in (("wall", stack.wall), ("scar", np.zeros_like(stack.wall))):
        write_volume(tmp_path / f"{name}.nrrd", Volume(array, stack.ijk_to_ras))
    inputs = {"myocardium": [tmp_path / "wall.nrrd"], "scar": [tmp_path / "scar.nrrd"], "mesh": files["mesh"]}
    for number, method in enumerate((INSTANT, FIELD)):
        output = done("reconstruct", f"run{number}", inputs=inputs, slice_thickness=12.0, **method)
        assert result_of(output)["metrics"]["volume_ml"] == 0
        assert "No scar was observed" in (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
        assert Mesh(read_mesh(output / "mesh.vtu").dataset).point_array("scar_probability").max() < 0.5


def test_an_interpolation_works_where_torch_is_not_installed(tmp_path, files):
    code = "import sys; sys.modules['torch'] = None; from deeprecon.cli import main; sys.exit(main(sys.argv[1:]))"
    options = [
        "--myocardium",
        files["segmentation"],
        "--mesh",
        files["mesh"],
        "--output",
        tmp_path / "out",
        "--method",
        "interpolation",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, "scar", "reconstruct", *map(str, options)],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").exists()


# the same result whatever the order of the axes, whenever it is run, and however often it is broken off


def placed(patient: Phantom, kind: str) -> tuple[Volume, Volume, Mesh]:
    """The patient's wall and scar and mesh, in another pose, with other pixels, or mirrored."""
    stack = patient.stacks[0]
    wall, scar = stack.wall, stack.scar * stack.wall
    affine, move = stack.ijk_to_ras, np.eye(4)
    if kind == "oblique":
        move[:3, :3] = rotation((25.0, -40.0, 65.0))
        move[:3, 3] = (12.5, -30.1, 8.7)
    elif kind == "anisotropic":
        wall, scar = wall[:, ::2], scar[:, ::2]
        affine = affine @ np.diag([1, 2, 1, 1])
    else:
        move[0, 0] = -1
    dataset = patient.mesh
    points = dataset.points @ move[:3, :3].T + move[:3, 3]
    affine = move @ affine
    return Volume(wall, affine), Volume(scar, affine), Mesh(with_points(dataset.dataset, points))


@pytest.mark.parametrize(("kind", "step"), [("oblique", 1), ("anisotropic", 5), ("left-handed", 5)])
def test_all_48_orders_of_the_axes_give_the_same_bits(kind, step, tmp_path, patient, done, quick):
    """Observations of all of them in the general pose, of ten with other pixels and ten mirrored; results of some."""
    wall, scar, mesh = placed(patient, kind)
    write_mesh(tmp_path / "mesh.vtu", mesh, "mm", "lps")
    inputs = {"mesh": tmp_path / "mesh.vtu", "myocardium": [tmp_path / "wall.nrrd"], "scar": [tmp_path / "scar.nrrd"]}
    first: dict[str, dict[str, str]] = {}
    pairs = list(zip(orders(wall), orders(scar), strict=True))
    for number in range(0, len(pairs), step):
        write_volume(inputs["myocardium"][0], pairs[number][0])
        write_volume(inputs["scar"][0], pairs[number][1])
        runs = {"observations": done("prepare", "prepared", inputs=inputs, slice_thickness=12.0, alignment="off")}
        if number in (0, 13, 26, 45, 47):
            for name, method in {"interpolation": INSTANT, "field": FIELD}.items():
                runs[name] = done("reconstruct", name, inputs=inputs, slice_thickness=12.0, **method)
        for name, output in runs.items():
            found = checksums(output)
            assert found == first.setdefault(name, found), f"order {number}, {name}"
    assert Mesh(read_mesh(tmp_path / "field" / "mesh.vtu").dataset).point_array("scar_probability").max() > 0.5


def test_orders_of_the_axes_in_nifti_and_of_the_images_alone_give_the_same_result(tmp_path, patient, done, quick):
    stack = patient.stacks[0]
    scar = orders(Volume(stack.scar * stack.wall, stack.ijk_to_ras))
    wall = orders(Volume(stack.wall, stack.ijk_to_ras))
    image = orders(patient.lge[0])
    write_mesh(tmp_path / "mesh.vtu", patient.mesh, "mm", "lps")
    inputs = {
        "mesh": tmp_path / "mesh.vtu",
        "myocardium": [tmp_path / "wall.nii.gz"],
        "scar": [tmp_path / "scar.nii.gz"],
        "lge": [tmp_path / "lge.nii.gz"],
    }
    expected = None
    for number in (0, 7, 22, 37, 41):
        write_volume(inputs["myocardium"][0], wall[number])
        write_volume(inputs["scar"][0], scar[-number])
        write_volume(inputs["lge"][0], image[number - 5])
        output = done("reconstruct", inputs=inputs, slice_thickness=12.0, **INSTANT)
        found = Mesh(read_mesh(output / "mesh.vtu").dataset).point_array("scar_probability")
        expected = found if expected is None else expected
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_same_job_twice_gives_the_same_bits(files, done):
    first = done("reconstruct", "first", inputs=images(files, files["mesh"]), **FIELD)
    second = done("reconstruct", "second", inputs=images(files, files["mesh"]), **FIELD)
    assert checksums(first) == checksums(second)
    other = done("reconstruct", "third", seed=1, inputs=images(files, files["mesh"]), **FIELD)
    assert checksums(other)["mesh.vtu"] != checksums(first)["mesh.vtu"]


def test_a_killed_run_resumes_to_the_same_bits(tmp_path, files, done):
    whole = done("reconstruct", "whole", inputs=images(files, files["mesh"]), method="field", steps=40)
    folder = tmp_path / "killed" / ".job"
    inputs = {
        name: str(value) if isinstance(value, Path) else [str(path) for path in value]
        for name, value in images(files, files["mesh"]).items()
    }
    Job("scar", "reconstruct", inputs, {"method": "field", "steps": 40}, "..", "cpu", 1, "fp32").save(folder)
    command = [sys.executable, "-m", "deeprecon.worker", str(folder)]
    child = subprocess.Popen(command, env=child_environment(), stdout=subprocess.DEVNULL)
    checkpoint, end = folder / "checkpoint" / "field.safetensors", time.monotonic() + 300
    while not checkpoint.exists() and child.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert checkpoint.exists()
    assert not (tmp_path / "killed" / "result.json").exists()
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [".job"]
    subprocess.run(command, env=child_environment(), check=True, stdout=subprocess.DEVNULL)
    assert checksums(tmp_path / "killed") == checksums(whole)


# the other verbs


def test_prepare_writes_the_observations(files, done, result_of):
    output = done("prepare", inputs=images(files, files["mesh"]))
    with np.load(output / "observations.npz") as data:
        assert set(data.files) == {"y", "wall", "slice_id", "centers"}
        assert len(data["y"]) == result_of(output)["metrics"]["groups"]
        assert data["centers"].shape == (len(data["y"]), 3)
    with open(output / "slices.csv", encoding="utf-8-sig", newline="") as table:
        assert len(list(csv.DictReader(table))) == len(
            set(read_segmentation(files["segmentation"]).volume("myocardium").array.any(axis=(1, 2)).nonzero()[0])
        )


def test_phantom_makes_a_case_that_can_be_reconstructed_from_dicom(done, result_of, quick):
    coarse = {"spacing": 14.0, "thickness": 10.0, "pixel": 3.0, "node_spacing": 4.0}
    made = done("phantom", "made", dicom=True, lesion="wedge", **coarse)
    assert {"lge.nrrd", "dicom", "mesh.vtu", "truth.vtu", "README.txt"} <= {path.name for path in made.iterdir()}
    inputs = {"lge": [made / "dicom"], "myocardium": [made / "segmentation.seg.nrrd"], "mesh": made / "mesh.vtu"}
    output = done("reconstruct", inputs=inputs, threshold="fwhm", **INSTANT)
    score = done("evaluate", "score", inputs={"mesh": output / "mesh.vtu", "truth": made / "truth.vtu"})
    assert result_of(score)["metrics"]["dice"] > 0.6
    with open(score / "evaluation.csv", encoding="utf-8-sig", newline="") as table:
        assert {"dice", "volume_error_percent"} <= {row["figure"] for row in csv.DictReader(table)}


def test_a_real_heart_is_imaged_and_reconstructed(shared_data, done, result_of, quick):
    heart = shared_data / "scar" / "cobiveco_geo1" / "heart.vtp"
    if not heart.exists():
        pytest.skip(f"no {heart}")
    made = done("phantom", "made", inputs={"surface": heart}, spacing=14.0, thickness=12.0, pixel=2.5, node_spacing=4.0)
    inputs = {
        "scar": [made / "scar_fraction.nii.gz"],
        "myocardium": [made / "myocardium_fraction.nii.gz"],
        "mesh": made / "mesh.vtu",
    }
    output = done("reconstruct", inputs=inputs, slice_thickness=12.0, **INSTANT)
    score = done("evaluate", "score", inputs={"mesh": output / "mesh.vtu", "truth": made / "truth.vtu"})
    assert result_of(score)["metrics"]["dice"] > 0.8


@pytest.mark.parametrize("kind", ["opencarp", "vtu", "vtk"])
def test_export_keeps_nodes_and_writes_tags(kind, files, patient, done, result_of, quick):
    output = done("reconstruct", inputs=images(files, files["mesh"]), **INSTANT)
    exported = done("export", "exported", inputs={"mesh": output / "mesh.vtu"}, format=kind)
    suffix = "pts" if kind == "opencarp" else kind
    file = read_mesh(exported / f"mesh.{suffix}")
    mesh = place(file, "um" if kind == "opencarp" else "mm", "lps")
    np.testing.assert_allclose(mesh.points, patient.mesh.points, atol=1e-3)
    metrics = result_of(exported)["metrics"]
    assert metrics["nodes"] == patient.mesh.n_points
    assert 0 < metrics["scar_elements"] < metrics["elements"]
    source = Mesh(read_mesh(output / "mesh.vtu").dataset).point_array("scar_probability")
    if kind == "opencarp":
        np.testing.assert_allclose(np.loadtxt(exported / "mesh.scar_probability.dat"), source, atol=1e-6)
        tags = vtk_to_numpy(file.dataset.GetCellData().GetArray("tag"))
        assert set(tags.tolist()) == {1, 101}
        assert (tags == 101).sum() == metrics["scar_elements"]
    else:
        np.testing.assert_array_equal(mesh.point_array("scar_probability"), source)


def test_export_keeps_the_tags_of_healthy_elements(tmp_path, files, patient, done, quick):
    tags = np.arange(patient.mesh.n_cells) % 7 + 2
    write_mesh(tmp_path / "heart.pts", patient.mesh, "um", "lps", element_tags=tags)
    output = done("reconstruct", inputs=images(files, tmp_path / "heart.pts"), **INSTANT)
    exported = done("export", "exported", inputs={"mesh": output / "mesh.pts"})
    found = vtk_to_numpy(read_mesh(exported / "mesh.pts").dataset.GetCellData().GetArray("tag"))
    healthy = found < 100
    assert 0.3 < healthy.mean() < 1
    np.testing.assert_array_equal(found[healthy], tags[healthy])


def test_an_early_stop_keeps_the_best_and_can_be_resumed(tmp_path, files, start, result_of, quick, monkeypatch):
    from deeprecon.jobs.run import Run

    asked = []
    monkeypatch.setattr(Run, "should_stop", lambda run: bool(asked.append(1) or len(asked) > 12))
    code, output = start("reconstruct", inputs=images(files, files["mesh"]), method="field", steps=60)
    assert code == 0
    assert result_of(output)["provenance"]["stopped_early"] is True
    assert Mesh(read_mesh(output / "mesh.vtu").dataset).point_array("scar_probability").max() <= 1
    assert json.loads((output / ".job" / "job.json").read_text(encoding="utf-8"))["parameters"]["steps"] == 60
