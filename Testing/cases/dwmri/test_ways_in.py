"""Each kind of file through shell, batch and panel: the same right value."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from deeprecon.data.errors import InputError
from deeprecon.dwmri.parameters import EnhanceParameters, Method
from deeprecon.worker import run_job

from .files import codes, result, runner
from .further.files import AFFINE, SIGMA, Head, bids, dicom, head, nifti, table

MADE = head()
PARTS = gaussian_filter(MADE.mask.astype(np.float64), 1.5)


@dataclass(frozen=True)
class Kind:
    """Files of a kind and what is right about them.

    Attributes:
        write: makes the files in a folder; the inputs by the names of the options.
        refused: words of the refusal; empty where the scan is read.
        codes: of the doubts.
        figures: of the result.
    """

    write: Callable[[Path], dict[str, Path]]
    refused: str = ""
    codes: frozenset[str] = frozenset()
    figures: dict[str, Any] = field(default_factory=dict)


def plain(folder: Path, array: Any = None, b: Any = MADE.b, directions: Any = MADE.directions) -> dict[str, Path]:
    return {"dwi": nifti(folder / "dwi.nii.gz", MADE.noisy if array is None else array, b, directions)}


def repaired(folder: Path) -> dict[str, Path]:
    array = MADE.noisy.copy()
    array[:, :, 1:9, 7] = array[:, :, 1:9, [v for v in range(3, 18) if v != 7]].mean(-1)
    return plain(folder, array)


def damaged(folder: Path) -> dict[str, Path]:
    inputs = plain(folder)
    content = bytearray(inputs["dwi"].read_bytes())
    content[-6] ^= 255
    inputs["dwi"].write_bytes(bytes(content))
    return inputs


def phase(folder: Path) -> dict[str, Path]:
    array = np.random.default_rng(0).integers(-4096, 4096, MADE.noisy.shape).astype(np.int16)
    return {"dwi": nifti(folder / "sub-01_part-phase_dwi.nii.gz", array, MADE.b, MADE.directions)}


def wrapped(folder: Path) -> dict[str, Path]:
    return plain(folder, (MADE.noisy / MADE.noisy.max() * 50000).astype(np.uint16).view(np.int16))


def probability(folder: Path) -> dict[str, Path]:
    return plain(folder) | {"mask": nifti(folder / "mask.nii.gz", PARTS.astype(np.float32))}


def high_b0(folder: Path) -> dict[str, Path]:
    return plain(folder, b=np.r_[60, 65, 55, MADE.b[3:]], directions=np.r_[[[0.6, 0, 0.8]] * 3, MADE.directions[3:]])


def trace(folder: Path) -> dict[str, Path]:
    array = np.concatenate([MADE.noisy, MADE.noisy[..., 3:].mean(-1, keepdims=True)], -1)
    return plain(folder, array, np.r_[MADE.b, 1000], np.r_[MADE.directions, np.zeros((1, 3))])


def rotated(folder: Path) -> dict[str, Path]:
    inputs = plain(folder)
    return inputs | {"bvec": (folder / "dwi.bvec").rename(folder / "dwi.eddy_rotated_bvecs")}


def nifti2(folder: Path) -> dict[str, Path]:
    """With the volumes in the 5th axis, not compressed in spite of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    content = nibabel.Nifti2Image(MADE.noisy[:, :, :, None], AFFINE).to_bytes()
    (folder / "dwi.nii.gz").write_bytes(content)
    return {"dwi": table(folder / "dwi.nii.gz", MADE.b, MADE.directions)}


def bare(folder: Path) -> dict[str, Path]:
    small = Head(MADE.noisy[:, :, :4], MADE.clean, MADE.b, MADE.directions, MADE.mask)
    series = dicom(folder / "series", small)
    for path in series.iterdir():
        path.write_bytes(path.read_bytes()[132:])
    return {"dwi": series}


