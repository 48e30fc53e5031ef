"""A trained BCR-Net on objects unlike those of its training, and refinement: prints tables, writes JSON, can fail.

    python Testing/benchmarks/scattering_generalise.py --bundle DIR [--count 4] [--families discs annulus]

The bundle is the one of docs/scattering.md (mixed families, contrast -0.5 to 0.8, k = 8). For each family, relative
L2 errors and data misfits of `scattering reconstruct` with its defaults (network and, where it does not explain the
data, refinement), of the network alone, of Tikhonov regularization, and of full-wave inversion from Tikhonov's image.
Then the head phantom from four wave numbers, 2, 4, 8 and 16 in turn, beside 8 alone, with 5 % noise, simulated on
another grid, for contrast of any sign and for positive contrast. Exits with 1 if a gate does not hold: refinement is
no worse than the better of network and full-wave inversion plus 5 %, negative contrast has an error below 0.40, an
answer that explains the data worse than Tikhonov's has a doubt, and the head phantom from four wave numbers, as
positive contrast, has an error of at most 0.52.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
from benchmarks.common import argument_parser, write_result

from deeprecon.scattering.fit.full_wave import FAR_FIELD_SMOOTHING, invert_full_wave
from deeprecon.scattering.fit.linear import LinearInversion
from deeprecon.scattering.fit.measured_bands import measured_bands
from deeprecon.scattering.fit.network import read_model
from deeprecon.scattering.fit.refinement import FarFieldRefinement, refine_network
from deeprecon.scattering.measure.data_misfit import network_doubts
from deeprecon.scattering.measure.metrics import relative_l2
from deeprecon.scattering.parameters import ReconstructParameters, Sign
from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.physics.directions import directions
from deeprecon.scattering.physics.discs import disc_far_field
from deeprecon.scattering.physics.forward_model import ForwardModel
from deeprecon.scattering.physics.image_grids import pixel_centers, to_polar
from deeprecon.scattering.physics.region import Region
from deeprecon.scattering.physics.scene import Scene, are_separate_discs, disc, rasterize_polar, rasterize_square
from deeprecon.scattering.physics.volume_integral import VolumeIntegral
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.read.scattered_fields import Band, ScatteredFields
from deeprecon.scattering.simulate.families import FAMILIES

Array = np.ndarray[Any, Any]
Rng = np.random.Generator

FINE = 96
SEED = 777
DEFAULTS = ReconstructParameters()
MAX_LOSS, MAX_NEGATIVE, MAX_HEAD = 0.05, 0.40, 0.52
NEGATIVE = "discs, contrast -0.5 to -0.1"


def small_discs(rng: Rng) -> Scene:
    """Seven discs of radius 0.08 to 0.15."""
    made: list[Any] = []
    while len(made) < 7:
        radius = rng.uniform(0.08, 0.15)
        distance, angle = (1 - radius) * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        x, y = distance * np.cos(angle), distance * np.sin(angle)
        if all(np.hypot(x - other.x, y - other.y) > radius + other.a + 0.01 for other in made):
            made.append(disc(x, y, radius, rng.uniform(0.1, 0.8)))
    return tuple(made)


def bumps(rng: Rng) -> Array:
    """Sum of six Gaussians: nothing has an edge."""
    x, y = np.meshgrid(pixel_centers(FINE), pixel_centers(FINE))
    q = np.zeros_like(x)
    for _ in range(6):
        distance, angle = 0.6 * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        width, height = rng.uniform(0.08, 0.2), rng.uniform(0.1, 0.5)
        q += height * np.exp(
            -((x - distance * np.cos(angle)) ** 2 + (y - distance * np.sin(angle)) ** 2) / 2 / width**2
        )
    return q * (np.hypot(x, y) < 0.97)


def digit(rng: Rng) -> Array:
    """A digit of a bold font, 1.3 high."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), str(rng.integers(10)), size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    low, high = path.vertices.min(axis=0), path.vertices.max(axis=0)
    scale = 1.3 / (high - low).max()
    fine, n = 4, FINE
    line = (pixel_centers(n)[:, None] + 2 / n * ((np.arange(fine) + 0.5) / fine - 0.5)).ravel()
    x, y = np.meshgrid(line, line)
    inside = path.contains_points(np.c_[x.ravel(), y.ravel()] / scale + (low + high) / 2).reshape(x.shape)
    return rng.uniform(0.3, 0.8) * np.asarray(inside.reshape(n, fine, n, fine).mean(axis=(1, 3)))


