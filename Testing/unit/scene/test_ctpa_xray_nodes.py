"""X-rays in the scene: loaded, previewed and written to a job as the computation reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer

from deeprecon.ctpa.parameters import ExportParameters, SynthesizeParameters, Turn, XrayView
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.radiograph import Radiograph, read_radiograph
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume
from deeprecon.scene.ctpa.job import CtpaNodes, write_export_job, write_folder_job, write_job
from deeprecon.scene.ctpa.result import load_folder
from deeprecon.scene.ctpa.sample import load_sample_xray
from deeprecon.scene.ctpa.xray import description, node_from_radiograph, open_xray, preview, radiograph_of, source_file
from deeprecon.scene.nodes.volumes import node_from_volume

from .ctpa_results import write_result

SETTINGS = SynthesizeParameters()


def image(rows: int = 90, columns: int = 70) -> np.ndarray:
    """Bright at the patient's head and left, to identify the orientation of the image."""
    return (np.linspace(1, 0, rows)[:, None] + 0.5 * np.linspace(0, 1, columns)[None, :]).astype(np.float32) / 1.5


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    import SimpleITK as sitk

    path = tmp_path / "Größe.png"
    sitk.WriteImage(sitk.GetImageFromArray(np.rint(60_000 * image()).astype(np.uint16)), str(path))
    return path


def test_an_opened_x_ray_stands_upright_in_the_coronal_view(scene: Any) -> None:
    node = node_from_radiograph(Radiograph(image(), (0.4, 0.5), "AP", "x"), "Patient X-ray")
    matrix = slicer.util.arrayFromVTKMatrix(_ijk_to_ras(node))
    array = slicer.util.arrayFromVolume(node)
    brightest = np.unravel_index(array.argmax(), array.shape)[::-1]
    place = matrix @ (*brightest, 1)
    np.testing.assert_allclose(place[:3], (-0.5 * 69 * 0.4, 0, 0.5 * 89 * 0.5), atol=1e-6)  # left and up
    found = radiograph_of(node)
    np.testing.assert_allclose(found.image, image(), atol=1e-6)
    assert (found.spacing, found.view) == ((0.4, 0.5), "AP")


def test_the_original_file_is_copied_into_the_job(scene: Any, picture: Path, tmp_path: Path) -> None:
    node = open_xray(picture)
    assert node.GetName() == "Größe"
    assert source_file(node) == picture
    assert write_job(tmp_path / "job", CtpaNodes(node), SETTINGS, "cpu", 5) == {"xray.png": "Größe"}
    job = json.loads((tmp_path / "job" / "job.json").read_text(encoding="utf-8"))
    assert job["inputs"] == {"xray": "inputs/xray.png"}
    assert (job["method"], job["verb"], job["device"], job["seed"]) == ("ctpa", "synthesize", "cpu", 5)
    assert sha256(tmp_path / "job" / "inputs" / "xray.png") == sha256(picture)


def test_unstated_values_stay_unknown_without_the_file(scene: Any, picture: Path, tmp_path: Path) -> None:
    node = open_xray(picture)
    before = radiograph_of(node)
    picture.unlink()
    assert source_file(node) is None
    write_job(tmp_path / "job", CtpaNodes(node), SETTINGS)
    after = read_radiograph(tmp_path / "job" / "inputs" / "xray.png")
    assert after.spacing is None
    np.testing.assert_allclose(after.image, before.image, atol=2e-5)


def test_view_and_pixel_size_are_written_with_the_voxels(scene: Any, tmp_path: Path) -> None:
    film = Radiograph(image(), (0.4, 0.5), "AP", "x", source_distance=1500.0)
    node = node_from_radiograph(film, "Patient X-ray")
    write_job(tmp_path / "job", CtpaNodes(node, tmp_path), SETTINGS)
    job = json.loads((tmp_path / "job" / "job.json").read_text(encoding="utf-8"))
    assert job["inputs"] == {"xray": "inputs/xray.nrrd", "bundle": str(tmp_path.resolve())}
    assert (job["parameters"]["view"], job["parameters"]["source_distance"]) == ("AP", 1500.0)
    found = read_radiograph(tmp_path / "job" / "inputs" / "xray.nrrd")
    assert found.spacing == pytest.approx((0.4, 0.5))
    np.testing.assert_allclose(found.image, image(), atol=1e-5)
    chosen = SynthesizeParameters(view=XrayView.PA, source_distance=1700.0)
    write_job(tmp_path / "other", CtpaNodes(node), chosen)
    job = json.loads((tmp_path / "other" / "job.json").read_text(encoding="utf-8"))
    assert (job["parameters"]["view"], job["parameters"]["source_distance"]) == ("PA", 1700.0)


def test_a_changed_x_ray_is_not_read_from_its_file(scene: Any, picture: Path) -> None:
    node = open_xray(picture)
    slicer.util.arrayFromVolume(node)[:] = image(90, 70)[::-1, None, ::-1]
    slicer.util.arrayFromVolumeModified(node)
    assert source_file(node) is None
    np.testing.assert_allclose(radiograph_of(node).image, image()[:, ::-1], atol=1e-5)


