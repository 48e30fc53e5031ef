"""One patient's files, read into stacks of slices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import Segmentation, is_segmentation_file, read_segmentation
from deeprecon.data.volume import Volume, canonical, slice_axis
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
    myocardium = inputs.myocardium or tuple(path for path in inputs.scar if is_segmentation_file(path))
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
        image = _canonical(read_volume(inputs.lge[index])) if inputs.lge else None
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
    scar = None
    if scar_path is not None:
        scar = _on_grid(_region(scar_path, "scar", labels), grid)
    if _names_role(myocardium_path, "scar", labels):  # a label map paints scar over the wall: it is wall too
        wall = np.maximum(wall, _on_grid(_region(myocardium_path, "scar", labels), grid))
    if not wall.any():
        raise InputError(f"{myocardium_path.name} shows no myocardium at all.", "Check the file and --labels.")
    if scar is not None:
        fraction = _over_wall(scar, wall, f"{scar_path.name if scar_path else ''}", warnings)
    else:
        assert image is not None
        remote = None if remote_path is None else _on_grid(_region(remote_path, "remote", labels), grid)
        soft = parameters.observation is Observation.SOFT
        fraction = scar_fraction(image, wall, remote, parameters.threshold, soft)
    if parameters.observation is Observation.BINARY:
        fraction = (fraction >= 0.5).astype(np.float32)
    return Stack(wall, fraction, grid.ijk_to_ras, _thickness(grid, parameters, warnings), grid.name)


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
    """Scar volume over wall volume of each pixel; scar outside the wall is told and left out."""
    total, outside = float(scar.sum()), float(scar[wall == 0].sum())
    if outside > 0.05 * total:
        warnings.append(f"{outside / total:.0%} of the scar in {name} lies outside the myocardium and is left out.")
    return np.clip(np.divide(scar, wall, out=np.zeros_like(scar), where=wall > 0), 0, 1)


def _region(path: Path, role: str, labels: dict[str, tuple[str, ...]]) -> Volume:
    """Share of each voxel that belongs to `role`, (k, j, i) float32 in canonical order."""
    if is_segmentation_file(path):
        return _canonical(_from_segments(read_segmentation(path), role, labels))
    volume = read_volume(path)
    array = np.asarray(volume.array, dtype=np.float32)
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise InputError(f"{volume.name} holds {count} voxels that are NaN or infinite.", "Mend the file.")
    values = np.unique(array)
    whole = bool(np.all(values == np.round(values)))
    if role in labels:
        wanted = _label_values(labels[role], role)
        if not whole or not np.isin(wanted, values).any():
            shown = ", ".join(f"{value:g}" for value in values[:12])
            raise InputError(f"{volume.name} has none of the labels {role}={','.join(labels[role])}; it holds {shown}.")
        array = np.isin(array, wanted).astype(np.float32)
    elif whole and len(values) <= 2 and values[0] == 0:
        array = (array > 0).astype(np.float32)
    elif values[0] < 0 or values[-1] > 1:
        shown = ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")
        raise InputError(
            f"{volume.name} is neither a mask nor fractions between 0 and 1: it holds {shown}.",
            f"For a label map say which label is the {role}, as in --labels {role}=3; images belong to --lge.",
        )
    return _canonical(replace(volume, array=array))


def _label_values(names: tuple[str, ...], role: str) -> list[float]:
    try:
        return [float(name) for name in names]
    except ValueError:
        raise InputError(f"--labels {role}={','.join(names)}: a plain volume needs label values, not names.") from None


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
    if role in labels:
        return [name for name in segmentation.names if name in labels[role]]
    roles = ("scar", "no-reflow") if role == "scar" else (role,)  # no-reflow is scar without contrast agent
    return [name for name in segmentation.names if role_of(name) in roles]


def _names_role(path: Path, role: str, labels: dict[str, tuple[str, ...]]) -> bool:
    """Whether a file that was given for something else also says where `role` is."""
    if is_segmentation_file(path):
        return bool(_segment_names(read_segmentation(path), role, labels))
    return role in labels and bool(np.isin(_label_values(labels[role], role), np.unique(read_volume(path).array)).any())


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
