"""A prepared store: volumes as cubes on disk, so that a training patch takes a few reads instead of a whole scan.

store.json            format, grid, HU, split, and for each case its patient, geometry, affine, sources and notes
cases/NAME/ct.npy     int16 HU as cubes: (k, j, i, 64, 64, 64), the last ones padded with air
cases/NAME/known.npy  bool (k, j, i) blocks of 8 voxels that the scan shows; missing where it fills the field of view
cases/NAME/xray.npy   float32 (rows, columns), see `film.standardize`
cases/NAME/covered.npy bool (rows, columns) pixels within the film, whose rays lie within the scan; missing where all do
cases/NAME/latent.npy float16 (channels, k, j, i), where the store was prepared with an autoencoder
cases/NAME/labels.npy uint8 as cubes, where the pair had labels
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import AIR, HIGH, LOW, Grid, Hu
from deeprecon.ctpa.observe.film import XrayImage
from deeprecon.ctpa.observe.placement import BLOCK, known_voxels
from deeprecon.ctpa.observe.projection import Geometry, Image
from deeprecon.ctpa.patches import Shape, Slices
from deeprecon.ctpa.read.manifest import SPLITS
from deeprecon.data.errors import InputError

Array = npt.NDArray[np.float64]
Cubes = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

FORMAT = 1
STORE = "store.json"
CUBE = 64
"""Voxels of a cube along each axis: 512 KiB of int16."""
_HINT = "Prepare the store again."


@dataclass(frozen=True, eq=False)
class Case:
    """One CT of a store and its X-ray.

    Attributes:
        folder: of its files.
        name, patient: see `manifest.Pair`.
        split: "train", "validation" or "test".
        grid: of the volume.
        geometry: of the X-ray.
        affine: (4, 4) IJK to RAS of the volume in the patient.
        projected: whether the X-ray is a projection of the CT.
        notes: assumptions, as sentences.
    """

    folder: Path
    name: str
    patient: str
    split: str
    grid: Grid
    geometry: Geometry
    affine: Array
    projected: bool
    notes: tuple[str, ...]

    def patch(self, where: Slices) -> Hu:
        """(k, j, i) HU of a part of the volume."""
        return _read_cubes(self.folder / "ct.npy", where, self.grid.shape)

    def volume(self) -> Hu:
        """(k, j, i) HU of the whole volume."""
        return self.patch(_all_voxels(self.grid.shape))

    def blocks(self) -> Mask:
        """(k, j, i) blocks of `placement.BLOCK` voxels that the scan shows; what lies outside of it is unknown."""
        path = self.folder / "known.npy"
        if path.exists():
            blocks: Mask = np.load(path)
            return blocks
        return np.ones([-(-count // BLOCK) for count in self.grid.shape], bool)

    def known(self, shape: Shape | None = None) -> Mask:
        """(k, j, i) voxels that the scan shows: of the volume, or of a latent of this shape."""
        return known_voxels(self.blocks(), self.grid.shape, shape or self.grid.shape)

    def xray(self) -> Image:
        """(rows towards the head, columns to the left) float32; see `film.film_on_detector`."""
        image: Image = np.load(self.folder / "xray.npy")
        return image

    def covered(self) -> Mask:
        """(rows, columns) pixels of the X-ray with which a projection may be compared."""
        path = self.folder / "covered.npy"
        covered: Mask = np.load(path) if path.exists() else np.ones((self.grid.shape[0], self.grid.shape[2]), bool)
        return covered

    def latent(self) -> npt.NDArray[np.float32]:
        """(channels, k, j, i).

        Raises:
            InputError: the store was prepared without an autoencoder.
        """
        path = self.folder / "latent.npy"
        if not path.exists():
            raise InputError(
                f"The store of {self.folder} holds no latents.", "Prepare it with --bundle, an autoencoder's bundle."
            )
        values: npt.NDArray[np.float32] = np.load(path).astype(np.float32)
        return values

    def labels(self) -> npt.NDArray[np.uint8] | None:
        """(k, j, i) of `chests.Label`; None where the pair had none."""
        path = self.folder / "labels.npy"
        return _read_cubes(path, _all_voxels(self.grid.shape), self.grid.shape) if path.exists() else None


@dataclass(frozen=True, eq=False)
class Store:
    """A checked store; see the module's docstring.

    Attributes:
        folder: of store.json.
        grid: of all volumes.
        latents: sha256 of the autoencoder's bundle; None for a store without latents.
        card: the content of store.json.
    """

    folder: Path
    grid: Grid
    latents: str | None
    card: Mapping[str, Any]
    _cases: tuple[Case, ...]

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Open a store, given its folder or its store.json.

        Raises:
            InputError: no store, of another format, damaged, or a case whose files are missing or of wrong size.
        """
        path = folder if folder.name == STORE else folder / STORE
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"{folder} is no prepared store: {STORE} cannot be read.", "Give the folder that ctpa prepare wrote."
            ) from error
        except ValueError as error:
            raise InputError(f"{path} is damaged: {error}.", _HINT) from error
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            found = card.get("format") if isinstance(card, dict) else None
            raise InputError(f"{path} is of format {found}, expected {FORMAT}.", _HINT)
        try:
            if card["hu_range"] != [LOW, HIGH] or card["cube"] != CUBE:
                raise ValueError("another range of HU or size of cubes")
            grid = Grid(_shape(card["shape"]), _field(card["field"]))
            cases = tuple(_case(path.parent, grid, entry) for entry in card["cases"])
            latents = card["latents"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged ({error!r}).", _HINT) from error
        for case in cases:
            _check_files(case, latents is not None)
        return cls(path.parent, grid, latents, card, cases)

    def cases(self, split: str | None = None) -> list[Case]:
        """The cases of a split, or all."""
        return [case for case in self._cases if split in (None, case.split)]


def write_cubes(path: Path, volume: npt.NDArray[Any], fill: int) -> None:
    """Write a volume (k, j, i) as cubes, the last ones padded with `fill`."""
    counts = _counts(_shape(volume.shape))
    cubes = np.lib.format.open_memmap(path, mode="w+", dtype=volume.dtype, shape=(*counts, CUBE, CUBE, CUBE))
    for index in product(*map(range, counts)):
        k, j, i = (slice(number * CUBE, (number + 1) * CUBE) for number in index)
        part = volume[k, j, i]
        if part.shape != (CUBE, CUBE, CUBE):
            part = np.pad(part, [(0, CUBE - count) for count in part.shape], constant_values=fill)
        cubes[index] = part
    cubes.flush()


def write_case(
    folder: Path,
    hu: Hu,
    xray: XrayImage,
    labels: npt.NDArray[np.uint8] | None,
    latent: npt.NDArray[np.float32] | None,
    blocks: Mask,
) -> None:
    """Write the files of a case into an existing folder; see the module's docstring."""
    write_cubes(folder / "ct.npy", hu, AIR)
    if not blocks.all():
        np.save(folder / "known.npy", blocks)
    np.save(folder / "xray.npy", xray.image.astype(np.float32))
    if not xray.covered.all():
        np.save(folder / "covered.npy", xray.covered)
    if labels is not None:
        write_cubes(folder / "labels.npy", labels, 0)
    if latent is not None:
        np.save(folder / "latent.npy", latent.astype(np.float16))


def _read_cubes(path: Path, where: Slices, shape: Shape) -> npt.NDArray[Any]:
    if any(not 0 <= part.start < part.stop <= count for part, count in zip(where, shape, strict=True)):
        raise ValueError(f"{where} does not lie in {shape}")
    cubes: Cubes = np.load(path, mmap_mode="r")
    result = np.empty([part.stop - part.start for part in where], cubes.dtype)
    touched = [range(part.start // CUBE, (part.stop - 1) // CUBE + 1) for part in where]
    for index in product(*touched):
        inside, target = [], []
        for number, part in zip(index, where, strict=True):
            first, last = max(part.start, number * CUBE), min(part.stop, (number + 1) * CUBE)
            inside.append(slice(first - number * CUBE, last - number * CUBE))
            target.append(slice(first - part.start, last - part.start))
        result[tuple(target)] = cubes[index][tuple(inside)]
    return result


def _case(folder: Path, grid: Grid, entry: Mapping[str, Any]) -> Case:
    if entry["split"] not in SPLITS:
        raise ValueError(f"a split {entry['split']!r}")
    affine = np.array(entry["affine"], float).reshape(4, 4)
    name = str(entry["name"])
    if Path(name).name != name:
        raise ValueError(f"a case {name!r}")
    return Case(
        folder / "cases" / name,
        name,
        str(entry["patient"]),
        str(entry["split"]),
        grid,
        Geometry.from_json(entry["geometry"]),
        affine,
        bool(entry["projected"]),
        tuple(map(str, entry["notes"])),
    )


def _check_files(case: Case, latents: bool) -> None:
    """Checks sizes only: a store of hundreds of volumes must open fast."""
    needed = ["ct.npy", "xray.npy", *(["latent.npy"] if latents else [])]
    for path in (case.folder / name for name in needed):
        if not path.is_file():
            raise InputError(f"The store lacks {path}.", "Copy the whole folder, or prepare the store again.")
    minimum = int(np.prod(_counts(case.grid.shape))) * CUBE**3 * 2
    if (case.folder / "ct.npy").stat().st_size < minimum:
        raise InputError(f"{case.folder / 'ct.npy'} is cut off.", "Copy it again, or prepare the store again.")


def _counts(shape: Shape) -> Shape:
    k, j, i = (-(-count // CUBE) for count in shape)
    return k, j, i


def _all_voxels(shape: Shape) -> Slices:
    k, j, i = (slice(0, count) for count in shape)
    return k, j, i


def _shape(values: Any) -> Shape:
    k, j, i = (int(value) for value in values)
    return k, j, i


def _field(values: Any) -> tuple[float, float, float]:
    i, j, k = (float(value) for value in values)
    return i, j, k
