"""Files of phantom chests: CT, labels and X-ray of each, and the manifest that `ctpa prepare` takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deeprecon.ctpa.grid import PRESETS, Grid
from deeprecon.ctpa.parameters import PhantomInputs, PhantomParameters
from deeprecon.ctpa.phantom import draw_grid, make_anatomy
from deeprecon.ctpa.projection import Geometry, Image, detector_axes, expose, line_integrals
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.run import Outcome, Run, Stopped


def phantom(inputs: PhantomInputs, parameters: PhantomParameters, run: Run) -> Outcome:
    """Make chests whose CT is known, with an X-ray of each: case_NNNN/{ct,labels,xray}.nii.gz and manifest.csv.

    The chest of a number is the same whichever others are made beside it.
    """
    grid, geometry = PRESETS[parameters.preset.value], Geometry()
    rows: list[dict[str, object]] = []
    folders: dict[str, Path] = {}
    emboli = 0
    for index in range(parameters.count):
        if run.should_stop():
            break
        number = parameters.first + index
        run.reporter.status(f"Drawing chest {index + 1} of {parameters.count}")
        anatomy = make_anatomy(run.seed + number)
        hu, labels = draw_grid(anatomy, grid)
        rng = np.random.default_rng([run.seed + number, 62])
        exposed = expose(line_integrals(hu, grid, geometry), rng)
        folder = folders[f"case_{number:04d}"] = run.output / f"case_{number:04d}"
        folder.mkdir()
        write_volume(folder / "ct.nii.gz", Volume(hu, grid.affine()))
        write_volume(folder / "labels.nii.gz", Volume(labels, grid.affine()))
        write_xray(folder / "xray.nii.gz", exposed, grid, geometry)
        files = {role: f"{folder.name}/{role}.nii.gz" for role in ("ct", "xray", "labels")}
        patient = {"patient": f"phantom-{run.seed + number:06d}", "view": geometry.view.value}
        rows.append({**patient, **files, "embolus": int(anatomy.has_embolus)})
        emboli += anatomy.has_embolus
        run.reporter.progress((index + 1) / parameters.count)
    if not rows:
        raise Stopped
    manifest = run.output / "manifest.csv"
    write_table(manifest, rows)
    return Outcome({"manifest": manifest} | folders, {"chests": len(rows), "with_embolus": emboli})


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
