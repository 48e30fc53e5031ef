"""From a noisy scan to the enhanced one and what tells whether to trust it: the verbs `enhance` and `prepare`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.files import fsl_files, read_dwi, write_dwi
from deeprecon.data.diffusion.gradients import table_warnings
from deeprecon.data.diffusion.scan import DwiScan, with_finite_values
from deeprecon.data.errors import InputError
from deeprecon.data.formats.nifti import write_nifti
from deeprecon.data.volume_io import NIFTI, NRRD, write_volume
from deeprecon.dwmri.dataset import enhance_dataset
from deeprecon.dwmri.fit.repair import check_named, fill_slices, find_outliers
from deeprecon.dwmri.measure.fiber_coherence import better_flip, coherence
from deeprecon.dwmri.measure.tensor import TensorMaps, fit_tensor
from deeprecon.dwmri.observe.independent import independent_volumes
from deeprecon.dwmri.observe.mask import find_mask, read_mask
from deeprecon.dwmri.parameters import (
    Background,
    EnhanceInputs,
    EnhanceParameters,
    PrepareInputs,
    Stored,
    parse_volumes,
)
from deeprecon.dwmri.write.summary import figure_rows
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Outcome, Run
from deeprecon.training.bundle import read_bundle

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

CORRELATED = 0.15
"""Correlation of neighbors in the residual from which the noise is not a scanner's any more."""
LOW_SNR = 3.0
"""Of weighted volumes, below which magnitudes hardly tell signal from noise."""


def enhance(inputs: EnhanceInputs, parameters: EnhanceParameters, run: Run) -> Outcome:
    """Denoise one scan, or all of a BIDS dataset.

    Raises:
        InputError: the files are incomplete or contradict each other, or the bundle cannot be used.
    """
    if (inputs.dwi is None) == (inputs.bids is None):
        raise InputError("Give one scan with --dwi, or a BIDS dataset with --bids.")
    if inputs.bundle is not None:
        read_bundle(inputs.bundle, "dwmri")  # what cannot be used is told before the first scan is read
    if inputs.bids is not None:
        single = [f"--{name}" for name in ("bval", "bvec", "mask") if getattr(inputs, name) is not None]
        single += ["--impute"] if parse_volumes(parameters.impute) else []
        if single:
            raise InputError(
                f"{' and '.join(single)} cannot be given with --bids: they are of one scan.",
                "Leave them out: each scan's own are found in the dataset.",
            )
        return enhance_dataset(inputs, parameters, run, enhance_scan)
    return enhance_scan(inputs, parameters, run)


