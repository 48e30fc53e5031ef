"""Diffusion without a window: the batch script always ends with a code; panel and batch give the same bits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .conftest import ROOT, apply
from .test_batch import environment

MODULE = ROOT / "DWMRIEnhance" / "DWMRIEnhance.py"
SCRIPT = ROOT / "DWMRIEnhance" / "Resources" / "Scripts" / "enhance_dwi.py"
HOST = [sys.executable, "-m", "slicerhost", "--no-splash", "--no-main-window", "--python-script", str(SCRIPT)]


def batch(*options: str) -> subprocess.CompletedProcess[str]:
    """The script in the application without a main window."""
    return subprocess.run(
        [*HOST, *options],
        env=environment(ROOT / "Testing" / "host"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_script_exits_with_the_code_of_the_worker_and_prints_the_error(tmp_path: Path) -> None:
    missing = batch("--dwi", str(tmp_path / "missing.nii.gz"), "--output", str(tmp_path / "a"))
    assert missing.returncode == 2
    assert "missing.nii.gz" in missing.stdout + missing.stderr
    assert not (tmp_path / "a" / "result.json").exists()


def test_panel_and_batch_give_the_same_bits(host: Any, probed: Any, tmp_path: Path) -> None:
    import qt

    from deeprecon.data.diffusion.files import read_dwi, write_dwi
    from deeprecon.dwmri.parameters import Method
    from deeprecon.dwmri.simulate.head import make_phantom
    from deeprecon.panels.computer.device_panel import DEVICE_SETTING
    from deeprecon.scene.dwmri.scan import node_from_scan

    write_dwi(tmp_path / "scan.nrrd", make_phantom((8, 16, 18), 1, ((1000.0, 8),), 20.0).noisy)
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(MODULE)
    node = widget._parameterNode
    node.inputScan = node_from_scan(read_dwi(tmp_path / "scan.nrrd"), "Patient DWI")
    node.settings.method = Method.PCA
    apply(host, widget)
    panel = widget.runPanel.folder / "output"
    job = json.loads((widget.runPanel.folder / "job.json").read_text(encoding="utf-8"))
    options = ["--dwi", str(tmp_path / "scan.nrrd"), "--method", "pca", "--device", job["device"]]
    done = batch(*options, "--threads", str(job["threads"]), "--output", str(tmp_path / "batch"),
                 "--scene", str(tmp_path / "scene.mrb"))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "scene.mrb").stat().st_size > 10_000
    assert hashes(tmp_path / "batch") == hashes(panel)


def hashes(folder: Path) -> dict[str, str]:
    """Checksums of the results that hold numbers."""
    outputs = json.loads((folder / "result.json").read_text(encoding="utf-8"))["outputs"]
    roles = ("dwi", "noise", "residual", "mask", "uncertainty", "fa_after", "md_after", "color_fa_after")
    return {role: outputs[role]["sha256"] for role in roles}
