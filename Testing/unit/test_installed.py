"""The extension configured, built, packaged and installed with CMake, on stand-ins of Slicer's macros."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
"""With the programs of the environment of the tests, cmake among them."""
INSTALLED = Path("lib/Slicer-5.10/qt-scripted-modules")


def cmake(*arguments: object, program: str = "cmake") -> subprocess.CompletedProcess[str]:
    """A program of CMake; the test is skipped where there is none, or no compiler, which CMake asks for."""
    found = shutil.which(program, path=PATH)
    if found is None or not any(shutil.which(each) for each in ("cc", "c++", "cl")):
        pytest.skip(f"{program} or a compiler is not installed")
    command = [found, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def configured(source: Path, build: Path) -> subprocess.CompletedProcess[str]:
    return cmake("-S", source, "-B", build, f"-DSlicer_DIR={ROOT / 'Testing' / 'cmake'}", "-DSlicer_VERSION=5.10")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configured build tree, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("build tree")
    done = configured(ROOT, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(build: Path) -> Path:
    """The package, unpacked: the folder that holds lib/."""
    done = cmake("--config", build / "CPackConfig.cmake", "-B", build / "package", program="cpack")
    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = (build / "package").glob("*.tar.gz")
    with tarfile.open(package) as archive:
        archive.extractall(build / "unpacked", filter="data")
    return build / "unpacked" / package.name.removesuffix(".tar.gz")


def test_modules_library_and_their_tests_reach_the_macros_of_slicer(build: Path) -> None:
    recorded = (build / "recorded.txt").read_text(encoding="utf-8").splitlines()
    modules = {line.split()[1]: line.split()[4] for line in recorded if line.startswith("module ")}
    assert modules == {"DeepReconLibrary": "FALSE"} | dict.fromkeys(
        ("ScarReconstruction", "CTPASynthesis", "DWMRIEnhance"), "TRUE"
    )
    assert {"config DeepRecon", "package TGZ"} <= set(recorded)
    tests = cmake("-N", "--test-dir", build, program="ctest").stdout
    assert all(
        f"py_{name}" in tests for name in ("DeepReconLibrary", "ScarReconstruction", "CTPASynthesis", "DWMRIEnhance")
    )


def test_a_file_that_is_listed_but_missing_ends_the_configuration(tmp_path: Path) -> None:
    for name in ("CMakeLists.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("Logic", "ScarReconstruction", "CTPASynthesis", "DWMRIEnhance", "Resources", "Testing"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "CMakeLists.txt").touch()
    shutil.copy(ROOT / "ScarReconstruction" / "CMakeLists.txt", tmp_path / "ScarReconstruction")
    done = configured(tmp_path, tmp_path / "build")
    assert done.returncode != 0
    assert "ScarReconstruction has no ScarReconstruction.py" in " ".join(done.stderr.split())


def test_the_package_holds_every_file_and_nothing_of_the_tests(installed: Path) -> None:
    folder = installed / INSTALLED
    library = {path.relative_to(ROOT / "Logic") for path in (ROOT / "Logic" / "deeprecon").rglob("*.py")}
    assert {path.relative_to(folder) for path in folder.rglob("*.py")} >= library
    assert [path.name for path in installed.rglob("*") if "test" in path.name.lower()] == []


def test_the_installed_modules_are_found_and_load_nothing_from_the_source_tree(installed: Path) -> None:
    folder = installed / INSTALLED
    result = subprocess.run(
        [
            *(sys.executable, "-m", "slicerhost", "--no-splash", "--testing", "--additional-module-paths", folder),
            *("--python-script", ROOT / "Testing" / "check_installed.py", folder),
        ],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(ROOT / "Testing" / "host"), "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("is complete in") == 3
