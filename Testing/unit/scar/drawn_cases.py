"""Small drawn cases: a ring of wall with scar, written to files and read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scar.observe.shares import observe_shares
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import ReconstructInputs, ReconstructParameters
from deeprecon.scar.read.case import Case, read_case

SHAPE = (4, 20, 24)
AFFINE = np.array([[1.5, 0, 0, -20], [0, 1.5, 0, -14], [0, 0, 9, 5], [0, 0, 0, 1.0]])


def saved(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE, thickness: float | None = None) -> Path:
    write_volume(path, Volume(array, affine, slice_thickness=thickness))
    return path


def segmentation(path: Path, thickness: float | None = None, affine: np.ndarray = AFFINE, **masks: np.ndarray) -> Path:
    segments = tuple(Segment(name.replace("_", " "), mask) for name, mask in masks.items())
    write_segmentation(path, Segmentation(segments, affine, slice_thickness=thickness))
    return path


@dataclass(frozen=True)
class Observed:
    """A case and the shares of scar that are observed in it."""

    case: Case
    stacks: tuple[Stack, ...]
    warnings: tuple[str, ...]


def read(inputs: dict[str, Any], **parameters: Any) -> Observed:
    given = {name: paths if isinstance(paths, tuple) else (paths,) for name, paths in inputs.items()}
    settings = ReconstructParameters(**parameters)
    case = read_case(ReconstructInputs(**given), settings)
    stacks, warnings = observe_shares(case.stacks, settings)
    return Observed(case, stacks, (*case.warnings, *warnings))
