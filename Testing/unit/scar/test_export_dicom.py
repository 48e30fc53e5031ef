"""Results as DICOM objects: what they refer to, and that others read the voxels and figures that the run found."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from deeprecon.data.doubts import DoubtError
from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.tables import read_table
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.job import Job
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.scar.exporting import export
from deeprecon.scar.parameters import ExportInputs, ExportParameters, MeshFormat
from deeprecon.worker import run_job

OBJECTS = ("segmentation", "probability", "report")
DICOM = ExportParameters(format=MeshFormat.DICOM)


def run_verb(verb, output, inputs, **settings):
    Job("scar", verb, inputs, settings, "..", "cpu", 1, "fp32", 0).save(output / ".job")
    assert run_job(output / ".job") == 0, (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
    return output


@pytest.fixture(scope="module")
def result(files, tmp_path_factory):
    """A result with a core of its own, from a DICOM series."""
    inputs = {
        "lge": [str(files["dicom"])],
        "myocardium": [str(files["segmentation"])],
        "mesh": str(files["mesh"]),
        "landmarks": str(files["landmarks"]),
    }
    settings = {"method": "interpolation", "threshold": "nsd:5", "core_threshold": "max:85", "alignment": "off"}
    return run_verb("reconstruct", tmp_path_factory.mktemp("dicom") / "result", inputs, **settings)


@pytest.fixture(scope="module")
def objects(result, files, tmp_path_factory):
    """Its DICOM objects, of the study of the images."""
    inputs = {"mesh": str(result / "mesh.vtu"), "source": str(files["dicom"])}
    return run_verb("export", tmp_path_factory.mktemp("dicom") / "objects", inputs, format="dicom")


def exported(folder, mesh, accepted=(), **inputs):
    folder.mkdir(exist_ok=True)
    run = Run(folder, folder, "cpu", 1, "fp32", 0, SilentReporter(), accepted=accepted)
    export(ExportInputs(mesh, **inputs), DICOM, run)
    return {name: pydicom.dcmread(folder / f"{name}.dcm") for name in OBJECTS}


def texts(report):
    return [element.value for element in report.iterall() if element.keyword == "TextValue"]


def drawn(result):
    """Masks of the segments that the objects have, by their names."""
    masks = {segment.name: segment.mask for segment in read_segmentation(result / "segmentation.seg.nrrd").segments}
    core, border = masks["Scar core"], masks["Scar border zone"]
    wall = core | border | masks["Healthy myocardium"]
    return {"Myocardium": wall, "Scar": core | border, "Scar core": core, "Scar border zone": border}


def test_the_objects_belong_to_the_study_of_the_images(objects, files):
    image = pydicom.dcmread(sorted(files["dicom"].iterdir())[0])
    found = [pydicom.dcmread(objects / f"{name}.dcm") for name in OBJECTS]
    for each in found:
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate"):
            assert each[keyword].value == image[keyword].value
        assert each.SeriesInstanceUID != image.SeriesInstanceUID
    assert len({each.SeriesInstanceUID for each in found}) == len({each.SOPInstanceUID for each in found}) == 3
    for each in found[:2]:
        assert each.FrameOfReferenceUID == image.FrameOfReferenceUID
        (series,) = each.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == image.SeriesInstanceUID
        assert len(series.ReferencedInstanceSequence) == len(list(files["dicom"].iterdir()))
    evidence = found[2].CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    own = {each.SeriesInstanceUID for each in found[:2]}
    assert {series.SeriesInstanceUID for series in evidence} == own | {image.SeriesInstanceUID}


def test_highdicom_reads_the_segments(objects, result):
    highdicom = pytest.importorskip("highdicom")
    read = highdicom.seg.segread(objects / "segmentation.dcm")
    volume = read.get_volume()
    grid = read_segmentation(result / "segmentation.seg.nrrd").ijk_to_ras
    to_index = np.linalg.inv(np.diag([-1, -1, 1, 1]) @ grid) @ volume.affine
    expected = drawn(result)
    labels = [read.get_segment_description(number).segment_label for number in read.segment_numbers]
    assert labels == list(expected)
    for place, label in enumerate(labels):
        kij = np.argwhere(volume.array[..., place])
        index = kij @ to_index[:3, :3].T + to_index[:3, 3]
        np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
        back = np.zeros_like(expected[label])
        back[tuple(np.rint(index).astype(int)[:, ::-1].T)] = True
        np.testing.assert_array_equal(back, expected[label])
    terms = [read.get_segment_description(number).segmented_property_type.value for number in read.segment_numbers]
    assert terms == ["74281007", "12402003", "12402003", "12402003"]


def test_highdicom_reads_the_map_of_the_probability(objects, result):
    highdicom = pytest.importorskip("highdicom")
    volume = highdicom.imread(objects / "probability.dcm").get_volume()
    expected = read_volume(result / "probability.nrrd")
    to_index = np.linalg.inv(np.diag([-1, -1, 1, 1]) @ expected.ijk_to_ras) @ volume.affine
    index = np.indices(volume.array.shape).reshape(3, -1).T @ to_index[:3, :3].T + to_index[:3, 3]
    np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
    values = np.asarray(expected.array)[tuple(np.rint(index).astype(int)[:, ::-1].T)]
    np.testing.assert_array_equal(volume.array.ravel(), np.where(np.isnan(values), np.float32(-1), values))


def test_highdicom_reads_the_measurements(objects, result):
    highdicom = pytest.importorskip("highdicom")
    report = highdicom.sr.srread(objects / "report.dcm").content
    regions = report.get_volumetric_roi_measurement_groups()
    table = {row["region"]: row for row in read_table(result / "table.csv")}
    for group, region in zip(regions, ("wall", "scar", "core", "border zone"), strict=True):
        values = {item.name.meaning: item.value for item in group.get_measurements()}
        assert values["Volume"] == float(table[region]["volume_ml"])
        assert values["Mass"] == float(table[region]["mass_g"])
        assert values["Upper end of the spread"] == float(table[region]["high_ml"])
    segments = report.get_image_measurement_groups()
    rows = read_table(result / "aha.csv")
    assert len(segments) == len(rows) == 17
    for group, row in zip(segments, rows, strict=True):
        assert group.finding_sites[0].value.meaning.split(" segment")[0].endswith(row["name"].split()[-1]) or (
            row["name"] == "apex"
        )
        values = {item.name.meaning: item.value for item in group.get_measurements()}
        assert values["Volume"] == float(row["scar_ml"])
        assert values["Share of the segment"] == float(row["scar_percent"])


@pytest.mark.parametrize("name", OBJECTS)
def test_dciodvfy_finds_no_error(name, objects):
    if (judge := shutil.which("dciodvfy")) is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    told = subprocess.run([judge, str(objects / f"{name}.dcm")], capture_output=True, text=True, check=False).stderr
    assert not [line for line in told.splitlines() if line.startswith("Error")]


def test_without_images_patient_and_study_are_made_up(result, tmp_path):
    found = exported(tmp_path / "first", result / "mesh.vtu")
    again = exported(tmp_path / "again", result / "mesh.vtu")
    for name, each in found.items():
        assert each.PatientID.startswith("UNKNOWN-")
        assert each.SOPInstanceUID == again[name].SOPInstanceUID
        assert "ReferencedSeriesSequence" not in each
    assert len({each.StudyInstanceUID for each in found.values()}) == 1
    assert found["segmentation"].FrameOfReferenceUID == found["probability"].FrameOfReferenceUID
    comments = texts(found["report"])
    assert "No image states the patient and the study and the frame of reference: made up." in comments
    assert "Research only, not for diagnosis." in comments


def test_images_that_the_run_did_not_read_are_a_question(result, files, tmp_path):
    shutil.copytree(files["dicom"], tmp_path / "other")
    for number, path in enumerate(sorted((tmp_path / "other").iterdir())):
        image = pydicom.dcmread(path)
        image.PatientID, image.SOPInstanceUID = "ANOTHER", f"2.25.{number + 1}"
        image.save_as(path)
    with pytest.raises(DoubtError) as asked:
        exported(tmp_path / "out", result / "mesh.vtu", source=tmp_path / "other")
    assert asked.value.codes == ("source-not-of-run",)
    found = exported(tmp_path / "out", result / "mesh.vtu", ("source-not-of-run",), source=tmp_path / "other")
    assert found["report"].PatientID == "ANOTHER"

    for path in (tmp_path / "other").iterdir():
        image = pydicom.dcmread(path)
        image.ImagePositionPatient = [value + 300 for value in image.ImagePositionPatient]
        image.save_as(path)
    with pytest.raises(InputError, match="of the wall lie outside of the images"):
        exported(tmp_path / "out", result / "mesh.vtu", ("source-not-of-run",), source=tmp_path / "other")


def test_images_without_study_and_frame_get_new_ones(result, files, tmp_path):
    shutil.copytree(files["dicom"], tmp_path / "bare")
    for path in (tmp_path / "bare").iterdir():
        image = pydicom.dcmread(path)
        del image.FrameOfReferenceUID, image.StudyInstanceUID
        image.save_as(path)
    found = exported(tmp_path / "out", result / "mesh.vtu", ("source-not-of-run",), source=tmp_path / "bare")
    assert len({each.StudyInstanceUID for each in found.values()}) == 1
    assert found["segmentation"].FrameOfReferenceUID
    assert found["segmentation"].PatientID == "PHANTOM"
    assert "No image states the frame of reference and the study: made up." in texts(found["report"])


def test_a_result_that_was_changed_is_refused(result, tmp_path):
    shutil.copytree(result, tmp_path / "changed")
    with open(tmp_path / "changed" / "segmentation.seg.nrrd", "ab") as file:
        file.write(b" ")
    with pytest.raises(InputError, match=r"segmentation\.seg\.nrrd is missing, or was changed"):
        exported(tmp_path / "out", tmp_path / "changed" / "mesh.vtu")
    content = json.loads((tmp_path / "changed" / "result.json").read_text(encoding="utf-8"))
    del content["outputs"]["probability"]
    (tmp_path / "changed" / "result.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="has no probability"):
        exported(tmp_path / "out", tmp_path / "changed" / "mesh.vtu")
    (tmp_path / "changed" / "result.json").unlink()
    with pytest.raises(InputError, match="is not the mesh of a result of scar reconstruct"):
        exported(tmp_path / "out", tmp_path / "changed" / "mesh.vtu")


def test_settings_of_other_formats_are_refused(result, files, tmp_path):
    assert ExportParameters(format=MeshFormat.DICOM, cutoff=0.6).validate() != []
    assert DICOM.validate() == []
    run = Run(tmp_path, tmp_path, "cpu", 1, "fp32", 0, SilentReporter())
    with pytest.raises(InputError, match="Only DICOM objects refer to images"):
        export(ExportInputs(result / "mesh.vtu", source=files["dicom"]), ExportParameters(), run)
    with pytest.raises(InputError, match="have no tags"):
        exported(tmp_path / "out", result / "mesh.vtu", segmentation=files["segmentation"])
