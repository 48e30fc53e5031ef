"""Simulation and reconstruction of a node's slices in child processes, for scripts: the calls wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.events import Event
from deeprecon.jobs.runner import JobRunner
from deeprecon.scattering.parameters import PrepareParameters, ReconstructParameters
from deeprecon.scene.common.job import OUTPUT
from deeprecon.scene.common.results import RunResult
from deeprecon.scene.scattering.job import write_reconstruction, write_simulation
from deeprecon.scene.scattering.result import load_outputs

SIMULATION, RECONSTRUCTION = "simulation", "reconstruction"
"""Job folders of the two runs."""
DATA = "data.h5"
METADATA = "configs/metadata.json"
"""Of a model bundle; see `training/bundle.py`."""


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
    accept: Sequence[str] = (),
) -> RunResult:
    """Simulate the slices of a node, reconstruct them, and load the images, the truth and the difference.

    For scripts: it waits for the children.

    Args:
        node, simulation, device, seed: see `write_simulation`.
        folder: where the jobs are written; kept.
        reconstruction, bundle, accept: see `write_reconstruction`.
        command, environment: of the children, see `JobRunner`.
        on_event: called with their events.
        time_limit: for each child, in seconds.

    Raises:
        InputError: the node, the settings or the bundle cannot be used, or a child failed; the scene is not changed.
    """
    if bundle is not None:
        _check_wave_number(bundle, simulation.k)
    write_simulation(folder / SIMULATION, node, simulation, device, seed)
    data = folder / SIMULATION / OUTPUT / DATA
    write_reconstruction(folder / RECONSTRUCTION, data, reconstruction, bundle, device, accept)
    _finish(JobRunner(folder / SIMULATION, command, environment), on_event, time_limit)
    return run_reconstruction(folder / RECONSTRUCTION, node, command, environment, on_event, time_limit)


def run_reconstruction(
    folder: Path,
    node: Any = None,
    command: list[str] | None = None,
    environment: dict[str, str] | None = None,
    on_event: Callable[[Event], Any] | None = None,
    time_limit: float | None = None,
) -> RunResult:
    """Run the job of `write_reconstruction` and load its images; arguments and errors as of `reconstruct_node`.

    `node` is None where the data are no simulation of a node.
    """
    runner = JobRunner(folder, command, environment)
    _finish(runner, on_event, time_limit)
    return load_outputs(runner.result_folder, node)


def _check_wave_number(bundle: Path, k: float) -> None:
    """Refuse, before anything is simulated, a network that was trained for another wave number.

    The child checks all of the bundle before it uses it.
    """
    try:
        trained_k = json.loads((bundle / METADATA).read_text(encoding="utf-8"))["parameters"]["k"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{bundle} is no model bundle of scattering train.", "Choose a bundle's folder.") from error
    if not isinstance(trained_k, int | float) or abs(trained_k - k) > 1e-3 * k:
        raise InputError(
            f"The network in {bundle} was trained for k = {trained_k} (wave number times radius), not {k:g}.",
            "Simulate at its wave number, or choose another bundle.",
        )


def _finish(runner: JobRunner, on_event: Callable[[Event], Any] | None, time_limit: float | None) -> None:
    runner.start()
    if runner.wait(time_limit, on_event) is None:
        runner.kill()
        runner.wait()
        raise InputError(f"Not finished after {time_limit:g} seconds.", "Give more time, or fewer slices.")
    if (failure := runner.failure()) is not None:
        codes = " ".join(failure.get("codes", ()))
        raise InputError(
            failure["message"],
            f"{failure['hint']} To continue all the same, accept {codes}." if codes else failure["hint"],
        )
