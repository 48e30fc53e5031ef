"""A scar reconstruction as nodes see it: what the user chose, written as a job folder, and questions about the mesh."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.markups import write_markups
from deeprecon.data.mesh import Mesh, with_points
from deeprecon.data.mesh_io import FRAMES, SCALES, write_mesh
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job
from deeprecon.jobs.parameters import to_json
from deeprecon.scar.parameters import Frame, ReconstructParameters, Unit
from deeprecon.scene.markups import points_from_node
from deeprecon.scene.models import mesh_from_node
from deeprecon.scene.results import load_results, read_result
from deeprecon.scene.segmentations import find_segments, segment_volume
from deeprecon.scene.volumes import volume_from_node

REFERENCES = {
    "segmentation": "DeepRecon.Segmentation",
    "volume": "DeepRecon.Volume",
    "mesh": "DeepRecon.Mesh",
    "landmarks": "DeepRecon.Landmarks",
}
CHOICES = "DeepRecon.Choices"
OUTPUT = "output"
"""Folder of the results below the job folder."""

UNIT_NAMES = {"mm": "millimeters", "cm": "centimeters", "m": "meters", "um": "micrometers"}
TITLES = {
    "volume_ml": "ml",
    "area_cm2": "cm²",
    "mass_g": "g",
    "percent_of_wall": "% of wall",
    "low_ml": "from ml",
    "high_ml": "to ml",
    "low_cm2": "from cm²",
    "high_cm2": "to cm²",
    "largest_piece_ml": "largest ml",
    "largest_piece_cm2": "largest cm²",
    "interface_cm2": "border cm²",
}
"""Columns of the burden table and their titles in the panel."""

COLORS = {
    "myocardium": (0.7, 0.35, 0.3),
    "scar": (0.95, 0.85, 0.2),
    "core": (0.75, 0.05, 0.1),
    "border-zone": (1.0, 0.62, 0.2),
    "no-reflow": (0.3, 0.3, 0.6),
    "remote": (0.3, 0.7, 0.4),
    "blood-pool": (0.85, 0.24, 0.24),
    "right-blood-pool": (0.27, 0.45, 0.8),
}
"""Roles whose segments go into a job, and their colors there."""

BY_NAME = ("core", "border-zone", "blood-pool", "right-blood-pool")
"""Roles whose segments are taken by their names: nobody has to choose them."""

ENOUGH_OVERLAP = 0.15
"""Share of the larger box that both boxes have in common where a mesh and a wall plainly belong together."""


@dataclass(frozen=True)
class ScarNodes:
    """The nodes of one reconstruction.

    Attributes:
        segmentation: vtkMRMLSegmentationNode with the wall.
        segments: role ("myocardium", "scar", "no-reflow", "remote") -> segment ID; roles left out are not there, but
            for those of `BY_NAME`, which are found by the segments' names.
        volume: LGE vtkMRMLScalarVolumeNode or None.
        mesh: vtkMRMLModelNode or None.
        from_intensities: take the scar from the volume's intensities instead of from the scar segment.
        mesh_unit, mesh_frame: what the user answered about the mesh's coordinates; `AUTO` reads them as all of the
            scene, in RAS mm.
        landmarks: vtkMRMLMarkupsFiducialNode with points named apex and base and, for the 17 segments, anterior
            insertion and inferior insertion; None where the blood pools have to tell.
    """

    segmentation: Any
    segments: Mapping[str, str] = field(default_factory=dict)
    volume: Any = None
    mesh: Any = None
    from_intensities: bool = False
    mesh_unit: Unit = Unit.AUTO
    mesh_frame: Frame = Frame.AUTO
    landmarks: Any = None

    @property
    def mesh_scale(self) -> npt.NDArray[np.float64]:
        """(3,) factors that bring the mesh's coordinates to RAS mm."""
        unit = Unit.MM if self.mesh_unit is Unit.AUTO else self.mesh_unit
        frame = Frame.RAS if self.mesh_frame is Frame.AUTO else self.mesh_frame
        return SCALES[unit.value] * FRAMES[frame.value]

    def missing(self) -> str:
        """What has to be chosen before a run can start, in words; empty when nothing is missing."""
        if self.segmentation is None:
            return "Choose a segmentation that holds the myocardium."
        if not self.segments.get("myocardium"):
            return "Choose the segment of the myocardium."
        if self.from_intensities and self.volume is None:
            return "Choose the LGE volume, since the scar comes from its intensities."
        if not self.from_intensities and not self.segments.get("scar"):
            return "Choose the scar segment (an empty one if there is no scar), or take the scar from intensities."
        return ""