SETS: dict[str, Callable[[Rng], Any]] = {
    "discs": lambda rng: FAMILIES["discs"](rng, (0.1, 0.8)),
    "discs, contrast 0.8 to 1.5": lambda rng: FAMILIES["discs"](rng, (0.8, 1.5)),
    NEGATIVE: lambda rng: FAMILIES["discs"](rng, (-0.5, -0.1)),
    "discs, contrast 0.01 to 0.08": lambda rng: FAMILIES["discs"](rng, (0.01, 0.08)),
    "small discs": small_discs,
    "ellipses": lambda rng: FAMILIES["ellipses"](rng, (0.1, 0.8)),
    "annulus": lambda rng: FAMILIES["annulus"](rng, (0.1, 0.8)),
    "shepp-logan": lambda rng: FAMILIES["shepp-logan"](rng, (0.1, 0.8)),
    "digits": digit,
    "bumps": bumps,
}


def simulate(name: str, count: int, k: float, n: int, rings: int) -> FarFieldData:
    """Objects of a family; discs by T-matrices, others on a finer grid than that of the inversion."""
    solver, axis, theta = VolumeIntegral(k, pixel_centers(FINE)), pixel_centers(FINE), directions(n)
    far_fields, truth = [], []
    for number in range(count):
        made = SETS[name](np.random.default_rng([SEED, number]))
        if isinstance(made, np.ndarray):
            far_fields.append(solver.far_field(made, theta, theta))
            truth.append(to_polar(made, axis, n, rings))
            continue
        exact = are_separate_discs(made)
        field = (
            disc_far_field(k, made, theta, theta)
            if exact
            else solver.far_field(rasterize_square(made, axis), theta, theta)
        )
        far_fields.append(field)
        truth.append(rasterize_polar(made, n, rings))
    return FarFieldData(np.stack(far_fields).astype(np.complex64), k, polar=np.stack(truth).astype(np.float32))


def measure_family(name: str, model: Any, count: int) -> dict[str, Any]:
    """Mean errors and misfits by method."""
    architecture = model.network.architecture
    data = simulate(name, count, model.k, architecture.angles, architecture.rings)
    truth = data.truth(architecture.rings)
    linear = LinearInversion(model.k, data.angles, architecture.rings).tikhonov(
        data.midpoint(), DEFAULTS.regularization
    )
    refinement = FarFieldRefinement(data, DEFAULTS.contrast, DEFAULTS.smoothing, DEFAULTS.steps, "cpu")
    network = model.predict(data, "cpu", "fp32")
    begin = time.process_time()
    refined = refine_network(refinement, network, linear, model.misfit, lambda share: None)
    seconds = time.process_time() - begin
    shown = np.stack([refined.get(index, image) for index, image in enumerate(network)])
    full_wave = np.stack([refinement.refine(index, image)[0] for index, image in enumerate(linear)])
    misfits = {
        label: [refinement.misfit(index, image) for index, image in enumerate(images)]
        for label, images in (("network", network), ("shown", shown), ("tikhonov", linear))
    }
    worse = [one**2 - other**2 > 0.05 for one, other in zip(misfits["shown"], misfits["tikhonov"], strict=True)]
    doubts = network_doubts(misfits["shown"], misfits["tikhonov"], name)
    return {
        "family": name,
        "network": float(relative_l2(network, truth).mean()),
        "with refinement": float(relative_l2(shown, truth).mean()),
        "tikhonov": float(relative_l2(linear, truth).mean()),
        "tikhonov refined": float(relative_l2(full_wave, truth).mean()),
        **{f"misfit {label}": float(np.mean(values)) for label, values in misfits.items()},
        "refined": len(refined),
        "worse than tikhonov": sum(worse),
        "doubt": bool(doubts),
        "cpu_seconds": seconds / count,
    }


