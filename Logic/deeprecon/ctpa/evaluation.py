"""Holding a synthetic CT against the true one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import PREVIEW, Grid, Hu, is_on_grid, resample, resample_labels
from deeprecon.ctpa.measure.metrics import (
    body_mask,
    cardiothoracic_ratio,
    implausible_organs,
    lung_litres,
    mae,
    organ_hu,
    projection_check,
    psnr,
    seam_ratio,
    ssim_inside,
    vessel_recall,
)
from deeprecon.ctpa.observe.alignment import find_shift
from deeprecon.ctpa.observe.film import standardized_xray
from deeprecon.ctpa.observe.projection import Geometry, Image, line_integrals
from deeprecon.ctpa.parameters import EvaluateInputs, EvaluateParameters, SynthesizeParameters
from deeprecon.ctpa.patches import Windows
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.parameters import from_json
from deeprecon.jobs.run import Outcome, Run

PATCH, STRIDE = 128, 96
"""Of the published patch training; where its patches meet, seams are looked for."""

Array = npt.NDArray[np.float64]


def evaluate(inputs: EvaluateInputs, parameters: EvaluateParameters, run: Run) -> Outcome:
    """Figures of a synthetic CT, on its own voxels, with a fixed range of HU, whole and within the body alone.

    Without the true CT's labels there is neither HU by organ nor recall of vessels, without the X-ray no projection
    check. The X-ray is taken as it was for the CT, see `_settings`.

    Raises:
        InputError: a volume that is no CT of a chest, or labels that are not of the true CT.
    """
    run.reporter.status("Reading the volumes")
    synthetic = read_volume(inputs.ct)
    grid = Grid(_shape(synthetic))
    if not is_on_grid(synthetic, grid):
        grid = PREVIEW
        run.reporter.warning(f"{synthetic.name} does not have the voxels of a synthetic CT and is resampled.")
    hu, _ = resample(synthetic, grid)
    true = read_volume(inputs.truth)
    truth, affine = resample(true, grid)
    figures: dict[str, float] = {}
    if inputs.xray is not None:
        xray, geometry, offset = _xray(inputs.xray, _settings(inputs.ct, inputs.xray, run), truth, grid, run)
        if any(offset):
            truth, affine = resample(true, grid, offset)
        for name, volume in (("", hu), ("truth_", truth)):
            found, _ = projection_check(volume, xray, grid, geometry)
            figures |= {f"{name}{key}": value for key, value in found.items()}
    run.reporter.status("Comparing")
    body = body_mask(truth)
    for name, mask in (("", None), ("_body", body)):
        figures |= {f"psnr{name}": psnr(hu, truth, mask), f"mae{name}": mae(hu, truth, mask)}
    figures["ssim"], figures["ssim_body"] = ssim_inside(hu, truth, body)
    windows = Windows.cubes(grid.shape, PATCH, STRIDE)
    figures |= {"seam_ratio": seam_ratio(hu, windows), "truth_seam_ratio": seam_ratio(truth, windows)}
    figures |= {"lung_litres": lung_litres(hu, grid), "truth_lung_litres": lung_litres(truth, grid)}
    ratios = {"cardiothoracic_ratio": hu, "truth_cardiothoracic_ratio": truth}
    found_ratios = {name: cardiothoracic_ratio(volume, grid) for name, volume in ratios.items()}
    figures |= {name: ratio for name, ratio in found_ratios.items() if ratio is not None}
    if inputs.labels is not None:
        labels = read_volume(inputs.labels)
        if labels.array.shape != true.array.shape or not np.allclose(labels.ijk_to_ras, true.ijk_to_ras, atol=1e-3):
            raise InputError(f"{labels.name} does not lie on the voxels of {true.name}.", "Give the labels of that CT.")
        placed = resample_labels(labels, grid, affine)
        organs = organ_hu(hu, placed)
        for text in implausible_organs(organs):
            run.reporter.warning(f"In the synthetic CT {text}.")
        figures |= {f"{name}_hu": value for name, value in organs.items()}
        figures |= {f"truth_{name}_hu": value for name, value in organ_hu(truth, placed).items()}
        recall = vessel_recall(hu, truth, placed)
        figures |= {} if recall is None else {"vessel_recall": recall}
    finite = {name: value for name, value in figures.items() if np.isfinite(value)}  # PSNR of a volume with itself
    outputs = {"table": run.output / "evaluation.csv"}
    write_table(outputs["table"], [{"figure": name, "value": value} for name, value in figures.items()])
    return Outcome(outputs, dict(finite))


def _settings(ct: Path, xray: Path, run: Run) -> SynthesizeParameters:
    """View, beam, distance, spacing and turns that a CT was made with, of the result.json beside it.

    Where there is none, or it is of another CT or another X-ray, what the X-ray's file says counts, as if nothing had
    been set.
    """
    made = _made(ct)
    if made is None:
        return SynthesizeParameters()
    if sha256(xray) not in [entry["sha256"] for entry in made["inputs"]]:
        run.reporter.warning(f"{ct.name} was not made from {xray.name}: of its settings for the X-ray none is used.")
        return SynthesizeParameters()
    run.reporter.warning(f"{xray.name} is taken as the result.json beside {ct.name} says.")
    return from_json(SynthesizeParameters, made["parameters"])


def _made(ct: Path) -> dict[str, Any] | None:
    """The provenance of a CT, of the result.json beside it; None where that is not of this CT."""
    try:
        result = json.loads((ct.parent / "result.json").read_text(encoding="utf-8"))
        made: dict[str, Any] = result["provenance"]
        if (made["method"], made["verb"]) != ("ctpa", "synthesize"):
            return None
        checksums = [entry.get("sha256") for entry in result["outputs"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return made if sha256(ct) in checksums else None


def _xray(
    path: Path, settings: SynthesizeParameters, truth: Hu, grid: Grid, run: Run
) -> tuple[Image, Geometry, tuple[float, float, float]]:
    """The X-ray as a network takes it, its geometry, and how far the true CT lies beside it, RAS mm.

    A synthetic CT lies where its X-ray does, so that it is the true one that must be moved.
    """
    radiograph = read_radiograph(path)
    xray, geometry = standardized_xray(radiograph, settings, grid)
    for note in xray.notes:
        run.reporter.warning(f"{radiograph.name}: {note}")
    (up, left), fit = find_shift(xray, line_integrals(truth, grid, geometry), grid, geometry)
    if up or left:
        run.reporter.warning(
            f"The true CT is moved by {0.0 - up:.0f} mm towards the head and {0.0 - left:.0f} mm to the left on the "
            f"detector, where it fits the X-ray best (correlation {fit:.2f})."
        )
    scale = geometry.at_middle()
    return xray.image, geometry, (-left / scale + 0.0, 0.0, up / scale)


def _shape(volume: Volume) -> tuple[int, int, int]:
    k, j, i = volume.array.shape
    return k, j, i
