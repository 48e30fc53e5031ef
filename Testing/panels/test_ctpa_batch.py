"""X-rays to CT with the real worker and a tiny model: the panel loads its results, batch gives the same bits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import ROOT, apply, press
from .test_batch import environment

MODULE = ROOT / "CTPASynthesis" / "CTPASynthesis.py"
SCRIPT = ROOT / "CTPASynthesis" / "Resources" / "Scripts" / "synthesize_ctpa.py"
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


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of a few thousand weights; made in another process, because this one must not import torch."""
    code = "import sys, pathlib; from test_ctpa_synthesize import make_bundle; make_bundle(pathlib.Path(sys.argv[1]))"
    folders = environment(ROOT / "Logic", ROOT / "Testing" / "unit" / "ctpa")
    folder = tmp_path_factory.mktemp("model") / "tiny"
    subprocess.run([sys.executable, "-c", code, str(folder)], env=folders, check=True, timeout=120)
    return folder


def test_the_script_exits_with_the_code_of_the_worker_and_prints_the_error(tmp_path: Path) -> None:
    missing = batch("--xray", str(tmp_path / "missing.dcm"), "--output", str(tmp_path / "a"))
    assert missing.returncode == 2
    assert "missing.dcm" in missing.stdout + missing.stderr
    assert not (tmp_path / "a" / "result.json").exists()


def test_panel_and_batch_give_the_same_bits(
    host: Any, probed: Any, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qt

    from deeprecon.panels.computer.device_panel import DEVICE_SETTING
    from deeprecon.scene.common.results import nodes_of_run
    from deeprecon.scene.ctpa.sample import sample_radiograph
    from deeprecon.scene.ctpa.xray import node_from_radiograph, write_xray

    monkeypatch.setattr("deeprecon.ctpa.demonstrator.demonstrator_folder", lambda: tiny)
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = host.loadModule(MODULE)
    node = widget._parameterNode
    node.xray = node_from_radiograph(sample_radiograph(), "Patient film")
    node.settings.steps, node.seed = 2, 5
    node.useModel = True  # the tiny demonstrator is known only in this process
    widget.bundlePanel.ui.folderEdit.currentPath = str(tiny)
    message = apply(host, widget)
    assert widget.runPanel.state.value == "done", message
    made = nodes_of_run(node.outputCt)
    assert set(made) == {"ct", "sample_01", "sample_02", "spread", "xray", "projected", "difference", "figures"}
    assert "demonstrator" in widget.ctPanel.ui.qualityLabel.text
    assert not widget.ctPanel.ui.projectionLabel.pixmap.isNull()
    assert made["ct"].GetSpacing()[0] == pytest.approx(358 / 48, rel=1e-4)

    job = json.loads((widget.runPanel.folder / "job.json").read_text(encoding="utf-8"))
    file, film = write_xray(node.xray, tmp_path)
    assert film is not None
    options = [
        "--xray",
        str(tmp_path / file),
        "--view",
        film.view,
        "--bundle",
        str(tiny),
        "--steps",
        "2",
        "--seed",
        "5",
    ]
    machine = ["--device", job["device"], "--threads", str(job["threads"]), "--precision", job["precision"]]
    done = batch(*options, *machine, "--output", str(tmp_path / "batch"), "--scene", str(tmp_path / "scene.mrb"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "scene.mrb").stat().st_size > 10_000
    assert hashes(tmp_path / "batch") == hashes(widget.runPanel.folder / "output")


def test_an_assumed_pixel_size_is_stated_in_the_result(
    host: Any, probed: Any, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qt
    import SimpleITK as sitk

    from deeprecon.panels.computer.device_panel import DEVICE_SETTING
    from deeprecon.scene.ctpa.sample import sample_radiograph

    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    picture = np.rint(60_000 * sample_radiograph().image).astype(np.uint16)
    sitk.WriteImage(sitk.GetImageFromArray(picture), str(tmp_path / "film.png"))
    monkeypatch.setattr("deeprecon.ctpa.demonstrator.demonstrator_folder", lambda: tiny)
    widget = host.loadModule(MODULE)
    widget.ui.fileEdit.currentPath = str(tmp_path / "film.png")
    press(host, widget.ui.openButton)
    assert "not stated" in widget.ui.xrayLabel.text
    widget._parameterNode.settings.steps, widget._parameterNode.settings.samples = 2, 1
    widget._parameterNode.useModel = True
    widget.bundlePanel.ui.folderEdit.currentPath = str(tiny)
    apply(host, widget)
    reasons = widget.ctPanel.ui.qualityLabel.text
    assert "PA" in reasons
    assert "mm" in reasons


def hashes(folder: Path) -> dict[str, str]:
    """Checksums of the results that hold numbers."""
    outputs = json.loads((folder / "result.json").read_text(encoding="utf-8"))["outputs"]
    roles = ("ct", "sample_01", "sample_02", "spread", "xray", "projected", "difference")
    return {role: outputs[role]["sha256"] for role in roles}
