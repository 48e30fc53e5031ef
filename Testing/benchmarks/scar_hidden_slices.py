"""`scar cross-validate` on real hearts with an analytic scar: prints tables, writes JSON, can fail.

    python Testing/benchmarks/scar_hidden_slices.py [--steps N] [--json FILE]

Each slice of 8 mm is hidden in turn and predicted from the others, which are then 20 mm apart around it. Exits with 1
if an interpolation predicts the slices of a heart better than the field.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import argument_parser, write_result
from benchmarks.scar_shapes import real_shapes

from deeprecon.data.tables import read_table
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.scar.crossvalidation import cross_validate
from deeprecon.scar.parameters import ReconstructInputs, ReconstructParameters
from deeprecon.scar.simulate.hearts import write_case
from deeprecon.training.devices import resolve_device, set_up


def main() -> int:
    parser = argument_parser(__doc__, "scar_hidden_slices")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    data = Path(os.environ.get("DEEPRECON_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    device = resolve_device(arguments.device)
    set_up(device, 1, 0)
    rows: list[dict[str, Any]] = []
    lost = []
    print("heart           observation  method             slices   Dice    RMS")
    for name, phantom in real_shapes(data):
        for observation, fields in (("mask", {}), ("intensity", {"threshold": "fwhm"})):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                files = write_case(phantom, place)
                contours = (files["segmentation"],)
                scar = {"lge": (files["lge"],), "myocardium": contours} if fields else {"scar": contours}
                inputs = ReconstructInputs(mesh=files["mesh"], **scar)
                run = Run(place, place, device, 1, "fp32", 0, SilentReporter())
                parameters = ReconstructParameters(steps=arguments.steps, slice_thickness=8.0, **fields)
                table = read_table(cross_validate(inputs, parameters, run).outputs["summary"])
            for row in table:
                rows.append({"heart": name, "observation": observation, **row})
                print(f"{name:<15} {observation:<12} {row['method']:<18} {row['slices']:>6} {row['dice']:>6} "
                      f"{row['rms']:>6}", flush=True)  # fmt: skip
            if table[0]["method"] != "field":
                lost.append(f"{name}, {observation}")
    write_result(arguments.json, {"device": device, "rows": rows})
    print(f"{arguments.steps} steps on {device}; written to {arguments.json}")
    print(f"An interpolation is better on: {'; '.join(lost)}" if lost else "The field predicts best.")
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
