"""How often good far fields are doubted, and how often wrong ones are found: prints a table, writes JSON, can fail.

    python Testing/benchmarks/scattering_doubts.py [--count 12] [--bundle DIR] [--json FILE]

Objects of the four families of `scattering phantom` and discs of negative contrast at two wave numbers, each object by
itself, without noise and with 10 % additive noise. Each is tested as it is, with a stated wave number 10 % too large
and 10 % too small, with source and receiver exchanged (found by the true images), and with the places of the sources as
incident directions. Near-symmetric objects look the same when rotated by 180 degrees: exchanged roles are not
found there. With a bundle, the misfit of a network's images is compared with that of Tikhonov's at its wave number.
Exits with 1 if more than 1 % of the good far fields are doubted.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
from benchmarks.common import argument_parser, write_result

from deeprecon.data.doubts import Doubt
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.scattering.fit.linear import invert_linearly
from deeprecon.scattering.fit.network import Model, read_model
from deeprecon.scattering.measure.data_misfit import data_misfits, network_doubts
from deeprecon.scattering.measure.metrics import relative_l2
from deeprecon.scattering.measure.orientation import truth_doubts
from deeprecon.scattering.parameters import Family, PhantomParameters
from deeprecon.scattering.read.far_field_checks import role_doubts, wave_number_doubts
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.simulate.far_fields import simulate_phantoms
from deeprecon.training.devices import set_up

WAVE_NUMBERS = (3.0, 8.0)
NOISES = (0.0, 0.1)
MAX_FALSE_ALARMS = 0.01
RINGS = 32


def new_run(seed: int = 0) -> Run:
    folder = Path(tempfile.mkdtemp())
    return Run(folder, folder, "cpu", 1, "fp32", seed, SilentReporter())


def simulate(k: float, count: int) -> dict[str, FarFieldData]:
    """Objects by kind."""
    made = {
        family.value: simulate_phantoms(PhantomParameters(family, count, k, contrast_min=0.1), new_run(8))
        for family in Family
        if family is not Family.MIXED
    }
    negative = PhantomParameters(Family.DISCS, count, k, contrast_min=-0.5, contrast_max=-0.1)
    return made | {"negative discs": simulate_phantoms(negative, new_run(8))}


def doubts_of(data: FarFieldData) -> Sequence[Doubt]:
    """What `reconstruct` doubts."""
    far = data.far_field.astype(np.complex128)
    return [
        *role_doubts(far, far.swapaxes(1, 2), data.name),
        *wave_number_doubts(far, data.k, data.name),
        *truth_doubts(data),
    ]


def variants(data: FarFieldData) -> dict[str, tuple[FarFieldData, str]]:
    """An object as it is and with each mistake, and the code that it should raise."""
    half = data.angles // 2
    return {
        "good": (data, ""),
        "k 10 % too large": (replace(data, k=1.1 * data.k), "wave-number-doubtful"),
        "k 10 % too small": (replace(data, k=0.9 * data.k), "wave-number-doubtful"),
        "exchanged": (replace(data, far_field=data.far_field.swapaxes(1, 2)), "roles-exchanged"),
        "places of sources": (replace(data, far_field=np.roll(data.far_field, half, axis=2)), "incidence-reversed"),
    }


def count_doubts(data: FarFieldData, counts: dict[str, list[bool]], kind: str) -> None:
    for index in range(len(data)):
        for name, (variant, code) in variants(data.subset(slice(index, index + 1))).items():
            codes = [doubt.code for doubt in doubts_of(variant)]
            counts[f"{kind}, {name}"].append(code in codes if code else bool(codes))


def compare_network(model: Model, data: FarFieldData) -> dict[str, Any]:
    """Misfits and errors of a network and of Tikhonov regularization."""
    run = new_run()
    images, linear = model.predict(data, "cpu", "fp32"), invert_linearly(data, RINGS, 3.0, lambda share: None)
    ours, theirs = data_misfits(images, data, run), data_misfits(linear, data, run)
    errors = [relative_l2(found, data.truth(RINGS)) for found in (images, linear)]
    return {
        "objects": len(data),
        "doubted": sum(doubted := [bool(network_doubts([a], [b], "")) for a, b in zip(ours, theirs, strict=True)]),
        "doubted, but with the smaller error": int((np.array(doubted) & (errors[0] < errors[1])).sum()),
        "misfit": float(np.mean(ours)),
        "misfit, Tikhonov": float(np.mean(theirs)),
        "error": float(errors[0].mean()),
        "error, Tikhonov": float(errors[1].mean()),
    }


def main() -> int:
    parser = argument_parser(__doc__, "scattering_doubts")
    parser.add_argument("--count", type=int, default=12, help="objects of each kind")
    parser.add_argument("--bundle", type=Path, help="model bundle of scattering train")
    arguments = parser.parse_args()
    set_up("cpu", 1, 0)
    counts: dict[str, list[bool]] = defaultdict(list)
    for k in WAVE_NUMBERS:
        for family, data in simulate(k, arguments.count).items():
            for noise in NOISES:
                count_doubts(data.with_noise(noise, 0.0, 1), counts, f"k = {k:g}, {noise:.0%} noise, {family}")
    rates = {name: {"objects": len(found), "doubted": sum(found)} for name, found in counts.items()}
    for name, rate in rates.items():
        print(f"{name:<55} {rate['doubted']:>4} of {rate['objects']}", flush=True)
    networks = {}
    if arguments.bundle is not None:
        model = read_model(arguments.bundle)
        for family, data in simulate(model.k, arguments.count).items():
            for noise in NOISES:
                name = f"network, {noise:.0%} noise, {family}"
                networks[name] = compare_network(model, data.with_noise(noise, 0.0, 1))
                print(f"{name:<40} {networks[name]}", flush=True)
    good = [found for name, values in counts.items() if name.endswith("good") for found in values]
    print(f"{sum(good)} of {len(good)} good far fields are doubted (at most {MAX_FALSE_ALARMS:.0%})")
    write_result(arguments.json, {"rates": rates, "networks": networks})
    return 1 if sum(good) > MAX_FALSE_ALARMS * len(good) else 0


if __name__ == "__main__":
    raise SystemExit(main())
