"""The directive `options`: the verbs of a method and their options, made from the parameter dataclasses as `--help` is.

```{options} scar
```

`run` in place of a method gives the options that every verb takes.
"""

from __future__ import annotations

import argparse
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from deeprecon.cli import _parser
from deeprecon.jobs.verbs import load_verb, load_verbs

COMMON = "run"
"""Title of the group of options that every verb takes."""
EXAMPLE = ("scar", "reconstruct")


class Options(SphinxDirective):
    """A section for each verb, with a table for each group of its options."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (method,) = self.arguments
        if method == COMMON:
            return self.parse_text_to_nodes(table(groups(*EXAMPLE)[COMMON]))
        lines = []
        for name, verb in load_verbs(method).items():
            lines += [f"### {method} {name}", "", f"{markdown(verb.summary[:1].upper() + verb.summary[1:])}.", ""]
            for title, rows in groups(method, name).items():
                lines += [] if title == COMMON else [f"*{title.capitalize()}*", "", table(rows), ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def groups(method: str, name: str) -> dict[str, list[tuple[str, str]]]:
    """Options and their help by the title of their group, without empty groups and `--help`."""
    parser = _parser(method, name, load_verb(method, name))
    formatter: Any = argparse.HelpFormatter(parser.prog)
    found: dict[str, list[tuple[str, str]]] = {}
    for group in parser._action_groups:
        for action in group._group_actions:
            if action.option_strings and "--help" not in action.option_strings:
                values = formatter._format_args(action, action.metavar or "") if action.nargs != 0 else ""
                option = f"{', '.join(action.option_strings)} {values}".strip()
                found.setdefault(group.title or "", []).append((option, formatter._expand_help(action)))
    return found


def table(rows: list[tuple[str, str]]) -> str:
    """Options as a table in Markdown."""
    lines = ["| option | meaning |", "|---|---|"]
    lines += [f"| `{option}` | {markdown(text)} |" for option, text in rows]
    return "\n".join(lines)


def markdown(text: str) -> str:
    """Plain text that Markdown shows as it is."""
    for character in "\\`*_{}[]<>|$":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("options", Options)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
