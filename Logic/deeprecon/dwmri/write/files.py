"""The enhanced scan and its maps as files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.files import fsl_files, write_dwi
from deeprecon.data.diffusion.kinds import entries_of_result, read_sidecar
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.files import write_json
from deeprecon.data.formats.nifti import write_nifti
from deeprecon.data.volume_io import NIFTI, NRRD, write_volume
from deeprecon.dwmri.measure.tensor import TensorMaps
from deeprecon.dwmri.parameters import Background, EnhanceInputs, EnhanceParameters, Stored

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def as_stored(
    array: Floats, mask: Mask, dtype: np.dtype[Any], parameters: EnhanceParameters
) -> tuple[npt.NDArray[Any], int]:
    """The result as it is written, and how many values were clipped to the range of the number type.

    Args:
        array: (k, j, i, V).
        mask: (k, j, i).
        dtype: of the input.
        parameters: background and number type.
    """
    result = array.copy() if parameters.background is Background.KEEP else np.where(mask[..., None], array, 0)
    if parameters.stored is Stored.FLOAT:
        return result.astype(np.float32), 0
    if dtype.kind == "f":
        return result.astype(dtype), 0
    limits = np.iinfo(dtype.name)
    rounded = np.round(result)
    outside = int(((rounded < limits.min) | (rounded > limits.max)).sum())
    return np.clip(rounded, limits.min, limits.max).astype(dtype), outside


def write_scan(
    inputs: EnhanceInputs, scan: DwiScan, residual: Floats, volumes: Mapping[str, npt.NDArray[Any]], folder: Path
) -> dict[str, Path]:
    """Write the scan in its input's format and maps on its grid; returns role -> file.

    Args:
        inputs: files that the scan was read from.
        scan: enhanced.
        residual: (k, j, i, V).
        volumes: name -> (k, j, i).
        folder: to write to.
    """
    outputs = write_scan_alone(inputs, scan, folder)
    for name, volume in volumes.items():
        outputs[name] = folder / f"{name}.nii.gz"
        write_volume(outputs[name], scan.volume(np.asarray(volume)))
    outputs["residual"] = folder / "residual.nii.gz"
    write_nifti(outputs["residual"], np.moveaxis(residual, -1, 0), scan.ijk_to_ras)
    return outputs


def write_scan_alone(inputs: EnhanceInputs, scan: DwiScan, folder: Path) -> dict[str, Path]:
    """Write a scan in its input's format; returns role -> file. NIfTI's tables are copied where nothing changed."""
    assert inputs.dwi is not None
    nrrd = inputs.dwi.name.lower().endswith(NRRD)
    outputs = write_dwi(folder / ("dwi.nrrd" if nrrd else "dwi.nii.gz"), scan)
    changed = scan.left_out or any(doubt.code == "ge-b-values" for doubt in scan.doubts)
    if inputs.dwi.name.lower().endswith(NIFTI) and not changed:
        for source, target in zip(fsl_files(inputs.dwi, inputs.bval, inputs.bvec), ("bval", "bvec"), strict=True):
            shutil.copyfile(source, outputs[target])
    return outputs


def write_sidecar(source: Path, folder: Path, finer: bool = False) -> dict[str, Path]:
    """Write the entries of the JSON file beside a scan, such as the phase encoding, for the next steps.

    Args:
        source: the NIfTI or NRRD file; nothing is written for other files, or where there is no JSON file.
        folder: gets dwi.json.
        finer: whether the scan has a finer grid now.

    Returns:
        The file by role.
    """
    sidecar = read_sidecar(source) if source.name.lower().endswith(NIFTI + NRRD) else {}
    if not sidecar:
        return {}
    path = folder / "dwi.json"
    write_json(path, entries_of_result(sidecar, finer))
    return {"sidecar": path}


def write_tensor_maps(scan: DwiScan, maps: TensorMaps | None, suffix: str, folder: Path) -> dict[str, Path]:
    """Write FA, MD and color FA on the grid of a scan, with names that end in `suffix`; returns role -> file."""
    if maps is None:
        return {}
    outputs = {f"{name}_{suffix}": folder / f"{name}_{suffix}.nii.gz" for name in ("fa", "md", "color_fa")}
    write_volume(outputs[f"fa_{suffix}"], scan.volume(maps.fa))
    write_volume(outputs[f"md_{suffix}"], scan.volume(maps.md))
    write_nifti(outputs[f"color_fa_{suffix}"], np.moveaxis(maps.color, -1, 0), scan.ijk_to_ras)
    return outputs
