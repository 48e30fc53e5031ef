"""The verb `evaluate`: metrics of a synthetic CT against the true one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import AIR, PREVIEW, Grid, Hu, is_on_grid, resample_labels
from deeprecon.ctpa.measure.anatomy import (
    cardiothoracic_ratio,
    implausible_organs,
    lung_litres,
    organ_hu,
    vessel_recall,
)
from deeprecon.ctpa.measure.metrics import mae, psnr, seam_ratio, ssim
from deeprecon.ctpa.measure.projection_check import check_projection
from deeprecon.ctpa.observe.alignment import find_shift
from deeprecon.ctpa.observe.body import Mask, body_mask
from deeprecon.ctpa.observe.ct_checks import ct_doubts
from deeprecon.ctpa.observe.film import XrayImage, standardized_xray
from deeprecon.ctpa.observe.film_checks import film_doubts
from deeprecon.ctpa.observe.placement import PlacedCt, known_pixels, place
from deeprecon.ctpa.observe.projection import Geometry, line_integrals
from deeprecon.ctpa.parameters import EvaluateInputs, SynthesizeParameters
from deeprecon.ctpa.patches import Windows
from deeprecon.data.files import sha256
from deeprecon.data.labels_on_grid import labels_on_grid
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.tables import write_table
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.parameters import NoParameters, from_json
from deeprecon.jobs.run import Outcome, Run

PATCH, STRIDE = 128, 96
"""Of the published patch training; the planes where its patches meet are checked for seams."""


def evaluate(inputs: EvaluateInputs, parameters: NoParameters, run: Run) -> Outcome:
    """Metrics of a synthetic CT on its own voxels, with a fixed range of HU, of the whole field and within the body.

    What one of the two scans does not show counts in none of them.

    HU by organ and the recall of vessels need the true CT's labels, the projection error the X-ray, which is taken with
    the settings of the synthesis, see `_settings`.

    Raises:
        InputError: a volume that is no CT of a chest, or labels that are not of the true CT.
    """
    run.reporter.status("Reading the volumes")
    synthetic = read_volume(inputs.ct)
    k, j, i = synthetic.array.shape
    grid = Grid((k, j, i))
    on_grid = is_on_grid(synthetic, grid)
    if not on_grid:
        grid = PREVIEW
        run.reporter.warning(f"{synthetic.name} does not have the voxels of a synthetic CT and is resampled.")
    made = place(synthetic, grid, synthetic=on_grid)
    true = read_volume(inputs.truth)
    placed = place(true, grid)
    run.consider((*made.doubts, *ct_doubts(true), *placed.doubts))
    figures: dict[str, float] = {}
    if inputs.xray is not None:
        xray, geometry, offset = _registered_xray(inputs.ct, inputs.xray, placed, grid, run)
        if any(offset):
            placed = place(true, grid, offset)
        for name, ct in (("", made), ("truth_", placed)):
            covered = xray.covered & known_pixels(ct, grid, geometry)
            check = check_projection(ct.hu, xray.image, grid, geometry, covered)
            figures |= {f"{name}projection_nrmse": check.nrmse, f"{name}projection_ncc": check.ncc}
    run.reporter.status("Comparing")
    known = made.known & placed.known
    hu, truth = (np.where(known, ct.hu, AIR).astype(np.int16) for ct in (made, placed))
    figures |= _image_metrics(hu, truth, known) | _anatomy(hu, truth, grid)
    if inputs.labels is not None:
        labels, doubts = labels_on_grid(read_volume(inputs.labels), true)
        run.consider(doubts)
        figures |= _organs(hu, truth, resample_labels(replace(true, array=labels), grid, placed.affine), run)
    outputs = {"table": run.output / "evaluation.csv"}
    write_table(outputs["table"], [{"figure": name, "value": value} for name, value in figures.items()])
    finite = {name: value for name, value in figures.items() if np.isfinite(value)}  # PSNR of a volume with itself
    return Outcome(outputs, finite)


def _registered_xray(
    ct: Path, path: Path, truth: PlacedCt, grid: Grid, run: Run
) -> tuple[XrayImage, Geometry, tuple[float, float, float]]:
    """The standardized X-ray, its geometry, and the shift of the true CT in RAS mm that fits it best.

    A synthetic CT lies where its X-ray does, so it is the true one that is moved.
    """
    radiograph, settings = read_radiograph(path), _settings(ct, path, run)
    run.consider(film_doubts(radiograph, settings))
    xray, geometry = standardized_xray(radiograph, settings, grid)
    for note in xray.notes:
        run.reporter.warning(f"{radiograph.name}: {note}")
    known = known_pixels(truth, grid, geometry)
    (up, left), fit = find_shift(xray, line_integrals(truth.hu, grid, geometry), grid, geometry, known)
    if up or left:
        run.reporter.warning(
            f"The true CT is moved by {0.0 - up:.0f} mm towards the head and {0.0 - left:.0f} mm to the left on the "
            f"detector, where it fits the X-ray best (correlation {fit:.2f})."
        )
    scale = geometry.at_middle()
    return xray, geometry, (-left / scale + 0.0, 0.0, up / scale)


def _image_metrics(hu: Hu, truth: Hu, known: Mask) -> dict[str, float]:
    body = body_mask(truth) & known
    whole = None if known.all() else known
    figures: dict[str, float] = {}
    for name, mask in (("", whole), ("_body", body)):
        figures |= {f"psnr{name}": psnr(hu, truth, mask), f"mae{name}": mae(hu, truth, mask)}
    figures["ssim"], figures["ssim_body"] = ssim(hu, truth, (whole, body))
    k, j, i = hu.shape
    windows = Windows.cubes((k, j, i), PATCH, STRIDE)
    return figures | {"seam_ratio": seam_ratio(hu, windows), "truth_seam_ratio": seam_ratio(truth, windows)}


def _anatomy(hu: Hu, truth: Hu, grid: Grid) -> dict[str, float]:
    figures = {"lung_litres": lung_litres(hu, grid), "truth_lung_litres": lung_litres(truth, grid)}
    ratios = {
        name: cardiothoracic_ratio(volume, grid)
        for name, volume in (("cardiothoracic_ratio", hu), ("truth_cardiothoracic_ratio", truth))
    }
    return figures | {name: ratio for name, ratio in ratios.items() if ratio is not None}


def _organs(hu: Hu, truth: Hu, labels: npt.NDArray[np.uint8], run: Run) -> dict[str, float]:
    """Median HU by organ in both CTs, with a warning for each implausible one, and the recall of vessels."""
    organs = organ_hu(hu, labels)
    for text in implausible_organs(organs):
        run.reporter.warning(f"In the synthetic CT {text}.")
    figures = {f"{name}_hu": value for name, value in organs.items()}
    figures |= {f"truth_{name}_hu": value for name, value in organ_hu(truth, labels).items()}
    recall = vessel_recall(hu, truth, labels)
    return figures if recall is None else figures | {"vessel_recall": recall}


def _settings(ct: Path, xray: Path, run: Run) -> SynthesizeParameters:
    """The settings of the synthesis of a CT, from the result.json in its folder.

    The defaults, by which the X-ray's file decides, where there is none, or it is of another CT or another X-ray.
    """
    provenance = _provenance(ct)
    if provenance is None:
        return SynthesizeParameters()
    if sha256(xray) not in [entry["sha256"] for entry in provenance["inputs"]]:
        run.reporter.warning(f"{ct.name} was not made from {xray.name}: none of its settings for the X-ray is used.")
        return SynthesizeParameters()
    run.reporter.warning(f"{xray.name} is read with the settings in the result.json of {ct.name}.")
    return from_json(SynthesizeParameters, provenance["parameters"])


def _provenance(ct: Path) -> dict[str, Any] | None:
    """The provenance of a CT, from the result.json in its folder; None where that is not of this CT."""
    try:
        result = json.loads((ct.parent / "result.json").read_text(encoding="utf-8"))
        provenance: dict[str, Any] = result["provenance"]
        if (provenance["method"], provenance["verb"]) != ("ctpa", "synthesize"):
            return None
        checksums = [entry.get("sha256") for entry in result["outputs"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return provenance if sha256(ct) in checksums else None
