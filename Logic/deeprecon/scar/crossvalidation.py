"""How good a method is on one's own slices: each is hidden in turn and foretold from the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Inside, Mesh
from deeprecon.data.tables import write_table
from deeprecon.jobs.run import Outcome, Reporter, Run
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.fit.interpolation import SPATIAL
from deeprecon.scar.fit.methods import fit, is_anatomical
from deeprecon.scar.measure.findings import wall_coordinates
from deeprecon.scar.measure.metrics import dice
from deeprecon.scar.observe.observations import observe, quadrature
from deeprecon.scar.parameters import Method, ReconstructInputs, ReconstructParameters
from deeprecon.scar.pipeline import read_aligned
from deeprecon.scar.read.stacks import Stack
from deeprecon.scar.write.outputs import group_means


@dataclass(frozen=True)
class _Part:
    """A reporter that speaks for one of several fits."""

    whole: Reporter
    number: int
    count: int

    def status(self, text: str) -> None:
        """What is done within a slice is told by its number."""

    def progress(self, fraction: float, seconds_left: float | None = None) -> None:
        left = None if seconds_left is None or not fraction else seconds_left / (1 - fraction + 1e-9)
        rest = self.count - self.number - fraction
        self.whole.progress((self.number + fraction) / self.count, None if left is None else left * rest)

    def metric(self, step: int, **values: float) -> None:
        """The curves of one slice are no one's concern."""

    def warning(self, message: str) -> None:
        self.whole.warning(message)


def cross_validate(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> Outcome:
    """Hide each slice in turn, reconstruct from the others, and compare with what it shows; interpolations beside it.

    The first and the last slice of a stack are extrapolated, which no method does well; they are marked as ends.

    Raises:
        InputError: as `reconstruct`, or there is only one slice.
    """
    case, mesh, inside, warnings = read_aligned(inputs, parameters)
    for warning in warnings:
        run.reporter.warning(warning)
    coordinates = wall_coordinates(case, mesh, inside) if is_anatomical(parameters) else None
    hidden = list(_slices(case.stacks))
    if len(hidden) < 2:
        raise InputError("There is one slice only; nothing can be foretold from none.", "Give a stack of slices.")
    others = [replace(parameters, method=Method.INTERPOLATION, interpolation=kind) for kind in SPATIAL]
    methods = [*others] if parameters in others else [parameters, *others]
    rows: list[dict[str, Any]] = []
    for number, (stack, k) in enumerate(hidden):
        run.reporter.status(f"Hiding slice {number + 1} of {len(hidden)}")
        part = replace(run, reporter=_Part(run.reporter, number, len(hidden)))
        for settings in methods:
            rows.append(_foretell(case.stacks, stack, k, mesh, inside, settings, part, coordinates))
        if run.should_stop():
            break
    outputs = {"slices": run.output / "cross_validation.csv", "summary": run.output / "summary.csv"}
    summary = _summary(rows)
    write_table(outputs["slices"], rows)
    write_table(outputs["summary"], summary)
    return Outcome(outputs, {"slices": number + 1, **{f"dice_{row['method']}": row["dice"] for row in summary}})


def _slices(stacks: Sequence[Stack]) -> Iterator[tuple[int, int]]:
    """Stack and slice of each slice that shows wall."""
    for number, stack in enumerate(stacks):
        for k in np.flatnonzero(stack.wall.any(axis=(1, 2))):
            yield number, int(k)


def _only(stack: Stack, chosen: npt.NDArray[np.bool_]) -> Stack:
    """A stack of which only some slices show wall."""
    return replace(stack, wall=np.where(chosen[:, None, None], stack.wall, 0).astype(np.float32))


def _foretell(
    stacks: Sequence[Stack],
    number: int,
    k: int,
    mesh: Mesh,
    inside: Inside | None,
    parameters: ReconstructParameters,
    run: Run,
    coordinates: WallCoordinates | None,
) -> dict[str, Any]:
    """One row: how well a method foretells one slice."""
    chosen = np.arange(len(stacks[number].wall)) == k
    shown = np.flatnonzero(stacks[number].wall.any(axis=(1, 2)))
    rest = [_only(stack, ~chosen) if place == number else stack for place, stack in enumerate(stacks)]
    rest = [stack for stack in rest if stack.wall.any()]
    observations, target = observe(rest), observe([_only(stacks[number], chosen)])
    name = f"without_{number + 1}_{k + 1}"
    fitted = fit(rest, observations, quadrature(observations, inside), mesh, parameters, run, name, coordinates)
    points = quadrature(target, inside)
    means = group_means(fitted.predict, points)
    met = points.met
    y, mean, share = target.y[met], means[met], target.wall[met].astype(np.float64)
    area = share * np.linalg.norm(np.cross(target.planes[k].u, target.planes[k].v)) / 100
    field = parameters.method is not Method.INTERPOLATION
    return {
        "stack": number + 1,
        "slice": k + 1,
        "end": "yes" if k in (shown[0], shown[-1]) else "no",
        "method": parameters.method.value if field else parameters.interpolation.value,
        "dice": round(dice(mean > 0.5, y > 0.5, share), 4),
        "rms": round(float(np.sqrt(np.average((mean - y) ** 2, weights=share))), 4),
        "observed_scar_cm2": round(float(area @ y), 3),
        "foretold_scar_cm2": round(float(area @ mean), 3),
    }


def _summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over the slices that are no ends (over all where there are no others), the best first."""
    inner = [row for row in rows if row["end"] == "no"] or list(rows)
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in inner if row["method"] == method]
        found.append(
            {
                "method": method,
                "slices": len(own),
                "dice": round(float(np.mean([row["dice"] for row in own])), 4),
                "rms": round(float(np.mean([row["rms"] for row in own])), 4),
            }
        )
    return sorted(found, key=lambda row: -row["dice"])
