"""The wheel holds all that the library needs, and runs from where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deeprecon.jobs.job import VERSION

LOGIC = Path(__file__).resolve().parents[2] / "Logic"


def run(arguments: list[str], folder: Path, library: Path | None = None) -> str:
    """Run Python in a folder, with a library ahead of the environment's packages; returns what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if library is not None:
        environment["PYTHONPATH"] = str(library)
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy of the sources, so that nothing is left beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(LOGIC, folder / "Logic", ignore=shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "build"))
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    run(["-m", "pip", "wheel", *options, "--no-build-isolation", "-w", ".", "./Logic"], folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the wheel is installed, aside from the environment."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-compile"]
    run(["-m", "pip", "install", *options, "--target", str(target), str(wheel)], target)
    return target


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("deeprecon/")}
    files = (path for path in (LOGIC / "deeprecon").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert names == {path.relative_to(LOGIC).as_posix() for path in files}
    assert {"deeprecon/py.typed", "deeprecon/Resources/UI/RunPanel.ui"} <= names


def test_the_wheel_has_the_version_of_the_library(wheel: Path) -> None:
    assert wheel.name.split("-")[1] == VERSION


def test_the_wheel_holds_the_licence(wheel: Path) -> None:
    text = (LOGIC.parent / "LICENSE").read_bytes()
    assert (LOGIC / "LICENSE").read_bytes() == text
    with zipfile.ZipFile(wheel) as files:
        assert files.read(f"deeprecon-{VERSION}.dist-info/licenses/LICENSE") == text


def test_the_installed_library_finds_its_demonstrator_forms_and_lock_file(installed: Path, tmp_path: Path) -> None:
    script = """
import deeprecon.resources
from deeprecon.ctpa.demonstrator import demonstrator_folder
from deeprecon.resources import resource_path
from deeprecon.training.bundle import read_bundle
print(deeprecon.resources.__file__)
print(read_bundle(demonstrator_folder(), "ctpa").metadata["name"])
print(resource_path("UI", "RunPanel.ui"), resource_path("requirements", "overlay.lock"))
"""
    place, name, others = run(["-c", script], tmp_path, installed).splitlines()
    assert Path(place).is_relative_to(installed)
    assert "demonstrator" in name
    assert others.count(str(installed)) == 2


def test_the_console_script_of_the_wheel_runs_a_verb_and_writes_the_schema(installed: Path, tmp_path: Path) -> None:
    (script,) = (installed / ("Scripts" if os.name == "nt" else "bin")).glob("deeprecon*")
    assert run([str(script), "--version"], tmp_path, installed).strip() == VERSION
    run([str(script), "seizure", "configure", "--output", "out"], tmp_path, installed)
    written = json.loads((tmp_path / "out" / "config.schema.json").read_text(encoding="utf-8"))
    shipped = installed / "deeprecon" / "Resources" / "seizure" / "config.schema.json"
    assert written == json.loads(shipped.read_text(encoding="utf-8"))
