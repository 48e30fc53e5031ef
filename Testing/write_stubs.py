"""Writes what type checkers and editors read of the Python interface: `deeprecon/METHOD/__init__.pyi`.

    python Testing/write_stubs.py

Its functions are loaded when they are first used and have their signatures from the parameters of the verbs, so that
they stand in no source file. A test compares the files with what this writes.
"""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[1] / "Logic" / "deeprecon"
sys.path.insert(0, str(LIBRARY.parent))

HEAD = """\
# Made by Testing/write_stubs.py from the parameters of the verbs; not to be edited.
from collections.abc import Sequence
from os import PathLike
from typing import Literal

"""


def stub(method: str) -> str:
    """The content of `__init__.pyi` of a method."""
    package, api = (importlib.import_module(f"deeprecon.{method}{module}") for module in ("", ".api"))
    entries = {name: getattr(api, name) for name in package.__all__}
    functions = {name: entry for name, entry in entries.items() if inspect.isfunction(entry)}
    text = "\n".join(_function(name, function) for name, function in functions.items())
    places = {name: entry.__module__ for name, entry in entries.items() if name not in functions}
    lines = {f"from {module} import {name} as {name}" for name, module in places.items()}
    lines |= {"from deeprecon.calls.call import Input", "from deeprecon.calls.result import Result"}
    used = [line for line in sorted(lines) if " as " in line or re.search(rf"\b{line.split()[-1]}\b", text)]
    return _formatted(HEAD + "\n".join(used) + "\n\n" + text + "\n")


def _formatted(text: str) -> str:
    settings = ["--config", str(LIBRARY.parent / "pyproject.toml"), "--stdin-filename", "__init__.pyi"]
    command = [sys.executable, "-m", "ruff", "format", *settings, "-"]
    return subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=True).stdout


def _function(name: str, function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    lines, keyword_only = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            lines.append("*,")
            keyword_only = True
        default = "" if parameter.default is parameter.empty else f" = {_text(parameter.default)}"
        lines.append(f"{parameter.name}: {_quoted(parameter.annotation)}{default},")
    summary = (function.__doc__ or "").partition("\n\n")[0]
    arguments = textwrap.indent("\n".join(lines), "    ")
    return f'def {name}(\n{arguments}\n) -> {signature.return_annotation}:\n    """{summary}"""\n'


def _text(value: object) -> str:
    return _quoted(repr(value))


def _quoted(text: str) -> str:
    """Code with double quotes."""
    return text.replace("'", '"')


if __name__ == "__main__":
    from deeprecon.jobs.verbs import METHODS

    for method in METHODS:
        (LIBRARY / method / "__init__.pyi").write_text(stub(method), encoding="utf-8")