def enhance_scan(inputs: EnhanceInputs, parameters: EnhanceParameters, run: Run) -> Outcome:
    """Denoise one scan and write everything about it into `run.output`.

    Raises:
        InputError: see `enhance`.
    """
    from deeprecon.dwmri.fit.methods import denoise, enhance_with
    from deeprecon.dwmri.fit.rician import rician_mean
    from deeprecon.dwmri.fit.supervised import read_network, scale_of
    from deeprecon.dwmri.observe.noise import estimate_noise, whiteness
    from deeprecon.dwmri.write.report import Findings, write_report

    run.reporter.status("Reading the scan")
    original, scan, mask, warnings = read_inputs(inputs)
    table = scan.gradients
    array = scan.array.astype(np.float32)
    figures: dict[str, Any] = _table_figures(scan)
    array = _repaired(array, scan, mask, parameters, figures, warnings)
    run.reporter.status("Estimating the noise")
    rician = parameters.bias_correction
    independent = _independent(array, mask, figures, warnings)
    sigma = estimate_noise(array, mask, run.device, run.threads, rician, independent)
    figures |= _snr(array, sigma, mask, table.b0)
    if figures["snr_dwi"] < LOW_SNR:
        warnings.append(
            f"The weighted volumes have a signal of {figures['snr_dwi']:.1f} times the noise: results are uncertain."
        )
    for warning in warnings:
        run.reporter.warning(warning)
    told = len(warnings)

    run.reporter.status("Denoising")
    if inputs.bundle is None:
        method, steps = parameters.method, parameters.steps
        done = denoise(array, table, mask, sigma, method, rician, steps, run, independent)
    else:
        bundle = read_bundle(inputs.bundle, "dwmri")
        scale, network = scale_of(bundle), read_network(bundle)
        given = scan.with_array(array)
        done, scan, mask, sigma = enhance_with(network, given, mask, sigma, scale, rician, run)
        array = scan.array.astype(np.float32)
        figures |= {"network": bundle.network, "bundle_sha256": bundle.sha256, "scale": scale}
        if scale == 2:
            warnings.append("The voxels are half as large by interpolation: an aid for the eye, no new detail.")
    figures |= done.figures
    run.reporter.status("Writing the results")
    weighted = ~table.b0
    expected = done.array
    if rician:
        expected = (rician_mean(done.array / sigma[..., None]) * sigma[..., None]).astype(np.float32)
    white = whiteness((array - expected)[..., weighted], done.array[..., weighted], sigma, mask)
    del expected
    figures |= {
        "residual_variance_ratio": white.variance_ratio,
        "residual_lag1": max(white.lag1),
        "residual_edge_correlation": white.edge_correlation,
        "residual_mean_edge_correlation": white.mean_edge_correlation,
    }
    if white.structured:
        warnings.append(
            "The residual is larger at edges than elsewhere: anatomy may have been lost. Look at residual.nii.gz."
        )
    if max(white.lag1) > CORRELATED and scan.shape == original.shape:
        warnings.append(
            f"Neighbors in the residual are correlated ({max(white.lag1):.2f}): the scan may have been interpolated or "
            "filtered before. Denoise first, before any other step."
        )
    before, after = fit_tensor(array, table, mask), fit_tensor(done.array, table, mask)
    if before is not None and after is not None:
        figures |= _tensor_figures(before, after, mask)
        found = coherence(after, mask, scan.ijk_to_ras)
        figures |= {f"coherence {name}": value for name, value in found.items()}
        if flip := better_flip(found):
            warnings.append(
                f"The gradient table fits better with its {flip} axis flipped (coherence {found[flip]:.3f} instead of "
                f"{found['as given']:.3f}): check how it was converted. Nothing was changed."
            )
    if table.b0.any():
        mean = done.array[..., table.b0].mean(axis=-1)[mask]
        figures["dwi_above_b0_percent"] = 100 * float((done.array[..., weighted][mask] > mean[:, None]).mean())
    for warning in warnings[told:]:
        run.reporter.warning(warning)

    result, clipped = _as_stored(done.array, original, mask, parameters)
    if clipped:
        figures["clipped_values"] = clipped
    outputs = _write(inputs, scan.with_array(result), array - done.array, mask, sigma, done.uncertainty, run.output)
    outputs |= _write_maps(scan, before, after, run.output)
    findings = Findings(
        before=scan.with_array(array),
        after=scan.with_array(done.array),
        mask=mask,
        sigma=sigma,
        uncertainty=done.uncertainty,
        maps_before=before,
        maps_after=after,
        history=done.history,
        figures=figure_rows(figures),
        settings={
            "inputs": {name: path.name for name, path in vars(inputs).items() if path is not None},
            "parameters": to_json(parameters),
            "seed": run.seed,
            "device": run.device,
            "threads": run.threads,
        },
        warnings=warnings,
    )
    outputs["report"] = run.output / "report.html"
    for picture in write_report(outputs["report"], findings, _lead(figures)):
        outputs[f"picture_{picture.stem}"] = picture
    return Outcome(outputs, figures)


def prepare(inputs: PrepareInputs, parameters: Any, run: Run) -> Outcome:
    """Read and check a scan without enhancing it: its mask, its noise-free summary, and a table of its volumes.

    Raises:
        InputError: as `enhance`.
    """
    from deeprecon.data.tables import write_table

    _, scan, mask, warnings = read_inputs(inputs)
    table = scan.gradients
    lost = _find_lost(scan.array.astype(np.float32), scan, mask, warnings)
    for warning in warnings:
        run.reporter.warning(warning)
    outputs = {"mask": run.output / "mask.nii.gz", "volumes": run.output / "volumes.csv"}
    write_volume(outputs["mask"], scan.volume(mask.astype(np.uint8)))
    rows = [
        {
            "volume": number,
            "b": round(float(table.bvals[number]), 3),
            **{axis: round(float(value), 6) for axis, value in zip("RAS", table.directions[number], strict=True)},
            "mean": round(float(scan.array[..., number][mask].mean()), 3),
            "lost slices": int(lost[:, number].sum()),
        }
        for number in range(len(table))
    ]
    write_table(outputs["volumes"], rows)
    return Outcome(outputs, _table_figures(scan) | {"mask_voxels": int(mask.sum()), "lost_slices": int(lost.sum())})


