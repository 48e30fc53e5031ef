"""A small case of CTPASynthesis: a hand-made model, a small film, and a worker that writes a result at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import HERE, ROOT, with_open_sections

MODULE = ROOT / "CTPASynthesis" / "CTPASynthesis.py"
CARD = {
    "autoencoder": {"widths": [8, 8, 16, 16]},
    "denoiser": {"widths": [32, 64], "latent": 8},
    "latent_grid": {"shape": [38, 32, 32], "field": [358.0, 358.0, 365.0]},
}
"""The parameters of a model bundle that the panel reads."""


def write_model(folder: Path) -> Path:
    """Write a bundle that can be chosen, but holds no usable weights; returns its folder."""
    from deeprecon.data.files import sha256, write_json
    from deeprecon.training.bundle import FORMAT

    for part in ("configs", "models", "docs"):
        (folder / part).mkdir(parents=True)
    (folder / "models" / "denoiser.safetensors").write_bytes(b"weights")
    (folder / "docs" / "README.md").write_text("A model.", encoding="utf-8")
    names = ("models/denoiser.safetensors", "docs/README.md")
    words = ("network", "version", "license", "monai_version", "pytorch_version", "numpy_version")
    card = {
        **dict.fromkeys(words, "1"),
        "format": FORMAT,
        "method": "ctpa",
        "name": "Test model",
        "description": "Made of phantoms alone.",
        "valid_for": "nothing",
        "training_data": "phantoms",
        "network_data_format": {},
        "parameters": CARD,
        "files": {name: sha256(folder / name) for name in names},
    }
    write_json(folder / "configs" / "metadata.json", card)
    return folder


def open_panel(host: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The open panel, everything on the CPU, with `model` in place of the demonstrator, and its method the network."""
    import qt

    from deeprecon.ctpa.parameters import MethodName
    from deeprecon.panels.computer.device_panel import DEVICE_SETTING

    monkeypatch.setattr("deeprecon.ctpa.demonstrator.demonstrator_folder", lambda: model)
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    widget = with_open_sections(host.loadModule(MODULE))
    widget._parameterNode.settings.method = MethodName.NETWORK
    return widget


def choose_small_film(widget: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Choose a small X-ray, and have a worker write a small result at once; returns the panel."""
    from deeprecon.data.radiograph import Radiograph
    from deeprecon.jobs.runner import JobRunner
    from deeprecon.scene.ctpa.xray import node_from_radiograph

    command = [sys.executable, str(HERE / "ctpa_fake_worker.py")]

    def make(folder: Path, _command: list[str], environment: dict[str, str]) -> JobRunner:
        return JobRunner(folder, command, environment)

    monkeypatch.setattr("deeprecon.panels.common.run_panel.JobRunner", make)
    image = np.random.default_rng(0).random((96, 80), np.float32)
    widget._parameterNode.xray = node_from_radiograph(Radiograph(image, (4.0, 4.0), "PA", "x"), "Patient film")
    return widget


def composites() -> list[Any]:
    import slicer

    manager = slicer.app.layoutManager()
    return [manager.sliceWidget(name).mrmlSliceCompositeNode() for name in ("Red", "Yellow", "Green")]
