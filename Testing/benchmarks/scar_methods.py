"""The field compared with every interpolation, on hearts whose scar is known: prints a table and writes JSON.

    python Testing/benchmarks/scar_methods.py [--steps N] [--lesions NAME ...] [--json FILE]

Every method sees the same slices of 8 mm with gaps of 2 mm. They are observed in four ways: the true share of scar in
each pixel ("soft"), that share rounded ("binary"), and shares out of the noisy image ("lge", by 5 SD and by FWHM).
"field" is the estimate, which tables and segmentations report by default; "field agreed" has the same values after they
were made to agree with the pixels.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
from benchmarks.common import argument_parser, write_result
from benchmarks.scar_shapes import real_shapes

from deeprecon.data.mesh.mesh import Inside
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.scar.fit.agreement import Agreement, project
from deeprecon.scar.fit.field import predict
from deeprecon.scar.fit.field_fit import FieldFit, fit_field
from deeprecon.scar.fit.interpolation import SPATIAL, interpolate
from deeprecon.scar.measure.metrics import evaluate
from deeprecon.scar.observe.intensities import scar_fraction
from deeprecon.scar.observe.node_groups import group_nodes
from deeprecon.scar.observe.observations import observe, quadrature
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import FIELD_STEPS
from deeprecon.scar.simulate.hearts import Phantom, sample_case
from deeprecon.scar.simulate.lesions import LESIONS
from deeprecon.training.devices import resolve_device, set_up

COLUMNS = ("dice", "hd95_mm", "volume_error_percent", "ece", "seconds")
OBSERVATIONS = ("soft", "binary", "lge nsd:5", "lge fwhm")


def cases(lesions: list[str], data: Path) -> Iterator[tuple[str, Phantom]]:
    """The sample case with each lesion, and the real hearts."""
    for lesion in lesions:
        yield f"sample {lesion}", sample_case(lesion=lesion)
    yield from real_shapes(data)


def stacks_of(phantom: Phantom, observation: str) -> tuple[Stack, ...]:
    """The stacks of a phantom with one of the `OBSERVATIONS`."""
    if observation == "soft":
        return phantom.stacks
    if observation == "binary":
        return tuple(replace(stack, scar=(stack.scar >= 0.5).astype(np.float32)) for stack in phantom.stacks)
    rule = observation.split()[1]
    return tuple(
        replace(stack, scar=scar_fraction(image, stack.wall, None, rule, soft=True))
        for stack, image in zip(phantom.stacks, phantom.lge, strict=True)
    )


def fitted(phantom: Phantom, stacks: tuple[Stack, ...], steps: int, device: str, threads: int) -> FieldFit:
    """The field after its fit to the slices on the phantom's mesh."""
    return fitted_stacks(stacks, Inside(phantom.mesh), steps, device, threads)


def fitted_stacks(stacks: Sequence[Stack], inside: Inside, steps: int, device: str, threads: int) -> FieldFit:
    """The field after its fit to slices of a wall."""
    set_up(device, threads, 0)
    observations = observe(stacks)
    points = quadrature(observations, inside)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), Path(folder), device, threads, "fp32", 0, SilentReporter())
        return fit_field(observations, points, steps, run)


def field(phantom: Phantom, stacks: tuple[Stack, ...], steps: int, device: str, threads: int) -> tuple[Any, Any]:
    """Probability at the nodes, as it is estimated, and uncertainty."""
    fit = fitted(phantom, stacks, steps, device, threads)
    return predict(fit.field, fit.spread, phantom.mesh.points)


def projected(phantom: Phantom, stacks: tuple[Stack, ...], probability: Any) -> Agreement:
    """Probability after the default projection: masks count as rounded shares."""
    observations, groups = observe(stacks), group_nodes(phantom.mesh.points, stacks)
    assert groups.numbers is not None
    masks = bool(np.isin(observations.y, (0, 1)).all())
    return project(probability, groups, observations.slice_id[groups.numbers], masks)


def answers(
    phantom: Phantom, stacks: tuple[Stack, ...], steps: int, device: str, threads: int
) -> Iterator[tuple[str, tuple[Any, Any], float]]:
    """Each method, its probability and uncertainty at the nodes, and the seconds that it took."""
    for kind in SPATIAL:
        start = time.perf_counter()
        answer = interpolate(stacks, phantom.mesh.points, kind)
        yield kind.value, answer, time.perf_counter() - start
    start = time.perf_counter()
    estimate, uncertainty = field(phantom, stacks, steps, device, threads)
    seconds = time.perf_counter() - start
    yield "field", (estimate, uncertainty), seconds
    yield "field agreed", (projected(phantom, stacks, estimate).probability, uncertainty), seconds


def main() -> int:
    parser = argument_parser(__doc__, "scar_methods")
    parser.add_argument("--steps", type=int, default=FIELD_STEPS)
    parser.add_argument("--lesions", nargs="*", choices=sorted(LESIONS), default=["infarct"], metavar="NAME")
    parser.add_argument("--observations", nargs="*", choices=OBSERVATIONS, default=list(OBSERVATIONS), metavar="NAME")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    data = Path(os.environ.get("DEEPRECON_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    device = resolve_device(arguments.device)
    set_up(device, arguments.threads, 0)

    print(f"{'case':<18} {'observation':<11} {'method':<16}   Dice  HD95 mm  volume %    ECE       s")
    rows: list[dict[str, Any]] = []
    lost = []
    for name, phantom in cases(arguments.lesions, data):
        for observation in arguments.observations:
            stacks = stacks_of(phantom, observation)
            scores = {}
            for method, answer, seconds in answers(phantom, stacks, arguments.steps, device, arguments.threads):
                figures = evaluate(phantom.mesh, *answer, phantom.truth) | {"seconds": seconds}
                rows.append({"case": name, "observation": observation, "method": method, **figures})
                scores[method] = figures["dice"]
                dice, *others = (figures.get(column, float("nan")) for column in COLUMNS)
                print(f"{name:<18} {observation:<11} {method:<16} {dice:6.4f} {others[0]:8.2f} {others[1]:+9.1f} "
                      f"{others[2]:6.3f} {others[3]:7.2f}", flush=True)  # fmt: skip
            del scores["field agreed"]
            if scores.pop("field") <= max(scores.values()):
                lost.append(f"{name}, {observation}")
    machine = {"device": device, "threads": arguments.threads, "steps": arguments.steps}
    write_result(arguments.json, {"machine": machine, "rows": rows})
    print(f"{arguments.steps} steps on {device}; written to {arguments.json}")
    print(f"An interpolation beats the field on: {'; '.join(lost)}" if lost else "The field beats every interpolation.")
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