READ = {"volumes": 18, "b0_volumes": 3}
KINDS = {
    "01 repaired": Kind(repaired, figures={"noise_level": pytest.approx(SIGMA, rel=0.15)}),
    "02 damaged": Kind(damaged, "cut off or damaged"),
    "03 phase": Kind(phase, "phase image", frozenset({"phase-image"})),
    "04 wrapped": Kind(wrapped, "unsigned 16-bit", frozenset({"wrapped-16-bit"})),
    "06 probability": Kind(
        probability, codes=frozenset({"mask-probability"}), figures={"mask_voxels": int((PARTS > 0.5).sum())}
    ),
    "17 b0 of 60": Kind(high_b0, codes=frozenset({"b0-threshold"}), figures=READ),
    "18 trace": Kind(trace, codes=frozenset({"trace-volume"}), figures=READ),
    "19 other name": Kind(rotated, figures=READ),
    "21 NIfTI-2, 5D": Kind(nifti2, figures=READ),
    "22 no preamble": Kind(bare, figures=READ),
}
"""By the number of the case."""
NOT_IN_THE_PANEL = {
    "06 probability": "Slicer's label maps and segmentations have no probabilities",
    "19 other name": "the panel takes the tables that have the scan's name, and says that there are none",
}
"""Kinds that the panel cannot be given, and why."""
NOT_LOADED = {
    "21 NIfTI-2, 5D": "Slicer's own reader refuses the file",
    "22 no preamble": "Slicer loads DICOM through its database, which keeps the files as they are",
}
"""Kinds that Slicer does not load as a sequence, and why."""
OPENED, LOADED = "opened", "loaded"
"""Ways into the panel: by its button, or as a sequence that Slicer loaded."""


def judge(kind: Kind, output: Path) -> None:
    """Check codes and figures of a result."""
    assert codes(output) == kind.codes
    metrics = result(output)["metrics"]
    assert {name: metrics[name] for name in kind.figures} == kind.figures


def verb_of(kind: Kind) -> list[str]:
    return ["enhance", "--method", "pca"] if "noise_level" in kind.figures else ["prepare"]


@pytest.mark.parametrize("name", KINDS)
def test_shell(name, tmp_path, capsys):
    kind, run = KINDS[name], runner(tmp_path)
    inputs = kind.write(tmp_path)
    options = [*verb_of(kind), *(part for role, path in inputs.items() for part in (f"--{role}", path))]
    code, output = run(*options)
    if not kind.refused:
        assert code == 0
        return judge(kind, output)
    assert code == 2
    message = capsys.readouterr().err
    assert inputs["dwi"].name in message
    assert kind.refused in message
    if kind.codes:
        assert f"--accept {' '.join(kind.codes)}" in message
        code, output = run(*options, "--accept", *kind.codes, name="accepted")
        assert code == 0
        judge(kind, output)
    return None


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Output folder and summary by case, of `prepare --cases` and, where noise is measured, of `enhance --cases`."""
    folder = tmp_path_factory.mktemp("batch")
    rows: dict[str, list[dict[str, str]]] = {"prepare": [], "enhance": []}
    for name, kind in KINDS.items():
        place = name[:2]
        inputs = {role: path.relative_to(folder).as_posix() for role, path in kind.write(folder / place).items()}
        rows[verb_of(kind)[0]].append({"case": place, **inputs})
        if kind.codes and kind.refused:
            accepted = {"case": f"{place}-accepted", **inputs, "accept": ";".join(kind.codes)}
            rows[verb_of(kind)[0]].append(accepted)
    summary = {}
    for verb, cases in rows.items():
        with open(folder / f"{verb}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["case", "dwi", "bvec", "mask", "accept"])
            writer.writeheader()
            writer.writerows(cases)
        method = ["--method", "pca"] if verb == "enhance" else []
        _, output = runner(folder)(verb, "--cases", folder / f"{verb}.csv", *method, name=verb)
        with open(output / "summary.csv", encoding="utf-8-sig", newline="") as file:
            summary |= {row["case"]: (output / row["case"], row) for row in csv.DictReader(file)}
    return summary


@pytest.mark.parametrize("name", KINDS)
def test_batch(name, batch):
    kind = KINDS[name]
    output, row = batch[name[:2]]
    if not kind.refused:
        assert row["status"] == "done"
        return judge(kind, output)
    assert row["status"] == "input"
    assert kind.refused in " ".join(row.values())
    if kind.codes:
        output, row = batch[f"{name[:2]}-accepted"]
        assert row["status"] == "done"
        judge(kind, output)
    return None


def test_a_phase_in_a_dataset_is_left_out_and_named(tmp_path):
    root = bids(tmp_path / "ds")
    phase(root / "sub-01/dwi")
    nifti(root / "sub-01/dwi/sub-01_part-mag_dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    code, output = runner(tmp_path)("enhance", "--bids", root, "--method", "pca")
    assert code == 0
    assert codes(output) == {"part-left-out"}
    assert [path.name for path in output.rglob("*denoised*.nii.gz")] == ["sub-01_part-mag_desc-denoised_dwi.nii.gz"]


def loaded(path: Path) -> Any:
    """The sequence that Slicer makes of a file."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", path.name.split(".")[0])
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeSequenceStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    node.SetAndObserveStorageNodeID(storage.GetID())
    return node


