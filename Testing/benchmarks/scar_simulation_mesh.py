"""Meshes of tetrahedra of phantoms from 8 mm slices, of the sample and of real hearts: quality, volume, time, memory.

    python Testing/benchmarks/scar_simulation_mesh.py [--edge 1.5] [--fine 0.8]

Each mesh is made by `scar simulation-mesh` in a process of its own and read back from its file. Its volume is compared
with that of the closed surface, or with that of the wall as it is interpolated between the slices, sampled 4 million
times. The human and the rabbit heart are those of DEEPRECON_DATA. `--fine` repeats the sample at that edge; 0 leaves it
out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common
import numpy as np
from scar_shapes import rabbit_heart

from deeprecon.data.mesh.files import place, read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh, open_edges, surface
from deeprecon.data.mesh.voxels import stack_depth
from deeprecon.numerics.tetrahedra import Tetrahedra
from deeprecon.scar.electrophysiology.meshing import quality
from deeprecon.scar.read.regions import open_regions
from deeprecon.scar.simulate.hearts import sample_case, write_case
from deeprecon.scar.simulate.ventricle import Ventricle

SAMPLES = 4_000_000
HEARTS = (
    Ventricle(),
    Ventricle(cavity_radius=20, cavity_length=60, wall_thickness=10),
    Ventricle(cavity_radius=30, cavity_length=78, wall_thickness=7, apex_thickness=3),
    Ventricle(cavity_radius=22, cavity_length=66, base_height=10, wall_thickness=12, apex_thickness=6),
    Ventricle(cavity_radius=18, cavity_length=52, base_height=14, wall_thickness=7),
)


def measured(*arguments: str) -> tuple[float, float]:
    """Seconds and peak memory in GB of a call of the library in a process of its own."""
    command = [sys.executable, "-m", "deeprecon", "scar", *arguments]
    environment = os.environ | {"PYTHONPATH": str(common.LIBRARY)}
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return time.perf_counter() - began, usage.ru_maxrss / 1e6


def volume_in_slices(path: Path) -> float:
    """Volume in ml of the wall between the slices, interpolated by shape."""
    depth, low, high = stack_depth(open_regions(path, {}).region("myocardium"))
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(8):
        inside += int((depth(generator.uniform(low, high, (SAMPLES // 8, 3))) > 0).sum())
    return float(np.prod(high - low)) * inside / SAMPLES / 1000


def volume_in_surface(path: Path) -> float:
    """Volume in ml of a closed surface."""
    file = read_mesh(path)
    mesh = place(file, "mm", "ras")
    corners = mesh.points[Mesh(surface(mesh)).cells()[0].reshape(-1, 3)]
    return abs(float(np.einsum("fd,fd->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])))) / 6000


def case(name: str, option: str, path: Path, edge: float, expected: float, folder: Path) -> dict[str, Any]:
    """Make one mesh and measure it."""
    output = folder / f"{name} {edge:g}".replace(" ", "-")
    extra = ["--mesh-unit", "mm"] if option == "--surface" else []
    seconds, memory = measured(
        "simulation-mesh", option, str(path), "--edge", f"{edge:g}", "--output", str(output), *extra
    )
    read = read_mesh(output / "mesh.vtu")
    corners = Mesh(read.dataset).cells()[0].reshape(-1, 4)
    sides = read.points[corners[:, 1:]] - read.points[corners[:, :1]]
    inverted = int((np.linalg.det(sides) <= 0).sum())
    mesh = Tetrahedra.of(read.points, corners)
    figures = quality(mesh)
    row = {
        "case": name,
        "edge": edge,
        "elements": len(corners),
        "open_edges": open_edges(Mesh.from_arrays(mesh.points, mesh.surface())),
        "inverted": inverted,
        "smallest_angle": figures["smallest_angle_degrees"],
        "largest_angle": figures["largest_angle_degrees"],
        "smallest_radius_ratio": figures["smallest_radius_ratio"],
        "volume_ml": figures["volume_ml"],
        "volume_error_percent": 100 * (figures["volume_ml"] / expected - 1),
        "seconds": seconds,
        "memory_gb": memory,
    }
    print(
        f"{name:22} {edge:4g} mm {row['elements']:9} elements  open edges {row['open_edges']}  inverted {inverted}  "
        f"angles {row['smallest_angle']:5.1f} to {row['largest_angle']:5.1f}  radius ratio "
        f"{row['smallest_radius_ratio']:.2f}  {row['volume_ml']:7.2f} ml ({row['volume_error_percent']:+.2f} %)  "
        f"{seconds:6.1f} s  {memory:.2f} GB",
        flush=True,
    )
    return row


def segmentation(folder: Path, name: str, seed: int, heart: Ventricle, spacing: float) -> Path:
    """The segmentation of a simulated case."""
    return write_case(sample_case(seed, ventricle=heart, spacing=spacing, node_spacing=4), folder / name)[
        "segmentation"
    ]


def main() -> None:
    parser = common.argument_parser(__doc__, "scar_simulation_mesh")
    parser.add_argument("--edge", type=float, default=1.5, help="of the meshes in mm")
    parser.add_argument("--fine", type=float, default=0.8, help="of another mesh of the sample in mm")
    options = parser.parse_args()
    data = Path(os.environ.get("DEEPRECON_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data") / "scar"
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample = segmentation(folder, "sample", 0, Ventricle(), 10)
        expected = volume_in_slices(sample)
        rows.append(case("sample", "--myocardium", sample, options.edge, expected, folder))
        for seed, heart in enumerate(HEARTS):
            shown = f"8 mm, phantom {seed + 1}"
            drawn = segmentation(folder, shown, seed, heart, 8)
            rows.append(case(shown, "--myocardium", drawn, options.edge, volume_in_slices(drawn), folder))
        human, rabbit = data / "cobiveco_geo1" / "heart.vtp", data / "chaste_rabbit_ucsd" / "UCSD_heart.node"
        if human.is_file() and rabbit.is_file():
            rows.append(case("human heart", "--surface", human, options.edge, volume_in_surface(human), folder))
            closed = folder / "rabbit.vtp"
            write_mesh(closed, Mesh(surface(rabbit_heart(rabbit)[0]), "rabbit"), "mm", "lps")
            rows.append(case("rabbit heart", "--surface", closed, options.edge, volume_in_surface(closed), folder))
        else:
            print(f"The real hearts are left out: there is no {human} or no {rabbit}; set DEEPRECON_DATA")
        if options.fine:
            rows.append(case("sample", "--myocardium", sample, options.fine, expected, folder))
    common.write_result(options.json, {"rows": rows})
    gates = {
        "closed": all(row["open_edges"] == 0 for row in rows),
        "no inverted element": all(row["inverted"] == 0 for row in rows),
        "smallest angle above 8 degrees": all(row["smallest_angle"] > 8 for row in rows),
        "volume within 1 %": all(abs(row["volume_error_percent"]) < 1 for row in rows),
    }
    if options.fine:
        gates["fine mesh within 5 minutes and 6 GB"] = rows[-1]["seconds"] <= 300 and rows[-1]["memory_gb"] <= 6
    for text, holds in gates.items():
        print(f"{text}: {'holds' if holds else 'FAILS'}")
    sys.exit(0 if all(gates.values()) else 1)


if __name__ == "__main__":
    main()
