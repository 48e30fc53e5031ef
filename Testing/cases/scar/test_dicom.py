"""DICOM folders as scanners, archives and viewers write them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid
from unit.data.dicom_files import SERIES, new_file, write_slice

from deeprecon.data.mesh.mesh import Inside
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume

from .files import THICKNESS, codes, heart, run, scan, write_heart

STORAGE = "1.2.840.10008.5.1.4.1.1."
TO_LPS = np.diag([-1.0, -1.0, 1.0])


def write_stack(folder: Path, array: np.ndarray, ijk_to_ras: np.ndarray, thickness: float, **extra: Any) -> Path:
    """A series of single slices."""
    folder.mkdir()
    axes, spacing = TO_LPS @ ijk_to_ras[:3, :3], np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    for k, pixels in enumerate(array):
        place = TO_LPS @ (ijk_to_ras @ [0, 0, k, 1])[:3]
        further = {name: value(k) if callable(value) else value for name, value in extra.items()}
        write_slice(folder / f"IM{k:03d}", pixels, place, axes / spacing, spacing[:2], thickness, **further)
    return folder


def write_lge(folder: Path, **extra: Any) -> Path:
    """The phantom's short-axis slices."""
    return write_stack(folder, scan().lge.astype(np.int16), scan().ijk_to_ras, THICKNESS, **extra)


def prepared(folder: Path, lge: Path, *options: str) -> tuple[int, dict[str, Any]]:
    wall = scan().write_segments(folder / "wall.seg.nrrd", Myocardium=scan().wall)
    files = {"lge": lge, "myocardium": wall, "mesh": write_heart(folder / "mesh.vtu")}
    return run("prepare", folder / "out", "--threshold", "fwhm", "--alignment", "off", *options, **files)


