"""The files of a run that works, and ways to make one of them bad."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deeprecon import cli
from deeprecon.data.formats.nrrd import Nrrd, write_nrrd
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Mesh, with_points
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume

INSTANT = ["--method", "interpolation"]


@dataclass
class Given:
    """The files of one run; a case replaces one of them by something bad."""

    folder: Path
    files: dict[str, Path]
    wall: Volume
    scar: Volume
    mesh: Mesh

    def write(self, name: str, volume: Volume) -> Path:
        write_volume(self.folder / name, volume)
        return self.folder / name

    def nifti(self, name: str, change: Callable[..., None]) -> Path:
        """The wall as NIfTI after a change to its header."""
        import nibabel

        image = nibabel.Nifti1Image(self.wall.array.T, self.wall.ijk_to_ras)
        image.set_qform(None)
        change(image)
        nibabel.save(image, self.folder / name)
        return self.folder / name

    def good(self, **other: Path | str | None) -> list[str]:
        """Options of a run that works, but for what is replaced (None: left out)."""
        options: dict[str, Path | str | None] = {
            "myocardium": self.files["myocardium"],
            "scar": self.files["scar"],
            "mesh": self.files["mesh"],
            "slice_thickness": "12",
        }
        options |= other
        pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in options.items() if value is not None]
        return [*INSTANT, *(text for pair in pairs for text in pair)]


def children() -> set[int]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            found |= {int(child) for child in (task / "children").read_text(encoding="ascii").split()}
    return found


def call(arguments: list[str]) -> int:
    try:
        return cli.main(["scar", *arguments])
    except SystemExit as end:  # what the parser of options refuses
        return int(end.code or 0)


def nan(given: Given, volume: Volume) -> Volume:
    array = volume.array.astype(np.float32).copy()
    array[2, 3, 4:7] = np.nan
    return Volume(array, volume.ijk_to_ras)


def moved(volume: Volume, change: np.ndarray) -> Volume:
    return Volume(volume.array, change @ volume.ijk_to_ras)


def at(*, shift: float = 0.0, turn: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    matrix[:3, 3] = shift
    return matrix


def scaled_mesh(given: Given, name: str, factor: float, shift: float = 0.0, frame: str = "lps") -> Path:
    points = given.mesh.points * factor + shift
    write_mesh(given.folder / name, Mesh(with_points(given.mesh.dataset, points)), "mm", frame)
    return given.folder / name


def mirrored_mesh(given: Given) -> Path:
    """Coordinates in RAS under a header that states LPS."""
    points = given.mesh.points * [-1, -1, 1]
    write_mesh(given.folder / "mirrored.vtu", Mesh(with_points(given.mesh.dataset, points)), "mm", "lps")
    return given.folder / "mirrored.vtu"


def sheared_nrrd(given: Given) -> Path:
    affine = given.wall.ijk_to_ras.copy()
    affine[:3, 0] += 0.1 * affine[:3, 1]
    write_nrrd(given.folder / "sheared.nrrd", Nrrd(given.wall.array, affine))
    return given.folder / "sheared.nrrd"


def sheared(image) -> None:
    affine = image.affine.copy()
    affine[:3, 0] += 0.1 * affine[:3, 1]
    image.set_sform(affine, 1)
    image.header["pixdim"][1] = np.linalg.norm(affine[:3, 0])


def wrong_zooms(image) -> None:
    image.header["pixdim"][3] = 8.0


def without_codes(given: Given) -> Path:
    """NIfTI whose sform and qform codes are 0: nibabel never writes that, others do."""
    path = given.write("wall.nii", given.wall)
    content = bytearray(path.read_bytes())
    content[252:256] = bytes(4)
    path.write_bytes(content)
    return path


def sform_against_qform(image) -> None:
    turned = image.affine.copy()
    turned[:3, 3] += 25
    image.set_qform(image.affine, 1)
    image.header["qoffset_x"] += 25.0


def masks(given: Given, name: str, thickness: float | None = 12.0, **segments: np.ndarray) -> Path:
    parts = tuple(Segment(key.replace("_", " "), mask) for key, mask in segments.items())
    write_segmentation(given.folder / name, Segmentation(parts, given.wall.ijk_to_ras, slice_thickness=thickness))
    return given.folder / name


def labels(given: Given) -> Path:
    array = np.where(given.wall.array > 0.5, 2, 0)
    array[given.scar.array > 0.5] = 3
    return given.write("labels.nii.gz", Volume(array.astype(np.uint8), given.wall.ijk_to_ras))


def lge(given: Given, array: np.ndarray | None = None) -> Path:
    values = 60 + 240 * given.scar.array if array is None else array
    return given.write("lge.nrrd", Volume(values.astype(np.float32), given.wall.ijk_to_ras))


def intensity(
    given: Given, remote: np.ndarray | None = None, threshold: str = "nsd:5", image: np.ndarray | None = None
) -> list[str]:
    rest = {} if remote is None else {"remote": masks(given, "remote.seg.nrrd", remote=remote)}
    wall = masks(given, "wall.seg.nrrd", myocardium=given.wall.array > 0.5)
    return given.good(myocardium=wall, scar=None, lge=lge(given, image), threshold=threshold, **rest)


def text(given: Given, name: str) -> Path:
    (given.folder / name).write_text("This is not the file that its name says it is.\n" * 20, encoding="utf-8")
    return given.folder / name


def empty_folder(given: Given) -> Path:
    (given.folder / "empty").mkdir()
    return given.folder / "empty"


def wrong_dicom(given: Given) -> Path:
    folder = given.folder / "series"
    shutil.copytree(given.files["dicom"], folder)
    sorted(folder.iterdir())[2].unlink()
    return folder


def markups(given: Given, name: str = "landmarks.mrk.json", **points: list[float]) -> Path:
    listed = [{"label": key, "position": place, "positionStatus": "defined"} for key, place in points.items()]
    content = {"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": listed}]}
    (given.folder / name).write_text(json.dumps(content), encoding="utf-8")
    return given.folder / name


def long_axis(given: Given, shift: float = 0.0) -> list[str]:
    """A short-axis stack with images and a long-axis slice, whose image may be displaced."""
    axes = given.wall.ijk_to_ras
    grid = axes[:, [0, 2, 1, 3]] * [1, 0.3, 2, 1]
    drawn = np.indices(given.wall.array.shape[:2])[0][None] > 2
    parts = (Segment("myocardium", drawn), Segment("scar", drawn & False))
    path = given.folder / "lax.seg.nrrd"
    write_segmentation(path, Segmentation(parts, grid, slice_thickness=8.0))
    image = given.write("lax.nrrd", moved(Volume(drawn.astype(np.float32), grid, slice_thickness=8.0), at(shift=shift)))
    first = given.files["segmentation"]
    options = given.good(myocardium=first, scar=first, lge=given.files["lge"])
    return [*options, "--myocardium", str(path), "--scar", str(path), "--lge", str(image)]


def empty(given: Given) -> np.ndarray:
    return np.zeros(given.wall.array.shape, bool)


def check(arguments: list[str], words: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = children()
    code = call(["reconstruct", *arguments, "--output", str(output)])
    shown = capsys.readouterr()
    message = " ".join((shown.out + shown.err).split())
    assert code == 2, message
    assert re.search(words, message), message
    assert "Traceback" not in message
    assert {path.relative_to(output).as_posix() for path in output.rglob("*")} <= {
        ".job",
        ".job/job.json",
        ".job/events.jsonl",
    }
    assert children() <= before
