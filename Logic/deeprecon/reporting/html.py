"""One self-contained HTML page: pictures inside, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deeprecon.data.files import write_text

RESEARCH_ONLY = "For research use only. Not for diagnosis or treatment decisions."

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2433;background:#f4f6f9;margin:0}
main{max-width:1080px;margin:0 auto;padding:24px 32px 48px;background:#fff}
h1{font-size:26px;margin:8px 0 4px}
h2{font-size:18px;margin:32px 0 8px;border-bottom:1px solid #dde3ec;padding-bottom:4px}
.lead{font-size:17px;color:#3c475c}
.notice{background:#eef2f8;border-left:4px solid #5b7db1;padding:8px 14px;margin:14px 0}
.warning{background:#fff6e0;border-left:4px solid #d9930d;padding:8px 14px;margin:8px 0}
table{border-collapse:collapse;margin:8px 0}
td,th{padding:4px 14px 4px 0;text-align:left;border-bottom:1px solid #e8ecf2}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
figure{margin:12px 0} img{max-width:100%} figcaption{color:#5a6579;font-size:13px}
details{margin:8px 0} pre{background:#f4f6f9;padding:10px;overflow:auto;font-size:12px}
"""


class Report:
    """Collects the parts of a page in reading order; `write` makes the file."""

    def __init__(self, title: str, lead: str) -> None:
        self.title = title
        self._parts = [
            f"<h1>{html.escape(title)}</h1><p class='lead'>{html.escape(lead)}</p>",
            f"<p class='notice'>{RESEARCH_ONLY}</p>",
        ]

    def heading(self, text: str) -> None:
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def warning(self, text: str) -> None:
        self._parts.append(f"<p class='warning'>{html.escape(text)}</p>")

    def picture(self, png: bytes, caption: str) -> None:
        """A PNG picture, with a caption that also serves as its alternative text."""
        data, text = base64.b64encode(png).decode(), html.escape(caption)
        self._parts.append(
            f"<figure><img src='data:image/png;base64,{data}' alt='{text}'><figcaption>{text}</figcaption></figure>"
        )

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows with the same keys, which make the header, underscores as blanks. Numbers are set to the right."""
        if not rows:
            return
        numeric = {key: all(isinstance(row[key], int | float) for row in rows) for key in rows[0]}
        kinds = {key: " class='number'" if number else "" for key, number in numeric.items()}
        titles = {key: html.escape(key.replace("_", " ")) for key in rows[0]}
        head = "".join(f"<th{kinds[key]}>{titles[key]}</th>" for key in rows[0])
        body = "".join(
            "<tr>" + "".join(f"<td{kinds[key]}>{html.escape(_text(row[key]))}</td>" for key in rows[0]) + "</tr>"
            for row in rows
        )
        self._parts.append(f"<table><tr>{head}</tr>{body}</table>")

    def details(self, summary: str, text: str) -> None:
        """Text that is collapsed until the reader opens it."""
        self._parts.append(
            f"<details><summary>{html.escape(summary)}</summary><pre>{html.escape(text)}</pre></details>"
        )

    def write(self, path: Path) -> None:
        write_text(
            path,
            "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head>"
            f"<body><main>{''.join(self._parts)}</main></body></html>\n",
        )


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
