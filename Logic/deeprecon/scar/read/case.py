"""The images of one patient: every file is opened once, and its regions are sorted by stack and role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.markups import read_markups
from deeprecon.data.segmentation import is_segmentation_file
from deeprecon.data.volume import Volume
from deeprecon.scar.anatomy.axes import axes_from_landmarks
from deeprecon.scar.parameters import ReconstructInputs, ReconstructParameters
from deeprecon.scar.read.regions import RegionFile, copy_to_grid, open_regions, read_image
from deeprecon.scar.read.roles import Labels, could_be_scar, parse_labels

Shares = npt.NDArray[np.float32]

_MAX_SCAR = 0.9
"""Share of the wall that may be scar without a question; the largest infarcts are about two thirds of it."""
_CAVITIES = ("blood-pool", "right-blood-pool")


@dataclass(frozen=True, eq=False)
class StackImages:
    """One acquisition as its files show it: arrays on one grid in canonical order, axis 0 across the slices.

    Attributes:
        wall: (k, j, i) share of each pixel that is myocardium, 0 to 1; `Volume.slice_thickness` is the thickness of the
            imaged slab in mm.
        scar: (k, j, i) share of each pixel that is scar, with the name of its file; None where only intensities are
            given.
        core: (k, j, i) share of each pixel that is scar core; None where the files do not separate it.
        lge: the LGE image.
        remote: (k, j, i) share of each pixel that is healthy reference for thresholds.
        cavities: (k, j, i) shares of each pixel that are blood of the left and of the right ventricle.
    """

    wall: Volume
    scar: Volume | None = None
    core: Shares | None = None
    lge: Volume | None = None
    remote: Shares | None = None
    cavities: tuple[Volume | None, Volume | None] = (None, None)

    @property
    def bloods(self) -> tuple[npt.NDArray[np.bool_], ...]:
        """(k, j, i) masks of the cavities that are drawn; of what the wall encloses in each slice where none is."""
        drawn = tuple(np.asarray(cavity.array) > 0.5 for cavity in self.cavities if cavity is not None)
        if drawn:
            return drawn
        from scipy.ndimage import binary_fill_holes

        wall = np.asarray(self.wall.array) > 0.5
        return (np.stack([binary_fill_holes(plane) for plane in wall]) & ~wall,)

    @property
    def blood(self) -> npt.NDArray[np.bool_]:
        """(k, j, i) mask of all `bloods`."""
        return np.asarray(np.any(self.bloods, axis=0))


@dataclass(frozen=True, eq=False)
class Case:
    """The images and landmarks of one patient.

    Attributes:
        stacks: one per acquisition; long-axis slices are stacks of one slice.
        landmarks: name to (3,) RAS mm; apex and base are among them. Empty where no file was given.
        warnings: sentences for the user.
        regions: rows that say which segment or label value of which file was taken for what.
        doubts: about the files.
    """

    stacks: tuple[StackImages, ...]
    landmarks: dict[str, npt.NDArray[np.float64]]
    warnings: tuple[str, ...]
    regions: tuple[dict[str, str], ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def wall_points(self) -> npt.NDArray[np.float64]:
        """(M, 3) centers of the pixels that are mostly wall, RAS mm."""
        walls = (stack.wall for stack in self.stacks)
        return np.concatenate(
            [wall.to_ras(np.argwhere(np.asarray(wall.array, np.float32) > 0.5)[:, ::-1]) for wall in walls]
        )


@dataclass(frozen=True)
class _StackPaths:
    """The files of one stack; None where nothing was given."""

    myocardium: Path
    scar: Path | None
    lge: Path | None
    remote: Path | None


class _Opened(dict[Path, RegionFile]):
    """Files by path; one that is asked for the first time is opened.

    Args:
        labels: see `open_regions`.
        images: those of their stacks, by path.
    """

    def __init__(self, labels: Labels, images: Mapping[Path, Path]) -> None:
        super().__init__()
        self._labels, self._images = labels, images

    def __missing__(self, path: Path) -> RegionFile:
        self[path] = open_regions(path, self._labels, self._images.get(path))
        return self[path]


def read_case(inputs: ReconstructInputs, parameters: ReconstructParameters) -> Case:
    """Read the images of one patient.

    Raises:
        InputError: something is missing or contradictory; the message names the file and the remedy.
    """
    drawn = (inputs.myocardium, inputs.scar, inputs.remote)
    images = {path: image for paths in drawn for path, image in zip(paths, inputs.lge, strict=False)}
    opened = _Opened(parse_labels(parameters.labels), images)
    paths = _paths_of_stacks(inputs, opened, parameters.no_scar)
    if parameters.core_threshold and paths[0].scar is not None:
        raise InputError(
            f"The scar itself was given ({paths[0].scar.name}), so that --core-threshold has no intensities to read.",
            "Leave it out, or give --lge with --threshold in place of the scar.",
        )
    scar_in_some = any(one.scar is not None and opened[one.scar].shows("scar") for one in paths)
    warnings: list[str] = []
    stacks = tuple(_read_stack(one, opened, scar_in_some, parameters.slice_thickness, warnings) for one in paths)
    if parameters.no_scar:
        stacks = tuple(_without_scar(stack) for stack in stacks)
    landmarks = {} if inputs.landmarks is None else _read_landmarks(inputs.landmarks)
    return Case(stacks, landmarks, tuple(warnings), _regions(opened), _doubts(stacks, opened, parameters))


def _without_scar(stack: StackImages) -> StackImages:
    """The stack of a patient who is stated to have no scar.

    Raises:
        InputError: its files show some.
    """
    if stack.scar is not None and stack.scar.array.any():
        raise InputError(
            f"{stack.scar.name} shows scar, and --no-scar says that there is none.", "Leave out one of the two."
        )
    return replace(stack, scar=replace(stack.wall, array=np.zeros_like(stack.wall.array)), core=None)


def _regions(opened: _Opened) -> tuple[dict[str, str], ...]:
    """What was taken for what."""
    return tuple(
        {"file": file.name, "segment or label": name, "taken for": role or "not used"}
        for file in opened.values()
        for name, role in file.listing
    )


def _doubts(stacks: Sequence[StackImages], opened: _Opened, parameters: ReconstructParameters) -> tuple[Doubt, ...]:
    """Those of the readers; names that may mean scar and are not counted; scar that nearly fills the wall."""
    found = [file.doubts for file in opened.values()] + [stack.lge.doubts for stack in stacks if stack.lge is not None]
    doubts = list(dict.fromkeys(chain.from_iterable(found)))
    doubts += [
        Doubt(
            "segment-not-used",
            file.name,
            f"The segment {name} is not counted as scar.",
            f"If it is scar, rename it to scar, or choose all segments of scar with --labels 'scar={name}'.",
            assumed=True,
        )
        for file in opened.values()
        if not parameters.no_scar
        for name, role in file.taken.items()
        if not role and could_be_scar(name)
    ]
    drawn = [(stack.scar, np.asarray(stack.wall.array) > 0) for stack in stacks if stack.scar is not None]
    wall = sum(np.count_nonzero(shown) for _, shown in drawn)
    scar = sum(float(np.asarray(region.array, np.float64)[shown].sum()) for region, shown in drawn)
    if scar > _MAX_SCAR * wall:
        doubts.append(
            Doubt(
                "scar-fills-wall",
                ", ".join(dict.fromkeys(region.name for region, _ in drawn)),
                f"{scar / wall:.0%} of the myocardium is scar.",
                "Check which segments are taken for scar (--labels), or that the myocardium includes healthy wall too.",
            )
        )
    return tuple(doubts)


def _paths_of_stacks(inputs: ReconstructInputs, opened: _Opened, no_scar: bool) -> list[_StackPaths]:
    """The files of each stack.

    Raises:
        InputError: wall or scar is missing, or not every stack has one of each.
    """
    myocardium = inputs.myocardium or tuple(
        path for path in inputs.scar if is_segmentation_file(path) or opened[path].shows("myocardium")
    )
    if not myocardium:
        raise InputError("The wall is missing: no myocardium was given.", "Give --myocardium, one file per stack.")
    scar = inputs.scar
    if no_scar:  # a label or segment of scar may be missing
        scar = scar or myocardium
        scar = scar if any(opened[path].shows("scar") or not opened[path].taken for path in scar) else ()
    elif not scar and not inputs.lge:
        if not any(opened[path].shows("scar") for path in myocardium):
            raise InputError(
                "Neither scar nor LGE images were given.",
                "Give --scar, or --lge with --threshold, or --no-scar for a patient without scar.",
            )
        scar = myocardium
    columns: list[Sequence[Path | None]] = []
    for name, paths in (("scar", scar), ("lge", inputs.lge), ("remote", inputs.remote)):
        if paths and len(paths) != len(myocardium):
            raise InputError(
                f"{len(paths)} {name} files but {len(myocardium)} myocardium files were given.",
                "Give one of each per stack, in the same order.",
            )
        columns.append(paths or [None] * len(myocardium))
    return [_StackPaths(*row) for row in zip(myocardium, *columns, strict=True)]


def _read_stack(
    paths: _StackPaths, opened: _Opened, scar_in_some: bool, thickness: float | None, warnings: list[str]
) -> StackImages:
    """The regions of one stack on one grid: the image's where there is one, else the myocardium's.

    Args:
        scar_in_some: whether some stack of the patient shows scar; a stack that does not is then free of it.
        thickness: of the slab in mm, where the user gives it.
        warnings: to which warnings are added.
    """
    drawn = opened[paths.myocardium]
    lge = None if paths.lge is None else read_image(paths.lge)
    wall = _read_wall(drawn, lge, paths.myocardium.name)
    warnings += _missing_slices(wall)
    scar = core = remote = None
    if paths.scar is None:
        source = paths.remote or (paths.myocardium if drawn.shows("remote") else None)
        remote = None if source is None else copy_to_grid(opened[source].region("remote"), wall)
    elif scar_in_some and not opened[paths.scar].shows("scar") and opened[paths.scar].shows("myocardium"):
        warnings.append(f"{paths.scar.name} shows the wall and no scar: its slices are taken to be free of it.")
        scar = replace(wall, array=np.zeros_like(wall.array), name=paths.scar.name)
    else:
        share = copy_to_grid(opened[paths.scar].region("scar"), wall)
        scar = replace(wall, array=share, name=paths.scar.name)
        inner = opened[paths.scar].core()
        core = None if inner is None else copy_to_grid(inner, wall)
    wall = replace(wall, slice_thickness=thickness or _known_thickness(wall, warnings))
    left, right = (_read_cavity(paths, role, opened, wall) for role in _CAVITIES)
    return StackImages(wall, scar, core, lge, remote, (left, right))


def _read_wall(drawn: RegionFile, lge: Volume | None, name: str) -> Volume:
    """The wall on the grid of the stack, with the slab's thickness where a file states it."""
    myocardium = drawn.region("myocardium")
    grid = lge or myocardium
    wall = copy_to_grid(myocardium, grid)
    if not wall.any():
        raise InputError(f"{name} shows no myocardium at all.", "Check the file and --labels.")
    if drawn.shows("scar"):  # in a label map scar replaces the wall's label: it is wall too
        wall = np.maximum(wall, copy_to_grid(drawn.region("scar"), grid))
    return replace(grid, array=wall, slice_thickness=grid.slice_thickness or myocardium.slice_thickness)


