"""Checks of a scan before it is denoised: what they find becomes metrics and warnings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.doubts import Doubt
from deeprecon.dwmri.findings import Findings
from deeprecon.dwmri.observe.independent import independent_volumes
from deeprecon.dwmri.observe.motion import describe_motion, displacements
from deeprecon.dwmri.observe.outliers import find_outliers

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LOW_SNR = 3.0
"""Of weighted volumes, below which magnitudes hardly tell signal from noise."""


def describe_table(table: GradientTable, findings: Findings) -> None:
    """Numbers of volumes, b0, shells and directions."""
    findings.metrics |= {
        "volumes": len(table),
        "b0_volumes": int(table.b0.sum()),
        "shells": ", ".join(f"{len(volumes)} x {b:.0f}" for b, volumes in table.shells),
        "distinct_directions": table.distinct_directions,
    }


def check_slices(
    scan: DwiScan, mask: Mask, findings: Findings, advice: str = "", magnitude: bool = True
) -> tuple[Mask, tuple[Doubt, ...]]:
    """(k, V) lost or corrupted slices that no motion explains, and the doubt about those that motion explains.

    The displacement of each volume is estimated first, see `displacements`; its median and largest are metrics.

    Args:
        scan: finite.
        mask: (k, j, i).
        findings: gets the warnings.
        advice: sentence at the end of the warning.
        magnitude: phases do not tell how a head has moved.
    """
    array, table = np.asarray(scan.array, np.float32), scan.gradients
    lost, compared = find_outliers(array, table, mask)
    moved = displacements(array, table, scan.spacing, mask, lost) if magnitude else np.full(len(table), np.nan)
    if np.isfinite(moved).any():
        findings.metrics |= {"motion_mm": float(np.nanmedian(moved)), "motion_mm_largest": float(np.nanmax(moved))}
    explained, doubts = describe_motion(moved, lost, scan.spacing, scan.name)
    lost = lost & ~explained
    if lost.any():
        findings.warn(
            f"{lost.sum()} slices ({100 * lost.mean():.1f} %) may have lost their signal or be corrupted, in volumes "
            f"{volume_numbers(lost)}.{advice}"
        )
    not_compared = ~compared & ~table.b0  # a single b0 is usual
    if not_compared.any():
        findings.warn(
            f"Volumes {volume_numbers(not_compared[None])} could not be searched for lost or corrupted slices: too few "
            "volumes of their b-value, or slices, to compare them with."
        )
    return lost, doubts


def check_independence(array: Floats, mask: Mask, findings: Findings) -> Mask:
    """(V,) volumes with independent noise, see `independent_volumes`."""
    independent = independent_volumes(array, mask)
    if not independent.all():
        numbers = volume_numbers(~independent[None])
        findings.metrics |= {"n_dependent_volumes": int((~independent).sum()), "dependent_volumes": numbers}
        findings.warn(
            f"Volumes {numbers} have no independent noise: they were repeated, averaged, repaired or lost. "
            "The noise was measured on the others; all were denoised."
        )
    return independent


def check_snr(array: Floats, sigma: Floats, mask: Mask, b0: Mask, findings: Findings) -> None:
    """Medians over the mask of the noise and of the signal-to-noise ratios."""
    noise = sigma[mask]
    findings.metrics |= {"mask_voxels": int(mask.sum()), "noise_level": float(np.median(noise))}
    for name, chosen in (("snr_b0", b0), ("snr_dwi", ~b0)):
        if chosen.any():
            findings.metrics[name] = float(np.median(array[mask][:, chosen].mean(axis=1) / noise))
    snr = findings.metrics.get("snr_dwi", np.inf)
    if snr < LOW_SNR:
        findings.warn(f"The weighted volumes have a signal of {snr:.1f} times the noise: results are uncertain.")


def volume_numbers(slices: Mask) -> str:
    """Numbers of the volumes that have a slice in (k, V), separated by commas."""
    return ", ".join(map(str, np.flatnonzero(slices.any(axis=0))))
