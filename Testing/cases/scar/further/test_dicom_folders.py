"""Folders of DICOM files that hold more, or less, than the slices of one series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from ..files import run, scan, write_heart
from .dicom import dataset, percent, place, prepared, save, set_pixels, write_series
from .files import told

KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"
PRESENTATION = "1.2.840.10008.5.1.4.1.1.11.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"
SEGMENTATION, SURFACES = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.5"
STRUCTURES = "1.2.840.10008.5.1.4.1.1.481.3"


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Percent of scar by the same image without any oddity."""
    folder = tmp_path_factory.mktemp("truth")
    code, result = prepared(folder, scan().write(folder / "lge.nrrd", scan().lge))
    assert code == 0
    return percent(result)


def reports(folder: Path) -> list[str]:
    """A dose report, a presentation state, and selected key images."""
    for name, kind, modality in (("SR0001", DOSE_REPORT, "SR"), ("PS1", PRESENTATION, "PR"), ("KO", KEY_OBJECTS, "KO")):
        save(dataset(folder / name, kind, generate_uid(), Modality=modality), folder / name)
    return ["SR0001", "PS1", "KO"]


def pictures(folder: Path) -> list[str]:
    """A screenshot without a place, a PDF and raw data."""
    made = dataset(folder / "SC.dcm", SECONDARY_CAPTURE, generate_uid(), Modality="OT")
    set_pixels(made, np.zeros((12, 20)))
    save(made, folder / "SC.dcm")
    pdf = dataset(
        folder / "report.dcm", PDF, generate_uid(), Modality="DOC", MIMETypeOfEncapsulatedDocument="application/pdf"
    )
    pdf.EncapsulatedDocument = b"%PDF-1.4\n%%EOF\n "
    save(pdf, folder / "report.dcm")
    save(dataset(folder / "RAW1", RAW_DATA, generate_uid()), folder / "RAW1")
    return ["SC.dcm", "report.dcm", "RAW1"]


def other_files(folder: Path) -> list[str]:
    """What operating systems and archives leave in folders."""
    save(dataset(folder / "DICOMDIR", "1.2.840.10008.1.3.10"), folder / "DICOMDIR")
    (folder / "._IM0003").write_bytes(b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(4000))
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1" + bytes(6000))
    (folder / "Thumbs.db").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(5000))
    (folder / "LOCKFILE").write_bytes(b"")
    (folder / "VERSION.txt").write_text("viewer 1.0\n", encoding="ascii")
    (folder / "autorun.inf").write_text("[autorun]\nopen=viewer.exe\n", encoding="ascii")
    return []


