"""What grows with the data is done by a thread, not by the one of the GUI; times: benchmarks/gui_thread.py."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks import gui_thread

WATCHED = {
    "ctpa": (
        "deeprecon.scene.common.results.sha256",
        "deeprecon.scene.ctpa.result.read_volume",
        "deeprecon.scene.ctpa.job.write_volume",
        "deeprecon.scene.ctpa.xray.read_radiograph",
        "deeprecon.scene.ctpa.sample.sample_radiograph",
    ),
    "dwmri": (
        "deeprecon.scene.common.results.sha256",
        "deeprecon.scene.dwmri.result.read_dwi",
        "deeprecon.scene.dwmri.result.read_nifti",
        "deeprecon.scene.dwmri.job.write_dwi_with_doubts",
        "deeprecon.scene.dwmri.scan.read_dwi",
        "deeprecon.scene.dwmri.scan.usable_scan",
        "deeprecon.scene.dwmri.mask.find_mask",
        "deeprecon.scene.dwmri.gradients.fit_tensor",
        "deeprecon.scene.dwmri.sample.make_phantom",
    ),
    "scar": (
        "deeprecon.scene.common.results.sha256",
        "deeprecon.scene.common.results.read_segmentation",
        "deeprecon.scene.scar.job.write_volume",
        "deeprecon.scene.scar.job.write_segmentation",
        "deeprecon.scene.scar.sample.sample_case",
    ),
}
"""Method -> functions whose time grows with the data."""


@pytest.mark.parametrize("method", WATCHED)
def test_what_grows_with_the_data_is_done_apart(
    host: Any, probed: Any, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    gui_thread.MODULES[method][1](tmp_path, gui_thread.SHAPES["small"])
    callers: dict[str, set[bool]] = {}
    for name in WATCHED[method]:
        module, _, function = name.rpartition(".")
        original = getattr(importlib.import_module(module), function)
        monkeypatch.setattr(name, recorded(original, callers.setdefault(name, set())))
    monkeypatch.setattr("deeprecon.panels.common.run_panel.JobRunner", None)  # replaced by the benchmark
    calls = {call.name for call in gui_thread.measure(host, method, tmp_path)}
    assert callers == {name: {False} for name in WATCHED[method]}
    assert {"RunPanel._onApply", "Stepper._onTimer", "discard", "sample"} <= calls


def recorded(function: Callable[..., Any], callers: set[bool]) -> Callable[..., Any]:
    """The function, which notes whether the GUI thread calls it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        callers.add(threading.current_thread() is threading.main_thread())
        return function(*args, **kwargs)

    return call