def _missing_slices(wall: Volume) -> list[str]:
    """A warning about slices without wall between slices with wall: most likely they were not contoured."""
    shown = np.flatnonzero(wall.array.any(axis=(1, 2)))
    empty = sorted(set(range(shown[0], shown[-1])) - set(shown.tolist()))
    if not empty:
        return []
    numbers = ", ".join(str(index + 1) for index in empty)
    return [
        f"{wall.name}: no myocardium is drawn in slice {numbers}, between others that show it; nothing is known there."
    ]


def _known_thickness(wall: Volume, warnings: list[str]) -> float:
    """The slab's thickness in mm as the files state it, else the spacing of the slices."""
    if wall.slice_thickness is not None:
        return wall.slice_thickness
    spacing = float(wall.spacing[2])
    warnings.append(
        f"{wall.name} does not state its slice thickness; the slice spacing of {spacing:.3g} mm is taken. "
        "Give --slice-thickness if the slices have gaps or overlap."
    )
    return spacing


def _read_cavity(paths: _StackPaths, role: str, opened: _Opened, wall: Volume) -> Volume | None:
    """The blood of one ventricle on the stack's grid, None where it is not shown."""
    for path in (paths.myocardium, paths.scar):
        if path is not None and opened[path].shows(role):
            share = copy_to_grid(opened[path].region(role), wall)
            return replace(wall, array=share, name=path.name) if share.any() else None
    return None


def _read_landmarks(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Named points, refused where they do not define the heart's axis."""
    points = read_markups(path)
    try:
        axes_from_landmarks(points)
    except InputError as error:
        raise InputError(f"{path.name}: {error.message}", error.hint) from error
    return points
