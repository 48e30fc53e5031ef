"""Files of a phantom whose scar is known, and runs on them, for the cases of scar."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from deeprecon import cli
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.segmentation import Segment, Segmentation, read_segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume
from deeprecon.scar.simulate.hearts import Phantom, sample_case, write_case

THICKNESS = 8.0


@cache
def heart() -> Phantom:
    """Short-axis slices and a coarse mesh."""
    return sample_case(seed=0, node_spacing=4, pixel=2)


@dataclass(frozen=True)
class Scan:
    """The phantom's images as arrays.

    Attributes:
        lge: (k, j, i); healthy wall has 60, scar 330, blood 230.
        wall, scar, blood: (k, j, i) bool.
        ijk_to_ras: (4, 4).
    """

    lge: np.ndarray
    wall: np.ndarray
    scar: np.ndarray
    blood: np.ndarray
    ijk_to_ras: np.ndarray

    def write_segments(self, path: Path, **segments: np.ndarray) -> Path:
        """Segments by name; underscores become spaces."""
        parts = tuple(Segment(name.replace("_", " "), mask) for name, mask in segments.items())
        write_segmentation(path, Segmentation(parts, self.ijk_to_ras, "segmentation", THICKNESS))
        return path

    def write(self, path: Path, array: np.ndarray) -> Path:
        """Any array on the scan's grid."""
        write_volume(path, Volume(array, self.ijk_to_ras, slice_thickness=THICKNESS))
        return path


@cache
def scan() -> Scan:
    """The phantom as masks and image."""
    with TemporaryDirectory() as folder:
        files = write_case(heart(), Path(folder), dicom=False)
        drawn, lge = read_segmentation(files["segmentation"]), read_volume(files["lge"])
        masks = {segment.name: np.asarray(segment.mask, bool) for segment in drawn.segments}
        return Scan(
            np.array(lge.array),
            masks["myocardium"],
            masks["scar"],
            masks["left ventricular blood pool"],
            np.asarray(drawn.ijk_to_ras),
        )


def write_heart(path: Path) -> Path:
    """The phantom's mesh."""
    write_mesh(path, heart().mesh, "um" if path.suffix == ".pts" else "mm", "lps")
    return path


def run(verb: str, output: Path, *options: str | Path, **files: Path | str) -> tuple[int, dict[str, Any]]:
    """Exit code and result.json (empty where there is none) of a run in the shell."""
    arguments = [verb, *map(str, options), "--output", str(output)]
    for name, value in files.items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    code = cli.main(["scar", *arguments])
    result = output / "result.json"
    return code, json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}


def table(output: Path) -> dict[str, dict[str, float]]:
    """Rows of table.csv by region."""
    with open(output / "table.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row.pop("region"): {name: float(value) for name, value in row.items()} for row in rows}


def codes(result: dict[str, Any]) -> list[str]:
    """Codes of the doubts of a result."""
    return [doubt["code"] for doubt in result["doubts"]]