def write_job(
    folder: Path, nodes: ScarNodes, parameters: ReconstructParameters, device: str = "auto", seed: int = 0
) -> dict[str, str]:
    """Write nodes as files with neutral names and job.json into `folder`.

    Returns:
        File name -> name of the node, for messages.

    Raises:
        InputError: something is missing, the settings contradict themselves, or a node cannot be used.
    """
    reasons = [reason for reason in (nodes.missing(), *parameters.validate()) if reason]
    if reasons:
        raise InputError(reasons[0])
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    inputs: dict[str, Any] = {}
    if nodes.volume is not None:
        write_volume(folder / "inputs" / "lge.nrrd", volume_from_node(nodes.volume))
        inputs["lge"] = ["inputs/lge.nrrd"]
    volumes = {
        role: segment_volume(nodes.segmentation, segment_id, nodes.volume)
        for role, segment_id in _segments_of(nodes).items()
    }
    if not np.asarray(volumes["myocardium"].array).any():
        name = nodes.segmentation.GetSegmentation().GetSegment(nodes.segments["myocardium"]).GetName()
        raise InputError(f"The segment {name} of the myocardium is empty.", "Draw it, or choose another segment.")
    segments = tuple(Segment(role, np.asarray(volume.array) > 0, COLORS[role]) for role, volume in volumes.items())
    path = "inputs/segmentation.seg.nrrd"
    write_segmentation(folder / path, Segmentation(segments, volumes["myocardium"].ijk_to_ras, "segmentation"))
    inputs["myocardium"] = [path]
    if not nodes.from_intensities:
        inputs["scar"] = [path]
    elif "remote" in volumes:
        inputs["remote"] = [path]
    if nodes.mesh is not None:
        mesh = mesh_from_node(nodes.mesh)
        inputs["mesh"] = "inputs/mesh.vtu" if mesh.is_volume else "inputs/mesh.vtp"
        placed = Mesh(with_points(mesh.dataset, mesh.points * nodes.mesh_scale), "mesh")
        write_mesh(folder / inputs["mesh"], placed, "mm", "lps")  # the axes that Slicer itself writes
    if nodes.landmarks is not None:
        inputs["landmarks"] = "inputs/landmarks.mrk.json"
        write_markups(folder / inputs["landmarks"], points_from_node(nodes.landmarks))
    parameters = replace(parameters, mesh_unit=Unit.MM, mesh_frame=Frame.LPS)
    Job("scar", "reconstruct", inputs, to_json(parameters), output=OUTPUT, device=device, seed=seed).save(folder)
    made = {"segmentation.seg.nrrd": nodes.segmentation, "lge.nrrd": nodes.volume}
    made |= {"landmarks.mrk.json": nodes.landmarks}
    made |= {Path(inputs.get("mesh", "mesh")).name: nodes.mesh}
    return {name: node.GetName() for name, node in made.items() if node is not None}


def tells_core(nodes: ScarNodes, parameters: ReconstructParameters) -> bool:
    """Whether a run fits the scar core by itself, after the scar."""
    if nodes.from_intensities or nodes.segmentation is None:
        return bool(parameters.core_threshold)
    return not {"core", "border-zone"}.isdisjoint(_segments_of(nodes))


def _segments_of(nodes: ScarNodes) -> dict[str, str]:
    """Role -> segment ID of all that a job needs; no segment has two roles."""
    drawn = {"scar", "core", "border-zone", "no-reflow"}
    left_out = drawn if nodes.from_intensities else {"remote"}
    chosen = {role: segment_id for role, segment_id in nodes.segments.items() if segment_id}
    named = {role: segment_id for role, segment_id in find_segments(nodes.segmentation).items() if role in BY_NAME}
    found = {role: segment_id for role, segment_id in named.items() if segment_id not in chosen.values()} | chosen
    return {role: found[role] for role in COLORS if role in found and role not in left_out}


@dataclass(frozen=True)
class ScarResult:
    """What a run found.

    Attributes:
        nodes: result nodes by role: "mesh", "table", "slices" and, where the mesh is closed, "segmentation"; where they
            were found, the tables "aha", "transmurality" and "channels" and the lines "channel_paths".
        sentence: about the scar.
        report: page with pictures.
    """

    nodes: Mapping[str, Any]
    sentence: str
    report: Path


def load_outputs(folder: Path, nodes: ScarNodes, reuse: Mapping[str, Any] | None = None) -> ScarResult:
    """Load what a finished job folder holds: all of it or nothing.

    Args:
        folder: the job folder.
        nodes: what the result was made from; it is noted on the result's mesh.
        reuse: role -> node of an earlier run whose content is replaced.

    Raises:
        InputError: no result, or one that is damaged.
    """
    source = nodes.volume if nodes.volume is not None else nodes.segmentation
    made = load_results(folder / OUTPUT, f"{source.GetName()} scar", source, reuse)
    remember(made["mesh"], nodes)
    for column, title in TITLES.items():
        if "table" in made and made["table"].GetTable().GetColumnByName(column):
            made["table"].SetColumnTitle(column, title)
    sentence = _sentence(read_result(folder / OUTPUT).get("metrics", {}))
    return ScarResult(made, sentence, folder / OUTPUT / "report.html")


def _sentence(metrics: Mapping[str, Any]) -> str:
    measure, unit = ("volume", "ml") if "volume_ml" in metrics else ("area", "cm2")
    size = metrics.get(f"{measure}_{unit}")
    if size is None:
        return "Done."
    if size == 0:
        return "No scar was found. If the images show some, check the scar segment or lower the threshold."
    low, high = metrics.get(f"low_{unit}"), metrics.get(f"high_{unit}")
    interval = "" if low is None or high is None else f" (95 % interval {low:.1f} to {high:.1f})"
    share = metrics["percent_of_wall"]
    return f"Scar {measure}: {size:.1f} {unit.replace('2', '²')}{interval}, {share:.0f} % of the wall."