def head(wave_numbers: tuple[float, ...], number: int, sign: Sign, noise: float = 0.05) -> float:
    """Relative error of a head phantom from several wave numbers in turn."""
    scene = FAMILIES["shepp-logan"](np.random.default_rng([SEED, number]), (0.1, 0.8))
    angle = directions(64)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    arrangement = Arrangement(vectors[::4], np.broadcast_to(vectors, (16, 64, 2)), True, True)
    finer, region = Region(np.zeros(2), 2.0, 120), Region(np.zeros(2), 2.0, 80)
    image = rasterize_square(scene, finer.line())
    bands = []
    for k in wave_numbers:
        data = ForwardModel(k, arrangement, finer).scattered(image)
        bands.append(Band(k / (2 * np.pi), data, None, np.ones(data.shape, bool)))
    fields = ScatteredFields(arrangement, tuple(bands), 1.0, True).with_noise(noise, number)
    measured, _ = measured_bands(fields, region, noise, "cpu")
    inside = np.hypot(*np.meshgrid(region.line(), region.line())) <= 1
    found = invert_full_wave(measured, np.zeros(region.shape), sign, FAR_FIELD_SMOOTHING, DEFAULTS.steps, inside=inside)
    truth = rasterize_polar(scene, 128, 64)
    return float(relative_l2(to_polar(found.contrast, region.line(), 128, 64)[None], truth[None])[0])


def main() -> int:
    parser = argument_parser(__doc__, "scattering_generalise")
    parser.add_argument("--bundle", type=Path, required=True, help="model bundle of the README's training")
    parser.add_argument("--count", type=int, default=4, help="objects of each family")
    parser.add_argument("--families", nargs="*", default=list(SETS))
    parser.add_argument("--heads", type=int, default=2, help="head phantoms of several wave numbers")
    options = parser.parse_args()
    model = read_model(options.bundle)
    print(f"usual misfit of the network: {model.misfit}", flush=True)
    rows = []
    for name in options.families:
        rows.append(measure_family(name, model, options.count))
        words = (f"{n} {v:.3f}" if isinstance(v, float) else f"{n} {v}" for n, v in rows[-1].items())
        print("  ".join(words), flush=True)
    gates: dict[str, bool] = {}
    for row in rows:
        best = min(row["network"], row["tikhonov refined"])
        gates[f"{row['family']}: no worse than the better one"] = row["with refinement"] <= (1 + MAX_LOSS) * best
        gates[f"{row['family']}: worse than Tikhonov only with a doubt"] = (
            row["doubt"] or not row["worse than tikhonov"]
        )
        if row["family"] == NEGATIVE:
            gates[f"negative contrast < {MAX_NEGATIVE}"] = row["with refinement"] < MAX_NEGATIVE
    heads = {
        f"{name}, {sign.value}": float(np.mean([head(wave_numbers, number, sign) for number in range(options.heads)]))
        for name, wave_numbers in (("8", (8.0,)), ("2, 4, 8, 16", (2.0, 4.0, 8.0, 16.0)))
        for sign in (Sign.ANY, Sign.POSITIVE)
        if options.heads
    }
    print("head phantom by wave numbers and sign:", {name: round(error, 3) for name, error in heads.items()})
    if heads:
        gates[f"head phantom <= {MAX_HEAD}"] = heads["2, 4, 8, 16, positive"] <= MAX_HEAD
    for name, held in gates.items():
        print(f"{'holds' if held else 'FAILS'}: {name}")
    write_result(options.json, {"families": rows, "heads": heads, "gates": gates})
    return 0 if all(gates.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
