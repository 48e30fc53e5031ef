"""The files that a reconstruction is written to; `WRITERS` is the only list of them.

A new output is one function and one entry in `WRITERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.segmentation import write_segmentation
from deeprecon.data.tables import write_table
from deeprecon.data.volume_io import write_volume
from deeprecon.scar.measure.channels import channel_rows, channels_polydata
from deeprecon.scar.observe.alignment.rows import motion_rows
from deeprecon.scar.write.finished import Finished
from deeprecon.scar.write.mesh import write_heart_mesh
from deeprecon.scar.write.report import write_report
from deeprecon.scar.write.segmentation import probability_volume, segment_regions


def _mesh(done: Finished, folder: Path) -> dict[str, Path]:
    return write_heart_mesh(folder, done.heart, done.found.mesh)


def _segmentation(done: Finished, folder: Path) -> dict[str, Path]:
    path = folder / "segmentation.seg.nrrd"
    regions = segment_regions(done.found.voxels, done.parameters.cutoff, done.parameters.core_cutoff)
    write_segmentation(path, regions)
    probability = folder / "probability.nrrd"
    write_volume(probability, probability_volume(done.found.voxels))
    return {"segmentation": path, "probability": probability}


def _tables(done: Finished, folder: Path) -> dict[str, Path]:
    """One CSV file each; the optional ones only where they have rows."""
    found = done.found
    optional = {
        "aha": found.wall.segments,
        "transmurality": found.wall.transmurality,
        "channels": channel_rows(found.channels),
        "unmet": found.unmet,
        "motion": motion_rows(done.slices.stacks),
    }
    tables = {"table": found.burden, "slices": found.slices} | {name: rows for name, rows in optional.items() if rows}
    paths = {name: folder / f"{name}.csv" for name in tables}
    for name, path in paths.items():
        write_table(path, tables[name])
    return paths


def _channel_paths(done: Finished, folder: Path) -> dict[str, Path]:
    if not done.found.channels:
        return {}
    path = folder / "channels.vtp"
    write_mesh(path, Mesh(channels_polydata(done.found.channels), "channels"), "mm", "lps")
    return {"channel_paths": path}


def _report(done: Finished, folder: Path) -> dict[str, Path]:
    path = folder / "report.html"
    pictures = write_report(path, done)
    return {"report": path} | {f"picture_{picture.stem}": picture for picture in pictures}


WRITERS: tuple[Callable[[Finished, Path], dict[str, Path]], ...] = (
    _mesh,
    _segmentation,
    _tables,
    _channel_paths,
    _report,
)
"""Each writes files into a folder and returns where they lie, by role."""


def write_outputs(done: Finished, folder: Path) -> dict[str, Path]:
    """Write everything; returns the files by role."""
    outputs: dict[str, Path] = {}
    for writer in WRITERS:
        written = writer(done, folder)
        if twice := set(written) & set(outputs):
            raise ValueError(f"two writers of the role {', '.join(sorted(twice))}")
        outputs |= written
    return outputs
