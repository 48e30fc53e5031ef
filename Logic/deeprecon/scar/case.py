"""One patient's files, read into stacks of slices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import Segmentation, is_segmentation_file, read_segmentation
from deeprecon.data.volume import Volume, canonical, check_finite, slice_axis
from deeprecon.data.volume_io import read_volume
from deeprecon.scar.parameters import Observation, ReconstructInputs, ReconstructParameters
from deeprecon.scar.roles import ROLES, role_of
from deeprecon.scar.stacks import Stack
from deeprecon.scar.threshold import scar_fraction


@dataclass(frozen=True, eq=False)
class Case:
    """What the files of one patient say.

    Attributes:
        stacks: one per acquisition, in canonical axis order.
        lge: the LGE volume of each stack on the same grid, None where none was given.
        warnings: what the user should know, in words.
    """

    stacks: tuple[Stack, ...]
    lge: tuple[Volume | None, ...]
    warnings: tuple[str, ...]


def read_case(inputs: ReconstructInputs, parameters: ReconstructParameters) -> Case:
    """Read the stacks of one patient.

    Raises:
        InputError: something is missing or contradicts itself; the message names the file and the way out.
    """
    labels = parse_labels(parameters.labels)
    myocardium = inputs.myocardium or tuple(
        path for path in inputs.scar if is_segmentation_file(path) or _names_role(path, "myocardium", labels)
    )
    if not myocardium:
        raise InputError("The wall is missing: no myocardium was given.", "Give --myocardium, one file per stack.")
    scar = inputs.scar
    if not scar and not inputs.lge:
        scar = tuple(path for path in myocardium if _names_role(path, "scar", labels))
        if not scar:
            raise InputError("Neither scar nor LGE images were given.", "Give --scar, or --lge with --threshold.")
    for name, paths in (("scar", scar), ("lge", inputs.lge), ("remote", inputs.remote)):
        if paths and len(paths) != len(myocardium):
            raise InputError(
                f"{len(paths)} {name} files but {len(myocardium)} myocardium files were given.",
                "Give one of each per stack, in the same order.",
            )
    warnings: list[str] = []
    stacks, images = [], []
    for index, path in enumerate(myocardium):
        image = _read_image(inputs.lge[index]) if inputs.lge else None
        stack = _read_stack(
            path,
            scar[index] if scar else None,
            image,
            inputs.remote[index] if inputs.remote else None,
            labels,
            parameters,
            warnings,
        )
        stacks.append(stack)
        images.append(image)
    return Case(tuple(stacks), tuple(images), tuple(warnings))


def _read_image(path: Path) -> Volume:
    volume = read_volume(path)
    check_finite(volume)
    return _canonical(volume)


def parse_labels(entries: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """`("scar=3,4", "myocardium=2")` as `{"scar": ("3", "4"), "myocardium": ("2",)}`.

    Raises:
        InputError: an entry without "=" or with an unknown role.
    """
    labels: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        role, separator, values = entry.partition("=")
        names = tuple(value.strip() for value in values.split(",") if value.strip())
        if not separator or not names or role not in ROLES:
            raise InputError(
                f"Cannot understand the labels {entry!r}.",
                f"Write ROLE=VALUE[,VALUE]; the roles are {', '.join(ROLES)}.",
            )
        labels[role] = names
    return labels


def _read_stack(
    myocardium_path: Path,
    scar_path: Path | None,
    image: Volume | None,
    remote_path: Path | None,
    labels: dict[str, tuple[str, ...]],
    parameters: ReconstructParameters,
    warnings: list[str],
) -> Stack:
    myocardium = _region(myocardium_path, "myocardium", labels)
    grid = image or myocardium
    wall = _on_grid(myocardium, grid)
    if not wall.any():
        raise InputError(f"{myocardium_path.name} shows no myocardium at all.", "Check the file and --labels.")
    scar = None
    if scar_path is not None:
        scar = _on_grid(_region(scar_path, "scar", labels), grid)
    if _names_role(myocardium_path, "scar", labels):  # a label map paints scar over the wall: it is wall too
        wall = np.maximum(wall, _on_grid(_region(myocardium_path, "scar", labels), grid))
    warnings += _gaps(wall, grid.name)
    if scar is not None:
        fraction = _over_wall(scar, wall, f"{scar_path.name if scar_path else ''}", warnings)
    else:
        assert image is not None
        if remote_path is None and _names_role(myocardium_path, "remote", labels):
            remote_path = myocardium_path
        remote = None if remote_path is None else _on_grid(_region(remote_path, "remote", labels), grid)
        soft = parameters.observation is Observation.SOFT
        fraction = scar_fraction(image, wall, remote, parameters.threshold, soft)
    if parameters.observation is Observation.BINARY:
        fraction = (fraction >= 0.5).astype(np.float32)
    stated = grid.slice_thickness or myocardium.slice_thickness
    return Stack(wall, fraction, grid.ijk_to_ras, _thickness(grid, stated, parameters, warnings), grid.name)


def _gaps(wall: npt.NDArray[np.float32], name: str) -> list[str]:
    """A sentence about slices without wall between slices with wall: most likely nobody drew them."""
    shown = np.flatnonzero(wall.any(axis=(1, 2)))
    empty = sorted(set(range(shown[0], shown[-1])) - set(shown.tolist()))
    if not empty:
        return []
    numbers = ", ".join(str(index + 1) for index in empty)
    return [f"{name}: no myocardium is drawn in slice {numbers}, between others that show it; nothing is known there."]


def _thickness(grid: Volume, stated: float | None, parameters: ReconstructParameters, warnings: list[str]) -> float:
    spacing = float(grid.spacing[2])
    if parameters.slice_thickness is not None:
        return parameters.slice_thickness
    if stated is not None:
        return stated
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
    return np.clip(np.divide(scar, wall, out=np.zeros_like(scar), where=wall > 0), 0, 1)


def _region(path: Path, role: str, labels: dict[str, tuple[str, ...]]) -> Volume:
    """Share of each voxel that belongs to `role`, (k, j, i) float32 in canonical order."""
    if is_segmentation_file(path):
        return _canonical(_from_segments(read_segmentation(path), role, labels))
    volume = read_volume(path)
    check_finite(volume)
    array = np.asarray(volume.array, dtype=np.float32)
    values = np.unique(array)
    whole = bool(np.all(values == np.round(values)))
    if names := _label_names(role, labels):
        wanted = _numbers(names)
        if not whole or not np.isin(wanted, values).any():
            raise InputError(
                f"{volume.name} has none of the labels {role}={','.join(names)}; it holds {_few(values)}.",
                f"Name values that the file has, as in --labels {role}=3; names are for segmentation files.",
            )
        array = np.isin(array, wanted).astype(np.float32)
    elif whole and len(values) <= 2 and values[0] == 0:
        array = (array > 0).astype(np.float32)
    elif values[0] < 0 or values[-1] > 1:
        raise InputError(
            f"{volume.name} is neither a mask nor fractions between 0 and 1: it holds {_few(values)}.",
            f"For a label map say which label is the {role}, as in --labels {role}=3; images belong to --lge.",
        )
    return _canonical(replace(volume, array=array))


def _few(values: npt.NDArray[np.float32]) -> str:
    return ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")


def _parts(role: str) -> tuple[str, ...]:
    """The roles that make up `role`: no-reflow is scar that the contrast agent does not reach."""
    return ("scar", "no-reflow") if role == "scar" else (role,)


def _label_names(role: str, labels: dict[str, tuple[str, ...]]) -> list[str]:
    """What --labels says that a role is called; nothing where it does not name the role."""
    return [name for part in _parts(role) for name in labels.get(part, ())]


def _numbers(names: list[str]) -> list[float]:
    """The label values among names; what is no number is the name of a segment."""
    return [float(name) for name in names if name.removeprefix("-").replace(".", "", 1).isdecimal()]


def _from_segments(segmentation: Segmentation, role: str, labels: dict[str, tuple[str, ...]]) -> Volume:
    names = _segment_names(segmentation, role, labels)
    if not names:
        raise InputError(
            f"{segmentation.name} has no segment for the {role}; it has {', '.join(segmentation.names)}.",
            f"Name it, as in --labels '{role}=Segment 1'.",
        )
    volumes = [segmentation.volume(name) for name in names]
    union = np.logical_or.reduce([np.asarray(volume.array, bool) for volume in volumes])
    return replace(volumes[0], array=union.astype(np.float32), name=segmentation.name)


def _segment_names(segmentation: Segmentation, role: str, labels: dict[str, tuple[str, ...]]) -> list[str]:
    def belongs(name: str, part: str) -> bool:
        return name in labels[part] if part in labels else role_of(name) == part

    return [name for name in segmentation.names if any(belongs(name, part) for part in _parts(role))]


def _names_role(path: Path, role: str, labels: dict[str, tuple[str, ...]]) -> bool:
    """Whether a file that was given for something else also says where `role` is."""
    if is_segmentation_file(path):
        return bool(_segment_names(read_segmentation(path), role, labels))
    wanted = _numbers(_label_names(role, labels))
    return bool(wanted) and bool(np.isin(wanted, np.unique(read_volume(path).array)).any())


def _canonical(volume: Volume) -> Volume:
    return canonical(volume, slice_axis(volume))


def _on_grid(volume: Volume, grid: Volume) -> npt.NDArray[np.float32]:
    """`volume` on the voxels of `grid`, zero where it does not reach; both in canonical order.

    Raises:
        InputError: the voxels of the two do not coincide.
    """
    to_grid = np.linalg.inv(grid.ijk_to_ras) @ volume.ijk_to_ras
    offset = np.round(to_grid[:3, 3]).astype(int)
    if not np.allclose(to_grid[:3, :3], np.eye(3), atol=2e-3) or not np.allclose(to_grid[:3, 3], offset, atol=0.05):
        raise InputError(
            f"{volume.name} and {grid.name} do not lie on the same voxel grid.",
            "Resample one onto the other, or check that both belong to the same patient and stack.",
        )
    result = np.zeros(grid.array.shape, np.float32)
    low = np.maximum(offset, 0)
    size = np.minimum(offset + volume.array.shape[::-1], grid.array.shape[::-1]) - low
    if (size > 0).all():
        into = tuple(slice(start, start + length) for start, length in zip(low[::-1], size[::-1], strict=True))
        first = low - offset
        source = tuple(slice(start, start + length) for start, length in zip(first[::-1], size[::-1], strict=True))
        result[into] = np.asarray(volume.array, np.float32)[source]
    return result
