"""The directive `messages`: what the library says about inputs that it refuses, read from its source.

```{messages} scar
```

gives the messages of a folder of the library with what each advises; several folders may be named.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import deeprecon.data
from extension.options import markdown

LIBRARY = Path(deeprecon.data.__path__[0]).parent
ERROR = "InputError"
FILLED_IN = "…"
"""Stands for what a run fills in."""


class Messages(SphinxDirective):
    """A table of messages and what to do."""

    required_arguments = 1
    optional_arguments = 9

    def run(self) -> list[nodes.Node]:
        lines = ["| message | what to do |", "|---|---|"]
        for message, hint in sorted({row for folder in self.arguments for row in messages(LIBRARY / folder)}):
            lines.append(f"| {markdown(message)} | {markdown(hint)} |")
        return self.parse_text_to_nodes("\n".join(lines))


def messages(folder: Path) -> Iterator[tuple[str, str]]:
    """Message and hint of each InputError that the modules of a folder raise in words of their own."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == ERROR:
                message, hint = (sentence(value) for value in (*node.args, *[ast.Constant("")] * 2)[:2])
                if len(message.replace(FILLED_IN, "").split()) > 2:
                    yield message, "" if hint == FILLED_IN else hint


def sentence(value: ast.expr) -> str:
    """A text in the source; what is known only in a run becomes an ellipsis."""
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.JoinedStr):
        return "".join(map(sentence, value.values))
    if isinstance(value, ast.BinOp):
        return sentence(value.left) + sentence(value.right)
    return FILLED_IN


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("messages", Messages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
