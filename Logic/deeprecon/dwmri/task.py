"""The verbs of the method: what `python -m deeprecon dwmri VERB` and the panel run."""

from __future__ import annotations

from typing import Any

import numpy as np

from deeprecon.data.diffusion.files import write_dwi
from deeprecon.data.diffusion.scan import with_finite_values
from deeprecon.data.errors import InputError
from deeprecon.data.tables import write_table
from deeprecon.data.volume_io import write_volume
from deeprecon.dwmri import parameters as settings
from deeprecon.dwmri.dataset import enhance_dataset
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.dwmri.pipeline import enhance_scan, prepare
from deeprecon.dwmri.read.masks import read_labels, read_mask
from deeprecon.dwmri.read.scans import load_scan, volume_choices
from deeprecon.dwmri.write.files import write_sidecar
from deeprecon.jobs.parameters import NoParameters
from deeprecon.jobs.run import Outcome, Run
from deeprecon.jobs.verbs import Verb
from deeprecon.training.bundle import read_bundle

MIN_NRRD_VOLUMES = 7
"""Volumes from which Slicer can save a DWI NRRD."""
LABELS = ("white", "gray", "fluid", "lesions", "crossings")
"""Of labels.nii.gz: bit n of a voxel's value is label n."""


def enhance(inputs: settings.EnhanceInputs, parameters: settings.EnhanceParameters, run: Run) -> Outcome:
    """Denoise one scan, or all of a BIDS dataset.

    Raises:
        InputError: the files are incomplete or contradict each other, or the bundle cannot be used.
    """
    if (inputs.dwi is None) == (inputs.bids is None):
        raise InputError("Give one scan with --dwi, or a BIDS dataset with --bids.")
    if inputs.bundle is not None:
        read_bundle(inputs.bundle, "dwmri")  # refused before the first scan is read
    if inputs.bids is None:
        return enhance_scan(inputs, parameters, run)
    single = [f"--{name}" for name in ("bval", "bvec", "mask") if getattr(inputs, name) is not None]
    single += [f"--{name}" for name in ("impute", "exclude") if getattr(parameters, name).strip()]
    if single:
        raise InputError(
            f"{' and '.join(single)} cannot be given with --bids: they are of one scan.",
            "Leave them out: each scan's own are found in the dataset.",
        )
    return enhance_dataset(inputs, parameters, run)


def phantom(inputs: settings.PhantomInputs, parameters: settings.PhantomParameters, run: Run) -> Outcome:
    """Make a scan whose clean signal is known: dwi (noisy), truth, mask, noise and labels."""
    from deeprecon.dwmri.simulate.head import make_phantom

    made = make_phantom(
        (parameters.slices, parameters.rows, parameters.columns),
        parameters.b0,
        settings.parse_shells(parameters.shells),
        parameters.snr,
        run.seed,
        varying=parameters.varying,
        correlated=parameters.correlated,
        spacing=(parameters.spacing, parameters.spacing, parameters.thickness),
    )
    ending = ".nrrd" if parameters.format is settings.DwiFormat.NRRD else ".nii.gz"
    outputs = write_dwi(run.output / f"dwi{ending}", made.noisy)
    truth = write_dwi(run.output / f"truth{ending}", made.clean)
    outputs |= {f"truth_{role}" if role != "dwi" else "truth": path for role, path in truth.items()}
    labels = sum((made.labels[name].astype(np.uint8) << bit for bit, name in enumerate(LABELS)), np.uint8(0))
    for name, volume in (("mask", made.mask.astype(np.uint8)), ("noise", made.sigma), ("labels", labels)):
        outputs[name] = run.output / f"{name}.nii.gz"
        write_volume(outputs[name], made.clean.volume(np.asarray(volume)))
    return Outcome(outputs, {"volumes": len(made.clean.gradients), "mask_voxels": int(made.mask.sum())})


