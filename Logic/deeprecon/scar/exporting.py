"""Results for simulators and other programs: `scar export`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.series import Series, read_series
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.labels_on_grid import MIN_SHARE
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.mesh.parts import with_cells
from deeprecon.data.segmentation import Segmentation, read_segmentation
from deeprecon.data.volume import Volume
from deeprecon.jobs.results.provenance import input_checksums, input_entries
from deeprecon.jobs.run import Outcome, Run
from deeprecon.scar.measure.activation_map import endocardial_sites
from deeprecon.scar.parameters import VALUE_ARRAYS, ExportInputs, ExportParameters, Frame, MeshFormat, Unit
from deeprecon.scar.read.result import read_result
from deeprecon.scar.read.run_files import RunFiles, read_run_files
from deeprecon.scar.tissue_tags import TissueTags, is_region, parse_tissue_tags
from deeprecon.scar.write.dicom_objects import write_dicom_objects
from deeprecon.scar.write.mesh import companion_files, element_tags, with_element_tags
from deeprecon.scar.write.opencarp_experiment import write_experiment
from deeprecon.scar.write.regions import region_tags

Integers = npt.NDArray[np.int64]

_STIMULUS = 2.0
"""Radius in mm of the tissue around a site that is stimulated."""


def export(inputs: ExportInputs, parameters: ExportParameters, run: Run) -> Outcome:
    """Write a result for simulators and other programs, node order kept.

    Elements are tagged by the mean probability of their nodes: 1 (healthy), 101 (scar) and, where the result has a core
    of its own in the array core_probability, 100 (border zone) for the scar outside of it. Without such a core all scar
    is 101: its uncertain edge is scar where its probability exceeds the cutoff, else healthy. Elements with a node that
    no slice shows are 102 (unknown); tags that the elements already have are kept where there is no scar. `--tags`
    chooses other numbers, and numbers for segments of the AHA, layers and drawn segments: scar and unknown wall come
    before a drawn segment, that before a segment of the AHA, and that before a layer. Regions that are not wall
    (`--mesh-region`) keep their tags. Of the cells only those that count are elements: openCARP gets no others, the
    other formats all, with the tags in an array at the cells.

    DICOM objects hold the voxels and figures of the run instead, see `write_dicom_objects`.

    Raises:
        InputError: as `read_result`, `element_tags` and `region_tags`; a tag names no segment, or none is named; as
            `read_run_files`; the source is no series, or shows another place.
    """
    if parameters.format is MeshFormat.DICOM:
        return _export_dicom(inputs, run)
    if inputs.source is not None:
        raise InputError("Only DICOM objects refer to images.", "Choose --format dicom, or leave out --source.")
    heart = read_result(inputs.mesh, parameters.tag_array)
    run.consider(heart.doubts)
    mesh = with_cells(heart.whole, heart.part.cells)
    opencarp = parameters.format is MeshFormat.OPENCARP
    unit = parameters.unit if parameters.unit is not Unit.AUTO else Unit.UM if opencarp else Unit.MM
    frame = parameters.frame if parameters.frame is not Frame.AUTO else Frame.LPS

    def at_nodes(name: str) -> npt.NDArray[np.float64] | None:
        return np.asarray(mesh.point_array(name), np.float64) if name in mesh.array_names else None

    drawn = None if inputs.segmentation is None else read_segmentation(inputs.segmentation)
    of_tissue = parse_tissue_tags(parameters.tags, () if drawn is None else drawn.names)
    _check_drawn(drawn, of_tissue)
    core = at_nodes("core_probability")
    existing = None if heart.tags is None else heart.tags.values[heart.part.cells]
    tags = element_tags(
        mesh,
        np.asarray(mesh.point_array(VALUE_ARRAYS[parameters.report_values]), np.float64),
        parameters.cutoff,
        existing,
        of_tissue,
        core,
        at_nodes("observed"),
        np.isin(existing, heart.region) if heart.region and existing is not None else None,
        region_tags(mesh, of_tissue, drawn) if of_tissue.regions else None,
    )
    path = run.output / ("mesh.pts" if opencarp else f"mesh.{parameters.format.value}")
    if opencarp:
        write_mesh(path, mesh, unit.value, frame.value, element_tags=tags)
    else:
        write_mesh(path, with_element_tags(heart, tags), unit.value, frame.value)
    outputs = {"mesh": path} | companion_files(path)
    if parameters.experiment:
        sites = _stimulated(mesh, tags != of_tissue.core)
        if not sites:
            run.reporter.warning("No stimulus sites are written: the 17 segments of the result are not known.")
        outputs |= write_experiment(run.output, tags, of_tissue, sites)
    numbers = {"scar": of_tissue.core} if core is None else {"border": of_tissue.border, "core": of_tissue.core}
    numbers["unknown"] = of_tissue.unknown
    numbers |= dict(of_tissue.regions)
    counts = {f"{name}_elements": int((tags == number).sum()) for name, number in numbers.items()}
    placement = {"mesh_unit": unit.value, "mesh_frame": frame.value}  # without which it could not be read again
    return Outcome(outputs, {"nodes": mesh.n_points, "elements": len(tags), **counts, **placement})


def _export_dicom(inputs: ExportInputs, run: Run) -> Outcome:
    """Write the DICOM objects of a result."""
    if inputs.segmentation is not None:
        raise InputError("DICOM objects have no tags.", "Leave out --segmentation.")
    files = read_run_files(inputs.mesh, ("segmentation", "probability", "table"), ("aha",))
    series = None
    if inputs.source is not None:
        series = read_series(inputs.source)
        run.consider([*series.doubts, *_source_doubts(inputs, files, run)])
        _check_place(series, read_segmentation(files.paths["segmentation"]))
    outputs, study = write_dicom_objects(run.output, files, series)
    if study.not_stated:
        run.reporter.warning(
            f"No image states the {' and the '.join(study.not_stated)}: made up. Give them with --source."
        )
    return Outcome(outputs, {"study": study.uid, "images": sum(map(len, study.images.values()))})


def _source_doubts(inputs: ExportInputs, files: RunFiles, run: Run) -> list[Doubt]:
    """The doubt about images that the run did not read: its result may be another patient's."""
    assert inputs.source is not None
    checksums = input_checksums(ExportInputs(inputs.mesh, source=inputs.source), run.output)[inputs.source]
    whole = input_entries({inputs.source: checksums})[0]["sha256"]
    if {whole, *checksums.values()} & set(files.inputs):
        return []
    text = "The run did not read these images; the objects would be filed under their patient and study."
    way_out = "Give the DICOM images that the run read, or those that its images were converted from."
    return [Doubt("source-not-of-run", inputs.source.name, text, way_out)]


