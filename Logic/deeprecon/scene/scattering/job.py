"""Wave scattering from a node: its slices are simulated and reconstructed, and the images come back beside the truth.

The slices become a stack of images in their own places: each is reconstructed by itself (2.5D), no wave travels between
them. All computing is done in child processes, from job folders as everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer.util

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import write_segmentation
from deeprecon.data.volume import canonical
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.events import Event
from deeprecon.jobs.job import Job
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.runner import JobRunner
from deeprecon.scattering.parameters import Method, PrepareParameters, ReconstructParameters
from deeprecon.scene.common.results import load_results, read_result
from deeprecon.scene.nodes.segmentations import segmentation_from_node
from deeprecon.scene.nodes.volumes import volume_from_node

SIMULATION, RECONSTRUCTION, OUTPUT = "simulation", "reconstruction", "output"
"""Job folders of the two runs, and the folder of the results below each."""
DATA = "data.h5"
CARD = "configs/metadata.json"
"""Of a model bundle; see `training/bundle.py`."""


@dataclass(frozen=True)
class ScatteringResult:
    """What was reconstructed.

    Attributes:
        nodes: by role: volumes "contrast", "truth", "difference" and "speed" (m/s), and the table "table".
        sentence: about the error.
        report: page with pictures.
    """

    nodes: Mapping[str, Any]
    sentence: str
    report: Path


def write_simulation(
    folder: Path, node: Any, parameters: PrepareParameters, device: str = "auto", seed: int = 0
) -> None:
    """Write a node as a file and the job that simulates its slices into `folder`.

    Args:
        folder: of the job.
        node: segmentation or label map volume whose labels `parameters.speeds` names, or a volume of sound speeds.
        parameters: see there.
        device: of the job.
        seed: of the noise.

    Raises:
        InputError: the settings contradict themselves, or the node cannot be used.
    """
    if reasons := parameters.validate():
        raise InputError(f"{'; '.join(reasons)}.")
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    if node.IsA("vtkMRMLSegmentationNode"):
        path = "inputs/labels.seg.nrrd"
        write_segmentation(folder / path, segmentation_from_node(node))
    else:
        path = "inputs/volume.nrrd"
        write_volume(folder / path, volume_from_node(node))
    Job("scattering", "prepare", {"volume": path}, to_json(parameters), OUTPUT, device, seed=seed).save(folder)


def write_reconstruction(
    folder: Path, data: Path, parameters: ReconstructParameters, bundle: Path | None = None, device: str = "auto"
) -> None:
    """Write the job that reconstructs far-field data into `folder`.

    Raises:
        InputError: the settings contradict themselves, or a network is missing.
    """
    if reasons := parameters.validate():
        raise InputError(f"{'; '.join(reasons)}.")
    if parameters.method is Method.BCRNET and bundle is None:
        raise InputError("The method bcrnet needs a trained network.", "Choose a model bundle of scattering train.")
    inputs = {"data": str(data.absolute())} | ({} if bundle is None else {"bundle": str(bundle.absolute())})
    Job("scattering", "reconstruct", inputs, to_json(parameters), OUTPUT, device).save(folder)


def load_reconstruction(folder: Path, node: Any, reuse: Mapping[str, Any] | None = None) -> ScatteringResult:
    """Load what a finished reconstruction holds: all of it or nothing.

    Args:
        folder: job folder of the reconstruction.
        node: what it was made from; None for data from elsewhere.
        reuse: role -> node of an earlier run whose content is replaced.

    Raises:
        InputError: no result, or one that is damaged.
    """
    name = "Wave scattering" if node is None else f"{node.GetName()} scattering"
    made = load_results(folder / OUTPUT, name, node, reuse)
    _same_window(made)
    metrics = read_result(folder / OUTPUT).get("metrics", {})
    return ScatteringResult(made, _sentence(metrics), folder / OUTPUT / "report.html")


def reconstruct_node(
    node: Any,
    folder: Path,
    simulation: PrepareParameters,
    reconstruction: ReconstructParameters,
    bundle: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    command: list[str] | None = None,
    environment: dict[str, str] | None = None,
    on_event: Callable[[Event], Any] | None = None,
    time_limit: float | None = None,
) -> ScatteringResult:
    """Simulate the slices of a node, reconstruct them, and load the images beside the truth and the difference.

    For scripts: it waits for the children.

    Args:
        node, simulation, device, seed: see `write_simulation`.
        folder: where the jobs are written; kept.
        reconstruction, bundle: see `write_reconstruction`.
        command, environment: of the children, see `JobRunner`.
        on_event: is given what they say.
        time_limit: for each child, in seconds.

    Raises:
        InputError: the node, the settings or the bundle cannot be used, or a child failed; the scene is as before.
    """
    if bundle is not None:
        _check_wave_number(bundle, simulation.k)
    write_simulation(folder / SIMULATION, node, simulation, device, seed)
    data = folder / SIMULATION / OUTPUT / DATA
    write_reconstruction(folder / RECONSTRUCTION, data, reconstruction, bundle, device)
    _finish(JobRunner(folder / SIMULATION, command, environment), on_event, time_limit)
    _finish(JobRunner(folder / RECONSTRUCTION, command, environment), on_event, time_limit)
    return load_reconstruction(folder / RECONSTRUCTION, node)


def slice_number(node: Any, ras: npt.ArrayLike) -> int:
    """Number, from 1, of a volume node's slice nearest to a point in RAS mm, as `PrepareParameters.slices` counts them.

    Raises:
        InputError: the point lies beyond the volume.
    """
    volume = canonical(volume_from_node(node))
    number = round(float(volume.to_ijk(np.asarray(ras, float))[2]))
    if not 0 <= number < len(volume.array):
        raise InputError(f"{node.GetName()} has no slice at this place.", "Choose a point inside of the volume.")
    return number + 1


def _check_wave_number(bundle: Path, k: float) -> None:
    """Refuse, before anything is simulated, a network that was trained for another wave number.

    The child checks the whole bundle before it uses it.
    """
    try:
        known = json.loads((bundle / CARD).read_text(encoding="utf-8"))["parameters"]["k"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{bundle} is no model bundle of scattering train.", "Choose a bundle's folder.") from error
    if not isinstance(known, int | float) or abs(known - k) > 1e-3 * k:
        raise InputError(
            f"The network in {bundle} was trained for k = {known} (wave number times radius), not {k:g}.",
            "Simulate at its wave number, or choose another bundle.",
        )


def _finish(runner: JobRunner, on_event: Callable[[Event], Any] | None, time_limit: float | None) -> None:
    runner.start()
    if runner.wait(time_limit, on_event) is None:
        runner.kill()
        runner.wait()
        raise InputError(f"Not finished after {time_limit:g} seconds.", "Give more time, or fewer slices.")
    if (failure := runner.failure()) is not None:
        raise InputError(failure["message"], failure["hint"])


def _same_window(nodes: Mapping[str, Any]) -> None:
    """Show truth and reconstruction with the same grays, and the difference with 0 in the middle."""
    shown = [nodes[role] for role in ("contrast", "truth") if role in nodes]
    arrays = [slicer.util.arrayFromVolume(node) for node in shown]
    low, high = min(float(array.min()) for array in arrays), max(float(array.max()) for array in arrays)
    limit = max(abs(low), abs(high), 1e-6)
    for node in shown:
        _window(node, low, max(high, low + 1e-6))
    if "difference" in nodes:
        _window(nodes["difference"], -limit, limit)


def _window(node: Any, low: float, high: float) -> None:
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(low, high)


def _sentence(metrics: Mapping[str, Any]) -> str:
    error, count = metrics.get("relative_l2"), metrics.get("objects", 0)
    slices = f"{count} slice{'' if count == 1 else 's'}"
    if error is None:
        return f"{slices} reconstructed; the truth is not known."
    return f"{slices} reconstructed with a relative error of {error:.3f} (an empty image has 1)."
