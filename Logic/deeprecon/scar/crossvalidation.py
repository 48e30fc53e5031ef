"""Leave-one-slice-out cross-validation: how well a method predicts each slice of a patient from the others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Inside
from deeprecon.data.tables import write_table
from deeprecon.jobs.run import Outcome, PartReporter, Run, Stopped
from deeprecon.scar.fit.fitted import FitData, Fitted, prism_means
from deeprecon.scar.fit.interpolation import INTERPOLATIONS, SPATIAL
from deeprecon.scar.fit.methods import fit
from deeprecon.scar.measure.metrics import dice
from deeprecon.scar.observe.heart_axes import find_wall_coordinates
from deeprecon.scar.observe.observations import observe, quadrature
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import Method, ReconstructInputs, ReconstructParameters
from deeprecon.scar.pipeline import fit_data, read_and_observe


class _SliceReporter(PartReporter):
    """Progress of one slice within the run; its status and its curves are dropped."""

    def status(self, text: str) -> None: ...

    def metric(self, step: int, **values: float) -> None: ...


def cross_validate(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> Outcome:
    """Hide each slice in turn, predict it from the others by the chosen method and by every interpolation, and compare.

    Interpolations along the wall are left out, with a warning, where the wall's coordinates are not known. The first
    and the last slice of a stack are extrapolated, which no method does well; they are marked as ends. A part of a run
    (`Run.part`) fits the chosen method without its share of the slices, and compares nothing.

    Raises:
        InputError: as `reconstruct`, or there is only one slice.
    """
    case, heart, slices = read_and_observe(inputs, parameters, run)
    data, kinds = fit_data(case, heart, slices, parameters), tuple(INTERPOLATIONS)
    hidden = list(_slices_with_wall(slices.stacks))
    if len(hidden) < 2:
        raise InputError("There is one slice only; no other can predict it.", "Give a stack of slices.")
    if run.part is not None:
        return _fit_share(data, hidden, slices.inside, parameters, run)
    if data.coordinates is None:
        try:
            data = replace(data, coordinates=find_wall_coordinates(case, slices, heart.mesh))
        except InputError as error:
            kinds = SPATIAL
            run.reporter.warning(f"Interpolations along the wall are left out. {error}")
    interpolations = [replace(parameters, method=Method.INTERPOLATION, interpolation=kind) for kind in kinds]
    methods = interpolations if parameters in interpolations else [parameters, *interpolations]
    rows: list[dict[str, Any]] = []
    begun = time.monotonic()
    for number, (stack, k) in enumerate(hidden):
        run.reporter.status(f"Hiding slice {number + 1} of {len(hidden)}")
        apart = _run_of_slice(run, number, len(hidden), begun)
        rows += [_predict_slice(data, stack, k, slices.inside, method, apart) for method in methods]
        if run.should_stop():
            break
    outputs = {"slices": run.output / "cross_validation.csv", "summary": run.output / "summary.csv"}
    summary = _summary(rows)
    write_table(outputs["slices"], rows)
    write_table(outputs["summary"], summary)
    return Outcome(outputs, {"slices": number + 1, **{f"dice_{row['method']}": row["dice"] for row in summary}})


def _run_of_slice(run: Run, number: int, count: int, begun: float) -> Run:
    reporter = _SliceReporter(run.reporter, number / count, (number + 1) / count, begun)
    return replace(run, reporter=reporter)


def _fit_share(
    data: FitData,
    hidden: Sequence[tuple[int, int]],
    inside: Inside | None,
    parameters: ReconstructParameters,
    run: Run,
) -> Outcome:
    """Make the fits of a part, which stay as checkpoints.

    Raises:
        Stopped: the run was asked to stop.
    """
    share, begun = run.share(hidden), time.monotonic()
    for number, (stack, k) in enumerate(share):
        run.reporter.status(f"Hiding slice {number + 1} of {len(share)}")
        _fit_without(data, stack, k, inside, parameters, _run_of_slice(run, number, len(share), begun))
        if run.should_stop():
            raise Stopped
    return Outcome()


def _slices_with_wall(stacks: Sequence[Stack]) -> Iterator[tuple[int, int]]:
    """Stack and slice of each slice that shows wall."""
    for number, stack in enumerate(stacks):
        for k in np.flatnonzero(stack.wall.any(axis=(1, 2))):
            yield number, int(k)


def _keep_slices(stack: Stack, chosen: npt.NDArray[np.bool_]) -> Stack:
    """A stack of which only the chosen slices show wall."""
    return replace(stack, wall=np.where(chosen[:, None, None], stack.wall, 0).astype(np.float32))


def _fit_without(
    data: FitData, number: int, k: int, inside: Inside | None, parameters: ReconstructParameters, run: Run
) -> Fitted:
    """Fit a method to all slices but slice `k` of stack `number`."""
    hidden = data.stacks[number]
    chosen = np.arange(len(hidden.wall)) == k
    rest = [_keep_slices(stack, ~chosen) if stack is hidden else stack for stack in data.stacks]
    rest = [stack for stack in rest if stack.wall.any()]
    observations = observe(rest)
    remaining = replace(data, stacks=rest, observations=observations, quadrature=quadrature(observations, inside))
    return fit(remaining, parameters, run, f"without_{number + 1}_{k + 1}")


def _predict_slice(
    data: FitData, number: int, k: int, inside: Inside | None, parameters: ReconstructParameters, run: Run
) -> dict[str, Any]:
    """One row: how well a method predicts slice `k` of stack `number`."""
    hidden = data.stacks[number]
    chosen = np.arange(len(hidden.wall)) == k
    fitted = _fit_without(data, number, k, inside, parameters, run)
    target = observe([_keep_slices(hidden, chosen)])
    points = quadrature(target, inside)
    met = points.met
    y, mean = target.y[met], prism_means(fitted.predict, points)[met]
    share = target.wall[met].astype(np.float64)
    area = share * np.linalg.norm(np.cross(target.planes[k].u, target.planes[k].v)) / 100
    shown = np.flatnonzero(hidden.wall.any(axis=(1, 2)))
    trained = parameters.method is not Method.INTERPOLATION
    return {
        "stack": number + 1,
        "slice": k + 1,
        "end": "yes" if k in (shown[0], shown[-1]) else "no",
        "method": parameters.method.value if trained else parameters.interpolation.value,
        "dice": round(dice(mean > 0.5, y > 0.5, share), 4),
        "rms": round(float(np.sqrt(np.average((mean - y) ** 2, weights=share))), 4),
        "observed_scar_cm2": round(float(area @ y), 3),
        "predicted_scar_cm2": round(float(area @ mean), 3),
    }


def _summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over the slices that are no ends (over all where there are no others), the best method first."""
    inner = [row for row in rows if row["end"] == "no"] or list(rows)
    summary = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in inner if row["method"] == method]
        means = {name: round(float(np.mean([row[name] for row in own])), 4) for name in ("dice", "rms")}
        summary.append({"method": method, "slices": len(own), **means})
    return sorted(summary, key=lambda row: -row["dice"])
