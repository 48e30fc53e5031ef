"""Sphinx settings of the documentation; `make docs` builds it."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent / "Logic")]

from deeprecon.jobs.job import VERSION  # noqa: E402

project = "DeepRecon"
author = "DeepRecon contributors"
copyright = "DeepRecon contributors"
version = release = VERSION
extensions = ["myst_parser", "extension.options", "extension.messages"]
exclude_patterns = ["extension", "_build"]
myst_heading_anchors = 3
smartquotes = False  # makes one dash of the two in front of an option
html_theme = "furo"
html_title = f"DeepRecon {VERSION}"
html_logo = "../Resources/DeepRecon.png"
