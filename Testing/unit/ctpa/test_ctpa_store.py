"""From pairs in files to a store and back: geometry, HU, split, what is refused, and going on after an end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest

from deeprecon.ctpa.grid import AIR, PRESETS, Grid
from deeprecon.ctpa.observe.alignment import find_shift
from deeprecon.ctpa.observe.film import XrayImage, film_on_detector, standardize
from deeprecon.ctpa.observe.projection import Beam, Geometry, View, expose, line_integrals
from deeprecon.ctpa.read.manifest import read_manifest, split_patients
from deeprecon.ctpa.simulate.chests import Label, draw_grid, make_anatomy
from deeprecon.ctpa.simulate.files import write_xray
from deeprecon.ctpa.training import preparation as prepare_module
from deeprecon.ctpa.training.store import CUBE, Case, Store, write_cubes
from deeprecon.data.dicom.objects.ct import write_ct_series
from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.tables import read_table, write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job
from deeprecon.jobs.process import child_environment
from deeprecon.worker import run_job

GRID = Grid((76, 64, 64))
"""In place of the preview's grid, a 64th of its voxels."""

KILLED = """
import os, sys
from pathlib import Path
from deeprecon.ctpa.training import preparation as prepare
from deeprecon.ctpa.grid import PRESETS, Grid
from deeprecon.worker import run_job

PRESETS["preview"] = Grid((76, 64, 64))
write, done = prepare.write_case, []

def killed(folder, *rest):
    write(folder, *rest)
    done.append(folder)
    if len(done) == 4:
        os._exit(9)  # at once, with the fourth case half done

prepare.write_case = killed
run_job(Path(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def small_preview(monkeypatch):
    monkeypatch.setitem(PRESETS, "preview", GRID)


@pytest.fixture(scope="module")
def chest():
    """HU and labels of a chest with its middle at (12, -30, 140) mm."""
    hu, labels = draw_grid(make_anatomy(4), GRID)
    affine = GRID.affine((12.0, -30.0, 140.0))
    return Volume(hu, affine), Volume(labels, affine)


@pytest.fixture(scope="module")
def files(chest, tmp_path_factory):
    """CTs of six patients (one chest with another HU in a corner each), labels and an X-ray; nobody writes there."""
    folder = tmp_path_factory.mktemp("pairs")
    ct, labels = chest
    for number in range(6):
        array = ct.array.copy()
        array[0, 0, 0] = -900 + number
        write_volume(folder / f"ct{number}.nii.gz", Volume(array, ct.ijk_to_ras))
    write_volume(folder / "labels.nii.gz", labels)
    exposed = expose(line_integrals(ct.array, GRID, Geometry()), np.random.default_rng(0))
    write_xray(folder / "xray.nii.gz", exposed, GRID, Geometry())
    return folder


def manifest(folder, files, rows):
    path = folder / "manifest.csv"
    paths = ("ct", "xray", "labels")
    write_table(path, [{key: files / value if key in paths else value for key, value in row.items()} for row in rows])
    return path


def lateral(path):
    """A digital radiograph from the side."""
    file = pydicom.Dataset()
    file.SOPClassUID, file.SOPInstanceUID = pydicom.uid.DigitalXRayImageStorageForPresentation, "2.25.1"
    file.Modality, file.ViewPosition, file.PhotometricInterpretation = "DX", "LL", "MONOCHROME2"
    file.Rows, file.Columns, file.SamplesPerPixel, file.PixelRepresentation = 80, 70, 1, 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 16, 15
    file.PixelData = np.arange(80 * 70, dtype="<u2").tobytes()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def six(tmp_path_factory, files):
    """Six CTs; the first has an X-ray and labels, the last two are of one patient."""
    rows = [{"patient": f"p{min(number, 4)}", "ct": f"ct{number}.nii.gz"} for number in range(6)]
    rows[0] |= {"xray": "xray.nii.gz", "labels": "labels.nii.gz", "view": "PA"}
    return manifest(tmp_path_factory.mktemp("six"), files, rows)


@pytest.fixture(scope="module")
def prepared(six, tmp_path_factory):
    """The output of `ctpa prepare`; nobody writes there."""
    output = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "preview", GRID)
        job = Job("ctpa", "prepare", {"manifest": str(six)}, {"validation": 0.2, "test": 0.2}, "..", "cpu", 1, "fp32")
        job.save(output / ".job")
        assert run_job(output / ".job") == 0
    return output


def test_a_prepared_ct_has_its_hu_place_and_labels(prepared, chest):
    store = Store.open(prepared)
    case = store.cases()[0]
    expected = chest[0].array.copy()
    expected[0, 0, 0] = -900
    np.testing.assert_array_equal(case.volume(), expected)
    np.testing.assert_array_equal(case.labels(), chest[1].array)
    np.testing.assert_allclose(case.affine, chest[0].ijk_to_ras, atol=1e-6)
    assert store.grid == GRID
    assert store.cases()[1].labels() is None
    assert store.latents is None
    with pytest.raises(InputError, match="--bundle"):
        case.latent()


def test_a_patch_is_that_part_of_the_volume_and_the_file_is_mapped_not_read(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    volume = rng.integers(-1000, 1000, (150, 70, 129), dtype=np.int16)
    write_cubes(tmp_path / "ct.npy", volume, AIR)
    stored = np.load(tmp_path / "ct.npy", mmap_mode="r")
    assert stored.shape == (3, 2, 3, CUBE, CUBE, CUBE)
    assert stored[2, 1, 2, -1, -1, -1] == AIR  # beyond the volume there is air, not water
    case = Case(tmp_path, "", "", "train", Grid(volume.shape), Geometry(), np.eye(4), True, ())
    load = np.load
    modes = []
    monkeypatch.setattr(np, "load", lambda path, mmap_mode=None: (modes.append(mmap_mode), load(path, mmap_mode))[1])
    for _ in range(20):
        first = [int(rng.integers(0, count - 1)) for count in volume.shape]
        last = [int(rng.integers(start + 1, count + 1)) for start, count in zip(first, volume.shape, strict=True)]
        where = tuple(slice(start, stop) for start, stop in zip(first, last, strict=True))
        np.testing.assert_array_equal(case.patch(where), volume[where])
    assert modes == ["r"] * 20
    with pytest.raises(ValueError, match="does not lie in"):
        case.patch((slice(100, 164), slice(0, 64), slice(0, 64)))


def test_every_slice_is_kept_though_the_last_cube_is_not_full(prepared):
    """The published script leaves the last slices of a volume empty, since they fill no patch."""
    volume = Store.open(prepared).cases()[0].volume()
    assert len(volume) % CUBE
    assert (volume > -500).any(axis=(1, 2)).all()  # the body goes through every slice


def test_a_given_xray_is_kept_and_a_missing_one_projected_with_a_note(prepared, files, warnings_of):
    first, second = Store.open(prepared).cases()[:2]
    expected = film_on_detector(read_radiograph(files / "xray.nii.gz"), Geometry(), GRID).image
    np.testing.assert_allclose(first.xray(), expected, atol=1e-3)
    assert not first.projected
    assert second.projected
    assert "projection of the CT" in second.notes[0]
    assert np.corrcoef(first.xray().ravel(), second.xray().ravel())[0, 1] > 0.98
    assert not np.array_equal(first.xray(), second.xray())  # noise and gain of its own
    assert any("5 of 6 X-rays are projections" in text for text in warnings_of(prepared))
    rows = read_table(prepared / "cases.csv")
    assert [row["projected"] for row in rows] == ["False", *["True"] * 5]


def test_the_view_decides_the_geometry(done, tmp_path, files):
    path = manifest(tmp_path, files, [{"patient": "a", "ct": "ct0.nii.gz", "view": "ap"}])
    case = Store.open(done("prepare", inputs={"manifest": path}, validation=0.0, test=0.0)).cases()[0]
    assert case.geometry == Geometry(Beam.CONE, View.AP, 1000.0)


def test_an_xray_is_moved_to_where_it_fits_the_ct(chest):
    projection = line_integrals(chest[0].array, GRID, Geometry())
    moved = np.roll(standardize(projection), (-7, 3), axis=(0, 1))  # down by 7 pixels, to the left by 3
    covered = np.ones_like(moved, bool)
    (up, left), fit = find_shift(XrayImage(moved, covered, ()), projection, GRID, Geometry())
    pixel = np.array([365 / 76, 358 / 64]) * Geometry().at_middle()
    assert (up, left) == pytest.approx((7 * pixel[0], -3 * pixel[1]), abs=0.01)
    assert fit > 0.97


def test_xrays_of_parallel_rays_are_prepared_as_such(done, tmp_path, files, chest):
    path = manifest(tmp_path, files, [{"patient": "a", "ct": "ct0.nii.gz"}])
    cases = [
        Store.open(done("prepare", name, inputs={"manifest": path}, validation=0.0, test=0.0, beam=name)).cases()[0]
        for name in ("cone", "parallel")
    ]
    for case, beam in zip(cases, (Beam.CONE, Beam.PARALLEL), strict=True):
        assert case.geometry == Geometry(beam)
        lines = line_integrals(chest[0].array, GRID, Geometry(beam))
        assert np.corrcoef(case.xray().ravel(), lines.ravel())[0, 1] > 0.95
    assert not np.allclose(cases[0].xray(), cases[1].xray(), atol=0.1)


def test_a_shifted_film_is_moved_back_with_a_note(done, tmp_path, files, chest):
    integrals = line_integrals(chest[0].array, GRID, Geometry())
    write_xray(tmp_path / "x.nii.gz", np.roll(integrals, 4, axis=0), GRID, Geometry())
    path = tmp_path / "manifest.csv"
    write_table(path, [{"patient": "a", "ct": files / "ct0.nii.gz", "xray": "x.nii.gz"}])
    case = Store.open(done("prepare", inputs={"manifest": path}, validation=0.0, test=0.0)).cases()[0]
    assert np.corrcoef(case.xray()[10:-10].ravel(), standardize(integrals)[10:-10].ravel())[0, 1] > 0.99
    assert any("moved -22 mm towards the head and 0 mm" in note for note in case.notes)


def test_all_scans_of_a_patient_are_in_one_split(prepared):
    store = Store.open(prepared)
    splits = {case.name: case.split for case in store.cases()}
    assert splits["case_00005"] == splits["case_00006"]
    assert {case.patient for case in store.cases("test")}.isdisjoint(case.patient for case in store.cases("train"))
    assert all(store.cases(split) for split in ("train", "validation", "test"))


def test_the_split_follows_from_names_and_seed_not_from_the_order_of_folders():
    names = [f"patient {number}" for number in range(50)]
    split = split_patients(names, 0.1, 0.2, 0)
    assert split == split_patients(names[::-1] * 2, 0.1, 0.2, 0)
    assert sorted(split.values()).count("test") == 10
    assert sorted(split.values()).count("validation") == 5
    tested = [name for name in names if split[name] == "test"]
    assert tested != names[:10]
    assert tested != names[-10:]
    assert split != split_patients(names, 0.1, 0.2, 1)
    assert set(split_patients(names[:3], 0.1, 0.1, 0).values()) == {"train", "validation", "test"}
    assert split_patients(names[:3], 0.0, 0.0, 0) == dict.fromkeys(names[:3], "train")


def test_bad_pairs_are_left_out_with_their_reason(done, tmp_path, files, chest):
    ct = chest[0]
    write_volume(tmp_path / "scaled.nii.gz", Volume((ct.array / 1000).astype(np.float32), ct.ijk_to_ras))
    write_volume(tmp_path / "crop.nii.gz", Volume(ct.array[:25], ct.ijk_to_ras))
    (tmp_path / "broken.nii.gz").write_bytes(b"no gzip")
    shutil.copy(files / "ct1.nii.gz", tmp_path / "again.nii.gz")
    holes = ct.array.astype(np.float32)
    holes[3, 4, 5] = np.nan
    write_volume(tmp_path / "holes.nii.gz", Volume(holes, ct.ijk_to_ras))
    write_volume(tmp_path / "flat.nii.gz", Volume(np.full_like(ct.array, 7), ct.ijk_to_ras))
    lateral(tmp_path / "lateral.dcm")
    slice_of_ct = write_ct_series(tmp_path / "series", ct, {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]})[5]
    rows = [
        {"patient": "a", "ct": files / "ct1.nii.gz", "xray": "", "view": ""},
        {"patient": "b", "ct": "scaled.nii.gz", "xray": "", "view": ""},
        {"patient": "c", "ct": "crop.nii.gz", "xray": "", "view": ""},
        {"patient": "d", "ct": "broken.nii.gz", "xray": "", "view": ""},
        {"patient": "e", "ct": "missing.nii.gz", "xray": "", "view": ""},
        {"patient": "f", "ct": "again.nii.gz", "xray": "", "view": ""},
        {"patient": "g", "ct": files / "ct2.nii.gz", "xray": "", "view": "LL"},
        {"patient": "h", "ct": files / "ct3.nii.gz", "xray": files / "ct3.nii.gz", "view": ""},
        {"patient": "i", "ct": "holes.nii.gz", "xray": "", "view": ""},
        {"patient": "j", "ct": "flat.nii.gz", "xray": "", "view": ""},
        {"patient": "k", "ct": files / "ct4.nii.gz", "xray": "lateral.dcm", "view": ""},
        {"patient": "l", "ct": files / "ct5.nii.gz", "xray": slice_of_ct, "view": ""},
    ]
    write_table(tmp_path / "manifest.csv", rows)
    output = done("prepare", inputs={"manifest": tmp_path / "manifest.csv"}, validation=0.0, test=0.0)
    reasons = {row["patient"]: row["reason"] for row in read_table(output / "refused.csv")}
    assert "not the HU of a CT" in reasons["b"]
    assert "it is a crop" in reasons["c"]
    assert "damaged" in reasons["d"]
    assert "There is no ct" in reasons["e"]
    assert "the same CT as that of row 1" in reasons["f"]
    assert "--view: 'LL' is not one of auto, PA, AP" in reasons["g"]
    assert "voxels, not an X-ray" in reasons["h"]
    assert "not finite numbers (NaN)" in reasons["i"]
    assert "from 7 to 7, not the HU" in reasons["j"]  # not filled with a middle gray
    assert "not a frontal view by its ViewPosition LL" in reasons["k"]
    assert "of modality CT, not a radiograph" in reasons["l"]
    assert [case.patient for case in Store.open(output).cases()] == ["a"]
    assert json.loads((output / "store.json").read_text())["refused"][0]["row"] == 2


def test_a_store_of_nothing_is_not_written(error_of, tmp_path):
    write_table(tmp_path / "manifest.csv", [{"patient": "e", "ct": "missing.nii.gz"}])
    message = error_of("prepare", inputs={"manifest": tmp_path / "manifest.csv"})
    assert "None of the 1 pairs" in message
    assert "missing.nii.gz" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("patient,image\na,b\n", "no column ct"),
        ("ct\nb.nii\n", "no column patient"),
        ("patient,ct\n", "lists no pair"),
        ("patient,ct\n,b.nii\n", "row 1: patient is empty"),
        ("patient,ct\na,b.nii\nNaN,c.nii\n", "row 2: patient is NaN"),
        ("patient,ct,xray\na,b.nii,nan\n", "xray is nan, not a value. Leave it empty"),
        ("patient,ct\na,b,c\n", "3 values for 2 columns"),
        ("", "is empty"),
    ],
)
def test_broken_manifests_are_refused(content, words, error_of, tmp_path):
    (tmp_path / "manifest.csv").write_text(content)
    assert words in error_of("prepare", inputs={"manifest": tmp_path / "manifest.csv"})


def test_a_manifest_may_be_json(tmp_path):
    rows = [{"patient": "a", "ct": "a.nii.gz", "view": "ap"}, {"patient": "b", "ct": "b", "xray": "b.png", "age": 7}]
    write_json(tmp_path / "m.json", rows)
    first, second = read_manifest(tmp_path / "m.json")
    assert (first.film, first.xray, first.ct) == ({"view": "AP"}, None, tmp_path / "a.nii.gz")
    assert second.xray == tmp_path / "b.png"
    for content, words in (("{", "not valid JSON"), ("{}", "not a list"), ('[{"patient": 3, "ct": "a"}]', "is 3")):
        (tmp_path / "m.json").write_text(content)
        with pytest.raises(InputError, match=words):
            read_manifest(tmp_path / "m.json")


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path, six, monkeypatch):
    job = tmp_path / "out" / ".job"
    Job("ctpa", "prepare", {"manifest": str(six)}, {}, "..", "cpu", 1, "fp32").save(job)
    command = [sys.executable, "-c", KILLED, str(job)]
    assert subprocess.run(command, env=child_environment(), capture_output=True).returncode == 9
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".job"]
    again, wrote = [], prepare_module.write_case
    monkeypatch.setattr(prepare_module, "write_case", lambda folder, *rest: (again.append(1), wrote(folder, *rest)))
    assert run_job(job) == 0
    assert len(again) == 3
    store = Store.open(tmp_path / "out")
    assert len(store.cases()) == 6
    assert sorted(path.name for path in (tmp_path / "out" / "cases").iterdir()) == [
        f"case_{n:05d}" for n in range(1, 7)
    ]
    assert not (job / "checkpoint").exists()


def test_a_changed_source_is_prepared_again_on_resuming(tmp_path, files, monkeypatch, chest):
    path = tmp_path / "manifest.csv"
    shutil.copy(files / "ct1.nii.gz", tmp_path / "ct.nii.gz")
    write_table(path, [{"patient": "a", "ct": "ct.nii.gz"}])
    job = tmp_path / "out" / ".job"
    Job("ctpa", "prepare", {"manifest": str(path)}, {"validation": 0.0, "test": 0.0}, "..", "cpu", 1, "fp32").save(job)
    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, "_write_store", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run_job(job) != 0
    shutil.copy(files / "ct2.nii.gz", tmp_path / "ct.nii.gz")
    assert run_job(job) == 0
    assert Store.open(tmp_path / "out").cases()[0].volume()[0, 0, 0] == -898


def test_a_store_of_another_format_damaged_or_incomplete_is_refused(prepared, tmp_path):
    output = tmp_path / "copy"
    shutil.copytree(prepared, output)
    card = json.loads((output / "store.json").read_text())
    assert len(Store.open(output / "store.json").cases()) == 6
    with pytest.raises(InputError, match="no prepared store"):
        Store.open(tmp_path / "nothing")
    for change, words in (
        ({"format": 0}, "of format 0, expected 1"),
        ({"shape": "x"}, "damaged"),
        ({"hu_range": [0, 255]}, "damaged"),
        ({"cases": [{**card["cases"][0], "name": "../../elsewhere"}]}, "damaged"),
    ):
        write_json(output / "store.json", card | change)
        with pytest.raises(InputError, match=words):
            Store.open(output)
    write_json(output / "store.json", card)
    whole = (output / "cases" / "case_00002" / "ct.npy").read_bytes()
    (output / "cases" / "case_00002" / "ct.npy").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut off"):
        Store.open(output)
    (output / "cases" / "case_00002" / "ct.npy").unlink()
    with pytest.raises(InputError, match="lacks"):
        Store.open(output)


def test_a_scan_in_any_axis_order_and_spacing_comes_onto_the_grid(done, tmp_path, chest):
    """Spacing and orientation are the file's: nothing is taken as 1 mm, and nothing is flipped by rule."""
    ct = chest[0]
    coarse = Volume(ct.array[::2, ::2, ::2], ct.ijk_to_ras @ np.diag([2.0, 2.0, 2.0, 1.0]))
    turned = coarse.ijk_to_ras.copy()
    turned[:3, 2] *= -1  # slices stored from head to foot
    turned[:3, 3] = coarse.to_ras((0, 0, coarse.n[2] - 1))
    write_volume(tmp_path / "a.nrrd", coarse)
    write_volume(tmp_path / "b.nrrd", Volume(np.ascontiguousarray(coarse.array[::-1]), turned))
    write_table(tmp_path / "manifest.csv", [{"patient": name, "ct": f"{name}.nrrd"} for name in "ab"])
    store = Store.open(done("prepare", inputs={"manifest": tmp_path / "manifest.csv"}, validation=0.0, test=0.0))
    first, second = store.cases()
    assert np.abs(first.volume().astype(int) - second.volume()).max() <= 1
    inner = (slice(5, -5),) * 3
    assert np.corrcoef(first.volume()[inner].ravel(), ct.array[inner].ravel())[0, 1] > 0.9
    np.testing.assert_allclose(first.affine, second.affine, atol=1e-4)
    middle = first.affine @ [31.5, 31.5, 37.5, 1]
    lungs = np.argwhere(chest[1].array == Label.LUNG)[:, ::-1] @ ct.ijk_to_ras[:3, :3].T + ct.ijk_to_ras[:3, 3]
    assert middle[:3] == pytest.approx(0.5 * (lungs.min(axis=0) + lungs.max(axis=0)), abs=5.7)  # half a coarse voxel


def test_a_dicom_series_goes_in_by_its_folder_or_by_one_of_its_files(done, tmp_path, chest):
    kind = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}
    write_ct_series(tmp_path / "a", chest[0], kind)
    other = Volume(chest[0].array[:, ::-1].copy(), chest[0].ijk_to_ras)
    one = write_ct_series(tmp_path / "b", other, kind)[7]
    rows = [{"patient": "a", "ct": "a"}, {"patient": "b", "ct": one}]
    write_table(tmp_path / "manifest.csv", rows)
    store = Store.open(done("prepare", inputs={"manifest": tmp_path / "manifest.csv"}, validation=0.0, test=0.0))
    for case, expected in zip(store.cases(), (chest[0], other), strict=True):
        np.testing.assert_array_equal(case.volume(), expected.array)
        np.testing.assert_allclose(case.affine, expected.ijk_to_ras, atol=1e-6)