def remember(result_node: Any, nodes: ScarNodes) -> None:
    """Note on a result node what it was made from, so that it can be repeated also from a saved scene."""
    for name, role in REFERENCES.items():
        node = getattr(nodes, name)
        result_node.SetNodeReferenceID(role, None if node is None else node.GetID())
    choices = {
        "segments": dict(nodes.segments),
        "from_intensities": nodes.from_intensities,
        "mesh_unit": nodes.mesh_unit.value,
        "mesh_frame": nodes.mesh_frame.value,
    }
    result_node.SetAttribute(CHOICES, json.dumps(choices))


def recall(result_node: Any) -> ScarNodes:
    """What a result node was made from; inputs that were removed from the scene are None.

    Raises:
        InputError: the node is no result of a scar reconstruction.
    """
    text = result_node.GetAttribute(CHOICES)
    if not text:
        raise InputError(
            f"{result_node.GetName()} is not a result of Scar Reconstruction.", "Choose one under Results."
        )
    choices = json.loads(text)
    nodes = {name: result_node.GetNodeReference(role) for name, role in REFERENCES.items()}
    unit, frame = Unit(choices.pop("mesh_unit")), Frame(choices.pop("mesh_frame"))
    return ScarNodes(**nodes, **choices, mesh_unit=unit, mesh_frame=frame)


def is_result(node: Any) -> bool:
    """Whether a node is a result of a scar reconstruction."""
    return bool(node.GetAttribute(CHOICES))


class MeshQuestion:
    """What the user has to be asked about the mesh before a run; the wall is looked at again only when it changed."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._wall: npt.NDArray[np.float64] | None = None

    def ask(self, nodes: ScarNodes) -> str:
        """A question about unit and axes, or what is wrong with the wall; empty when all is clear."""
        if nodes.mesh is None or nodes.missing():
            return ""
        held = nodes.segmentation.GetSegmentation()
        key = nodes.segmentation.GetID(), nodes.segments["myocardium"], held.GetMTime()
        try:
            if self._wall is None or self._key != key:
                self._wall, self._key = wall_bounds(nodes), key
            return mesh_question(nodes, self._wall)
        except InputError as error:
            return str(error)


def mesh_question(nodes: ScarNodes, wall: npt.NDArray[np.float64]) -> str:
    """A question for the user when the mesh does not lie on the wall as it stands; empty when all is clear.

    Args:
        nodes: with a mesh.
        wall: (2, 3) lower and upper corner of the wall in RAS mm, see `wall_bounds`.
    """
    mesh = _bounds(nodes.mesh)
    if overlap(mesh * nodes.mesh_scale, wall) >= ENOUGH_OVERLAP:
        return ""
    fits = [
        f"{UNIT_NAMES[unit]} ({frame.upper()})"
        for unit, frame in itertools.product(SCALES, FRAMES)
        if overlap(mesh * SCALES[unit] * FRAMES[frame], wall) >= ENOUGH_OVERLAP
    ]
    size = " × ".join(f"{length:.3g}" for length in mesh[1] - mesh[0])
    wall_size = " × ".join(f"{length:.3g}" for length in wall[1] - wall[0])
    lead = f"The mesh (size {size}) does not lie on the myocardium (size {wall_size} mm)."
    if fits:
        return f"{lead} It would if its coordinates were {' or '.join(fits)}. What are they?"
    return f"{lead} No unit or axes bring them together: check that both belong to the same patient, or move the mesh."


def wall_bounds(nodes: ScarNodes) -> npt.NDArray[np.float64]:
    """(2, 3) lower and upper corner of the myocardium in RAS mm.

    Raises:
        InputError: the segment is empty or cannot be made into voxels.
    """
    volume = segment_volume(nodes.segmentation, nodes.segments["myocardium"])
    indices = np.argwhere(volume.array)
    if len(indices) == 0:
        raise InputError("The segment of the myocardium is empty.", "Draw it, or choose another segment.")
    centers = indices[:, ::-1] @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3]
    reach = np.abs(volume.ijk_to_ras[:3, :3]).sum(axis=1) / 2  # of a voxel around its center
    return np.stack([centers.min(axis=0) - reach, centers.max(axis=0) + reach])


def overlap(mesh: npt.NDArray[np.float64], wall: npt.NDArray[np.float64]) -> float:
    """Volume that two boxes share over the volume of the larger; each as (2, 3) opposite corners in RAS mm."""
    low, high = mesh.min(axis=0), mesh.max(axis=0)
    shared = np.prod(np.clip(np.minimum(high, wall[1]) - np.maximum(low, wall[0]), 0, None))
    largest = max(np.prod(high - low), np.prod(wall[1] - wall[0]))
    return float(shared / largest) if largest > 0 else 0.0


def _bounds(node: Any) -> npt.NDArray[np.float64]:
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    return np.array(bounds).reshape(3, 2).T
