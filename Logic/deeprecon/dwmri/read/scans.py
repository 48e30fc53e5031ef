"""Reading and checking of a diffusion scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.diffusion.gradients import Choices, table_warnings
from deeprecon.data.diffusion.kinds import judge_values
from deeprecon.data.diffusion.scan import DwiScan, with_finite_values
from deeprecon.dwmri.findings import Findings
from deeprecon.dwmri.parameters import EnhanceParameters, PrepareParameters, parse_volumes
from deeprecon.jobs.run import Run


def volume_choices(parameters: EnhanceParameters | PrepareParameters) -> Choices:
    """What the settings say about the volumes of a scan."""
    return Choices(parameters.b0_threshold, tuple(parse_volumes(parameters.exclude, "exclude")))


def load_scan(
    path: Path, run: Run, bval: Path | None = None, bvec: Path | None = None, choices: Choices | None = None
) -> DwiScan:
    """A scan as its file holds it, after the doubts about it were considered.

    Raises:
        InputError: the files are incomplete or contradict each other.
        DoubtError: what kind of image it is contradicts what is expected.
    """
    scan = judge_values(read_dwi(path, bval, bvec, choices))
    run.consider(scan.doubts)
    return scan


def read_scan(
    path: Path, bval: Path | None, bvec: Path | None, choices: Choices, run: Run, findings: Findings
) -> tuple[DwiScan, np.dtype]:
    """A scan as float32 with finite values, and the number type of its file.

    Raises:
        InputError, DoubtError: see `load_scan`.
    """
    original = load_scan(path, run, bval, bvec, choices)
    scan, bad = with_finite_values(original)
    for text in (*scan.notes, *table_warnings(scan.gradients)):
        findings.warn(text)
    if bad:
        kinds = "not finite" if scan.signed else "negative or not finite"
        findings.warn(f"{bad} values were {kinds} and were set to 0.")
    empty = [number for number in range(len(scan.gradients)) if not scan.array[..., number].any()]
    if empty:
        findings.warn(f"Volume {', '.join(map(str, empty[:5]))} is empty.")
    return scan, original.array.dtype
