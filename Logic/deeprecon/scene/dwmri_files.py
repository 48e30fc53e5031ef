"""Diffusion files inside the application, which ships no nibabel: NIfTI through SimpleITK, NRRD by our own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.dwi_io import fsl_files, read_dwi
from deeprecon.data.dwi_scan import DwiScan, check_scan
from deeprecon.data.errors import InputError
from deeprecon.data.gradients import from_fsl, read_fsl
from deeprecon.data.volume_io import NIFTI

_LPS = np.diag([-1.0, -1.0, 1.0])


def read_scan(path: Path, bval: Path | None = None, bvec: Path | None = None) -> DwiScan:
    """Read a diffusion scan as `data.dwi_io.read_dwi` does, without nibabel.

    Args:
        path: NIfTI, DWI NRRD, or a DICOM folder.
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


def read_image(path: Path) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.float64]]:
    """The voxels (k, j, i) or (k, j, i, V) of a NIfTI file, and its IJK to RAS matrix in mm.

    Raises:
        InputError: missing or damaged.
    """
    import SimpleITK as sitk

    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{path} is cut off, damaged or no NIfTI file.", "Copy or export it again.") from error
    array: Any = sitk.GetArrayFromImage(image)
    size = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(size, size)[:3, :3]
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = _LPS @ direction * np.array(image.GetSpacing())[:3]
    ijk_to_ras[:3, 3] = _LPS @ np.array(image.GetOrigin())[:3]
    return (np.ascontiguousarray(np.moveaxis(array, 0, -1)) if size == 4 else array), ijk_to_ras
