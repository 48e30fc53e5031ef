"""Whatever is wrong with the input: a clear error and nothing left behind, or the right answer."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from deeprecon import cli
from deeprecon.data.formats.nrrd import Nrrd, write_nrrd
from deeprecon.data.mesh.files import read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh, surface, with_points
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job
from deeprecon.training.checkpoint import save_checkpoint
from deeprecon.worker import run_job

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


@pytest.fixture
def given(tmp_path: Path, files: dict[str, Path], patient) -> Given:
    (tmp_path / "in").mkdir()
    stack = patient.stacks[0]
    return Given(
        tmp_path / "in",
        files,
        Volume(stack.wall, stack.ijk_to_ras),
        Volume(stack.scar * stack.wall, stack.ijk_to_ras),
        patient.mesh,
    )


def children() -> set[int]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
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
    """Coordinates in RAS under a header that says LPS."""
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
    """A short-axis stack with images and a long-axis slice beside it, whose image may lie elsewhere."""
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


# Name, options out of the given files, and words of the message: it names what is wrong and says what to do.
CASES: list[tuple[str, Callable[[Given], list[str]], str]] = [
    ("missing wall", lambda g: g.good(myocardium=None), "The wall is missing.* Give --myocardium"),
    ("neither scar nor images", lambda g: g.good(scar=None), "Neither scar nor LGE.* Give --scar, or --lge"),
    ("missing file", lambda g: g.good(scar=g.folder / "gone.nii.gz"), r"scar input .*gone\.nii\.gz does not exist"),
    ("missing mesh", lambda g: g.good(mesh=g.folder / "gone.vtu"), r"mesh input .*gone\.vtu does not exist"),
    (
        "scar on another grid",
        lambda g: g.good(scar=g.write("scar.nrrd", moved(g.scar, at(shift=0.8)))),
        r"scar\.nrrd and .* do not lie on the same voxel grid.*Resample",
    ),
    (
        "scar turned against the wall",
        lambda g: g.good(scar=g.write("scar.nrrd", moved(g.scar, at(turn=0.05)))),
        r"scar\.nrrd and .* do not lie on the same voxel grid.*Resample",
    ),
    (
        "images on another grid",
        lambda g: g.good(lge=g.write("l.nrrd", moved(g.scar, at(shift=5.3)))),
        r"l\.nrrd do not lie on the same voxel grid.*Resample",
    ),
    (
        "scar in another place",
        lambda g: g.good(scar=g.write("scar.nrrd", Volume(np.roll(g.scar.array, 9, 2), g.scar.ijk_to_ras))),
        r"of the scar in scar\.nrrd lies outside the myocardium.*check that the files belong together",
    ),
    (
        "NaN in the wall",
        lambda g: g.good(myocardium=g.write("wall.nii.gz", nan(g, g.wall))),
        r"wall\.nii\.gz: 3 of \d+ voxels are NaN.*Replace",
    ),
    (
        "NaN in the scar",
        lambda g: g.good(scar=g.write("scar.nrrd", nan(g, g.scar))),
        r"scar\.nrrd: 3 of \d+ voxels are NaN",
    ),
    (
        "NaN in the images",
        lambda g: [*g.good(scar=None, lge=lge(g, nan(g, g.scar).array))],
        r"lge\.nrrd: 3 of \d+ voxels are NaN",
    ),
    (
        "wall of nothing",
        lambda g: g.good(myocardium=masks(g, "w.seg.nrrd", myocardium=empty(g))),
        r"w\.seg\.nrrd shows no myocardium",
    ),
    ("wrong unit stated", lambda g: g.good(mesh_unit="cm"), r"mesh\.vtu: read as cm/lps.*State the right ones with"),
    ("wrong axes stated", lambda g: g.good(mesh_frame="ras"), r"mesh\.vtu: read as \w+/ras.*--mesh-frame|no unit and"),
    (
        "mesh of no known unit",
        lambda g: g.good(mesh=scaled_mesh(g, "inch.vtu", 1 / 25.4)),
        r"inch\.vtu: no unit and axes lay it onto the wall.*--mesh-unit",
    ),
    (
        "mesh in another place",
        lambda g: g.good(mesh=scaled_mesh(g, "far.vtu", 1, 400)),
        r"far\.vtu: no unit and axes lay it onto the wall.*belong together",
    ),
    (
        "mesh with the wrong axes noted",
        lambda g: g.good(mesh=mirrored_mesh(g)),
        r"mirrored\.vtu: .*State the right ones with",
    ),
    (
        "sheared NIfTI",
        lambda g: g.good(myocardium=g.nifti("wall.nii", sheared)),
        r"wall\.nii: the grid is sheared.*Resample",
    ),
    ("sheared NRRD", lambda g: g.good(myocardium=sheared_nrrd(g)), r"sheared\.nrrd: the grid is sheared.*Resample"),
    (
        "zooms against the affine",
        lambda g: g.good(myocardium=g.nifti("wall.nii.gz", wrong_zooms)),
        r"wall\.nii\.gz contradicts itself: its affine states voxels of .* its pixdim states .*correct the header",
    ),
    (
        "no place in the patient",
        lambda g: g.good(myocardium=without_codes(g)),
        r"wall\.nii does not state where the image lies.*Set its orientation",
    ),
    (
        "sform against qform",
        lambda g: g.good(myocardium=g.nifti("wall.nii.gz", sform_against_qform)),
        r"wall\.nii\.gz contradicts itself: its sform and qform differ.*Keep the right one",
    ),
    ("text named NIfTI", lambda g: g.good(myocardium=text(g, "wall.nii.gz")), r"wall\.nii\.gz is cut off or damaged"),
    ("text named NRRD", lambda g: g.good(scar=text(g, "scar.nrrd")), r"scar\.nrrd is not a NRRD file"),
    ("text named segmentation", lambda g: g.good(scar=text(g, "s.seg.nrrd")), r"s\.seg\.nrrd is not a NRRD file"),
    ("text named mesh", lambda g: g.good(mesh=text(g, "heart.vtu")), r"heart\.vtu is cut off or damaged"),
    ("unknown kind of image", lambda g: g.good(scar=text(g, "scar.csv")), r"scar\.csv is of an unknown kind.*NIfTI"),
    ("unknown kind of mesh", lambda g: g.good(mesh=text(g, "heart.obj")), r"heart\.obj is not a mesh file.*\.vtu"),
    ("empty folder", lambda g: g.good(scar=None, lge=empty_folder(g)), "empty holds no DICOM image.*Give the folder"),
    ("DICOM series with a gap", lambda g: g.good(scar=None, lge=wrong_dicom(g)), "series misses slices.*missing files"),
    (
        "unknown label",
        lambda g: [*g.good(scar=labels(g), myocardium=labels(g)), "--labels", "scar=9", "myocardium=2"],
        r"labels\.nii\.gz has none of the labels scar=9; it holds 0, 2, 3\..*--labels",
    ),
    (
        "labels without their names",
        lambda g: g.good(scar=labels(g), myocardium=labels(g)),
        r"labels\.nii\.gz is neither a mask nor fractions.*--labels",
    ),
    ("unknown role", lambda g: [*g.good(), "--labels", "muscle=2"], "muscle=2.*the roles are .*scar.*myocardium"),
    (
        "segments without known names",
        lambda g: g.good(scar=masks(g, "s.seg.nrrd", Segment_1=g.scar.array > 0.5)),
        r"s\.seg\.nrrd has no segment for the scar; it has Segment 1.*--labels",
    ),
    (
        "intensities given as scar",
        lambda g: g.good(scar=lge(g)),
        r"lge\.nrrd is neither a mask nor fractions.*belong to --lge",
    ),
    (
        "healthy wall drawn beside the scar",
        lambda g: g.good(myocardium=masks(g, "w.seg.nrrd", myocardium=(g.wall.array > 0.5) & (g.scar.array == 0))),
        "The myocardium must include the scar",
    ),
    ("threshold typo", lambda g: intensity(g, threshold="nds:5"), "Unknown threshold 'nds:5'.*nsd:N"),
    ("threshold without number", lambda g: intensity(g, threshold="nsd"), "'nsd' needs a number"),
    (
        "constant images",
        lambda g: intensity(g, image=np.full(g.wall.array.shape, 7.0)),
        r"lge\.nrrd: all wall pixels have the intensity 7.*Is this the LGE",
    ),
    ("empty remote region", lambda g: intensity(g, remote=empty(g)), "remote region holds 0 pixels.*Draw it larger"),
    (
        "more images than walls",
        lambda g: [*g.good(), "--scar", str(g.files["scar"])],
        "2 scar files but 1 myocardium files.*same order",
    ),
    (
        "more remote regions than walls",
        lambda g: [*intensity(g, remote=g.scar.array == 0), "--remote", str(g.files["segmentation"])],
        "2 remote files but 1 myocardium files.*same order",
    ),
    (
        "fewer images than walls",
        lambda g: [*intensity(g), "--myocardium", str(g.files["segmentation"])],
        "1 lge files but 2 myocardium files.*same order",
    ),
    (
        "long-axis images on another grid",
        lambda g: long_axis(g, shift=1.3),
        r"lax\.seg\.nrrd and lax\.nrrd do not lie on the same voxel grid.*same patient and stack",
    ),
    (
        "core threshold below that of the scar",
        lambda g: [*intensity(g, threshold="max:60"), "--core-threshold", "max:40"],
        r"lge\.nrrd: the threshold of the core, max:40, is an intensity of .* Raise --core-threshold",
    ),
    (
        "core threshold typo",
        lambda g: [*intensity(g), "--core-threshold", "max"],
        "'max' needs a number",
    ),
    (
        "core threshold where the scar is given",
        lambda g: g.good(core_threshold="max:60"),
        r"The scar itself was given \(scar_fraction\.nii\.gz\), so that --core-threshold.*Leave it out, or give --lge",
    ),
    ("missing landmarks", lambda g: g.good(landmarks=g.folder / "gone.mrk.json"), r"gone\.mrk\.json does not exist"),
    ("text named markups", lambda g: g.good(landmarks=text(g, "l.mrk.json")), r"l\.mrk\.json is not valid JSON"),
    (
        "landmarks without apex",
        lambda g: g.good(landmarks=markups(g, base=[0, 0, 0], septum=[1, 2, 3])),
        r"landmarks\.mrk\.json: .*apex",
    ),
    (
        "landmarks at one place",
        lambda g: g.good(landmarks=markups(g, base=[1, 2, 3], apex=[1, 2, 3])),
        r"landmarks\.mrk\.json: The landmarks apex and base lie at the same place.*Set both points again",
    ),
    ("parameter out of range", lambda g: g.good(slice_thickness="99"), "slice.thickness.*30"),
    ("parameter that is no number", lambda g: g.good(node_spacing="fine"), "node-spacing"),
    (
        "parameters that contradict each other",
        lambda g: [*g.good(), "--cutoff", "0.8", "--core-cutoff", "0.6"],
        "probability for scar core lies below that for scar",
    ),
    ("unknown method", lambda g: [*g.good(), "--method", "magic"], "interpolation"),
]


def check(arguments: list[str], words: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = children()
    code = call(["reconstruct", *arguments, "--output", str(output)])
    shown = capsys.readouterr()
    said = " ".join((shown.out + shown.err).split())
    assert code == 2, said
    assert re.search(words, said), said
    assert "Traceback" not in said
    assert {path.relative_to(output).as_posix() for path in output.rglob("*")} <= {
        ".job",
        ".job/job.json",
        ".job/events.jsonl",
    }
    assert children() <= before


@pytest.mark.parametrize(("options", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input_is_told_and_leaves_nothing(options, words, given, tmp_path, capsys):
    check(options(given), words, tmp_path / "out", capsys)


def test_the_good_case_of_this_table_is_good(given, tmp_path):
    assert call(["prepare", *given.good(), "--output", str(tmp_path / "out")]) == 0


def test_the_long_axis_slice_of_this_table_is_good(given, tmp_path):
    assert call(["prepare", *long_axis(given), "--output", str(tmp_path / "out")]) == 0


def warned(arguments: list[str], words: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Such input is worked on, and said to be strange."""
    assert call(["reconstruct", *arguments, "--output", str(output)]) == 0
    shown = capsys.readouterr()
    assert re.search(words, " ".join((shown.out + shown.err).split())), shown.out + shown.err
    assert (output / "result.json").exists()


