"""The results of a job, loaded into the scene: all of them or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import slicer
import slicer.util
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.mesh.files import FRAMES, MESH_ENDINGS, SCALES, place, read_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.tables import read_table
from deeprecon.data.volume_io import VOLUME_ENDINGS, read_volume
from deeprecon.scene.common.provenance import attach_provenance
from deeprecon.scene.nodes.models import node_from_mesh
from deeprecon.scene.nodes.removal import in_scene
from deeprecon.scene.nodes.segmentations import node_from_segmentation
from deeprecon.scene.nodes.tables import node_from_rows, rounded, typed_rows
from deeprecon.scene.nodes.volumes import node_from_volume
from deeprecon.steps import Apart, Steps, in_steps, steps_of

NodeFactory = Callable[[str, Any], Any]
"""(name, node to write into or None) -> node, or the steps that make it."""
MethodFactories = Callable[[Mapping[str, Path], Mapping[str, Any]], Any]
"""(role -> file, content of result.json) -> node factories by role, or the steps that make them, for files that a
method loads in its own way; None for a file that is not loaded."""


@dataclass(frozen=True)
class RunResult:
    """The loaded results of a run.

    Attributes:
        nodes: result nodes by role.
        sentence: summary for the user.
        report: HTML page of the run; None for a run that writes none.
    """

    nodes: Mapping[str, Any]
    sentence: str
    report: Path | None = None


_FOLDER_ATTRIBUTE = "DeepRecon.Results"
_ROLE_ATTRIBUTE = "DeepRecon.Role"
_HIDDEN = "DeepRecon.Hidden"
"""Role of the node references from a result to the inputs that are hidden while it is shown."""


@in_steps
def load_results(
    folder: Path | str,
    name: str = "",
    input_node: Any = None,
    reuse: Mapping[str, Any] | None = None,
    method_factories: MethodFactories | None = None,
    titles: Mapping[str, str] | None = None,
) -> Steps[dict[str, Any]]:
    """Load the outputs of a finished job.

    Every output is checked against its checksum, and every file is read, before the scene is touched.
    In steps, it is one node at a time.

    Args:
        folder: with result.json.
        name: of the run; prefix of the node names. Method, verb and date if empty.
        input_node: the results go into a folder under its study in the subject hierarchy, if it has one and is still
            in the scene.
        reuse: role -> node of an earlier run that is overwritten, or None; one that was removed is made anew. The other
            results of that run, in the same folder, are overwritten too, or removed if this run has no such role.
        method_factories: for files that the method loads in its own way; None if there are none.
        titles: role -> its words in the names of the nodes, where it is not a word itself.

    Returns:
        Role -> node. Reports, pictures, checkpoints and models are not loaded.

    Raises:
        InputError: no or a damaged result.json, an output that is missing, changed or cannot be read.
    """
    folder, input_node = Path(folder), in_scene(input_node)
    result = read_result(folder)
    files = yield Apart("Checking the result…", partial(_checked_files, folder, result))
    made = {} if method_factories is None else (yield from steps_of(method_factories, files, result))
    factories: dict[str, NodeFactory | None] = dict(made)
    for role, path in files.items():
        if role not in factories:
            factories[role] = yield from _factory(role, path, result, input_node)
    name = name or _run_name(result)
    nodes: dict[str, Any] = {}
    added: list[Any] = []
    try:
        for role, factory in factories.items():
            if factory is None:
                continue
            title = (titles or {}).get(role, role.replace("_", " "))
            yield f"Loading the {title}…"
            earlier = _nodes_of_earlier_runs(reuse or {})
            nodes[role] = yield from _noting(steps_of(factory, f"{name} {title}", earlier.get(role)), added)
            nodes[role].SetAttribute(_ROLE_ATTRIBUTE, role)
            attach_provenance(nodes[role], result)
        yield "Arranging the result…"
        earlier = _nodes_of_earlier_runs(reuse or {})
        _move_to_folder(nodes, name, in_scene(input_node))
    except BaseException:  # also where the steps are left
        discard(added)
        raise
    discard(node for role, node in earlier.items() if role not in nodes)
    return nodes


def _noting(steps: Steps[Any], added: list[Any]) -> Steps[Any]:
    """The same steps; the nodes that they add are noted, but not those that somebody adds between them."""
    value = None
    while True:
        before = set(slicer.util.getNodesByClass("vtkMRMLStorableNode"))
        try:
            step = steps.send(value)
        except StopIteration as end:
            return end.value
        finally:
            added += [node for node in slicer.util.getNodesByClass("vtkMRMLStorableNode") if node not in before]
        value = yield step


def read_result(folder: Path | str) -> dict[str, Any]:
    """The content of `folder`/result.json.

    Raises:
        InputError: missing or damaged.
    """
    path = Path(folder) / "result.json"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"There is no result in {folder}: {error.strerror}.", "Run the job again.") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}).", "Run the job again.") from error
    if not isinstance(result, dict) or not isinstance(result.get("outputs"), dict):
        raise InputError(f"{path} is not the result of a job.", "Run the job again.")
    return result


def discard(nodes: Iterable[Any]) -> None:
    """Remove result nodes from the scene, with their display and storage nodes and an empty folder that is left.

    Nodes that are not in the scene any more are skipped; the application may remove some of them by itself.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folders = set()
    for node in nodes:
        if in_scene(node) is None:
            continue
        folders.add(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)))
        companions = [node.GetStorageNode()]
        if hasattr(node, "GetNumberOfDisplayNodes"):
            companions += [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
        slicer.mrmlScene.RemoveNode(node)
        for companion in companions:
            if in_scene(companion) is not None:
                slicer.mrmlScene.RemoveNode(companion)
    for item in folders:
        if hierarchy.GetItemAttribute(item, _FOLDER_ATTRIBUTE) and hierarchy.GetNumberOfItemChildren(item) == 0:
            hierarchy.RemoveItem(item)


def is_part_of_result(node: Any) -> bool:
    """Whether a node is one of the results of a run."""
    return bool(node.GetAttribute(_ROLE_ATTRIBUTE))


def hide_inputs(result_node: Any, inputs: Iterable[Any]) -> None:
    """Hide displayable inputs that the result covers, until `show_hidden_inputs`; it is saved with the scene.

    Args:
        result_node: main result of a run.
        inputs: nodes or None; those that are not visible are left alone.
    """
    for node in inputs:
        if in_scene(node) is not None and node.GetDisplayVisibility():
            result_node.AddNodeReferenceID(_HIDDEN, node.GetID())
            node.SetDisplayVisibility(False)


def show_hidden_inputs(result_node: Any) -> None:
    """Show the inputs again that were hidden for a result, because it is removed; other nodes have none."""
    for index in range(result_node.GetNumberOfNodeReferences(_HIDDEN)):
        node = result_node.GetNthNodeReference(_HIDDEN, index)
        if node is not None:
            node.SetDisplayVisibility(True)


def _checked_files(folder: Path, result: dict[str, Any]) -> dict[str, Path]:
    """Role -> file of each output that is a single file, after checking the checksums of all outputs."""
    files: dict[str, Path] = {}
    for role, entry in result["outputs"].items():
        try:
            path = folder / entry["path"]
            inside = entry["files"] if "files" in entry else {"": entry["sha256"]}
            sums = {path / name: checksum for name, checksum in inside.items()}
        except (TypeError, KeyError, AttributeError):
            raise InputError(f"result.json in {folder} is damaged at {role!r}.", "Run the job again.") from None
        for file, expected in sums.items():
            if not file.resolve().is_relative_to(folder.resolve()):
                raise InputError(f"The result names a file outside of its folder: {file}.", "Do not use this result.")
            if not file.is_file():
                raise InputError(f"The result {file} is missing.", "Run the job again.")
            if sha256(file) != expected:
                raise InputError(f"The result {file} was changed after the run.", "Run the job again.")
        if path.is_file():
            files[role] = path
    return files


def _factory(role: str, path: Path, result: dict[str, Any], input_node: Any) -> Steps[NodeFactory | None]:
    """Read a file, and return the factory of its node; None for a file that is not loaded."""
    ending, text = path.name.lower(), f"Reading the {role.replace('_', ' ')}…"
    if ending.endswith(".seg.nrrd"):
        segmentation = yield Apart(text, partial(read_segmentation, path))
        reference = input_node if input_node is not None and input_node.IsA("vtkMRMLVolumeNode") else None
        return lambda name, node: node_from_segmentation(segmentation, name, reference, node)
    if ending.endswith(VOLUME_ENDINGS):
        volume = yield Apart(text, partial(read_volume, path))
        return partial(node_from_volume.steps, volume)
    if ending.endswith(MESH_ENDINGS):
        mesh = yield Apart(text, partial(_mesh, path, result))
        return partial(node_from_mesh, mesh)
    if ending.endswith(".csv"):
        return partial(node_from_rows, rounded(typed_rows(read_table(path))))
    return None


def _mesh(path: Path, result: dict[str, Any]) -> Mesh:
    """A result mesh in RAS mm. The metrics mesh_unit and mesh_frame give the unit, if it is not mm, and the
    axes, if the format cannot store them."""
    file = read_mesh(path)
    metrics = result.get("metrics", {})
    unit = file.unit or metrics.get("mesh_unit", "mm")
    frame = file.frame or metrics.get("mesh_frame")
    if unit not in SCALES or frame not in FRAMES:
        raise InputError(f"{path} does not state the patient axes of its coordinates.", "Write it as .vtu or .vtp.")
    return place(file, unit, frame)


def nodes_of_run(node: Any) -> dict[str, Any]:
    """Role -> node of all results of the run that a node belongs to, itself included: those in its folder."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    found = {node.GetAttribute(_ROLE_ATTRIBUTE): node} if node.GetAttribute(_ROLE_ATTRIBUTE) else {}
    item = hierarchy.GetItemByDataNode(node)
    folder = hierarchy.GetItemParent(item) if item else 0
    if folder and hierarchy.GetItemAttribute(folder, _FOLDER_ATTRIBUTE):
        children = vtk.vtkIdList()
        hierarchy.GetItemChildren(folder, children)
        for index in range(children.GetNumberOfIds()):
            sibling = hierarchy.GetItemDataNode(children.GetId(index))
            role = sibling.GetAttribute(_ROLE_ATTRIBUTE) if sibling is not None else None
            if role:
                found.setdefault(role, sibling)
    return found


def put_beside(node: Any, result_node: Any, role: str | None = None) -> None:
    """Move a node into the folder of a result, so that it goes with it; with a role it is one of the results itself."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(result_node))
    if hierarchy.GetItemAttribute(folder, _FOLDER_ATTRIBUTE):
        item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(folder, node)
        hierarchy.SetItemParent(item, folder)
    if role is not None:
        node.SetAttribute(_ROLE_ATTRIBUTE, role)


def _nodes_of_earlier_runs(reuse: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes of `reuse` that are in the scene, and the other results of the same runs."""
    found = {role: node for role, node in reuse.items() if in_scene(node) is not None}
    for node in list(found.values()):
        for role, sibling in nodes_of_run(node).items():
            if sibling not in found.values():
                found.setdefault(role, sibling)
    return found


def _run_name(result: dict[str, Any]) -> str:
    provenance = result.get("provenance", {})
    date = str(provenance.get("date", ""))[:19].replace("T", " ")
    parts = (provenance.get("method", "result"), provenance.get("verb", ""), date)
    return " ".join(str(part) for part in parts if part)


def _move_to_folder(nodes: Mapping[str, Any], name: str, input_node: Any) -> None:
    """Move the nodes to one folder: the one of an overwritten node, else a new one under the input's study."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    scene_item = hierarchy.GetSceneItemID()
    items = [hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(scene_item, node) for node in nodes.values()]
    parents = [hierarchy.GetItemParent(item) for item in items]
    folder = next((parent for parent in parents if hierarchy.GetItemAttribute(parent, _FOLDER_ATTRIBUTE)), 0)
    if folder:
        hierarchy.SetItemName(folder, name)
    else:
        level = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelStudy()
        item = hierarchy.GetItemByDataNode(input_node) if input_node is not None else 0
        study = hierarchy.GetItemAncestorAtLevel(item, level) if item else 0
        folder = hierarchy.CreateFolderItem(study or scene_item, name)
        hierarchy.SetItemAttribute(folder, _FOLDER_ATTRIBUTE, "1")
    for item in items:
        hierarchy.SetItemParent(item, folder)
