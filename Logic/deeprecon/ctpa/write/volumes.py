"""Volumes of a synthesis as NIfTI files, written slab by slab: mean, samples, spread, and the projection check."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from deeprecon.ctpa.grid import Grid, Hu
from deeprecon.ctpa.measure.projection_check import ProjectionCheck
from deeprecon.ctpa.measure.summary import VolumeSummary
from deeprecon.data.formats.nifti import write_nifti_slabs
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume

DESCRIPTION = "SYNTHETIC, made from one X-ray by a model. Not for diagnosis."
"""In the header of every volume."""
SLAB = 16
"""Planes that are read and written at a time."""


def write_samples(
    paths: Sequence[Path], grid: Grid, shrink: int, folder: Path, threads: int
) -> tuple[dict[str, Path], VolumeSummary, VolumeSummary | None]:
    """Write ct.nii.gz (the mean), each sample and, from two samples on, spread.nii.gz.

    Args:
        paths: samples, see `diffusion.ensemble.DecodedSample`.
        grid: of the samples.
        shrink: factor of the coarse copies in the summaries.
        folder: of the files.
        threads: for compression.

    Returns:
        The files by role, and the summaries of mean and spread (None for a single sample).
    """
    outputs = {"ct": folder / "ct.nii.gz"}
    mean = write_summarized(outputs["ct"], mean_slabs(paths, grid.shape[0]), grid, shrink, threads)
    for number, sample in enumerate(paths, start=1):
        path = outputs[f"sample_{number:02d}"] = folder / f"sample_{number:02d}.nii.gz"
        if len(paths) == 1:
            shutil.copyfile(outputs["ct"], path)
        else:
            write_nifti_slabs(
                path, slabs(sample, grid.shape[0]), grid.shape, np.int16, grid.affine(), threads, DESCRIPTION
            )
    if len(paths) == 1:
        return outputs, mean, None
    outputs["spread"] = folder / "spread.nii.gz"
    return outputs, mean, write_summarized(outputs["spread"], spread_slabs(paths, grid.shape[0]), grid, shrink, threads)


def write_check(check: ProjectionCheck, grid: Grid, folder: Path) -> dict[str, Path]:
    """X-ray, projection and difference as single coronal slices through the middle, scaled to the patient's size."""
    outputs = {}
    affine = grid.affine()
    affine[1] = 0, -1, 0, 0
    for name, image in (("xray", check.xray), ("projected", check.projected), ("difference", check.difference)):
        outputs[name] = folder / f"{name}.nii.gz"
        write_volume(outputs[name], Volume(np.ascontiguousarray(image[:, None, :]), affine))
    return outputs


def slabs(path: Path, count: int) -> Iterator[Hu]:
    """The planes of a sample's file, `SLAB` at a time; only these are mapped."""
    for first in range(0, count, SLAB):
        yield np.array(np.load(path, mmap_mode="r")[first : first + SLAB])


def mean_slabs(paths: Sequence[Path], count: int) -> Iterator[Hu]:
    """The mean of samples, slab by slab."""
    for parts in zip(*(slabs(path, count) for path in paths), strict=True):
        total = parts[0].astype(np.float32)
        for other in parts[1:]:
            total += other
        yield np.rint(total / len(parts)).astype(np.int16)


def spread_slabs(paths: Sequence[Path], count: int) -> Iterator[Hu]:
    """The standard deviation of two samples or more (n - 1 in the denominator), slab by slab."""
    for parts in zip(*(slabs(path, count) for path in paths), strict=True):
        stack = np.stack(parts).astype(np.float32)
        yield np.rint(stack.std(axis=0, ddof=1)).astype(np.int16)


def write_summarized(path: Path, planes: Iterator[Hu], grid: Grid, shrink: int, threads: int) -> VolumeSummary:
    """Write a volume and summarize it at the same time; arguments as `write_samples`."""
    summary = VolumeSummary(grid, shrink)

    def summarized() -> Iterator[Hu]:
        for slab in planes:
            summary.add(slab)
            yield slab

    write_nifti_slabs(path, summarized(), grid.shape, np.int16, grid.affine(), threads, DESCRIPTION)
    return summary