def test_core_told_by_one_stack_alone_is_told(given, tmp_path, capsys):
    wall, scar = given.wall.array > 0.5, (given.scar.array > 0.5) & (given.wall.array > 0.5)
    half = scar & (np.indices(scar.shape)[0] % 2 == 0)
    told = masks(given, "told.seg.nrrd", myocardium=wall, border_zone=half, core=scar & ~half)
    silent = masks(given, "silent.seg.nrrd", myocardium=wall, scar=scar)
    options = [*given.good(myocardium=told, scar=None), "--myocardium", str(silent)]
    warned(options, r"silent\.seg\.nrrd shows scar without telling core from border zone", tmp_path / "out", capsys)


def test_a_stack_given_twice_is_told(given, tmp_path, capsys):
    options = given.good() + [f"--{role}={given.files[role]}" for role in ("myocardium", "scar")]
    warned(options, r"Stack 2 \(\S+\) is the same as stack 1: its slices count twice", tmp_path / "out", capsys)


def test_a_stack_far_from_the_mesh_is_told(given, tmp_path, capsys):
    far = [given.write(f"far_{n}.nrrd", moved(v, at(shift=90))) for n, v in (("w", given.wall), ("s", given.scar))]
    options = [*given.good(mesh_unit="mm", mesh_frame="lps"), "--myocardium", str(far[0]), "--scar", str(far[1])]
    warned(options, r"Slice 3 of stack 2: only 0% of its wall meets the mesh", tmp_path / "out", capsys)


