"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of public data for tests, from the environment variable DEEPRECON_DATA or beside the repository."""
    folder = Path(os.environ.get("DEEPRECON_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set DEEPRECON_DATA to their folder")
    return folder


def in_slicer() -> bool:
    """Whether the tests run inside the real application (Testing/run_in_slicer.py), whose own scene they then use."""
    return "slicerhost" not in sys.modules and getattr(sys.modules.get("slicer"), "app", None) is not None


@pytest.fixture(scope="session")
def _slicer_core() -> Iterator[Any]:
    from slicerhost import core

    started = core.start()
    yield started
    started.close()


@pytest.fixture(scope="session")
def _slicer_host(_slicer_core: Any) -> Iterator[Any]:
    import slicerhost

    started = slicerhost.start()
    yield started
    started.close()


@pytest.fixture
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The empty MRML scene (`slicer.mrmlScene`) with Slicer's logics, without the application (no `slicer.app`)."""
    if in_slicer():
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
    """The stand-in Slicer application with an empty scene; an exception left in a slot fails the test."""
    _slicer_host.reset()
    yield _slicer_host
    _slicer_host.closeModules()
    errors = _slicer_host.slotErrors()
    _slicer_host.reset()
    assert not errors, "\n".join(text for _, _, text in errors)
