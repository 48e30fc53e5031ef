"""What no other test would notice: a file not installed, an import that breaks Slicer's start, a stale lock file."""

from __future__ import annotations

import ast
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from deeprecon.jobs.verbs import METHODS

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "Logic" / "deeprecon"
MODULES = [path.parent for path in ROOT.glob("*/CMakeLists.txt") if (path.parent / f"{path.parent.name}.py").exists()]
IMPORTABLE_BEFORE_INSTALLATION = [
    "numerics/*.py",
    "data/**/*.py",
    "jobs/*.py",
    "*/parameters.py",
    "scar/electrophysiology/parameters.py",
    "*/simulate/*.py",
    "training/bundle.py",
]
INSTALLED_LATER = (
    "torch",
    "nibabel",
    "SimpleITK",
    "matplotlib",
    "jsonargparse",
    "safetensors",
    "pydicom",
    "lightning_fabric",
)


def cmake_list(path: Path, name: str) -> set[str]:
    """Entries of set(NAME ...) in a CMake file."""
    match = re.search(rf"set\({name}\s+([^)]*)\)", path.read_text(encoding="utf-8"))
    assert match, f"{path} has no {name}"
    return {entry.replace("${MODULE_NAME}", path.parent.name) for entry in match[1].split()}


def files_below(folder: Path, *patterns: str) -> set[str]:
    found = (path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found if "__pycache__" not in path.parts}


def test_library_cmake_lists_equal_the_files_on_disk() -> None:
    cmake = ROOT / "Logic" / "CMakeLists.txt"
    assert cmake_list(cmake, "LIBRARY_SCRIPTS") == files_below(ROOT / "Logic", "deeprecon/**/*.py")
    assert cmake_list(cmake, "LIBRARY_RESOURCES") == files_below(ROOT / "Logic", "deeprecon/Resources/**/*")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_module_cmake_lists_equal_the_files_on_disk(module: Path) -> None:
    cmake = module / "CMakeLists.txt"
    assert cmake_list(cmake, "MODULE_PYTHON_SCRIPTS") == files_below(module, "*.py")
    assert cmake_list(cmake, "MODULE_PYTHON_RESOURCES") == files_below(module, "Resources/**/*")


def test_every_module_folder_is_built_and_the_wizard_marker_is_kept() -> None:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    added = set(re.findall(r"add_subdirectory\((\w+)\)", text))
    assert MODULES
    assert added == {"Logic", "Resources", "Testing"} | {module.name for module in MODULES}
    assert "## NEXT_MODULE" in text


def test_every_package_folder_has_an_empty_init_or_one_that_only_names_what_is_loaded_later() -> None:
    late = {LIBRARY, *(LIBRARY / method for method in METHODS)}
    for folder in {path.parent for path in LIBRARY.rglob("*.py")}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        if folder not in late:
            assert text == "", folder
            continue
        document, *statements = ast.parse(text).body
        assert isinstance(document, ast.Expr)
        imports = [ast.unparse(node) for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
        assert imports == ["from deeprecon.lazy import attach"], folder
        others = [node for node in statements if not isinstance(node, ast.Import | ast.ImportFrom)]
        assert all(isinstance(node, ast.Assign) for node in others), folder


def test_modules_needed_before_installation_import_nothing_that_is_installed_later() -> None:
    paths = sorted({path for pattern in IMPORTABLE_BEFORE_INSTALLATION for path in LIBRARY.glob(pattern)})
    names = [".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts) for path in paths]
    script = """
import importlib, os, sys
import numpy, vtk  # Slicer's own, which every module may import: once for all
later = sys.argv[1].split(",")
for name in sys.argv[2:]:
    if os.fork() == 0:  # a fresh process for each module
        importlib.import_module(name)
        found = [entry for entry in later if entry in sys.modules]
        print(f"{name}: {','.join(found) or 'clean'}", flush=True)
        os._exit(0)
    os.wait()
"""
    result = subprocess.run(
        [sys.executable, "-c", script, ",".join(INSTALLED_LATER), *names],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(LIBRARY.parent)},
        check=True,
    )
    assert result.stdout.splitlines() == [f"{name}: clean" for name in names], result.stderr


def test_every_slow_test_lies_in_a_file_that_is_there() -> None:
    lines = (ROOT / "Testing" / "slow_tests.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not (ROOT / "Testing" / line.partition("::")[0]).is_file()] == []


def test_index_description_names_the_project_and_an_existing_category() -> None:
    description = json.loads((ROOT / "DeepRecon.json").read_text(encoding="utf-8"))
    assert {"$schema", "category", "scm_url"} <= set(description)
    assert "v1.0.2" in description["$schema"]
    assert description["category"] == "Cardiac"
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "project(DeepRecon)" in text
    assert set(re.search(r'EXTENSION_DEPENDS "([^"]*)"', text)[1].split()) == set(description["build_dependencies"])


@pytest.mark.parametrize("name", ["ICONURL", "SCREENSHOTURLS"])
def test_pictures_named_in_the_metadata_exist(name: str) -> None:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    for address in re.search(rf'EXTENSION_{name} "([^"]*)"', text)[1].split():
        assert (ROOT / address.split("/main/")[1]).is_file(), address


def test_icons_are_128_pixels_wide() -> None:
    icons = [
        ROOT / "Resources" / "DeepRecon.png",
        *(module / f"Resources/Icons/{module.name}.png" for module in MODULES),
    ]
    for icon in icons:
        assert struct.unpack(">II", icon.read_bytes()[16:24]) == (128, 128), icon


@pytest.mark.parametrize(
    "folder_and_name",
    [
        "Testing/requirements/demo",
        "Testing/requirements/docs",
        "Testing/requirements/test",
        "Testing/requirements/slicer",
        "Logic/deeprecon/Resources/requirements/overlay",
    ],
)
def test_lock_files_are_hashed_complete_and_free_of_torch(folder_and_name: str) -> None:
    wanted = (ROOT / f"{folder_and_name}.in").read_text(encoding="utf-8").splitlines()
    lock = (ROOT / f"{folder_and_name}.lock").read_text(encoding="utf-8")
    pinned = {name.lower() for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    names = {re.split("[=<>]", line)[0].strip().lower() for line in wanted if line and line[0] not in "#-"}
    assert names <= pinned
    assert "torch" not in pinned
    assert len(re.findall(r"^[\w.-]+==", lock, re.MULTILINE)) <= lock.count("--hash=sha256:")
    assert "://" not in lock