def test_a_volume_that_slicer_loaded_is_read_from_its_file_while_it_is_as_stored(scene: Any, tmp_path: Path) -> None:
    path = tmp_path / "film.nrrd"
    write_volume(path, Volume(image()[::-1, None, :], np.diag([-0.3, -1, 0.3, 1])))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "film")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    node.SetAndObserveStorageNodeID(storage.GetID())
    assert source_file(node) == path
    slicer.util.arrayFromVolumeModified(node)
    assert source_file(node) is None
    np.testing.assert_allclose(radiograph_of(node).image, image(), atol=1e-5)


def test_a_dicom_image_is_read_from_the_database(scene: Any, shared_data: Path, monkeypatch: Any) -> None:
    path = shared_data / "ctpa" / "nema_wg4_RG1_J2KI_chest_pa_monochrome1.dcm"

    class Database:
        def fileForInstance(self, uid: str) -> str:
            return str(path) if uid == "1.2.3" else ""

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    node = node_from_volume(Volume(image()[:, None, :], np.eye(4)), "as Slicer loads it: other bits, other brightness")
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    assert source_file(node) == path
    assert radiograph_of(node).view in ("PA", "AP", "")
    text = description(radiograph_of(node), SETTINGS)
    assert "1955" in text or "1841" in text


def test_other_volumes_are_refused_and_no_file_is_written(scene: Any, tmp_path: Path) -> None:
    ct = node_from_volume(Volume(np.zeros((4, 5, 6), np.int16), np.eye(4)), "Patient CT")
    for nodes, words in ((CtpaNodes(None), "Choose a chest X-ray"), (CtpaNodes(ct), "Patient CT is a volume of 6 x 5")):
        with pytest.raises(InputError, match=words):
            write_job(tmp_path / "job", nodes, SETTINGS)
    with pytest.raises(InputError, match="samples"):
        write_job(tmp_path / "job", CtpaNodes(load_sample_xray()), SynthesizeParameters(samples=99))
    with pytest.raises(InputError, match="no folder"):
        write_folder_job(tmp_path / "job", tmp_path / "missing", tmp_path, CtpaNodes(None), SETTINGS)
    assert not (tmp_path / "job").exists()


def test_the_preview_is_turned_as_the_computation_turns(scene: Any) -> None:
    radiograph = Radiograph(image(480, 300), None, "", "x")
    assert preview(radiograph, SETTINGS).shape == (120, 75)
    turned = preview(radiograph, SynthesizeParameters(turn=Turn.QUARTER))
    assert turned.shape == (75, 120)
    corners = [turned[rows, columns] for rows in (0, -1) for columns in (0, -1)]
    assert corners[3] == max(corners)  # the bright one, top right, goes clockwise to the bottom right
    assert corners[3] > corners[1] + 50
    swapped = preview(radiograph, SynthesizeParameters(flip=True, invert=True))
    assert swapped[0, 0] == swapped.min() < swapped[0, -1]


def test_the_sample_is_a_chest(scene: Any) -> None:
    radiograph = radiograph_of(load_sample_xray())
    assert radiograph.view == "PA"
    assert "PA view" in description(radiograph, SETTINGS)
    rows, columns = radiograph.image.shape
    lung = radiograph.image[rows // 3 : rows // 2, columns // 5 : columns // 3].mean()
    spine = radiograph.image[rows // 3 : rows // 2, int(0.47 * columns) : int(0.53 * columns)].mean()
    assert spine > lung + 0.1


def test_what_is_exported_is_what_the_scene_shows(scene: Any, tmp_path: Path) -> None:
    ct = load_folder(write_result(tmp_path / "result"))["ct"]
    slicer.util.arrayFromVolume(ct)[0, 0, 0] = 321
    write_export_job(tmp_path / "job", ct, tmp_path / "series", ExportParameters("ID 1"))
    job = json.loads((tmp_path / "job" / "job.json").read_text(encoding="utf-8"))
    assert (job["verb"], job["parameters"]["patient_id"]) == ("export", "ID 1")
    assert job["output"] == str(tmp_path / "series")
    folder = tmp_path / "job" / job["inputs"]["result"]
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["outputs"]["ct"]["sha256"] == sha256(folder / "ct.nii.gz")
    assert result["provenance"]["seed"] == 3
    written = read_volume(folder / "ct.nii.gz")
    np.testing.assert_array_equal(written.array, slicer.util.arrayFromVolume(ct))
    np.testing.assert_allclose(written.ijk_to_ras, slicer.util.arrayFromVTKMatrix(_ijk_to_ras(ct)), atol=1e-5)
    with pytest.raises(InputError, match="patient_id"):
        write_export_job(tmp_path / "job2", ct, tmp_path, ExportParameters(" "))


def _ijk_to_ras(node: Any) -> Any:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix
