"""Real films with lung fields: does a synthetic CT project to the film, and do its lungs cast the film's shadow?

    python Testing/benchmarks/ctpa_films.py FOLDER [--count 30] [--atlas FILE ...] [--before DIR] [--pictures DIR]

FOLDER holds films NAME.jpg and their lung fields NAME@.png (above 0 within the lungs), such as Datasets/Chest_x-ray of
github.com/pi-null-mezon/OpenIST, whose first 30 by Python's sorted() are the gate; none is dropped, a failure counts 0.
Films without a stated size are 430 mm wide. In every row: the fitted atlas, the atlas unfitted, the mean CT and ridge
regression of simulated chests, and, with --before DIR (a checkout with an environment .venv), its shipped network.

- correlation: of the ranks of film and projection over 340 x 350 mm at the detector
- dice: overlap of the lungs' shadow with the lung field: path through lung (below -500 HU within the body) above the
  best of several thresholds
- outline: mean distance of both outlines in mm at the detector
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, write_result  # first, so that the library is found
from ctpa_baselines import Ridge, fit_ridge

import deeprecon
from deeprecon.ctpa.atlas.builtin import BUILDS, builtin_atlas
from deeprecon.ctpa.atlas.preparation import prepare_atlas
from deeprecon.ctpa.atlas.projector import Projector
from deeprecon.ctpa.atlas.volume import Atlas
from deeprecon.ctpa.grid import Grid, block_mean
from deeprecon.ctpa.observe.body import body_mask
from deeprecon.ctpa.observe.film import TYPICAL_SIDE, XrayImage, film_on_detector, standardize
from deeprecon.ctpa.observe.film_mask import patient_pixels
from deeprecon.ctpa.observe.projection import Geometry, detector_axes, line_integrals
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.data.pictures import read_picture
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.volume_io import read_volume

GRID, COARSE, GEOMETRY = Grid((152, 128, 128)), Grid((76, 64, 64)), Geometry()
FIELD = (340.0, 350.0)
TYPICAL_SIZE = 1.08
"""Of an unfitted atlas: the mean of fitted ones."""
LIMITS = {"correlation": 0.90, "dice": 0.83, "outline": 10.0}


def score(hu: np.ndarray, film: Any, field: np.ndarray) -> dict[str, float]:
    """The three figures of a CT on `GRID`."""
    from scipy import ndimage

    v, u = detector_axes(GRID, GEOMETRY)
    used = film.covered & (np.abs(u) < FIELD[0] / 2)[None, :] & (np.abs(v) < FIELD[1] / 2)[:, None]
    projected, wanted = (ranks(image[used]) for image in (line_integrals(hu, GRID, GEOMETRY), film.image))
    lung = body_mask(hu) & (hu < -500)
    path = line_integrals(np.where(lung, 0, -1000), GRID, GEOMETRY) / 0.02
    best, threshold = max((dice(path > limit, field), limit) for limit in np.arange(5.0, 165.0, 5.0))
    outlines = [mask ^ ndimage.binary_erosion(mask) for mask in (path > threshold, field)]
    size = float(u[1] - u[0])
    distances = [ndimage.distance_transform_edt(~outline, sampling=size) for outline in outlines]
    apart = [distances[1 - own][outlines[own]].mean() for own in (0, 1) if outlines[own].any()]
    return {
        "correlation": float(np.corrcoef(projected, wanted)[0, 1]),
        "dice": best,
        "outline": float(np.mean(apart)),
        "threshold": float(threshold),
    }


def read_film(path: Path) -> XrayImage:
    """A film on the detector's pixels, without what is no patient on it."""
    radiograph = read_radiograph(path)
    return film_on_detector(replace(radiograph, known=patient_pixels(radiograph.image)), GEOMETRY, GRID)


def on_detector(field: np.ndarray) -> np.ndarray:
    """A lung field of a film without a stated size, its top row at the head, at the nearest pixels of the detector."""
    size = TYPICAL_SIDE / max(field.shape)
    v, u = detector_axes(GRID, GEOMETRY)
    rows, columns = (
        np.rint(axis / size + 0.5 * (n - 1)).astype(int) for axis, n in ((-v, len(field)), (u, len(field[0])))
    )
    inside = ((rows >= 0) & (rows < len(field)))[:, None] & ((columns >= 0) & (columns < len(field[0])))[None, :]
    return inside & field[np.clip(rows, 0, len(field) - 1)][:, np.clip(columns, 0, len(field[0]) - 1)]


def ranks(values: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.sort(values), values)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / max(1, int(one.sum() + other.sum()))


def unfitted(atlas: Atlas) -> np.ndarray:
    """An atlas at the mean size, on `GRID`."""
    import torch

    z, y, x = (torch.from_numpy(axis / TYPICAL_SIZE).float() for axis in GRID.axes())
    up, deep, across = torch.meshgrid(z, y, x, indexing="ij")
    return Projector(atlas, GEOMETRY).values(across, deep, up).numpy() * 1000 - 1000


