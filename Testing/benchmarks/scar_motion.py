"""Slices that moved between breath-holds: with a mesh of the heart, without one, and where nothing moved.

    python Testing/benchmarks/scar_motion.py [--seeds 2] [--families NAME ...] [--before FOLDER] [--json FILE]

The hearts are the held-out ones of scar_families.py. Each slice sees the heart after a motion of its own: normally
distributed, 3 mm along both axes of the plane, 5 degrees around the long axis and 1.5 mm through the plane. Every
method gets the same shares of wall and scar. The field and linear interpolation are shown with the slices as they were
imaged ("off"), after shifts within the plane ("shift") and after rigid motions ("rigid"), beside the field on slices
that did not move. Without a mesh, the slices are compared with each other; how the heart as a whole lies is then not
known, so that the nodes are scored after the rigid motion that fits the slices' remaining ones best. "unmoved" states
the largest motion that is applied where there was none; observations are shares, or masks of wall and scar.

--before names the folder of another version of this project, with its environment in .venv, which gets the same files
through its command line and its own defaults.

Gates: with a mesh at most 0.02 of Dice is lost to the motion, without at most 0.05; unmoved slices are moved by at most
0.5 mm and 1 degree. Exits with 1 if one does not hold.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
from benchmarks.before import delivered_before
from benchmarks.common import argument_parser, write_result
from benchmarks.scar_families import GATED, OTHERS, make
from benchmarks.scar_methods import fitted_stacks

from deeprecon.data.mesh.mesh import Inside
from deeprecon.scar.fit.field import predict
from deeprecon.scar.fit.interpolation import interpolate
from deeprecon.scar.measure.metrics import dice
from deeprecon.scar.measure.sizes import node_sizes
from deeprecon.scar.observe.alignment.motion import rotation
from deeprecon.scar.observe.alignment.to_each_other import align_to_each_other, mesh_of_stack
from deeprecon.scar.observe.alignment.to_mesh import align
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import FIELD_STEPS, Interpolation
from deeprecon.scar.simulate.hearts import Phantom
from deeprecon.scar.simulate.scan import scan
from deeprecon.training.devices import resolve_device

SHIFT, TURN, THROUGH = 3.0, 5.0, 1.5  # standard deviations: mm in the plane, degrees, mm across it
MAX_LOSS, MAX_LOSS_WITHOUT_MESH, MAX_SHIFT, MAX_TURN = 0.02, 0.05, 0.5, 1.0


@dataclass(frozen=True)
class Moved:
    """Slices of a heart that moved.

    Attributes:
        stack: what was seen, at the places where the slices were planned.
        motions: (k, 4, 4) by which each slice has to be moved to lie where it was in the heart.
    """

    stack: Stack
    motions: np.ndarray


def move(phantom: Phantom, seed: int, still: bool = False) -> Moved:
    """Image the short-axis slices of a heart anew, each after a motion of its own."""
    rng = np.random.default_rng([25, seed])
    planned = phantom.scans[0]
    count, rows, columns = planned.scar.shape
    u, v = (planned.ijk_to_ras[:3, axis] / np.linalg.norm(planned.ijk_to_ras[:3, axis]) for axis in (0, 1))
    normal = np.cross(u, v)
    axis = phantom.landmarks["base"] - phantom.landmarks["apex"]
    motions, slices = np.tile(np.eye(4), (count, 1, 1)), []
    for k in range(count):
        first = planned.ijk_to_ras @ [0, 0, k, 1]
        way = (first[:3] - phantom.landmarks["apex"]) @ normal / (axis @ normal)
        middle = phantom.landmarks["apex"] + way * axis
        shift = rng.normal(0, SHIFT, 2) @ [u, v] + rng.normal(0, THROUGH) * normal
        turn = rotation(np.radians(rng.normal(0, TURN)) * normal)
        if not still:
            motions[k, :3, :3], motions[k, :3, 3] = turn, middle + shift - turn @ middle
        plane = motions[k] @ planned.ijk_to_ras
        plane[:3, 3] += k * plane[:3, 2]
        slices.append(scan(phantom.tissue, phantom.lesion, plane, (1, rows, columns), planned.thickness).stack("s"))
    wall, scar = (np.concatenate([getattr(one, name) for one in slices]) for name in ("wall", "scar"))
    return Moved(Stack(wall, scar, planned.ijk_to_ras, planned.thickness, "short axis"), motions)


def drawn(stack: Stack) -> Stack:
    """Masks of wall and scar in place of shares."""
    wall = (stack.wall >= 0.5).astype(np.float32)
    return replace(stack, wall=wall, scar=(stack.scar >= 0.5).astype(np.float32))


def remaining(moved: Moved, found: Stack, phantom: Phantom) -> tuple[np.ndarray, float]:
    """The rigid motion (4, 4) that takes the heart to where the aligned slices show it, and the mm that remain."""
    true, seen = [], []
    for k in np.flatnonzero(found.wall.any(axis=(1, 2))):
        j, i = np.nonzero(found.wall[k])
        index = np.stack([i, j, np.full(len(i), k), np.ones(len(i))])[:, ::7]
        true.append((moved.motions[k] @ found.ijk_to_ras @ index)[:3].T)
        seen.append((found.placed[k] @ index)[:3].T)
    a, b = np.concatenate(true), np.concatenate(seen)
    u, _, v = np.linalg.svd((b - b.mean(axis=0)).T @ (a - a.mean(axis=0)))
    turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = turn, b.mean(axis=0) - turn @ a.mean(axis=0)
    rest = b - a @ turn.T - result[:3, 3]
    return result, float(np.sqrt((rest**2).sum(axis=1).mean()))


class Case:
    """One heart, observed in one way, and how methods are scored on it."""

    def __init__(self, phantom: Phantom, masks: bool, steps: int, device: str) -> None:
        self.phantom, self.masks, self.steps, self.device = phantom, masks, steps, device
        self.inside, self.sizes = Inside(phantom.mesh), node_sizes(phantom.mesh)

    def seen(self, moved: Moved) -> Moved:
        return replace(moved, stack=drawn(moved.stack)) if self.masks else moved

    def score(self, probability: Any) -> float:
        return dice(probability > 0.5, self.phantom.truth, self.sizes)

    def field(self, stack: Stack, inside: Inside, nodes: np.ndarray) -> float:
        fit = fitted_stacks([stack], inside, self.steps, self.device, 1)
        return self.score(predict(fit.field, fit.spread, nodes)[0])

    def with_mesh(self, name: str, moved: Moved, stack: Stack) -> dict[str, Any]:
        """Figures of field and linear interpolation for aligned slices."""
        start = time.perf_counter()
        field = self.field(stack, self.inside, self.phantom.mesh.points)
        linear = interpolate([stack], self.phantom.mesh.points, Interpolation.LINEAR)[0]
        seconds = time.perf_counter() - start
        rest = error(moved, stack)
        return {"method": name, "dice": field, "linear": self.score(linear), "error_mm": rest, "fit_seconds": seconds}

    def without_mesh(self, name: str, moved: Moved, stack: Stack) -> dict[str, Any]:
        """Figures of the field on a mesh that is made of the slices."""
        whole, rest = remaining(moved, stack, self.phantom)
        nodes = self.phantom.mesh.points @ whole[:3, :3].T + whole[:3, 3]
        field = self.field(stack, Inside(mesh_of_stack(stack, 1.5)), nodes)
        linear = self.score(interpolate([stack], nodes, Interpolation.LINEAR)[0])
        return {"method": f"{name}, no mesh", "dice": field, "linear": linear, "error_mm": rest}


def error(moved: Moved, found: Stack) -> float:
    """RMS distance in mm between where the pixels of the wall lie and where they were."""
    squares = []
    for k in np.flatnonzero(found.wall.any(axis=(1, 2))):
        j, i = np.nonzero(found.wall[k])
        index = np.stack([i, j, np.full(len(i), k), np.ones(len(i))])
        squares.append((((moved.motions[k] @ found.ijk_to_ras - found.placed[k]) @ index)[:3] ** 2).sum(axis=0))
    return float(np.sqrt(np.concatenate(squares).mean()))


def largest(stack: Stack) -> tuple[float, float]:
    """Largest shift in mm and turn in degrees, tilts included, that was applied to a slice with wall."""
    motion = stack.motion
    shown = stack.wall.any(axis=(1, 2))
    turn = np.hypot(np.abs(motion.moved[shown, 3]), np.hypot(*motion.tilt))
    return float(np.linalg.norm(motion.moved[shown, :3], axis=1).max()), float(turn.max())


def rows_of(case: Case, seed: int, before: Path | None, cheap: bool) -> list[dict[str, Any]]:
    """All figures of one heart."""
    still = case.seen(move(case.phantom, seed, still=True))
    moved = case.seen(move(case.phantom, seed))
    aligned = {"off": (moved.stack,)}
    for name, rigid in (("shift", False), ("rigid", True)):
        start = time.perf_counter()
        aligned[name] = align([moved.stack], case.inside, rigid)
        seconds = time.perf_counter() - start
    (quiet,) = align([still.stack], case.inside)
    alone = align_to_each_other([moved.stack])[0]
    (alone_quiet,) = align_to_each_other([still.stack])
    rows = [case.with_mesh("unmoved", still, quiet) | dict(zip(("mm", "degrees"), largest(quiet), strict=True))]
    names = ["rigid"] if cheap else list(aligned)
    rows += [case.with_mesh(name, moved, aligned[name][0]) for name in names]
    rows[-1]["seconds"] = seconds
    none = case.without_mesh("unmoved", still, alone_quiet)
    rows.append(none | dict(zip(("mm", "degrees"), largest(alone_quiet), strict=True)))
    rows += [case.without_mesh("off", moved, moved.stack)] if not cheap else []
    rows.append(case.without_mesh("rigid", moved, alone))
    if before is not None:
        for name, one in (("before, unmoved", still), ("before, moved", moved)):
            probability = delivered_before(before, [one.stack], case.phantom)
            rows.append({"method": name, "dice": case.score(probability)})
    return rows


def main() -> int:
    parser = argument_parser(__doc__, "scar_motion")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--families", nargs="*", choices=GATED + OTHERS, default=list(GATED), metavar="NAME")
    parser.add_argument("--observations", nargs="*", choices=("shares", "masks"), default=["shares"], metavar="NAME")
    parser.add_argument("--before", type=Path, help="folder of another version to compare with")
    parser.add_argument("--development", action="store_true", help="the cases on which settings are chosen")
    parser.add_argument("--cheap", action="store_true", help="without the figures of slices as they were imaged")
    parser.add_argument("--steps", type=int, default=FIELD_STEPS)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    rows: list[dict[str, Any]] = []
    broken: list[str] = []
    for observation in arguments.observations:
        found: dict[str, list[dict[str, Any]]] = {}
        for family in arguments.families:
            for seed in range(arguments.seeds):
                phantom = make(family, seed, arguments.development, 0.0)
                case = Case(phantom, observation == "masks", arguments.steps, device)
                for row in rows_of(case, seed, arguments.before, arguments.cheap):
                    found.setdefault(row["method"], []).append(row)
                    rows.append({"observation": observation, "family": family, "seed": seed} | row)
                print(f"{observation} {family} {seed}: " + "; ".join(
                    f"{name} {each[-1]['dice']:.3f}" for name, each in found.items()), flush=True)  # fmt: skip
        broken += report(observation, found)
    write_result(arguments.json, {"device": device, "steps": arguments.steps, "rows": rows})
    print(f"\nwritten to {arguments.json}")
    print(f"Gates that do not hold: {'; '.join(broken)}." if broken else "Every gate holds.")
    return 1 if broken else 0


def report(observation: str, found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Print the means of each method; returns the gates that do not hold."""
    print(f"\n{observation:<18} Dice, field  linear  remaining mm  largest motion")
    mean = {}
    broken = []
    for name, each in found.items():
        figures = {key: np.mean([row.get(key, np.nan) for row in each]) for key in ("dice", "linear", "error_mm")}
        mean[name] = float(figures["dice"])
        most = [max(row.get(key, np.nan) for row in each) for key in ("mm", "degrees")]
        applied = f"{most[0]:8.2f} mm {most[1]:.2f} degrees" if np.isfinite(most[0]) else ""
        print(f"{name:<18} {mean[name]:11.4f} {figures['linear']:7.3f} {figures['error_mm']:13.2f}  {applied}")
        if np.isfinite(most[0]) and (most[0] > MAX_SHIFT or most[1] > MAX_TURN):
            broken.append(f"{observation}, {name}: {applied.strip()} where nothing moved")
    if seconds := [row["seconds"] for row in found.get("rigid", []) if "seconds" in row]:
        print(f"the rigid alignment took {np.mean(seconds):.1f} s a heart")
    for tail, limit in (("", MAX_LOSS), (", no mesh", MAX_LOSS_WITHOUT_MESH)):
        loss = mean[f"unmoved{tail}"] - mean[f"rigid{tail}"]
        print(f"lost to the motion{tail}: {loss:.4f} (gate {limit})")
        if loss > limit:
            broken.append(f"{observation}{tail}: {loss:.3f} of Dice is lost")
    return broken


if __name__ == "__main__":
    raise SystemExit(main())
