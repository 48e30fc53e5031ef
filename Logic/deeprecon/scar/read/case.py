"""One patient's files, read into stacks of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.markups import read_markups
from deeprecon.data.segmentation import is_segmentation_file
from deeprecon.data.volume import Volume
from deeprecon.scar.anatomy.axes import axes_from_landmarks
from deeprecon.scar.observe.threshold import scar_and_core, scar_fraction
from deeprecon.scar.parameters import Observation, ReconstructInputs, ReconstructParameters
from deeprecon.scar.read.regions import Regions, on_grid, parse_labels
from deeprecon.scar.read.stacks import Stack


@dataclass(frozen=True, eq=False)
class Case:
    """What the files of one patient say.

    Attributes:
        stacks: one per acquisition, in canonical axis order; long-axis slices are stacks of one slice.
        lge: the LGE volume of each stack on the same grid, None where none was given.
        cavities: share of each pixel that is blood of the left and of the right ventricle, on the grid of the first
            stack that shows the left one; stacks of several slices go before single slices. None where not shown.
        landmarks: name to (3,) RAS mm; apex and base are among them. Empty where no file was given.
        warnings: what the user should know, in words.
    """

    stacks: tuple[Stack, ...]
    lge: tuple[Volume | None, ...]
    cavities: tuple[Volume | None, Volume | None]
    landmarks: dict[str, npt.NDArray[np.float64]]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Files:
    """Where one stack lies; None where nothing was given."""

    myocardium: Path
    scar: Path | None
    lge: Path | None
    remote: Path | None


def read_case(inputs: ReconstructInputs, parameters: ReconstructParameters) -> Case:
    """Read the stacks of one patient.

    Raises:
        InputError: something is missing or contradicts itself; the message names the file and the way out.
    """
    regions = Regions(parse_labels(parameters.labels))
    files = _sort(inputs, regions)
    if parameters.core_threshold and files[0].scar is not None:
        raise InputError(
            f"The scar itself was given ({files[0].scar.name}), so that --core-threshold has no intensities to read.",
            "Leave it out, or give --lge with --threshold in place of the scar.",
        )
    warnings: list[str] = []
    images = [None if entry.lge is None else regions.image(entry.lge) for entry in files]
    stacks = []
    somewhere = any(entry.scar is not None and regions.shows(entry.scar, "scar") for entry in files)
    for entry, image in zip(files, images, strict=True):
        wall, grid = _read_wall(entry, image, regions, warnings)
        if entry.scar is None:
            assert image is not None
            scar, core = _from_intensities(entry, image, wall, regions, parameters)
        elif somewhere and not regions.shows(entry.scar, "scar") and regions.shows(entry.scar, "myocardium"):
            warnings.append(f"{entry.scar.name} shows the wall and no scar: its slices are taken to be free of it.")
            scar, core = np.zeros_like(wall), None
        else:
            scar = _over_wall(on_grid(regions.region(entry.scar, "scar"), grid), wall, entry.scar.name, warnings)
            drawn = regions.core(entry.scar)
            core = None if drawn is None else np.minimum(_share(on_grid(drawn, grid), wall), scar)
        if parameters.observation is Observation.BINARY:
            scar = _rounded(scar)
            core = None if core is None else _rounded(core)
        thickness = _thickness(grid, parameters, warnings)
        stacks.append(Stack(wall, scar, grid.ijk_to_ras, thickness, grid.name, core))
    stacks = _core_in_all_or_none(stacks, warnings)
    warnings += _repeats(stacks)
    landmarks = {} if inputs.landmarks is None else _read_landmarks(inputs.landmarks)
    return Case(tuple(stacks), tuple(images), _cavities(files, stacks, regions), landmarks, tuple(warnings))


def _sort(inputs: ReconstructInputs, regions: Regions) -> list[_Files]:
    """The files of each stack.

    Raises:
        InputError: wall or scar is missing, or not every stack has one of each.
    """
    myocardium = inputs.myocardium or tuple(
        path for path in inputs.scar if is_segmentation_file(path) or regions.shows(path, "myocardium")
    )
    if not myocardium:
        raise InputError("The wall is missing: no myocardium was given.", "Give --myocardium, one file per stack.")
    scar = inputs.scar
    if not scar and not inputs.lge:
        if not any(regions.shows(path, "scar") for path in myocardium):
            raise InputError("Neither scar nor LGE images were given.", "Give --scar, or --lge with --threshold.")
        scar = myocardium
    columns: list[Sequence[Path | None]] = []
    for name, paths in (("scar", scar), ("lge", inputs.lge), ("remote", inputs.remote)):
        if paths and len(paths) != len(myocardium):
            raise InputError(
                f"{len(paths)} {name} files but {len(myocardium)} myocardium files were given.",
                "Give one of each per stack, in the same order.",
            )
        columns.append(paths or [None] * len(myocardium))
    return [_Files(*row) for row in zip(myocardium, *columns, strict=True)]


def _read_wall(
    files: _Files, image: Volume | None, regions: Regions, warnings: list[str]
) -> tuple[npt.NDArray[np.float32], Volume]:
    """The wall of one stack and the grid it is on: the image's where there is one, with the thickness that is known."""
    myocardium = regions.region(files.myocardium, "myocardium")
    grid = image or myocardium
    wall = on_grid(myocardium, grid)
    if not wall.any():
        raise InputError(f"{files.myocardium.name} shows no myocardium at all.", "Check the file and --labels.")
    if regions.shows(files.myocardium, "scar"):  # a label map paints scar over the wall: it is wall too
        wall = np.maximum(wall, on_grid(regions.region(files.myocardium, "scar"), grid))
    warnings += _gaps(wall, grid.name)
    return wall, replace(grid, slice_thickness=grid.slice_thickness or myocardium.slice_thickness)


