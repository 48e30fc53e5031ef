"""Diffusion files inside the application, which ships no nibabel: NIfTI through SimpleITK, NRRD by our own reader."""

from __future__ import annotations

from pathlib import Path

from deeprecon.data.diffusion.files import fsl_files, read_dwi
from deeprecon.data.diffusion.gradients import from_fsl, read_fsl
from deeprecon.data.diffusion.scan import DwiScan, check_scan
from deeprecon.data.errors import InputError
from deeprecon.data.volume_io import NIFTI
from deeprecon.scene.nodes.nifti import read_image


def read_scan(path: Path, bval: Path | None = None, bvec: Path | None = None) -> DwiScan:
    """Read a diffusion scan as `data.dwi_io.read_dwi` does, without nibabel.

    Args:
        path: NIfTI, DWI NRRD, a DICOM folder, or one file of a DICOM series.
        bval, bvec: of a NIfTI file; those beside it, of the same name, if left out.

    Raises:
        InputError: missing or damaged files, no 4D image, or a table that does not fit.
    """
    if not path.name.lower().endswith(NIFTI):
        return read_dwi(path)
    array, ijk_to_ras = read_image(path)
    if array.ndim != 4:
        raise InputError(f"{path} is {array.ndim}D, expected 4D.", "Give the whole series, not one volume of it.")
    tables = fsl_files(path, bval, bvec)
    b, vectors = read_fsl(*tables, array.shape[-1])
    scan = DwiScan(array, ijk_to_ras, from_fsl(b, vectors, ijk_to_ras, tables[1].name), path.name)
    check_scan(scan)
    return scan
