"""What `fuzz.py` knows of a format."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # writers of the tests

Read = Callable[[Path], Any]


@dataclass(frozen=True)
class FileFormat:
    """A format.

    Attributes:
        name: of the format.
        make: writes valid files into a folder and returns the one that is read.
        read: what the product does with the path; its value is compared where the format has checksums.
        checked: damage of the file's bytes cannot pass unseen: the format has checksums.
        cut: a file without its last bytes cannot pass unseen.
        named: messages name a file.
    """

    name: str
    make: Callable[[Path], Path]
    read: Read
    checked: bool = False
    cut: bool = True
    named: bool = True
