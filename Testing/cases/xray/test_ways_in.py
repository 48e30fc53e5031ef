"""Each kind of film and CT through shell, batch (a folder, a manifest) and panel: the same right value.

A synthesis takes minutes, and what is right is known as soon as the film was read and its doubts were considered: the
verb is stopped there, in each way.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from deeprecon.cli import main
from deeprecon.ctpa import pipeline
from deeprecon.ctpa.parameters import SynthesizeParameters
from deeprecon.data.errors import InputError
from deeprecon.jobs.job import Job
from deeprecon.worker import run_job

from .files import write_film
from .further.files import CHEST, GRAY, is_upright, table_item
from .further.test_cts import AFFINE, HU, padded

Codes = frozenset[str]
NONE: Codes = frozenset()


@dataclass(frozen=True)
class Kind:
    """A film and what is right about it.

    Attributes:
        write: makes the file in a folder.
        refused: code of the doubt, or words of the refusal; empty where the film is read.
        codes: of the assumptions.
        view: that the film states.
    """

    write: Callable[[Path], Path]
    refused: str = ""
    codes: Codes = NONE
    view: str = "PA"


def film(pixels: Any, **elements: Any) -> Callable[[Path], Path]:
    return lambda folder: write_film(folder / "film.dcm", np.ascontiguousarray(pixels), **elements)


def photo(folder: Path) -> Path:
    """A JPEG that lies on its side, as a camera stores it."""
    entries = Image.Exif()
    entries[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(GRAY))).save(folder / "film.jpg", quality=95, exif=entries)
    return folder / "film.jpg"


def half(folder: Path) -> Path:
    path = photo(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def renamed(folder: Path) -> Path:
    """A DICOM file without preamble, called .png."""
    path = film(CHEST)(folder)
    path.write_bytes(path.read_bytes()[132:])
    return path.rename(folder / "film.png")


def gray_and_alpha(folder: Path) -> Path:
    Image.fromarray(GRAY).convert("LA").save(folder / "film.png")
    return folder / "film.png"


TURNED: Codes = frozenset({"film-turned"})
UNSTATED: Codes = frozenset({"film-polarity", "film-spacing"})
"""What no picture states."""
KINDS = {
    "08 turned": Kind(film(np.rot90(CHEST), PatientOrientation=["F", "R"]), codes=TURNED),
    "08 lateral": Kind(film(CHEST, PatientOrientation=["P", "F"]), "film-not-frontal"),
    "09 photo": Kind(photo, codes=TURNED | UNSTATED, view=""),
    "09 cut off": Kind(half, "cut off"),
    "10 modality LUT": Kind(film(4095 - CHEST, ModalityLUTSequence=[table_item(0, np.arange(4095, -1, -1))])),
    "10 for processing": Kind(
        film(4095 - CHEST, PresentationIntentType="FOR PROCESSING", PixelIntensityRelationshipSign=1),
        codes=frozenset({"film-polarity"}),
    ),
    "10 inverse": Kind(film(4095 - CHEST, PresentationLUTShape="INVERSE"), "film-polarity"),
    "11 padding": Kind(film(np.where(CHEST > 3900, 4095, CHEST), PixelPaddingValue=4095)),
    "13 words": Kind(film(CHEST, ViewPosition="POSTEROANTERIOR")),
    "13 foot": Kind(film(CHEST, BodyPartExamined="FOOT"), "film-body-part"),
    "14 gray and alpha": Kind(gray_and_alpha, codes=UNSTATED | {"film-orientation"}, view=""),
    "14 DICOM called .png": Kind(renamed),
}
"""By the number of the case."""
OPENED, LOADED = "opened", "loaded"
"""Ways into the panel: by its button, or as a volume that Slicer loaded."""
NOT_LOADED = {
    "09 photo": "Slicer's reader of scalar volumes refuses JPEG files",
    "09 cut off": "Slicer's reader of scalar volumes refuses JPEG files",
    "14 gray and alpha": "Slicer loads it as a vector image, which the panel does not offer",
    "14 DICOM called .png": "Slicer's own reader refuses the file",
}
"""Kinds that Slicer does not load, and why."""


class Enough(InputError):
    """The film was read."""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, set[str]]]:
    """The films that a verb would compute with, and the codes of their doubts; the verb ends there."""
    found: list[tuple[Any, set[str]]] = []

    def observe(radiograph: Any, bundle: Any, parameters: Any, run: Any) -> Any:
        found.append((radiograph, {doubt.code for doubt in run.doubts}))
        raise Enough("The film was read.", "Nothing needs to be done.")

    monkeypatch.setattr(pipeline, "_observe", observe)
    return found


def judge(kind: Kind, found: list[tuple[Any, set[str]]], accepted: Codes = NONE) -> None:
    """Check the film that was read; what was refused is not checked for its orientation."""
    ((radiograph, codes),) = found
    assert codes == kind.codes | accepted
    if not accepted:
        assert is_upright(radiograph.image)
        assert radiograph.view == kind.view
    found.clear()


def synthesize(output: Path, xray: Path, *options: str) -> None:
    given = ["ctpa", "synthesize", str(xray), "--device", "cpu", "--threads", "1", *options]
    assert main([*given, "--output", str(output)]) == 2


@pytest.mark.parametrize("name", KINDS)
def test_shell(name: str, seen: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind = KINDS[name]
    path = kind.write(tmp_path)
    synthesize(tmp_path / "out", path)
    if not kind.refused:
        return judge(kind, seen)
    message = capsys.readouterr().err
    assert seen == []
    assert path.name in message
    assert kind.refused in message
    if kind.refused.startswith("film-"):
        synthesize(tmp_path / "accepted", path, "--accept", kind.refused)
        judge(kind, seen, frozenset({kind.refused}))
    return None


@pytest.mark.parametrize("name", KINDS)
def test_folder(name: str, seen: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind, folder = KINDS[name], tmp_path / "films"
    folder.mkdir()
    path = kind.write(folder)
    synthesize(tmp_path / "out", folder)
    if not kind.refused:
        return judge(kind, seen)
    assert seen == []
    message = capsys.readouterr().err
    assert path.name in message
    if kind.refused.startswith("film-"):
        synthesize(tmp_path / "accepted", folder, "--accept", kind.refused)
        judge(kind, seen, frozenset({kind.refused}))
    else:
        assert kind.refused in message
    return None


def loaded(path: Path) -> Any:
    """The volume that Slicer makes of a file."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "film")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(path))
    storage.SetSingleFile(True)
    assert storage.ReadData(node)
    node.SetAndObserveStorageNodeID(storage.GetID())
    return node


