"""Phantoms of real heart surfaces, and the files of phantoms."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from vtkmodules.vtkFiltersCore import vtkTriangleFilter

from deeprecon.data.mesh.files import place, read_mesh
from deeprecon.data.mesh.mesh import Mesh, node_volumes, surface
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.volume_io import read_volume
from deeprecon.scar.measure.sizes import connected_pieces, mesh_edges
from deeprecon.scar.simulate import hearts as phantoms
from deeprecon.scar.simulate.hearts import Phantom, from_surface, sample_case, write_case
from deeprecon.scar.simulate.lesions import LESIONS
from deeprecon.scar.simulate.ventricle import Tissue, Ventricle

LOGIC = Path(phantoms.__file__).parents[3]


def quick(**settings: object) -> Phantom:
    """A coarse sample case that is made fast."""
    return sample_case(**{"pixel": 2.5, "node_spacing": 3.0} | settings)


@pytest.fixture(scope="module")
def folder(case: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("case") / "Fälle 心"
    write_case(case, folder, dicom=True)
    return folder


# Hearts from surfaces


def test_a_surface_gives_the_heart_it_bounds(case: Phantom) -> None:
    heart = Ventricle()
    triangles = vtkTriangleFilter()
    triangles.SetInputData(surface(case.mesh))
    triangles.Update()
    closed = Mesh(triangles.GetOutput(), "closed")
    inner = case.mesh.points[heart.wall_coordinates(case.mesh.points)[0] < 0.01]
    found = from_surface(closed, LESIONS["infarct"](heart), endocardium=inner, node_spacing=1.5, pixel=2.5)
    assert node_volumes(found.mesh).sum() == pytest.approx(node_volumes(case.mesh).sum(), rel=0.02)
    scarred = node_volumes(found.mesh)[found.truth].sum()
    assert scarred == pytest.approx(node_volumes(case.mesh)[case.truth].sum(), rel=0.05)
    base = found.stacks[0].ijk_to_ras[:3, 2] / 10
    assert np.dot(base, heart.axes[2]) > 0.99
    points = heart.to_ras(np.random.default_rng(9).uniform([-40, -40, -80], [40, 40, 15], (100_000, 3)))
    known = np.isin(heart.tissue(points), [Tissue.WALL, Tissue.LEFT_BLOOD])
    agree = found.tissue(points)[known] == heart.tissue(points)[known]
    assert agree.mean() > 0.97


def test_a_real_heart_surface(shared_data: Path) -> None:
    heart = place(read_mesh(shared_data / "scar" / "cobiveco_geo1" / "heart.vtp"), "mm", "ras")
    found = from_surface(heart, node_spacing=1.5, pixel=2.5)
    volumes = node_volumes(found.mesh) / 1000
    assert volumes.sum() == pytest.approx(144.8, rel=0.01)
    assert 5 < volumes[found.truth].sum() < 20
    assert (
        np.bincount(connected_pieces(mesh_edges(found.mesh), found.truth)[found.truth]).max() > 0.99 * found.truth.sum()
    )
    assert 8 <= len(found.stacks[0].wall) <= 11
    assert found.scans[0].fractions[Tissue.LEFT_BLOOD].max() == 1


# The files


def test_files_read_back_as_written(case: Phantom, folder: Path) -> None:
    stack = case.stacks[0]
    image = read_volume(folder / "lge.nrrd")
    assert np.array_equal(image.array, case.lge[0].array)
    assert image.slice_thickness == 8
    scar = case.scans[0].scar
    for name, expected in (("myocardium_fraction.nii.gz", stack.wall), ("scar_fraction.nii.gz", scar)):
        fraction = read_volume(folder / name)
        assert np.array_equal(fraction.array, expected)
        assert fraction.ijk_to_ras == pytest.approx(stack.ijk_to_ras, abs=1e-4)
    assert image.ijk_to_ras == pytest.approx(stack.ijk_to_ras, abs=1e-6)


def test_mesh_files_are_lps_and_hold_the_truth_only_in_truth(case: Phantom, folder: Path) -> None:
    plain = read_mesh(folder / "mesh.vtu")
    assert plain.frame == "lps"
    mesh, truth = place(plain, "mm", "lps"), place(read_mesh(folder / "truth.vtu"), "mm", "lps")
    assert mesh.points == pytest.approx(case.mesh.points)
    assert mesh.array_names == ()
    assert np.array_equal(truth.point_array("scar_truth") > 0.5, case.truth)


def test_segments_are_named_nested_and_healthy_where_remote(case: Phantom, folder: Path) -> None:
    found = read_segmentation(folder / "segmentation.seg.nrrd")
    masks = {segment.name: segment.mask for segment in found.segments}
    assert set(masks) == {
        "myocardium",
        "scar",
        "left ventricular blood pool",
        "right ventricular blood pool",
        "remote myocardium",
    }
    assert not (masks["scar"] & ~masks["myocardium"]).any()
    assert not (masks["remote myocardium"] & (~masks["myocardium"] | masks["scar"])).any()
    assert masks["remote myocardium"].sum() > 100
    assert case.lge[0].array[masks["remote myocardium"]].mean() < 100


def test_dicom_series_equals_the_nrrd(folder: Path) -> None:
    series, image = read_volume(folder / "dicom"), read_volume(folder / "lge.nrrd")
    assert np.array_equal(series.array, image.array)
    assert series.ijk_to_ras == pytest.approx(image.ijk_to_ras, abs=1e-5)
    header = pydicom.dcmread(folder / "dicom" / "slice_001.dcm")
    assert (header.SliceThickness, header.Modality) == (8, "MR")
    assert "SYNTHETIC" in str(header.PatientName)
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted((folder / "dicom").iterdir())]
    assert len({header.SOPInstanceUID for header in headers}) == len(headers)
    assert len({header.SeriesInstanceUID for header in headers}) == 1


def test_landmarks_are_slicer_markups(case: Phantom, folder: Path) -> None:
    markups = json.loads((folder / "landmarks.mrk.json").read_text(encoding="utf-8"))["markups"][0]
    assert markups["coordinateSystem"] == "LPS"
    apex = next(point for point in markups["controlPoints"] if point["label"] == "apex")
    assert np.array(apex["position"]) * [-1, -1, 1] == pytest.approx(case.landmarks["apex"])


def test_readme_states_that_all_is_synthetic_and_lists_every_file(folder: Path) -> None:
    text = (folder / "README.txt").read_text(encoding="utf-8")
    assert "synthetic" in text
    assert all(path.name in text for path in folder.iterdir() if path.name != "README.txt")
    assert not list(folder.rglob("*part-*"))


def test_the_same_case_gives_the_same_files(case: Phantom, folder: Path, tmp_path: Path) -> None:
    paths = write_case(dataclasses.replace(case), tmp_path / "again", dicom=True)
    files = [path for path in (tmp_path / "again").rglob("*") if path.is_file()]
    assert len(files) == len([path for path in folder.rglob("*") if path.is_file()])
    for path in files:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path / "again")).read_bytes(), path.name
    assert set(paths) >= {"lge", "segmentation", "mesh", "truth", "dicom"}


def test_long_axis_slices_have_files_of_their_own(tmp_path: Path) -> None:
    case = quick(seed=1, long_axis=3)
    paths = write_case(case, tmp_path, dicom=True)
    text = (tmp_path / "README.txt").read_text(encoding="utf-8")
    assert all(path.name in text for path in tmp_path.iterdir() if path.name != "README.txt")
    views = ("two", "four", "three")
    assert [text.count(f"{view}-chamber view") for view in views] == [1, 1, 1]
    for number, view in enumerate(views, 1):
        image, stack = read_volume(paths[f"lge_{view}_chamber"]), case.stacks[number]
        assert np.array_equal(image.array, case.lge[number].array)
        assert image.slice_thickness == 8
        assert image.ijk_to_ras == pytest.approx(stack.ijk_to_ras, abs=1e-5)
        series = read_volume(paths[f"dicom_{view}_chamber"])
        assert np.array_equal(series.array, image.array)
        assert series.ijk_to_ras == pytest.approx(stack.ijk_to_ras, abs=1e-4)
        assert np.array_equal(read_volume(paths[f"myocardium_{view}_chamber"]).array, stack.wall)
        names = read_segmentation(paths[f"segmentation_{view}_chamber"]).names
        assert {"myocardium", "left ventricular blood pool"} <= set(names)


def test_a_case_without_scar_has_no_empty_segment(tmp_path: Path) -> None:
    case = quick(lesion="none")
    write_case(case, tmp_path)
    assert "scar" not in read_segmentation(tmp_path / "segmentation.seg.nrrd").names


def test_the_phantom_loads_where_nothing_is_installed() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(LOGIC)!r}); import deeprecon.scar.simulate.hearts; "
        "print(sorted({'torch', 'nibabel', 'SimpleITK', 'scipy', 'slicer'} & {m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