def _from_intensities(
    files: _Files,
    image: Volume,
    wall: npt.NDArray[np.float32],
    regions: Regions,
    parameters: ReconstructParameters,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """Shares of the wall that are scar and core, by thresholds; no core where there is no threshold for it."""
    path = files.remote or (files.myocardium if regions.shows(files.myocardium, "remote") else None)
    remote = None if path is None else on_grid(regions.region(path, "remote"), image)
    soft = parameters.observation is Observation.SOFT
    if parameters.core_threshold:
        return scar_and_core(image, wall, remote, (parameters.threshold, parameters.core_threshold), soft)
    return scar_fraction(image, wall, remote, parameters.threshold, soft), None


def _core_in_all_or_none(stacks: list[Stack], warnings: list[str]) -> list[Stack]:
    """Core in every stack, where each that shows scar tells it; else in none."""
    if all(stack.core is None for stack in stacks):
        return stacks
    silent = [stack.name for stack in stacks if stack.core is None and stack.scar.any()]
    if silent:
        warnings.append(
            f"{', '.join(silent)} shows scar without telling core from border zone, which other stacks do: the core is "
            "told by probability."
        )
        return [replace(stack, core=None) for stack in stacks]
    return [stack if stack.core is not None else replace(stack, core=np.zeros_like(stack.scar)) for stack in stacks]


def _repeats(stacks: list[Stack]) -> list[str]:
    """A sentence for every stack that says just what one before it says."""
    return [
        f"Stack {second + 1} ({stacks[second].name}) is the same as stack {first + 1}: its slices count twice."
        for first, second in combinations(range(len(stacks)), 2)
        if np.array_equal(stacks[first].ijk_to_ras, stacks[second].ijk_to_ras)
        and np.array_equal(stacks[first].wall, stacks[second].wall)
        and np.array_equal(stacks[first].scar, stacks[second].scar)
    ]


def _cavities(files: list[_Files], stacks: list[Stack], regions: Regions) -> tuple[Volume | None, Volume | None]:
    """See `Case`."""
    for entry, stack in sorted(zip(files, stacks, strict=True), key=lambda pair: len(pair[1].wall) == 1):
        left, right = (_cavity(entry, stack, role, regions) for role in ("blood-pool", "right-blood-pool"))
        if left is not None:
            return left, right
    return None, None


def _cavity(files: _Files, stack: Stack, role: str, regions: Regions) -> Volume | None:
    grid = Volume(stack.wall, stack.ijk_to_ras, stack.name, stack.thickness)
    for path in (files.myocardium, files.scar):
        if path is not None and regions.shows(path, role):
            share = on_grid(regions.region(path, role), grid)
            return replace(grid, array=share, name=path.name) if share.any() else None
    return None


def _read_landmarks(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Named points, refused where they do not give the heart's axis."""
    points = read_markups(path)
    try:
        axes_from_landmarks(points)
    except InputError as error:
        raise InputError(f"{path.name}: {error.message}", error.hint) from error
    return points


def _gaps(wall: npt.NDArray[np.float32], name: str) -> list[str]:
    """A sentence about slices without wall between slices with wall: most likely nobody drew them."""
    shown = np.flatnonzero(wall.any(axis=(1, 2)))
    empty = sorted(set(range(shown[0], shown[-1])) - set(shown.tolist()))
    if not empty:
        return []
    numbers = ", ".join(str(index + 1) for index in empty)
    return [f"{name}: no myocardium is drawn in slice {numbers}, between others that show it; nothing is known there."]


def _thickness(grid: Volume, parameters: ReconstructParameters, warnings: list[str]) -> float:
    spacing = float(grid.spacing[2])
    if parameters.slice_thickness is not None:
        return parameters.slice_thickness
    if grid.slice_thickness is not None:
        return grid.slice_thickness
    warnings.append(
        f"{grid.name} does not state its slice thickness; the slice spacing of {spacing:.3g} mm is taken. "
        "Give --slice-thickness if the slices have gaps or overlap."
    )
    return spacing


def _over_wall(
    scar: npt.NDArray[np.float32], wall: npt.NDArray[np.float32], name: str, warnings: list[str]
) -> npt.NDArray[np.float32]:
    """Scar volume over wall volume of each pixel; scar outside the wall is told and left out.

    Raises:
        InputError: most of the scar lies outside, as where wall and scar were drawn side by side.
    """
    total, outside = float(scar.sum()), float(scar[wall == 0].sum())
    if outside > 0.5 * total:
        raise InputError(
            f"{outside / total:.0%} of the scar in {name} lies outside the myocardium.",
            "The myocardium must include the scar. If one label map holds both, name both, as in --labels scar=3 "
            "myocardium=2; else check that the files belong together.",
        )
    if outside > 0.05 * total:
        warnings.append(f"{outside / total:.0%} of the scar in {name} lies outside the myocardium and is left out.")
    return _share(scar, wall)


def _share(part: npt.NDArray[np.float32], wall: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.clip(np.divide(part, wall, out=np.zeros_like(part), where=wall > 0), 0, 1)


def _rounded(share: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (share >= 0.5).astype(np.float32)
