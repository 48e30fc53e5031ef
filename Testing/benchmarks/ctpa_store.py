"""Training patches from a prepared store against reading a scan for each of them: prints tables, writes JSON, can fail.

    python Testing/benchmarks/ctpa_store.py [--preset preview|full] [--patch 128] [--patches 200] [--json FILE]

One phantom chest is written as .nii.gz (as most archives hold it), as .nii and as the cubes of a store. Patches at the
same random places are then read from each, every way in a process of its own:

    whole    read the whole .nii.gz, cut the patch out (what the published loader does for each item)
    sliced   nibabel's proxy, which inflates the .nii.gz as far as the patch's end and keeps the patch alone
    plain    the .nii as a memory map
    store    `Case.patch`

"warm" is with the file in the page cache, "cold" after it was dropped from it, where the system allows that. Memory is
the process's peak above what it had before the first patch; mapped pages count.

The second table counts the patches of 128^3 at a stride of 96 in 512 x 512 x 604 voxels and what the published
inference, which draws 80 cubes but puts 64 of them at a stride of 128, leaves empty. Exits with 1 if the store is not
100 times as fast as `whole`, if a patch differs, or if a voxel is not covered.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
from benchmarks.common import argument_parser, write_result

from deeprecon.ctpa.grid import AIR, PRESETS, PUBLISHED
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.patches import Slices, Windows, starts
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.ctpa.training.store import Case, write_cubes
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.console import format_table

FASTER = 100.0
WAYS = ("whole", "sliced", "plain", "store")
SLOW = 3
"""Patches that are read by way of gunzip."""


def main() -> int:
    """Measure; 1 if a gate does not hold."""
    parser = argument_parser(__doc__, "ctpa_store")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="full")
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--patches", type=int, default=200)
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]), options)))
        return 0
    coverage = cover()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = write(folder, options.preset)
        results = {way: start(way, folder, options) for way in WAYS}
    failures = [] if coverage["stride 96 with tail"]["empty_slices"] == 0 else ["voxels are left out"]
    if coverage["stride 96 with tail"]["patches"] != 150:
        failures.append(f"{coverage['stride 96 with tail']['patches']} patches, expected 150")
    ratio = results["store"]["warm"] / results["whole"]["warm"]
    if ratio < FASTER:
        failures.append(f"the store is {ratio:.0f} times as fast, expected {FASTER:.0f}")
    if len({result["checksum"] for result in results.values()}) > 1:
        failures.append("a patch differs")

    k, j, i = PRESETS[options.preset].shape
    print(f"One CT of {i} x {j} x {k}, random patches of {options.patch}^3\n")
    rows: list[dict[str, Any]] = [
        {
            "way": way,
            "file MB": round(sizes[way] / 1e6),
            "patches/s warm": round(result["warm"], 2),
            "cold": None if result["cold"] is None else round(result["cold"], 2),
            "times": round(result["warm"] / results["whole"]["warm"], 1),
            "peak MB": round(result["peak_mb"]),
        }
        for way, result in results.items()
    ]
    print(format_table(rows))
    print(f"\nPatches of 128^3 in {PUBLISHED.shape[2]} x {PUBLISHED.shape[1]} x {PUBLISHED.shape[0]}\n")
    print(format_table([{"cubes": name, **row} for name, row in coverage.items()]))
    print(f"\nstore against whole: {ratio:.0f} times (gate {FASTER:.0f})")
    write_result(
        options.json,
        {"cores": os.cpu_count(), "preset": options.preset, "patch": options.patch}
        | {"ways": results, "file_bytes": sizes, "coverage": coverage, "times": ratio, "failures": failures},
    )
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


def write(folder: Path, preset: str) -> dict[str, int]:
    """The chest in every format; bytes of each way's file."""
    grid = PRESETS[preset]
    hu, _ = draw_grid(make_anatomy(0), grid)
    write_volume(folder / "ct.nii.gz", Volume(hu, grid.affine()))
    write_volume(folder / "ct.nii", Volume(hu, grid.affine()))
    write_cubes(folder / "ct.npy", hu, AIR)
    return {way: file_of(way, folder).stat().st_size for way in WAYS}


