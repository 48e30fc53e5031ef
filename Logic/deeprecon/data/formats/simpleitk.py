"""Volumes as SimpleITK images and back; SimpleITK's geometry is in LPS mm."""

from __future__ import annotations

from typing import Any

import numpy as np

from deeprecon.data.volume import Volume

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def image_from_volume(volume: Volume) -> Any:
    """A SimpleITK image of a volume without shear."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(volume.array)
    lps = _LPS @ volume.ijk_to_ras
    image.SetSpacing(volume.spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / volume.spacing).ravel().tolist())
    return image


def volume_from_image(image: Any, name: str = "volume") -> Volume:
    """A volume of a 3D SimpleITK image of one value a voxel."""
    import SimpleITK as sitk

    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return Volume(sitk.GetArrayFromImage(image), _LPS @ affine + 0.0, name)
