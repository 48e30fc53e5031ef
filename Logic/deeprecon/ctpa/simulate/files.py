"""Files of simulated chests: CT, labels and X-ray of each, and the manifest for `ctpa prepare`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import PRESETS, Grid, Hu
from deeprecon.ctpa.observe.ct_checks import ct_doubts
from deeprecon.ctpa.observe.placement import PlacedCt, known_pixels, place
from deeprecon.ctpa.observe.projection import Geometry, Image, detector_axes, expose, line_integrals
from deeprecon.ctpa.parameters import PhantomInputs, PhantomParameters
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import continued
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume
from deeprecon.jobs.run import Outcome, Run, Stopped

Array = npt.NDArray[np.float64]


def phantom(inputs: PhantomInputs, parameters: PhantomParameters, run: Run) -> Outcome:
    """Simulate chests with an X-ray of each: case_NNNN/{ct,labels,xray}.nii.gz and manifest.csv.

    The chest of a number does not depend on the others. Given a CT, an X-ray is simulated from it, without labels.

    Raises:
        InputError: the CT cannot be used, or more than one chest was requested of it.
    """
    if inputs.ct is not None and parameters.count > 1:
        raise InputError(f"{parameters.count} chests were asked of one CT.", "Leave out --count, or the CT.")
    grid = PRESETS[parameters.preset.value]
    rows: list[dict[str, object]] = []
    folders: dict[str, Path] = {}
    for index in range(parameters.count):
        if run.should_stop():
            break
        number = parameters.first + index
        run.reporter.status(f"Drawing chest {index + 1} of {parameters.count}")
        folder = folders[f"case_{number:04d}"] = run.output / f"case_{number:04d}"
        folder.mkdir()
        rng = np.random.default_rng([run.seed + number, 62])
        if inputs.ct is None:
            anatomy = make_anatomy(run.seed + number)
            hu, labels = draw_grid(anatomy, grid)
            row: dict[str, object] = {"patient": f"phantom-{run.seed + number:06d}"}
            row |= _write_pair(folder, hu, grid.affine(), grid, rng)
            write_volume(folder / "labels.nii.gz", Volume(labels, grid.affine()))
            row |= {"labels": f"{folder.name}/labels.nii.gz", "embolus": int(anatomy.has_embolus)}
        else:
            ct = read_volume(inputs.ct)
            placed = place(ct, grid)
            run.consider((*ct_doubts(ct), *placed.doubts))
            row = {"patient": inputs.ct.name.split(".")[0]} | _write_pair_of(placed, folder, grid, rng)
        rows.append(row)
        run.reporter.progress((index + 1) / parameters.count)
    if not rows:
        raise Stopped
    manifest = run.output / "manifest.csv"
    write_table(manifest, rows)
    figures = {"chests": len(rows)}
    if inputs.ct is None:
        figures["with_embolus"] = sum(bool(row["embolus"]) for row in rows)
    return Outcome({"manifest": manifest} | folders, figures)


def _write_pair(folder: Path, hu: Hu, affine: Array, grid: Grid, rng: np.random.Generator) -> dict[str, object]:
    """Write a CT and its X-ray, and return their entries of the manifest."""
    geometry = Geometry()
    write_volume(folder / "ct.nii.gz", Volume(hu, affine))
    write_xray(folder / "xray.nii.gz", expose(line_integrals(hu, grid, geometry), rng), grid, geometry)
    return _manifest_row(folder, geometry)


def _write_pair_of(placed: PlacedCt, folder: Path, grid: Grid, rng: np.random.Generator) -> dict[str, object]:
    """The same for a patient's CT: only what the scan shows is written, and enters the X-ray."""
    geometry = Geometry()
    spans = [np.flatnonzero(placed.known.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    k, j, i = (slice(int(span[0]), int(span[-1]) + 1) for span in spans)
    affine = placed.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [i.start, j.start, k.start]
    write_volume(folder / "ct.nii.gz", Volume(np.ascontiguousarray(placed.hu[k, j, i]), affine))
    exposed = expose(line_integrals(placed.hu, grid, geometry), rng).astype(float)
    image = continued(exposed, known_pixels(placed, grid, geometry)).astype(np.float32)
    write_xray(folder / "xray.nii.gz", image, grid, geometry)
    return _manifest_row(folder, geometry)


def _manifest_row(folder: Path, geometry: Geometry) -> dict[str, object]:
    return {"view": geometry.view.value, "ct": f"{folder.name}/ct.nii.gz", "xray": f"{folder.name}/xray.nii.gz"}


def write_xray(path: Path, image: Image, grid: Grid, geometry: Geometry) -> None:
    """Write an X-ray as a volume of one coronal slice, with the spacing of the detector's pixels.

    Args:
        path: .nii.gz, .nrrd or .mha.
        image: (rows towards the head, columns to the left).
        grid, geometry: see `projection.detector_axes`.
    """
    v, u = detector_axes(grid, geometry)
    affine = np.diag([u[0] - u[1], -1.0, v[1] - v[0], 1.0])
    affine[:3, 3] = -u[0], 0, v[0]
    write_volume(path, Volume(image[:, None, :].astype(np.float32), affine))
