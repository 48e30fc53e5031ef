"""What a full-wave inversion of measured fields writes: volumes, tables, pictures and a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.reporting.figures import png, pyplot
from deeprecon.reporting.html import Report
from deeprecon.scattering.physics.contrast import speed_from_contrast
from deeprecon.scattering.physics.region import Region

Floats = npt.NDArray[np.floating[Any]]

_MAX_SOUND_SPEED = 1e5
"""m/s; faster waves are electromagnetic, whose speed nobody asks for."""


def region_to_ras(region: Region, plane_to_ras: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(4, 4) IJK to RAS mm of the images of a region; a plane becomes a slice as thick as its pixels are wide."""
    spacing = 1e3 * region.spacing
    to_plane = np.diag([spacing, spacing, spacing, 1.0])
    first = 1e3 * (region.center - region.side / 2) + spacing / 2
    to_plane[: region.dimension, 3] = first
    result: npt.NDArray[np.float64] = plane_to_ras @ to_plane
    return result


def write_field_volumes(
    images: Mapping[str, Floats], region: Region, plane_to_ras: npt.NDArray[np.float64], speed: float, folder: Path
) -> dict[str, Path]:
    """Write images of a region as NIfTI, float32, and the sound speed in m/s where waves are sound.

    Args:
        images: by role, `region.shape`; "contrast" among them.
        region: of all of them.
        plane_to_ras: (4, 4) from x, y, z in mm to RAS mm.
        speed: of waves in the background, m/s.
        folder: of the files.
    """
    images = dict(images)
    if speed < _MAX_SOUND_SPEED:
        images["speed"] = speed_from_contrast(images["contrast"], speed)
    outputs = {}
    for role, image in images.items():
        array = np.asarray(image, np.float32).reshape((1, *region.shape)[-3:])
        outputs[role] = folder / f"{role}.nii.gz"
        write_volume(outputs[role], Volume(array, region_to_ras(region, plane_to_ras), role))
    return outputs


def contrast_png(images: Mapping[str, Floats], region: Region) -> bytes:
    """PNG of images by name, the middle slice of each axis in three dimensions; axes in mm."""
    plt = pyplot()
    views = {f"{name}{view}": section for name, image in images.items() for view, section in _sections(image).items()}
    figure, axes = plt.subplots(1, len(views), figsize=(4.2 * len(views), 3.6), layout="compressed", squeeze=False)
    half = 500 * region.side
    for part, (name, section) in zip(axes[0], views.items(), strict=True):
        limit = max(float(np.abs(section).max()), 1e-6)
        low = -limit if section.min() < 0 else 0.0
        shown = part.imshow(
            section,
            origin="lower",
            extent=[-half, half, -half, half],
            cmap="RdBu_r" if low else "viridis",
            vmin=low,
            vmax=limit,
        )
        part.set(title=name, xlabel="mm from the center")
        figure.colorbar(shown, ax=part, shrink=0.8, label="contrast eps_r - 1")
    return png(figure)


def _sections(image: Floats) -> dict[str, Floats]:
    if image.ndim == 2:
        return {"": image}
    middle = image.shape[0] // 2
    return {", xy": image[middle], ", xz": image[:, middle], ", yz": image[:, :, middle]}


def misfit_png(rows: Sequence[Mapping[str, Any]], history: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG of the misfit of each step, and of misfit and noise of each frequency."""
    plt = pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for stage in dict.fromkeys(row["stage"] for row in history):
        own = [row for row in history if row["stage"] == stage]
        left.plot([row["step"] for row in own], [row["misfit"] for row in own], label=stage)
    left.set(xlabel="step", ylabel="misfit of the stage", ylim=(0, None))
    if history:
        left.legend(fontsize=7)
    names = [str(row["frequency"]) for row in rows]
    right.plot(names, [row["misfit"] for row in rows], "o-", label="misfit")
    if all(row["noise"] is not None for row in rows):
        right.plot(names, [row["noise"] for row in rows], "s--", label="noise")
    right.set(ylabel="relative to the field", ylim=(0, None))
    right.tick_params(axis="x", rotation=45)
    right.legend(fontsize=7)
    return png(figure)


def write_field_report(
    path: Path,
    lead: str,
    pictures: Mapping[str, tuple[bytes, str]],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    notes: Sequence[str],
    settings: Mapping[str, Any],
    doubts: Sequence[Doubt],
) -> dict[str, Path]:
    """Write a page, which begins with the doubts, and its pictures as PNG files; returns all files by role."""
    report, outputs = Report("Wave scattering", " ".join([*map(str, doubts), lead])), {"report": path}
    for note in notes:
        report.warning(note)
    for name, (content, caption) in pictures.items():
        outputs[name] = path.with_name(f"{name}.png")
        outputs[name].write_bytes(content)
        report.picture(content, caption)
    for heading, rows in tables.items():
        report.heading(heading)
        report.table(rows)
    report.heading("Settings")
    report.details("Everything needed to run this again", json.dumps(settings, indent=2, ensure_ascii=False))
    report.write(path)
    return outputs
