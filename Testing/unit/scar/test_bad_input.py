"""Bad input: a clear error, and nothing is left behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deeprecon.data.volume import Volume

from .given_files import (
    Given,
    at,
    call,
    check,
    empty,
    empty_folder,
    intensity,
    labels,
    lge,
    long_axis,
    markups,
    masks,
    mirrored_mesh,
    moved,
    nan,
    scaled_mesh,
    sform_against_qform,
    sheared,
    sheared_nrrd,
    text,
    without_codes,
    wrong_dicom,
    wrong_zooms,
)

# Name, options out of the given files, and words of the message: it names the error and the remedy.
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
    (
        "text named NIfTI",
        lambda g: g.good(myocardium=text(g, "wall.nii.gz")),
        r"wall\.nii\.gz is cut off, damaged or no NIfTI file",
    ),
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
        "healthy wall drawn without the scar",
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


@pytest.mark.parametrize(("options", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input_is_reported_and_leaves_no_files(options, words, given, tmp_path, capsys):
    check(options(given), words, tmp_path / "out", capsys)


def test_the_good_case_of_this_table_is_good(given, tmp_path):
    assert call(["prepare", *given.good(), "--output", str(tmp_path / "out")]) == 0


def test_the_long_axis_slice_of_this_table_is_good(given, tmp_path):
    assert call(["prepare", *long_axis(given), "--output", str(tmp_path / "out")]) == 0


def warned(arguments: list[str], words: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Such input is reconstructed, with a warning."""
    assert call(["reconstruct", *arguments, "--output", str(output)]) == 0
    shown = capsys.readouterr()
    assert re.search(words, " ".join((shown.out + shown.err).split())), shown.out + shown.err
    assert (output / "result.json").exists()


def test_core_separated_in_one_stack_only_is_reported(given, tmp_path, capsys):
    wall, scar = given.wall.array > 0.5, (given.scar.array > 0.5) & (given.wall.array > 0.5)
    half = scar & (np.indices(scar.shape)[0] % 2 == 0)
    divided = masks(given, "divided.seg.nrrd", myocardium=wall, border_zone=half, core=scar & ~half)
    undivided = masks(given, "undivided.seg.nrrd", myocardium=wall, scar=scar)
    options = [*given.good(myocardium=divided, scar=None), "--myocardium", str(undivided)]
    warned(
        options, r"undivided\.seg\.nrrd shows scar without separating core from border zone", tmp_path / "out", capsys
    )


def test_a_stack_given_twice_is_reported(given, tmp_path, capsys):
    options = given.good() + [f"--{role}={given.files[role]}" for role in ("myocardium", "scar")]
    warned(options, r"Stack 2 \(\S+\) is the same as stack 1: its slices count twice", tmp_path / "out", capsys)


def test_a_stack_far_from_the_mesh_is_reported(given, tmp_path, capsys):
    far = [given.write(f"far_{n}.nrrd", moved(v, at(shift=90))) for n, v in (("w", given.wall), ("s", given.scar))]
    options = [*given.good(mesh_unit="mm", mesh_frame="lps"), "--myocardium", str(far[0]), "--scar", str(far[1])]
    warned(options, r"Slice 3 of stack 2: only 0% of its wall meets the mesh", tmp_path / "out", capsys)