def slices(folder: Path) -> list[dict[str, str]]:
    with open(folder / "out" / "slices.csv", encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The slices of a folder that holds nothing but the images."""
    folder = tmp_path_factory.mktemp("expected")
    code, result = prepared(folder, write_lge(folder / "lge"))
    assert (code, codes(result)) == (0, [])
    return slices(folder)


@cache
def image_in_3d() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """LGE image and wall of a 3D sequence whose slices lie closer than its pixels, and where they lie."""
    axes = scan().ijk_to_ras[:3, :3] / np.linalg.norm(scan().ijk_to_ras[:3, :3], axis=0)
    along = heart().mesh.points @ axes
    step, low = np.array([3.125, 3.125, 2.5]), along.min(axis=0) - 6
    i, j, k = np.ceil((along.max(axis=0) + 6 - low) / step).astype(int)
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3], ijk_to_ras[:3, 3] = axes * step, axes @ low
    places = np.moveaxis(np.indices((k, j, i))[::-1], 0, -1) @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]
    wall = Inside(heart().mesh)(places.reshape(-1, 3)).reshape(k, j, i)
    center = heart().mesh.points[along[:, 0].argmax()]
    scar = wall & (np.linalg.norm(places - center, axis=-1) < 18)
    noise = np.random.default_rng(0).normal(0, 15, wall.shape)
    return np.where(scar, 330, np.where(wall, 60, 120)) + noise, wall, ijk_to_ras


@pytest.mark.parametrize("kind", ["dicom", "nrrd"])
def test_slices_of_a_3d_sequence_may_lie_closer_than_pixels(tmp_path: Path, kind: str) -> None:
    image, wall, ijk_to_ras = image_in_3d()
    if kind == "dicom":
        lge = write_stack(tmp_path / "lge", image.astype(np.int16), ijk_to_ras, 5.0)
    else:
        lge = tmp_path / "lge.nrrd"
        write_volume(lge, Volume(image.astype(np.int16), ijk_to_ras, slice_thickness=5.0))
    write_volume(tmp_path / "wall.nrrd", Volume(wall, ijk_to_ras))
    files = {"lge": lge, "myocardium": tmp_path / "wall.nrrd", "mesh": write_heart(tmp_path / "mesh.vtu")}
    code, result = run("prepare", tmp_path / "out", "--threshold", "fwhm", **files)
    assert (code, codes(result)) == (0, [])
    rows = slices(tmp_path)
    assert len(rows) == wall.any(axis=(1, 2)).sum()
    normal = ijk_to_ras[:3, 2] / 2.5
    for row in rows:
        assert abs(sum(float(row[f"normal {axis}"]) * part for axis, part in zip("RAS", normal, strict=True))) > 0.9999
        assert (float(row["thickness mm"]), float(row["shift mm"])) == (5.0, pytest.approx(0, abs=1.5))


def neighbor(name: str, storage: str, modality: str = "OT", **extra: Any) -> Callable[[Path], None]:
    """A file that is no slice."""

    def write(folder: Path) -> None:
        data = new_file(folder / name, pydicom.uid.UID(storage))
        data.Modality, data.SeriesInstanceUID = modality, "2.25.5"
        for keyword, value in extra.items():
            setattr(data, keyword, value)
        data.save_as(folder / name)

    return write


def picture(frames: int = 1, **extra: Any) -> dict[str, Any]:
    size = {"Rows": 16, "Columns": 16, "SamplesPerPixel": 1, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    more = {"PixelRepresentation": 0, "PhotometricInterpretation": "MONOCHROME2", "PixelData": bytes(256 * frames)}
    return size | more | ({"NumberOfFrames": frames} if frames > 1 else {}) | extra


NEIGHBORS = {
    "RT structure set": neighbor("RS.dcm", STORAGE + "481.3", "RTSTRUCT"),
    "structured report": neighbor("SR1", STORAGE + "88.33", "SR"),
    "presentation state": neighbor("PR1", STORAGE + "11.1", "PR"),
    "key object selection": neighbor("KO1", STORAGE + "88.59", "KO"),
    "PDF document": neighbor("DOC", STORAGE + "104.1", "DOC"),
    "DICOM segmentation": neighbor("SEG.dcm", STORAGE + "66.4", "SEG", **picture(3)),
    "DICOM directory": neighbor("dicomdir", "1.2.840.10008.1.3.10"),
    "screenshot": neighbor("SC1", STORAGE + "7", **picture()),
    "multi-frame file of screenshots": neighbor("SC2", STORAGE + "7.2", **picture(3)),
    "multi-frame file of a kind that is not read (Ultrasound Multi-frame Image Storage)": neighbor(
        "US", STORAGE + "3.1", "US", **picture(3)
    ),
}


@pytest.mark.parametrize("kind", NEIGHBORS)
def test_files_that_are_no_slices_are_passed_over_and_named(
    tmp_path: Path, expected: list[dict[str, str]], kind: str
) -> None:
    folder = write_lge(tmp_path / "lge")
    NEIGHBORS[kind](folder)
    code, result = prepared(tmp_path, folder)
    assert (code, codes(result)) == (0, ["dicom-passed-over"])
    assert f"{kind} (" in result["doubts"][0]["text"]
    assert slices(tmp_path) == expected


def test_a_screenshot_with_a_place_is_passed_over(tmp_path: Path, expected: list[dict[str, str]]) -> None:
    folder = write_lge(tmp_path / "lge")
    data = pydicom.dcmread(folder / "IM003")
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = STORAGE + "7"
    data.SeriesInstanceUID = "2.25.6"
    data.save_as(folder / "SC")
    code, result = prepared(tmp_path, folder)
    assert (code, codes(result)) == (0, ["dicom-passed-over"])
    assert slices(tmp_path) == expected


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("DICOM segmentation", "does not describe each of its frames, so this DICOM segmentation cannot be read here."),
        ("RT structure set", "has no closed contours, so this RT structure set cannot be read here."),
    ],
)
@pytest.mark.parametrize("given", ["file", "folder"])
def test_contours_in_dicom_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, words: str, given: str
) -> None:
    (tmp_path / "drawn").mkdir()
    NEIGHBORS[kind](tmp_path / "drawn")
    path = tmp_path / "drawn" if given == "folder" else next((tmp_path / "drawn").iterdir())
    files = {"lge": write_lge(tmp_path / "lge"), "myocardium": path, "mesh": write_heart(tmp_path / "mesh.vtu")}
    assert run("prepare", tmp_path / "out", "--threshold", "fwhm", **files)[0] == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "cut off" not in told
    if given == "file":
        assert f"{path} {words}" in told
    else:
        assert f"{kind} ({next(path.iterdir()).name})" in told
    assert "save the segmentation as .seg.nrrd" in told


def test_files_without_preamble_are_read(tmp_path: Path, expected: list[dict[str, str]]) -> None:
    folder = write_lge(tmp_path / "lge")
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[132:])
    NEIGHBORS["RT structure set"](folder)
    (folder / "RS.dcm").write_bytes((folder / "RS.dcm").read_bytes()[132:])
    code, result = prepared(tmp_path, folder)
    assert (code, codes(result)) == (0, ["dicom-passed-over"])
    assert slices(tmp_path) == expected


def test_a_missing_place_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_lge(tmp_path / "lge")
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        del data.ImagePositionPatient
        data.save_as(path)
    assert prepared(tmp_path, folder)[0] == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "holds no DICOM image with a place in the patient: image without ImagePositionPatient (IM000, IM001" in told
    assert prepared(tmp_path, folder / "IM002")[0] == 2
    assert "IM002 is an image without ImagePositionPatient" in " ".join(capsys.readouterr().err.split())


def test_files_that_are_not_dicom_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lge").mkdir()
    (tmp_path / "lge" / "notes").write_text("hello")
    assert prepared(tmp_path, tmp_path / "lge")[0] == 2
    assert "holds no DICOM image; its files lack the mark DICM (notes)" in " ".join(capsys.readouterr().err.split())


def own_series(k: int) -> str:
    return str(generate_uid(entropy_srcs=["own", str(k)]))


def stated(**changed: Any) -> dict[str, Any]:
    """Entries of a stack whose slices are a series each, acquired every 20 s."""
    names = {"description": lambda k: f"LGE SAX {k + 1}", "ProtocolName": "psir", "StudyDate": "20260101"}
    return names | {"series": own_series, "AcquisitionTime": lambda k: f"10{k // 3:02d}{k % 3 * 20:02d}"} | changed


@pytest.mark.parametrize("entries", [{"series": own_series}, stated()], ids=["bare", "stated"])
def test_a_series_for_each_slice_is_a_stack(
    tmp_path: Path, expected: list[dict[str, str]], entries: dict[str, Any]
) -> None:
    code, result = prepared(tmp_path, write_lge(tmp_path / "lge", **entries))
    assert (code, codes(result)) == (0, ["series-joined"])
    assert slices(tmp_path) == expected


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (stated(ProtocolName=lambda k: "psir" if k else "cine"), "they differ in ProtocolName"),
        (stated(PatientID=lambda k: f"P{k % 2}"), "they differ in PatientID"),
        (stated(AcquisitionTime=lambda k: f"1{k // 3}0000"), "they were acquired within 120 minutes"),
        (stated(series=lambda k: own_series(k // 3)), "some have several slices"),
    ],
    ids=["protocol", "patient", "time", "several slices"],
)
def test_series_that_may_not_belong_together_are_asked_for(
    tmp_path: Path,
    expected: list[dict[str, str]],
    capsys: pytest.CaptureFixture[str],
    entries: dict[str, Any],
    words: str,
) -> None:
    folder = write_lge(tmp_path / "lge", **entries)
    assert prepared(tmp_path, folder)[0] == 2
    told = " ".join(capsys.readouterr().err.split())
    assert words in told
    assert "--accept series-differ" in told
    code, result = prepared(tmp_path, folder, "--accept", "series-differ")
    assert (code, codes(result)) == (0, ["series-differ"])
    assert slices(tmp_path) == expected


def test_one_slice_of_such_a_stack_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lge = write_lge(tmp_path / "lge", **stated()) / "IM004"
    ijk_to_ras = scan().ijk_to_ras.copy()
    ijk_to_ras[:3, 2] *= THICKNESS / np.linalg.norm(ijk_to_ras[:3, 2])
    ijk_to_ras[:3, 3] += 4 * scan().ijk_to_ras[:3, 2]
    write_volume(tmp_path / "wall.nrrd", Volume(scan().wall[4:5], ijk_to_ras))
    files = {"lge": lge, "myocardium": tmp_path / "wall.nrrd", "mesh": write_heart(tmp_path / "mesh.vtu")}
    assert run("prepare", tmp_path / "out", "--threshold", "fwhm", **files)[0] == 2
    assert "--accept slice-of-stack" in capsys.readouterr().err
    code, result = run("prepare", tmp_path / "out", "--threshold", "fwhm", "--accept", "slice-of-stack", **files)
    assert (code, codes(result)) == (0, ["slice-of-stack"])
    assert len(slices(tmp_path)) == 1
    (tmp_path / "one").mkdir()
    files["lge"] = lge.rename(tmp_path / "one" / lge.name)
    code, result = run("prepare", tmp_path / "out", "--threshold", "fwhm", **files)
    assert (code, codes(result)) == (0, [])


def test_slices_of_the_series_without_a_place_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_lge(tmp_path / "lge", series=SERIES)
    data = pydicom.dcmread(folder / "IM000")
    del data.ImagePositionPatient
    data.save_as(folder / "IM000")
    for given in (folder, folder / "IM003"):
        assert prepared(tmp_path, given)[0] == 2
        assert "image without ImagePositionPatient (IM000)" in " ".join(capsys.readouterr().err.split())
    code, result = prepared(tmp_path, folder, "--accept", "images-without-place")
    assert code == 0
    assert "images-without-place" in codes(result)
