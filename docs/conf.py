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
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "extension.options", "extension.messages"]
exclude_patterns = ["extension", "_build"]
myst_heading_anchors = 3
autodoc_member_order = "groupwise"
autodoc_typehints = "none"  # the text has them
python_maximum_signature_line_length = 80
smartquotes = False  # makes one dash of the two in front of an option
html_theme = "furo"
html_title = f"DeepRecon {VERSION}"
html_logo = "../Resources/DeepRecon.png"
