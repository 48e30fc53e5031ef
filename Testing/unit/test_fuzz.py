"""A short run of the fuzz benchmark over every format; the long one is `Testing/benchmarks/fuzz.py --minutes 20`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from fuzz import fuzz  # noqa: E402
from fuzz_formats import FORMATS  # noqa: E402

SECONDS = 2.0


@pytest.mark.skipif(sys.platform == "win32", reason="limits memory as POSIX does")
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_refused_with_words(name: str) -> None:
    counts, severe = fuzz(FORMATS[name], SECONDS)
    assert severe == []
    assert counts.total() > 0