WAYS = [
    (name, way)
    for name in KINDS
    for way in (OPENED, LOADED)
    if name not in NOT_IN_THE_PANEL and not (way == LOADED and name in NOT_LOADED)
]


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_panel(name, way, tmp_path, scene):
    from deeprecon.jobs.job import Job
    from deeprecon.scene.dwmri.job import DwiNodes, write_job
    from deeprecon.scene.dwmri.scan import open_scan

    kind, job = KINDS[name], tmp_path / "job"
    path = kind.write(tmp_path / "scan")["dwi"]
    path = next(path.iterdir()) if path.is_dir() else path
    parameters = EnhanceParameters(method=Method.PCA)
    if kind.refused and not kind.codes:
        with pytest.raises(InputError, match=kind.refused):
            write_job(job, DwiNodes(open_scan(path) if way == OPENED else loaded(path)), parameters, device="cpu")
        return
    node = open_scan(path) if way == OPENED else loaded(path)
    write_job(job, DwiNodes(node), parameters, device="cpu")
    if kind.refused:
        assert run_job(job) == 2
        assert kind.refused in (job / "events.jsonl").read_text("utf-8")
        accepting = Job.load(job)
        accepting.accept.extend(kind.codes)
        accepting.save(job)
    assert run_job(job) == 0
    judge(kind, job / "output")


@pytest.mark.parametrize(("part", "code"), [("imag", "phase-image"), ("real", "real-valued")])
def test_a_sequence_that_slicer_loaded_keeps_what_its_name_says(part, code, tmp_path, scene):
    """Its values are those of a magnitude, so that only the name of the file tells."""
    from deeprecon.scene.dwmri.scan import scan_from_node

    path = nifti(tmp_path / f"sub-01_part-{part}_dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    assert [doubt.code for doubt in scan_from_node(loaded(path)).doubts] == [code]


def test_the_panel_names_the_table_that_it_misses(tmp_path, scene):
    from deeprecon.scene.dwmri.scan import open_scan

    with pytest.raises(InputError, match="no bvec file"):
        open_scan(rotated(tmp_path)["dwi"])


@pytest.mark.parametrize("way", [OPENED, LOADED])
def test_the_panel_keeps_the_sidecar_of_a_scan(way, tmp_path, scene):
    from deeprecon.scene.dwmri.job import DwiNodes, write_job
    from deeprecon.scene.dwmri.scan import open_scan

    path = nifti(tmp_path / "scan.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    entries = {"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05}
    path.with_name("scan.json").write_text(json.dumps(entries), encoding="utf-8")
    job = tmp_path / "job"
    node = open_scan(path) if way == OPENED else loaded(path)
    write_job(job, DwiNodes(node), EnhanceParameters(method=Method.PCA), device="cpu")
    assert run_job(job) == 0
    assert json.loads((job / "output" / "dwi.json").read_text("utf-8")) == entries