WAYS = [(name, way) for name in KINDS for way in (OPENED, LOADED) if not (way == LOADED and name in NOT_LOADED)]


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_panel(name: str, way: str, seen: Any, tmp_path: Path, scene: Any) -> None:
    from deeprecon.scene.ctpa.job import CtpaNodes, write_job
    from deeprecon.scene.ctpa.xray import open_xray

    kind, folder = KINDS[name], tmp_path / "job"
    path = kind.write(tmp_path)

    def write() -> None:
        node = open_xray(path) if way == OPENED else loaded(path)
        write_job(folder, CtpaNodes(node), SynthesizeParameters(), device="cpu")

    if kind.refused and not kind.refused.startswith("film-"):
        with pytest.raises(InputError, match=kind.refused):
            write()
        return None
    write()
    assert run_job(folder) == 2
    if not kind.refused:
        return judge(kind, seen)
    assert seen == []
    assert kind.refused in (folder / "events.jsonl").read_text("utf-8")
    job = Job.load(folder)
    job.accept.append(kind.refused)
    job.save(folder)
    assert run_job(folder) == 2
    return judge(kind, seen, frozenset({kind.refused}))


# CTs: a manifest is the batch; from the shell one CT is projected; the panel takes none but its own results

NO_CT_IN_THE_PANEL = "the panel trains on a store that `ctpa prepare` made"
CTS = {
    "ct-offset": padded(HU + 1024, -1024).astype(np.int16),
    "ct-clipped": np.clip(HU, -1350, 150).astype(np.int16),
}


def write_ct(folder: Path, code: str) -> Path:
    nib.save(nib.Nifti1Image(CTS[code], AFFINE), folder / f"{code}.nii.gz")
    return folder / f"{code}.nii.gz"


@pytest.mark.parametrize("code", CTS)
def test_one_ct_is_refused_in_the_shell(code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_ct(tmp_path, code)
    given = ["ctpa", "phantom", "--ct", str(path), "--device", "cpu", "--threads", "1"]
    assert main([*given, "--output", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert path.name in message
    assert f"--accept {code}" in message


def test_cts_of_a_manifest_are_left_out_or_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["patient,ct", *(f"{code},{write_ct(tmp_path, code).name}" for code in CTS)]
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n", "utf-8")
    given = ["ctpa", "prepare", str(tmp_path / "manifest.csv"), "--device", "cpu", "--threads", "1"]
    assert main([*given, "--output", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert all(f"--accept {code}" in message for code in CTS)
    accepting = [*given, "--accept", *CTS, "--validation", "0", "--test", "0", "--output", str(tmp_path / "accepted")]
    assert main(accepting) == 0
    with open(tmp_path / "accepted/cases.csv", encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(CTS)
