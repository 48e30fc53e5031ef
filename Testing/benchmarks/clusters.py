"""Cases by plain processes and by Dask on this computer: the same bits, nothing lost with a worker, and the overhead.

    python Testing/benchmarks/clusters.py --cases 20 --workers 2

The cases are reconstructions of one heart with different numbers of steps, so many that one takes `--seconds` alone.
Dask and plain processes run them with the same number of workers, each with one thread, in turn. In one more run by
Dask a worker is killed when half of the cases are done. Every file of the results is compared, apart from reports,
which have dates. The overhead is the time of Dask over that of plain processes, with starting and ending the cluster.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common
import psutil
from interruption_tasks import DONE, Task, make_scar, run, start
from interruptions import comparable

PROBE_STEPS = 100
PLAIN, DASK, KILLED = "plain processes", "Dask", "Dask, a worker killed"


def steps_for(seconds: float, task: Task, folder: Path) -> int:
    """Steps of a case that takes so long, from the difference of two short runs."""
    took = []
    for steps in (PROBE_STEPS, 3 * PROBE_STEPS):
        begun = time.monotonic()
        arguments = [*task.arguments(folder / f"probe_{steps}"), "--steps", str(steps)]
        if (ran := run(arguments)).returncode != DONE:
            raise RuntimeError(ran.stdout)
        took.append(time.monotonic() - begun)
    pace = max((took[1] - took[0]) / (2 * PROBE_STEPS), 1e-4)
    return max(PROBE_STEPS, round(PROBE_STEPS + (seconds - took[0]) / pace))


def write_cases(path: Path, task: Task, count: int, steps: int) -> None:
    """A table of cases with different numbers of steps."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "steps", *(name.removeprefix("--") for name in task.inputs)])
        for number in range(count):
            writer.writerow([f"case-{number:02}", steps + number, *map(str, task.inputs.values())])


def run_all(task: Task, cases: Path, output: Path, options: list[str], kill_after: int | None = None) -> float:
    """Run the cases and return the seconds; kill a worker after so many are done."""
    arguments = [*task.verb, "--cases", str(cases), "--threads", "1", "--output", str(output), *options]
    begun = time.monotonic()
    process = start(arguments)
    while kill_after is not None and process.poll() is None:
        if len(list(output.glob("*/result.json"))) >= kill_after and kill_worker(process.pid):
            break
        time.sleep(0.2)
    text, _ = process.communicate()
    if process.returncode != DONE:
        raise RuntimeError(text)
    if kill_after is not None and "its worker was lost" not in text:
        raise RuntimeError("No case was running on the worker that was killed.")
    return time.monotonic() - begun


def kill_worker(pid: int) -> bool:
    """Kill a Dask worker that runs a case; False where there is none now."""
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if "deeprecon.worker" in process.cmdline() and (worker := process.parent()) is not None:
                worker.kill()
                return True
        except psutil.Error:
            continue
    return False


def results_of(output: Path) -> dict[str, tuple[dict[str, str], int]]:
    """By case: the checksums of its files, and how often a result was written."""
    found = {}
    for folder in sorted(output.glob("case-*")):
        events = (folder / ".job" / "events.jsonl").read_text(encoding="utf-8")
        found[folder.name] = comparable(folder), events.count('"type": "result"')
    return found


def main() -> int:
    """Run, print a table, and return 1 where something differs, is lost or is doubled."""
    parser = common.argument_parser(__doc__, "clusters")
    parser.add_argument("--cases", type=int, default=20, help="number of cases (default: 20)")
    parser.add_argument("--workers", type=int, default=2, help="cases at once (default: 2)")
    parser.add_argument("--seconds", type=float, default=10, help="of a case alone (default: 10)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each kind, in turn (default: 1)")
    options = parser.parse_args()
    workers = ["--workers", str(options.workers)]
    local = ["--scheduler", "local", *workers]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = make_scar(folder)
        steps = steps_for(options.seconds, task, folder)
        write_cases(folder / "cases.csv", task, options.cases, steps)
        kinds = [*options.rounds * [(PLAIN, workers, None), (DASK, local, None)], (KILLED, local, options.cases // 2)]
        expected: dict[str, tuple[dict[str, str], int]] = {}
        for number, (kind, arguments, kill_after) in enumerate(kinds):
            output = folder / f"run-{number}"
            seconds = run_all(task, folder / "cases.csv", output, arguments, kill_after)
            found = results_of(output)
            expected = expected or found
            same = sum(found.get(case) == expected[case] for case in expected)
            rows.append({"run": kind, "seconds": round(seconds, 1), "cases": len(found), "same": same})
            print(
                f"{kind:24}{seconds:9.1f} s  {len(found):3} cases, {same:3} the same to the bit, once each", flush=True
            )
    fastest = {kind: min(row["seconds"] for row in rows if row["run"] == kind) for kind in (PLAIN, DASK)}
    overhead = fastest[DASK] / fastest[PLAIN] - 1
    wrong = [row for row in rows if row["same"] != options.cases]
    each = fastest[PLAIN] * options.workers / options.cases
    print(f"{steps} steps, {each:.1f} s for each case; overhead of Dask {100 * overhead:+.1f} %")
    common.write_result(options.json, {"rows": rows, "steps": steps, "overhead": overhead, "seconds_a_case": each})
    return int(bool(wrong) or any(count != 1 for _, count in expected.values()))


if __name__ == "__main__":
    sys.exit(main())