def read_inputs(inputs: EnhanceInputs | PrepareInputs) -> tuple[DwiScan, DwiScan, Mask, list[str]]:
    """The scan as it is in its file and with finite values, the mask, and what the user should know.

    Raises:
        InputError: see `enhance`.
    """
    assert inputs.dwi is not None
    original = read_dwi(inputs.dwi, inputs.bval, inputs.bvec)
    scan, bad = with_finite_values(original)
    warnings = [*scan.notes, *table_warnings(scan.gradients)]
    if bad:
        warnings.append(f"{bad} values were negative or not finite and were set to 0.")
    empty = [number for number in range(len(scan.gradients)) if not scan.array[..., number].any()]
    if empty:
        warnings.append(f"Volume {', '.join(map(str, empty[:5]))} is empty.")
    mask = read_mask(inputs.mask, scan) if inputs.mask is not None else find_mask(scan)
    if not scan.array[mask].any():
        raise InputError(f"{scan.name} is zero everywhere in the mask.", "Check that the mask is of this scan.")
    return original, scan, mask, warnings


def _repaired(
    array: Floats,
    scan: DwiScan,
    mask: Mask,
    parameters: EnhanceParameters,
    figures: dict[str, Any],
    warnings: list[str],
) -> Floats:
    """The scan with the slices that are lost, and the volumes that the user named, replaced as far as that goes."""
    named = parse_volumes(parameters.impute)
    check_named(named, scan.gradients)
    lost = _find_lost(array, scan, mask, warnings, "" if parameters.repair else " Replace them with --repair.")
    lost &= parameters.repair
    lost[:, named] = True
    if not lost.any():
        return array
    filled, left = fill_slices(array, scan.gradients, lost)
    replaced = lost & ~left
    figures |= {"repaired_slices": int(replaced.sum()), "lost_slices": int(lost.sum())}
    figures["repaired_percent"] = 100 * float(replaced.mean())
    if replaced.any():
        warnings.append(
            f"{replaced.sum()} slices ({100 * replaced.mean():.1f} %) of volumes {_volumes(replaced)} were replaced by "
            "what the others foretell."
        )
    if left.any():
        warnings.append(
            f"{left.sum()} slices of volumes {_volumes(left)} could not be replaced: too few other volumes of their "
            "b-value have them."
        )
    return filled


def _independent(array: Floats, mask: Mask, figures: dict[str, Any], warnings: list[str]) -> Mask:
    """(V,) see `independent_volumes`; those that the noise is not measured on are told."""
    independent = independent_volumes(array, mask)
    if not independent.all():
        numbers = _volumes(~independent[None])
        figures |= {"volumes_without_own_noise": int((~independent).sum()), "without_own_noise": numbers}
        warnings.append(
            f"Volumes {numbers} have hardly any noise of their own: they were repeated, averaged, repaired or lost. "
            "The noise was measured on the others; all were denoised."
        )
    return independent


def _find_lost(array: Floats, scan: DwiScan, mask: Mask, warnings: list[str], advice: str = "") -> Mask:
    """(k, V) see `find_outliers`; what was found, and what could not be judged, is added to the warnings.

    A head that moved can look the same, so that they are left alone unless the user asks for the repair.
    """
    lost, judged = find_outliers(array, scan.gradients, mask)
    if lost.any():
        warnings.append(
            f"{lost.sum()} slices ({100 * lost.mean():.1f} %) may have lost their signal or be corrupted, in volumes "
            f"{_volumes(lost)}.{advice}"
        )
    unjudged = ~judged & ~scan.gradients.b0  # a single b0 is usual
    if unjudged.any():
        warnings.append(
            f"Volumes {_volumes(unjudged[None])} could not be searched for lost or corrupted slices: too few volumes "
            "of their b-value, or slices, to compare them with."
        )
    return lost


def _volumes(chosen: Mask) -> str:
    """Numbers of the volumes with a slice that is chosen in (k, V)."""
    return ", ".join(map(str, np.flatnonzero(chosen.any(axis=0))))