@pytest.mark.parametrize("neighbors", [reports, pictures, other_files])
def test_what_is_no_slice_is_passed_over_and_listed(
    tmp_path: Path, truth: float, neighbors: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_series(tmp_path / "lge", scan().lge)
    names = neighbors(folder)
    code, result = prepared(tmp_path, folder)
    assert code == 0
    assert percent(result) == pytest.approx(truth, abs=0.01)
    said = f"{told(result, capsys)} {result}"
    assert [name for name in names if name not in said] == []


def test_a_slice_that_is_cut_off_is_not_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_series(tmp_path / "lge", scan().lge)
    file = folder / "IM0004"
    file.write_bytes(file.read_bytes()[:2000])
    assert prepared(tmp_path, folder)[0] == 2
    assert "IM0004" in capsys.readouterr().err


def contours(folder: Path, kind: str, modality: str) -> Path:
    made = dataset(folder / "contours.dcm", kind, Modality=modality)
    if kind == SEGMENTATION:
        set_pixels(made, np.zeros((3, 16, 16)))
    folder.mkdir(exist_ok=True)
    return save(made, folder / "contours.dcm")


@pytest.mark.parametrize(
    ("kind", "modality", "word"),
    [
        (SEGMENTATION, "SEG", "segmentation"),
        (SURFACES, "SEG", "segmentation"),
        (STRUCTURES, "RTSTRUCT", "structure set"),
        (PRESENTATION, "PR", "presentation state"),
    ],
)
@pytest.mark.parametrize("given", ["myocardium", "scar", "folder"])
def test_contours_are_named_as_what_they_are(
    tmp_path: Path, kind: str, modality: str, word: str, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = contours(tmp_path / "drawn", kind, modality)
    file = file.parent if given == "folder" else file
    wall = scan().write_segments(tmp_path / "wall.seg.nrrd", Myocardium=scan().wall)
    files = {"mesh": write_heart(tmp_path / "mesh.vtu"), "scar": wall, "myocardium": wall}
    code, _ = run("prepare", tmp_path / "out", **files | {"scar" if given == "scar" else "myocardium": file})
    said = capsys.readouterr().err
    assert code == 2
    assert file.name in said
    assert word in said
    assert "damaged" not in said
    if modality != "PR":
        assert ".seg.nrrd" in said


def without_preamble(folder: Path, implicit: bool) -> None:
    """Strips what stands before the elements; with `implicit`, the group of the file's meta data, too."""
    import pydicom

    for path in sorted(folder.iterdir()):
        if not implicit:
            path.write_bytes(path.read_bytes()[132:])
            continue
        made = pydicom.dcmread(path)
        made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        del made.file_meta
        made.preamble = None
        made.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("name", ["IM_{:04d}.ima", "{:08d}"])
def test_files_without_preamble(tmp_path: Path, truth: float, implicit: bool, name: str) -> None:
    folder = write_series(tmp_path / "lge", scan().lge, name=name)
    without_preamble(folder, implicit)
    code, result = prepared(tmp_path, folder)
    assert code == 0
    assert percent(result) == pytest.approx(truth, abs=0.01)


def own_series(made: Any, index: int) -> None:
    """A series of its own for each breath-hold."""
    made.SeriesInstanceUID = f"1.2.826.0.1.77.1.{index + 1}"
    made.SeriesNumber = 20 + index
    made.InstanceNumber = 1
    made.AcquisitionTime = made.SeriesTime = f"10{15 + index}00"


def numbered(made: Any, index: int) -> None:
    own_series(made, index)
    made.SeriesDescription = f"LGE PSIR SAX {index + 1}"


@pytest.mark.parametrize("change", [own_series, numbered])
def test_a_series_for_each_slice_is_joined(tmp_path: Path, truth: float, change: Any) -> None:
    code, result = prepared(tmp_path, write_series(tmp_path / "lge", scan().lge, change=change))
    assert code == 0
    assert percent(result) == pytest.approx(truth, abs=0.01)


def other_sequence(made: Any, index: int) -> None:
    """Every other slice with another sequence."""
    own_series(made, index)
    if index % 2:
        made.SequenceName, made.SeriesDescription, made.EchoTime = "tfi2d1", "cine", "1.1"


def other_day(made: Any, index: int) -> None:
    own_series(made, index)
    if index > 4:
        made.StudyInstanceUID, made.AcquisitionDate, made.StudyDate = "1.2.826.0.1.78", "20240601", "20240601"


def other_patient(made: Any, index: int) -> None:
    own_series(made, index)
    if index > 4:
        made.PatientID, made.PatientName = "P1", "Other^Phantom"


@pytest.mark.parametrize("change", [other_sequence, other_day, other_patient])
def test_series_that_do_not_belong_together_are_asked_about(
    tmp_path: Path, change: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_series(tmp_path / "lge", scan().lge, change=change)
    assert prepared(tmp_path, folder)[0] == 2
    said = capsys.readouterr().err
    assert folder.name in said
    assert "series" in said


def test_a_slice_scanned_twice_is_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_series(tmp_path / "lge", scan().lge, change=own_series)
    made = dataset(folder / "again", series=generate_uid(), SeriesNumber=40, SeriesDescription="LGE PSIR")
    made.SliceThickness, made.AcquisitionTime, made.AcquisitionDate = "8", "104000", "20240102"
    place(made, np.diag([-1.0, -1, 1, 1]) @ scan().ijk_to_ras, 4)
    set_pixels(made, scan().lge[4] // 2)
    save(made, folder / "again")
    assert prepared(tmp_path, folder)[0] == 2
    assert folder.name in capsys.readouterr().err


@pytest.mark.parametrize("missing", [range(9), [4], [0, 8]])
@pytest.mark.parametrize("element", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_slices_without_a_place_are_not_left_out_in_silence(
    tmp_path: Path, missing: Any, element: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(made: Any, index: int) -> None:
        if index in missing:
            delattr(made, element)

    folder = write_series(tmp_path / "lge", scan().lge, change=change)
    assert prepared(tmp_path, folder)[0] == 2
    said = capsys.readouterr().err
    assert folder.name in said
    assert element in said