def evaluate(inputs: settings.EvaluateInputs, parameters: NoParameters, run: Run) -> Outcome:
    """Compare a result with the truth.

    Raises:
        InputError: the scans do not have the same grid and gradients.
    """
    from deeprecon.dwmri.measure.accuracy import accuracy

    truth, _ = with_finite_values(load_scan(inputs.truth, run))
    scans = {"dwi": inputs.dwi, "noisy": inputs.noisy}
    arrays: dict[str, Any] = {}
    for name, path in scans.items():
        if path is None:
            continue
        scan, _ = with_finite_values(load_scan(path, run))
        same = scan.array.shape == truth.array.shape and np.allclose(scan.ijk_to_ras, truth.ijk_to_ras, atol=1e-3)
        if not same or not np.allclose(scan.gradients.bvals, truth.gradients.bvals, atol=1):
            raise InputError(
                f"{path.name} and {inputs.truth.name} do not have the same grid and volumes.",
                "Evaluate against the truth of this scan.",
            )
        arrays[name] = scan.array
    mask = find_mask(truth) if inputs.mask is None else read_mask(inputs.mask, truth, run)
    labels = None
    if inputs.labels is not None:
        values = read_labels(inputs.labels, truth, run)
        labels = {name: (values >> bit & 1).astype(bool) for bit, name in enumerate(LABELS)}
    metrics = accuracy(arrays["dwi"], truth, mask, labels, arrays.get("noisy"))
    outputs = {"table": run.output / "evaluation.csv"}
    write_table(outputs["table"], [{"figure": name, "value": value} for name, value in metrics.items()])
    return Outcome(outputs, dict(metrics))


def export(inputs: settings.ExportInputs, parameters: settings.ExportParameters, run: Run) -> Outcome:
    """Write a scan in another format; values, geometry and gradients in the patient stay the same.

    Raises:
        InputError: the scan cannot be read.
    """
    scan = load_scan(inputs.dwi, run, inputs.bval, inputs.bvec, volume_choices(parameters))
    nrrd = parameters.format is settings.DwiFormat.NRRD
    if nrrd and len(scan.gradients) < MIN_NRRD_VOLUMES:
        run.reporter.warning(
            f"Slicer reads a DWI NRRD of fewer than {MIN_NRRD_VOLUMES} volumes, but cannot save it again."
        )
    outputs = write_dwi(run.output / ("dwi.nrrd" if nrrd else "dwi.nii.gz"), scan)
    outputs |= write_sidecar(inputs.dwi, run.output)
    return Outcome(outputs, {"volumes": len(scan.gradients), "b0_volumes": int(scan.gradients.b0.sum())})


def train(inputs: settings.TrainInputs, parameters: settings.TrainParameters, run: Run) -> Outcome:
    """Train a supervised network, see `deeprecon.dwmri.training.pipeline`."""
    from deeprecon.dwmri.training.pipeline import train_on_pairs

    return train_on_pairs(inputs, parameters, run)


def _precisions(parameters: settings.EnhanceParameters) -> tuple[str, ...]:
    """Only the training of the network can use half precision."""
    return ("fp32", "bf16") if parameters.method is settings.Method.NETWORK else ("fp32",)


def _without_torch(parameters: Any) -> bool:
    return False


VERBS = {
    "enhance": Verb(
        "denoise a diffusion scan, or a BIDS dataset, and show what changed",
        settings.EnhanceInputs,
        settings.EnhanceParameters,
        enhance,
        precisions=_precisions,
    ),
    "train": Verb(
        "train a supervised network on pairs of scans, and keep it as a model bundle",
        settings.TrainInputs,
        settings.TrainParameters,
        train,
    ),
    "prepare": Verb(
        "read and check a scan: its table of gradients, mask and lost slices",
        settings.PrepareInputs,
        settings.PrepareParameters,
        prepare,
        needs_torch=_without_torch,
    ),
    "phantom": Verb(
        "make a scan whose clean signal is known",
        settings.PhantomInputs,
        settings.PhantomParameters,
        phantom,
        needs_torch=_without_torch,
    ),
    "export": Verb(
        "write a scan as DWI NRRD for Slicer, or as NIfTI with .bval and .bvec",
        settings.ExportInputs,
        settings.ExportParameters,
        export,
        needs_torch=_without_torch,
    ),
    "evaluate": Verb(
        "compare a result with the truth",
        settings.EvaluateInputs,
        NoParameters,
        evaluate,
        needs_torch=_without_torch,
    ),
}
