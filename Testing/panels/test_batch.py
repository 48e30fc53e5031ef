"""Without a window: the batch script always ends with a code, and panel, batch and shell give the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import MODULE, ROOT, apply

SCRIPT = ROOT / "ScarReconstruction" / "Resources" / "Scripts" / "reconstruct_scar.py"
HOST = [sys.executable, "-m", "slicerhost", "--no-splash", "--no-main-window", "--python-script", str(SCRIPT)]


def environment(*folders: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "QT_QPA_PLATFORM": "offscreen"}


def batch(*options: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """The script in the application without a main window."""
    return subprocess.run(
        [*HOST, *options],
        env=environment(ROOT / "Testing" / "host"),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tube of wall with scar on one side, as fractions in NIfTI files."""
    from deeprecon.data.volume import Volume
    from deeprecon.data.volume_io import write_volume

    folder = tmp_path_factory.mktemp("Fälle 症例")
    _, j, i = np.indices((4, 20, 20))
    radius = np.hypot(j - 9.5, i - 9.5)
    wall = ((radius > 5) & (radius < 9)).astype(np.float32)
    ijk_to_ras = np.diag([2.0, 2.0, 8.0, 1.0])
    write_volume(folder / "wall.nii.gz", Volume(wall, ijk_to_ras))
    write_volume(folder / "scar.nii.gz", Volume((wall * (i > 11)).astype(np.float32), ijk_to_ras))
    return folder


def test_the_script_exits_with_the_code_of_the_worker_and_prints_the_error(case: Path, tmp_path: Path) -> None:
    missing = batch("--scar", str(case / "missing.nii.gz"), "--output", str(tmp_path / "a"))
    assert missing.returncode == 2
    assert "missing.nii.gz" in missing.stdout + missing.stderr
    assert not (tmp_path / "a" / "result.json").exists()


def test_help_is_a_word_because_slicer_answers_the_option_itself() -> None:
    shown = batch("help")
    assert shown.returncode == 0
    assert "--slice-thickness" in shown.stdout


def test_the_script_ends_at_its_time_limit(case: Path, tmp_path: Path) -> None:
    options = ["--scar", str(case / "scar.nii.gz"), "--myocardium", str(case / "wall.nii.gz"), "--budget", "3000"]
    late = batch(*options, "--device", "cpu", "--output", str(tmp_path), "--time-limit", "3")
    assert late.returncode == 1
    assert "not finished after 3 seconds" in late.stderr


def test_panel_batch_and_shell_give_the_same_bits(host: Any, probed: Any, case: Path, tmp_path: Path) -> None:
    import qt
    import slicer

    from deeprecon.panels.computer.device_panel import DEVICE_SETTING

    # the panel
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(MODULE)
    wall = slicer.util.loadVolume(str(case / "wall.nii.gz"), properties={})
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(wall)
    scar = slicer.util.loadVolume(str(case / "scar.nii.gz"), properties={})
    for name, volume in (("Myocardium", wall), ("Scar", scar)):
        key = segmentation.GetSegmentation().AddEmptySegment(name, name)
        array = slicer.util.arrayFromVolume(volume).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, segmentation, key, volume)
    node = widget._parameterNode
    node.segmentation = segmentation
    node.settings.steps = 30
    node.settings.node_spacing = 3.0
    apply(host, widget)
    panel = widget.runPanel.folder / "output"
    job = json.loads((widget.runPanel.folder / "job.json").read_text(encoding="utf-8"))

    # the others, with the same files, steps and threads
    options = [
        "--scar", str(case / "scar.nii.gz"), "--myocardium", str(case / "wall.nii.gz"), "--steps", "30",
        "--node-spacing", "3", "--device", job["device"], "--threads", str(job["threads"]),
    ]  # fmt: skip
    scene = tmp_path / "scene.mrb"
    done = batch(*options, "--output", str(tmp_path / "batch"), "--scene", str(scene))
    assert done.returncode == 0, done.stdout + done.stderr
    assert scene.stat().st_size > 10_000
    command = [sys.executable, "-m", "deeprecon", "scar", "reconstruct", *options, "--output", str(tmp_path / "shell")]
    subprocess.run(command, env=environment(ROOT / "Logic"), check=True, capture_output=True, timeout=240)

    sums = {name: hashes(folder) for name, folder in
            (("panel", panel), ("batch", tmp_path / "batch"), ("shell", tmp_path / "shell"))}  # fmt: skip
    assert sums["batch"] == sums["shell"]
    assert sums["panel"] == sums["shell"]


def test_panel_and_shell_agree_on_oblique_images_segmentation_and_mesh(host: Any, probed: Any, tmp_path: Path) -> None:
    import qt
    import slicer

    from deeprecon.data.mesh.files import read_mesh
    from deeprecon.panels.computer.device_panel import DEVICE_SETTING
    from deeprecon.scar.simulate.hearts import sample_case, write_case

    files = write_case(sample_case(spacing=14, thickness=12, pixel=3, node_spacing=4), tmp_path / "case")
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(MODULE)
    node = widget._parameterNode
    node.inputVolume = slicer.util.loadVolume(str(files["lge"]), properties={})
    node.segmentation = slicer.util.loadSegmentation(str(files["segmentation"]), properties={})
    node.mesh = slicer.util.loadModel(str(files["mesh"]))
    node.settings.steps = 30
    widget.ui.scarSourceCombo.currentIndex = 1
    node.settings.threshold = "fwhm"
    node.settings.slice_thickness = 12.0
    apply(host, widget)
    panel = widget.runPanel.folder / "output"
    job = json.loads((widget.runPanel.folder / "job.json").read_text(encoding="utf-8"))

    options = [
        "--lge", str(files["lge"]), "--myocardium", str(files["segmentation"]), "--mesh", str(files["mesh"]),
        "--threshold", "fwhm", "--steps", "30", "--slice-thickness", "12", "--device", "cpu",
        "--threads", str(job["threads"]), "--output", str(tmp_path / "shell"),
    ]  # fmt: skip
    command = [sys.executable, "-m", "deeprecon", "scar", "reconstruct", *options]
    subprocess.run(command, env=environment(ROOT / "Logic"), check=True, capture_output=True, timeout=240)

    values = [read_mesh(folder / "mesh.vtu").dataset.GetPointData() for folder in (panel, tmp_path / "shell")]
    for name in ("scar_probability", "scar_uncertainty"):
        one, other = (np.asarray(arrays.GetArray(name)) for arrays in values)
        assert one.tobytes() == other.tobytes(), name
    assert (panel / "table.csv").read_bytes() == (tmp_path / "shell" / "table.csv").read_bytes()
    assert hashes(panel)["segmentation"] == hashes(tmp_path / "shell")["segmentation"]


def hashes(folder: Path) -> dict[str, str]:
    """Checksums of the results that hold numbers."""
    outputs = json.loads((folder / "result.json").read_text(encoding="utf-8"))["outputs"]
    return {role: outputs[role]["sha256"] for role in ("mesh", "segmentation", "table")}
