"""Time and memory of `scar reconstruct`, files to files with every output, on ever finer meshes of the sample case.

    python Testing/benchmarks/scar_large.py [--spacings 2.3 1.2 0.5] [--threads 2] [--json FILE]

The finest mesh has about 1.4 million nodes. Settings are the defaults, the number of steps as well; scar is read from
the noisy image at half of its maximum. "training" is the part that is the same for every mesh. Exits with 1 if the
finest mesh takes more than 120 s or 3 GB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import argument_parser, write_result

MAX_SECONDS, MAX_BYTES, TARGET_SECONDS = 120.0, 3e9, 60.0


def call(verb: str, *options: object) -> tuple[float, int]:
    """Seconds and bytes at the peak of a verb in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "deeprecon", "scar", verb, *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": sys.path[0]}
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        log.seek(0)
        if status:
            raise RuntimeError(f"scar {verb} failed:\n{log.read().decode()}")
    return seconds, usage.ru_maxrss * 1024


def training_seconds(events: Path) -> float:
    """From the first word of the fit to the first word of what follows it."""
    lines = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
    times = {line["text"]: line["time"] for line in lines if line["type"] == "status"}
    return float(times["Writing the results"] - times["Fitting the field"])


def main() -> int:
    parser = argument_parser(__doc__, "scar_large")
    parser.add_argument("--spacings", type=float, nargs="+", default=[2.3, 1.2, 0.5], help="of the nodes, mm")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("   nodes  seconds  training   GB   Dice")
    for spacing in arguments.spacings:
        with tempfile.TemporaryDirectory() as folder:
            case, result = Path(folder) / "case", Path(folder) / "result"
            call("phantom", "--node-spacing", spacing, "--output", case)
            files = ("--lge", case / "lge.nrrd", "--myocardium", case / "segmentation.seg.nrrd", "--mesh",
                     case / "mesh.vtu", "--landmarks", case / "landmarks.mrk.json")  # fmt: skip
            run = ("--threads", arguments.threads, "--device", arguments.device, "--slice-thickness", 8)
            seconds, peak = call("reconstruct", *files, "--threshold", "fwhm", *run, "--output", result)
            call("evaluate", "--mesh", result / "mesh.vtu", "--truth", case / "truth.vtu", "--output", folder)
            row = {
                "nodes": json.loads((result / "result.json").read_text(encoding="utf-8"))["metrics"]["nodes"],
                "seconds": seconds,
                "training": training_seconds(result / ".job" / "events.jsonl"),
                "gigabytes": peak / 1e9,
                "dice": json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))["metrics"]["dice"],
            }
        rows.append(row)
        print(f"{row['nodes']:8d} {seconds:8.1f} {row['training']:9.1f} {row['gigabytes']:4.1f} {row['dice']:6.3f}",
              flush=True)  # fmt: skip
    write_result(arguments.json, {"threads": arguments.threads, "rows": rows})
    finest = max(rows, key=lambda row: row["nodes"])
    holds = finest["seconds"] <= MAX_SECONDS and finest["gigabytes"] * 1e9 <= MAX_BYTES
    print(
        f"{finest['nodes']} nodes: {finest['seconds']:.0f} s (gate {MAX_SECONDS:.0f}, target {TARGET_SECONDS:.0f}), "
        f"{finest['gigabytes']:.1f} GB (gate {MAX_BYTES / 1e9:.0f}); written to {arguments.json}"
    )
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
