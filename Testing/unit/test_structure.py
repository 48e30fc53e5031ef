"""Rules of the source tree that linters do not know: sizes, names, import directions and circles."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from deeprecon.jobs.verbs import METHODS, load_verbs

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "Logic" / "deeprecon"
FOLDERS = ("Logic", "Testing", "ScarReconstruction", "CTPASynthesis", "DWMRIEnhance")
MAX_FILES, MAX_LINES = 15, 450
RETIRED = Path(__file__).with_name("retired_names.txt")
"""Names that were replaced by terms of the field, one a line; CHANGELOG.md lists those that users saw."""


def python_files() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_folder_of_the_library_holds_too_many_files() -> None:
    folders = {path.parent for path in LIBRARY.rglob("*.py")}
    counts = {folder.relative_to(ROOT).as_posix(): len(list(folder.glob("*.py"))) for folder in folders}
    assert {name: count for name, count in counts.items() if count > MAX_FILES} == {}


def test_no_file_is_too_long() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()
    }
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_file_or_folder_of_a_method_bears_a_verbs_name() -> None:
    """A submodule of that name would hide the function of the same name, such as `deeprecon.scar.reconstruct`."""
    verbs = {verb.replace("-", "_") for method in METHODS for verb in load_verbs(method)}
    paths = [path for method in METHODS for path in (LIBRARY / method).rglob("*.py")]
    names = {path.parent.name if path.stem == "__init__" else path.stem: path for path in paths}
    assert {name: path for name, path in names.items() if name in verbs} == {}


def test_no_retired_name_is_back() -> None:
    retired = RETIRED.read_text(encoding="utf-8").split()
    pattern = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, retired))})(?!\w)")
    texts = [*python_files(), *(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md")]
    texts += [path for folder in (*FOLDERS, "docs") for path in (ROOT / folder).rglob("*.md")]
    found = {
        path.relative_to(ROOT).as_posix(): set(pattern.findall(path.read_text(encoding="utf-8"))) for path in texts
    }
    assert {path: names for path, names in found.items() if names} == {}


# ---- imports


@cache
def modules() -> dict[str, Path]:
    """Path of each module of the library by its full name."""
    names = {".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts): path for path in LIBRARY.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


@cache
def imports() -> dict[str, set[str]]:
    """Modules of the library that each imports, at file scope or within a function; not for type checking alone."""
    return {name: set(imported(path)) - {name} for name, path in modules().items()}


def imported(path: Path) -> Iterator[str]:
    for node in running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules() else node.module for name in names]
        else:
            continue
        yield from (name for name in names if name in modules())


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module without `if TYPE_CHECKING:` blocks."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from running(node)


def test_the_import_graph_is_seen() -> None:
    assert len(modules()) > 200
    assert "deeprecon.data.errors" in imports()["deeprecon.worker"]
    assert "deeprecon.training.devices" in imports()["deeprecon.worker"]  # within a function


def test_no_import_circles_even_within_functions() -> None:
    try:
        list(graphlib.TopologicalSorter(imports()).static_order())
    except graphlib.CycleError as error:
        raise AssertionError(" <- ".join(error.args[1])) from None


def test_no_import_points_upward() -> None:
    settings = tomllib.loads((ROOT / "Logic" / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rank = {name.strip(): place for place, layer in enumerate(layers) for name in layer.split("|")}

    def layer_of(module: str) -> str:
        return next((name for name in rank if module == name or module.startswith(f"{name}.")), "")

    wrong = []
    for module, others in imports().items():
        own = layer_of(module)
        for other in map(layer_of, others):
            if own and other and own != other and rank[other] <= rank[own]:
                wrong.append((module, other))
    assert wrong == []


def test_every_folder_of_the_library_has_its_layer() -> None:
    settings = tomllib.loads((ROOT / "Logic" / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = {name.strip() for layer in layers for name in layer.split("|")}
    folders = {f"deeprecon.{path.name}" for path in LIBRARY.iterdir() if (path / "__init__.py").exists()}
    assert folders <= named
