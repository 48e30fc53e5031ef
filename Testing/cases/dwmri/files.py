"""Diffusion scans for the cases: a head with white matter and fluid, in files as other programs write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.cli import main
from deeprecon.data.formats.nifti import write_nifti
from deeprecon.dwmri.simulate.head import Phantom, make_phantom

AFFINE = np.array([[-2.0, 0, 0, 24], [0, 2, 0, -24], [0, 0, 2, -10], [0, 0, 0, 1]])
"""Of the files: radiological order of the columns, as scanners store them."""


def head(b0: int = 3, weighted: int = 15, b: float = 1000.0) -> Phantom:
    """(10, 24, 24, V) at SNR 20."""
    return make_phantom((10, 24, 24), b0, [(b, weighted)], snr=20)


def vectors(made: Phantom) -> npt.NDArray[np.float64]:
    """(V, 3) some directions, zero for b0."""
    return made.clean.gradients.directions


def write_scan(
    folder: Path,
    array: npt.NDArray[Any],
    b: npt.ArrayLike,
    directions: npt.ArrayLike,
    name: str = "dwi.nii.gz",
    sidecar: dict[str, Any] | None = None,
) -> Path:
    """Write (k, j, i, V) with .bval and .bvec of its name; returns the image's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_nifti(folder / name, np.moveaxis(array, -1, 0), AFFINE)
    stem = folder / name.removesuffix(".gz").removesuffix(".nii")
    stem.with_name(f"{stem.name}.bval").write_text(" ".join(f"{value:.10g}" for value in np.asarray(b)), "utf-8")
    rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in np.asarray(directions).T)
    stem.with_name(f"{stem.name}.bvec").write_text(rows, "utf-8")
    if sidecar is not None:
        stem.with_name(f"{stem.name}.json").write_text(json.dumps(sidecar), "utf-8")
    return folder / name


def runner(tmp_path: Path) -> Callable[..., tuple[int, Path]]:
    """Runs a verb from the shell on one CPU thread: exit code and output folder."""

    def run(verb: str, *options: object, name: str = "out") -> tuple[int, Path]:
        output = tmp_path / name
        given = [str(option) for option in options]
        return main(
            [
                "dwmri",
                verb,
                *given,
                "--device",
                "cpu",
                "--threads",
                "1",
                "--output",
                str(output),
            ]
        ), output

    return run


def result(output: Path) -> dict[str, Any]:
    """The content of result.json."""
    content: dict[str, Any] = json.loads((output / "result.json").read_text(encoding="utf-8"))
    return content


def codes(output: Path) -> set[str]:
    """The codes of the doubts in result.json."""
    return {doubt["code"] for doubt in result(output)["doubts"]}
