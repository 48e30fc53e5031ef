"""Shared by the benchmark scripts, which import it before the library: path of the library, options, result file."""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Logic"))

from deeprecon.data.files import write_json

LIBRARY = Path(__file__).resolve().parents[2] / "Logic"


def argument_parser(description: str | None, name: str) -> argparse.ArgumentParser:
    """A parser with the option --json, by default out/NAME.json."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path(f"out/{name}.json"), help="result file")
    return parser


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write a result and the name of the platform."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"platform": platform.platform(), **result})
