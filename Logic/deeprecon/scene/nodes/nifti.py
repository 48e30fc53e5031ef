"""NIfTI files inside the application, which ships no nibabel: read and written through SimpleITK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.formats.nifti_header import checked_affine
from deeprecon.data.volume import check_affine

_LPS = np.diag([-1.0, -1.0, 1.0])


def read_image(path: Path) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.float64]]:
    """The voxels (k, j, i) or (k, j, i, V) of a NIfTI file, and its IJK to RAS matrix in mm.

    Raises:
        InputError: missing or damaged, or a geometry that is sheared or contradicts itself.
    """
    import SimpleITK as sitk

    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    ijk_to_ras = checked_affine(path)
    check_affine(ijk_to_ras, path.name)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{path} is cut off, damaged or no NIfTI file.", "Copy or export it again.") from error
    array: Any = sitk.GetArrayFromImage(image)
    return (np.ascontiguousarray(np.moveaxis(array, 0, -1)) if array.ndim == 4 else array), ijk_to_ras


def write_image(path: Path, array: npt.NDArray[np.generic], ijk_to_ras: npt.NDArray[np.float64]) -> None:
    """Write voxels (k, j, i) and their IJK to RAS matrix in mm as a NIfTI file.

    Raises:
        InputError: the folder cannot be written to.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((_LPS @ ijk_to_ras[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((_LPS @ ijk_to_ras[:3, 3]).tolist())
    try:
        with atomic_path(path) as part:
            sitk.WriteImage(image, str(part), True)
    except RuntimeError as error:
        raise InputError(f"{path} cannot be written.", "Choose another folder.") from error
