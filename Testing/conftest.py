"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import platform
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SLOW_TESTS = Path(__file__).with_name("slow_tests.txt")
"""Tests and test files, one a line, that `-m "not slow"` leaves out; `--record-slow` writes it."""
SLOW_TEST, BUDGET = 0.5, 80.0
"""Seconds from which a test is slow, and what all others may take together; else the slowest files are left out."""
IN_SLICER = getattr(sys.modules.get("slicer"), "app", None) is not None
"""Whether an application runs already, which then runs the tests (run_in_slicer.py) and whose scene they use."""
NOT_IN_SLICER = {
    "host/tests/": "tests the stand-in of Slicer",
    "panels/test_gui_thread.py": "is measured in the stand-in of Slicer",
    "panels/test_parameter_storage.py": "compares Slicer with its stand-in",
    "panels/test_static.py": "compares the modules with the stand-in of Slicer",
    "unit/test_installed.py": "builds and installs the extension for the stand-in of Slicer",
}
"""Files of tests, by the beginning of their names, that are skipped in Slicer, besides those that name `slicerhost`."""


def why_not_in_slicer(item: pytest.Item) -> str:
    """Why a test is skipped in Slicer; empty if it runs there."""
    named = (reason for beginning, reason in NOT_IN_SLICER.items() if item.nodeid.startswith(beginning))
    starts = "starts the stand-in of Slicer" if "slicerhost" in item.path.read_text(encoding="utf-8") else ""
    return next(named, starts)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-slow", action="store_true", help="write slow_tests.txt from the durations of this run")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = set(SLOW_TESTS.read_text(encoding="utf-8").splitlines()) if SLOW_TESTS.is_file() else set()
    for item in items:
        if IN_SLICER and (reason := why_not_in_slicer(item)):
            item.add_marker(pytest.mark.skip(reason=reason))
        if item.nodeid in slow or item.nodeid.partition("::")[0] in slow:
            item.add_marker(pytest.mark.slow)


class SlowTests:
    """Collects the durations of a run of all tests, on a machine that does nothing else, for `SLOW_TESTS`."""

    def __init__(self) -> None:
        self._durations: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._durations[report.nodeid.partition("::")[0]][report.nodeid, report.when] = report.duration

    def pytest_sessionfinish(self) -> None:
        slow, left = {}, {}
        for file, durations in self._durations.items():
            slow[file] = {test for (test, when), seconds in durations.items() if when == "call" and seconds > SLOW_TEST}
            left[file] = sum(
                seconds for (test, when), seconds in durations.items() if when != "call" or test not in slow[file]
            )
        while sum(left.values()) > BUDGET:
            file = max(left, key=lambda file: left[file])
            slow[file] = {file}
            del left[file]
        lines = sorted(line for part in slow.values() for line in part)
        SLOW_TESTS.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--record-slow") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SlowTests())


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of public data for tests, from the environment variable DEEPRECON_DATA or beside the repository."""
    folder = Path(os.environ.get("DEEPRECON_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set DEEPRECON_DATA to their folder")
    return folder


def pytest_report_header() -> str:
    """The application that runs the tests."""
    if not IN_SLICER:
        from slicerhost import pythonlayer

        folder = pythonlayer.folder()
        return f"in the stand-in of Slicer, {'stand-ins' if folder is None else folder} as its Python layer"
    import qt
    import slicer

    version = getattr(qt, "qVersion", lambda: "of unknown version")()
    return f"in Slicer {slicer.app.applicationVersion}, Qt {version}, Python {platform.python_version()}"


@pytest.fixture(scope="session")
def _slicer_core() -> Iterator[Any]:
    from slicerhost import core

    started = core.start()
    yield started
    started.close()


@pytest.fixture(scope="session")
def _slicer_host(request: pytest.FixtureRequest) -> Iterator[Any]:
    if IN_SLICER:
        from running_application import RunningApplication

        started: Any = RunningApplication()
    else:
        request.getfixturevalue("_slicer_core")
        import slicerhost

        started = slicerhost.start()
    yield started
    started.close()


@pytest.fixture
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The empty MRML scene (`slicer.mrmlScene`) with Slicer's logics, without the application (no `slicer.app`)."""
    if IN_SLICER:
        import slicer

        slicer.mrmlScene.Clear()
        yield slicer.mrmlScene
        slicer.mrmlScene.Clear()
        return
    _slicer_core = request.getfixturevalue("_slicer_core")
    import slicer

    if "host" not in request.fixturenames:
        monkeypatch.delattr(slicer, "app", raising=False)
    _slicer_core.clear()
    yield _slicer_core.scene
    _slicer_core.clear()


@pytest.fixture
def host(_slicer_host: Any) -> Iterator[Any]:
    """The stand-in Slicer application, or the one that runs the tests, with an empty scene.

    An exception left in a slot fails the test.
    """
    _slicer_host.reset()
    yield _slicer_host
    _slicer_host.closeModules()
    errors = _slicer_host.slotErrors()
    _slicer_host.reset()
    assert not errors, "\n".join(text for _, _, text in errors)