def _check_place(series: Series, regions: Segmentation) -> None:
    """Refuse images that do not show the place of the wall."""
    wall = np.logical_or.reduce([segment.mask for segment in regions.segments])
    points = Volume(wall, regions.ijk_to_ras).to_ras(np.argwhere(wall)[:, ::-1]) * [-1, -1, 1]
    first = series.slices[0]
    rows, columns = first.rows_columns
    offset = points - first.position
    i, j = offset @ first.row / first.spacing[0], offset @ first.column / first.spacing[1]
    heights = [entry.position @ first.normal for entry in series.slices]
    height, margin = points @ first.normal, 2 * (first.thickness or 10.0)
    seen = (i > -1) & (i < columns) & (j > -1) & (j < rows)
    if len(series.slices) > 1:
        seen &= (height > min(heights) - margin) & (height < max(heights) + margin)
    if seen.mean() < MIN_SHARE:
        raise InputError(
            f"{100 * (1 - seen.mean()):.0f} % of the wall lie outside of the images of {series.folder.name}.",
            "Give the images of this patient that were reconstructed.",
        )


def _check_drawn(drawn: Segmentation | None, tags: TissueTags) -> None:
    """Refuse a segmentation that no tag names."""
    if drawn is not None and all(is_region(name) for name, _ in tags.regions):
        raise InputError(
            f"No tag names a segment of {drawn.name}.",
            f"Name some with --tags NAME=NUMBER, or leave it out; it has: {', '.join(drawn.names)}.",
        )


def _stimulated(mesh: Mesh, conducts: npt.NDArray[np.bool_]) -> dict[str, Integers]:
    """Nodes around the endocardial site of each segment, of elements that conduct (M,); empty where none are known."""
    if not {"aha_segment", "transmural_depth"} <= set(mesh.array_names):
        return {}
    connectivity, offsets, _ = mesh.cells()
    alive = np.zeros(mesh.n_points, bool)
    alive[connectivity[np.repeat(conducts, np.diff(offsets))]] = True
    segment, depth = (
        np.nan_to_num(np.asarray(mesh.point_array(name), np.float64)) for name in ("aha_segment", "transmural_depth")
    )
    points = mesh.points
    sites = endocardial_sites(points, np.rint(segment).astype(np.int64), depth, alive)
    return {
        f"site_{site.segment:02d}": np.flatnonzero(
            alive & (np.linalg.norm(points - points[site.node], axis=1) <= _STIMULUS)
        )
        for site in sites
    }
