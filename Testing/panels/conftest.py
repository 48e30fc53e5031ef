"""Fixtures of the tests of the panels."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .scar_case import choose_small_case

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULE = ROOT / "ScarReconstruction" / "ScarReconstruction.py"

PROBE = {
    "python": "3.12",
    "platform": "test",
    "cores": 2,
    "ram_total": 8 * 2**30,
    "ram_free": 4 * 2**30,
    "torch": {"version": "2.9", "cuda": None, "architectures": []},
    "suggested": "cpu",
    "problem": None,
    "devices": [
        {"device": None, "name": "NVIDIA Test", "usable": False, "why": "its driver is missing.",
         "action": "Install the driver.", "memory_total": None, "memory_free": None, "gflops": None},
        {"device": "cpu", "name": "CPU", "usable": True, "why": "", "action": "", "memory_total": 8 * 2**30,
         "memory_free": 4 * 2**30, "gflops": 50.0},
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def torch_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any import of torch into this process, which represents the application, raises ImportError."""
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.fixture
def probed(host: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """This computer counts as checked."""
    from deeprecon.panels.computer.device_panel import DevicePanel

    monkeypatch.setattr(DevicePanel, "probed", PROBE)
    return PROBE


@pytest.fixture
def fake_worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Call it with a mode of fake_worker.py to have the next runs done by that."""

    def use(mode: str) -> None:
        from deeprecon.jobs.runner import JobRunner

        command = [sys.executable, str(HERE / "fake_worker.py"), mode]

        def make(folder: Path, _command: list[str], environment: dict[str, str]) -> JobRunner:
            return JobRunner(folder, command, environment)

        monkeypatch.setattr("deeprecon.panels.common.run_panel.JobRunner", make)

    return use


@pytest.fixture
def panel(host: Any, probed: Any, tmp_path: Path) -> Iterator[Any]:
    """A run panel alone, ready to start; `panel.calls` lists the calls of its callbacks, `panel.loaded` the folders."""
    import qt

    from deeprecon.jobs.job import Job
    from deeprecon.panels.common.run_callbacks import RunCallbacks
    from deeprecon.panels.common.run_panel import RunPanel
    from deeprecon.panels.computer.device_panel import DevicePanel

    window = qt.QWidget()
    window.setLayout(qt.QVBoxLayout())
    calls: list[str] = []
    loaded: list[Path] = []

    def prepare() -> Path:
        calls.append("prepare")
        folder = tmp_path / f"job {len(calls)}"
        Job("scar", "reconstruct").save(folder)
        return folder

    def load(folder: Path) -> str:
        calls.append("load")
        loaded.append(folder)
        return "Scar volume: 1 ml."

    device = DevicePanel(window.layout(), lambda: None)
    callbacks = RunCallbacks(prepare, load, lambda: calls.append("repeat"), lambda: None)
    made = RunPanel(window.layout(), callbacks, device, "Test curves")
    made.setReady(True)
    made.calls, made.loaded = calls, loaded
    window.show()
    yield made
    made.cleanup()
    window.close()


@pytest.fixture
def widget(host: Any, probed: Any, request: pytest.FixtureRequest) -> Any:
    """The open panel of the test file's MODULE, or of ScarReconstruction, everything on the CPU, its sections open."""
    import qt

    from deeprecon.panels.computer.device_panel import DEVICE_SETTING

    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    return with_open_sections(host.loadModule(getattr(request.module, "MODULE", MODULE)))


def with_open_sections(widget: Any) -> Any:
    """The panel with the sections open whose contents are looked at."""
    for name in ("moreInputs", "observation", "gradients", "settings", "atlas", "model", "results"):
        if hasattr(widget.ui, f"{name}CollapsibleButton"):
            getattr(widget.ui, f"{name}CollapsibleButton").collapsed = False
    return widget


@pytest.fixture
def ready(host: Any, widget: Any) -> Any:
    """The open panel with a small hand-made case: a tube of wall with scar on one side; no mesh."""
    choose_small_case(widget._parameterNode)
    return widget


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, _slicer_host: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The open panel of the test file's CASE for all of its tests, see scene_events.py."""
    from .scene_events import make_bench

    _slicer_host.reset()
    with pytest.MonkeyPatch.context() as monkeypatch:
        import deeprecon.panels.computer.device_panel as device_panel

        monkeypatch.setattr(device_panel.DevicePanel, "probed", PROBE)
        yield make_bench(_slicer_host, request.module.CASE, monkeypatch, tmp_path_factory.mktemp("scene events"))
    _slicer_host.closeModules()
    errors = _slicer_host.slotErrors()
    _slicer_host.reset()
    assert not errors, "\n".join(text for _, _, text in errors)


def apply(host: Any, widget: Any, timeout: float = 480.0) -> str:
    """Press Apply, wait for the end, return the message."""
    assert widget.runPanel.ui.applyButton.enabled, widget.runPanel.ui.applyButton.toolTip
    widget.runPanel.ui.applyButton.click()
    host.waitFor(lambda: not widget.runPanel.busy, timeout)
    return str(widget.runPanel.ui.messageLabel.text)


def press(host: Any, button: Any, timeout: float = 600.0) -> None:
    """Press a button that starts work in steps, and wait until it can be pressed again."""
    button.click()
    host.waitFor(lambda: button.enabled, timeout)


def wait_until_gone(pids: list[int], timeout: float = 120.0) -> list[int]:
    """Those of the processes that are still there after `timeout` seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        left = [pid for pid in pids if _alive(pid)]
        if not left:
            return []
        time.sleep(0.05)
    return left


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