KINDS = [
    "wall.nii.gz",
    "wall.nii",
    "wall.nrrd",
    "wall.mha",
    "scar.seg.nrrd",
    "dicom",
    "mesh.vtu",
    "mesh.vtk",
    "mesh.vtp",
    "mesh.ply",
    "mesh.stl",
    "mesh.pts",
    "mesh.elem",
]


@pytest.mark.parametrize("spoiled", ["cut off", "random", "empty"])
@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_of_every_kind_are_told(name, spoiled, given, tmp_path, capsys):
    path = given.folder / name
    options = given.good(mesh=path) if name.startswith("mesh") else given.good(myocardium=path)
    bad = path
    if name == "dicom":
        shutil.copytree(given.files["dicom"], path)
        options = given.good(scar=None, lge=path)
        bad = sorted(path.iterdir())[1]
    elif name.startswith("mesh"):
        mesh = given.mesh
        if path.suffix in (".vtp", ".ply", ".stl"):
            faces = surface(mesh)
            faces.GetPointData().Initialize()
            mesh = Mesh(faces)
        write_mesh(path, mesh, "mm", "lps")
        options = given.good(mesh=given.folder / "mesh.pts") if path.suffix == ".elem" else options
    elif name == "scar.seg.nrrd":
        path = masks(given, name, scar=given.scar.array > 0.5)
        options = given.good(scar=path)
    else:
        write_volume(path, given.wall)
    content = bad.read_bytes()
    noise = np.random.default_rng(5).bytes(len(content))
    bad.write_bytes({"cut off": content[: len(content) * 2 // 3], "random": noise, "empty": b""}[spoiled])
    check(options, re.escape(path.stem.partition(".")[0]), tmp_path / "out", capsys)


def test_an_output_that_cannot_be_written_to_is_told(given, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("in the way", encoding="utf-8")
    read_only = [Path("/sys/out")] if Path("/sys").is_dir() else []  # nobody may write there
    for output in (file, file / "below", *read_only):
        assert call(["reconstruct", *given.good(), "--output", str(output)]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert re.search(f"Cannot write to the folder .*{output.name}.*Choose another", said), said
    assert file.read_text(encoding="utf-8") == "in the way"


def test_a_read_only_output_is_told(given, tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    if os.access(locked, os.W_OK):
        pytest.skip("this user may write to read-only folders")
    assert call(["reconstruct", *given.good(), "--output", str(locked / "out")]) == 2
    assert "Cannot write to the folder" in capsys.readouterr().err
    assert list(locked.iterdir()) == []


def test_an_input_in_the_output_folder_is_not_replaced(given, tmp_path, capsys):
    shutil.copy(given.files["mesh"], tmp_path / "in" / "mesh.vtu")
    before = (tmp_path / "in" / "mesh.vtu").read_bytes()
    options = given.good(mesh=tmp_path / "in" / "mesh.vtu")
    assert call(["reconstruct", *options, "--output", str(tmp_path / "in")]) == 2
    assert "lies in the output folder" in capsys.readouterr().err
    assert (tmp_path / "in" / "mesh.vtu").read_bytes() == before


@pytest.mark.parametrize("name", ["Jürgen Ñandú 心臓", "with several  spaces", "it's 100% & more"])
def test_paths_in_any_writing_are_right(name, given, tmp_path, capsys):
    folder = tmp_path / name
    folder.mkdir()
    options = []
    for role, kind in (("myocardium", "seg.nrrd"), ("scar", "seg.nrrd"), ("mesh", "pts"), ("lge", "")):
        path = folder / f"{role} {name}.{kind}"
        if role == "mesh":
            write_mesh(path, given.mesh, "um", "lps")
        elif role == "lge":
            path = folder / f"series {name}"
            shutil.copytree(given.files["dicom"], path)
        else:
            shutil.copy(given.files["segmentation"], path)
        options += [f"--{role}", str(path)]
    output = folder / f"out {name}"
    assert call(["reconstruct", *INSTANT, *options, "--output", str(output)]) == 0
    assert {"mesh.pts", "mesh.elem", "segmentation.seg.nrrd", "report.html"} <= {path.name for path in output.iterdir()}
    assert read_mesh(output / "mesh.pts").dataset.GetNumberOfPoints() == given.mesh.n_points
    assert json.loads((output / "result.json").read_text(encoding="utf-8"))["metrics"]["volume_ml"] > 5


class Trap:
    """What a pickle can do on being read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "kind", ["pickle", "torch pickle", "damaged", "another network", "another run", "nothing of ours"]
)
def test_a_checkpoint_that_is_none_is_told_and_never_run(kind, given, tmp_path, capsys):
    folder, trap = tmp_path / "out" / ".job", tmp_path / "sprung"
    inputs = {
        "myocardium": [str(given.files["myocardium"])],
        "scar": [str(given.files["scar"])],
        "mesh": str(given.files["mesh"]),
    }
    parameters = {"method": "field", "steps": 4, "slice_thickness": 12.0}
    Job("scar", "reconstruct", inputs, parameters, "..", "cpu", 1, "fp32").save(folder)
    path = folder / "checkpoint" / "field.safetensors"
    path.parent.mkdir()
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Trap(trap)))
    elif kind == "torch pickle":
        torch.save({"steps": 4, "trap": Trap(trap)}, path)
    elif kind == "damaged":
        save_checkpoint(path, {"steps": 4, "groups": 10, "field": {"weight": torch.ones(5)}})
        path.write_bytes(path.read_bytes()[:-7])
    elif kind == "another run":
        save_checkpoint(path, {"steps": 5, "groups": 10})
    elif kind == "another network":
        groups = int(np.count_nonzero(given.wall.array))
        field = {"weight": torch.ones(5)}
        save_checkpoint(
            path,
            {
                "steps": 4,
                "groups": groups,
                "step": 2,
                "field": field,
                "optimizer": {},
                "history": [],
                "best": 1.0,
                "best_step": 1,
                "best_weights": field,
            },
        )
    else:
        save_checkpoint(path, {"weights": torch.ones(3)})
    assert run_job(folder) == 2
    error = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert error["type"] == "error"
    assert error["kind"] == "input"
    assert re.search(r"field\.safetensors.*(damaged|belongs to another run|not a checkpoint)", error["message"])
    assert "Delete it to start" in error["hint"]
    assert not trap.exists()
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == [".job"]


def test_results_that_cannot_be_evaluated_or_exported_are_told(given, tmp_path, capsys):
    bare = scaled_mesh(given, "bare.vtu", 1.0)
    huge = scaled_mesh(given, "huge.vtu", 1000.0)
    for arguments, words in (
        (["export", "--mesh", str(bare)], "has no array 'scar_probability'"),
        (["export", "--mesh", str(huge)], "huge.vtu, read in mm, is .* no heart is"),
        (["export", "--mesh", str(text(given, "result.vtu"))], "result.vtu is cut off or damaged"),
        (
            ["evaluate", "--mesh", str(bare), "--truth", str(scaled_mesh(given, "other.vtu", 1.0, 3.0))],
            "do not have the same nodes",
        ),
        (["phantom", "--surface", str(bare)], "no array 'class'"),
        (["phantom", "--surface", str(bare), "--lesion", "wedge"], "Leave out --lesion or --surface"),
        (["phantom", "--surface", str(huge)], "no heart is"),
        (["phantom", "--thickness", "12", "--spacing", "9"], "thickness exceeds the spacing"),
    ):
        assert call([*arguments, "--output", str(tmp_path / "out")]) == 2, arguments
        shown = capsys.readouterr()
        assert re.search(words, " ".join(shown.err.split())), shown.err
        assert "Traceback" not in shown.err