def simulated(count: int) -> tuple[np.ndarray, Ridge]:
    """The mean of simulated chests, and ridge regression from their projections."""
    chests = np.stack([draw_grid(make_anatomy(seed), COARSE)[0] for seed in range(count)]).astype(np.float32)
    films = np.stack([standardize(line_integrals(hu, COARSE, GEOMETRY)) for hu in chests])
    return chests.mean(axis=0), fit_ridge(films, chests)


def finer(hu: np.ndarray) -> np.ndarray:
    return hu.repeat(2, 0).repeat(2, 1).repeat(2, 2)


def made(path: Path, output: Path) -> np.ndarray:
    ct = read_volume(output / "ct.nii.gz").array
    return block_mean(ct, ct.shape[0] // GRID.shape[0])


def before(folder: Path, path: Path, output: Path) -> np.ndarray:
    command = [folder / ".venv/bin/python", "-m", "deeprecon", "ctpa", "synthesize", "--xray", path]
    options = ["--samples", "1", "--device", "cpu", "--output", output]
    subprocess.run([*map(str, command), *map(str, options)], cwd=folder / "Logic", check=True, capture_output=True)
    return made(path, output)


def main() -> None:
    parser = argument_parser(__doc__, "ctpa_films")
    parser.add_argument("folder", type=Path, help="films NAME.jpg and lung fields NAME@.png")
    parser.add_argument("--first", type=int, default=0, help="films of the sorted list that are passed over")
    parser.add_argument("--count", type=int, default=30, help="films")
    parser.add_argument("--atlas", type=Path, nargs="*", default=[], help="CTs in place of the built-in atlases")
    parser.add_argument("--before", type=Path, help="checkout of an earlier version, with its environment in .venv")
    parser.add_argument("--chests", type=int, default=63, help="simulated chests of mean and ridge regression")
    parser.add_argument("--pictures", type=Path, help="folder of the reports' pictures")
    options = parser.parse_args()
    atlases = [prepare_atlas(read_volume(path), 4.5) for path in options.atlas] or [builtin_atlas(BUILDS[0], 4.5)]
    plain, (mean, ridge) = unfitted(atlases[0]), simulated(options.chests)
    rows: list[dict[str, Any]] = []
    for path in sorted(options.folder.glob("*.jpg"))[options.first : options.first + options.count]:
        film = read_film(path)
        field = on_detector(read_picture(path.with_name(f"{path.stem}@.png")).pixels > 0)
        coarse = film_on_detector(read_radiograph(path), GEOMETRY, COARSE).image
        row: dict[str, Any] = {"film": path.name}
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            try:
                output = Path(folder) / "out"
                found = deeprecon.ctpa.synthesize(path, method="atlas", atlas=options.atlas, output=output)
                row |= {"atlas": score(made(path, output), film, field), "trust": found.figures["trust"]}
                row |= {"from": found.figures["atlas"], "jacobian": found.figures["smallest_jacobian"]}
                if options.pictures is not None:
                    options.pictures.mkdir(parents=True, exist_ok=True)
                    for name in ("projection", "slices"):
                        picture = (Path(folder) / "out" / f"{name}.png").read_bytes()
                        (options.pictures / f"{path.stem}_{name}.png").write_bytes(picture)
            except Exception as error:
                row |= {"atlas": {"correlation": 0.0, "dice": 0.0, "outline": 100.0}, "failed": repr(error)}
            row["seconds"] = time.perf_counter() - begun
            row["unfitted"] = score(plain, film, field)
            row["mean CT"] = score(finer(mean), film, field)
            row["ridge"] = score(finer(ridge.predict(coarse[None])[0]), film, field)
            if options.before is not None:
                row["before"] = score(before(options.before, path, Path(folder) / "before"), film, field)
        rows.append(row)
        print(line(path.name, row), flush=True)
        write_result(options.json, {"films": rows})  # an interrupted run leaves what it has
    kinds = [name for name, value in rows[0].items() if isinstance(value, dict)]
    means = {kind: {name: float(np.mean([row[kind][name] for row in rows])) for name in LIMITS} for kind in kinds}
    print(line("mean", means))
    worst = min(row["atlas"]["dice"] for row in rows)
    print(f"least dice {worst:.3f}; limits {LIMITS}, least dice 0.70")
    write_result(options.json, {"films": rows, "means": means, "least_dice": worst})


def line(name: str, row: dict[str, Any]) -> str:
    parts = [
        f"{kind} {value['correlation']:.3f} {value['dice']:.3f} {value['outline']:.1f}"
        for kind, value in row.items()
        if isinstance(value, dict)
    ]
    return f"{name:26} " + " | ".join(parts) + f" {row.get('trust', '')} {row.get('from', '')}"


if __name__ == "__main__":
    main()