def _table_figures(scan: DwiScan) -> dict[str, Any]:
    table = scan.gradients
    shells = ", ".join(f"{len(volumes)} x {b:.0f}" for b, volumes in table.shells)
    return {
        "volumes": len(table),
        "b0_volumes": int(table.b0.sum()),
        "shells": shells,
        "distinct_directions": table.distinct_directions,
    }


def _snr(array: Floats, sigma: Floats, mask: Mask, b0: Mask) -> dict[str, Any]:
    """Medians over the mask of noise and of signal over noise."""
    noise = sigma[mask]
    figures: dict[str, Any] = {"mask_voxels": int(mask.sum()), "noise_level": float(np.median(noise))}
    for name, chosen in (("snr_b0", b0), ("snr_dwi", ~b0)):
        if chosen.any():
            figures[name] = float(np.median(array[mask][:, chosen].mean(axis=1) / noise))
    return figures


def _tensor_figures(before: TensorMaps, after: TensorMaps, mask: Mask) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, maps in (("before", before), ("after", after)):
        figures[f"mean_fa_{name}"] = float(maps.fa[mask].mean())
        figures[f"mean_md_{name}"] = float(maps.md[mask].mean())
    return figures


def _as_stored(array: Floats, original: DwiScan, mask: Mask, parameters: EnhanceParameters) -> tuple[Any, int]:
    """The result as it is written, and how many values did not fit into the input's number type."""
    result = array.copy() if parameters.background is Background.KEEP else np.where(mask[..., None], array, 0)
    dtype = original.array.dtype
    if parameters.stored is Stored.FLOAT:
        return result.astype(np.float32), 0
    if dtype.kind == "f":
        return result.astype(dtype), 0
    limits = np.iinfo(dtype.name)
    rounded = np.round(result)
    outside = int(((rounded < limits.min) | (rounded > limits.max)).sum())
    return np.clip(rounded, limits.min, limits.max).astype(dtype), outside


def _write(
    inputs: EnhanceInputs, scan: DwiScan, residual: Floats, mask: Mask, sigma: Floats, uncertainty: Floats, folder: Path
) -> dict[str, Path]:
    """The scan in its input's format, and the maps on its grid. NIfTI tables are copied byte for byte."""
    assert inputs.dwi is not None
    nrrd = inputs.dwi.name.lower().endswith(NRRD)
    outputs = write_dwi(folder / ("dwi.nrrd" if nrrd else "dwi.nii.gz"), scan)
    if inputs.dwi.name.lower().endswith(NIFTI):
        for source, target in zip(fsl_files(inputs.dwi, inputs.bval, inputs.bvec), ("bval", "bvec"), strict=True):
            shutil.copyfile(source, outputs[target])
    for name, volume in (("mask", mask.astype(np.uint8)), ("noise", sigma), ("uncertainty", uncertainty)):
        outputs[name] = folder / f"{name}.nii.gz"
        write_volume(outputs[name], scan.volume(np.asarray(volume)))
    outputs["residual"] = folder / "residual.nii.gz"
    write_nifti(outputs["residual"], np.moveaxis(residual, -1, 0), scan.ijk_to_ras)
    return outputs


def _write_maps(scan: DwiScan, before: TensorMaps | None, after: TensorMaps | None, folder: Path) -> dict[str, Path]:
    outputs: dict[str, Path] = {}
    for when, maps in (("before", before), ("after", after)):
        if maps is None:
            continue
        for name, volume in (("fa", maps.fa), ("md", maps.md)):
            outputs[f"{name}_{when}"] = folder / f"{name}_{when}.nii.gz"
            write_volume(outputs[f"{name}_{when}"], scan.volume(volume))
        outputs[f"color_fa_{when}"] = folder / f"color_fa_{when}.nii.gz"
        write_nifti(outputs[f"color_fa_{when}"], np.moveaxis(maps.color, -1, 0), scan.ijk_to_ras)
    return outputs


def _lead(figures: dict[str, Any]) -> str:
    """The result in one sentence."""
    return (
        f"{figures['volumes']} volumes ({figures['b0_volumes']} b0; {figures['shells']}), "
        f"noise {figures['noise_level']:.4g}, weighted signal {figures['snr_dwi']:.1f} times the noise."
    )
