"""The public names of the library: what they are, that they are loaded late, and that they are documented."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from write_stubs import stub

import deeprecon
from deeprecon.jobs.process import child_environment
from deeprecon.jobs.verbs import METHODS, load_verbs

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "Logic" / "deeprecon"
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
REAL = [method for method in METHODS if method != "fake"]


def functions(method: str) -> dict[str, object]:
    package = getattr(deeprecon, method)
    entries = {name: getattr(package, name) for name in package.__all__}
    return {name: entry for name, entry in entries.items() if inspect.isfunction(entry)}


def public_names() -> set[str]:
    own = {name for name in deeprecon.__all__ if name not in METHODS and not name.startswith("_")}
    return own | {f"{method}.{name}" for method in REAL for name in getattr(deeprecon, method).__all__}


def printed(script: str) -> list[str]:
    """Lines that a fresh process prints."""
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize("method", REAL)
def test_every_verb_is_a_function_of_its_method(method: str) -> None:
    assert set(functions(method)) == {verb.replace("-", "_") for verb in load_verbs(method)}
    package = getattr(deeprecon, method)
    assert package.__all__ == sorted(package.__all__)
    assert set(package.__all__) <= set(dir(package))


def test_importing_the_library_loads_neither_methods_nor_packages() -> None:
    script = """
import sys
before = set(sys.modules)
import deeprecon
new = set(sys.modules) - before
print(sorted(name for name in new if name.startswith("deeprecon")))
print([name for name in ("numpy", "vtk", "torch") if name in sys.modules])
print(callable(deeprecon.scar.reconstruct), [name for name in ("torch", "slicer") if name in sys.modules])
print(deeprecon.__version__)
"""
    assert printed(script) == ["['deeprecon', 'deeprecon.lazy']", "[]", "True []", deeprecon.__version__]


def test_functions_stay_functions_when_every_submodule_was_imported_first() -> None:
    script = f"""
import importlib, pkgutil, types
import deeprecon
for method in {REAL!r}:
    package = importlib.import_module(f"deeprecon.{{method}}")
    for module in pkgutil.walk_packages(package.__path__, f"{{package.__name__}}."):
        if "keras" not in module.name:  # needs TensorFlow
            importlib.import_module(module.name)
    print(method, [name for name in package.__all__ if isinstance(getattr(package, name), types.ModuleType)])
"""
    assert printed(script) == [f"{method} []" for method in REAL]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"deeprecon\.scar.*no attribute 'nothing'"):
        deeprecon.scar.nothing  # noqa: B018
    with pytest.raises(AttributeError):
        deeprecon.nothing  # noqa: B018


@pytest.mark.parametrize("method", REAL)
def test_the_stubs_that_editors_read_equal_the_functions(method: str) -> None:
    written = (LIBRARY / method / "__init__.pyi").read_text(encoding="utf-8")
    assert written == stub(method), "run: python Testing/write_stubs.py"


def test_the_stub_of_the_library_has_its_names() -> None:
    tree = ast.parse((LIBRARY / "__init__.pyi").read_text(encoding="utf-8"))
    imported = {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(deeprecon.__all__)


def test_the_page_of_the_interface_has_every_public_name_and_no_other() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `deeprecon\.([\w.]+)", page, re.MULTILINE)) == public_names()


@pytest.mark.parametrize("method", REAL)
def test_every_function_and_kind_of_result_is_documented(method: str) -> None:
    for name, function in functions(method).items():
        text = function.__doc__ or ""
        for section in ("Parameters", "Returns", "Raises"):
            assert f"\n\n{section}\n{'-' * len(section)}\n" in text, (method, name, section)
        assert "--" not in re.sub(r"-{3,}", "", text), (method, name, "options are named as in Python")
    api = importlib.import_module(f"deeprecon.{method}.api")
    for _, kind in inspect.getmembers(api, lambda entry: inspect.isclass(entry) and entry.__module__ == api.__name__):
        assert kind.__doc__
        assert all(inspect.getdoc(member) for name, member in vars(kind).items() if not name.startswith("_"))


def documented_examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(recurse=False)
    found = [
        test
        for method in REAL
        for name, function in functions(method).items()
        for test in finder.find(function, f"{method}.{name}", globs={})
    ]
    return [test for test in found if test.examples]


def test_each_method_has_a_documented_example() -> None:
    assert {test.name.partition(".")[0] for test in documented_examples()} == set(REAL)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model bundle of `ctpa`; that of the demonstrator takes a minute."""
    from .ctpa.test_ctpa_synthesize import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.mark.parametrize("test", documented_examples(), ids=lambda test: test.name)
def test_documented_examples_hold(
    test: doctest.DocTest, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    test.globs["bundle"] = bundle
    report: list[str] = []
    ran = doctest.DocTestRunner().run(test, out=report.append)
    assert ran.failed == 0, "".join(report)
    assert list(tmp_path.iterdir()) == []


def test_each_method_has_an_example_script() -> None:
    assert {path.stem.partition("_")[0] for path in EXAMPLES} == set(REAL)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_scripts_run(
    path: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), *([str(bundle)] if path.stem == "ctpa" else [])])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()
