"""Activation of the ventricles from one site or each of 17, by the eikonal equation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import place, read_lines
from deeprecon.data.mesh.tetrahedra import tetrahedra_of
from deeprecon.data.tables import write_table
from deeprecon.jobs.run import Outcome, Run, Stopped
from deeprecon.numerics.eikonal import Medium
from deeprecon.numerics.tetrahedra import Tetrahedra
from deeprecon.scar.anatomy.fiber_rule import FiberAngles, rule_based_fibers
from deeprecon.scar.electrophysiology.fibers_by_rule import find_coordinates, own_fibers, write_ventricles
from deeprecon.scar.electrophysiology.parameters import ActivationInputs, ActivationParameters
from deeprecon.scar.measure.activation_map import (
    ActivationMap,
    Site,
    channel_transits,
    endocardial_sites,
    late_zones,
    reentry_vulnerability,
    segments_of,
    site_row,
)
from deeprecon.scar.parameters import VALUE_ARRAYS
from deeprecon.scar.read.mesh import HeartMesh
from deeprecon.scar.read.result import read_ventricles
from deeprecon.scar.tissue_tags import STANDARD_TAGS
from deeprecon.scar.write.mesh import element_tags, placement

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BESIDE = 2.0
"""Distance from the wall in mean edges beyond which a site is none."""


@dataclass(frozen=True, eq=False)
class _Wall:
    """What activation travels through.

    Attributes:
        heart: the mesh.
        tetrahedra: of its wall, and `cells` (M,) of which element each is a part.
        scarred, healthy: the medium, and the same without scar.
        segments: (N,) of the AHA, 0 where not known.
        depth: (N,) 0 at the endocardium to 1 at the epicardium; NaN where not known.
    """

    heart: HeartMesh
    tetrahedra: Tetrahedra
    scarred: Medium
    healthy: Medium
    segments: Ints
    depth: Floats


def activation(inputs: ActivationInputs, parameters: ActivationParameters, run: Run) -> Outcome:
    """When each place of the wall is activated, from a site or from each of the 17 segments in turn.

    Scar core is an obstacle and border zone is slower; both are those of `scar export`. Fibers are those of the mesh,
    else by rule. With several sites the arrays of delay and vulnerability are the worst of all sites.

    Raises:
        InputError: as `scar fibers`; the site lies outside of the wall or in scar core; no segment has a site.
    """
    run.reporter.status("Reading the mesh")
    wall = _read_wall(inputs, parameters, run)
    channels = _channels(inputs, wall.heart)
    sites = _sites(wall, parameters, inputs.mesh.name)
    maps: list[ActivationMap] = []
    tables: dict[str, list[dict[str, Any]]] = {"sites": [], "late_zones": [], "slow_channels": []}
    for found in _maps(wall, sites, parameters, run):
        maps.append(found)
        row = site_row(found, wall.tetrahedra, parameters.late)
        tables["sites"].append(row)
        zones = late_zones(wall.tetrahedra, found.delay, parameters.late, wall.segments)
        transits = channel_transits(wall.tetrahedra.points, found.times, channels)
        tables["late_zones"] += [{"site": row["site"], "zone": number, **zone} for number, zone in enumerate(zones, 1)]
        tables["slow_channels"] += [{"site": row["site"], **transit} for transit in transits]
    run.reporter.status("Writing the results")
    arrays = _arrays(maps)
    spread = {name: wall.heart.part.spread(values, np.nan) for name, values in arrays.items()}
    outputs = write_ventricles(wall.heart, wall.heart.whole.with_point_arrays(spread), run.output)
    for name, rows in tables.items():
        if rows:
            outputs[name] = run.output / f"{name}.csv"
            write_table(outputs[name], rows)
    rows = tables["sites"]
    figures = {
        "sites": len(rows),
        "last_activation_ms": max(row["last_activation_ms"] for row in rows),
        "largest_delay_ms": max(row["largest_delay_ms"] for row in rows),
        "lowest_vulnerability_ms": min(row["lowest_vulnerability_ms"] for row in rows),
        "activated_percent": min(row["activated_percent"] for row in rows),
    }
    return Outcome(outputs, figures | placement(wall.heart))


def _maps(wall: _Wall, sites: list[Site], parameters: ActivationParameters, run: Run) -> Iterator[ActivationMap]:
    """The map of each site; ends early, with what there is, where the run was asked to stop."""
    for number, site in enumerate(sites):
        if run.should_stop():
            if number == 0 or run.interrupted:
                raise Stopped
            run.reporter.warning(f"Stopped after {number} of {len(sites)} sites.")
            return
        run.reporter.status(f"Activation from {site.name}")
        times = wall.scarred.arrival([site.node])
        same = wall.healthy is wall.scarred
        without = times if same else wall.healthy.arrival([site.node], wall.scarred)
        times = np.where(np.isfinite(times), times, np.nan)
        vulnerability = reentry_vulnerability(wall.tetrahedra.points, times, parameters.duration, parameters.radius)
        yield ActivationMap(site, times, np.maximum(times - without, 0), vulnerability)
        run.reporter.progress((number + 1) / len(sites))


def _arrays(maps: list[ActivationMap]) -> dict[str, Floats]:
    """The arrays at the nodes."""
    if len(maps) == 1:
        times = {"activation_time": maps[0].times}
    else:
        times = {f"activation_time_{found.site.segment:02d}": found.times for found in maps}
    delay = np.fmax.reduce([found.delay for found in maps])
    vulnerability = np.fmin.reduce([found.vulnerability for found in maps])
    return {**times, "activation_delay": delay, "reentry_vulnerability": vulnerability}


def _read_wall(inputs: ActivationInputs, parameters: ActivationParameters, run: Run) -> _Wall:
    heart = read_ventricles(
        inputs.mesh, parameters.mesh_unit, parameters.mesh_frame, parameters.tag_array, parameters.mesh_region
    )
    run.consider(heart.doubts)
    tetrahedra, cells = tetrahedra_of(heart.mesh)
    own = own_fibers(heart)
    segments, depth = _at_nodes(heart, "aha_segment"), _at_nodes(heart, "transmural_depth")
    if own is None or (not parameters.site and (segments is None or depth is None)):
        coordinates = find_coordinates(heart, tetrahedra, inputs.landmarks, run)
        if segments is None or depth is None:
            segments, depth = segments_of(coordinates).astype(np.float64), coordinates.transmural
    if own is None:
        run.reporter.warning("The mesh has no fibers: these are made by rule (scar fibers).")
        angles = FiberAngles(parameters.endo, parameters.epi, parameters.sheet_endo, parameters.sheet_epi)
        fibers, _ = rule_based_fibers(coordinates, angles)
    else:
        fibers = own[cells]
    scarred, healthy = _media(heart, tetrahedra, cells, fibers, parameters, run)
    count = len(tetrahedra.points)
    known = np.zeros(count, np.int64) if segments is None else np.nan_to_num(segments).astype(np.int64)
    return _Wall(heart, tetrahedra, scarred, healthy, known, np.full(count, np.nan) if depth is None else depth)


def _media(
    heart: HeartMesh,
    tetrahedra: Tetrahedra,
    cells: Ints,
    fibers: Floats,
    parameters: ActivationParameters,
    run: Run,
) -> tuple[Medium, Medium]:
    """The wall with its scar, and without."""
    along, across = (np.full(len(cells), speed) for speed in (parameters.along, parameters.across))
    healthy = Medium(tetrahedra, fibers, along, across)
    probability = _at_nodes(heart, VALUE_ARRAYS[parameters.report_values])
    if probability is None:
        run.reporter.warning("The mesh has no scar probability: all of the wall counts as healthy.")
        return healthy, healthy
    core, observed = _at_nodes(heart, "core_probability"), _at_nodes(heart, "observed")
    tags = element_tags(heart.mesh, np.nan_to_num(probability), parameters.cutoff, core=core, observed=observed)
    if (unknown := float((tags == STANDARD_TAGS.unknown).mean())) > 0:
        run.reporter.warning(f"{unknown:.0%} of the elements are shown by no slice; they count as healthy.")
    if core is None and (tags == STANDARD_TAGS.core).any():
        run.reporter.warning("The result has no core of its own: all scar is an obstacle, and nothing is slow.")
    speed = np.select([tags == STANDARD_TAGS.core, tags == STANDARD_TAGS.border], [0.0, parameters.border], 1.0)[cells]
    if not speed.any():
        raise InputError(f"{heart.whole.name} is scar core everywhere.", "Check the cutoff and the reconstruction.")
    if (speed == 1).all():
        return healthy, healthy
    return Medium(tetrahedra, fibers, along * speed, across * speed), healthy


def _at_nodes(heart: HeartMesh, name: str) -> Floats | None:
    """(N,) array of the file at the nodes of the wall; None where it has none of that name."""
    if name not in heart.whole.array_names:
        return None
    return np.asarray(heart.whole.point_array(name), np.float64)[heart.part.first]


def _sites(wall: _Wall, parameters: ActivationParameters, name: str) -> list[Site]:
    """The chosen site, else one in each segment.

    Raises:
        InputError: the site lies outside of the wall, or in scar core; no segments are known.
    """
    points, conducts = wall.tetrahedra.points, wall.scarred.conducts
    if parameters.site:
        distance = np.linalg.norm(points - np.array(parameters.site), axis=1)
        node, edge = int(distance.argmin()), wall.tetrahedra.mean_edge()
        shown = " ".join(f"{value:g}" for value in parameters.site)
        if distance[node] > _BESIDE * edge:
            near = " ".join(f"{value:.1f}" for value in points[node])
            raise InputError(
                f"The site {shown} lies {distance[node]:.1f} mm outside of the wall of {name}.",
                f"Choose one in it, R A S in mm; the nearest place of the wall is {near}.",
            )
        if not conducts[node]:
            near = " ".join(f"{value:.1f}" for value in points[conducts][distance[conducts].argmin()])
            raise InputError(
                f"The site {shown} lies in scar core, which does not conduct.",
                f"Choose another one; the nearest place that conducts is {near}.",
            )
        return [Site("site", node, int(wall.segments[node]))]
    sites = endocardial_sites(points, wall.segments, wall.depth, conducts)
    if not sites:
        raise InputError(
            f"The 17 segments of {name} are not known: where the right ventricle meets the left one is not.",
            "Choose a --site, or give --landmarks with both insertions.",
        )
    return sites


def _channels(inputs: ActivationInputs, heart: HeartMesh) -> list[Floats]:
    """(P, 3) RAS mm of the path of each channel, of the file given, else of that beside the mesh, if there is one."""
    path = inputs.channels or inputs.mesh.parent / "channels.vtp"
    if inputs.channels is None and not path.is_file():
        return []
    file = read_lines(path)
    points = place(file, "mm", file.frame or heart.frame.value).points
    lines = file.dataset.GetLines()
    offsets, nodes = (vtk_to_numpy(array) for array in (lines.GetOffsetsArray(), lines.GetConnectivityArray()))
    return [points[nodes[start:end]] for start, end in pairwise(offsets)]
