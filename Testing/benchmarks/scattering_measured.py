"""Full-wave inversion of measured fields, and the solver under it: prints tables, writes JSON, can fail.

    python Testing/benchmarks/scattering_measured.py [--fresnel FoamDielExtTM.exp ...] [--parts fresnel solver balls]

fresnel: files of the Institut Fresnel's set of 2005 (Geffrin, Sabouroux and Eyraud, Inverse Problems 21:S117), which
are not part of the project, by the command line with its defaults. The truth is the nominal object: a foam cylinder of
80 mm and contrast 0.45, plastic cylinders of 31 mm and contrast 2. Beside it, from the same calibrated fields, the Born
approximation: back-projection with the best scale and Tikhonov regularization with the best parameter, both chosen by
the truth, of the one of the four lowest frequencies at which they do best.
solver: fields of a cylinder against the exact series at contrasts 0.1, 0.8 and 3, near and far; the adjoint; fields of
a ball against the exact series up to 64 pixels along a side.
balls: two balls in three dimensions from the fields of 8 point sources at two frequencies with 2 % noise, simulated on
another grid, beside Tikhonov regularization of the Born approximation with the best parameter.
Relative L2 errors; exits with 1 if a gate does not hold.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
from benchmarks.common import LIBRARY, argument_parser, write_result
from benchmarks.scattering_mie import ball_field, cylinder_far_field, cylinder_field

from deeprecon.data.volume_io import read_volume
from deeprecon.scattering.fit.full_wave import invert_full_wave
from deeprecon.scattering.fit.measured_bands import measured_bands
from deeprecon.scattering.parameters import Sign
from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.physics.forward_model import ForwardModel
from deeprecon.scattering.physics.region import Region
from deeprecon.scattering.read.measurements import read_measurement
from deeprecon.scattering.read.scattered_fields import Band, ScatteredFields

Array = np.ndarray[Any, Any]

FOAM, PLASTIC = (0.0, 0.0, 0.040, 0.45), (-0.0555, 0.0, 0.0155, 2.0)
INNER = (-0.005, 0.0, 0.0155, 2.0)
OBJECTS = {"FoamDielExt": (FOAM, PLASTIC), "FoamDielInt": (FOAM, INNER), "FoamTwinDiel": (FOAM, PLASTIC, INNER)}
"""x, y, radius in m, contrast; later ones replace earlier ones."""
GATED = "FoamDielExt"
MAX_ERROR, MAX_MEAN_ERROR, MAX_SECONDS, MIN_ORDER, MAX_ADJOINT, MAX_BALL = 0.30, 0.10, 120.0, 1.8, 1e-10, 0.02
REGULARIZATIONS = 10.0 ** np.arange(-5, 1.1, 0.5)
SPEED = 1500.0
MAX_RECEIVERS = 80


def relative(found: Array, truth: Array) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def nominal(name: str, x: Array, y: Array, spacing: float, fine: int = 8) -> Array:
    """Contrast of pixels with centers (x, y) in m: the mean of fine x fine points in each."""
    steps = ((np.arange(fine) + 0.5) / fine - 0.5) * spacing
    total = np.zeros_like(x)
    for dx in steps:
        for dy in steps:
            q = np.zeros_like(x)
            for cx, cy, radius, contrast in OBJECTS[name]:
                q[np.hypot(x + dx - cx, y + dy - cy) < radius] = contrast
            total += q / fine**2
    return total


def best_born(bands: Any, truth: Array) -> dict[str, float]:
    """Lowest errors of back-projection and of Tikhonov regularization over the frequencies and parameters."""
    errors: dict[str, float] = {"Born back-projection": np.inf, "Born Tikhonov": np.inf}
    for band in bands:
        step = max(1, band.data.shape[1] // MAX_RECEIVERS)  # fields are smooth along the receivers
        rows = band.model.born_matrix().reshape(*band.data.shape, -1)[:, ::step].reshape(-1, truth.size)
        measured = band.data[:, ::step].ravel()
        matrix, data = np.concatenate([rows.real, rows.imag]), np.concatenate([measured.real, measured.imag])
        back = matrix.T @ data
        scale = (truth.ravel() @ back) / (back @ back)
        tried = [relative(scale * back, truth.ravel())]
        errors["Born back-projection"] = min(errors["Born back-projection"], *tried)
        values, vectors = np.linalg.eigh(matrix @ matrix.T)
        projected = vectors.T @ data
        for share in REGULARIZATIONS:
            image = matrix.T @ (vectors @ (projected / (values + share * values.max())))
            errors["Born Tikhonov"] = min(errors["Born Tikhonov"], relative(image, truth.ravel()))
    return errors


def measure_fresnel(path: Path) -> list[dict[str, Any]]:
    """A row for each method."""
    name = path.name.removesuffix("TM.exp")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "deeprecon", "scattering", "reconstruct", "--data", str(path)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {"PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
        subprocess.run([*command, "--method", "fullwave", "--output", folder], check=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        volume = read_volume(Path(folder) / "contrast.nii.gz")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    image = np.asarray(volume.array)[0].astype(float)
    j, i = np.indices(image.shape)
    ras = volume.to_ras(np.stack([i, j, np.zeros_like(i)], axis=-1)) / 1e3
    truth = nominal(name, ras[..., 0], ras[..., 1], float(volume.spacing[0]) / 1e3)
    foam, plastic = (float(image[np.isclose(truth, value)].mean()) for value in (0.45, 2.0))
    fields = read_measurement(path)
    region = Region(np.zeros(2), fields.side or 0.15, len(image))
    begin = time.process_time()
    bands, _ = measured_bands(fields, region, None, "cpu")
    linear = best_born(bands[:4], truth)
    born_seconds = time.process_time() - begin
    full = {"object": name, "method": "full-wave, defaults", "error": relative(image, truth), "foam": foam}
    rows = [full | {"plastic": plastic, "cpu_seconds": seconds}]
    rows += [{"object": name, "method": m, "error": e, "cpu_seconds": born_seconds} for m, e in linear.items()]
    return [*rows, {"object": name, "method": "empty", "error": 1.0}]


def circle(count: int, radius: float, start: float = 0.0) -> Array:
    angle = start + 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def filled(region: Region, center: Array, radius: float, fine: int) -> Array:
    """Share of each pixel in a disc or ball."""
    step = ((np.arange(fine) + 0.5) / fine - 0.5) * region.spacing
    line = (region.line()[:, None] + step).ravel()
    parts = [(line - c) ** 2 for c in center[::-1]]
    n, d = region.n, region.dimension
    if d == 2:
        inside = parts[0][:, None] + parts[1] < radius**2
        return np.asarray(inside.reshape(n, fine, n, fine).mean(axis=(1, 3)))
    planes = [
        (z + parts[1][:, None] + parts[2] < radius**2).reshape(n, fine, n, fine).mean(axis=(1, 3)) for z in parts[0]
    ]
    return np.asarray(np.reshape(planes, (n, fine, n, n)).mean(axis=1))


def measure_cylinders() -> list[dict[str, Any]]:
    """Errors of the solver by contrast, kind of field and pixels, with the order of convergence."""
    k, radius, center, rows = 100.0, 0.03, np.array([0.011, -0.013]), []
    kinds = {
        "near": (circle(3, 0.3), circle(24, 0.25, 0.1), False, cylinder_field),
        "far": (circle(3, 1.0), circle(24, 1.0, 0.1), True, cylinder_far_field),
    }
    for contrast in (0.1, 0.8, 3.0):
        for kind, (source, receiver, far, exact) in kinds.items():
            arrangement = Arrangement(source, np.broadcast_to(receiver, (3, 24, 2)), far, far)
            expected = exact(k, radius, contrast, source, receiver, center)
            row: dict[str, Any] = {"contrast": contrast, "field": kind}
            for n in (32, 64, 128, 256):
                region = Region(np.zeros(2), 0.1, n)
                model = ForwardModel(k, arrangement, region, double=True, tolerance=1e-8)
                row[f"{n}"] = relative(model.scattered(contrast * filled(region, center, radius, 16)), expected)
            rows.append(row | {"order": float(np.log2(row["32"] / row["256"]) / 3)})
    return rows


def sphere(count: int, radius: float, seed: int) -> Array:
    """Points spread over a sphere (Fibonacci lattice, turned at random)."""
    index = np.arange(count) + 0.5
    z, angle = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    points = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=-1)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return np.asarray(radius * points @ turn)


def measure_adjoint() -> float:
    """Largest relative defect of the adjoint, in two and three dimensions at two frequencies."""
    rng, largest = np.random.default_rng(0), 0.0
    for d, n, source, receiver in (
        (2, 24, circle(3, 0.3), circle(9, 0.25)),
        (3, 10, sphere(3, 0.3, 0), sphere(9, 0.3, 1)),
    ):
        for k in (30.0, 70.0):
            arrangement = Arrangement(source, np.broadcast_to(receiver, (3, 9, d)))
            model = ForwardModel(k, arrangement, Region(np.zeros(d), 0.1, n), double=True, tolerance=1e-13)
            q, change = rng.uniform(-0.4, 1.5, (2, *[n] * d))
            data = rng.standard_normal((3, 9)) + 1j * rng.standard_normal((3, 9))
            one, other = np.vdot(data, model.linearized(q, change)), np.vdot(model.adjoint(q, data), change)
            largest = max(largest, float(abs(one - other) / abs(one)))
    return largest


def measure_ball() -> list[dict[str, Any]]:
    """Errors of the fields of a ball of contrast 0.5 by pixels along a side."""
    k, radius, center = 100.0, 0.03, np.array([0.01, -0.005, 0.008])
    source, receiver = sphere(2, 0.3, 0), sphere(20, 0.3, 1)
    expected = ball_field(k, radius, 0.5, source, receiver, center)
    rows = []
    for n in (16, 32, 64):
        region = Region(np.zeros(3), 0.1, n)
        model = ForwardModel(k, Arrangement(source, np.broadcast_to(receiver, (2, 20, 3))), region, tolerance=1e-5)
        found = model.scattered(0.5 * filled(region, center, radius, 8))
        rows.append({"pixels": n, "error": relative(found, expected)})
    return rows


def two_balls(region: Region, fine: int) -> Array:
    return 0.8 * filled(region, np.array([-0.02, 0.005, 0.0]), 0.016, fine) + 0.5 * filled(
        region, np.array([0.02, -0.01, 0.01]), 0.02, fine
    )


def measure_balls() -> list[dict[str, Any]]:
    """Errors of the methods on two balls."""
    source, receiver = sphere(8, 0.2, 0), sphere(64, 0.2, 1)
    arrangement = Arrangement(source, np.broadcast_to(receiver, (8, 64, 3)))
    finer, region = Region(np.zeros(3), 0.1, 40), Region(np.zeros(3), 0.1, 32)
    bands = []
    for wave_number in (60.0, 120.0):
        data = ForwardModel(wave_number, arrangement, finer).scattered(two_balls(finer, 6))
        bands.append(Band(wave_number * SPEED / (2 * np.pi), data, None, np.ones(data.shape, bool)))
    fields = ScatteredFields(arrangement, tuple(bands), SPEED, True).with_noise(0.02, 0)
    truth = two_balls(region, 6)
    measured, _ = measured_bands(fields, region, 0.02, "cpu")
    rows = [{"method": name, "error": error} for name, error in best_born(measured, truth).items()]
    begin = time.process_time()
    found = invert_full_wave(measured, np.zeros(region.shape), Sign.POSITIVE, 8e-4, 20)
    seconds = time.process_time() - begin
    return [*rows, {"method": "full-wave", "error": relative(found.contrast, truth), "cpu_seconds": seconds}]


def show(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{title}")
    for row in rows:
        print(
            "  " + "  ".join(f"{n} {v:.3g}" if isinstance(v, float) else f"{n} {v}" for n, v in row.items()), flush=True
        )


def main() -> int:
    parser = argument_parser(__doc__, "scattering_measured")
    parser.add_argument("--fresnel", type=Path, nargs="*", default=[], help="files of the Institut Fresnel, TM")
    parser.add_argument("--parts", nargs="+", default=["fresnel", "solver", "balls"])
    options = parser.parse_args()
    result: dict[str, Any] = {}
    gates: dict[str, bool] = {}
    if "fresnel" in options.parts:
        result["fresnel"] = [row for path in options.fresnel for row in measure_fresnel(path)]
        show("Institut Fresnel, 2005, TM", result["fresnel"])
        for row in result["fresnel"]:
            if row["object"] == GATED and "foam" in row:
                gates[f"error <= {MAX_ERROR}"] = row["error"] <= MAX_ERROR
                gates["foam within 10 % of 0.45"] = abs(row["foam"] / 0.45 - 1) <= MAX_MEAN_ERROR
                gates["plastic within 10 % of 2"] = abs(row["plastic"] / 2 - 1) <= MAX_MEAN_ERROR
                gates[f"at most {MAX_SECONDS:g} CPU s"] = row["cpu_seconds"] <= MAX_SECONDS
    if "solver" in options.parts:
        result["cylinder"], result["ball"], result["adjoint"] = measure_cylinders(), measure_ball(), measure_adjoint()
        show("Fields of a cylinder against the exact series, by pixels along a side", result["cylinder"])
        show("Fields of a ball against the exact series", result["ball"])
        print(f"\nAdjoint: relative defect {result['adjoint']:.1e}")
        gates[f"order >= {MIN_ORDER}"] = min(row["order"] for row in result["cylinder"]) >= MIN_ORDER
        gates[f"ball at 64: error < {MAX_BALL}"] = result["ball"][-1]["error"] < MAX_BALL
        gates[f"adjoint <= {MAX_ADJOINT}"] = result["adjoint"] <= MAX_ADJOINT
    if "balls" in options.parts:
        result["balls"] = measure_balls()
        show("Two balls in three dimensions, 2 % noise", result["balls"])
        errors = {row["method"]: row["error"] for row in result["balls"]}
        gates["balls: at most half of Born's error"] = errors["full-wave"] <= 0.5 * errors["Born Tikhonov"]
    print()
    for name, held in gates.items():
        print(f"{'holds' if held else 'FAILS'}: {name}")
    write_result(options.json, result | {"gates": gates})
    return 0 if all(gates.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
