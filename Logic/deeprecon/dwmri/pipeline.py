"""The verbs `enhance` (of one scan) and `prepare`: read, observe, fit, measure, write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.volume_io import write_volume
from deeprecon.dwmri.findings import Findings
from deeprecon.dwmri.fit.imputation import Imputed, check_imputable, impute_slices
from deeprecon.dwmri.measure.tensor import TensorMaps, fit_tensor
from deeprecon.dwmri.observe.checks import (
    check_independence,
    check_slices,
    check_snr,
    describe_table,
    volume_numbers,
)
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.dwmri.parameters import EnhanceInputs, EnhanceParameters, PrepareInputs, PrepareParameters, parse_volumes
from deeprecon.dwmri.read.masks import read_mask
from deeprecon.dwmri.read.scans import read_scan, volume_choices
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Outcome, Run

if TYPE_CHECKING:
    from deeprecon.dwmri.fit.denoising import Enhancement

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def enhance_scan(inputs: EnhanceInputs, parameters: EnhanceParameters, run: Run) -> Outcome:
    """Denoise one scan and write the result, its maps and its report into `run.output`.

    Raises:
        InputError: the files are incomplete or contradict each other, or the bundle cannot be used.
    """
    from deeprecon.dwmri.fit.denoising import denoise
    from deeprecon.dwmri.measure.checks import check_attenuation, check_residual, check_tensors
    from deeprecon.dwmri.observe.noise import measure_noise

    findings = Findings(run.reporter)
    run.reporter.status("Reading the scan")
    scan, dtype = _read(inputs, parameters, run, findings)
    if len(scan.gradients) == 1 and inputs.bundle is None:
        return _pass_on(inputs, scan, run, findings)
    mask = _mask(inputs, scan, run)
    rician = parameters.bias_correction and not scan.signed
    describe_table(scan.gradients, findings)
    imputed = _impute(scan, mask, parameters, run, findings)
    if imputed is not None:
        scan = scan.with_array(imputed.array)

    run.reporter.status("Estimating the noise")
    array = _floats(scan)
    independent = check_independence(array, mask, findings)
    sigma, doubts = measure_noise(scan, mask, rician, run, independent)
    run.consider(doubts)
    check_snr(array, sigma, mask, scan.gradients.b0, findings)

    run.reporter.status("Denoising")
    if inputs.bundle is None:
        found = denoise(scan, mask, sigma, parameters.method, rician, parameters.steps, run, independent)
        findings.metrics |= found.metrics
    else:
        found = _apply_bundle(inputs.bundle, scan, mask, sigma, rician, run, findings)

    if imputed is not None and found.mask.shape == scan.shape:
        uncertainty = imputed.with_error_of_filled(found.uncertainty, found.mask)
        found = replace(found, uncertainty=uncertainty)

    run.reporter.status("Writing the results")
    interpolated = found.after.shape != scan.shape
    check_residual(found.before, found.after, found.sigma, found.mask, rician, interpolated, findings)
    before, after = (fit_tensor(_floats(each), each.gradients, found.mask) for each in (found.before, found.after))
    if before is not None and after is not None:
        check_tensors(before, after, found.mask, found.after.ijk_to_ras, findings)
    check_attenuation(found.after, found.mask, findings)
    return _write(inputs, parameters, found, before, after, dtype, run, findings)


def prepare(inputs: PrepareInputs, parameters: PrepareParameters, run: Run) -> Outcome:
    """Read and check a scan without enhancing it: its mask, and a table of its volumes.

    Raises:
        InputError: as `enhance_scan`.
    """
    from deeprecon.data.tables import write_table

    findings = Findings(run.reporter)
    scan, _ = _read(inputs, parameters, run, findings)
    mask = _mask(inputs, scan, run)
    table = scan.gradients
    describe_table(table, findings)
    lost, doubts = check_slices(scan, mask, findings, magnitude=_is_magnitude(run))
    run.consider(doubts)
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
    return Outcome(outputs, findings.metrics | {"mask_voxels": int(mask.sum()), "lost_slices": int(lost.sum())})


def _read(
    inputs: EnhanceInputs | PrepareInputs,
    parameters: EnhanceParameters | PrepareParameters,
    run: Run,
    findings: Findings,
) -> tuple[DwiScan, np.dtype[Any]]:
    """The scan with finite values, and the number type of its file."""
    assert inputs.dwi is not None
    return read_scan(inputs.dwi, inputs.bval, inputs.bvec, volume_choices(parameters), run, findings)


def _is_magnitude(run: Run) -> bool:
    return all(doubt.code != "phase-image" for doubt in run.doubts)


def _mask(inputs: EnhanceInputs | PrepareInputs, scan: DwiScan, run: Run) -> Mask:
    """The mask of a scan: the one that was given, else where the head is found."""
    mask = read_mask(inputs.mask, scan, run) if inputs.mask is not None else find_mask(scan)
    if not scan.array[mask].any():
        raise InputError(f"{scan.name} is zero everywhere in the mask.", "Check that the mask is of this scan.")
    return mask


def _pass_on(inputs: EnhanceInputs, scan: DwiScan, run: Run, findings: Findings) -> Outcome:
    """A single volume without weighting, as of reversed phase encoding, as it is: its noise is not to be told."""
    from deeprecon.dwmri.write.files import write_scan_alone, write_sidecar

    assert inputs.dwi is not None
    text = "it is a single volume, whose noise cannot be told from its anatomy: it was copied, not denoised."
    run.consider([Doubt("single-volume", scan.name, text, "Give all volumes in one file, if there are more.", True)])
    describe_table(scan.gradients, findings)
    outputs = write_scan_alone(inputs, scan, run.output) | write_sidecar(inputs.dwi, run.output)
    return Outcome(outputs, findings.metrics)


def _impute(scan: DwiScan, mask: Mask, parameters: EnhanceParameters, run: Run, findings: Findings) -> Imputed | None:
    """The scan with lost slices, and volumes that the user selected, replaced as far as the others predict them.

    None where nothing is to be replaced.
    """
    selected = [scan.number_of(volume) for volume in parse_volumes(parameters.impute)]
    if -1 in selected:
        raise InputError("A volume cannot be replaced and left out.", "Name it in --impute or in --exclude.")
    check_imputable(selected, scan.gradients)
    advice = "" if parameters.repair else " Replace them with --repair."
    lost, doubts = check_slices(scan, mask, findings, advice, _is_magnitude(run))
    run.consider(doubts)
    lost &= parameters.repair
    lost[:, selected] = True
    if not lost.any():
        return None
    imputed = impute_slices(_floats(scan), scan.gradients, lost)
    replaced, left = imputed.filled, imputed.left
    findings.metrics |= {"repaired_slices": int(replaced.sum()), "lost_slices": int(lost.sum())}
    findings.metrics["repaired_percent"] = 100 * float(replaced.mean())
    if replaced.any():
        findings.warn(
            f"{replaced.sum()} slices ({100 * replaced.mean():.1f} %) of volumes "
            f"{volume_numbers(replaced)} were replaced by their prediction from the others."
        )
    if left.any():
        findings.warn(
            f"{left.sum()} slices of volumes {volume_numbers(left)} could not be replaced: too few other "
            "volumes of their b-value have them."
        )
    return imputed


def _apply_bundle(
    folder: Path, scan: DwiScan, mask: Mask, sigma: Floats, rician: bool, run: Run, findings: Findings
) -> Enhancement:
    from deeprecon.dwmri.fit.supervised import bundle_scale, denoise_with_network, read_network
    from deeprecon.training.bundle import read_bundle

    bundle = read_bundle(folder, "dwmri")
    scale = bundle_scale(bundle)
    found = denoise_with_network(read_network(bundle), scan, mask, sigma, scale, rician, run)
    findings.metrics |= {"network": bundle.network, "bundle_sha256": bundle.sha256, "scale": scale}
    if scale == 2:
        findings.warn("The voxels are half as large by interpolation: for display, with no new detail.")
    return found


def _write(
    inputs: EnhanceInputs,
    parameters: EnhanceParameters,
    found: Enhancement,
    before: TensorMaps | None,
    after: TensorMaps | None,
    dtype: np.dtype[Any],
    run: Run,
    findings: Findings,
) -> Outcome:
    from deeprecon.dwmri.write.files import as_stored, write_scan, write_sidecar, write_tensor_maps
    from deeprecon.dwmri.write.report import write_report

    array = _floats(found.after)
    stored, clipped = as_stored(array, found.mask, dtype, parameters)
    if clipped:
        findings.metrics["clipped_values"] = clipped
    volumes: dict[str, npt.NDArray[Any]] = {
        "mask": found.mask.astype(np.uint8),
        "noise": found.sigma,
        "uncertainty": found.uncertainty,
    }
    outputs = write_scan(inputs, found.after.with_array(stored), _floats(found.before) - array, volumes, run.output)
    assert inputs.dwi is not None
    outputs |= write_sidecar(inputs.dwi, run.output, finer=findings.metrics.get("scale") == 2)
    for maps, suffix in ((before, "before"), (after, "after")):
        outputs |= write_tensor_maps(found.after, maps, suffix, run.output)
    settings = {
        "inputs": {name: path.name for name, path in vars(inputs).items() if path is not None},
        "parameters": to_json(parameters),
        "seed": run.seed,
        "device": run.device,
        "threads": run.threads,
    }
    outputs["report"] = run.output / "report.html"
    for picture in write_report(outputs["report"], found, before, after, findings, run.doubts, settings):
        outputs[f"picture_{picture.stem}"] = picture
    return Outcome(outputs, findings.metrics)


def _floats(scan: DwiScan) -> Floats:
    return np.asarray(scan.array, np.float32)
