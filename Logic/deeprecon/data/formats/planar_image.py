"""2D images in the volume formats, as SimpleITK writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.formats.metaimage import check_metaimage
from deeprecon.data.formats.nifti import read_nifti

_NIFTI, _OTHERS = (".nii", ".nii.gz"), (".nrrd", ".nhdr", ".mha", ".mhd")


def read_planar_image(path: Path) -> tuple[npt.NDArray[np.float64], tuple[float, float]] | None:
    """(rows, columns) of a 2D image and its spacing in mm along columns and rows; None for another file.

    Raises:
        InputError: damaged, or several values a pixel.
    """
    import SimpleITK as sitk

    name = path.name.lower()
    if name.endswith(_NIFTI):
        nifti = read_nifti(path)
        if nifti.array.ndim != 2:
            return None
        width, height = np.linalg.norm(nifti.ijk_to_ras[:3, :2], axis=0).tolist()
        return nifti.array.astype(float), (width, height)
    if not name.endswith(_OTHERS):
        return None
    if name.endswith((".mha", ".mhd")):
        check_metaimage(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        if reader.GetDimension() != 2:
            return None
        image = reader.Execute()
    except RuntimeError:
        return None  # its own reader tells what is wrong
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{path} is a color image, expected gray values.", "Give the original X-ray.")
    width, height = image.GetSpacing()
    return sitk.GetArrayFromImage(image).astype(float), (width, height)
