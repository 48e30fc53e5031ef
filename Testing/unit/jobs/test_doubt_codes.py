"""The codes of doubts as the source has them: each is made and tested, and its way out names options that exist."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from deeprecon.cli import _parser
from deeprecon.jobs.verbs import METHODS, load_verbs

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = ROOT / "Logic" / "deeprecon"
DOUBTS = LIBRARY / "data" / "doubts.py"
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def listed() -> list[str]:
    """The codes in the source of the table, one that is there twice twice."""
    (table,) = (
        node.value
        for node in ast.parse(DOUBTS.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "CODES"
    )
    assert isinstance(table, ast.Dict)
    return [key.value for key in table.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]


def is_doubt(node: ast.AST) -> bool:
    """Whether a node makes a doubt, not one that was written to a file."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Doubt"
        and all(keyword.arg for keyword in node.keywords)
    )


@cache
def sources() -> dict[Path, ast.Module]:
    """The modules that make doubts."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(LIBRARY.rglob("*.py"))}
    return {path: tree for path, tree in trees.items() if path != DOUBTS and any(map(is_doubt, ast.walk(tree)))}


def words(tree: ast.AST) -> Iterator[str]:
    """What is between quotes; of an f-string its constant parts; no docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_codes_and_the_lines_of_their_page_are_sorted_and_there_once() -> None:
    assert listed() == sorted(set(listed()))
    page = (ROOT / "docs" / "doubts.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE) == listed()


def test_every_code_is_made_and_every_code_that_is_made_is_listed() -> None:
    made = {word for tree in sources().values() for word in words(tree)}
    assert set(listed()) - made == set()
    calls = [node for tree in sources().values() for node in ast.walk(tree) if is_doubt(node)]
    codes = [call.args[0] for call in calls if isinstance(call, ast.Call)]
    stated = {code.value for code in codes if isinstance(code, ast.Constant)}
    assert len(stated) > 40
    assert stated - set(listed()) == set()


def test_every_code_is_in_a_test() -> None:
    folders = [ROOT / "Testing" / name for name in ("unit", "cases", "panels", "host")]
    files = [path for folder in folders for path in folder.rglob("test_*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert [code for code in listed() if not re.search(rf"(?<![\w-]){code}(?![\w-])", text)] == []


@cache
def options() -> set[str]:
    """Of all verbs of all methods."""
    found: set[str] = set()
    for method in METHODS:
        for name, verb in load_verbs(method).items():
            parser: argparse.ArgumentParser = _parser(method, name, verb)
            found |= {option for action in parser._actions for option in action.option_strings}
    return found


def test_every_option_that_the_words_of_a_doubt_name_exists() -> None:
    named = {
        (path.relative_to(LIBRARY).as_posix(), option)
        for path, tree in sources().items()
        for word in words(tree)
        for option in OPTION.findall(word)
    }
    assert {option for _, option in named} > {"--mesh-region", "--view", "--exclude", "--user"}
    assert {(path, option) for path, option in named if option not in options()} == set()


def arguments(call: ast.Call) -> dict[str, ast.expr]:
    """Of a doubt, by name."""
    given = dict(zip(("code", "where", "text", "way_out", "assumed"), call.args, strict=False))
    return given | {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def contradictions() -> Iterator[tuple[str, ast.Call, ast.AST]]:
    """Each doubt that is or may be refused: where it is made, and the function around it."""
    for path, tree in sources().items():
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and is_doubt(node):
                    assumed = arguments(node).get("assumed")
                    if not (isinstance(assumed, ast.Constant) and assumed.value is True):
                        yield f"{path.relative_to(LIBRARY).as_posix()}:{node.lineno}", node, tree


PLACES = {place: (call, tree) for place, call, tree in contradictions()}


def sentences(value: ast.expr, tree: ast.AST) -> list[str]:
    """The texts that an argument may have, {} for what a run fills in; none for a parameter of the function."""
    if isinstance(value, ast.Constant):
        return [str(value.value)]
    if isinstance(value, ast.JoinedStr):
        return ["".join(part.value if isinstance(part, ast.Constant) else "{}" for part in value.values)]  # type: ignore[misc]
    if isinstance(value, ast.IfExp):
        return sentences(value.body, tree) + sentences(value.orelse, tree)
    if not isinstance(value, ast.Name):
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names, values = [target], [node.value]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    names, values = list(target.elts), list(node.value.elts)
                for name, each in zip(names, values, strict=True):
                    if isinstance(name, ast.Name) and name.id == value.id:
                        found += sentences(each, tree)
    return found


@pytest.mark.parametrize("place", PLACES)
def test_a_contradiction_is_told_in_one_sentence_and_so_is_its_way_out(place: str) -> None:
    call, tree = PLACES[place]
    given = arguments(call)
    assert "way_out" in given, "there is no way out"
    assert all(re.fullmatch(r"[A-Z].+\.", sentence) for sentence in sentences(given["way_out"], tree))
    for sentence in sentences(given["text"], tree) + sentences(given["way_out"], tree):
        assert not re.search(r"[.!?] [A-Z]", sentence), f"more than one sentence: {sentence}"
