"""How long the field needs for the Dice that the seed's network (mlp) reaches in its time: prints a table, writes JSON.

    python Testing/benchmarks/scar_speed.py [--minutes 30] [--json FILE]

Both see the same slices (8 mm, gaps of 2 mm, pixels of 1.4 mm, true shares of scar) of a ventricle with about 20,000
nodes, on one CPU thread each. The mlp trains for the minutes given, with as many steps as fit by a short timing into
them, and keeps its best weights. The field is trained anew with ever more steps until it reaches the mlp's Dice; its
time counts from the stacks to the probabilities. Exits with 1 if it is less than 30 times faster.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import argument_parser, write_result
from benchmarks.scar_methods import field

from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.scar.fit.interpolation import SPATIAL, interpolate
from deeprecon.scar.fit.mlp import predict as predict_mlp
from deeprecon.scar.fit.mlp_fit import fit_mlp, mlp_steps_for_budget
from deeprecon.scar.measure.metrics import dice
from deeprecon.scar.measure.sizes import node_sizes
from deeprecon.scar.observe.node_groups import group_nodes
from deeprecon.scar.parameters import MlpSize
from deeprecon.scar.simulate.hearts import sample_case
from deeprecon.training.devices import set_up

STEPS = (25, 50, 100, 200, 400, 800, 1500)
GATE = 30.0


def main() -> int:
    parser = argument_parser(__doc__, "scar_speed")
    parser.add_argument("--minutes", type=float, default=30)
    arguments = parser.parse_args()
    phantom = sample_case(0, "wedge", node_spacing=2.3)
    nodes, sizes, stacks = phantom.mesh.points, node_sizes(phantom.mesh), phantom.stacks
    set_up("cpu", 1, 0)

    def overlap(probability) -> float:
        return dice(probability > 0.5, phantom.truth, sizes)

    best = max(overlap(interpolate(stacks, nodes, kind)[0]) for kind in SPATIAL)
    print(f"{len(nodes)} nodes; best interpolation: Dice {best:.4f}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), Path(folder), "cpu", 1, "fp32", 0, SilentReporter())
        groups = group_nodes(nodes, stacks)
        steps = mlp_steps_for_budget(60 * arguments.minutes, MlpSize.SMALL, "cpu", "fp32")
        start = time.perf_counter()
        fit = fit_mlp(groups, MlpSize.SMALL, steps, 1_000_000, run)
        seconds = time.perf_counter() - start
        goal = overlap(predict_mlp(fit.network, fit.network.draw_masks(20, 0), nodes)[0])
    rows.append({"method": "mlp", "steps": fit.steps, "seconds": seconds, "dice": goal})
    print(f"mlp    {fit.steps:6d} steps {seconds:8.1f} s  Dice {goal:.4f}", flush=True)
    for steps in STEPS:
        start = time.perf_counter()
        found = overlap(field(phantom, stacks, steps, "cpu", 1)[0])
        seconds = time.perf_counter() - start
        rows.append({"method": "field", "steps": steps, "seconds": seconds, "dice": found})
        print(f"field  {steps:6d} steps {seconds:8.1f} s  Dice {found:.4f}", flush=True)
        if found >= goal:
            break
    factor = rows[0]["seconds"] / seconds if found >= goal else 0.0
    write_result(arguments.json, {"nodes": len(nodes), "rows": rows, "factor": factor})
    print(f"The field is {factor:.0f} times faster (gate {GATE:.0f}); written to {arguments.json}")
    return 0 if factor >= GATE else 1


if __name__ == "__main__":
    raise SystemExit(main())