def file_of(way: str, folder: Path) -> Path:
    return folder / {"whole": "ct.nii.gz", "sliced": "ct.nii.gz", "plain": "ct.nii", "store": "ct.npy"}[way]


def start(way: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--measure", way, str(folder), "--preset", options.preset]
    command += ["--patch", str(options.patch), "--patches", str(options.patches)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def measure(way: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Patches per second, warm and cold, peak memory in MB, and the sum of the first patches."""
    import nibabel

    grid, path = PRESETS[options.preset], file_of(way, folder)
    case = Case(folder, "", "", "train", grid, Geometry(), grid.affine(), True, ())
    rng = np.random.default_rng(0)
    places: list[Slices] = []
    for _ in range(options.patches):
        k, j, i = (int(rng.integers(0, count - options.patch + 1)) for count in grid.shape)
        places.append((slice(k, k + options.patch), slice(j, j + options.patch), slice(i, i + options.patch)))

    def read(where: Slices) -> Any:
        if way == "store":
            return case.patch(where)
        if way == "whole":
            return np.asanyarray(nibabel.load(path).dataobj).T[where]
        return np.array(nibabel.load(path).dataobj[where[::-1]]).T

    count = SLOW if way in ("whole", "sliced") else len(places)
    path.read_bytes()  # into the page cache
    peak()
    before = peak()
    began = time.perf_counter()
    total = 0
    for number, where in enumerate(places[:count]):
        patch = read(where)
        total += int(patch.sum(dtype=np.int64)) if number < SLOW else 0
    warm = count / (time.perf_counter() - began)
    memory = peak() - before
    cold = None
    if hasattr(os, "posix_fadvise"):
        seconds = 0.0
        for where in places[: min(count, 20)]:
            drop(path)
            began = time.perf_counter()
            read(where)
            seconds += time.perf_counter() - began
        cold = min(count, 20) / seconds
    return {"warm": warm, "cold": cold, "peak_mb": memory, "checksum": total}


def peak() -> float:
    """MB that this process had in memory at most; the mark is set back where the system allows that."""
    try:
        status = Path("/proc/self/status").read_text()
        mark = float(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1e3
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        import resource

        mark = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e3 if sys.platform == "linux" else 1e6)
    return mark


def drop(path: Path) -> None:
    """Forget what the page cache holds of a file."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cover() -> dict[str, dict[str, Any]]:
    """How often each voxel of the published grid lies in a patch."""
    published = [range(0, count - 128 + 1, 128) for count in PUBLISHED.shape]
    ways: dict[str, list[Slices]] = {
        "published, stride 128": [_cube(first) for first in product(*published)],
        "stride 96 without tail": [
            _cube(first) for first in product(*[range(0, count - 128 + 1, 96) for count in PUBLISHED.shape])
        ],
        "stride 96 with tail": list(Windows.cubes(PUBLISHED.shape, 128, 96)),
        "stride 64 with tail": list(Windows.cubes(PUBLISHED.shape, 128, 64)),
    }
    assert starts(604, 128, 96)[-1] == 476
    table = {}
    for name, places in ways.items():
        counts = np.zeros(PUBLISHED.shape, np.uint8)
        for where in places:
            counts[where] += 1
        table[name] = {
            "patches": len(places),
            "empty_slices": int((counts.max(axis=(1, 2)) == 0).sum()),
            "empty_share": float((counts == 0).mean()),
            "most_overlap": int(counts.max()),
        }
    return table


def _cube(first: tuple[int, ...]) -> Slices:
    k, j, i = (slice(start, start + 128) for start in first)
    return k, j, i


if __name__ == "__main__":
    sys.exit(main())
